// What a packet asks of the queues, and what it met there: to the port and priority that it names, with the queueing metadata in it.
#include <core.p4>
#include <v1model.p4>

header wish_t { bit<16> port; bit<8> priority; bit<8> number; }
header report_t { bit<32> enq_timestamp; bit<32> enq_qdepth; bit<32> deq_timedelta; bit<32> deq_qdepth; }
struct headers_t { wish_t wish; report_t report; }
struct metadata_t { }

parser packet_parser(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    state start { packet.extract(hdr.wish); transition accept; }
}
control none(inout headers_t hdr, inout metadata_t meta) { apply { } }
control ingress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        std.egress_spec = (bit<9>)hdr.wish.port;
        std.priority = (bit<3>)hdr.wish.priority;
        if (hdr.wish.number == 255) {
            clone(CloneType.I2E, 5);
        }
    }
}
control egress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        hdr.report.setValid();
        hdr.report.enq_timestamp = std.enq_timestamp;
        hdr.report.enq_qdepth = (bit<32>)std.enq_qdepth;
        hdr.report.deq_timedelta = std.deq_timedelta;
        hdr.report.deq_qdepth = (bit<32>)std.deq_qdepth;
    }
}
control packet_deparser(packet_out packet, in headers_t hdr) { apply { packet.emit(hdr.wish); packet.emit(hdr.report); } }

V1Switch(packet_parser(), none(), ingress(), egress(), none(), packet_deparser()) main;
