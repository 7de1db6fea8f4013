// One ternary table on a key of 128 bits: what a look-up costs by the number of entries and of distinct masks.
#include <core.p4>
#include <v1model.p4>

header key_t { bit<128> bits; }
struct headers_t { key_t key; }
struct metadata_t { }

parser key_parser(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    state start { packet.extract(hdr.key); transition accept; }
}
control none(inout headers_t hdr, inout metadata_t meta) { apply { } }
control ingress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    action forward(bit<9> port) { std.egress_spec = port; }
    action drop() { mark_to_drop(std); }
    table rules {
        key = { hdr.key.bits: ternary; }
        actions = { forward; drop; }
        default_action = drop();
        size = 100000;
    }
    apply { rules.apply(); }
}
control egress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) { apply { } }
control key_deparser(packet_out packet, in headers_t hdr) { apply { packet.emit(hdr.key); } }

V1Switch(key_parser(), none(), ingress(), egress(), none(), key_deparser()) main;
