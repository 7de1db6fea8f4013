// Revalidation: what policies that have changed say of the connections that are there.
//
// Policies have a generation, which the controller changes with them if it is told to look at live connections anew; otherwise it stays
// as it is for ever. A connection remembers the one that it was let in under. With its next packet of either direction after a change it
// is judged again, and ends there and then if it is not allowed any more.

#ifndef KULVERT_REVALIDATION_P4
#define KULVERT_REVALIDATION_P4

// Which generation there is, and whether the packet's connection is of an older one.
control check_generation(inout metadata_t meta) {
    bit<128> kept = 0;

    action set_policy_generation(bit<32> generation) {
        meta.connection.generation = generation;
    }

    table policy_generation_table {
        actions = {
            set_policy_generation;
        }
        default_action = set_policy_generation(0);
    }

    apply {
        policy_generation_table.apply();
        if (meta.connection.is_hit == 1 && meta.is_passive == 0) {
            connection_records.read(kept, (meta.connection.slot << CONNECTION_RECORD_SHIFT) | 3);
            if (kept[31:0] != meta.connection.generation) {
                meta.connection.is_outdated = 1;
            }
        }
    }
}

// Policy has judged the connection again: it is of this generation now, or it is no more.
control settle_outdated(in metadata_t meta) {
    action renew() {
        connection_records.write((meta.connection.slot << CONNECTION_RECORD_SHIFT) | 3, 96w0 ++ meta.connection.generation);
        connection_records.write((meta.connection.peer_slot << CONNECTION_RECORD_SHIFT) | 3,
            96w0 ++ meta.connection.generation);
    }

    action end() {
        connection_tags.write(meta.connection.slot, 0);
        connection_tags.write(meta.connection.peer_slot, 0);
    }

    apply {
        if (meta.drop_reason == drop_reason_t.NONE) {
            renew();
        } else {
            end();
        }
    }
}

#endif
