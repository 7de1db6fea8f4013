// How many unanswered connections a pod may have open: a flood fills its own share of the connection table and nobody else's.
//
//   unanswered_counts    one word a port:  window (28) | opened and not answered in it (36)
//
// A window is UNANSWERED_WINDOW ticks long, which is no shorter than the longest timeout of an unanswered connection. So what counts no
// longer has ended, and a port never holds more than twice the limit.

#ifndef KULVERT_UNANSWERED_P4
#define KULVERT_UNANSWERED_P4

register<bit<64>>(512) unanswered_counts;

// A pod opens a connection.
control count_opening(inout metadata_t meta, in standard_metadata_t standard_metadata) {
    bit<64> held = 0;
    bit<28> window = 0;
    bit<36> opened = 0;

    action read_count() {
        unanswered_counts.read(held, (bit<32>)standard_metadata.ingress_port);
        window = meta.connection.now >> UNANSWERED_WINDOW_SHIFT;
        opened = held[35:0];
    }

    action write_count() {
        unanswered_counts.write((bit<32>)standard_metadata.ingress_port, window ++ (opened + 1));
    }

    apply {
        read_count();
        if (held[63:36] != window) {
            opened = 0;
        }
        if (opened >= UNANSWERED_LIMIT) {
            meta.drop_reason = drop_reason_t.UNANSWERED_LIMIT;
        } else {
            write_count();
        }
    }
}

// One that a pod has opened is answered for the first time: the pod's is the port that the answer leaves on.
control count_answer(in metadata_t meta) {
    bit<64> held = 0;

    action read_count() {
        unanswered_counts.read(held, (bit<32>)meta.egress_port);
    }

    action write_count() {
        unanswered_counts.write((bit<32>)meta.egress_port, held - 1);
    }

    apply {
        read_count();
        if (held[35:0] != 0 && held[63:36] == meta.connection.now >> UNANSWERED_WINDOW_SHIFT) {
            write_count();
        }
    }
}

#endif
