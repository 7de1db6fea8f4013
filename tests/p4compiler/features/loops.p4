// Loops with several variables, break, continue, return and exit inside.
#include <core.p4>
#include <v1model.p4>

header h_t {
    bit<8> n;
    bit<8> a;
    bit<16> b;
    bit<32> c;
}

header e_t { bit<8> v; }
struct headers_t { h_t h; e_t[6] e; }
struct meta_t { bit<8> m; }

parser P(packet_in p, out headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {
    state start {
        p.extract(hdr.h);
        p.extract(hdr.e.next);
        p.extract(hdr.e.next);
        p.extract(hdr.e.next);
        p.extract(hdr.e.next);
        p.extract(hdr.e.next);
        transition accept;
    }
}

bit<32> fib(in bit<8> n) {
    bit<32> a = 0;
    bit<32> b = 1;
    for (bit<8> i = 0; i < 20; i = i + 1) {
        if (i == n) { break; }
        bit<32> t = a + b;
        a = b;
        b = t;
    }
    return a;
}

control I(inout headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {
    action sum() {
        bit<8> s = 0;
        for (bit<3> i in 3w0 .. 4) { s = s + hdr.e[i].v; }
        hdr.h.a = s;
    }
    apply {
        hdr.h.c = fib(hdr.h.n[3:0] ++ 4w0 >> 4);
        sum();
        bit<16> acc = 0;
        for (bit<16> i = 0, bit<16> j = 10; i < j; i = i + 1, j = j - 1) {
            if (i == 2) { continue; }
            acc = acc + i * j;
            for (int<8> k in -8s2 .. 8s1) {
                acc = acc + (bit<16>)(bit<8>)k;
                if (acc[0:0] == 1) { break; }
            }
        }
        hdr.h.b = acc;
        for (bit<8> q = 0; q < 5; q += 1) {
            hdr.e[q].v = hdr.e[q].v ^ q;
            if (hdr.e[q].v > 200) { hdr.e[5].setValid(); hdr.e[5].v = q; return; }
        }
        hdr.h.n = 0xaa;
    }
}
#define EGRESS

control E(inout headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {
    apply {
        for (bit<4> z in 0 .. 3) {
            hdr.h.n = hdr.h.n + 1;
            if (hdr.h.a == (bit<8>)z) { exit; }
        }
        hdr.h.c[7:0] = 0x5a;
    }
}

#include "include/rest.p4"
