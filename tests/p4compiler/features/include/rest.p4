// The parts of a v1model program that the including file has not defined (it says so by VERIFY, EGRESS, UPDATE), and main.
#ifndef VERIFY
control V(inout headers_t hdr, inout meta_t m) { apply { } }
#endif
#ifndef EGRESS
control E(inout headers_t hdr, inout meta_t m, inout standard_metadata_t sm) { apply { } }
#endif
#ifndef UPDATE
control U(inout headers_t hdr, inout meta_t m) { apply { } }
#endif
control D(packet_out p, in headers_t hdr) { apply { p.emit(hdr); } }
V1Switch(P(), V(), I(), E(), U(), D()) main;
