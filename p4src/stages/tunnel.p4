// Tunnels between nodes: VXLAN (RFC 7348) and Geneve (RFC 8926), over IPv4 and IPv6.
//
// What comes in for this node's end of a tunnel, from a node that is known and with its VNI, loses everything around the frame inside and
// starts anew in the parser, as if the frame had come in by an uplink of its own. The second time around, what was outside is
// remembered in the fields of field list 2. What the pipeline answers to such a frame goes back through the tunnel.
//
// TTL and DSCP inside are the frame's own; outside, the TTL is new and the DSCP a copy. Congestion marks are handed on both ways
// (RFC 6040). The UDP checksum outside is 0, also over IPv6 (RFC 6935), and the source port comes from the flow's hash.

#ifndef KULVERT_TUNNEL_P4
#define KULVERT_TUNNEL_P4

const bit<8>  TUNNEL_TTL               = 64;
const bit<16> TUNNEL_UDP_OVERHEAD      = 30;    // of them, those within UDP and UDP itself
const bit<16> TUNNEL_FIRST_SOURCE_PORT = 49152;
const bit<16> TUNNEL_SOURCE_PORTS      = 16384;

// A frame for this node's end of a tunnel: whether it may, and what is to be remembered.
control leave_tunnel(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard_metadata) {
    bit<1> is_geneve = 0;
    bit<1> is_broken = 0;
    bit<24> vni = 0;

    // The frame inside is for this MAC.
    action end_tunnel(mac_addr_t mac) {
        meta.port_mac = mac;
        meta.arrival_local_mac = hdr.ethernet.dst_mac;
        meta.arrival_remote_mac = hdr.ethernet.src_mac;
        meta.arrival_local_addr = meta.flow.dst_addr;
        meta.arrival_remote_addr = meta.flow.src_addr;
    }

    table tunnel_end_table {
        key = {
            meta.flow.dst_addr: exact @name("dst_addr");
        }
        actions = {
            end_tunnel;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        size = TUNNEL_END_TABLE_SIZE;
    }

    action admit_tunnel() {
    }

    table tunnel_source_table {
        key = {
            meta.flow.src_addr: exact @name("src_addr");
            is_geneve:          exact @name("is_geneve");
            vni:                exact @name("vni");
        }
        actions = {
            admit_tunnel;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        size = TUNNEL_SOURCE_TABLE_SIZE;
    }

    action read_vxlan() {
        vni = hdr.vxlan.vni;
        is_broken = ~hdr.vxlan.flags[3:3];
    }

    // An option that is critical, or a control message, would have to be understood.
    action read_geneve() {
        is_geneve = 1;
        vni = hdr.geneve.vni;
        is_broken = hdr.geneve.is_control | hdr.geneve.is_critical | (bit<1>)(hdr.geneve.version != 0)
            | (bit<1>)(hdr.geneve.protocol != ETHER_TYPE_TRANSPARENT)
            | (bit<1>)(hdr.geneve.options_len != 0 && !hdr.geneve_options.isValid());
    }

    action read_ipv4_mark() {
        meta.arrival_mark = hdr.ipv4.traffic_class[1:0];
    }

    action read_ipv6_mark() {
        meta.arrival_mark = hdr.ipv6.traffic_class[1:0];
    }

    // No later stage looks at the headers of an ended packet. A compiler cannot know that: where it would warn, @noWarn says so.
    action strip() {
        meta.is_decapsulated = 1;
        meta.is_ended = 1;
        meta.arrival_is_geneve = is_geneve;
        meta.arrival_vni = vni;
        hdr.ethernet.setInvalid();
        hdr.ipv4.setInvalid();
        hdr.ipv4_options.setInvalid();
        hdr.ipv6.setInvalid();
        hdr.udp.setInvalid();
        hdr.vxlan.setInvalid();
        hdr.geneve.setInvalid();
        hdr.geneve_options.setInvalid();
        standard_metadata.egress_spec = meta.ingress_port;
    }

    apply {
        if (tunnel_end_table.apply().hit) {
            if (hdr.vxlan.isValid()) {
                read_vxlan();
            } else {
                read_geneve();
            }
            if (is_broken == 1 || meta.is_fragment == 1) {
                meta.drop_reason = drop_reason_t.MALFORMED;
            } else if (tunnel_source_table.apply().miss) {
                meta.drop_reason = drop_reason_t.UNKNOWN_TUNNEL;
            } else {
                if (hdr.ipv4.isValid()) {
                    read_ipv4_mark();
                } else {
                    read_ipv6_mark();
                }
                strip();
            }
        }
    }
}

// The second time around: the frame is as one from an uplink. Only IP comes through a tunnel, its neighbours are the nodes' business.
control arrive_by_tunnel(inout headers_t hdr, inout metadata_t meta) {
    bit<32> sum = 0;
    bit<2> mark = 0;

    action take_ipv4_mark() {
        mark = hdr.ipv4.traffic_class[1:0];
    }

    action take_ipv6_mark() {
        mark = hdr.ipv6.traffic_class[1:0];
    }

    action be_from_uplink() {
        meta.port_kind = port_kind_t.UPLINK;
    }

    // RFC 1624: only the mark in the header's first word changes.
    action mark_ipv4() {
        sum = (bit<32>)(~hdr.ipv4.checksum) + (bit<32>)(16w0xffff - (bit<16>)mark) + (bit<32>)meta.arrival_mark;
        hdr.ipv4.traffic_class[1:0] = meta.arrival_mark;
        hdr.ipv4.checksum = ~((bit<16>)(sum + (sum >> 16)));
    }

    action mark_ipv6() {
        hdr.ipv6.traffic_class[1:0] = meta.arrival_mark;
    }

    apply {
        be_from_uplink();
        if (hdr.ipv4.isValid()) {
            take_ipv4_mark();
        } else if (hdr.ipv6.isValid()) {
            take_ipv6_mark();
        }
        if (!hdr.ipv4.isValid() && !hdr.ipv6.isValid()) {
            meta.drop_reason = drop_reason_t.UNSUPPORTED_ETHER_TYPE;
        } else if (hdr.ipv6.isValid() && hdr.icmp.isValid() && hdr.icmp.type >= ICMPV6_ROUTER_SOLICITATION
                   && hdr.icmp.type <= ICMPV6_REDIRECT) {
            meta.drop_reason = drop_reason_t.NEIGHBOR_UNSUPPORTED;
        } else if (mark == 0 && meta.arrival_mark == 3) {
            meta.drop_reason = drop_reason_t.CONGESTED;     // it would have to be marked, and its sender does not understand that
        } else if (mark != 0 && mark != 3 && (meta.arrival_mark == 3 || meta.arrival_mark == 1)) {
            if (hdr.ipv4.isValid()) {
                mark_ipv4();
            } else {
                mark_ipv6();
            }
        }
    }
}

// What is to go to another node, or back to the one that it came from, is put into a packet between the nodes.
@noWarn("invalid-header")
control enter_tunnel(inout headers_t hdr, inout metadata_t meta) {
    bit<16> length = 0;
    bit<8> traffic_class = 0;
    bit<16> source_port = 0;

    // An answer goes back to where it came from.
    action turn_round() {
        meta.next_hop_src_mac = meta.arrival_local_mac;
        meta.next_hop_dst_mac = meta.arrival_remote_mac;
        meta.tunnel.local_addr = meta.arrival_local_addr;
        meta.tunnel.remote_addr = meta.arrival_remote_addr;
        meta.tunnel.vni = meta.arrival_vni;
        meta.tunnel.is_geneve = meta.arrival_is_geneve;
    }

    action lengthen_answer(in bit<16> overhead) {
        meta.answer_frame_len = meta.answer_frame_len + (bit<32>)overhead;
    }

    action address_frame() {
        hdr.ethernet.src_mac = meta.next_hop_src_mac;
        hdr.ethernet.dst_mac = meta.tunnel.frame_mac;
    }

    action measure_ipv4() {
        length = hdr.ipv4.total_len;
        traffic_class = hdr.ipv4.traffic_class;
    }

    action measure_ipv6() {
        length = hdr.ipv6.payload_len + IPV6_HEADER_LEN;
        traffic_class = hdr.ipv6.traffic_class;
    }

    action measure_answer_ipv4() {
        length = hdr.answer_ipv4.total_len;
        traffic_class = hdr.answer_ipv4.traffic_class;
    }

    action measure_answer_ipv6() {
        length = hdr.answer_ipv6.payload_len + IPV6_HEADER_LEN;
        traffic_class = hdr.answer_ipv6.traffic_class;
    }

    action lead_by_udp() {
        hash(source_port, HashAlgorithm.crc16, TUNNEL_FIRST_SOURCE_PORT,
             { meta.translated.src_addr, meta.translated.dst_addr, meta.translated.l4_sport, meta.translated.l4_dport,
               meta.translated.protocol }, TUNNEL_SOURCE_PORTS);
        hdr.tunnel_ethernet.setValid();
        hdr.tunnel_ethernet.dst_mac = meta.next_hop_dst_mac;
        hdr.tunnel_ethernet.src_mac = meta.next_hop_src_mac;
        hdr.tunnel_udp.setValid();
        hdr.tunnel_udp.sport = source_port;
        hdr.tunnel_udp.len = length + TUNNEL_UDP_OVERHEAD;
        hdr.tunnel_udp.checksum = 0;
    }

    action lead_by_ipv4() {
        hdr.tunnel_ethernet.ether_type = ETHER_TYPE_IPV4;
        hdr.tunnel_ipv4.setValid();
        hdr.tunnel_ipv4.version = 4;
        hdr.tunnel_ipv4.ihl = 5;
        hdr.tunnel_ipv4.traffic_class = traffic_class;
        hdr.tunnel_ipv4.total_len = length + TUNNEL_IPV4_OVERHEAD;
        hdr.tunnel_ipv4.identification = 0;
        hdr.tunnel_ipv4.flags = 2;
        hdr.tunnel_ipv4.fragment_offset = 0;
        hdr.tunnel_ipv4.ttl = TUNNEL_TTL;
        hdr.tunnel_ipv4.protocol = PROTOCOL_UDP;
        hdr.tunnel_ipv4.checksum = 0;
        hdr.tunnel_ipv4.src_addr = meta.tunnel.local_addr[31:0];
        hdr.tunnel_ipv4.dst_addr = meta.tunnel.remote_addr[31:0];
    }

    action lead_by_ipv6() {
        hdr.tunnel_ethernet.ether_type = ETHER_TYPE_IPV6;
        hdr.tunnel_ipv6.setValid();
        hdr.tunnel_ipv6.version = 6;
        hdr.tunnel_ipv6.traffic_class = traffic_class;
        hdr.tunnel_ipv6.flow_label = 0;
        hdr.tunnel_ipv6.payload_len = length + TUNNEL_UDP_OVERHEAD;
        hdr.tunnel_ipv6.next_header = PROTOCOL_UDP;
        hdr.tunnel_ipv6.hop_limit = TUNNEL_TTL;
        hdr.tunnel_ipv6.src_addr = meta.tunnel.local_addr;
        hdr.tunnel_ipv6.dst_addr = meta.tunnel.remote_addr;
    }

    action lead_by_vxlan() {
        hdr.tunnel_udp.dport = VXLAN_PORT;
        hdr.tunnel_vxlan.setValid();
        hdr.tunnel_vxlan.flags = VXLAN_HAS_VNI;
        hdr.tunnel_vxlan.reserved = 0;
        hdr.tunnel_vxlan.vni = meta.tunnel.vni;
        hdr.tunnel_vxlan.reserved_end = 0;
    }

    action lead_by_geneve() {
        hdr.tunnel_udp.dport = GENEVE_PORT;
        hdr.tunnel_geneve.setValid();
        hdr.tunnel_geneve.version = 0;
        hdr.tunnel_geneve.options_len = 0;
        hdr.tunnel_geneve.is_control = 0;
        hdr.tunnel_geneve.is_critical = 0;
        hdr.tunnel_geneve.reserved = 0;
        hdr.tunnel_geneve.protocol = ETHER_TYPE_TRANSPARENT;
        hdr.tunnel_geneve.vni = meta.tunnel.vni;
        hdr.tunnel_geneve.reserved_end = 0;
    }

    apply {
        if (meta.is_answered == 1) {
            turn_round();
        } else {
            address_frame();
        }
        if (hdr.answer_ipv4.isValid()) {
            measure_answer_ipv4();
        } else if (hdr.answer_ipv6.isValid()) {
            measure_answer_ipv6();
        } else if (hdr.ipv4.isValid()) {
            measure_ipv4();
        } else {
            measure_ipv6();
        }
        lead_by_udp();
        if (meta.tunnel.local_addr[127:32] == 0xffff) {
            lead_by_ipv4();
            lengthen_answer(TUNNEL_IPV4_OVERHEAD);
        } else {
            lead_by_ipv6();
            lengthen_answer(TUNNEL_IPV6_OVERHEAD);
        }
        if (meta.tunnel.is_geneve == 1) {
            lead_by_geneve();
        } else {
            lead_by_vxlan();
        }
    }
}

#endif
