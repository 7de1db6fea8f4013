// Every kind of table. Each leaves what it did in a slot of its own of `results`, so that the packet that comes out tells which
// entry of which table was hit.
#include <core.p4>
#include <v1model.p4>

header probe_t {
    bit<8>   small;
    bit<16>  medium;
    bit<32>  address;
    bit<128> long_address;
    bit<16>  flags;
    bit<48>  mac;
    bit<16>  from_port;
    bit<8>   level;
    bit<8>   choice;
    bit<7>   odd;
    bit<1>   flag;
    int<12>  signed_value;
    bit<4>   nibble;
    bit<200> wide;
}

header extra_t { bit<8> value; }

header results_t {
    bit<16> exact_one; bit<16> exact_many; bit<16> exact_wide; bit<16> prefix; bit<16> long_prefix; bit<16> ternary;
    bit<16> ranges; bit<16> optional; bit<16> mixed; bit<16> constant; bit<16> profiled; bit<16> selected; bit<16> one_shot;
    bit<16> keyless; bit<16> again; bit<16> egress; bit<128> wide_parameter; bit<8> went;
}

struct headers_t { probe_t probe; results_t results; extra_t extra; }
struct metadata_t { bit<16> scratch; }

parser packet_parser(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    state start {
        packet.extract(hdr.probe);
        packet.extract(hdr.results);
        transition select(hdr.probe.flag) { 1: extra; default: accept; }
    }
    state extra { packet.extract(hdr.extra); transition accept; }
}

control none(inout headers_t hdr, inout metadata_t meta) { apply { } }

control ingress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    direct_counter(CounterType.packets_and_bytes) exact_hits;
    direct_counter(CounterType.packets) ternary_hits;
    direct_counter(CounterType.bytes) selected_hits;
    counter(16, CounterType.packets_and_bytes) levels;
    register<bit<48>>(16) macs;

    action nothing() { }
    action exact_one_set(bit<16> value) { hdr.results.exact_one = value; exact_hits.count(); }
    action exact_one_wide(bit<128> wide, bit<16> value) {
        hdr.results.exact_one = value; hdr.results.wide_parameter = wide; exact_hits.count();
    }
    action exact_one_pass() { exact_hits.count(); }
    table exact_one {
        key = { hdr.probe.small: exact; }
        actions = { exact_one_set; exact_one_wide; exact_one_pass; }
        default_action = exact_one_pass();
        counters = exact_hits;
        size = 64;
    }

    action exact_many_set(bit<16> value) { hdr.results.exact_many = value; }
    table exact_many {
        key = {
            hdr.probe.medium: exact; hdr.probe.odd: exact; hdr.probe.flag: exact; hdr.extra.isValid(): exact;
            hdr.probe.signed_value: exact; hdr.probe.mac[8:7]: exact @name("slice");
        }
        actions = { exact_many_set; nothing; }
        size = 64;
    }

    action exact_wide_set(bit<16> value) { hdr.results.exact_wide = value; }
    table exact_wide {
        key = { hdr.probe.wide: exact; hdr.probe.odd[0:0] ++ hdr.probe.flag: exact @name("both"); }
        actions = { exact_wide_set; @defaultonly NoAction; }
        const default_action = NoAction();
        size = 64;
    }

    action prefix_set(bit<16> value, bit<7> odd, bit<1> flag) {
        hdr.results.prefix = value ^ (bit<16>)(odd ++ flag);
    }
    table prefix {
        key = { hdr.probe.address: lpm; }
        actions = { prefix_set; nothing; }
        default_action = prefix_set(0xdead, 3, 1);
        size = 64;
    }

    action long_prefix_set(bit<16> value) { hdr.results.long_prefix = value; }
    table long_prefix {
        key = { hdr.probe.small: exact; hdr.probe.long_address: lpm; hdr.probe.nibble: exact; }
        actions = { long_prefix_set; nothing; }
        size = 64;
    }

    action ternary_set(bit<16> value) { hdr.results.ternary = value; ternary_hits.count(); }
    action ternary_pass() { ternary_hits.count(); }
    table ternary_table {
        key = { hdr.probe.flags: ternary; hdr.probe.mac: ternary; hdr.probe.odd: ternary; }
        actions = { ternary_set; ternary_pass; }
        default_action = ternary_pass();
        counters = ternary_hits;
        size = 64;
    }

    action ranges_set(bit<16> value) { hdr.results.ranges = value; }
    table ranges {
        key = { hdr.probe.from_port: range; hdr.probe.level: range; hdr.probe.odd: range; }
        actions = { ranges_set; nothing; }
        size = 64;
    }

    action optional_set(bit<16> value) { hdr.results.optional = value; }
    table optional_table {
        key = { hdr.probe.choice: optional; hdr.probe.small: exact; hdr.probe.flag: optional; }
        actions = { optional_set; nothing; }
        size = 64;
    }

    action mixed_set(bit<16> value) { hdr.results.mixed = value; }
    table mixed {
        key = {
            hdr.probe.small: exact; hdr.probe.address: lpm; hdr.probe.mac: ternary; hdr.probe.from_port: range;
            hdr.probe.choice: optional; hdr.extra.isValid(): ternary; hdr.extra.value: ternary;
        }
        actions = { mixed_set; nothing; }
        size = 64;
    }

    action constant_set(bit<16> value) { hdr.results.constant = value; }
    table constant {
        key = { hdr.probe.flags: ternary; hdr.probe.level: range; hdr.probe.address: lpm; }
        actions = { constant_set; nothing; }
        const entries = {
            (0x0001 &&& 0x0001, 0 .. 0x7f, 0x80000000 &&& 0x80000000): constant_set(1);
            (0x0001 &&& 0x0001, _, _): constant_set(2);
            (0xffff, 1 .. 254, 0 &&& 0xc0000000): nothing();
            (_, 0x80 .. 0xff, _): constant_set(4);
            (0x8000 &&& 0xff00, 0, _): constant_set(5);
        }
    }

    action profiled_set(bit<16> value) { hdr.results.profiled = value; }
    action profiled_add(bit<16> value) { hdr.results.profiled = hdr.results.profiled + value; }
    table profiled {
        key = { hdr.probe.choice: exact; }
        actions = { profiled_set; profiled_add; nothing; }
        @name("members") implementation = action_profile(32);
        size = 64;
    }

    action selected_set(bit<16> value) { hdr.results.selected = value; selected_hits.count(); }
    action selected_pass() { selected_hits.count(); }
    table selected {
        key = {
            hdr.probe.nibble: ternary; hdr.probe.small: exact; hdr.probe.medium: selector; hdr.probe.address: selector;
            hdr.probe.odd: selector; hdr.probe.wide: selector;
        }
        actions = { selected_set; selected_pass; }
        @name("groups") implementation = action_selector(HashAlgorithm.crc32, 32w64, 32w16);
        counters = selected_hits;
        size = 64;
    }

    action one_shot_set(bit<16> value) { hdr.results.one_shot = value; }
    table one_shot {
        key = { hdr.probe.level: exact; hdr.probe.mac: selector; hdr.probe.signed_value: selector; }
        actions = { one_shot_set; nothing; }
        @name("one_shots") implementation = action_selector(HashAlgorithm.crc16, 32w128, 32w16);
        size = 64;
    }

    action keyless_set(bit<16> value) { hdr.results.keyless = value; }
    table keyless {
        actions = { keyless_set; nothing; }
        default_action = keyless_set(7);
    }

    action again_add(bit<16> value) { hdr.results.again = hdr.results.again + value; }
    action again_swap() {
        bit<16> kept = hdr.results.again;
        hdr.results.again = hdr.probe.medium;
        hdr.probe.medium = kept;
    }
    table again {
        key = { hdr.probe.medium: ternary; }
        actions = { again_add; again_swap; nothing; }
        size = 64;
    }

    apply {
        if (!hdr.results.isValid()) { exit; }  // fields that are not there have an older packet's values in BMv2
        std.egress_spec = (bit<9>)hdr.probe.nibble[1:0];
        if (exact_one.apply().hit) { hdr.results.went[0:0] = 1; } else { exact_many.apply(); }
        exact_wide.apply();
        switch (prefix.apply().action_run) {
            prefix_set: { hdr.results.went[1:1] = 1; long_prefix.apply(); }
            nothing: { hdr.results.went[2:2] = 1; }
        }
        if (!ternary_table.apply().miss) { hdr.results.went[3:3] = 1; }
        ranges.apply();
        optional_table.apply();
        mixed.apply();
        constant.apply();
        switch (profiled.apply().action_run) {
            profiled_add: { hdr.results.went[4:4] = 1; }
            default: { hdr.results.went[5:5] = 1; }
        }
        if (selected.apply().hit) { hdr.results.went[6:6] = 1; }
        one_shot.apply();
        keyless.apply();
        if (again.apply().hit) { hdr.results.went[7:7] = 1; }
        levels.count((bit<32>)hdr.probe.level[3:0]);
        macs.write((bit<32>)hdr.probe.level[3:0], hdr.probe.mac);
    }
}

control egress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    direct_counter(CounterType.packets_and_bytes) left;
    action egress_set(bit<16> value) { hdr.results.egress = value; left.count(); }
    action egress_drop() { mark_to_drop(std); left.count(); }
    action egress_pass() { left.count(); }
    table leaving {
        key = { std.egress_port: exact; hdr.results.ternary: ternary; std.packet_length: range; }
        actions = { egress_set; @tableonly egress_drop; egress_pass; }
        default_action = egress_pass();
        counters = left;
        size = 64;
    }
    apply { if (hdr.results.isValid()) { leaving.apply(); } }
}

control packet_deparser(packet_out packet, in headers_t hdr) {
    apply { packet.emit(hdr.probe); packet.emit(hdr.results); packet.emit(hdr.extra); }
}

V1Switch(packet_parser(), none(), ingress(), egress(), none(), packet_deparser()) main;
