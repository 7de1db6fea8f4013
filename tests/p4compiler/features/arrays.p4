// Arrays of bits and structures: in headers, metadata, variables and parameters, by constant and computed indices.
#include <core.p4>
#include <v1model.p4>

struct pair_t { bit<8> x; bit<4>[2] halves; }

header h_t {
    bit<8> i;
    bit<8> j;
    bit<8>[5] a;
    pair_t[3] p;
    bit<8>[2][2] grid;
    bit<16> out1;
    bit<16> out2;
    bit<8> out3;
}

header s_t { bit<8>[2] v; }
struct headers_t { h_t h; s_t[2] s; }
struct meta_t { bit<16>[4] w; pair_t[2] q; }

parser P(packet_in p, out headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {
    state start {
        bit<8>[3] ahead = p.lookahead<bit<8>[3]>();
        p.extract(hdr.h);
        m.w[ahead[0] & 3] = (bit<16>)ahead[2];
        transition select(hdr.h.a[hdr.h.i]) { 0: accept; default: more; }
    }
    state more {
        p.extract(hdr.s.next);
        transition accept;
    }
}

bit<8> total(in bit<8>[5] values) {
    bit<8> result = 0;
    for (bit<8> value in values) { result = result + value; }
    return result;
}

void bump(inout bit<8> value) { value = value + 1; }

void rotate(inout bit<8>[5] values) {
    values = { values[1], values[2], values[3], values[4], values[0] };
}

control I(inout headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {
    const bit<16>[4] powers = { 1, 10, 100, 1000 };
    bit<8>[5] copy = hdr.h.a;
    register<bit<8>>(4) r;
    action put(bit<8> at, bit<8> value) { hdr.h.a[at] = value; }
    table t {
        key = { hdr.h.grid[0][0] : exact; hdr.h.a[hdr.h.j] : ternary @name("chosen"); }
        actions = { put; NoAction; }
        default_action = NoAction;
        const entries = { (1, _): put(4, 0x44); (2, 0x10 &&& 0xf0): put(9, 0x99); (3, _): put(0, 0x11); }
    }
    apply {
        hdr.h.out1 = powers[hdr.h.i] + m.w[hdr.h.j];
        rotate(copy);
        bump(copy[hdr.h.i]);
        bump(hdr.h.p[hdr.h.j].x);
        hdr.h.p[hdr.h.i].halves[hdr.h.j] = hdr.h.p[1].halves[hdr.h.i];
        hdr.h.a[hdr.h.j][6:3] = hdr.h.i[3:0];
        t.apply();
        hdr.h.grid[hdr.h.i][hdr.h.j] = hdr.h.grid[hdr.h.j][hdr.h.i] + 1;
        pair_t chosen = hdr.h.p[hdr.h.i];
        m.q[hdr.h.j] = chosen;
        m.q[0].halves = m.q[1].halves;
        hdr.h.out2 = m.q[0].x ++ m.q[1].halves[0] ++ m.q[0].halves[1];
        if (hdr.h.a == copy) { hdr.h.out2 = 0xffff; }
        hdr.h.out3 = total(copy);
        r.write(0, copy[hdr.h.j]);
        r.read(hdr.h.a[hdr.h.i], 0);
        hdr.h.a[hdr.h.a[0]] = hdr.h.a[0] + 1;
        hash(hdr.h.out1[7:0], HashAlgorithm.crc32, 8w0, { hdr.h.grid }, 8w255);
        hdr.s[hdr.h.i].v[hdr.h.j] = hdr.s[0].v[1] + 1;
    }
}

#include "include/rest.p4"
