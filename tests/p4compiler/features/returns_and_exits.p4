// return and exit out of functions, actions and nested controls, with copies out.
#include <core.p4>
#include <v1model.p4>

header h_t {
    bit<8> a;
    bit<8> b;
    bit<8> c;
    bit<8> d;
    bit<8> e;
    bit<8> f;
}

struct headers_t { h_t h; }
struct meta_t { bit<8> m; }

parser P(packet_in p, out headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {
    state start { p.extract(hdr.h); transition accept; }
}

bit<8> f1(inout bit<8> x, in bit<8> y) {
    if (y > 200) { x = 1; return 3; }
    else if (y > 100) { return x; }
    x = x + 1;
    return y;
}

control C1(inout bit<8> x, in bit<8> y)(bit<8> k) {
    action leave() { x = x + 1; exit; }
    action stay() { x = x + 2; }
    table t {
        key = { y[1:0] : exact; }
        actions = { leave; stay; }
        default_action = stay();
        const entries = { 0: leave(); }
    }
    apply {
        if (y == 3) { return; }
        x = x + k;
        t.apply();
        x = x + 16;
        if (x > 230) { exit; }
        x = x + 32;
    }
}

control I(inout headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {
    C1(1) one;
    C1(2) two;
    action a1(inout bit<8> q, in bit<8> w, out bit<8> z) {
        z = 5;
        if (w == 7) { return; }
        q = q + w;
        z = q;
    }
    apply {
        hdr.h.e = f1(hdr.h.a, hdr.h.b) + f1(hdr.h.a, hdr.h.a);
        a1(hdr.h.a, hdr.h.a, hdr.h.f);
        a1(hdr.h.b, hdr.h.f & 7, hdr.h.b);
        one.apply(hdr.h.c, hdr.h.d);
        if (hdr.h.c > 128) { two.apply(hdr.h.d, hdr.h.c); }
        hdr.h.f = hdr.h.f + 1;
    }
}
#define EGRESS

control E(inout headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {
    C1(7) one;
    apply { one.apply(hdr.h.b, hdr.h.e); hdr.h.a = f1(hdr.h.b, hdr.h.a); }
}

#include "include/rest.p4"
