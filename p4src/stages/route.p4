// Where the packet goes: a pod on this node, or what the route table says: by a next hop, by one of several that a flow keeps to,
// or through a tunnel to another node, which has next hops of its own.

#ifndef KULVERT_ROUTE_P4
#define KULVERT_ROUTE_P4

const bit<16> IPV6_HEADER_LEN = 40;
const bit<16> MINIMUM_MTU     = 1280;

const bit<16> TUNNEL_IPV4_OVERHEAD = 50;    // IPv4, UDP, VXLAN or Geneve, Ethernet
const bit<16> TUNNEL_IPV6_OVERHEAD = 70;

// Before policy, because the destination's policy comes with its place.
control find_next_hop(inout metadata_t meta) {
    action_selector(HashAlgorithm.crc32, NEXT_HOP_SELECTOR_SIZE, SELECTOR_HASH_WIDTH) next_hop_selector;
    bit<16> next_hops = 0;

    action set_destination_pod(port_id_t port, mac_addr_t src_mac, mac_addr_t dst_mac, bit<16> policy_id,
                               @refers_to(egress_policy_table, policy_id) bit<16> egress_policy_id) {
        meta.is_to_pod = 1;
        meta.egress_port = port;
        meta.next_hop_src_mac = src_mac;
        meta.next_hop_dst_mac = dst_mac;
        meta.destination_ingress_policy_id = policy_id;
        meta.destination_egress_policy_id = egress_policy_id;
    }

    table destination_pod_table {
        key = {
            meta.translated.dst_addr: exact @name("dst_addr");
        }
        actions = {
            set_destination_pod;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        size = DESTINATION_POD_TABLE_SIZE;
    }

    action forward(port_id_t port, mac_addr_t src_mac, mac_addr_t dst_mac) {
        meta.egress_port = port;
        meta.next_hop_src_mac = src_mac;
        meta.next_hop_dst_mac = dst_mac;
    }

    action use_next_hops(bit<16> next_hops_id) {
        next_hops = next_hops_id;
    }

    action use_tunnel(ip_addr_t remote_addr) {
        meta.tunnel.remote_addr = remote_addr;
    }

    table route_table {
        key = {
            meta.translated.dst_addr: lpm @name("dst_addr");
        }
        actions = {
            forward;
            use_next_hops;
            use_tunnel;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        size = ROUTE_TABLE_SIZE;
    }

    action set_vxlan(ip_addr_t local_addr, bit<24> vni, mac_addr_t mac, bit<16> next_hops_id) {
        meta.tunnel.local_addr = local_addr;
        meta.tunnel.vni = vni;
        meta.tunnel.frame_mac = mac;
        next_hops = next_hops_id;
    }

    action set_geneve(ip_addr_t local_addr, bit<24> vni, mac_addr_t mac, bit<16> next_hops_id) {
        meta.tunnel.is_geneve = 1;
        meta.tunnel.local_addr = local_addr;
        meta.tunnel.vni = vni;
        meta.tunnel.frame_mac = mac;
        next_hops = next_hops_id;
    }

    table tunnel_table {
        key = {
            meta.tunnel.remote_addr: exact @name("remote_addr");
        }
        actions = {
            set_vxlan;
            set_geneve;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        size = TUNNEL_TABLE_SIZE;
    }

    action add_ipv4_overhead() {
        meta.tunnel.overhead = TUNNEL_IPV4_OVERHEAD;
    }

    action add_ipv6_overhead() {
        meta.tunnel.overhead = TUNNEL_IPV6_OVERHEAD;
    }

    action set_next_hop(port_id_t port, mac_addr_t src_mac, mac_addr_t dst_mac) {
        meta.egress_port = port;
        meta.next_hop_src_mac = src_mac;
        meta.next_hop_dst_mac = dst_mac;
    }

    table next_hop_table {
        key = {
            next_hops:                exact @name("next_hops_id");
            meta.translated.src_addr: selector;
            meta.translated.dst_addr: selector;
            meta.translated.l4_sport: selector;
            meta.translated.l4_dport: selector;
            meta.translated.protocol: selector;
        }
        actions = {
            set_next_hop;
            @defaultonly NoAction;
        }
        implementation = next_hop_selector;
        size = NEXT_HOP_TABLE_SIZE;
    }

    apply {
        if (destination_pod_table.apply().miss) {
            if (route_table.apply().miss) {
                meta.drop_reason = drop_reason_t.NO_ROUTE;
            } else {
                if (meta.tunnel.remote_addr != 0) {
                    if (tunnel_table.apply().miss) {
                        meta.drop_reason = drop_reason_t.NO_ROUTE;
                    } else if (meta.tunnel.local_addr[127:32] == 0xffff) {
                        add_ipv4_overhead();
                    } else {
                        add_ipv6_overhead();
                    }
                }
                if (next_hops != 0) {
                    if (next_hop_table.apply().miss) {
                        meta.drop_reason = drop_reason_t.NO_ROUTE;
                    }
                }
            }
        }
    }
}

// What does not fit through the port is dropped, and the sender told what would. The pipeline cuts nothing to pieces, so that this goes
// for IPv4 without DF too. A tunnel takes its own part of the port's MTU. No link is narrower than IPv6 allows (RFC 8200, section 5), and
// most packets are smaller than that. After policy, so that who may not send there is told nothing, and before a connection is opened.
control check_length(in headers_t hdr, inout metadata_t meta) {
    bit<16> length = 0;

    action set_mtu(bit<16> mtu) {
        meta.mtu = mtu - meta.tunnel.overhead;
    }

    table mtu_table {
        key = {
            meta.egress_port: exact @name("egress_port");
        }
        actions = {
            set_mtu;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        size = MTU_TABLE_SIZE;
    }

    action measure_ipv4() {
        length = hdr.ipv4.total_len;
    }

    action measure_ipv6() {
        length = hdr.ipv6.payload_len |+| IPV6_HEADER_LEN;
    }

    apply {
        if (hdr.ipv4.isValid()) {
            measure_ipv4();
        } else if (hdr.ipv6.isValid()) {
            measure_ipv6();
        }
        if (length > MINIMUM_MTU - meta.tunnel.overhead) {
            if (mtu_table.apply().hit) {
                if (length > meta.mtu) {
                    meta.drop_reason = drop_reason_t.TOO_BIG;
                }
            }
        }
    }
}

// What a router does to a packet that it forwards.
@noWarn("invalid-header")
control forward_packet(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard_metadata) {
    bit<32> sum = 0;

    action rewrite_ethernet() {
        hdr.ethernet.src_mac = meta.next_hop_src_mac;
        hdr.ethernet.dst_mac = meta.next_hop_dst_mac;
        standard_metadata.egress_spec = meta.egress_port;
    }

    // RFC 1624: the word of TTL and protocol loses 0x0100, so its complement is what comes on top.
    action count_down_ttl() {
        hdr.ipv4.ttl = hdr.ipv4.ttl - 1;
        sum = (bit<32>)(~hdr.ipv4.checksum) + 0xfeff;
        hdr.ipv4.checksum = ~((bit<16>)(sum + (sum >> 16)));
    }

    action count_down_hop_limit() {
        hdr.ipv6.hop_limit = hdr.ipv6.hop_limit - 1;
    }

    apply {
        rewrite_ethernet();
        if (hdr.ipv4.isValid()) {
            count_down_ttl();
        } else {
            count_down_hop_limit();
        }
    }
}

#endif
