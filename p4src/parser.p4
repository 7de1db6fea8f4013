// Bytes to headers, and the five-tuple with them. A parser error does not stop a packet in v1model: admission drops it.

#ifndef KULVERT_PARSER_P4
#define KULVERT_PARSER_P4

error {
    Ipv4VersionOrLength,
    Ipv6Version
}

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
            PROTOCOL_TCP:    parse_tcp;
            PROTOCOL_UDP:    parse_udp;
            PROTOCOL_SCTP:   parse_sctp;
            PROTOCOL_ICMPV6: parse_icmpv6;
            default:         accept;
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
            ICMP_ECHO_REQUEST: parse_echo_request;
            ICMP_ECHO_REPLY:   parse_echo_reply;
            default:           parse_icmp_other;
        }
    }

    state parse_icmpv6 {
        packet.extract(hdr.icmp);
        transition select(hdr.icmp.type) {
            ICMPV6_ECHO_REQUEST:          parse_echo_request;
            ICMPV6_ECHO_REPLY:            parse_echo_reply;
            ICMPV6_NEIGHBOR_SOLICITATION: parse_neighbor_solicitation;
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

    state parse_neighbor_solicitation {
        packet.extract(hdr.nd_neighbor);
        meta.neighbor_target = hdr.nd_neighbor.target_addr;
        transition accept;
    }
}

#endif
