// One object of each kind that simple_switch_CLI has commands for.
#include <core.p4>
#include <v1model.p4>

header probe_t {
    bit<32> address;
    bit<16> number;
    bit<8>  kind;
    bit<8>  index;
    bit<16> result;
}

struct headers_t { probe_t probe; }

struct metadata_t {
    bit<2> colour;
    bit<2> direct_colour;
}

parser P(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    value_set<bit<16>>(4) special;
    state start {
        packet.extract(hdr.probe);
        transition select(hdr.probe.number) {
            special: seen;
            default: accept;
        }
    }
    state seen {
        hdr.probe.kind = 0xee;
        transition accept;
    }
}

control V(inout headers_t hdr, inout metadata_t meta) { apply {} }

control I(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    counter(8, CounterType.packets_and_bytes) indexed;
    direct_counter(CounterType.packets_and_bytes) hits;
    register<bit<32>>(4) last;
    meter(4, MeterType.packets) rate;
    direct_meter<bit<2>>(MeterType.bytes) direct_rate;

    action forward(bit<9> port) {
        standard.egress_spec = port;
        hits.count();
        direct_rate.read(meta.direct_colour);
    }
    action pass() {
        hits.count();
        direct_rate.read(meta.direct_colour);
    }
    action spread(bit<16> group) { standard.mcast_grp = group; }
    action mark(bit<48> mac, bit<32> ip, bit<128> ip6, bit<16> result) { hdr.probe.result = result; }
    action nothing() {}
    action mirror() { clone(CloneType.I2E, 5); }

    table routes {
        key = { hdr.probe.address: lpm; }
        actions = { forward; pass; spread; }
        default_action = pass;
        counters = hits;
        meters = direct_rate;
        support_timeout = true;
        size = 3;
    }
    table rules {
        key = {
            hdr.probe.address: exact;
            hdr.probe.number: range;
            hdr.probe.kind: ternary;
            hdr.probe.isValid(): exact;
        }
        actions = { mark; nothing; }
        const default_action = nothing;
    }
    table balanced {
        key = { hdr.probe.index: exact; hdr.probe.number: selector; }
        actions = { mark; nothing; mirror; }
        @name("members") implementation = action_selector(HashAlgorithm.identity, 32w16, 32w8);
    }
    table fixed {
        key = { hdr.probe.address: exact; }
        actions = { mark; nothing; }
        const entries = {
            1: nothing();
            2: mark(1, 2, 3, 4);
        }
    }
    apply {
        routes.apply();
        rules.apply();
        balanced.apply();
        fixed.apply();
        indexed.count((bit<32>)hdr.probe.index);
        last.write((bit<32>)hdr.probe.index, hdr.probe.address);
        rate.execute_meter((bit<32>)hdr.probe.index, meta.colour);
    }
}

control E(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) { apply {} }
control C(inout headers_t hdr, inout metadata_t meta) { apply {} }
control D(packet_out packet, in headers_t hdr) { apply { packet.emit(hdr.probe); } }

V1Switch(P(), V(), I(), E(), C(), D()) main;
