// Values and headers that are used before they are there.
#include <v1model.p4>

header h_t { bit<8> a; bit<8> b; }
struct headers_t { h_t first; h_t second; }
struct meta_t { bit<8> value; bit<8> other; bit<1> flag; }

parser MyParser(packet_in packet, out headers_t hdr, inout meta_t meta, inout standard_metadata_t std) {
    state start {
        packet.extract(hdr.first);
        transition select(hdr.first.a) { 1: more; default: rest; }
    }
    state more { packet.extract(hdr.second); transition rest; }
    state rest { meta.value = hdr.second.a; transition accept; }
}
control MyVerify(inout headers_t hdr, inout meta_t meta) { apply { } }
control MyIngress(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t std) {
    action set(out bit<8> result) { if (meta.flag == 1) { result = 1; } }
    apply {
        bit<8> result;
        bit<8> other;
        if (meta.flag == 1) { other = 2; }
        meta.other = other;
        set(result);
        meta_t copy;
        copy.value = result;
        meta = copy;
        hdr.second.setInvalid();
        hdr.second.a = 1;
    }
}
control MyEgress(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t std) { apply { } }
control MyUpdate(inout headers_t hdr, inout meta_t meta) { apply { } }
control MyDeparser(packet_out packet, in headers_t hdr) { apply { packet.emit(hdr); } }
V1Switch(MyParser(), MyVerify(), MyIngress(), MyEgress(), MyUpdate(), MyDeparser()) main;
