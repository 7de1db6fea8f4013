// Tables: every match kind, priorities of entries, hit, miss and action_run, keys that are computed.
#include <core.p4>
#include <v1model.p4>

header h_t {
    bit<8> a;
    bit<8> b;
    bit<16> c;
    bit<32> d;
    bit<4> e;
    bit<4> f;
    int<8> s;
    bool t;
    bit<7> pad;
}

header o_t {
    bit<8> r1;
    bit<8> r2;
    bit<8> r3;
    bit<8> r4;
    bit<8> r5;
    bit<8> r6;
    bit<8> r7;
    bit<8> r8;
}

struct headers_t { h_t h; o_t o; }
struct meta_t { bit<8> m; }

parser P(packet_in p, out headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {
    state start { p.extract(hdr.h); transition accept; }
}

control Nested(inout headers_t hdr, in bit<8> k, out bool didhit) {
    action mark(bit<8> v) { hdr.o.r8 = hdr.o.r8 + v; }
    table n {
        key = { k : exact; }
        actions = { mark; NoAction; }
        const entries = {
            1: mark(1);
            2: mark(2);
            3: mark(4);
            4: NoAction();
        }
        default_action = mark(128);
    }
    apply { didhit = n.apply().hit; }
}

control I(inout headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {
    bit<8> loc = 0;
    bool hit1;
    Nested() na;
    Nested() nb;
    action put(bit<8> v) { loc = v; }
    action put2(in bit<8> w, bit<8> v) { loc = v ^ w; }
    @name("renamed") action third(inout bit<8> z, bit<8> v) { z = z + v; }
    action none() { }
    table ex {
        key = { hdr.h.a[1:0] : exact @name("lowa"); hdr.h.t : exact; }
        actions = { put; put2(hdr.h.b); @defaultonly none; }
        default_action = none;
        const entries = {
            (0, true): put(1);
            (1, false) : put2(hdr.h.b, 2);
            (2, true): put(3);
            (3, false): put2(hdr.h.b, 4);
        }
    }
    table lp {
        key = { hdr.h.d : lpm; }
        actions = { put; none; }
        default_action = put(9);
        const entries = {
            0 &&& 0x80000000: put(10);
            0x80000000 &&& 0xc0000000: put(11);
            0xc0000000 &&& 0xf0000000: put(12);
            0 &&& 0: put(13);
            0x01000000 &&& 0xff000000: put(14);
        }
    }
    table te {
        key = { hdr.h.a : ternary; hdr.h.b : ternary; }
        actions = { put; none; third(hdr.o.r3); }
        const entries = {
            (0x10 &&& 0xf0, _): put(1);
            (_, 0x03 &&& 3): put(2);
            (0x20 &&& 0x20, 0 &&& 1): third(hdr.o.r3, 3);
            (_, _) : none();
        }
    }
    table ra {
        key = { hdr.h.c : range; hdr.h.e : exact; }
        actions = { put; none; }
        largest_priority_wins = false;
        priority_delta = 10;
        entries = {
            const priority = 30: (0 .. 0x7fff, 1): put(1);
            (0x4000 .. 0xffff, 1): put(2);
            priority = 5: (0x6000 .. 0x6fff, 1): put(3);
            (1, 2): put(4);
            (_, 2): put(5);
            (0xff .. 0xfff, 3): put(6);
        }
    }
    table ra2 {
        key = { hdr.h.c : range; hdr.h.e : ternary; }
        actions = { put; none; }
        entries = {
            const priority = 30: (0 .. 0x7fff, _): put(1);
            priority = 40: (0x4000 .. 0xffff, 1 &&& 1): put(2);
            (0x6000 .. 0x6fff, 1): put(3);
            (1, 2): put(4);
            priority = 1: (_, 2): put(5);
        }
        default_action = put(0x77);
    }
    table op {
        key = { hdr.h.f : optional; hdr.h.a : optional; }
        actions = { put; none; }
        const entries = {
            (1, _): put(1);
            (_, 4): put(2);
            (3, 200): put(3);
            (_, _) : put(4);
        }
    }
    table sg {
        key = { hdr.h.s : exact; hdr.o.isValid() : exact; }
        actions = { put; none; }
        const entries = {
            (-1, true): put(1);
            (5, true): put(2);
            (-128, true) : put(3);
            (0, false): put(4);
        }
        const default_action = none();
    }
    table exprk {
        key = {
            hdr.h.a + hdr.h.b : exact @name("sum");
            hdr.h.c & 0xff : ternary @name("lowc");
            hdr.h.d[31:28] ++ hdr.h.f : lpm @name("cat");
        }
        actions = { put; none; }
        const entries = { (3, _, 0x80 &&& 0x80): put(3); (4, 5 &&& 7, 0 &&& 0x80): put(4); (5, 1, _): put(7); }
        default_action = none;
    }
    table nokey {
        actions = { third(hdr.o.r7); }
        default_action = third(hdr.o.r7, 5);
    }
    apply {
        hdr.o.setValid();
        hdr.o = { 0,0,0,0,0,0,0,0 };
        if (ex.apply().hit) { hdr.o.r1 = loc; }
        else { hdr.o.r1 = 0xff; }
        lp.apply();
        hdr.o.r2 = loc;
        loc = 0;
        switch (te.apply().action_run) {
            put: { hdr.o.r3 = loc; }
            third: { hdr.o.r3 = hdr.o.r3 + 64; }
            none: { }
        }
        hit1 = ra.apply().hit;
        hdr.o.r4 = loc;
        if (!hit1) { hdr.o.r4 = 0xee; }
        if (ra2.apply().miss) { loc = loc + 1; }
        hdr.o.r5 = loc;
        loc = 0;
        op.apply();
        hdr.o.r6 = loc;
        loc = 0;
        sg.apply();
        exprk.apply();
        hdr.o.r7 = loc;
        nokey.apply();
        bool x;
        bool y;
        na.apply(hdr, hdr.h.a & 7, x);
        nb.apply(hdr, hdr.h.b & 7, y);
        if (x && !y) { hdr.o.r8 = hdr.o.r8 | 0x40; }
    }
}

#include "include/rest.p4"
