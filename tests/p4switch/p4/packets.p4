// What the tests of packets drive: IPv4 with options, a header stack, lookahead, verify, registers of a whole key, hash,
// checksums, counters, and the ways a packet can go (by the first byte behind the headers: `command.what`).
#include <core.p4>
#include <v1model.p4>

error { BadVersion }

header ethernet_t { bit<48> dst; bit<48> src; bit<16> type; }
header tag_t { bit<15> value; bit<1> last; }
header ipv4_t {
    bit<4> version; bit<4> ihl; bit<8> tos; bit<16> len; bit<16> id; bit<3> flags; bit<13> offset;
    bit<8> ttl; bit<8> protocol; bit<16> checksum; bit<32> src; bit<32> dst;
}
header options_t { varbit<320> data; }
header command_t { bit<8> what; bit<8> argument; bit<16> result; }

struct headers_t { ethernet_t ethernet; tag_t[3] tags; ipv4_t ipv4; options_t options; command_t command; }
struct metadata_t {
    @field_list(1) bit<8> rounds;
    bit<16> slot;
    bit<200> stored;
}

parser packet_parser(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    state start {
        packet.extract(hdr.ethernet);
        transition select(hdr.ethernet.type) { 0x800: ipv4; 0x9100 &&& 0xfff0: tags; 0x88b5: command; default: accept; }
    }
    state tags {
        packet.extract(hdr.tags.next);
        transition select(hdr.tags.last.last) { 0: tags; 1: after_tags; }
    }
    state after_tags {
        transition select(packet.lookahead<bit<4>>()) { 4: ipv4; default: command; }
    }
    state ipv4 {
        packet.extract(hdr.ipv4);
        verify(hdr.ipv4.version == 4, error.BadVersion);
        packet.extract(hdr.options, (bit<32>)(((bit<16>)hdr.ipv4.ihl - 5) * 32));
        transition select(hdr.ipv4.protocol, hdr.ipv4.ttl) { (253, 2 .. 255): command; default: accept; }
    }
    state command { packet.extract(hdr.command); transition accept; }
}

control check(inout headers_t hdr, inout metadata_t meta) {
    apply {
        verify_checksum(hdr.ipv4.isValid(), { hdr.ipv4.version, hdr.ipv4.ihl, hdr.ipv4.tos, hdr.ipv4.len, hdr.ipv4.id,
            hdr.ipv4.flags, hdr.ipv4.offset, hdr.ipv4.ttl, hdr.ipv4.protocol, hdr.ipv4.src, hdr.ipv4.dst,
            hdr.options.data }, hdr.ipv4.checksum, HashAlgorithm.csum16);
    }
}

control ingress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    register<bit<200>>(64) keys;
    counter(4, CounterType.packets_and_bytes) seen;
    apply {
        std.egress_spec = 1;
        seen.count((bit<32>)std.ingress_port);
        if (std.parser_error != error.NoError) { hdr.ethernet.src = (bit<48>)(bit<8>)9; std.egress_spec = 2; }
        else if (std.checksum_error == 1) { std.egress_spec = 3; }
        if (hdr.command.isValid()) {
            if (hdr.command.what == 1) { mark_to_drop(std); }
            else if (hdr.command.what == 2) { std.mcast_grp = (bit<16>)hdr.command.argument; }
            else if (hdr.command.what == 3) { clone_preserving_field_list(CloneType.I2E, (bit<32>)hdr.command.argument, 1); }
            else if (hdr.command.what == 4 && meta.rounds < hdr.command.argument) {
                meta.rounds = meta.rounds + 1;
                resubmit_preserving_field_list(1);
            }
            else if (hdr.command.what == 5) {
                bit<200> key = hdr.ethernet.dst ++ hdr.ethernet.src ++ hdr.ethernet.type ++ 88w0x123456789abcdef;
                hash(meta.slot, HashAlgorithm.crc16, 16w0, { hdr.ethernet.dst, hdr.ethernet.src }, 32w64);
                keys.read(meta.stored, (bit<32>)meta.slot);
                if (meta.stored == key) { hdr.command.result = 1; }
                else { keys.write((bit<32>)meta.slot, key); hdr.command.result = 2; }
            }
            else if (hdr.command.what == 6) { hdr.tags.push_front(1); hdr.tags[0].setValid(); hdr.tags[0].value = 7; }
            else if (hdr.command.what == 7) { hdr.tags.pop_front(1); }
            else if (hdr.command.what == 8) { keys.write((bit<32>)hdr.command.argument, 5); seen.count((bit<32>)hdr.command.argument); }
            else if (hdr.command.what == 9) { truncate((bit<32>)hdr.command.argument); }
            if (hdr.command.what == 4 || hdr.command.what == 10) { hdr.command.result = (bit<16>)meta.rounds; }
        }
        if (hdr.ipv4.isValid()) { hdr.ipv4.ttl = hdr.ipv4.ttl - 1; }
    }
}

control egress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        if (hdr.command.isValid()) {
            if (hdr.command.what == 2) { hdr.command.result = std.egress_rid; }
            if (hdr.command.what == 3 && std.instance_type == 1) { hdr.command.result = 0xc1; }
            if (hdr.command.what == 10 && meta.rounds < hdr.command.argument) {
                meta.rounds = meta.rounds + 1;
                recirculate_preserving_field_list(1);
            }
        }
    }
}

control update(inout headers_t hdr, inout metadata_t meta) {
    apply {
        update_checksum(hdr.ipv4.isValid(), { hdr.ipv4.version, hdr.ipv4.ihl, hdr.ipv4.tos, hdr.ipv4.len, hdr.ipv4.id,
            hdr.ipv4.flags, hdr.ipv4.offset, hdr.ipv4.ttl, hdr.ipv4.protocol, hdr.ipv4.src, hdr.ipv4.dst,
            hdr.options.data }, hdr.ipv4.checksum, HashAlgorithm.csum16);
    }
}

control packet_deparser(packet_out packet, in headers_t hdr) {
    apply {
        packet.emit(hdr.ethernet); packet.emit(hdr.tags); packet.emit(hdr.ipv4); packet.emit(hdr.options);
        packet.emit(hdr.command);
    }
}

V1Switch(packet_parser(), check(), ingress(), egress(), update(), packet_deparser()) main;
