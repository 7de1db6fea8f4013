// Address translation: what has been decided about a connection, applied to its packets.

#ifndef KULVERT_NAT_P4
#define KULVERT_NAT_P4

// What the translation adds to a transport checksum: RFC 1624, equation 3, the sum of the complements of what goes and of what
// comes. The upper 96 bits of two IPv4-mapped addresses cancel each other, so that one formula does for both families.
control measure_translation(inout metadata_t meta) {
    bit<64> sum = 0;

    action add_up_difference() {
        sum = (bit<64>)(~meta.flow.dst_addr[127:96]) + (bit<64>)(~meta.flow.dst_addr[95:64])
            + (bit<64>)(~meta.flow.dst_addr[63:32]) + (bit<64>)(~meta.flow.dst_addr[31:0])
            + (bit<64>)(~meta.flow.src_addr[127:96]) + (bit<64>)(~meta.flow.src_addr[95:64])
            + (bit<64>)(~meta.flow.src_addr[63:32]) + (bit<64>)(~meta.flow.src_addr[31:0])
            + (bit<64>)meta.translated.dst_addr[127:96] + (bit<64>)meta.translated.dst_addr[95:64]
            + (bit<64>)meta.translated.dst_addr[63:32] + (bit<64>)meta.translated.dst_addr[31:0]
            + (bit<64>)meta.translated.src_addr[127:96] + (bit<64>)meta.translated.src_addr[95:64]
            + (bit<64>)meta.translated.src_addr[63:32] + (bit<64>)meta.translated.src_addr[31:0]
            + (bit<64>)(~meta.flow.l4_dport) + (bit<64>)meta.translated.l4_dport
            + (bit<64>)(~meta.flow.l4_sport) + (bit<64>)meta.translated.l4_sport;
    }

    action fold_words() {
        sum = (sum & 0xffff) + ((sum >> 16) & 0xffff) + (sum >> 32);
    }

    action fold_carry() {
        sum = (sum & 0xffff) + (sum >> 16);
    }

    action keep_checksum_delta() {
        meta.connection.checksum_delta = (bit<16>)(sum + (sum >> 16));      // the carry's own carry ends up in bit 0
    }

    apply {
        add_up_difference();
        fold_words();
        fold_carry();
        keep_checksum_delta();
    }
}

// The checksums follow by difference (RFC 1624): the payload, which may be long or cut short, is never looked at.
control rewrite_packet(inout headers_t hdr, inout metadata_t meta) {
    rewrite_sctp() sctp;
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
        } else if (hdr.sctp.isValid()) {
            sctp.apply(hdr, meta);
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
