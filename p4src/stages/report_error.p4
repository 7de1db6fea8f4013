// ICMP errors that the pipeline makes: port unreachable, time exceeded, packet too big. The packet that they are about follows behind the
// headers of the error, cut to its IP header and eight bytes, and all goes back where it came from.
//
// Nobody is told of a packet with IPv4 options, of one whose transport is unknown, nor of an ICMP error. A port gets no more errors in a
// tick than the target says, so that a flood of such packets is not answered by another one.
//
//   error_counts     one word a port:  tick (28) | errors in it (36)

#ifndef KULVERT_REPORT_ERROR_P4
#define KULVERT_REPORT_ERROR_P4

const bit<16> ERROR_IPV4_LEN       = 56;      // IPv4, ICMP (8), the IPv4 header of the packet and eight bytes of what it carries
const bit<32> ERROR_IPV4_FRAME_LEN = 70;
const bit<16> ERROR_ICMPV6_LEN     = 56;      // ICMPv6 (8), the IPv6 header of the packet and eight bytes of what it carries
const bit<32> ERROR_IPV6_FRAME_LEN = 110;

const bit<16> FRAGMENT_HEADER_LEN           = 8;
const bit<32> ERROR_IPV6_FRAGMENT_FRAME_LEN = 118;

register<bit<64>>(512) error_counts;

@noWarn("invalid-header")
control report_error(inout headers_t hdr, inout metadata_t meta, in standard_metadata_t standard_metadata) {
    bit<64> held = 0;
    bit<28> tick = 0;
    bit<1> is_ipv6 = 0;
    bit<1> is_due = 0;
    bit<8> type = 0;
    bit<8> code = 0;
    bit<32> detail = 0;
    ip_addr_t source = 0;

    action set_error_source(ip_addr_t addr) {
        source = addr;
        is_due = 1;
    }

    table error_source_table {
        key = {
            is_ipv6: exact @name("is_ipv6");
        }
        actions = {
            set_error_source;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        size = ERROR_SOURCE_TABLE_SIZE;
    }

    action tell_unreachable() {
        is_due = 1;
        source = meta.flow.dst_addr;
        type = ICMP_UNREACHABLE;
        code = ICMP_CODE_PORT_UNREACHABLE;
    }

    action tell_unreachable_ipv6() {
        type = ICMPV6_UNREACHABLE;
        code = ICMPV6_CODE_PORT_UNREACHABLE;
    }

    action tell_time_exceeded() {
        type = ICMP_TIME_EXCEEDED;
    }

    action tell_time_exceeded_ipv6() {
        type = ICMPV6_TIME_EXCEEDED;
    }

    action tell_too_big() {
        type = ICMP_UNREACHABLE;
        code = ICMP_CODE_FRAGMENTATION_NEEDED;
        detail = (bit<32>)meta.mtu;
    }

    action tell_too_big_ipv6() {
        type = ICMPV6_TOO_BIG;
        code = 0;
    }

    action quote_tcp() {
        meta.quoted_transport = hdr.tcp.sport ++ hdr.tcp.dport ++ hdr.tcp.sequence;
    }

    action quote_udp() {
        meta.quoted_transport = hdr.udp.sport ++ hdr.udp.dport ++ hdr.udp.len ++ hdr.udp.checksum;
    }

    action quote_sctp() {
        meta.quoted_transport = hdr.sctp.sport ++ hdr.sctp.dport ++ hdr.sctp.verification_tag;
    }

    action quote_echo() {
        meta.quoted_transport = hdr.icmp.type ++ hdr.icmp.code ++ hdr.icmp.checksum ++ hdr.icmp_echo.identifier
            ++ hdr.icmp_echo.sequence;
    }

    action read_count() {
        tick = standard_metadata.ingress_global_timestamp[47:20];
        error_counts.read(held, (bit<32>)meta.ingress_port);
    }

    action begin_count() {
        held = tick ++ 36w0;
    }

    action write_count() {
        error_counts.write((bit<32>)meta.ingress_port, held + 1);
    }

    action turn_back() {
        meta.is_answered = 1;
        hdr.ethernet.dst_mac = hdr.ethernet.src_mac;
        hdr.ethernet.src_mac = meta.port_mac;
        hdr.answer_icmp.setValid();
        hdr.answer_icmp.type = type;
        hdr.answer_icmp.code = code;
        hdr.answer_icmp.checksum = 0;
        hdr.answer_error.setValid();
        hdr.answer_error.detail = detail;
    }

    action lead_by_ipv4() {
        hdr.answer_ipv4.setValid();
        hdr.answer_ipv4.version = 4;
        hdr.answer_ipv4.ihl = 5;
        hdr.answer_ipv4.traffic_class = 0xc0;
        hdr.answer_ipv4.total_len = ERROR_IPV4_LEN;
        hdr.answer_ipv4.identification = 0;
        hdr.answer_ipv4.flags = 0;
        hdr.answer_ipv4.fragment_offset = 0;
        hdr.answer_ipv4.ttl = ANSWER_TTL;
        hdr.answer_ipv4.protocol = PROTOCOL_ICMP;
        hdr.answer_ipv4.checksum = 0;
        hdr.answer_ipv4.src_addr = source[31:0];
        hdr.answer_ipv4.dst_addr = hdr.ipv4.src_addr;
        meta.answer_frame_len = ERROR_IPV4_FRAME_LEN;
    }

    action lead_by_ipv6() {
        hdr.answer_ipv6.setValid();
        hdr.answer_ipv6.version = 6;
        hdr.answer_ipv6.traffic_class = 0;
        hdr.answer_ipv6.flow_label = 0;
        hdr.answer_ipv6.payload_len = ERROR_ICMPV6_LEN;
        hdr.answer_ipv6.next_header = PROTOCOL_ICMPV6;
        hdr.answer_ipv6.hop_limit = ANSWER_TTL;
        hdr.answer_ipv6.src_addr = source;
        hdr.answer_ipv6.dst_addr = hdr.ipv6.src_addr;
        meta.answer_frame_len = ERROR_IPV6_FRAME_LEN;
    }

    action quote_fragment_header() {
        meta.quoted_fragment = hdr.ipv6_fragment.next_header ++ hdr.ipv6_fragment.reserved ++ hdr.ipv6_fragment.offset
            ++ hdr.ipv6_fragment.reserved_bits ++ hdr.ipv6_fragment.has_more ++ hdr.ipv6_fragment.identification;
        hdr.answer_ipv6.payload_len = ERROR_ICMPV6_LEN + FRAGMENT_HEADER_LEN;
        meta.answer_frame_len = ERROR_IPV6_FRAGMENT_FRAME_LEN;
    }

    apply {
        is_ipv6 = (bit<1>)hdr.ipv6.isValid();
        if (meta.is_refused == 1) {
            tell_unreachable();
            if (is_ipv6 == 1) {
                tell_unreachable_ipv6();
            }
        } else {
            error_source_table.apply();
            if (meta.drop_reason == drop_reason_t.TTL_EXCEEDED) {
                tell_time_exceeded();
                if (is_ipv6 == 1) {
                    tell_time_exceeded_ipv6();
                }
            } else {
                tell_too_big();
                if (is_ipv6 == 1) {
                    tell_too_big_ipv6();
                }
            }
        }

        if (hdr.tcp.isValid()) {
            quote_tcp();
        } else if (hdr.udp.isValid()) {
            quote_udp();
        } else if (hdr.sctp.isValid()) {
            quote_sctp();
        } else if (hdr.icmp_echo.isValid()) {
            quote_echo();
        } else {
            is_due = 0;
        }

        if (is_due == 1 && !hdr.ipv4_options.isValid()) {
            read_count();
            if (held[63:36] != tick) {
                begin_count();
            }
            if (held[35:0] < ERRORS_PER_PORT) {
                write_count();
                turn_back();
                if (is_ipv6 == 1) {
                    lead_by_ipv6();
                    if (hdr.ipv6_fragment.isValid()) {
                        quote_fragment_header();
                    }
                } else {
                    lead_by_ipv4();
                }
            }
        }
    }
}

#endif
