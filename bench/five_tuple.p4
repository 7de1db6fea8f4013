// What the switches are measured with: a five-tuple hash, two registers, an exact, a ternary + range and an LPM table with constant
// entries, checksums verified and updated. UDP to 10.1.0.1:80 leaves on port 1 as UDP to 10.2.0.2:8080.
#include <core.p4>
#include <v1model.p4>

header ethernet_t { bit<48> dst; bit<48> src; bit<16> type; }
header ipv4_t {
    bit<4> version; bit<4> ihl; bit<8> tos; bit<16> len; bit<16> id; bit<3> flags; bit<13> offset;
    bit<8> ttl; bit<8> protocol; bit<16> checksum; bit<32> src; bit<32> dst;
}
header udp_t { bit<16> sport; bit<16> dport; bit<16> len; bit<16> checksum; }
struct headers_t { ethernet_t eth; ipv4_t ip; udp_t udp; }
struct meta_t { bit<16> slot; bit<1> established; }

parser MyParser(packet_in p, out headers_t h, inout meta_t m, inout standard_metadata_t s) {
    state start { p.extract(h.eth); transition select(h.eth.type) { 0x800: ip; default: accept; } }
    state ip { p.extract(h.ip); transition select(h.ip.protocol) { 17: udp; default: accept; } }
    state udp { p.extract(h.udp); transition accept; }
}
control MyVerify(inout headers_t h, inout meta_t m) {
    apply {
        verify_checksum(h.ip.isValid(), { h.ip.version, h.ip.ihl, h.ip.tos, h.ip.len, h.ip.id, h.ip.flags,
            h.ip.offset, h.ip.ttl, h.ip.protocol, h.ip.src, h.ip.dst }, h.ip.checksum, HashAlgorithm.csum16);
    }
}
control MyIngress(inout headers_t h, inout meta_t m, inout standard_metadata_t s) {
    register<bit<104>>(65536) keys;
    register<bit<48>>(65536) last_seen;
    action drop() { mark_to_drop(s); }
    action forward(bit<9> port, bit<48> mac) {
        s.egress_spec = port; h.eth.src = h.eth.dst; h.eth.dst = mac; h.ip.ttl = h.ip.ttl - 1;
    }
    action dnat(bit<32> ip, bit<16> port) { h.ip.dst = ip; h.udp.dport = port; }
    table service {
        key = { h.ip.dst: exact; h.ip.protocol: exact; h.udp.dport: exact; }
        actions = { dnat; NoAction; }
        default_action = NoAction();
        const entries = { (0x0a010001, 17, 80): dnat(0x0a020002, 8080); }
    }
    table acl {
        key = { h.ip.src: ternary; h.ip.dst: ternary; h.ip.protocol: ternary; h.udp.dport: range; }
        actions = { NoAction; drop; }
        default_action = NoAction();
        const entries = {
            (0x0a630000 &&& 0xffff0000, _, _, _): drop();
            (_, 0x0a030000 &&& 0xffff0000, 17, 1..1000): drop();
        }
    }
    table route {
        key = { h.ip.dst: lpm; }
        actions = { forward; drop; }
        default_action = drop();
        const entries = { 0x0a020000 &&& 0xffff0000: forward(1, 3); 0x0a000000 &&& 0xff000000: forward(1, 2); }
    }
    apply {
        if (h.udp.isValid()) {
            bit<104> stored;
            hash(m.slot, HashAlgorithm.crc32, 16w0, { h.ip.src, h.ip.dst, h.ip.protocol, h.udp.sport, h.udp.dport }, 32w65536);
            keys.read(stored, (bit<32>)m.slot);
            bit<104> flow = h.ip.src ++ h.ip.dst ++ h.ip.protocol ++ h.udp.sport ++ h.udp.dport;
            if (stored == flow) { m.established = 1; } else { keys.write((bit<32>)m.slot, flow); }
            last_seen.write((bit<32>)m.slot, s.ingress_global_timestamp);
            service.apply();
            acl.apply();
            route.apply();
        } else {
            drop();
        }
    }
}
control MyEgress(inout headers_t h, inout meta_t m, inout standard_metadata_t s) { apply { } }
control MyUpdate(inout headers_t h, inout meta_t m) {
    apply {
        update_checksum(h.ip.isValid(), { h.ip.version, h.ip.ihl, h.ip.tos, h.ip.len, h.ip.id, h.ip.flags,
            h.ip.offset, h.ip.ttl, h.ip.protocol, h.ip.src, h.ip.dst }, h.ip.checksum, HashAlgorithm.csum16);
    }
}
control MyDeparser(packet_out p, in headers_t h) { apply { p.emit(h.eth); p.emit(h.ip); p.emit(h.udp); } }
V1Switch(MyParser(), MyVerify(), MyIngress(), MyEgress(), MyUpdate(), MyDeparser()) main;
