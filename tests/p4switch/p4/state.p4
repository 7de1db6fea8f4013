// What a P4Runtime client configures beside tables, told apart by the packet's kind: meters, a digest, a value set, idle
// timeouts, clones and copies.
#include <core.p4>
#include <v1model.p4>

header ethernet_t {
    bit<48> dst;
    bit<48> src;
    bit<16> kind;
}

header marks_t {
    bit<8> first;
    bit<8> second;
    bit<16> wide;
}

struct headers_t {
    ethernet_t ethernet;
    marks_t marks;
}

struct metadata_t {
    bit<2> colour;
}

struct learned_t {
    bit<48> address;
    bit<9> port;
    bool tagged;
}

struct kind_t {
    bit<16> kind;
    @match(ternary) bit<8> low;
}

parser state_parser(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    value_set<bit<16> >(4) marked_kinds;
    value_set<kind_t>(2) odd_kinds;

    state start {
        packet.extract(hdr.ethernet);
        transition select(hdr.ethernet.kind) {
            marked_kinds: marked;
            default: look_again;
        }
    }
    state look_again {
        transition select(hdr.ethernet.kind, hdr.ethernet.dst[7:0]) {
            odd_kinds: marked;
            default: accept;
        }
    }
    state marked {
        packet.extract(hdr.marks);
        transition accept;
    }
}

control state_verify(inout headers_t hdr, inout metadata_t meta) {
    apply { }
}

control state_ingress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    meter(8, MeterType.packets) packet_meter;
    direct_meter<bit<2> >(MeterType.bytes) byte_meter;
    direct_counter(CounterType.packets_and_bytes) hits;
    register<bit<16> >(4) cells;

    action send(bit<9> port) {
        standard.egress_spec = port;
    }
    action metered(bit<9> port) {
        byte_meter.read(meta.colour);
        hits.count();
        standard.egress_spec = port;
    }
    action copy(bit<16> group) {
        standard.mcast_grp = group;
    }
    action mirror() {
        clone(CloneType.I2E, 7);
        mark_to_drop(standard);
    }
    action learn() {
        digest<learned_t>(1, { hdr.ethernet.src, standard.ingress_port, hdr.marks.isValid() });
        standard.egress_spec = 1;
    }

    table forward {
        key = { hdr.ethernet.dst: exact; }
        actions = { send; copy; mirror; learn; NoAction; }
        support_timeout = true;
        size = 1024;
    }
    table limit {
        key = { hdr.ethernet.src: exact; }
        actions = { metered; @defaultonly NoAction; }
        meters = byte_meter;
        counters = hits;
        size = 16;
    }

    apply {
        if (forward.apply().miss) {
            if (!limit.apply().hit) {
                packet_meter.execute_meter((bit<32>)hdr.ethernet.dst[2:0], meta.colour);
                standard.egress_spec = 1;
            }
        }
        if (hdr.marks.isValid()) {
            hdr.marks.first = 0xee;
        }
    }
}

control state_egress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    apply {
        hdr.ethernet.src[7:0] = (bit<8>)meta.colour;
        hdr.ethernet.src[15:8] = (bit<8>)standard.egress_rid;
        hdr.ethernet.src[23:16] = (bit<8>)standard.priority;
    }
}

control state_compute(inout headers_t hdr, inout metadata_t meta) {
    apply { }
}

control state_deparser(packet_out packet, in headers_t hdr) {
    apply {
        packet.emit(hdr);
    }
}

V1Switch(state_parser(), state_verify(), state_ingress(), state_egress(), state_compute(), state_deparser()) main;
