// Unions: extraction, assignment, validity of the whole, unions in stacks.
#include <core.p4>
#include <v1model.p4>

header k_t { bit<8> kind; bit<8> x; }
header a_t { bit<8> v; bit<8> n; }
header b_t { bit<16> v; bit<16> w; }
header c_t { bit<32> v; bit<4> hi; bit<4> lo; }
header_union u_t { a_t a; b_t b; c_t c; }
struct inner_t { u_t one; u_t[3] many; }

struct headers_t {
    k_t k;
    u_t u;
    inner_t in1;
    k_t tail;
}

struct meta_t { bit<8> t; }

parser P(packet_in p, out headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {
    state start {
        p.extract(hdr.k);
        transition select(hdr.k.kind) {
            0: a0;
            1: b0;
            2: c0;
            3: many;
            default: tail;
        }
    }
    state a0 { p.extract(hdr.u.a); transition many; }
    state b0 { p.extract(hdr.u.b); transition many; }
    state c0 { p.extract(hdr.u.c); transition tail; }
    state many {
        transition select(p.lookahead<bit<8>>()) {
            1: ma;
            2: mb;
            3: mc;
            default: tail;
        }
    }
    state ma {
        p.extract(hdr.in1.many.next.a);
        transition select(hdr.in1.many.last.a.n) { 0..127: many; _: tail; }
    }
    state mb { p.extract(hdr.in1.many.next.b); transition many; }
    state mc { p.extract(hdr.in1.many.next.c); transition many; }
    state tail { p.extract(hdr.tail); transition accept; }
}

control I(inout headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {
    apply {
        if (hdr.u.isValid()) { hdr.k.x = 1; }
        if (hdr.u.a.isValid()) { hdr.in1.one.b.setValid(); hdr.in1.one.b = { 5, 6 }; }
        else if (hdr.u.b.isValid()) {
            hdr.in1.one = hdr.u;
            hdr.u.c.setValid();
            hdr.u.c = {1, 2, 3};
            hdr.k.x = hdr.k.x + (hdr.u.b.isValid() ? 8w16 : 8w32);
        } else if (hdr.u.c.isValid()) {
            hdr.in1.one = hdr.u;
            hdr.u.c.v = 0xdeadbeef;
            hdr.u.c.setInvalid();
            if (hdr.u.isValid()) { hdr.k.x = 0xee; }
        }
        if (hdr.in1.many[0].isValid()) { hdr.k.kind = hdr.k.kind + 0x10; }
        if (hdr.in1.many[1].isValid() && hdr.in1.many[1].a.isValid()) { hdr.in1.many[1].a.n = 0x77; }
        if (hdr.in1.many[0] == hdr.in1.many[1]) { hdr.k.kind = hdr.k.kind + 0x40; }
        if (sm.parser_error == error.StackOutOfBounds) { hdr.k.x = 0xf0; }
        if (sm.parser_error == error.PacketTooShort) { hdr.k.x = 0xf1; }
    }
}

#include "include/rest.p4"
