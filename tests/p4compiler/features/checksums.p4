// Checksums that are verified and updated, with conditions and with the payload.
#include <core.p4>
#include <v1model.p4>

header h_t {
    bit<8> a;
    bit<8> b;
    bit<16> c;
    bit<32> d;
    bit<16> sum;
    bit<16> psum;
    bit<4> x;
    bit<4> y;
    bit<16> s3;
}

struct headers_t { h_t h; }
struct meta_t { bit<16> m; bool go; }

parser P(packet_in p, out headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {
    state start { p.extract(hdr.h); m.go = hdr.h.a == 1; transition accept; }
}
#define VERIFY

control V(inout headers_t hdr, inout meta_t m) {
    apply {
        verify_checksum(m.go && hdr.h.isValid(), { hdr.h.a, hdr.h.b, hdr.h.c, hdr.h.d }, hdr.h.sum, HashAlgorithm.csum16);
        verify_checksum_with_payload(hdr.h.b == 5, { hdr.h.a, hdr.h.b, hdr.h.c, hdr.h.d }, hdr.h.psum, HashAlgorithm.csum16);
    }
}

control I(inout headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {
    apply { hdr.h.x = sm.checksum_error == 1 ? 4w1 : 0; hdr.h.y = (bit<4>)hdr.h.c[2:0]; m.m = hdr.h.c; }
}
#define UPDATE

control U(inout headers_t hdr, inout meta_t m) {
    apply {
        update_checksum(true, { hdr.h.a, hdr.h.b, hdr.h.c, hdr.h.d, hdr.h.x, hdr.h.y }, hdr.h.sum, HashAlgorithm.csum16);
        update_checksum_with_payload(hdr.h.a != 3, { hdr.h.a, hdr.h.b, hdr.h.x, hdr.h.y, m.m, 16w7 }, hdr.h.psum, HashAlgorithm.csum16);
        update_checksum(m.go, { hdr.h.sum, hdr.h.psum }, hdr.h.s3, HashAlgorithm.crc16);
    }
}

#include "include/rest.p4"
