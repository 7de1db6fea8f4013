// Checksums of whole headers: verified where a packet comes in, computed only for answers made in the pipeline. What is
// forwarded has its checksums kept by difference (stages/nat.p4, stages/route.p4).

#ifndef KULVERT_CHECKSUMS_P4
#define KULVERT_CHECKSUMS_P4

control node_verify_checksum(inout headers_t hdr, inout metadata_t meta) {
    apply {
        verify_checksum(hdr.ipv4.isValid() && !hdr.ipv4_options.isValid(),
            { hdr.ipv4.version, hdr.ipv4.ihl, hdr.ipv4.traffic_class, hdr.ipv4.total_len, hdr.ipv4.identification,
              hdr.ipv4.flags, hdr.ipv4.fragment_offset, hdr.ipv4.ttl, hdr.ipv4.protocol, hdr.ipv4.src_addr,
              hdr.ipv4.dst_addr },
            hdr.ipv4.checksum, HashAlgorithm.csum16);
        verify_checksum(hdr.ipv4.isValid() && hdr.ipv4_options.isValid(),
            { hdr.ipv4.version, hdr.ipv4.ihl, hdr.ipv4.traffic_class, hdr.ipv4.total_len, hdr.ipv4.identification,
              hdr.ipv4.flags, hdr.ipv4.fragment_offset, hdr.ipv4.ttl, hdr.ipv4.protocol, hdr.ipv4.src_addr,
              hdr.ipv4.dst_addr, hdr.ipv4_options.options },
            hdr.ipv4.checksum, HashAlgorithm.csum16);
    }
}

control node_compute_checksum(inout headers_t hdr, inout metadata_t meta) {
    apply {
        // A neighbour advertisement.
        update_checksum(meta.is_answered == 1 && hdr.nd_link_layer_option.isValid(),
            { hdr.ipv6.src_addr, hdr.ipv6.dst_addr, 16w0, hdr.ipv6.payload_len, 24w0, hdr.ipv6.next_header,
              hdr.icmp.type, hdr.icmp.code, hdr.nd_neighbor.flags, hdr.nd_neighbor.target_addr,
              hdr.nd_link_layer_option.type, hdr.nd_link_layer_option.length, hdr.nd_link_layer_option.mac },
            hdr.icmp.checksum, HashAlgorithm.csum16);

        // A reset.
        update_checksum(meta.is_answered == 1 && hdr.tcp.isValid() && hdr.ipv4.isValid() && !hdr.answer_icmp.isValid(),
            { hdr.ipv4.version, hdr.ipv4.ihl, hdr.ipv4.traffic_class, hdr.ipv4.total_len, hdr.ipv4.identification,
              hdr.ipv4.flags, hdr.ipv4.fragment_offset, hdr.ipv4.ttl, hdr.ipv4.protocol, hdr.ipv4.src_addr,
              hdr.ipv4.dst_addr },
            hdr.ipv4.checksum, HashAlgorithm.csum16);
        update_checksum(meta.is_answered == 1 && hdr.tcp.isValid() && hdr.ipv4.isValid() && !hdr.answer_icmp.isValid(),
            { hdr.ipv4.src_addr, hdr.ipv4.dst_addr, 8w0, hdr.ipv4.protocol, RESET_TCP_LEN,
              hdr.tcp.sport, hdr.tcp.dport, hdr.tcp.sequence, hdr.tcp.acknowledgement, hdr.tcp.data_offset,
              hdr.tcp.reserved, hdr.tcp.flags, hdr.tcp.window, hdr.tcp.urgent },
            hdr.tcp.checksum, HashAlgorithm.csum16);
        update_checksum(meta.is_answered == 1 && hdr.tcp.isValid() && hdr.ipv6.isValid() && !hdr.answer_icmp.isValid(),
            { hdr.ipv6.src_addr, hdr.ipv6.dst_addr, 16w0, RESET_TCP_LEN, 24w0, hdr.ipv6.next_header,
              hdr.tcp.sport, hdr.tcp.dport, hdr.tcp.sequence, hdr.tcp.acknowledgement, hdr.tcp.data_offset,
              hdr.tcp.reserved, hdr.tcp.flags, hdr.tcp.window, hdr.tcp.urgent },
            hdr.tcp.checksum, HashAlgorithm.csum16);

        // Around a frame that goes through a tunnel.
        update_checksum(hdr.tunnel_ipv4.isValid(),
            { hdr.tunnel_ipv4.version, hdr.tunnel_ipv4.ihl, hdr.tunnel_ipv4.traffic_class, hdr.tunnel_ipv4.total_len,
              hdr.tunnel_ipv4.identification, hdr.tunnel_ipv4.flags, hdr.tunnel_ipv4.fragment_offset,
              hdr.tunnel_ipv4.ttl, hdr.tunnel_ipv4.protocol, hdr.tunnel_ipv4.src_addr, hdr.tunnel_ipv4.dst_addr },
            hdr.tunnel_ipv4.checksum, HashAlgorithm.csum16);

        // An ICMP error, about the packet behind it.
        update_checksum(hdr.answer_ipv4.isValid(),
            { hdr.answer_ipv4.version, hdr.answer_ipv4.ihl, hdr.answer_ipv4.traffic_class, hdr.answer_ipv4.total_len,
              hdr.answer_ipv4.identification, hdr.answer_ipv4.flags, hdr.answer_ipv4.fragment_offset,
              hdr.answer_ipv4.ttl, hdr.answer_ipv4.protocol, hdr.answer_ipv4.src_addr, hdr.answer_ipv4.dst_addr },
            hdr.answer_ipv4.checksum, HashAlgorithm.csum16);
        update_checksum(hdr.answer_ipv4.isValid(),
            { hdr.answer_icmp.type, hdr.answer_icmp.code, hdr.answer_error.detail,
              hdr.ipv4.version, hdr.ipv4.ihl, hdr.ipv4.traffic_class, hdr.ipv4.total_len, hdr.ipv4.identification,
              hdr.ipv4.flags, hdr.ipv4.fragment_offset, hdr.ipv4.ttl, hdr.ipv4.protocol, hdr.ipv4.checksum,
              hdr.ipv4.src_addr, hdr.ipv4.dst_addr, meta.quoted_transport },
            hdr.answer_icmp.checksum, HashAlgorithm.csum16);
        update_checksum(hdr.answer_ipv6.isValid(),
            { hdr.answer_ipv6.src_addr, hdr.answer_ipv6.dst_addr, 16w0, hdr.answer_ipv6.payload_len, 24w0,
              hdr.answer_ipv6.next_header,
              hdr.answer_icmp.type, hdr.answer_icmp.code, hdr.answer_error.detail,
              hdr.ipv6.version, hdr.ipv6.traffic_class, hdr.ipv6.flow_label, hdr.ipv6.payload_len,
              hdr.ipv6.next_header, hdr.ipv6.hop_limit, hdr.ipv6.src_addr, hdr.ipv6.dst_addr, meta.quoted_fragment,
              meta.quoted_transport },
            hdr.answer_icmp.checksum, HashAlgorithm.csum16);
    }
}

#endif
