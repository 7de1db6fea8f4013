// Statements that the target cannot do.
#include <v1model.p4>

struct meta_t { bit<8> value; bit<8> other; }
header h_t { bit<8> a; }
struct headers_t { h_t h; h_t[2] stack; }

parser MyParser(packet_in packet, out headers_t hdr, inout meta_t meta, inout standard_metadata_t std) {
    state start { packet.extract(hdr.h); transition accept; }
}
control MyVerify(inout headers_t hdr, inout meta_t meta) { apply { } }
control MyIngress(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t std) {
    table twice { key = { meta.value: exact; } actions = { NoAction; } }
    apply {
        headers_t[4] values;
        values[meta.value].h.setInvalid();
        meta.other = meta.value / meta.other;
        hdr.stack.push_front(1);
        recirculate_preserving_field_list(1);
        verify_checksum(true, { meta.value }, meta.other, HashAlgorithm.csum16);
        digest<meta_t>(1, meta);
    }
}
control MyEgress(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t std) { apply { } }
control MyUpdate(inout headers_t hdr, inout meta_t meta) { apply { } }
control MyDeparser(packet_out packet, in headers_t hdr) { apply { packet.emit(hdr); } }
V1Switch(MyParser(), MyVerify(), MyIngress(), MyEgress(), MyUpdate(), MyDeparser()) main;
