// Functions: overloads, default and named arguments, directions, order of evaluation, shadowed names.
#include <core.p4>
#include <v1model.p4>

header h_t {
    bit<8> a;
    bit<8> b;
    bit<16> c;
    bit<8> d;
    bit<8> e;
    bit<32> f;
}

struct headers_t { h_t h; h_t g; }
struct meta_t { bit<8> m; bit<16> n; }
const bit<8> K = 3;
const bit<16> SZ = (bit<16>)h_t.minSizeInBytes();
bit<8> dflt(in bit<8> x, in bit<8> y = K + 1, in bit<8> z = 7) { return x + y * z; }
bit<8> over(in bit<8> x) { return x + 1; }
bit<8> over(in bit<8> x, in bit<8> y) { return x + y; }
bit<16> over(in bit<8> x, in bit<8> y, in bit<16> c) { return (bit<16>)x + (bit<16>)y + c; }

void st(inout h_t h, out bit<8> r) {
    r = h.a;
    h.a = h.b;
    h.b = r;
    if (h.a == h.b) { h.setInvalid(); return; }
    r = r + 1;
}

bool side(inout bit<8> x) { x = x + 1; return x > 128; }

bit<8> chain(in bit<8> x) {
    bit<8> x2 = over(over(x), dflt(y = 1, x = x));
     { bit<8> x3 = 5; x2 = x2 + x3; }
    return x2 + x;
}

parser P(packet_in p, out headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {
    state start {
        p.extract(hdr.h);
        p.extract(hdr.g);
        m.m = dflt(hdr.h.a);
        transition select(over(hdr.h.a, hdr.h.b)) { 0 .. 100: accept; default: more; }
    }
    state more { m.n = over(1, 2, 3); transition accept; }
}

control I(inout headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {
    bit<8> r;
    bit<8> y = 1;
    const bit<8> LOCAL = K * 2;
    action shadow(bit<8> y) { r = y; }
    action dirs(in bit<8> a, out bit<8> b, inout bit<8> c) { b = a; c = c + b; b = c; }
    apply {
        hdr.h.d = dflt(z = 2, x = hdr.h.a);
        hdr.h.e = chain(hdr.h.b) + LOCAL;
        hdr.h.c = over(hdr.h.a, hdr.h.d, over(1, 1, 1)) + SZ + (bit<16>)hdr.h.minSizeInBits();
        if (side(hdr.h.a) && side(hdr.h.b) || side(hdr.g.a)) { hdr.g.b = 0; }
        bool q = side(hdr.g.d) ? side(hdr.g.e) : !side(hdr.g.a);
        dirs(hdr.g.a + 1, hdr.g.a, hdr.g.b);
        dirs(c = hdr.g.c[7:0], a = hdr.g.a, b = hdr.g.c[15:8]);
        st(hdr.g, r);
        shadow(r + y);
        hdr.h.f = (r ++ m.m ++ m.n) ^ (q ? 32w1 : 0);
        hdr.h.f[15:8] = over(hdr.h.f[7:0]);
        bit<8> y = 9;
        if (hdr.h.a[0:0] == 0) { bit<16> y = 300; hdr.h.f[31:16] = hdr.h.f[31:16] + y; }
        hdr.h.f = hdr.h.f + (bit<32>)y;
    }
}

#include "include/rest.p4"
