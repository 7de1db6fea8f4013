// Header stacks: next, last, lastIndex, push, pop, indices at run time, comparison.
#include <core.p4>
#include <v1model.p4>

header k_t { bit<8> op; bit<8> ix; bit<8> n; }
header s_t { bit<7> v; bit<1> more; }
header t_t { int<16> q; }
struct headers_t { k_t k; s_t[4] s; t_t[2] t; }
struct meta_t { bit<32> li; bit<8> x; }

parser P(packet_in p, out headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {
    state start {
        p.extract(hdr.k);
        m.li = 99;
        transition select(hdr.k.op) { 7: tt; default: loop; }
    }
    state loop {
        p.extract(hdr.s.next);
        m.li = hdr.s.lastIndex;
        m.x = (bit<8>)hdr.s.last.v;
        transition select(hdr.s.last.more, hdr.s.last.v) {
            (1, 0 .. 120): loop;
            (1, _): tt;
            (0, 3 &&& 3): tt;
            default: accept;
        }
    }
    state tt {
        p.extract(hdr.t[0]);
        transition select(hdr.t[0].q) { -16s5: accept; default: t1; }
    }
    state t1 { p.extract(hdr.t[1]); transition accept; }
}

control I(inout headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {
    apply {
        if (hdr.k.op == 0) { hdr.s.push_front(1); hdr.s[0].setValid(); hdr.s[0] = { 7w5, 1w1 }; }
        if (hdr.k.op == 1) {
            hdr.s.push_front(2);
            hdr.s[1].setValid();
            hdr.s[1].v = (bit<7>)m.li;
            hdr.s[1].more = 0;
        }
        if (hdr.k.op == 2) { hdr.s.pop_front(1); }
        if (hdr.k.op == 3) { hdr.s.pop_front(3); }
        if (hdr.k.op == 4 && hdr.k.ix < 4) {
            hdr.s[hdr.k.ix].setValid();
            hdr.s[hdr.k.ix].v = 33;
            hdr.s[hdr.k.ix].more = 1;
        }
        if (hdr.k.op == 5 && hdr.k.ix < 4 && hdr.k.n < 4) {
            s_t tmp = hdr.s[hdr.k.ix];
            hdr.s[hdr.k.ix] = hdr.s[hdr.k.n];
            hdr.s[hdr.k.n] = tmp;
        }
        if (hdr.k.op == 6 && hdr.k.ix < 3) {
            if (hdr.s[hdr.k.ix].isValid()) {
                hdr.s[hdr.k.ix + 1] = hdr.s[hdr.k.ix];
                hdr.k.n = (bit<8>)hdr.s[hdr.k.ix].v;
            }
        }
        if (hdr.t[1].isValid()) {
            hdr.t[0].q = hdr.t[0].q - hdr.t[1].q;
            if (hdr.t[0].q < 0) { hdr.t.pop_front(1); }
        }
        hdr.k.ix = m.x;
        if (sm.parser_error == error.StackOutOfBounds) { hdr.k.op = 0xf0; }
        if (hdr.s.size == 4) { hdr.k.op = hdr.k.op + 8; }
        s_t[4] copy = hdr.s;
        if (copy == hdr.s) { hdr.k.n = hdr.k.n + 1; }
        copy[2].setInvalid();
        if (copy != hdr.s) { hdr.k.n = hdr.k.n + 0x40; }
    }
}

#include "include/rest.p4"
