// Signed values wherever they come from: packets, look-aheads, action data, registers, keys.
#define V1MODEL_VERSION 20200408
#include <core.p4>
#include <v1model.p4>

header h_t {
    bit<8> op;
    int<8> a;
    int<16> b;
    int<8> c;
    bit<8> z;
    int<5> d;
    int<11> e;
    int<8> f;
}

header s_t { int<8> v; }
struct headers_t { h_t h; s_t[3] s; }

struct meta_t {
    int<8> la;
    int<7> odd;
    bit<8> q;
    int<16> hs;
    tuple<int<8>, int<16>> t;
}

struct pk_t { int<3> x; int<13> y; }

parser P(packet_in p, out headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {
    state start {
        p.extract(hdr.h);
        m.la = p.lookahead<int<8>>();
        m.q = 0;
        m.odd = (int<7>)(p.lookahead<bit<7>>());
        pk_t k = p.lookahead<pk_t>();
        m.hs = (int<16>)k.x + (int<16>)k.y;
        m.t = p.lookahead<tuple<int<8>, int<16>>>();
        p.extract(hdr.s.next);
        p.extract(hdr.s.next);
        transition select(hdr.h.a, m.la) {
            (-1, _): one;
            (-128 .. -5, _): two;
            (_, 8s100): three;
            (_, -100 .. -1): four;
            default: accept;
        }
    }
    state one { m.q = 1; transition accept; }
    state two { m.q = 2; transition accept; }
    state three { m.q = 3; transition accept; }
    state four { m.q = 4; transition accept; }
}

control I(inout headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {
    register<int<7>, bit<32>>(4) r;
    int<8> v = 0;
    int<7> u = 0;
    action set(int<8> w) {
        v = w;
        if (w < 0) { hdr.h.z = 1; }
        hdr.h.b = (int<16>)w;
        hdr.h.c = w >> 1;
    }
    action put(int<5> w, int<11> y) { hdr.h.d = w; hdr.h.e = y + (int<11>)w; m.odd = (int<7>)w; }
    action nop() { }
    table t {
        key = { hdr.h.op : exact; }
        actions = { set; put; nop; }
        default_action = nop;
        const entries = {
            0: set(-3);
            1: put(-1, -1000);
            2: set(100);
            3: put(15, 1023);
        }
    }
    table k {
        key = { hdr.h.a : ternary; m.la : range; }
        actions = { set; nop; }
        default_action = set(-128);
        const entries = { (-1, _): set(-7); (_, -20 .. -1): set(5); (_, -128 .. -21): nop(); }
    }
    apply {
        t.apply();
        if (hdr.h.op == 2) { k.apply(); }
        if (hdr.h.op == 3) {
            r.write(0, (int<7>)hdr.h.a[6:0]);
            r.read(u, 0);
            hdr.h.b = (int<16>)u;
            if (u < -3) { hdr.h.z = 0x22; }
            hdr.h.c = (int<8>)u + 1;
        }
        if (hdr.h.op == 4) {
            hdr.h.c = m.la >> 1;
            hdr.h.b = m.hs >> 2;
            if (m.la < 0 && m.odd < 0) { hdr.h.z = 0x33; }
            if (m.t[1] < m.hs) { hdr.h.f = m.t[0] >> 3; }
        }
        if (hdr.h.op == 5) {
            int<16> hh;
            bit<16> hb;
            hash(hb, HashAlgorithm.crc16, 16w0, { hdr.h.a }, 32w65536);
            hh = (int<16>)hb;
            hdr.h.b = hh >> 3;
            if (hh < 0) { hdr.h.z = 0x44; }
        }
        hdr.h.f = hdr.h.f + v + hdr.s[m.q[0:0]].v;
        hdr.s[m.q[0:0]].v = hdr.s[m.q[0:0]].v >> 1;
        int<8> ff = hdr.h.z == 0 ? v : hdr.h.a;
        hdr.h.a = ff >> 1;
        if (hdr.s[1].v > ff) { hdr.h.z = hdr.h.z + (bit<8>)(bit<4>)(int<4>)hdr.h.e[10:7]; }
    }
}

#include "include/rest.p4"
