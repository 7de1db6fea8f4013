// Large tables, for measuring how fast a P4Runtime server writes and reads entries, and what memory they take.

#include <core.p4>
#include <v1model.p4>

header flow_t {
    bit<32> src;
    bit<32> dst;
    bit<8> protocol;
    bit<16> sport;
    bit<16> dport;
}

struct headers_t {
    flow_t flow;
}

struct metadata_t { }

parser flow_parser(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    state start {
        packet.extract(hdr.flow);
        transition accept;
    }
}

control no_checksum(inout headers_t hdr, inout metadata_t meta) {
    apply { }
}

control ingress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    action forward(bit<9> port, bit<48> mac) {
        standard.egress_spec = port;
        hdr.flow.src = mac[31:0];
    }

    action drop() {
        mark_to_drop(standard);
    }

    table exact_table {
        key = {
            hdr.flow.src: exact;
            hdr.flow.dst: exact;
        }
        actions = { forward; drop; }
        default_action = drop();
        size = 200000;
    }

    table lpm_table {
        key = { hdr.flow.dst: lpm; }
        actions = { forward; drop; }
        default_action = drop();
        size = 200000;
    }

    table flow_table {
        key = {
            hdr.flow.src: exact;
            hdr.flow.dst: exact;
            hdr.flow.protocol: exact;
            hdr.flow.sport: exact;
            hdr.flow.dport: exact;
        }
        actions = { forward; drop; }
        default_action = drop();
        size = 1000000;
    }

    apply {
        if (exact_table.apply().miss) {
            if (lpm_table.apply().miss) {
                flow_table.apply();
            }
        }
    }
}

control egress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    apply { }
}

control flow_deparser(packet_out packet, in headers_t hdr) {
    apply {
        packet.emit(hdr.flow);
    }
}

V1Switch(flow_parser(), no_checksum(), ingress(), egress(), no_checksum(), flow_deparser()) main;
