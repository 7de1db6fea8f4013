// Masquerade: a connection leaves as the node's own, from a port that no other connection to that endpoint has.
//
// There is no list of free ports that could get out of step: a port is free if the answer to it belongs to no live connection, which
// one look into the connection table tells. Ports are drawn by chance, a bounded number of times, so that they cannot be foretold and a
// sender who repeats himself gets other ones.

#ifndef KULVERT_MASQUERADE_P4
#define KULVERT_MASQUERADE_P4

control masquerade(in headers_t hdr, inout metadata_t meta) {
    ip_addr_t address = 0;
    bit<1> is_ipv6 = 0;
    flow_t answer = { 0, 0, 0, 0, 0 };
    bit<64> digest_of_hosts = 0;
    bit<64> hashed = 0;
    bit<32> first_slot = 0;
    bit<32> fingerprint = 0;
    bit<64> tag = 0;
    bit<28> ticks_left = 0;
    bit<1> has_room = 0;
    bit<1> is_taken = 0;

    action set_masquerade_address(ip_addr_t addr) {
        address = addr;
    }

    table masquerade_table {
        key = {
            is_ipv6: exact @name("is_ipv6");
        }
        actions = {
            set_masquerade_address;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        size = MASQUERADE_TABLE_SIZE;
    }

    action prepare_answer() {
        answer.src_addr = meta.translated.dst_addr;
        answer.dst_addr = address;
        answer.l4_sport = meta.translated.l4_dport;
        answer.protocol = meta.translated.protocol;
        digest_of_hosts = digest_of_addresses(answer, meta.hash_key);
    }

    action look_at_way(in bit<32> slot) {
        connection_tags.read(tag, slot);
        ticks_left = tag[59:32] - meta.connection.now;
        if (tag[63:63] == 0 || ticks_left[27:27] == 1) {
            has_room = 1;
        }
        if (tag[31:0] == fingerprint && ticks_left[27:27] == 0) {
            is_taken = 1;
        }
    }

    action draw_port() {
        random(answer.l4_dport, MASQUERADE_FIRST_PORT, MASQUERADE_LAST_PORT);
        hashed = digest_of_hosts + digest_of_ports(answer, meta.hash_key);
        first_slot = first_slot_of(hashed);
        fingerprint = fingerprint_of(hashed);
        has_room = 0;
        is_taken = 0;
    }

    action look_at_set() {
        look_at_way(first_slot);
        look_at_way(first_slot | 1);
        look_at_way(first_slot | 2);
        look_at_way(first_slot | 3);
        look_at_way(first_slot | 4);
        look_at_way(first_slot | 5);
        look_at_way(first_slot | 6);
        look_at_way(first_slot | 7);
    }

    action become_the_node() {
        meta.translated.src_addr = address;
        meta.translated.l4_sport = answer.l4_dport;
    }

    apply {
        is_ipv6 = (bit<1>)hdr.ipv6.isValid();
        if (masquerade_table.apply().miss) {
            meta.drop_reason = drop_reason_t.NO_MASQUERADE_ADDRESS;
        } else if (address != meta.translated.dst_addr && meta.flow.protocol == PROTOCOL_UDP
                   && (meta.translated.l4_dport == VXLAN_PORT || meta.translated.l4_dport == GENEVE_PORT)) {
            // Other nodes let a tunnel's frame in for this node's address, which is therefore lent to nobody there.
            meta.drop_reason = drop_reason_t.UNKNOWN_TUNNEL;
        } else if (address != meta.translated.dst_addr) {   // the node's own endpoint sees who comes, and answers through here
            prepare_answer();
            draw_port();
            look_at_set();
            if (is_taken == 1 || has_room == 0) {
                draw_port();
                look_at_set();
            }
            if (is_taken == 1 || has_room == 0) {
                draw_port();
                look_at_set();
            }
            if (is_taken == 1 || has_room == 0) {
                draw_port();
                look_at_set();
            }
            if (is_taken == 1 || has_room == 0) {
                draw_port();
                look_at_set();
            }
            if (is_taken == 1 || has_room == 0) {
                draw_port();
                look_at_set();
            }
            if (is_taken == 1 || has_room == 0) {
                draw_port();
                look_at_set();
            }
            if (is_taken == 1 || has_room == 0) {
                draw_port();
                look_at_set();
            }
            if (is_taken == 1 || has_room == 0) {
                meta.drop_reason = drop_reason_t.MASQUERADE_EXHAUSTED;
            } else {
                become_the_node();
            }
        }
    }
}

#endif
