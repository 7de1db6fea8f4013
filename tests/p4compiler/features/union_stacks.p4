// Stacks of header unions: next, push, pop and moves between elements.
#include <core.p4>
#include <v1model.p4>

header t1_t { bit<8> kind; bit<8> v; }
header t2_t { bit<8> kind; bit<16> v; }
header k_t { bit<8> x; }
header_union opt_t { t1_t o1; t2_t o2; }
struct headers_t { k_t n; opt_t[4] o; k_t end; }
struct meta_t { bit<8> c; }

parser P(packet_in p, out headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {
    state start { p.extract(hdr.n); m.c = 0; transition next; }
    state next {
        transition select(p.lookahead<bit<8>>()) {
            1: o1;
            2: o2;
            3: dup;
            default: fin;
        }
    }
    state o1 { p.extract(hdr.o.next.o1); m.c = m.c + 1; transition next; }
    state o2 { p.extract(hdr.o.next.o2); m.c = m.c + 16; transition next; }
    state dup {
        p.advance(8);
        transition select(hdr.o.lastIndex) { 0: next; 1: o2; default: fin; }
    }
    state fin { p.extract(hdr.end); transition accept; }
}

control I(inout headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {
    apply {
        hdr.n.x = m.c;
        if (hdr.o[0].o1.isValid() && hdr.o[1].o2.isValid()) {
            hdr.o[0].o2.setValid();
            hdr.o[0].o2 = hdr.o[1].o2;
            hdr.o[1].o2.setInvalid();
        }
        if (hdr.o[2].isValid()) { hdr.o.pop_front(1); }
        if (hdr.o[3].isValid()) { hdr.o[3].o1.setValid(); hdr.o[3].o1 = { 9, 9 }; }
    }
}

#include "include/rest.p4"
