// What may not enter the pipeline at all: broken packets, addresses out of place, spoofed sources.

#ifndef KULVERT_ADMISSION_P4
#define KULVERT_ADMISSION_P4

// Packets that are broken, or not for a router to forward.
control check_packet(in headers_t hdr, inout metadata_t meta, in standard_metadata_t standard_metadata) {
    apply {
        if (standard_metadata.parser_error != error.NoError) {
            meta.drop_reason = drop_reason_t.MALFORMED;
        } else if (hdr.ipv4.isValid()) {
            if (standard_metadata.checksum_error == 1) {
                meta.drop_reason = drop_reason_t.BAD_IPV4_CHECKSUM;
            } else if (hdr.ipv4.dst_addr[31:28] == 0xe || hdr.ipv4.dst_addr == 0xffffffff) {
                meta.drop_reason = drop_reason_t.MULTICAST;
            } else if (hdr.ipv4.src_addr[31:29] == 7 || hdr.ipv4.src_addr[31:24] == 0 || hdr.ipv4.src_addr[31:24] == 127
                       || hdr.ipv4.dst_addr[31:28] == 0xf || hdr.ipv4.dst_addr[31:24] == 0
                       || hdr.ipv4.dst_addr[31:24] == 127 || hdr.ipv4.src_addr == hdr.ipv4.dst_addr) {
                meta.drop_reason = drop_reason_t.MARTIAN;
            }
        } else if (hdr.ipv6.isValid()) {
            if (hdr.ipv6.dst_addr[127:120] == 0xff) {
                meta.drop_reason = drop_reason_t.MULTICAST;
            } else if (hdr.ipv6.src_addr[127:120] == 0xff || hdr.ipv6.src_addr == hdr.ipv6.dst_addr
                       || hdr.ipv6.src_addr[127:32] == 0xffff || hdr.ipv6.dst_addr[127:32] == 0xffff
                       || hdr.ipv6.src_addr[127:1] == 0 || hdr.ipv6.dst_addr[127:1] == 0) {
                // Multicast source, itself, IPv4-mapped, unspecified or loopback.
                meta.drop_reason = drop_reason_t.MARTIAN;
            } else if (meta.flow.protocol == PROTOCOL_HOP_BY_HOP || meta.flow.protocol == PROTOCOL_ROUTING
                       || meta.flow.protocol == PROTOCOL_DESTINATION_OPTIONS || meta.flow.protocol == PROTOCOL_FRAGMENT) {
                meta.drop_reason = drop_reason_t.EXTENSION_HEADER;
            }
        } else {
            meta.drop_reason = drop_reason_t.UNSUPPORTED_ETHER_TYPE;
        }

        if (meta.drop_reason == drop_reason_t.NONE && hdr.ethernet.dst_mac != meta.port_mac) {
            meta.drop_reason = drop_reason_t.FOREIGN_MAC;
        }
    }
}

// Each port sends only what belongs there: a pod its own addresses with its own MAC, an uplink no local pod's address.
control check_source(in headers_t hdr, inout metadata_t meta, in standard_metadata_t standard_metadata) {
    mac_addr_t pod_mac = 0;

    action admit_source_pod(mac_addr_t mac, bit<16> policy_id,
                            @refers_to(ingress_policy_table, policy_id) bit<16> ingress_policy_id) {
        pod_mac = mac;
        meta.source_egress_policy_id = policy_id;
        meta.source_ingress_policy_id = ingress_policy_id;
    }

    table source_pod_table {
        key = {
            standard_metadata.ingress_port: exact @name("ingress_port");
            meta.flow.src_addr:             exact @name("src_addr");
        }
        actions = {
            admit_source_pod;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        size = SOURCE_POD_TABLE_SIZE;
    }

    action refuse_source() {
        meta.drop_reason = drop_reason_t.SPOOFED_ADDRESS;
    }

    table uplink_source_table {
        key = {
            meta.flow.src_addr: exact @name("src_addr");
        }
        actions = {
            refuse_source;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        size = UPLINK_SOURCE_TABLE_SIZE;
    }

    apply {
        if (meta.port_kind == port_kind_t.POD) {
            if (source_pod_table.apply().miss) {
                meta.drop_reason = drop_reason_t.SPOOFED_ADDRESS;
            } else if (hdr.ethernet.src_mac != pod_mac) {
                meta.drop_reason = drop_reason_t.SPOOFED_MAC;
            }
        } else if (meta.port_kind == port_kind_t.UPLINK) {
            uplink_source_table.apply();
        }
    }
}

// After the source has been checked: it is told.
control check_ttl(in headers_t hdr, inout metadata_t meta) {
    apply {
        if (hdr.ipv4.isValid()) {
            if (hdr.ipv4.ttl <= 1) {
                meta.drop_reason = drop_reason_t.TTL_EXCEEDED;
            }
        } else if (hdr.ipv6.hop_limit <= 1) {
            meta.drop_reason = drop_reason_t.TTL_EXCEEDED;
        }
    }
}

#endif
