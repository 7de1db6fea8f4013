// Sub-parsers, select over several keys, ranges and masks, lookahead, advance, verify, reject.
#include <core.p4>
#include <v1model.p4>

error { Odd, TooMany }
header k_t { bit<8> k; }
header l_t { bit<16> a; bit<8> b; }
header m_t { bit<4> hi; bit<4> lo; bit<24> rest; }

struct headers_t {
    k_t k;
    l_t l;
    l_t l2;
    m_t m;
    k_t[5] ks;
    k_t r;
}

struct meta_t { bit<8> count; bit<16> la; bit<8> path; }
struct tmp_t { bit<8> x; bit<16> y; }

parser Inner(packet_in p, out l_t l, inout meta_t m)(bit<8> bias) {
    bit<8> loc;
    state start {
        loc = bias;
        p.extract(l);
        transition select(l.b, l.a[7:0]) {
            (0 .. 99, _): low;
            (100, 0): reject;
            (_, 1 .. 50): high;
            default: accept;
        }
    }
    state low { loc = loc + 1; transition fin; }
    state high { loc = loc + 2; transition fin; }
    state fin { m.path = m.path + loc; transition accept; }
}

parser P(packet_in p, out headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {
    Inner(10) i1;
    Inner(20) i2;
    bit<32> n = 0;
    state start {
        m.count = 0;
        m.path = 0;
        p.extract(hdr.k);
        transition select(hdr.k.k) {
            0: s0;
            1: s1;
            2: s2;
            3: s3;
            4: s4;
            5: s5;
            6 &&& 0xfe: s6;
            default: accept;
        }
    }
    state s0 { i1.apply(p, hdr.l, m); transition s0b; }
    state s0b { i2.apply(p, hdr.l2, m); transition accept; }
    state s1 {
        m.la = p.lookahead<bit<16>>();
        tmp_t t = p.lookahead<tmp_t>();
        m.path = t.x;
        m.la = m.la + t.y;
        p.advance(12);
        p.advance(4);
        p.extract(hdr.m);
        transition accept;
    }
    state s2 {
        p.extract(hdr.ks.next);
        n = n + 1;
        m.count = m.count + hdr.ks.last.k;
        verify(m.count < 250, error.TooMany);
        transition select(hdr.ks.last.k[0:0], n) { (1, 0 .. 3): s2; (1, _): s5; default: accept; }
    }
    state s3 {
        p.extract(hdr.m);
        verify(hdr.m.hi != hdr.m.lo, error.Odd);
        transition select(hdr.m.hi, hdr.m.lo, hdr.m.rest) {
            (1, 2, 3): reject;
            (4w8 &&& 4w8, 0 .. 7, _): s5;
            (_, _, 0 .. 0xffff): s0;
            default: s3b;
        }
    }
    state s3b { m.path = 2; transition accept; }
    state s4 { p.extract<k_t>(_); p.extract<l_t>(_); transition s5; }
    state s5 {
        p.extract(hdr.r);
        transition select((bit<1>)(hdr.r.k > 100)) { 1: s5a; 0: accept; }
    }
    state s5a {
         { bit<8> q = hdr.r.k; q = q - 100; m.path = q; }
        transition select(m.path == 3, hdr.r.k) { (true, _): reject; (false, 150): s1; (_, _): accept; }
    }
    state s6 {
        transition select(p.lookahead<bit<4>>()) {
            0 .. 3: s5;
            4: s4;
            5: s3;
            6: s2;
            7: s1;
        }
    }
}

control I(inout headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {
    apply {
        hdr.k.k = m.path;
        if (sm.parser_error == error.NoMatch) { hdr.k.k = 0xe0; }
        else if (sm.parser_error == error.TooMany) { hdr.k.k = 0xe1; }
        else if (sm.parser_error == error.Odd) { hdr.k.k = 0xe2; }
        else if (sm.parser_error == error.PacketTooShort) { hdr.k.k = 0xe3; }
        else if (sm.parser_error == error.StackOutOfBounds) { hdr.k.k = 0xe4; }
        else if (sm.parser_error != error.NoError) { hdr.k.k = 0xe5; }
        if (hdr.r.isValid()) { hdr.r.k = m.count; }
        if (hdr.m.isValid()) { hdr.m.rest = (bit<24>)m.la; }
    }
}

#include "include/rest.p4"
