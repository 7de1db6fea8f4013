// Names that are not known, each like one that is.
#include <v1model.p4>

enum Color { red, green }
header ethernet_t { bit<48> dst; bit<48> src; bit<16> type_; }
struct headers_t { ethernet_t ethernet; ethernet_t[2] more; }
struct meta_t { bit<8> count; bit<8> value; }

const bit<8> START = 1;
bit<8> twice(in bit<8> number) { return number + number; }

parser MyParser(packet_in packet, out headers_t hdr, inout meta_t meta, inout standard_metadata_t std) {
    state start { packet.extarct(hdr.ethernet); transition select(hdr.ethernet.type_) { 1: anohter; default: accept; } }
    state another { transition accept; }
}

control MyIngress(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t std) {
    cuonter(16, CounterType.packets) packets;
    action drop() { mark_to_dorp(std); }
    action set(bit<8> value) { meta.value = valeu; }
    table lookup {
        key = { meta.count: exakt; hdr.ethernet.destination: ternary; hdr.ethernet.srcc: ternary; }
        actions = { dropp; set; }
        default_action = set(vlaue = 1);
    }
    apply {
        meta.value = STRAT + twice(numbr = 1);
        hdr.ethernet.setvalid();
        Color color = Color.gren;
        if (error.NoErrorr == error.NoError && lookpu.apply().hit) { }
        switch (lookup.apply().action_runn) { set: { } }
        hdr.more.push_frnot(1);
        headrs_t copy;
        Late() late;
    }
}
control Late() { apply { } }
