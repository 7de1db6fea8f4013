// The virtual gateway: ARP requests and neighbour solicitations are answered here and never forwarded.

#ifndef KULVERT_NEIGHBOR_P4
#define KULVERT_NEIGHBOR_P4

const bit<32> ND_ROUTER_SOLICITED_OVERRIDE = 0xe0000000;
const bit<32> ND_ROUTER_OVERRIDE           = 0xa0000000;

const bit<8> ND_OPTION_TARGET_LINK_LAYER = 2;

const ip_addr_t  ALL_NODES_ADDR = 0xff020000000000000000000000000001;
const mac_addr_t ALL_NODES_MAC  = 0x333300000001;

// The advertisement is always this long, whatever options the solicitation had behind it.
const bit<16> ND_ADVERTISEMENT_LEN       = 32;
const bit<32> ND_ADVERTISEMENT_FRAME_LEN = 86;

control neighbor(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard_metadata) {
    mac_addr_t neighbor_mac = 0;

    action answer_neighbor(mac_addr_t mac) {
        neighbor_mac = mac;
    }

    table neighbor_table {
        key = {
            meta.neighbor_target: exact @name("target_addr");
        }
        actions = {
            answer_neighbor;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        size = NEIGHBOR_TABLE_SIZE;
    }

    action answer_arp() {
        hdr.ethernet.dst_mac = hdr.arp.sender_mac;
        hdr.ethernet.src_mac = neighbor_mac;
        hdr.arp.operation = ARP_REPLY;
        hdr.arp.target_mac = hdr.arp.sender_mac;
        hdr.arp.target_addr = hdr.arp.sender_addr;
        hdr.arp.sender_mac = neighbor_mac;
        hdr.arp.sender_addr = meta.neighbor_target[31:0];
    }

    action answer_solicitation() {
        hdr.ethernet.dst_mac = hdr.ethernet.src_mac;
        hdr.ethernet.src_mac = neighbor_mac;
        hdr.ipv6.dst_addr = hdr.ipv6.src_addr;
        hdr.ipv6.src_addr = meta.neighbor_target;
        hdr.ipv6.payload_len = ND_ADVERTISEMENT_LEN;
        hdr.icmp.type = ICMPV6_NEIGHBOR_ADVERTISEMENT;
        hdr.nd_neighbor.flags = ND_ROUTER_SOLICITED_OVERRIDE;
        hdr.nd_link_layer_option.setValid();
        hdr.nd_link_layer_option.type = ND_OPTION_TARGET_LINK_LAYER;
        hdr.nd_link_layer_option.length = 1;
        hdr.nd_link_layer_option.mac = neighbor_mac;
        truncate(ND_ADVERTISEMENT_FRAME_LEN);
    }

    // RFC 4861, section 7.2.4: a sender that has no address yet (duplicate address detection) is answered at all nodes.
    action answer_all_nodes() {
        hdr.ethernet.dst_mac = ALL_NODES_MAC;
        hdr.ipv6.dst_addr = ALL_NODES_ADDR;
        hdr.nd_neighbor.flags = ND_ROUTER_OVERRIDE;
    }

    apply {
        if (hdr.arp.isValid()) {
            if (hdr.arp.operation != ARP_REQUEST || hdr.arp.hardware_type != ARP_HARDWARE_ETHERNET
                || hdr.arp.protocol_type != ETHER_TYPE_IPV4) {
                meta.drop_reason = drop_reason_t.NEIGHBOR_UNSUPPORTED;
            }
        } else if (!hdr.nd_neighbor.isValid()) {
            meta.drop_reason = drop_reason_t.NEIGHBOR_UNSUPPORTED;
        } else if (hdr.ipv6.hop_limit != 255 || hdr.icmp.code != 0 || meta.is_fragment == 1) {
            // It was routed, is none at all (RFC 4861, section 7.1.1), or in pieces, which it must not be (RFC 6980).
            meta.drop_reason = drop_reason_t.MALFORMED;
        }

        if (meta.drop_reason == drop_reason_t.NONE) {
            if (neighbor_table.apply().miss) {
                meta.drop_reason = drop_reason_t.NEIGHBOR_UNKNOWN;
            } else {
                meta.is_answered = 1;
                if (hdr.arp.isValid()) {
                    answer_arp();
                } else {
                    answer_solicitation();
                    if (hdr.ipv6.dst_addr == 0) {
                        answer_all_nodes();
                    }
                }
            }
        }
    }
}

#endif
