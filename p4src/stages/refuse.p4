// The sender of a refused packet is told at once: TCP by a reset, made of the packet itself, that goes back where it came from; UDP and
// SCTP by "port unreachable" (stages/report_error.p4). A packet with IPv4 options is refused in silence, and so is a
// fragment of TCP, which does not say how long the segment is.

#ifndef KULVERT_REFUSE_P4
#define KULVERT_REFUSE_P4

const bit<8>  ANSWER_TTL                 = 64;
const bit<16> RESET_IPV4_LEN             = 40;      // IPv4, TCP
const bit<32> RESET_IPV4_FRAME_LEN       = 54;
const bit<16> RESET_TCP_LEN              = 20;
const bit<32> RESET_IPV6_FRAME_LEN       = 74;

// A TCP segment only.
@noWarn("invalid-header")
control refuse(inout headers_t hdr, inout metadata_t meta) {
    bit<16> segment_len = 0;

    action turn_back() {
        meta.is_answered = 1;
        hdr.ethernet.dst_mac = hdr.ethernet.src_mac;
        hdr.ethernet.src_mac = meta.port_mac;
    }

    action turn_ipv4() {
        segment_len = hdr.ipv4.total_len - 20 - ((bit<16>)hdr.tcp.data_offset << 2);
        hdr.ipv4.src_addr = meta.flow.dst_addr[31:0];
        hdr.ipv4.dst_addr = meta.flow.src_addr[31:0];
        hdr.ipv4.total_len = RESET_IPV4_LEN;
        hdr.ipv4.identification = 0;
        hdr.ipv4.flags = 2;
        hdr.ipv4.ttl = ANSWER_TTL;
        meta.answer_frame_len = RESET_IPV4_FRAME_LEN;
    }

    action turn_ipv6() {
        segment_len = hdr.ipv6.payload_len - ((bit<16>)hdr.tcp.data_offset << 2);
        hdr.ipv6.src_addr = meta.flow.dst_addr;
        hdr.ipv6.dst_addr = meta.flow.src_addr;
        hdr.ipv6.payload_len = RESET_TCP_LEN;
        hdr.ipv6.hop_limit = ANSWER_TTL;
        meta.answer_frame_len = RESET_IPV6_FRAME_LEN;
    }

    action turn_tcp() {
        hdr.tcp.sport = meta.flow.l4_dport;
        hdr.tcp.dport = meta.flow.l4_sport;
        hdr.tcp.data_offset = 5;
        hdr.tcp.reserved = 0;
        hdr.tcp.window = 0;
        hdr.tcp.urgent = 0;
    }

    // RFC 9293, section 3.10.7.1: the reset of a connection that does not exist.
    action reset_acknowledged() {
        hdr.tcp.sequence = hdr.tcp.acknowledgement;
        hdr.tcp.acknowledgement = 0;
        hdr.tcp.flags = TCP_RST;
    }

    action reset_unacknowledged() {
        hdr.tcp.acknowledgement = hdr.tcp.sequence + (bit<32>)segment_len + (bit<32>)hdr.tcp.flags[1:1]
            + (bit<32>)hdr.tcp.flags[0:0];
        hdr.tcp.sequence = 0;
        hdr.tcp.flags = TCP_RST | TCP_ACK;
    }

    apply {
        if (!hdr.ipv4_options.isValid() && meta.is_fragment == 0 && (hdr.tcp.flags & TCP_RST) == 0) {
            turn_back();
            if (hdr.ipv4.isValid()) {
                turn_ipv4();
            } else {
                turn_ipv6();
            }
            turn_tcp();
            if ((hdr.tcp.flags & TCP_ACK) != 0) {
                reset_acknowledged();
            } else {
                reset_unacknowledged();
            }
        }
    }
}

#endif
