// Arithmetic of many widths: wrapping, saturation, shifts, slices, casts, signs.
#include <core.p4>
#include <v1model.p4>

header h_t {
    bit<128> a;
    bit<128> b;
    int<64> c;
    int<64> d;
    bit<8> sh;
    int<8> e;
    int<8> f;
    bit<1> g;
    int<7> i;
    bit<33> j;
    bit<7> k;
    bit<65> l;
    bit<7> n;
}

struct headers_t { h_t h; h_t o; }
struct meta_t { bit<8> t; }
const int big = 1 << 100;
const bit<128> MASK = (bit<128>)(big - 1);
const int neg = -7;

parser P(packet_in p, out headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {
    state start { p.extract(hdr.h); transition accept; }
}

control I(inout headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {
    apply {
        hdr.o.setValid();
        hdr.o.a = (hdr.h.a * hdr.h.b) + MASK;
        hdr.o.b = (hdr.h.a |+| hdr.h.b) ^ (hdr.h.a |-| hdr.h.b);
        hdr.o.c = hdr.h.c |+| hdr.h.d;
        hdr.o.d = (hdr.h.c |-| hdr.h.d) >> hdr.h.sh[5:0];
        hdr.o.sh = (bit<8>)(hdr.h.e |+| hdr.h.f);
        hdr.o.e = -hdr.h.e;
        hdr.o.f = (hdr.h.e << 3) >> 2;
        hdr.o.g = (bit<1>)(hdr.h.e < hdr.h.f) ^ (bit<1>)(hdr.h.c >= hdr.h.d);
        hdr.o.i = (int<7>)(bit<7>)hdr.h.j[20:14] + (int<7>)(neg);
        hdr.o.j = ~hdr.h.j + (bit<33>)hdr.h.l[40:8];
        hdr.o.j[7:0] = hdr.h.sh;
        hdr.o.j[32:32] = 1w1;
        hdr.o.k = (bit<7>)(int<7>)(hdr.h.i * 3);
        hdr.o.l = (hdr.h.j ++ hdr.h.a[31:0]) >> (hdr.h.sh & 0x7f);
        hdr.o.n = hdr.h.n[6:3] ++ hdr.h.k[2:0];
        hdr.o.l[64:60] = (bit<5>)(int<5>)((int<8>)hdr.h.sh >> 5)[4:0];
        if ((bit<8>)hdr.h.e > (bit<8>)hdr.h.f) { hdr.o.a = hdr.o.a << hdr.h.sh; }
        if ((int<128>)hdr.h.a < (int<128>)hdr.h.b) { hdr.o.b = (bit<128>)((int<128>)hdr.h.a >> 9); }
        hdr.o.c = (int<64>)(bit<64>)(int<64>)((int<64>)hdr.h.c & -2) + (hdr.h.g == 1 ? hdr.h.d : (int<64>)(bit<64>)hdr.h.k);
        hdr.o.n = hdr.o.n + (bit<7>)(17 / 3 * 2 % 7) - (bit<7>)(big >> 98);
        hdr.h.sh += 3;
        hdr.h.a <<= 2;
        hdr.h.b |= 1;
        hdr.h.c -= 5;
        hdr.h.e |+|= 100;
        hdr.h.j[8:4] ^= 0x15;
        hdr.h.k *= 5;
    }
}

#include "include/rest.p4"
