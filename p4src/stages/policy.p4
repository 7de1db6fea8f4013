// NetworkPolicy for new connections, and for live ones when policies have changed: the source's egress, then the destination's ingress.
// The destination is the endpoint, after its translation; the source is the sender, before a masquerade would make the node of him. An
// answer is judged by the connection that it belongs to: its receiver is the source, and its sender the destination.
// An isolated pod has a policy_id other than 0, and what no entry allows is denied.

#ifndef KULVERT_POLICY_P4
#define KULVERT_POLICY_P4

const bit<24> IDENTITY_LOCAL_NODE = 1;

control policy(inout metadata_t meta) {
    ip_addr_t src_addr = 0;
    ip_addr_t dst_addr = 0;
    bit<16> dport = 0;
    bit<16> egress_policy_id = 0;
    bit<16> ingress_policy_id = 0;

    direct_counter(CounterType.packets_and_bytes) egress_policy_counter;
    direct_counter(CounterType.packets_and_bytes) ingress_policy_counter;

    action set_source_identity(bit<24> identity) {
        meta.source_identity = identity;
    }

    table source_identity_table {
        key = {
            src_addr: lpm @name("src_addr");
        }
        actions = {
            set_source_identity;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        size = SOURCE_IDENTITY_TABLE_SIZE;
    }

    action set_destination_identity(bit<24> identity) {
        meta.destination_identity = identity;
    }

    table destination_identity_table {
        key = {
            dst_addr: lpm @name("dst_addr");
        }
        actions = {
            set_destination_identity;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        size = DESTINATION_IDENTITY_TABLE_SIZE;
    }

    action allow_egress() {
    }

    action deny_egress() {
        meta.drop_reason = drop_reason_t.EGRESS_POLICY;
    }

    table egress_policy_table {
        key = {
            egress_policy_id:          exact @name("policy_id");
            meta.destination_identity: ternary @name("identity");
            meta.flow.protocol:        ternary @name("protocol");
            dport:                     range @name("l4_dport");
        }
        actions = {
            allow_egress;
            deny_egress;
        }
        const default_action = deny_egress();
        counters = egress_policy_counter;
        size = EGRESS_POLICY_TABLE_SIZE;
    }

    action allow_ingress() {
    }

    action deny_ingress() {
        meta.drop_reason = drop_reason_t.INGRESS_POLICY;
    }

    table ingress_policy_table {
        key = {
            ingress_policy_id:    exact @name("policy_id");
            meta.source_identity: ternary @name("identity");
            meta.flow.protocol:   ternary @name("protocol");
            dport:                range @name("l4_dport");
        }
        actions = {
            allow_ingress;
            deny_ingress;
        }
        const default_action = deny_ingress();
        counters = ingress_policy_counter;
        size = INGRESS_POLICY_TABLE_SIZE;
    }

    action look_at_request() {
        src_addr = meta.flow.src_addr;
        dst_addr = meta.translated.dst_addr;
        dport = meta.translated.l4_dport;
        egress_policy_id = meta.source_egress_policy_id;
        ingress_policy_id = meta.destination_ingress_policy_id;
    }

    action look_at_answer() {
        src_addr = meta.translated.dst_addr;
        dst_addr = meta.flow.src_addr;
        dport = meta.flow.l4_sport;
        egress_policy_id = meta.destination_egress_policy_id;
        ingress_policy_id = meta.source_ingress_policy_id;
    }

    apply {
        if (meta.connection.is_reply == 0) {
            look_at_request();
        } else {
            look_at_answer();
        }
        source_identity_table.apply();
        destination_identity_table.apply();

        if (meta.port_kind == port_kind_t.UPLINK && meta.source_identity == IDENTITY_LOCAL_NODE
            && meta.connection.is_reply == 0) {
            meta.drop_reason = drop_reason_t.SPOOFED_ADDRESS;   // the node itself does not come in over the wire
        } else if (src_addr != dst_addr) {                      // a pod and itself, through a Service
            if (egress_policy_id != 0 && meta.destination_identity != IDENTITY_LOCAL_NODE) {
                egress_policy_table.apply();
            }
            if (meta.drop_reason == drop_reason_t.NONE && ingress_policy_id != 0
                && meta.source_identity != IDENTITY_LOCAL_NODE) {
                ingress_policy_table.apply();
            }
        }
    }
}

#endif
