// Connection tracking in registers: the first packet never waits for anybody.
//
// A connection has one entry a direction. An entry lives in one of the eight ways of the set that its five-tuple hashes to:
//
//   connection_tags     one word a way:    state (4) | expires (28) | fingerprint (32); eight ways fill one cache line
//   connection_records  four words a way:  source address | destination address |
//                                          ports (32), protocol (8), translated port (16), endpoint (32),
//                                          checksum delta (16), way of the other direction (3), translation (2),
//                                          reply (1), spare (18) | translated address
//
// A fingerprint only says where to look: a connection is found when the whole five-tuple is equal. One set never holds
// two entries of one fingerprint, so that there is one place to look at. `expires` is in ticks of 2^20 microseconds; a
// packet moves it forward in both directions, at most once a tick. Tag 0 is a free way.

#ifndef KULVERT_CONNECTIONS_P4
#define KULVERT_CONNECTIONS_P4

register<bit<64>>(CONNECTION_SLOTS) connection_tags;
register<bit<128>>(CONNECTION_RECORD_WORDS) connection_records;

const bit<8> CONNECTION_WAYS_SHIFT   = 3;
const bit<8> CONNECTION_RECORD_SHIFT = 2;

// States below 8 may be evicted by a new connection when their set is full; the others have been answered, and stay.
const bit<4> STATE_TCP_SYN_SENT     = 1;    // opened, not answered
const bit<4> STATE_TCP_SYN_ANSWERED = 2;    // answered, the opener has not confirmed
const bit<4> STATE_TCP_CLOSED       = 3;    // FIN both ways, or reset
const bit<4> STATE_UDP_UNREPLIED    = 4;    // UDP and every protocol without a state of its own
const bit<4> STATE_ICMP             = 5;
const bit<4> STATE_TCP_ESTABLISHED  = 8;
const bit<4> STATE_TCP_FIN_ORIGINAL = 9;    // the opener has sent its FIN
const bit<4> STATE_TCP_FIN_REPLY    = 10;   // the other side has sent its FIN
const bit<4> STATE_UDP_REPLIED      = 11;

// Where a five-tuple belongs: the first slot of its set, and its fingerprint, which is never 0.
control find_set(in flow_t flow, out bit<32> first_slot, out bit<32> fingerprint) {
    bit<32> digest_of_flow;

    apply {
        hash(digest_of_flow, HashAlgorithm.crc32, 32w0,
             { flow.src_addr, flow.dst_addr, flow.l4_sport, flow.l4_dport, flow.protocol }, 64w0x100000000);
        first_slot = (digest_of_flow & CONNECTION_SET_MASK) << CONNECTION_WAYS_SHIFT;
        fingerprint = digest_of_flow | 1;   // the lowest bit is the same throughout a set, and so says nothing
    }
}

// Look up the packet's five-tuple. A hit fills meta.connection with what to do to the packet.
control find_connection(in headers_t hdr, inout metadata_t meta, in standard_metadata_t standard_metadata) {
    find_set() own_set;
    bit<32> first_slot = 0;
    bit<32> fingerprint = 0;
    bit<64> tag = 0;
    bit<28> ticks_left = 0;
    ip_addr_t src_addr = 0;
    ip_addr_t dst_addr = 0;
    bit<128> info = 0;
    bit<1> is_over = 0;

    action match_way(in bit<32> slot) {
        connection_tags.read(tag, slot);
        if (tag[31:0] == fingerprint) {
            meta.connection.slot = slot;
            meta.connection.tag = tag;
        }
    }

    action match_set() {
        match_way(first_slot);
        match_way(first_slot | 1);
        match_way(first_slot | 2);
        match_way(first_slot | 3);
        match_way(first_slot | 4);
        match_way(first_slot | 5);
        match_way(first_slot | 6);
        match_way(first_slot | 7);
        ticks_left = meta.connection.tag[59:32] - meta.connection.now;
    }

    action read_record() {
        connection_records.read(src_addr, meta.connection.slot << CONNECTION_RECORD_SHIFT);
        connection_records.read(dst_addr, (meta.connection.slot << CONNECTION_RECORD_SHIFT) | 1);
        connection_records.read(info, (meta.connection.slot << CONNECTION_RECORD_SHIFT) | 2);
    }

    action read_translation() {
        connection_records.read(meta.connection.address, (meta.connection.slot << CONNECTION_RECORD_SHIFT) | 3);
        meta.connection.port = info[87:72];
        meta.connection.endpoint_id = info[71:40];
        meta.connection.checksum_delta = info[39:24];
        meta.connection.translation = (translation_t)info[20:19];
    }

    // The next packet of this five-tuple, this one included, opens a connection.
    action forget_connection() {
        connection_tags.write(meta.connection.slot, 0);
        meta.connection.is_hit = 0;
        meta.connection.translation = translation_t.NONE;
    }

    action endpoint_is_live() {
    }

    table live_endpoint_table {
        key = {
            meta.connection.endpoint_id: exact @name("endpoint_id");
        }
        actions = {
            endpoint_is_live;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        size = LIVE_ENDPOINT_TABLE_SIZE;
    }

    apply {
        meta.connection.now = standard_metadata.ingress_global_timestamp[47:20];
        own_set.apply(meta.flow, first_slot, fingerprint);
        match_set();
        if (meta.connection.tag != 0 && ticks_left[27:27] == 0) {
            read_record();
            if (src_addr == meta.flow.src_addr && dst_addr == meta.flow.dst_addr
                && info[127:88] == meta.flow.l4_sport ++ meta.flow.l4_dport ++ meta.flow.protocol) {
                meta.connection.is_hit = 1;
                meta.connection.is_reply = info[18:18];
                if (info[20:19] != 0) {
                    read_translation();
                }
            }
        }

        if (meta.connection.is_hit == 1) {
            if (hdr.tcp.isValid()) {
                // A SYN after the end opens anew; a repeated one is decided again, its first endpoint may be gone.
                if ((hdr.tcp.flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) == TCP_SYN
                    && (meta.connection.tag[63:60] == STATE_TCP_CLOSED
                        || (meta.connection.tag[63:60] == STATE_TCP_SYN_SENT && meta.connection.is_reply == 0))) {
                    is_over = 1;
                }
            } else if (meta.connection.translation != translation_t.NONE) {
                if (live_endpoint_table.apply().miss) {
                    is_over = 1;
                    if (meta.connection.is_reply == 1) {
                        meta.drop_reason = drop_reason_t.STALE_CONNECTION;
                    }
                }
            }
            if (is_over == 1) {
                forget_connection();
            }
        }
    }
}

// Only what may open a connection goes on to become one.
control check_opening(in headers_t hdr, inout metadata_t meta) {
    apply {
        if (hdr.tcp.isValid()) {
            // A plain segment picks up a connection that was there before the switch; nothing else but SYN opens one.
            if ((hdr.tcp.flags & (TCP_RST | TCP_FIN)) != 0 || (hdr.tcp.flags & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK)
                || (hdr.tcp.flags & (TCP_SYN | TCP_ACK)) == 0) {
                meta.drop_reason = drop_reason_t.NOT_IN_CONNECTION;
            }
        } else if (hdr.icmp_echo.isValid()) {
            if (hdr.icmp.type == ICMP_ECHO_REPLY || hdr.icmp.type == ICMPV6_ECHO_REPLY) {
                meta.drop_reason = drop_reason_t.NOT_IN_CONNECTION;
            }
        }
    }
}

// A packet of a known connection moves its state, and puts off its end.
control follow_connection(in headers_t hdr, inout metadata_t meta) {
    find_set() peer_set;
    flow_t answer = { 0, 0, 0, 0, 0 };
    bit<128> info = 0;
    bit<4> state = 0;
    bit<28> timeout = 0;
    bit<64> tag = 0;
    bit<32> peer_slot = 0;
    bit<32> fingerprint = 0;

    action write_tag() {
        connection_tags.write(meta.connection.slot, tag);
    }

    action reverse_flow() {
        answer.src_addr = meta.translated.dst_addr;
        answer.dst_addr = meta.translated.src_addr;
        answer.l4_sport = meta.translated.l4_dport;
        answer.l4_dport = meta.translated.l4_sport;
        answer.protocol = meta.translated.protocol;
    }

    apply {
        state = meta.connection.tag[63:60];
        if (hdr.tcp.isValid()) {
            if ((hdr.tcp.flags & TCP_RST) != 0) {
                state = STATE_TCP_CLOSED;
            } else if ((hdr.tcp.flags & TCP_FIN) != 0) {
                if (meta.connection.is_reply == 0) {
                    // What nobody has answered yet must not make itself safe from eviction by a FIN.
                    if (state == STATE_TCP_FIN_REPLY || state == STATE_TCP_CLOSED) {
                        state = STATE_TCP_CLOSED;
                    } else if (state != STATE_TCP_SYN_SENT) {
                        state = STATE_TCP_FIN_ORIGINAL;
                    }
                } else {
                    if (state == STATE_TCP_FIN_ORIGINAL || state == STATE_TCP_CLOSED) {
                        state = STATE_TCP_CLOSED;
                    } else {
                        state = STATE_TCP_FIN_REPLY;
                    }
                }
            } else if (state == STATE_TCP_SYN_SENT) {
                if (meta.connection.is_reply == 1) {
                    state = STATE_TCP_SYN_ANSWERED;
                }
            } else if (state == STATE_TCP_SYN_ANSWERED) {
                if (meta.connection.is_reply == 0 && (hdr.tcp.flags & TCP_SYN) == 0) {
                    state = STATE_TCP_ESTABLISHED;
                }
            }

            if (state == STATE_TCP_ESTABLISHED) {
                timeout = TIMEOUT_TCP_ESTABLISHED;
            } else if (state == STATE_TCP_CLOSED) {
                timeout = TIMEOUT_TCP_CLOSED;
            } else if (state == STATE_TCP_FIN_ORIGINAL || state == STATE_TCP_FIN_REPLY) {
                timeout = TIMEOUT_TCP_CLOSING;
            } else {
                timeout = TIMEOUT_TCP_OPENING;
            }
        } else if (state == STATE_ICMP) {
            timeout = TIMEOUT_ICMP;
        } else {
            if (meta.connection.is_reply == 1) {
                state = STATE_UDP_REPLIED;
            }
            if (state == STATE_UDP_REPLIED) {
                timeout = TIMEOUT_UDP_REPLIED;
            } else {
                timeout = TIMEOUT_UDP_UNREPLIED;
            }
        }

        tag = state ++ (meta.connection.now + timeout) ++ meta.connection.tag[31:0];
        if (tag != meta.connection.tag) {
            write_tag();
            // The other direction has the same state and end. Its way may have gone to somebody else meanwhile.
            connection_records.read(info, (meta.connection.slot << CONNECTION_RECORD_SHIFT) | 2);
            reverse_flow();
            peer_set.apply(answer, peer_slot, fingerprint);
            peer_slot = peer_slot | (bit<32>)info[23:21];
            connection_tags.read(tag, peer_slot);
            if (tag[31:0] == fingerprint) {
                tag = state ++ (meta.connection.now + timeout) ++ fingerprint;
                connection_tags.write(peer_slot, tag);
            }
        }
    }
}

// The way for a new entry in its five-tuple's set: its own former one, else a free or expired one, else the one among those
// not yet answered that would expire first. `is_taken` says that the way holds a live entry of the same fingerprint.
control claim_way(in flow_t flow, in bit<28> now, out bit<32> slot, out bit<32> fingerprint, out bit<1> is_full,
                  out bit<1> is_taken) {
    find_set() own_set;
    bit<32> first_slot = 0;
    bit<64> tag = 0;
    bit<64> best_tag = 0;
    bit<28> ticks_left = 0;
    bit<32> weight = 0;
    bit<32> best_weight = 0;

    action weigh_way(in bit<32> way_slot) {
        connection_tags.read(tag, way_slot);
        ticks_left = tag[59:32] - now;
        if (tag[31:0] == fingerprint) {
            weight = 0;
        } else if (tag == 0 || ticks_left[27:27] == 1) {
            weight = 1;
        } else if (tag[63:63] == 1) {
            weight = 0xffffffff;
        } else {
            weight = (bit<32>)ticks_left + 2;
        }
        if (weight < best_weight) {
            slot = way_slot;
            best_tag = tag;
            best_weight = weight;
        }
    }

    action weigh_set() {
        best_weight = 0xffffffff;
        slot = first_slot;
        weigh_way(first_slot);
        weigh_way(first_slot | 1);
        weigh_way(first_slot | 2);
        weigh_way(first_slot | 3);
        weigh_way(first_slot | 4);
        weigh_way(first_slot | 5);
        weigh_way(first_slot | 6);
        weigh_way(first_slot | 7);
        ticks_left = best_tag[59:32] - now;
    }

    apply {
        is_full = 0;
        is_taken = 0;
        own_set.apply(flow, first_slot, fingerprint);
        weigh_set();
        if (best_weight == 0xffffffff) {
            is_full = 1;
        } else if (best_weight == 0 && ticks_left[27:27] == 0) {
            is_taken = 1;
        }
    }
}

// Policy has let the first packet pass: enter both directions, or neither.
control insert_connection(in headers_t hdr, inout metadata_t meta) {
    claim_way() claim_original;
    claim_way() claim_reply;
    flow_t answer = { 0, 0, 0, 0, 0 };
    bit<32> slot = 0;
    bit<32> fingerprint = 0;
    bit<32> reply_slot = 0;
    bit<32> reply_fingerprint = 0;
    bit<1> is_full = 0;
    bit<1> is_taken = 0;
    bit<4> state = 0;
    bit<28> timeout = 0;
    bit<2> reply_translation = 0;
    ip_addr_t held_src_addr = 0;
    ip_addr_t held_dst_addr = 0;
    ip_addr_t held_address = 0;
    bit<128> held_info = 0;

    action reverse_flow() {
        answer.src_addr = meta.translated.dst_addr;
        answer.dst_addr = meta.translated.src_addr;
        answer.l4_sport = meta.translated.l4_dport;
        answer.l4_dport = meta.translated.l4_sport;
        answer.protocol = meta.translated.protocol;
    }

    action hold_original() {
        connection_tags.write(slot, state ++ (meta.connection.now + timeout) ++ fingerprint);
    }

    action let_go_of_original() {
        connection_tags.write(slot, 0);
    }

    action read_held_record() {
        connection_records.read(held_src_addr, reply_slot << CONNECTION_RECORD_SHIFT);
        connection_records.read(held_dst_addr, (reply_slot << CONNECTION_RECORD_SHIFT) | 1);
        connection_records.read(held_info, (reply_slot << CONNECTION_RECORD_SHIFT) | 2);
        connection_records.read(held_address, (reply_slot << CONNECTION_RECORD_SHIFT) | 3);
    }

    // The records first, the tags last: an entry is never seen half-written.
    action write_records() {
        connection_records.write(slot << CONNECTION_RECORD_SHIFT, meta.flow.src_addr);
        connection_records.write(slot << CONNECTION_RECORD_SHIFT | 1, meta.flow.dst_addr);
        connection_records.write(slot << CONNECTION_RECORD_SHIFT | 2,
            meta.flow.l4_sport ++ meta.flow.l4_dport ++ meta.flow.protocol ++ meta.connection.port
            ++ meta.connection.endpoint_id ++ meta.connection.checksum_delta ++ reply_slot[2:0]
            ++ (bit<2>)meta.connection.translation ++ 1w0 ++ 18w0);
        connection_records.write(slot << CONNECTION_RECORD_SHIFT | 3, meta.connection.address);

        connection_records.write(reply_slot << CONNECTION_RECORD_SHIFT, answer.src_addr);
        connection_records.write((reply_slot << CONNECTION_RECORD_SHIFT) | 1, answer.dst_addr);
        connection_records.write((reply_slot << CONNECTION_RECORD_SHIFT) | 2,
            answer.l4_sport ++ answer.l4_dport ++ answer.protocol ++ meta.flow.l4_dport
            ++ meta.connection.endpoint_id ++ ~meta.connection.checksum_delta ++ slot[2:0]
            ++ reply_translation ++ 1w1 ++ 18w0);
        connection_records.write((reply_slot << CONNECTION_RECORD_SHIFT) | 3, meta.flow.dst_addr);
        connection_tags.write(reply_slot, state ++ (meta.connection.now + timeout) ++ reply_fingerprint);
    }

    apply {
        if (hdr.tcp.isValid()) {
            state = STATE_TCP_SYN_SENT;
            timeout = TIMEOUT_TCP_OPENING;
        } else if (hdr.icmp_echo.isValid()) {
            state = STATE_ICMP;
            timeout = TIMEOUT_ICMP;
        } else {
            state = STATE_UDP_UNREPLIED;
            timeout = TIMEOUT_UDP_UNREPLIED;
        }
        if (meta.connection.translation == translation_t.DESTINATION) {
            reply_translation = 2;
        } else if (meta.connection.translation == translation_t.HAIRPIN) {
            reply_translation = 3;
        }

        claim_original.apply(meta.flow, meta.connection.now, slot, fingerprint, is_full, is_taken);
        if (is_full == 1) {
            meta.drop_reason = drop_reason_t.CONNECTIONS_FULL;
        } else if (is_taken == 1) {
            meta.drop_reason = drop_reason_t.CONNECTION_CONFLICT;
        } else {
            hold_original();        // so that the other direction does not take the same way
            reverse_flow();
            claim_reply.apply(answer, meta.connection.now, reply_slot, reply_fingerprint, is_full, is_taken);
            if (is_full == 1) {
                meta.drop_reason = drop_reason_t.CONNECTIONS_FULL;
            } else if (is_taken == 1) {
                // An orphan of this very connection may be taken over, another one's answers may not.
                read_held_record();
                if (held_src_addr != answer.src_addr || held_dst_addr != answer.dst_addr
                    || held_info[127:72] != answer.l4_sport ++ answer.l4_dport ++ answer.protocol ++ meta.flow.l4_dport
                    || held_info[20:19] != reply_translation || held_info[18:18] != 1
                    || held_address != meta.flow.dst_addr) {
                    meta.drop_reason = drop_reason_t.CONNECTION_CONFLICT;
                }
            }
            if (meta.drop_reason == drop_reason_t.NONE) {
                write_records();
            } else {
                let_go_of_original();
            }
        }
    }
}

#endif
