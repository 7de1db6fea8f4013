// What kind of port the packet came in on, and what the controller wants to see itself.

#ifndef KULVERT_PORTS_P4
#define KULVERT_PORTS_P4

control ports(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard_metadata) {
    action set_pod_port(mac_addr_t mac) {
        meta.port_kind = port_kind_t.POD;
        meta.port_mac = mac;
    }

    action set_node_port(mac_addr_t mac) {
        meta.port_kind = port_kind_t.NODE;
        meta.port_mac = mac;
    }

    action set_uplink_port(mac_addr_t mac) {
        meta.port_kind = port_kind_t.UPLINK;
        meta.port_mac = mac;
    }

    table port_table {
        key = {
            standard_metadata.ingress_port: exact @name("ingress_port");
        }
        actions = {
            set_pod_port;
            set_node_port;
            set_uplink_port;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        size = PORT_TABLE_SIZE;
    }

    // To the controller, and no further.
    action trap(bit<16> reason) {
        meta.trap_reason = reason;
        meta.is_trapped = 1;
        standard_metadata.egress_spec = CPU_PORT;
    }

    // To the controller as well: the copy is the packet as it came in.
    action copy_to_cpu(bit<16> reason) {
        meta.trap_reason = reason;
        clone_preserving_field_list(CloneType.I2E, CPU_COPY_SESSION, 1);
    }

    table trap_table {
        key = {
            standard_metadata.ingress_port: ternary @name("ingress_port");
            hdr.ethernet.ether_type:        ternary @name("ether_type");
            meta.flow.protocol:             ternary @name("protocol");
            meta.flow.l4_dport:             ternary @name("l4_dport");
        }
        actions = {
            trap;
            copy_to_cpu;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        size = TRAP_TABLE_SIZE;
    }

    apply {
        if (port_table.apply().hit) {
            trap_table.apply();
        } else {
            meta.drop_reason = drop_reason_t.UNKNOWN_PORT;
        }
    }
}

#endif
