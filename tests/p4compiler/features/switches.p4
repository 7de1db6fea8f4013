// switch on actions and on values, nested, with falling through, return and exit.
#include <core.p4>
#include <v1model.p4>

enum bit<4> N { a = 1, b = 2, c = 3 }

header h_t {
    bit<4> n;
    bit<4> k;
    int<8> s;
    bit<8> r;
    bit<8> q;
    bit<16> w;
    bit<8> z;
}

struct headers_t { h_t h; }
struct meta_t { N n; bit<8> x; }

parser P(packet_in p, out headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {
    state start { p.extract(hdr.h); m.n = (N)hdr.h.n; transition accept; }
}

control I(inout headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {
    action A() { hdr.h.r = 1; }
    action B(bit<8> v) { hdr.h.r = v; }
    action Cc() { hdr.h.r = 3; }
    table t {
        key = { hdr.h.k : ternary; }
        actions = { A; B; Cc; }
        const entries = { 1 &&& 3: A(); 2 &&& 3: B(9); 3 &&& 7: B(10); }
        default_action = Cc();
    }
    table u {
        key = { hdr.h.q[0:0] : exact; }
        actions = { A; Cc; NoAction; }
        const entries = { 0: A(); }
        default_action = NoAction();
    }
    apply {
        switch (t.apply().action_run) {
            A: B: {
                switch (m.n) {
                    N.a: { hdr.h.q = 1; }
                    N.b: N.c: {
                        hdr.h.q = 2;
                        if (hdr.h.s > 0) { return; }
                    }
                    default: { hdr.h.q = hdr.h.q + 3; }
                }
            }
            Cc: {
                switch (hdr.h.s[1:0]) {
                    0: { hdr.h.w = 1; }
                    1: 2: { hdr.h.w = hdr.h.w + 2; }
                    default: { exit; }
                }
            }
        }
        switch (hdr.h.r ++ hdr.h.q) {
            16w0x0901: { hdr.h.z = 1; }
            16w0x0103: 16w0x0102: { hdr.h.z = 2; }
            16w0x0a02: { }
        }
        switch (u.apply().action_run) {
            NoAction: { hdr.h.w[7:0] = 0x7f; }
            default: { hdr.h.w[15:8] = hdr.h.r; }
        }
        switch (hdr.h.s) {
            -1: { hdr.h.z = 3; }
            -128: { hdr.h.z = 4; }
            5: 6: 7: { hdr.h.z = 5; }
        }
    }
}

#include "include/rest.p4"
