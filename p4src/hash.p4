// The hash that puts five-tuples and clients in their places, with a secret, so that nobody can choose whom to meet there.
//
// A CRC will not do: it is linear, and what collides under one seed collides under all. This is Multilinear-HM (Lemire and
// Kaser, "Strongly universal string hashing is fast", 2014): the sum of (word + key) * (word + key) modulo 2^64, whose upper
// half is strongly universal over the choice of the keys. It is faster than a CRC as well: five multiplications.

#ifndef KULVERT_HASH_P4
#define KULVERT_HASH_P4

bit<64> digest_of_address(in ip_addr_t address, in bit<64> key_0, in bit<64> key_1, in bit<64> key_2, in bit<64> key_3) {
    return ((bit<64>)address[127:96] + key_0) * ((bit<64>)address[95:64] + key_1)
        + ((bit<64>)address[63:32] + key_2) * ((bit<64>)address[31:0] + key_3);
}

// What the ports and the protocol add to the digest of the addresses.
bit<64> digest_of_ports(in flow_t flow, in hash_key_t key) {
    return ((bit<64>)(flow.l4_sport ++ flow.l4_dport) + key.word_8) * ((bit<64>)flow.protocol + key.word_9);
}

bit<64> digest_of_addresses(in flow_t flow, in hash_key_t key) {
    return key.start
        + digest_of_address(flow.src_addr, key.word_0, key.word_1, key.word_2, key.word_3)
        + digest_of_address(flow.dst_addr, key.word_4, key.word_5, key.word_6, key.word_7);
}

bit<64> digest_of_flow(in flow_t flow, in hash_key_t key) {
    return digest_of_addresses(flow, key) + digest_of_ports(flow, key);
}

// The secret is the default action's parameters: the program's own are for tests, and the controller gives every switch others.
control choose_hash_key(inout metadata_t meta) {
    action set_hash_key(bit<64> word_0, bit<64> word_1, bit<64> word_2, bit<64> word_3, bit<64> word_4, bit<64> word_5,
                        bit<64> word_6, bit<64> word_7, bit<64> word_8, bit<64> word_9, bit<64> start) {
        meta.hash_key.word_0 = word_0;
        meta.hash_key.word_1 = word_1;
        meta.hash_key.word_2 = word_2;
        meta.hash_key.word_3 = word_3;
        meta.hash_key.word_4 = word_4;
        meta.hash_key.word_5 = word_5;
        meta.hash_key.word_6 = word_6;
        meta.hash_key.word_7 = word_7;
        meta.hash_key.word_8 = word_8;
        meta.hash_key.word_9 = word_9;
        meta.hash_key.start = start;
    }

    table hash_key_table {
        actions = {
            set_hash_key;
        }
        default_action = set_hash_key(
            0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9, 0x94d049bb133111eb, 0xd6e8feb86659fd93, 0xa0761d6478bd642f,
            0xe7037ed1a0b428db, 0x8ebc6af09c88c6e3, 0x589965cc75374cc3, 0x1d8e4e27c47d124f, 0xeb44accab455d165,
            0x2545f4914f6cdd1d);
    }

    apply {
        hash_key_table.apply();
    }
}

#endif
