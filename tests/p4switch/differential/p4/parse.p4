// Parsers and deparsers: stacks, unions, variable length, value sets, lookahead, verify, checksums, and all errors.
#include <core.p4>
#include <v1model.p4>

error { BadSum, BadTag, BadOption }

header start_t { bit<8> kind; bit<8> count; bit<16> type; }
header tag_t { bit<3> priority; bit<12> number; bit<1> last; }
header small_t { bit<8> selector; bit<8> value; }
header large_t { bit<8> selector; bit<32> value; bit<64> more; }
header odd_t { bit<8> selector; bit<13> first; bit<7> second; int<4> third; }
header_union option_t { small_t small; large_t large; odd_t odd; }
header variable_t { bit<8> length; bit<4> before; varbit<256> data; bit<4> after; }
header second_variable_t { varbit<64> data; }
header sums_t { bit<16> folded; bit<16> crc; bit<32> crc_wide; bit<16> with_payload; bit<8> eight; }
header addresses_t { bit<32> source; bit<32> destination; bit<8> protocol; bit<16> length; }
header verdict_t { bit<8> error_number; bit<1> checksum; bit<7> seen; bit<32> last_tag; bit<16> payload_length; }

struct headers_t {
    start_t start; tag_t[4] tags; option_t option; option_t second; variable_t variable; second_variable_t other;
    sums_t sums; addresses_t addresses; verdict_t verdict;
}
struct metadata_t { bit<8> looked; bit<16> length; }

struct pair_t { bit<8> kind; bit<8> count; }

parser packet_parser(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    value_set<bit<16>>(8) tagged_types;
    value_set<pair_t>(8) pairs;

    state start {
        packet.extract(hdr.start);
        transition select(hdr.start.kind, hdr.start.count) {
            pairs: summed;
            (0x10 &&& 0xf0, _): tags;
            (0x20, 1 .. 3): option;
            (0x21 &&& 0xfd, _): variable;
            (0x30, 0): summed;
            (0x30, _): skip;
            (0x40, 0x80 &&& 0x80): reject;
            (0x41, _): check;
            (0x42, _): by_type;
            (_, 0xff): accept;
        }
    }
    state by_type {
        transition select(hdr.start.type) {
            tagged_types: tags;
            0x0 .. 0xfff: option;
            16w0xf000 &&& 16w0xf000: variable;
        }
    }
    state check {
        verify(hdr.start.count > 3, error.BadTag);
        verify(hdr.start.type[3:0] != hdr.start.type[7:4], error.BadSum);
        transition tags;
    }
    state skip {
        packet.advance((bit<32>)hdr.start.count[3:0] << 3);
        meta.looked = packet.lookahead<bit<8>>();
        transition select(meta.looked) { 0 .. 0x7f: option; default: tags; }
    }
    state tags {
        packet.extract(hdr.tags.next);
        transition select(hdr.tags.last.last, hdr.tags.last.priority) {
            (0, 0 .. 5): tags;
            (0, _): bad_tag;
            (1, 7): variable;
            default: option;
        }
    }
    state bad_tag { verify(false, error.BadTag); transition accept; }
    state option {
        bit<8> selector = packet.lookahead<bit<8>>();
        transition select(selector) {
            0 .. 9: small;
            10 &&& 0xfe: large;
            0x80 &&& 0x80: odd;
            default: accept;
        }
    }
    state small { packet.extract(hdr.option.small); transition second; }
    state large { packet.extract(hdr.option.large); transition second; }
    state odd { packet.extract(hdr.option.odd); transition second; }
    state second {
        bit<16> ahead = packet.lookahead<bit<16>>();
        transition select(ahead) {
            0x0000 &&& 0xff00: second_small;
            0x0100 &&& 0xff00: second_large;
            0x0200 &&& 0xff00: variable;
            default: accept;
        }
    }
    state second_small { packet.extract(hdr.second.small); transition accept; }
    state second_large { packet.extract(hdr.second.large); transition variable; }
    state variable {
        packet.extract(hdr.variable, (bit<32>)(packet.lookahead<bit<8>>()[5:0]) << 3);
        verify(hdr.variable.before != 0xf, error.BadOption);
        transition select(hdr.variable.after) {
            0 .. 3: other;
            default: summed;
        }
    }
    state other {
        packet.extract(hdr.other, (bit<32>)(hdr.variable.length[1:0]) << 4);
        transition summed;
    }
    state summed {
        packet.extract(hdr.sums);
        packet.extract(hdr.addresses);
        transition accept;
    }
}

control check(inout headers_t hdr, inout metadata_t meta) {
    apply {
        verify_checksum(hdr.sums.isValid(), { hdr.addresses.source, hdr.addresses.destination, hdr.addresses.protocol, 8w0,
            hdr.addresses.length }, hdr.sums.folded, HashAlgorithm.csum16);
        verify_checksum(hdr.sums.isValid() && hdr.variable.isValid(), { hdr.variable.length, hdr.variable.before,
            hdr.variable.data, hdr.variable.after }, hdr.sums.crc, HashAlgorithm.crc16);
    }
}

control ingress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    counter(16, CounterType.packets_and_bytes) errors;
    apply {
        std.egress_spec = 3;
        if (hdr.start.isValid()) { std.egress_spec = (bit<9>)hdr.start.count[1:0]; }
        hdr.verdict.setValid();
        hdr.verdict.error_number = 0xff;
        if (std.parser_error == error.NoError) { hdr.verdict.error_number = 0; }
        if (std.parser_error == error.PacketTooShort) { hdr.verdict.error_number = 1; }
        if (std.parser_error == error.NoMatch) { hdr.verdict.error_number = 2; }
        if (std.parser_error == error.StackOutOfBounds) { hdr.verdict.error_number = 3; }
        if (std.parser_error == error.HeaderTooShort) { hdr.verdict.error_number = 4; }
        if (std.parser_error == error.ParserTimeout) { hdr.verdict.error_number = 5; }
        if (std.parser_error == error.ParserInvalidArgument) { hdr.verdict.error_number = 6; }
        if (std.parser_error == error.BadSum) { hdr.verdict.error_number = 7; }
        if (std.parser_error == error.BadTag) { hdr.verdict.error_number = 8; }
        if (std.parser_error == error.BadOption) { hdr.verdict.error_number = 9; }
        errors.count((bit<32>)hdr.verdict.error_number[3:0]);
        hdr.verdict.checksum = std.checksum_error;
        hdr.verdict.seen = (bit<1>)hdr.start.isValid() ++ (bit<1>)hdr.tags[0].isValid() ++ (bit<1>)hdr.option.isValid()
            ++ (bit<1>)hdr.second.isValid() ++ (bit<1>)hdr.variable.isValid() ++ (bit<1>)hdr.other.isValid()
            ++ (bit<1>)hdr.sums.isValid();
        if (hdr.tags[0].isValid()) {
            hdr.verdict.last_tag = hdr.tags[0].priority ++ hdr.tags[0].number ++ hdr.tags[0].last ++ hdr.start.type;
        }
        hdr.verdict.payload_length = std.packet_length[15:0];
        if (!hdr.start.isValid()) { exit; }

        if (hdr.start.type[0:0] == 1) { hdr.tags.push_front(1); hdr.tags[0].setValid(); hdr.tags[0].number = 5; }
        if (hdr.start.type[1:1] == 1) { hdr.tags.pop_front(2); }
        if (hdr.start.type[2:2] == 1) { hdr.tags.push_front(2); }
        if (hdr.start.type[3:3] == 1 && hdr.tags[1].isValid()) { hdr.tags[3] = hdr.tags[1]; }
        if (hdr.start.type[4:4] == 1) { hdr.option.large.setValid(); hdr.option.large.value = 0x01020304; }
        if (hdr.start.type[5:5] == 1) { hdr.option.small.setInvalid(); }
        if (hdr.start.type[6:6] == 1) { hdr.second = hdr.option; }
        if (hdr.start.type[7:7] == 1 && hdr.option.odd.isValid()) {
            hdr.option.odd.third = -hdr.option.odd.third;
            hdr.option.odd.first = hdr.option.odd.first |+| 0x1f0;
            hdr.option.odd.second = hdr.option.odd.second |-| 0x10;
        }
        if (hdr.start.type[8:8] == 1) { hdr.variable.setInvalid(); }
        if (hdr.start.type[9:9] == 1) { hdr.sums.setInvalid(); }
        if (hdr.start.type[10:10] == 1 && hdr.addresses.isValid()) { hdr.addresses.protocol = 99; }
        if (hdr.start.type[11:11] == 1) { hdr.start.setInvalid(); }
    }
}

control egress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) { apply { } }

control update(inout headers_t hdr, inout metadata_t meta) {
    apply {
        update_checksum(hdr.sums.isValid(), { hdr.addresses.source, hdr.addresses.destination, hdr.addresses.protocol, 8w0,
            hdr.addresses.length }, hdr.sums.folded, HashAlgorithm.csum16);
        update_checksum(hdr.sums.isValid(), { hdr.addresses.source, hdr.addresses.length, 8w3 }, hdr.sums.crc_wide,
            HashAlgorithm.crc32);
        update_checksum(hdr.sums.isValid(), { hdr.addresses.protocol }, hdr.sums.eight, HashAlgorithm.identity);
        update_checksum_with_payload(hdr.sums.isValid() && hdr.addresses.isValid(), { hdr.addresses.source,
            hdr.addresses.destination, hdr.addresses.length }, hdr.sums.with_payload, HashAlgorithm.csum16);
    }
}

control packet_deparser(packet_out packet, in headers_t hdr) {
    apply {
        packet.emit(hdr.verdict); packet.emit(hdr.start); packet.emit(hdr.tags); packet.emit(hdr.option);
        packet.emit(hdr.second); packet.emit(hdr.variable); packet.emit(hdr.other); packet.emit(hdr.sums);
        packet.emit(hdr.addresses);
    }
}

V1Switch(packet_parser(), check(), ingress(), egress(), update(), packet_deparser()) main;
