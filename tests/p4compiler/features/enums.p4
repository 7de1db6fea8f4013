// Enumerations with and without values, new types, errors: in select, switch, keys and entries.
#include <core.p4>
#include <v1model.p4>

enum bit<8> Op { Nop = 0, Add = 1, Sub = 2, Big = 5, Also = 5 }
enum bit<4> Q { A = 1, B = 2, C = 3 }
enum int<8> Sg { M = -1, Z = 0, P = 1 }
enum Plain { X, Y, Z }
type bit<8> port8_t;
typedef bit<8> b8;
type b8 other_t;

header h_t {
    Op op;
    Q q;
    bit<4> r;
    port8_t pt;
    Sg s;
    bit<8> z;
    other_t o;
}

struct headers_t { h_t h; }
struct meta_t { Plain p; Op last; error e; }

parser P(packet_in p, out headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {
    state start {
        p.extract(hdr.h);
        m.p = Plain.X;
        m.e = error.NoMatch;
        transition select(hdr.h.op, hdr.h.q) {
            (Op.Add, Q.A): y;
            (Op.Sub, _): z;
            (Op.Nop, Q.C): rej;
            default: accept;
        }
    }
    state y { m.p = Plain.Y; transition accept; }
    state z {
        m.p = Plain.Z;
        transition select(hdr.h.s) { Sg.M: y; default: accept; }
    }
    state rej { transition reject; }
}

control I(inout headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {
    action set(Op o, port8_t q) { hdr.h.op = o; hdr.h.pt = q; }
    action code(bit<8> c) { hdr.h.z = c; }
    table t {
        key = { hdr.h.op : exact; hdr.h.q : ternary; hdr.h.pt : ternary; }
        actions = { set; code; NoAction; }
        const default_action = NoAction();
        const entries = {
            (Op.Add, Q.A, _): set(Op.Big, (port8_t)8w7);
            (Op.Sub, Q.B, (port8_t)8w5): code(4);
            (Op.Sub, _, _): code(9);
            (Op.Nop, Q.A, _) : set(Op.Sub, (port8_t)(b8)1);
            (Op.Big, _, _): code(77);
        }
    }
    apply {
        m.last = hdr.h.op;
        switch (t.apply().action_run) {
            set: { hdr.h.o = (other_t)(b8)0x55; }
            code: { hdr.h.o = (other_t)hdr.h.z; }
            default: { hdr.h.o = (other_t)(bit<8>)hdr.h.op; }
        }
        if (m.p == Plain.Y) { hdr.h.r = 1; }
        else if (m.p == Plain.Z) { hdr.h.r = 2; }
        else if (m.p == Plain.X) { hdr.h.r = 3; }
        switch (hdr.h.s) {
            Sg.M: { hdr.h.z = 0xa0; }
            Sg.Z: Sg.P: { hdr.h.z = 0xa1; }
        }
        switch (m.last) {
            Op.Add: Op.Sub: { hdr.h.z = hdr.h.z + 1; }
            Op.Big: { hdr.h.z = 0; }
            default: { hdr.h.z = hdr.h.z + 2; }
        }
        if (m.e == sm.parser_error) { hdr.h.z = 0xff; }
        if ((bit<8>)hdr.h.pt > 100 && (b8)(bit<8>)hdr.h.o != 3) { hdr.h.q = (Q)(bit<4>)2; }
        hdr.h.s = (Sg)(int<8>)(bit<8>)hdr.h.pt;
    }
}

#include "include/rest.p4"
