// Connection tracking in registers: the first packet never waits for anybody.
//
// A connection has one entry a direction. An entry lives in one of the eight ways of the set that its five-tuple hashes to:
//
//   connection_tags     one word a way:    state (4) | expires (28) | fingerprint (32); eight ways fill one cache line
//   connection_records  four words a way:  source address | destination address |
//                                          ports (32), protocol (8), slot of the other direction (32), endpoint (32),
//                                          checksum delta (16), translated (1), reply (1), from a pod here (1), spare (5) |
//                                          spare (96), generation of the policies that let it pass (32)
//
// The two entries of a connection point at each other, and each holds its five-tuple as it is received. So the translation
// needs no room: a packet leaves with the five-tuple of the other entry, turned round, whatever of it is translated.
//
// A fingerprint only says where to look: a connection is found when the whole five-tuple is equal. One set never holds
// two entries of one fingerprint, so that there is one place to look at. `expires` is in ticks of 2^20 microseconds; a
// packet moves it forward in both directions, at most once a tick. Tag 0 is a free way. Both entries are made, moved
// and freed together.

#ifndef KULVERT_CONNECTIONS_P4
#define KULVERT_CONNECTIONS_P4

register<bit<64>>(CONNECTION_SLOTS) connection_tags;
register<bit<128>>(CONNECTION_RECORD_WORDS) connection_records;

const bit<8> CONNECTION_WAYS_SHIFT   = 3;
const bit<8> CONNECTION_RECORD_SHIFT = 2;

// States below 8 may be evicted by a new connection when their set is full; the others have been answered, and stay.
// What is said of TCP holds for SCTP: both open, accept, confirm, end on both sides or abort.
const bit<4> STATE_OPENED       = 1;    // not answered
const bit<4> STATE_ACCEPTED     = 2;    // answered, the opener has not confirmed
const bit<4> STATE_CLOSED       = 3;    // ended on both sides, or aborted
const bit<4> STATE_UNREPLIED    = 4;    // UDP and every protocol without a state of its own
const bit<4> STATE_ECHO         = 5;
const bit<4> STATE_ECHO_REPLIED = 6;
const bit<4> STATE_ESTABLISHED  = 8;
const bit<4> STATE_END_ORIGINAL = 9;    // the opener has ended its side
const bit<4> STATE_END_REPLY    = 10;   // the other side has
const bit<4> STATE_REPLIED      = 11;
const bit<4> STATE_HELD         = 15;   // one direction is entered, the other not yet

// Where a five-tuple of this digest belongs: the first slot of its set, and its fingerprint, which is never 0.
bit<32> first_slot_of(in bit<64> hashed) {
    return (bit<32>)(hashed >> CONNECTION_SET_SHIFT) << CONNECTION_WAYS_SHIFT;
}

bit<32> fingerprint_of(in bit<64> hashed) {
    return (bit<32>)(hashed >> CONNECTION_FINGERPRINT_SHIFT) | 1;
}

// What a packet says about its connection, in words that TCP and SCTP share.
control read_signal(in headers_t hdr, inout metadata_t meta) {
    apply {
        if (hdr.tcp.isValid()) {
            if ((hdr.tcp.flags & TCP_RST) != 0) {
                meta.connection.signal = signal_t.ABORT;
            } else if ((hdr.tcp.flags & TCP_FIN) != 0) {
                meta.connection.signal = signal_t.END;
            } else if ((hdr.tcp.flags & (TCP_SYN | TCP_ACK)) == TCP_SYN) {
                meta.connection.signal = signal_t.OPEN;
            } else if ((hdr.tcp.flags & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK)) {
                meta.connection.signal = signal_t.ACCEPT;
            } else if ((hdr.tcp.flags & TCP_ACK) == 0) {
                meta.connection.signal = signal_t.STRAY;
            }
        } else if (hdr.sctp.isValid()) {
            if (hdr.sctp_chunk.type == SCTP_INIT) {
                meta.connection.signal = signal_t.OPEN;
            } else if (hdr.sctp_chunk.type == SCTP_INIT_ACK) {
                meta.connection.signal = signal_t.ACCEPT;
            } else if (hdr.sctp_chunk.type == SCTP_SHUTDOWN || hdr.sctp_chunk.type == SCTP_SHUTDOWN_ACK) {
                meta.connection.signal = signal_t.END;
            } else if (hdr.sctp_chunk.type == SCTP_ABORT || hdr.sctp_chunk.type == SCTP_SHUTDOWN_COMPLETE) {
                meta.connection.signal = signal_t.ABORT;
            }
        }
    }
}

// Look up the packet's five-tuple. A hit fills meta.connection and meta.translated with what to do to the packet.
control find_connection(in headers_t hdr, inout metadata_t meta, in standard_metadata_t standard_metadata) {
    bit<64> hashed = 0;
    bit<32> first_slot = 0;
    bit<32> fingerprint = 0;
    bit<64> tag = 0;
    bit<28> ticks_left = 0;
    ip_addr_t src_addr = 0;
    ip_addr_t dst_addr = 0;
    bit<128> info = 0;
    bit<1> is_over = 0;

    action find_set() {
        meta.connection.now = standard_metadata.ingress_global_timestamp[47:20];
        hashed = digest_of_flow(meta.flow, meta.hash_key);
        first_slot = first_slot_of(hashed);
        fingerprint = fingerprint_of(hashed);
    }

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

    action take_record() {
        meta.connection.is_hit = 1;
        meta.connection.is_reply = info[6:6];
        meta.connection.is_translated = info[7:7];
        meta.connection.is_from_pod = info[5:5];
        meta.connection.peer_slot = info[87:56];
        meta.connection.endpoint_id = info[55:24];
        meta.connection.checksum_delta = info[23:8];
    }

    // What the other entry receives is, turned round, what this one sends.
    action translate() {
        connection_records.read(meta.translated.dst_addr, meta.connection.peer_slot << CONNECTION_RECORD_SHIFT);
        connection_records.read(meta.translated.src_addr, (meta.connection.peer_slot << CONNECTION_RECORD_SHIFT) | 1);
        connection_records.read(info, (meta.connection.peer_slot << CONNECTION_RECORD_SHIFT) | 2);
        meta.translated.l4_dport = info[127:112];
        meta.translated.l4_sport = info[111:96];
    }

    // The next packet of this five-tuple, this one included, opens a connection.
    action forget_connection() {
        connection_tags.write(meta.connection.slot, 0);
        connection_tags.write(meta.connection.peer_slot, 0);
        meta.translated = meta.flow;
        meta.connection.is_hit = 0;
        meta.connection.is_reply = 0;       // whoever sends it is the one that opens now, to policy as well
        meta.connection.is_translated = 0;
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
        find_set();
        match_set();
        if (meta.connection.tag != 0 && ticks_left[27:27] == 0) {
            read_record();
            if (src_addr == meta.flow.src_addr && dst_addr == meta.flow.dst_addr
                && info[127:88] == meta.flow.l4_sport ++ meta.flow.l4_dport ++ meta.flow.protocol) {
                take_record();
                if (meta.connection.is_translated == 1) {
                    translate();
                }
            }
        }

        if (meta.connection.is_hit == 1 && meta.is_passive == 0) {
            if (hdr.tcp.isValid() || hdr.sctp.isValid()) {
                // An opening after the end opens anew; a repeated one is decided again, its first endpoint may be gone.
                if (meta.connection.signal == signal_t.OPEN) {
                    if (meta.connection.tag[63:60] == STATE_CLOSED) {
                        is_over = 1;
                    } else if (meta.connection.tag[63:60] == STATE_OPENED && meta.connection.is_reply == 0) {
                        is_over = 1;
                        meta.connection.is_retry = 1;
                    }
                }
            } else if (meta.connection.is_translated == 1) {
                if (live_endpoint_table.apply().miss) {
                    is_over = 1;
                    if (meta.connection.is_reply == 1) {
                        meta.drop_reason = drop_reason_t.STALE_CONNECTION;
                    }
                }
            } else if (meta.connection.tag[63:60] == STATE_UNREPLIED && meta.connection.is_reply == 0
                       && ticks_left != TIMEOUT_UDP_UNREPLIED) {
                // Nobody answers: once a tick it is decided again, so that a Service which is there by now takes it over.
                is_over = 1;
                meta.connection.is_retry = 1;
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
        if (hdr.tcp.isValid() || hdr.sctp.isValid()) {
            // A plain segment picks up a connection that was there before the switch, if the target says so.
            if (meta.connection.signal != signal_t.OPEN
                && (meta.connection.signal != signal_t.NONE || CONNECTION_PICKUP == 0)) {
                meta.drop_reason = drop_reason_t.NOT_IN_CONNECTION;
            }
        } else if (hdr.icmp_echo.isValid()) {
            if (hdr.icmp.type == ICMP_ECHO_REPLY || hdr.icmp.type == ICMPV6_ECHO_REPLY) {
                meta.drop_reason = drop_reason_t.NOT_IN_CONNECTION;
            }
        } else if (hdr.ipv4.isValid() && hdr.icmp.isValid() && hdr.icmp.type == ICMP_REDIRECT) {
            meta.drop_reason = drop_reason_t.UNRELATED_ERROR;       // there is no better way than through here
        }
    }
}

// A packet of a known connection moves its state, and puts off its end.
control follow_connection(in headers_t hdr, inout metadata_t meta) {
    bit<4> state = 0;
    bit<28> timeout = 0;
    bit<64> tag = 0;
    bit<64> peer_tag = 0;

    action write_tags() {
        connection_tags.write(meta.connection.slot, tag);
        connection_tags.read(peer_tag, meta.connection.peer_slot);
        connection_tags.write(meta.connection.peer_slot, tag[63:32] ++ peer_tag[31:0]);
    }

    apply {
        state = meta.connection.tag[63:60];
        if (hdr.tcp.isValid() || hdr.sctp.isValid()) {
            if (meta.connection.signal == signal_t.ABORT) {
                state = STATE_CLOSED;
            } else if (meta.connection.signal == signal_t.END) {
                if (meta.connection.is_reply == 0) {
                    // What nobody has answered yet must not make itself safe from eviction by a FIN.
                    if (state == STATE_END_REPLY || state == STATE_CLOSED) {
                        state = STATE_CLOSED;
                    } else if (state != STATE_OPENED) {
                        state = STATE_END_ORIGINAL;
                    }
                } else {
                    if (state == STATE_END_ORIGINAL || state == STATE_CLOSED) {
                        state = STATE_CLOSED;
                    } else {
                        state = STATE_END_REPLY;
                    }
                }
            } else if (state == STATE_OPENED) {
                if (meta.connection.is_reply == 1) {
                    state = STATE_ACCEPTED;
                }
            } else if (state == STATE_ACCEPTED) {
                if (meta.connection.is_reply == 0 && meta.connection.signal != signal_t.OPEN) {
                    state = STATE_ESTABLISHED;
                }
            }

            if (state == STATE_ESTABLISHED) {
                if (hdr.sctp.isValid()) {
                    timeout = TIMEOUT_SCTP_ESTABLISHED;
                } else {
                    timeout = TIMEOUT_TCP_ESTABLISHED;
                }
            } else if (state == STATE_CLOSED) {
                timeout = TIMEOUT_TCP_CLOSED;
            } else if (state == STATE_END_ORIGINAL || state == STATE_END_REPLY) {
                timeout = TIMEOUT_TCP_CLOSING;
            } else {
                timeout = TIMEOUT_TCP_OPENING;
            }
        } else if (state == STATE_ECHO || state == STATE_ECHO_REPLIED) {
            if (meta.connection.is_reply == 1) {
                state = STATE_ECHO_REPLIED;
            }
            timeout = TIMEOUT_ICMP;
        } else {
            if (meta.connection.is_reply == 1) {
                state = STATE_REPLIED;
            }
            if (state == STATE_REPLIED) {
                timeout = TIMEOUT_UDP_REPLIED;
            } else {
                timeout = TIMEOUT_UDP_UNREPLIED;
            }
        }

        tag = state ++ (meta.connection.now + timeout) ++ meta.connection.tag[31:0];
        if (tag != meta.connection.tag) {
            write_tags();
        }
    }
}

// The way for a new entry in the set of its digest: a free or expired one, else the one among those not yet answered that would
// expire first. `is_taken` says that the set holds a live entry of the same fingerprint.
control claim_way(in bit<64> hashed, in bit<28> now, out bit<32> slot, out bit<64> former_tag, out bit<1> is_full,
                  out bit<1> is_taken) {
    bit<32> first_slot = 0;
    bit<32> fingerprint = 0;
    bit<64> tag = 0;
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
            former_tag = tag;
            best_weight = weight;
        }
    }

    action find_set() {
        first_slot = first_slot_of(hashed);
        fingerprint = fingerprint_of(hashed);
        best_weight = 0xffffffff;
        slot = first_slot;
        former_tag = 0;
    }

    action weigh_set() {
        weigh_way(first_slot);
        weigh_way(first_slot | 1);
        weigh_way(first_slot | 2);
        weigh_way(first_slot | 3);
        weigh_way(first_slot | 4);
        weigh_way(first_slot | 5);
        weigh_way(first_slot | 6);
        weigh_way(first_slot | 7);
        ticks_left = former_tag[59:32] - now;
    }

    apply {
        is_full = 0;
        is_taken = 0;
        find_set();
        weigh_set();
        if (best_weight == 0xffffffff) {
            is_full = 1;
        } else if (best_weight == 0 && ticks_left[27:27] == 0) {
            is_taken = 1;
        }
    }
}

// Who leaves a way leaves the other direction's as well.
control free_peer(in bit<32> slot) {
    bit<128> info = 0;

    apply {
        connection_records.read(info, (slot << CONNECTION_RECORD_SHIFT) | 2);
        connection_tags.write(info[87:56], 0);
    }
}

// Policy has let the first packet pass: enter both directions, or neither.
control insert_connection(in headers_t hdr, inout metadata_t meta) {
    claim_way() claim_original;
    claim_way() claim_reply;
    free_peer() free_original;
    free_peer() free_reply;
    flow_t answer = { 0, 0, 0, 0, 0 };
    bit<64> hashed = 0;
    bit<64> answer_digest = 0;
    bit<32> slot = 0;
    bit<32> reply_slot = 0;
    bit<64> former_tag = 0;
    bit<1> is_full = 0;
    bit<1> is_taken = 0;
    bit<1> is_from_pod = 0;
    bit<4> state = 0;
    bit<28> timeout = 0;

    action digest_flows() {
        answer.src_addr = meta.translated.dst_addr;
        answer.dst_addr = meta.translated.src_addr;
        answer.l4_sport = meta.translated.l4_dport;
        answer.l4_dport = meta.translated.l4_sport;
        answer.protocol = meta.translated.protocol;
        hashed = digest_of_flow(meta.flow, meta.hash_key);
        answer_digest = digest_of_flow(answer, meta.hash_key);
    }

    action note_pod() {
        is_from_pod = 1;
    }

    action hold_original() {
        connection_tags.write(slot, STATE_HELD ++ (meta.connection.now + timeout) ++ fingerprint_of(hashed));
    }

    action let_go_of_original() {
        connection_tags.write(slot, 0);
    }

    // The records first, the tags last: an entry is never seen half-written.
    action write_records() {
        connection_records.write(slot << CONNECTION_RECORD_SHIFT, meta.flow.src_addr);
        connection_records.write((slot << CONNECTION_RECORD_SHIFT) | 1, meta.flow.dst_addr);
        connection_records.write((slot << CONNECTION_RECORD_SHIFT) | 2,
            meta.flow.l4_sport ++ meta.flow.l4_dport ++ meta.flow.protocol ++ reply_slot
            ++ meta.connection.endpoint_id ++ meta.connection.checksum_delta ++ meta.connection.is_translated ++ 1w0
            ++ is_from_pod ++ 5w0);
        connection_records.write((slot << CONNECTION_RECORD_SHIFT) | 3, 96w0 ++ meta.connection.generation);

        connection_records.write(reply_slot << CONNECTION_RECORD_SHIFT, answer.src_addr);
        connection_records.write((reply_slot << CONNECTION_RECORD_SHIFT) | 1, answer.dst_addr);
        connection_records.write((reply_slot << CONNECTION_RECORD_SHIFT) | 2,
            answer.l4_sport ++ answer.l4_dport ++ answer.protocol ++ slot
            ++ meta.connection.endpoint_id ++ ~meta.connection.checksum_delta ++ meta.connection.is_translated ++ 1w1
            ++ meta.is_to_pod ++ 5w0);
        connection_tags.write(slot, state ++ (meta.connection.now + timeout) ++ fingerprint_of(hashed));
        connection_records.write((reply_slot << CONNECTION_RECORD_SHIFT) | 3, 96w0 ++ meta.connection.generation);
        connection_tags.write(reply_slot, state ++ (meta.connection.now + timeout) ++ fingerprint_of(answer_digest));
    }

    apply {
        if (hdr.tcp.isValid() || hdr.sctp.isValid()) {
            state = STATE_OPENED;
            timeout = TIMEOUT_TCP_OPENING;
        } else if (hdr.icmp_echo.isValid()) {
            state = STATE_ECHO;
            timeout = TIMEOUT_ICMP;
        } else {
            state = STATE_UNREPLIED;
            timeout = TIMEOUT_UDP_UNREPLIED;
        }

        if (meta.port_kind == port_kind_t.POD) {
            note_pod();
        }

        digest_flows();
        claim_original.apply(hashed, meta.connection.now, slot, former_tag, is_full, is_taken);
        if (is_full == 1) {
            meta.drop_reason = drop_reason_t.CONNECTIONS_FULL;
        } else if (is_taken == 1) {
            meta.drop_reason = drop_reason_t.CONNECTION_CONFLICT;
        } else {
            if (former_tag != 0) {
                free_original.apply(slot);
            }
            hold_original();        // so that the other direction does not take the same way
            claim_reply.apply(answer_digest, meta.connection.now, reply_slot, former_tag, is_full, is_taken);
            if (is_full == 1) {
                meta.drop_reason = drop_reason_t.CONNECTIONS_FULL;
                let_go_of_original();
            } else if (is_taken == 1) {
                meta.drop_reason = drop_reason_t.CONNECTION_CONFLICT;
                let_go_of_original();
            } else {
                if (former_tag != 0) {
                    free_reply.apply(reply_slot);
                }
                write_records();
            }
        }
    }
}

#endif
