// ICMP errors that come in: about a packet that went out through here, whose start they quote. They belong to that packet's connection,
// pass by it and not by policy, and are translated with it, inside and outside.
//
// The packet quoted is as it left the pipeline. Turned round, it is what an answer to it would be on arrival: the other direction of its
// connection, whose entry is found and says what it is translated to. Nothing of a connection is moved or put off by an error.

#ifndef KULVERT_ICMP_ERRORS_P4
#define KULVERT_ICMP_ERRORS_P4

// From now on the packet counts as one of its connection's.
control relate_error(inout metadata_t meta) {
    apply {
        if (meta.related.dst_addr != meta.flow.dst_addr
            || (meta.port_kind == port_kind_t.POD && meta.related.src_addr != meta.flow.src_addr)) {
            // It went to somebody else, or a pod speaks of others' packets: a pod is no router.
            meta.drop_reason = drop_reason_t.UNRELATED_ERROR;
        } else {
            meta.error_source = meta.flow.src_addr;
            meta.flow = meta.related;
        }
    }
}

// What no connection has caused is crafted, or too late; so is an error about a pod's answer that does not come from the pod, and a
// fragment whose connection is gone.
control check_follower(inout metadata_t meta) {
    apply {
        if (meta.is_error == 1) {
            if (meta.connection.is_hit == 0 || (meta.connection.is_from_pod == 1 && meta.port_kind != port_kind_t.POD)) {
                meta.drop_reason = drop_reason_t.UNRELATED_ERROR;
            }
        } else if (meta.connection.is_hit == 0) {
            meta.drop_reason = drop_reason_t.FRAGMENT_WITHOUT_FIRST;
        }
    }
}

// Outside, the destination becomes the one that the sender of the quoted packet has for himself, and the source the one that he
// knows the other end by; a router on the way stays who it is. Inside, the packet becomes the one that he sent.
control rewrite_error(inout headers_t hdr, inout metadata_t meta) {
    bit<64> sum = 0;
    bit<32> port_change = 0;        // what the translation of the ports adds to a checksum, in ones' complement
    bit<32> addresses = 0;          // that of both addresses
    bit<32> outer_addresses = 0;    // that of the outer ones, of which the source may stay
    ip_addr_t source = 0;
    bit<1> has_checksum = 0;        // the quoted transport checksum is there, and changes

    action measure() {
        port_change = (bit<32>)(~meta.flow.l4_dport) + (bit<32>)meta.translated.l4_dport
            + (bit<32>)(~meta.flow.l4_sport) + (bit<32>)meta.translated.l4_sport;
        addresses = (bit<32>)meta.connection.checksum_delta
            + (bit<32>)meta.flow.l4_dport + (bit<32>)(~meta.translated.l4_dport)
            + (bit<32>)meta.flow.l4_sport + (bit<32>)(~meta.translated.l4_sport);
        addresses = (addresses & 0xffff) + (addresses >> 16);
        outer_addresses = addresses;
        source = meta.translated.src_addr;
    }

    action keep_source() {
        source = meta.error_source;
        sum = (bit<64>)(~meta.flow.dst_addr[127:96]) + (bit<64>)(~meta.flow.dst_addr[95:64])
            + (bit<64>)(~meta.flow.dst_addr[63:32]) + (bit<64>)(~meta.flow.dst_addr[31:0])
            + (bit<64>)meta.translated.dst_addr[127:96] + (bit<64>)meta.translated.dst_addr[95:64]
            + (bit<64>)meta.translated.dst_addr[63:32] + (bit<64>)meta.translated.dst_addr[31:0];
    }

    action fold_words() {
        sum = (sum & 0xffff) + ((sum >> 16) & 0xffff) + (sum >> 32);
    }

    action keep_destination_alone() {
        outer_addresses = (bit<32>)((sum & 0xffff) + (sum >> 16));
    }

    action rewrite_quoted_transport() {
        hdr.quoted_transport.sport = meta.translated.l4_dport;
        hdr.quoted_transport.dport = meta.translated.l4_sport;
    }

    action rewrite_quoted_tcp_checksum() {
        has_checksum = 1;
        sum = (bit<64>)(~hdr.quoted_tcp_rest.checksum) + (bit<64>)meta.connection.checksum_delta;
        hdr.quoted_tcp_rest.checksum = ~((bit<16>)(sum + (sum >> 16)));
    }

    action rewrite_quoted_udp() {
        hdr.quoted_udp.sport = meta.translated.l4_dport;
        hdr.quoted_udp.dport = meta.translated.l4_sport;
    }

    action rewrite_quoted_udp_checksum() {
        has_checksum = 1;
        sum = (bit<64>)(~hdr.quoted_udp.checksum) + (bit<64>)meta.connection.checksum_delta;
        hdr.quoted_udp.checksum = ~((bit<16>)(sum + (sum >> 16)));
    }

    // A header's checksum takes in the header's addresses, so that the ICMP checksum sees no change of either.
    action rewrite_ipv4() {
        hdr.ipv4.src_addr = source[31:0];
        hdr.ipv4.dst_addr = meta.translated.dst_addr[31:0];
        sum = (bit<64>)(~hdr.ipv4.checksum) + (bit<64>)outer_addresses;
        sum = (sum & 0xffff) + (sum >> 16);
        hdr.ipv4.checksum = ~((bit<16>)(sum + (sum >> 16)));
        hdr.quoted_ipv4.src_addr = meta.translated.dst_addr[31:0];
        hdr.quoted_ipv4.dst_addr = meta.translated.src_addr[31:0];
        sum = (bit<64>)(~hdr.quoted_ipv4.checksum) + (bit<64>)addresses;
        sum = (sum & 0xffff) + (sum >> 16);
        hdr.quoted_ipv4.checksum = ~((bit<16>)(sum + (sum >> 16)));
        sum = (bit<64>)(~hdr.icmp.checksum) + (bit<64>)port_change;
    }

    // ICMPv6's checksum takes in the addresses outside, and those quoted have none of their own.
    action rewrite_ipv6() {
        hdr.ipv6.src_addr = source;
        hdr.ipv6.dst_addr = meta.translated.dst_addr;
        hdr.quoted_ipv6.src_addr = meta.translated.dst_addr;
        hdr.quoted_ipv6.dst_addr = meta.translated.src_addr;
        sum = (bit<64>)(~hdr.icmp.checksum) + (bit<64>)port_change + (bit<64>)addresses + (bit<64>)outer_addresses;
    }

    // The quoted checksum goes down by what its ports and addresses bring.
    action add_quoted_checksum() {
        sum = sum + (bit<64>)(~meta.connection.checksum_delta);
    }

    action rewrite_icmp_checksum() {
        sum = (sum & 0xffff) + (sum >> 16);
        hdr.icmp.checksum = ~((bit<16>)(sum + (sum >> 16)));
    }

    apply {
        measure();
        if (meta.error_source != meta.flow.src_addr) {
            keep_source();
            fold_words();
            keep_destination_alone();
        }
        if (hdr.quoted_transport.isValid()) {
            rewrite_quoted_transport();
            if (hdr.quoted_tcp_rest.isValid()) {
                rewrite_quoted_tcp_checksum();
            }
        } else if (hdr.quoted_udp.isValid()) {
            rewrite_quoted_udp();
            if (hdr.quoted_udp.checksum != 0) {
                rewrite_quoted_udp_checksum();
                if (hdr.quoted_udp.checksum == 0) {
                    hdr.quoted_udp.checksum = 0xffff;
                }
            }
        }
        if (hdr.ipv4.isValid()) {
            rewrite_ipv4();
        } else {
            rewrite_ipv6();
        }
        if (has_checksum == 1) {
            add_quoted_checksum();
        }
        rewrite_icmp_checksum();
    }
}

#endif
