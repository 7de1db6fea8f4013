// Generic types, functions, parsers and controls; constructor arguments; two instances of one control.
#include <core.p4>
#include <v1model.p4>

header h_t<T> { T a; bit<8> b; }
struct pair<A, B> { A first; B second; }
struct pair2<A, B> { A first; B second; }
header plain_t { bit<8> x; bit<8> y; bit<16> z; }
struct headers_t { plain_t p; h_t<bit<32>> w; h_t<int<16>> v; }
struct meta_t { pair<bit<8>, bit<16>> q; }

T pick<T>(in bool c, in T x, in T y) {
    if (c) { return x; }
    return y;
}

bit<16> sum<T>(in pair<T, bit<16>> v) { return v.second; }
void exchange<T>(inout T a, inout T b) { T t = a; a = b; b = t; }
pair<A, B> mk<A, B>(in A a, in B b) { return { a, b }; }

parser Sub<H>(packet_in p, out H h) {
    state start { p.extract(h); transition accept; }
}

parser Two(packet_in p, out plain_t h, inout bit<8> n)(bit<8> k) {
    state start {
        p.extract(h);
        n = n + k;
        transition select(h.x) { 0 &&& 1: odd; default: accept; }
    }
    state odd { n = n + 1; transition accept; }
}

parser P(packet_in p, out headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {
    Two(3) a;
    bit<8> n;
    state start { n = 5; a.apply(p, hdr.p, n); transition more; }
    state more {
        Sub<h_t<bit<32>>>.apply(p, hdr.w);
        p.extract(hdr.v);
        m.q = { n, 0 };
        transition accept;
    }
}

control Adder<T>(inout T x)(T k) {
    apply { x = k; }
}

control Inc(inout bit<8> x, in bit<8> by)(bit<8> k, bool twice) {
    action add(bit<8> v) { x = x + v + by; }
    table t {
        key = { x : exact; }
        actions = { add; }
        default_action = add(k);
        const entries = { 8w0: add(100); 8w1: add(200); }
    }
    apply {
        t.apply();
        if (twice) { x = x * 2; }
    }
}

control I(inout headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {
    Inc(k = 2, twice = true) one;
    Inc(5, false) two;
    Adder<bit<8>>(9) ad;
    pair2<bit<8>, pair<bit<16>, bool>> nest;
    apply {
        hdr.p.y = pick(hdr.p.x > 100, hdr.p.y, m.q.first);
        m.q.second = pick<bit<16>>(hdr.v.a > 0, hdr.p.z, 16w7);
        hdr.p.z = sum({ hdr.p.x, m.q.second }) + sum(m.q);
        exchange(hdr.w.b, hdr.v.b);
        exchange(hdr.p.x, hdr.p.y);
        one.apply(hdr.p.x, hdr.p.y);
        two.apply(x = hdr.w.b, by = 1);
        nest = { 1, mk(hdr.p.z, hdr.p.x == 3) };
        if (nest.second.second || nest.second.first == 0) { ad.apply(hdr.v.b); }
        nest.second = mk(16w4, false);
        if (nest == { 8w1, { 16w4, false } }) { hdr.w.a = hdr.w.a + 1; }
    }
}

#include "include/rest.p4"
