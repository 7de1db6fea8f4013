// Every way that a packet can take, as the packet itself asks for it: `order.ways` says which, the other fields how.
#include <core.p4>
#include <v1model.p4>

@controller_header("packet_in")
header packet_in_t { bit<9> ingress_port; bit<7> reason; bit<16> note; }

@controller_header("packet_out")
header packet_out_t { bit<9> egress_port; bit<7> padding; }

header order_t {
    bit<1> clone; bit<1> clone_egress; bit<1> resubmit; bit<1> recirculate; bit<1> multicast; bit<1> drop; bit<1> learn;
    bit<1> cut;
    bit<1> keep; bit<1> keep_more; bit<1> no_list; bit<1> egress_drop; bit<1> to_cpu; bit<1> late_spec; bit<1> two_clones;
    bit<1> meter;
    bit<8> session; bit<8> rounds; bit<16> group; bit<8> length; bit<8> index; bit<32> value;
}

header report_t {
    bit<8> rounds_seen; bit<32> kept; bit<16> kept_more; bit<8> instance_type; bit<16> rid; bit<9> ingress_port;
    bit<9> egress_port; bit<9> spec; bit<5> parser_error; bit<32> length; bit<8> checksum_error;
  bit<32> register_value; bit<8> colour; bit<8> direct_colour; bit<8> passes;
}

struct headers_t { packet_in_t packet_in; packet_out_t packet_out; order_t order; report_t report; }

struct metadata_t {
    @field_list(1, 2) bit<8> rounds;
    @field_list(2) bit<32> kept;
    @field_list(2, 3) bit<16> kept_more;
    bit<32> lost;
    bit<2> colour;
    bit<2> direct_colour;
}

struct learned_t { bit<8> index; bit<32> value; bit<9> port; bit<7> odd; bit<1> flag; }
struct also_learned_t { bit<16> group; }

parser packet_parser(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    state start { transition select(std.ingress_port) { 500: from_cpu; default: order; } }
    state from_cpu { packet.extract(hdr.packet_out); transition order; }
    state order { packet.extract(hdr.order); packet.extract(hdr.report); transition accept; }
}

control none(inout headers_t hdr, inout metadata_t meta) { apply { } }

control ingress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    register<bit<32>>(8) sums;
    register<bit<77>>(4) odd_cells;
    register<int<16>>(4) signed_cells;
    counter(8, CounterType.packets_and_bytes) seen;
    counter(8, CounterType.bytes) seen_bytes;
    meter(8, MeterType.packets) by_packet;
    meter(8, MeterType.bytes) by_byte;
    direct_meter<bit<2>>(MeterType.packets) limits;
    direct_counter(CounterType.packets_and_bytes) limited;

    action metered() { limits.read(meta.direct_colour); limited.count(); }
    action pass() { limited.count(); }
    table limit {
        key = { hdr.order.index: exact; }
        actions = { metered; pass; }
        default_action = pass();
        meters = limits;
        counters = limited;
        size = 16;
    }

    apply {
        bit<32> slot = (bit<32>)hdr.order.index[2:0];
        if (!hdr.order.isValid()) { std.egress_spec = 3; exit; }
        hdr.report.passes = hdr.report.passes + 1;
        hdr.report.length = std.packet_length;
        hdr.report.ingress_port = std.ingress_port;
        hdr.report.parser_error = (std.parser_error == error.NoError) ? 5w0 : 5w1;
        std.egress_spec = (bit<9>)hdr.order.value[1:0];
        if (hdr.packet_out.isValid()) { std.egress_spec = hdr.packet_out.egress_port; hdr.packet_out.setInvalid(); }

        seen.count(slot);
        seen_bytes.count(slot);
        bit<32> sum;
        sums.read(sum, slot);
        sum = sum + hdr.order.value;
        sums.write(slot, sum);
        bit<77> cell;
        odd_cells.read(cell, slot & 3);
        // Of copies that go round, any may be the first.
        if (std.instance_type == 0) { hdr.report.register_value = sum ^ cell[76:45]; }
        odd_cells.write(slot & 3, cell ^ (hdr.order.value ++ hdr.order.group ++ hdr.order.session ++ 21w7));
        int<16> small;
        signed_cells.read(small, slot & 3);
        signed_cells.write(slot & 3, small - (int<16>)hdr.order.group);

        if (hdr.order.meter == 1 && std.instance_type == 0) {
            by_packet.execute_meter(slot, meta.colour);
            hdr.report.colour[1:0] = meta.colour;
            by_byte.execute_meter(slot, meta.colour);
            hdr.report.colour[5:4] = meta.colour;
            limit.apply();
            hdr.report.direct_colour = (bit<8>)meta.direct_colour;
        }

        if (hdr.order.keep == 1) { meta.kept = hdr.order.value; }
        if (hdr.order.keep_more == 1) { meta.kept_more = hdr.order.group; }
        meta.lost = hdr.order.value;

        if (hdr.order.learn == 1) {
            digest<learned_t>(1, { hdr.order.index, hdr.order.value, std.ingress_port, -hdr.order.value[6:0],
                hdr.order.keep });
        }
        if (hdr.order.cut == 1) { truncate((bit<32>)hdr.order.length); }
        if (hdr.order.clone == 1) {
            if (hdr.order.no_list == 1) { clone(CloneType.I2E, (bit<32>)hdr.order.session); }
            else { clone_preserving_field_list(CloneType.I2E, (bit<32>)hdr.order.session, 2); }
        }
        if (hdr.order.two_clones == 1) { clone_preserving_field_list(CloneType.I2E, (bit<32>)hdr.order.session ^ 1, 3); }
        if (hdr.order.multicast == 1) { std.mcast_grp = hdr.order.group & 7; }
        if (hdr.order.resubmit == 1 && meta.rounds < (hdr.order.rounds & 3)) {
            meta.rounds = meta.rounds + 1;
            if (hdr.order.no_list == 1) { resubmit_preserving_field_list(1); } else { resubmit_preserving_field_list(2); }
        }
        if (hdr.order.drop == 1) { mark_to_drop(std); }
        if (hdr.order.late_spec == 1) { std.egress_spec = 1; }
        if (hdr.order.to_cpu == 1) { std.egress_spec = 500; }
    }
}

control egress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    counter(8, CounterType.packets) left;
    apply {
        left.count((bit<32>)std.egress_port[2:0]);
        if (hdr.order.isValid()) {
            hdr.report.rounds_seen = meta.rounds;
            hdr.report.kept = hdr.report.kept ^ meta.kept ^ meta.lost;
            hdr.report.kept_more = hdr.report.kept_more ^ meta.kept_more;
            hdr.report.instance_type = (bit<8>)std.instance_type;
            hdr.report.rid = std.egress_rid;
            hdr.report.egress_port = std.egress_port;
            hdr.report.spec = std.egress_spec;
            hdr.report.checksum_error = (bit<8>)std.checksum_error;
            hdr.report.length = hdr.report.length ^ (std.packet_length << 16);
            if (hdr.order.clone_egress == 1 && std.instance_type != 2) {
                clone_preserving_field_list(CloneType.E2E, (bit<32>)hdr.order.session, 2);
            }
            if (hdr.order.egress_drop == 1 && std.instance_type == 0) { mark_to_drop(std); }
            if (hdr.order.recirculate == 1 && meta.rounds < (hdr.order.rounds & 3) && std.instance_type != 2 && std.egress_port != 500) {
                meta.rounds = meta.rounds + 1;
                hdr.order.clone = 0;
                hdr.order.two_clones = 0;
                hdr.order.multicast = 0;
                if (hdr.order.no_list == 1) { recirculate_preserving_field_list(1); }
                else { recirculate_preserving_field_list(2); }
            }
        }
        if (std.egress_port == 500) {
            hdr.packet_in.setValid();
            hdr.packet_in.ingress_port = std.ingress_port;
            hdr.packet_in.reason = 5;
            hdr.packet_in.note = hdr.order.group;
        }
    }
}

control packet_deparser(packet_out packet, in headers_t hdr) {
    apply { packet.emit(hdr.packet_in); packet.emit(hdr.order); packet.emit(hdr.report); }
}

V1Switch(packet_parser(), none(), ingress(), egress(), none(), packet_deparser()) main;
