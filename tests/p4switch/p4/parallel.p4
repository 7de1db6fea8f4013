// State that several packet threads may share: counters, a register that is only written and one that is only read.
#include <core.p4>
#include <v1model.p4>

header ethernet_t { bit<48> dst; bit<48> src; bit<16> type; }
struct headers_t { ethernet_t ethernet; }
struct metadata_t { }

parser packet_parser(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    state start { packet.extract(hdr.ethernet); transition accept; }
}
control none(inout headers_t hdr, inout metadata_t meta) { apply { } }
control ingress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    counter(4, CounterType.packets_and_bytes) seen;
    register<bit<48>>(4) last_seen;
    register<bit<9>>(4) ports;
    direct_counter(CounterType.packets_and_bytes) hits;
    action pass() { hits.count(); }
    table kinds {
        key = { hdr.ethernet.type: exact; }
        actions = { pass; }
        default_action = pass();
        counters = hits;
    }
    apply {
        ports.read(std.egress_spec, (bit<32>)std.ingress_port);
        seen.count((bit<32>)std.ingress_port);
        last_seen.write((bit<32>)std.ingress_port, std.ingress_global_timestamp);
        kinds.apply();
    }
}
control egress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) { apply { } }
control packet_deparser(packet_out packet, in headers_t hdr) { apply { packet.emit(hdr.ethernet); } }

V1Switch(packet_parser(), none(), ingress(), egress(), none(), packet_deparser()) main;
