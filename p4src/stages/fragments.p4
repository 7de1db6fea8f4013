// Fragments: the first has the ports, and leaves them for the others, which go where the first went and are translated as it was.
//
//   fragment_tags      one word a way:    expires (28) | fingerprint (36)
//   fragment_records   four words a way:  source address | destination address |
//                                         identification (32), protocol (8), ports (32), end (16), spare (40) | spare
//
// A datagram is known by its addresses, protocol and identification (RFC 791, section 2.3; RFC 8200, section 4.5), and by where it
// comes from: each pod's port has sets of four ways of its own, and so have all uplinks and the node together, so that a pod that
// begins datagrams without end forgets its own alone. `end` is how far the datagram has come without a gap, in units of eight bytes;
// who begins before it would write over what has been judged, and is dropped. Only what was let through with its ports is kept.

#ifndef KULVERT_FRAGMENTS_P4
#define KULVERT_FRAGMENTS_P4

register<bit<64>>(FRAGMENT_SLOTS) fragment_tags;
register<bit<128>>(FRAGMENT_RECORD_WORDS) fragment_records;

const bit<8>  FRAGMENT_WAYS_SHIFT   = 2;
const bit<8>  FRAGMENT_RECORD_SHIFT = 2;
const bit<16> TCP_HEADER_LEN  = 20;
const bit<16> SCTP_HEADER_LEN = 16;     // with the first chunk's
const bit<16> UDP_HEADER_LEN  = 8;      // and that of an echo

const bit<32> FRAGMENT_SHARED_PORT  = 511;      // what is no pod's

// Of a first fragment, where it will be kept; of a later one, the ports and thereby the connection.
control find_fragment(in headers_t hdr, inout metadata_t meta, in standard_metadata_t standard_metadata) {
    bit<28> now = 0;
    bit<32> owner = 0;
    bit<16> length = 0;
    bit<16> least = 1;
    bit<17> end_in_bytes = 0;
    bit<64> hashed = 0;
    bit<32> first_slot = 0;
    bit<64> tag = 0;
    bit<28> ticks_left = 0;
    bit<32> weight = 0;
    bit<32> best_weight = 0;
    bit<64> best_tag = 0;
    flow_t datagram = { 0, 0, 0, 0, 0 };
    ip_addr_t src_addr = 0;
    ip_addr_t dst_addr = 0;
    bit<128> info = 0;

    action read_ipv4() {
        meta.fragment.identification = (bit<32>)hdr.ipv4.identification;
        meta.fragment.offset = hdr.ipv4.fragment_offset;
        meta.fragment.has_more = hdr.ipv4.flags[0:0];
        length = hdr.ipv4.total_len |-| ((bit<16>)hdr.ipv4.ihl << 2);
    }

    action read_ipv6() {
        meta.fragment.identification = hdr.ipv6_fragment.identification;
        meta.fragment.offset = hdr.ipv6_fragment.offset;
        meta.fragment.has_more = hdr.ipv6_fragment.has_more;
        length = hdr.ipv6.payload_len |-| 8;
    }

    action find_end() {
        end_in_bytes = ((bit<17>)meta.fragment.offset << 3) + (bit<17>)length;
        meta.fragment.end = (bit<16>)(end_in_bytes >> 3);
    }

    action find_set() {
        now = standard_metadata.ingress_global_timestamp[47:20];
        datagram.src_addr = meta.flow.src_addr;
        datagram.dst_addr = meta.flow.dst_addr;
        datagram.l4_sport = meta.fragment.identification[31:16];
        datagram.l4_dport = meta.fragment.identification[15:0];
        datagram.protocol = meta.flow.protocol;
        hashed = digest_of_flow(datagram, meta.hash_key);
        first_slot = ((owner << FRAGMENT_SET_BITS) | (bit<32>)(hashed >> FRAGMENT_SET_SHIFT)) << FRAGMENT_WAYS_SHIFT;
        meta.fragment.fingerprint = (bit<36>)(hashed >> FRAGMENT_FINGERPRINT_SHIFT) | 1;
    }

    action weigh_way(in bit<32> slot) {
        fragment_tags.read(tag, slot);
        ticks_left = tag[63:36] - now;
        if (tag[35:0] == meta.fragment.fingerprint) {
            weight = 0;
        } else if (tag == 0 || ticks_left[27:27] == 1) {
            weight = 1;
        } else {
            weight = (bit<32>)ticks_left + 2;
        }
        if (weight < best_weight) {
            meta.fragment.slot = slot;
            best_tag = tag;
            best_weight = weight;
        }
    }

    action weigh_set() {
        best_weight = 0xffffffff;
        weigh_way(first_slot);
        weigh_way(first_slot | 1);
        weigh_way(first_slot | 2);
        weigh_way(first_slot | 3);
        ticks_left = best_tag[63:36] - now;
        meta.fragment.expires = now + TIMEOUT_FRAGMENT;
    }

    action read_record() {
        fragment_records.read(src_addr, meta.fragment.slot << FRAGMENT_RECORD_SHIFT);
        fragment_records.read(dst_addr, (meta.fragment.slot << FRAGMENT_RECORD_SHIFT) | 1);
        fragment_records.read(info, (meta.fragment.slot << FRAGMENT_RECORD_SHIFT) | 2);
    }

    action take_ports() {
        meta.flow.l4_sport = info[87:72];
        meta.flow.l4_dport = info[71:56];
    }

    action move_end() {
        fragment_records.write((meta.fragment.slot << FRAGMENT_RECORD_SHIFT) | 2,
            info[127:56] ++ meta.fragment.end ++ info[39:0]);
    }

    action forget_datagram() {
        fragment_tags.write(meta.fragment.slot, 0);
    }

    apply {
        if (hdr.ipv4.isValid()) {
            read_ipv4();
        } else {
            read_ipv6();
        }
        find_end();
        if (meta.port_kind == port_kind_t.POD) {
            owner = (bit<32>)standard_metadata.ingress_port;
        } else {
            owner = FRAGMENT_SHARED_PORT;
        }

        // What stands behind the end of the IP packet in its frame is no transport header: the next fragment could bring another one.
        if (hdr.tcp.isValid()) {
            least = TCP_HEADER_LEN;
        } else if (hdr.sctp.isValid()) {
            least = SCTP_HEADER_LEN;
        } else if (hdr.udp.isValid() || hdr.icmp_echo.isValid()) {
            least = UDP_HEADER_LEN;
        }

        // RFC 8200, section 4.5: eights of bytes but in the last one, and no datagram beyond 65,535 bytes.
        if (end_in_bytes[16:16] == 1 || length < least || (meta.fragment.has_more == 1 && length[2:0] != 0)) {
            meta.drop_reason = drop_reason_t.MALFORMED;
        } else {
            find_set();
            weigh_set();
            if (meta.fragment.offset != 0) {
                meta.is_passive = 1;
                if (best_weight == 0 && ticks_left[27:27] == 0) {
                    read_record();
                }
                if (src_addr != meta.flow.src_addr || dst_addr != meta.flow.dst_addr
                    || info[127:88] != meta.fragment.identification ++ meta.flow.protocol) {
                    meta.drop_reason = drop_reason_t.FRAGMENT_WITHOUT_FIRST;
                } else if (3w0 ++ meta.fragment.offset < info[55:40]) {
                    meta.drop_reason = drop_reason_t.FRAGMENT_OVERLAP;
                } else {
                    take_ports();
                    if (3w0 ++ meta.fragment.offset == info[55:40]) {
                        if (meta.fragment.has_more == 1) {
                            move_end();
                        } else {
                            forget_datagram();
                        }
                    }
                }
            }
        }
    }
}

// The first fragment goes out: the others may follow.
control keep_fragment(inout metadata_t meta) {
    action write_fragment() {
        fragment_records.write(meta.fragment.slot << FRAGMENT_RECORD_SHIFT, meta.flow.src_addr);
        fragment_records.write((meta.fragment.slot << FRAGMENT_RECORD_SHIFT) | 1, meta.flow.dst_addr);
        fragment_records.write((meta.fragment.slot << FRAGMENT_RECORD_SHIFT) | 2,
            meta.fragment.identification ++ meta.flow.protocol ++ meta.flow.l4_sport ++ meta.flow.l4_dport
            ++ meta.fragment.end ++ 40w0);
        fragment_tags.write(meta.fragment.slot, meta.fragment.expires ++ meta.fragment.fingerprint);
    }

    apply {
        write_fragment();
    }
}

#endif
