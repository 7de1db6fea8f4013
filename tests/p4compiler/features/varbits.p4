// Fields of variable length: extraction, swapping, comparison, checksum over them.
#include <core.p4>
#include <v1model.p4>

header k_t { bit<8> n; bit<8> n2; }
header v_t { bit<8> a; varbit<72> data; bit<8> z; }
header w_t { varbit<128> data; }

struct headers_t {
    k_t k;
    v_t v;
    v_t v2;
    w_t w;
}

struct meta_t { bit<16> c; }
error { Long }

parser P(packet_in p, out headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {
    state start {
        p.extract(hdr.k);
        verify(hdr.k.n < 11, error.Long);
        p.extract(hdr.v, (bit<32>)(hdr.k.n << 3));
        transition select(hdr.k.n2) { 0: accept; 1 .. 4: two; default: three; }
    }
    state two { p.extract(hdr.v2, 8 * (bit<32>)hdr.k.n2); transition three; }
    state three { p.extract(hdr.w, (bit<32>)hdr.k.n2 * 8); transition accept; }
}

control I(inout headers_t hdr, inout meta_t m, inout standard_metadata_t sm) {
    apply {
        if (sm.parser_error == error.HeaderTooShort) { hdr.k.n = 0xa1; }
        else if (sm.parser_error == error.PacketTooShort) { hdr.k.n = 0xa2; }
        else if (sm.parser_error == error.Long) { hdr.k.n = 0xa3; }
        else if (sm.parser_error == error.ParserInvalidArgument) { hdr.k.n = 0xa4; }
        else if (sm.parser_error != error.NoError) { hdr.k.n = 0xa5; }
        if (hdr.v.isValid() && hdr.v2.isValid()) {
            v_t t = hdr.v;
            hdr.v = hdr.v2;
            hdr.v2 = t;
            if (hdr.v == hdr.v2) { hdr.v.z = 0x33; }
        }
    }
}
#define UPDATE

control U(inout headers_t hdr, inout meta_t m) {
    apply { update_checksum(hdr.w.isValid(), { hdr.w.data, hdr.k.n2, hdr.k.n }, m.c, HashAlgorithm.csum16); }
}

#include "include/rest.p4"
