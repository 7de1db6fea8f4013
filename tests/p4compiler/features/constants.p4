// Constants computed by the compiler: precedence, widths, wrapping, saturation, casts.
#include <core.p4>
#include <v1model.p4>

const bool ok1 = static_assert(8 == 2 * 4, "arith");
const int A = 1 << 3 | 5 & 6 ^ 2;
const int B = 17 / 5;
const int C = 0 - (7 % 3);
const bit<8> DD = 8w200 + 100;
const int<8> E0 = -8s128;
const bool F = A > 5 && !(B == -3) || false;
const int G = 3;
const bit<16> H = 8w1 ++ 8w2;
const bit<4> S = H[9:6];
const bit<8> T8 = (bit<8>)E0 >> 2;
const int<8> U8 = E0 >> 2;
const bit<8> SAT = 8w250 |+| 8w10;
const int MX = G * 1000000000000000000000 % 97;

header h_t {
    bit<(A + 3)> a;
    bit<8> b;
    bit<7> pad;
    bit<16> c;
    bit<8> d;
    bit<64> e;
}

struct headers_t { h_t h; }
struct meta_t { bit<8> m; }

parser P(packet_in p, out headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {
    state start { p.extract(hdr.h); transition accept; }
}

control I(inout headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {
    apply {
        hdr.h.c = H + (bit<16>)DD;
        hdr.h.b = T8 + (bit<8>)U8 + SAT;
        hdr.h.d = (bit<8>)MX + (bit<8>)S + (F ? 8w16 : 8w32);
        hdr.h.a = (bit<(A + 3)>)(A * 2) - 1;
        hdr.h.e = hdr.h.e & 0xff00ff00ff00ff00 | (64w1 << 63) >> 1 ^ ~64w0 >> 60;
        if (hdr.h.e != 0 == true) { hdr.h.e[3:0] = 4w7 - hdr.h.e[7:4] * 3; }
        if (F == (hdr.h.d < 40)) { hdr.h.c = hdr.h.c - 0x102; }
    }
}

#include "include/rest.p4"
