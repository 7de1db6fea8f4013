// Every hash algorithm over fields, structures and constants; bases and limits.
#include <core.p4>
#include <v1model.p4>

header h_t {
    bit<8> a;
    bit<16> b;
    bit<32> c;
    bit<48> d;
    bit<4> e;
    bit<4> f;
    bit<128> g;
}

header o_t {
    bit<16> c16;
    bit<32> c32;
    bit<16> cs;
    bit<16> x;
    bit<64> id;
    bit<8> r;
    bit<32> lim;
    bit<7> p;
    bit<1> q;
    bit<32> off;
    bit<16> cc;
    bit<32> cc32;
}

struct tail_t { bit<16> u; bit<16> v; }
struct headers_t { h_t h; o_t o; }
struct meta_t { bit<8> m; tail_t t; }

parser P(packet_in p, out headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {
    state start { p.extract(hdr.h); transition accept; }
}

control I(inout headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {
    apply {
        hdr.o.setValid();
        m.t = { hdr.h.b, hdr.h.c[15:0] };
        hash(hdr.o.c16, HashAlgorithm.crc16, 16w0, { hdr.h.a, hdr.h.b, hdr.h.c }, 32w65536);
        hash(hdr.o.c32, HashAlgorithm.crc32, 32w0, { hdr.h.a, hdr.h.d, hdr.h.e, hdr.h.f }, 33w0x100000000);
        hash(hdr.o.cs, HashAlgorithm.csum16, 16w0, { hdr.h.b, hdr.h.c, hdr.h.g }, 17w0x10000);
        hash(hdr.o.x, HashAlgorithm.xor16, 16w5, { hdr.h.d }, 16w1000);
        hash(hdr.o.id, HashAlgorithm.identity, 64w0, { hdr.h.a, hdr.h.b, hdr.h.c }, 64w0xffffffffffffffff);
        hash(hdr.o.r, HashAlgorithm.crc32, 8w3, { 8w7, hdr.h.a, 4w3, hdr.h.e }, 8w10);
        hash(hdr.o.lim, HashAlgorithm.crc16, 32w100, m.t, 16w50);
        hash(hdr.o.p, HashAlgorithm.crc16, 7w1, { hdr.h.e, hdr.h.f, hdr.h.a[3:1], 5w1 }, 7w100);
        hash(hdr.o.off, HashAlgorithm.crc32, 32w0xfffffff0, { hdr.h.g ++ hdr.h.a }, 32w0);
        hash(hdr.o.cc, HashAlgorithm.crc16_custom, 16w0, { hdr.h.c }, 32w65536);
        hash(hdr.o.cc32, HashAlgorithm.crc32_custom, 32w0, { hdr.h.c, { hdr.h.a, hdr.h.b } }, 33w0x100000000);
        hdr.o.q = 1;
    }
}

#include "include/rest.p4"
