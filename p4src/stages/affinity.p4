// Session affinity: a client stays with its endpoint, whatever port it comes from and whichever of the Service's addresses it asks.
//
//   affinity_tags      one word a way:    expires (28) | fingerprint (36)
//   affinity_records   four words a way:  client address | endpoint address |
//                                         affinity id (24), endpoint's port (16), endpoint (32), spare (56) | spare
//
// Sets of four ways; who is not in a set yet takes the way that is free or would expire first. `expires` is in ticks of 2^20
// microseconds, and every new connection puts it off.

#ifndef KULVERT_AFFINITY_P4
#define KULVERT_AFFINITY_P4

register<bit<64>>(AFFINITY_SLOTS) affinity_tags;
register<bit<128>>(AFFINITY_RECORD_WORDS) affinity_records;

const bit<8> AFFINITY_WAYS_SHIFT   = 2;
const bit<8> AFFINITY_RECORD_SHIFT = 2;

// The endpoint that the client had, if it is still one of those it may have now. Chosen, it needs no selection any more.
control find_affinity(inout metadata_t meta, in standard_metadata_t standard_metadata) {
    bit<64> hashed = 0;
    bit<32> first_slot = 0;
    bit<64> tag = 0;
    bit<28> ticks_left = 0;
    bit<32> weight = 0;
    bit<32> best_weight = 0;
    bit<64> best_tag = 0;
    ip_addr_t client = 0;
    bit<128> info = 0;

    action find_set() {
        meta.connection.now = standard_metadata.ingress_global_timestamp[47:20];
        hashed = meta.hash_key.start
            + digest_of_address(meta.flow.src_addr, meta.hash_key.word_0, meta.hash_key.word_1, meta.hash_key.word_2,
                                meta.hash_key.word_3)
            + ((bit<64>)meta.service.affinity_id + meta.hash_key.word_4) * meta.hash_key.word_5;
        first_slot = (bit<32>)(hashed >> AFFINITY_SET_SHIFT) << AFFINITY_WAYS_SHIFT;
        meta.service.affinity_fingerprint = (bit<36>)(hashed >> AFFINITY_FINGERPRINT_SHIFT) | 1;
    }

    action weigh_way(in bit<32> slot) {
        affinity_tags.read(tag, slot);
        ticks_left = tag[63:36] - meta.connection.now;
        if (tag[35:0] == meta.service.affinity_fingerprint) {
            weight = 0;
        } else if (tag == 0 || ticks_left[27:27] == 1) {
            weight = 1;
        } else {
            weight = (bit<32>)ticks_left + 2;
        }
        if (weight < best_weight) {
            meta.service.affinity_slot = slot;
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
        ticks_left = best_tag[63:36] - meta.connection.now;
    }

    action read_record() {
        affinity_records.read(client, meta.service.affinity_slot << AFFINITY_RECORD_SHIFT);
        affinity_records.read(info, (meta.service.affinity_slot << AFFINITY_RECORD_SHIFT) | 2);
        meta.connection.endpoint_id = info[87:56];
    }

    action endpoint_is_usable() {
        affinity_records.read(meta.translated.dst_addr, (meta.service.affinity_slot << AFFINITY_RECORD_SHIFT) | 1);
        meta.translated.l4_dport = info[103:88];
        meta.connection.is_translated = 1;
    }

    table affinity_endpoint_table {
        key = {
            meta.service.set_id:         exact @name("set_id");
            meta.connection.endpoint_id: exact @name("endpoint_id");
        }
        actions = {
            endpoint_is_usable;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        size = AFFINITY_ENDPOINT_TABLE_SIZE;
    }

    apply {
        find_set();
        weigh_set();
        if (best_weight == 0 && ticks_left[27:27] == 0) {
            read_record();
            if (client == meta.flow.src_addr && info[127:104] == meta.service.affinity_id) {
                affinity_endpoint_table.apply();
            }
        }
    }
}

// The connection is made: its endpoint is the client's from now on, for the Service's time.
control keep_affinity(inout metadata_t meta) {
    bit<28> ticks = 0;

    // A second is 10^6 / 2^20 = 15625 / 2^14 ticks; rounded up.
    action write_affinity() {
        ticks = (bit<28>)(((bit<32>)meta.service.affinity_seconds * 15625 + 16383) >> 14);
        affinity_records.write(meta.service.affinity_slot << AFFINITY_RECORD_SHIFT, meta.flow.src_addr);
        affinity_records.write((meta.service.affinity_slot << AFFINITY_RECORD_SHIFT) | 1, meta.translated.dst_addr);
        affinity_records.write((meta.service.affinity_slot << AFFINITY_RECORD_SHIFT) | 2,
            meta.service.affinity_id ++ meta.translated.l4_dport ++ meta.connection.endpoint_id ++ 56w0);
        affinity_tags.write(meta.service.affinity_slot,
            (meta.connection.now + ticks) ++ meta.service.affinity_fingerprint);
    }

    apply {
        write_affinity();
    }
}

#endif
