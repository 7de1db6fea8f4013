// Address translation: what the connection says, applied to the five-tuple and to the packet.

#ifndef KULVERT_NAT_P4
#define KULVERT_NAT_P4

// The five-tuple as it leaves, which policy and routing look at.
control translate_flow(inout metadata_t meta) {
    apply {
        meta.translated = meta.flow;
        if (meta.connection.translation == translation_t.DESTINATION) {
            meta.translated.dst_addr = meta.connection.address;
            meta.translated.l4_dport = meta.connection.port;
        } else if (meta.connection.translation == translation_t.SOURCE) {
            meta.translated.src_addr = meta.connection.address;
            meta.translated.l4_sport = meta.connection.port;
        } else if (meta.connection.translation == translation_t.HAIRPIN) {
            meta.translated.src_addr = meta.flow.dst_addr;
            meta.translated.dst_addr = meta.flow.src_addr;
            if (meta.connection.is_reply == 1) {
                meta.translated.l4_sport = meta.connection.port;
            } else {
                meta.translated.l4_dport = meta.connection.port;
            }
        }
    }
}

// The checksums follow by difference (RFC 1624): the payload, which may be long or cut short, is never looked at.
control rewrite_packet(inout headers_t hdr, inout metadata_t meta) {
    bit<32> ipv4_sum = 0;
    bit<32> sum = 0;

    // The transport's delta without the ports is the addresses' alone, which is the IPv4 header's.
    action rewrite_ipv4() {
        hdr.ipv4.src_addr = meta.translated.src_addr[31:0];
        hdr.ipv4.dst_addr = meta.translated.dst_addr[31:0];
        ipv4_sum = (bit<32>)(~hdr.ipv4.checksum) + (bit<32>)meta.connection.checksum_delta
            + (bit<32>)meta.flow.l4_sport + (bit<32>)(~meta.translated.l4_sport)
            + (bit<32>)meta.flow.l4_dport + (bit<32>)(~meta.translated.l4_dport);
    }

    action fold_ipv4_sum() {
        ipv4_sum = (ipv4_sum & 0xffff) + (ipv4_sum >> 16);
    }

    action rewrite_ipv4_checksum() {
        hdr.ipv4.checksum = ~((bit<16>)(ipv4_sum + (ipv4_sum >> 16)));
    }

    action rewrite_ipv6() {
        hdr.ipv6.src_addr = meta.translated.src_addr;
        hdr.ipv6.dst_addr = meta.translated.dst_addr;
    }

    action rewrite_tcp() {
        hdr.tcp.sport = meta.translated.l4_sport;
        hdr.tcp.dport = meta.translated.l4_dport;
        sum = (bit<32>)(~hdr.tcp.checksum) + (bit<32>)meta.connection.checksum_delta;
        hdr.tcp.checksum = ~((bit<16>)(sum + (sum >> 16)));
    }

    action rewrite_udp() {
        hdr.udp.sport = meta.translated.l4_sport;
        hdr.udp.dport = meta.translated.l4_dport;
    }

    action rewrite_udp_checksum() {
        sum = (bit<32>)(~hdr.udp.checksum) + (bit<32>)meta.connection.checksum_delta;
        hdr.udp.checksum = ~((bit<16>)(sum + (sum >> 16)));
    }

    apply {
        if (hdr.ipv4.isValid()) {
            rewrite_ipv4();
            fold_ipv4_sum();
            rewrite_ipv4_checksum();
        } else {
            rewrite_ipv6();
        }
        if (hdr.tcp.isValid()) {
            rewrite_tcp();
        } else if (hdr.udp.isValid()) {
            rewrite_udp();
            if (hdr.udp.checksum != 0) {        // 0 says that there is none, and it stays none
                rewrite_udp_checksum();
                if (hdr.udp.checksum == 0) {
                    hdr.udp.checksum = 0xffff;
                }
            }
        }
    }
}

#endif
