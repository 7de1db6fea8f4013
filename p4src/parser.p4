// Bytes to headers, and the five-tuple with them. A parser error does not stop a packet in v1model: admission drops it.

#ifndef KULVERT_PARSER_P4
#define KULVERT_PARSER_P4

error {
    Ipv4VersionOrLength,
    Ipv6Version
}

// An ICMP error of this length quotes TCP as far as its checksum: total length over IPv4, payload length over IPv6.
const bit<16> QUOTED_TCP_CHECKSUM_IPV4_LEN = 66;
const bit<16> QUOTED_TCP_CHECKSUM_IPV6_LEN = 66;

const bit<16> GENEVE_LEN = 16;      // UDP's header, and Geneve's without options

parser node_parser(packet_in packet, out headers_t hdr, inout metadata_t meta,
                   inout standard_metadata_t standard_metadata) {
    state start {
        transition select(standard_metadata.ingress_port) {
            CPU_PORT: parse_packet_out;
            default:  parse_ethernet;
        }
    }

    state parse_packet_out {
        packet.extract(hdr.packet_out);
        transition accept;
    }

    state parse_ethernet {
        packet.extract(hdr.ethernet);
        transition select(hdr.ethernet.ether_type) {
            ETHER_TYPE_IPV4: parse_ipv4;
            ETHER_TYPE_IPV6: parse_ipv6;
            ETHER_TYPE_ARP:  parse_arp;
            default:         accept;
        }
    }

    state parse_arp {
        packet.extract(hdr.arp);
        meta.neighbor_target = 80w0 ++ 16w0xffff ++ hdr.arp.target_addr;
        transition accept;
    }

    state parse_ipv4 {
        packet.extract(hdr.ipv4);
        verify(hdr.ipv4.version == 4 && hdr.ipv4.ihl >= 5, error.Ipv4VersionOrLength);
        meta.flow.src_addr = 80w0 ++ 16w0xffff ++ hdr.ipv4.src_addr;
        meta.flow.dst_addr = 80w0 ++ 16w0xffff ++ hdr.ipv4.dst_addr;
        meta.flow.protocol = hdr.ipv4.protocol;
        meta.is_tracked = 1;
        meta.is_fragment = hdr.ipv4.flags[0:0] | (bit<1>)(hdr.ipv4.fragment_offset != 0);
        transition select(hdr.ipv4.ihl) {
            5:       parse_ipv4_payload;
            default: parse_ipv4_options;
        }
    }

    state parse_ipv4_options {
        packet.extract(hdr.ipv4_options, ((bit<32>)hdr.ipv4.ihl - 5) << 5);
        transition parse_ipv4_payload;
    }

    // Only a first fragment begins with a transport header.
    state parse_ipv4_payload {
        transition select(hdr.ipv4.fragment_offset, hdr.ipv4.protocol) {
            (0, PROTOCOL_TCP):  parse_tcp;
            (0, PROTOCOL_UDP):  parse_udp;
            (0, PROTOCOL_SCTP): parse_sctp;
            (0, PROTOCOL_ICMP): parse_icmp;
            default:            accept;
        }
    }

    state parse_ipv6 {
        packet.extract(hdr.ipv6);
        verify(hdr.ipv6.version == 6, error.Ipv6Version);
        meta.flow.src_addr = hdr.ipv6.src_addr;
        meta.flow.dst_addr = hdr.ipv6.dst_addr;
        meta.flow.protocol = hdr.ipv6.next_header;
        meta.is_tracked = 1;
        transition select(hdr.ipv6.next_header) {
            PROTOCOL_TCP:      parse_tcp;
            PROTOCOL_UDP:      parse_udp;
            PROTOCOL_SCTP:     parse_sctp;
            PROTOCOL_ICMPV6:   parse_icmpv6;
            PROTOCOL_FRAGMENT: parse_ipv6_fragment;
            default:           accept;
        }
    }

    state parse_ipv6_fragment {
        packet.extract(hdr.ipv6_fragment);
        meta.flow.protocol = hdr.ipv6_fragment.next_header;
        meta.is_fragment = 1;
        transition select(hdr.ipv6_fragment.offset, hdr.ipv6_fragment.next_header) {
            (0, PROTOCOL_TCP):    parse_tcp;
            (0, PROTOCOL_UDP):    parse_udp;
            (0, PROTOCOL_SCTP):   parse_sctp;
            (0, PROTOCOL_ICMPV6): parse_icmpv6;
            default:              accept;
        }
    }

    state parse_tcp {
        packet.extract(hdr.tcp);
        meta.flow.l4_sport = hdr.tcp.sport;
        meta.flow.l4_dport = hdr.tcp.dport;
        transition accept;
    }

    state parse_udp {
        packet.extract(hdr.udp);
        meta.flow.l4_sport = hdr.udp.sport;
        meta.flow.l4_dport = hdr.udp.dport;
        transition select(hdr.udp.dport, hdr.udp.len) {
            (VXLAN_PORT, 0 &&& 0xfff0):  accept;        // too short for a header of eight bytes
            (GENEVE_PORT, 0 &&& 0xfff0): accept;
            (VXLAN_PORT, _):             parse_vxlan;
            (GENEVE_PORT, _):            parse_geneve;
            default:                     accept;
        }
    }

    state parse_vxlan {
        packet.extract(hdr.vxlan);
        transition accept;
    }

    // Options that go beyond the datagram stay where they are: this may be no tunnel at all.
    state parse_geneve {
        packet.extract(hdr.geneve);
        transition select(hdr.geneve.options_len, GENEVE_LEN + ((bit<16>)hdr.geneve.options_len << 2) <= hdr.udp.len) {
            (0, _):    accept;
            (_, true): parse_geneve_options;
            default:   accept;
        }
    }

    state parse_geneve_options {
        packet.extract(hdr.geneve_options, (bit<32>)hdr.geneve.options_len << 5);
        transition accept;
    }

    state parse_sctp {
        packet.extract(hdr.sctp);
        packet.extract(hdr.sctp_chunk);
        meta.flow.l4_sport = hdr.sctp.sport;
        meta.flow.l4_dport = hdr.sctp.dport;
        transition accept;
    }

    state parse_icmp {
        packet.extract(hdr.icmp);
        transition select(hdr.icmp.type) {
            ICMP_ECHO_REQUEST:      parse_echo_request;
            ICMP_ECHO_REPLY:        parse_echo_reply;
            ICMP_UNREACHABLE:       parse_icmp_error;
            ICMP_TIME_EXCEEDED:     parse_icmp_error;
            ICMP_PARAMETER_PROBLEM: parse_icmp_error;
            default:                parse_icmp_other;
        }
    }

    state parse_icmpv6 {
        packet.extract(hdr.icmp);
        transition select(hdr.icmp.type) {
            ICMPV6_ECHO_REQUEST:          parse_echo_request;
            ICMPV6_ECHO_REPLY:            parse_echo_reply;
            ICMPV6_NEIGHBOR_SOLICITATION: parse_neighbor_solicitation;
            ICMPV6_UNREACHABLE:           parse_icmpv6_error;
            ICMPV6_TOO_BIG:               parse_icmpv6_error;
            ICMPV6_TIME_EXCEEDED:         parse_icmpv6_error;
            ICMPV6_PARAMETER_PROBLEM:     parse_icmpv6_error;
            default:                      parse_icmp_other;
        }
    }

    state parse_echo_request {
        packet.extract(hdr.icmp_echo);
        meta.flow.l4_sport = hdr.icmp_echo.identifier;
        transition accept;
    }

    state parse_echo_reply {
        packet.extract(hdr.icmp_echo);
        meta.flow.l4_dport = hdr.icmp_echo.identifier;
        transition accept;
    }

    state parse_icmp_other {
        meta.is_tracked = 0;
        transition accept;
    }

    // The packet that an error is about is turned round: the error travels with the answers to it.
    state parse_icmp_error {
        packet.extract(hdr.icmp_error);
        packet.extract(hdr.quoted_ipv4);
        verify(hdr.quoted_ipv4.version == 4 && hdr.quoted_ipv4.ihl >= 5, error.Ipv4VersionOrLength);
        meta.is_tracked = 0;
        meta.is_error = 1;
        meta.is_passive = 1;
        meta.related.src_addr = 80w0 ++ 16w0xffff ++ hdr.quoted_ipv4.dst_addr;
        meta.related.dst_addr = 80w0 ++ 16w0xffff ++ hdr.quoted_ipv4.src_addr;
        meta.related.protocol = hdr.quoted_ipv4.protocol;
        meta.quotes_tcp_checksum = (bit<1>)(hdr.ipv4.total_len >= QUOTED_TCP_CHECKSUM_IPV4_LEN);
        transition select(hdr.quoted_ipv4.ihl) {
            5:       parse_quoted_ipv4_payload;
            default: parse_quoted_ipv4_options;
        }
    }

    state parse_quoted_ipv4_options {
        packet.extract(hdr.quoted_ipv4_options, ((bit<32>)hdr.quoted_ipv4.ihl - 5) << 5);
        meta.quotes_tcp_checksum = 0;
        transition parse_quoted_ipv4_payload;
    }

    state parse_quoted_ipv4_payload {
        transition select(hdr.quoted_ipv4.fragment_offset, hdr.quoted_ipv4.protocol) {
            (0, PROTOCOL_TCP):  parse_quoted_tcp;
            (0, PROTOCOL_UDP):  parse_quoted_udp;
            (0, PROTOCOL_SCTP): parse_quoted_transport;
            (0, PROTOCOL_ICMP): parse_quoted_icmp;
            default:            accept;
        }
    }

    state parse_icmpv6_error {
        packet.extract(hdr.icmp_error);
        packet.extract(hdr.quoted_ipv6);
        verify(hdr.quoted_ipv6.version == 6, error.Ipv6Version);
        meta.is_tracked = 0;
        meta.is_error = 1;
        meta.is_passive = 1;
        meta.related.src_addr = hdr.quoted_ipv6.dst_addr;
        meta.related.dst_addr = hdr.quoted_ipv6.src_addr;
        meta.related.protocol = hdr.quoted_ipv6.next_header;
        meta.quotes_tcp_checksum = (bit<1>)(hdr.ipv6.payload_len >= QUOTED_TCP_CHECKSUM_IPV6_LEN);
        transition select(hdr.quoted_ipv6.next_header) {
            PROTOCOL_TCP:      parse_quoted_tcp;
            PROTOCOL_UDP:      parse_quoted_udp;
            PROTOCOL_SCTP:     parse_quoted_transport;
            PROTOCOL_ICMPV6:   parse_quoted_icmp;
            PROTOCOL_FRAGMENT: parse_quoted_ipv6_fragment;
            default:           accept;
        }
    }

    state parse_quoted_ipv6_fragment {
        packet.extract(hdr.quoted_ipv6_fragment);
        meta.related.protocol = hdr.quoted_ipv6_fragment.next_header;
        meta.quotes_tcp_checksum = 0;
        transition select(hdr.quoted_ipv6_fragment.offset, hdr.quoted_ipv6_fragment.next_header) {
            (0, PROTOCOL_TCP):    parse_quoted_transport;
            (0, PROTOCOL_UDP):    parse_quoted_udp;
            (0, PROTOCOL_SCTP):   parse_quoted_transport;
            (0, PROTOCOL_ICMPV6): parse_quoted_icmp;
            default:              accept;
        }
    }

    state parse_quoted_tcp {
        transition select(meta.quotes_tcp_checksum) {
            1:       parse_quoted_whole_tcp;
            default: parse_quoted_transport;
        }
    }

    state parse_quoted_transport {
        packet.extract(hdr.quoted_transport);
        meta.related.l4_sport = hdr.quoted_transport.dport;
        meta.related.l4_dport = hdr.quoted_transport.sport;
        transition accept;
    }

    state parse_quoted_whole_tcp {
        packet.extract(hdr.quoted_transport);
        packet.extract(hdr.quoted_tcp_rest);
        meta.related.l4_sport = hdr.quoted_transport.dport;
        meta.related.l4_dport = hdr.quoted_transport.sport;
        transition accept;
    }

    state parse_quoted_udp {
        packet.extract(hdr.quoted_udp);
        meta.related.l4_sport = hdr.quoted_udp.dport;
        meta.related.l4_dport = hdr.quoted_udp.sport;
        transition accept;
    }

    state parse_quoted_icmp {
        packet.extract(hdr.quoted_icmp);
        packet.extract(hdr.quoted_icmp_echo);
        transition select(hdr.quoted_icmp.type) {
            ICMP_ECHO_REQUEST:   parse_quoted_echo_request;
            ICMPV6_ECHO_REQUEST: parse_quoted_echo_request;
            ICMP_ECHO_REPLY:     parse_quoted_echo_reply;
            ICMPV6_ECHO_REPLY:   parse_quoted_echo_reply;
            default:             accept;
        }
    }

    state parse_quoted_echo_request {
        meta.related.l4_dport = hdr.quoted_icmp_echo.identifier;
        transition accept;
    }

    state parse_quoted_echo_reply {
        meta.related.l4_sport = hdr.quoted_icmp_echo.identifier;
        transition accept;
    }

    state parse_neighbor_solicitation {
        packet.extract(hdr.nd_neighbor);
        meta.neighbor_target = hdr.nd_neighbor.target_addr;
        transition accept;
    }
}

#endif
