// Structures, tuples and headers as values: defaults, comparison, assignment of parts.
#include <core.p4>
#include <v1model.p4>

struct in_t {
    bit<8> a;
    int<8> b;
    bool c;
    bit<7> pad;
}

header h_t { bit<8> x; in_t s; bit<16> y; }
struct deep_t { in_t one; tuple<bit<8>, bit<16>> two; bit<4> z; }

header o_t {
    bit<8> f;
    bit<8> g;
    bit<16> i;
    bit<8> j;
}

struct headers_t {
    h_t h;
    h_t k;
    o_t o;
    o_t q;
}

struct meta_t { deep_t d; tuple<bit<8>, deep_t> t; }
const in_t CI = { a = 7, b = -3, c = true, pad = 0 };
const tuple<bit<8>, bit<16>> CT = { 1, 2 };

parser P(packet_in p, out headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {
    state start {
        p.extract(hdr.h);
        p.extract(hdr.k);
        p.extract(hdr.o);
        m.d = { hdr.h.s, { hdr.h.x, hdr.h.y }, 3 };
        m.t = { 5, m.d };
        transition select({ hdr.h.s.c, hdr.k.s.c } == { true, false } ? 8w1 : 0) { 1: go; default: accept; }
    }
    state go { m.d.z = 9; transition accept; }
}

control I(inout headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {
    apply {
        tuple<bit<8>, bit<16>> t = { hdr.k.x, hdr.k.y };
        in_t v = { c = hdr.h.s.c, a = 3, b = -1, pad = 5 };
        deep_t w = { one = CI, two = CT, ... };
        hdr.q = { f = t[0], i = t[1], ... };
        if (v == hdr.h.s) { hdr.q.g = 1; }
        else if (m.d.one == hdr.h.s) { hdr.q.g = 2; }
        if (m.t[1].two == t) { hdr.q.j = 7; }
        else if (m.t[1].two[0] == hdr.h.x) { hdr.q.j = m.t[0] + (bit<8>)w.z + (bit<8>)m.d.z; }
        if (w.one.a == 7 && w.one.b < 0 && w.two[1] == 2) { hdr.q.j = hdr.q.j + 16; }
        hdr.h.s = v;
         { in_t tmp = hdr.k.s; hdr.k.s = hdr.h.s; hdr.h.s = tmp; }
        hdr.k = hdr.k.s.c ? hdr.k : hdr.h;
        if (hdr.o.f[0:0] == 1) { hdr.o = {#}; }
        else { hdr.o = (o_t){ f = 1, g = 2, i = 3, j = 4 }; }
        if (hdr.o == hdr.q) { hdr.h.x = 0; }
        t[0] = 8;
        t[1] = t[1] + 1;
        hdr.h.y = t[1] + (bit<16>)t[0];
        m.t = { 1, { one = ..., two = { 3, 4 }, z = 2 } };
        hdr.k.y = m.t[1].two[1] + (bit<16>)m.t[1].one.a;
    }
}

#include "include/rest.p4"
