// Registers of several widths, signed ones, and those of two instances of a control.
#define V1MODEL_VERSION 20200408
#include <core.p4>
#include <v1model.p4>

struct cell_t {
    bit<8> a;
    int<16> b;
    bool c;
    bit<7> pad;
}

header h_t {
    bit<8> op;
    bit<8> ix;
    bit<33> v;
    int<7> s;
    bit<16> w;
    bit<64> l;
    bit<8> z;
}

struct headers_t { h_t h; }
struct meta_t { bit<8> m; }

parser P(packet_in p, out headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {
    state start { p.extract(hdr.h); transition accept; }
}

control Count(inout bit<16> x, in bit<8> ix)(bit<32> size) {
    register<bit<16>, bit<32>>(size) r;
    apply {
        bit<16> t;
        r.read(t, (bit<32>)ix);
        t = t + x;
        r.write((bit<32>)ix, t);
        x = t;
    }
}

control I(inout headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {
    register<bit<33>, bit<32>>(4) r1;
    register<int<7>, bit<8>>(4) r2;
    register<bit<1>, bit<32>>(4) r3;
    register<bit<64>, bit<32>>(32w4) r5;
    register<bit<128>, bit<32>>(4) wide;
    Count(4) k1;
    Count(4) k2;
    apply {
        bit<1> one;
        bit<128> w;
        bit<33> t;
        int<7> u;
        bit<64> l;
        if (hdr.h.op == 0) { r1.write((bit<32>)hdr.h.ix, hdr.h.v); }
        else if (hdr.h.op == 1) { r1.read(t, (bit<32>)hdr.h.ix); hdr.h.v = t + 1; }
        else if (hdr.h.op == 2) { r2.write(hdr.h.ix, hdr.h.s - 3); }
        else if (hdr.h.op == 3) {
            r2.read(u, hdr.h.ix);
            if (u < 0) { hdr.h.z = 1; }
            hdr.h.s = u >> 1;
        } else if (hdr.h.op == 4) {
            r3.read(one, (bit<32>)hdr.h.ix);
            one = ~one;
            hdr.h.z = (bit<8>)one;
            r3.write((bit<32>)hdr.h.ix, one);
        } else if (hdr.h.op == 5) { k1.apply(hdr.h.w, hdr.h.ix); }
        else if (hdr.h.op == 6) { k2.apply(hdr.h.w, hdr.h.ix); }
        else if (hdr.h.op == 7) {
            wide.read(w, (bit<32>)hdr.h.ix);
            w = w * 3 + (hdr.h.v ++ hdr.h.l ++ 31w5);
            wide.write((bit<32>)hdr.h.ix, w);
            hdr.h.l = w[100:37];
        } else if (hdr.h.op == 8) {
            r5.read(l, 0);
            l[7:0] = hdr.h.z;
            r5.write(1, l << 3);
            r5.read(hdr.h.l, 1);
            r5.write(0, hdr.h.l |+| l);
        } else {
            @atomic { r1.read(hdr.h.v, 0); r1.write(1, hdr.h.v ^ 33w0x155555555); }
        }
    }
}

#include "include/rest.p4"
