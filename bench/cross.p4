// Two ports, crossed over: frames go through as they are. For TCP between two Linux stacks.
#include <core.p4>
#include <v1model.p4>

struct headers_t { }
struct metadata_t { }

parser empty_parser(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    state start { transition accept; }
}
control none(inout headers_t hdr, inout metadata_t meta) { apply { } }
control ingress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        if (std.ingress_port == 0) { std.egress_spec = 1; } else { std.egress_spec = 0; }
    }
}
control egress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) { apply { } }
control empty_deparser(packet_out packet, in headers_t hdr) { apply { } }

V1Switch(empty_parser(), none(), ingress(), egress(), none(), empty_deparser()) main;
