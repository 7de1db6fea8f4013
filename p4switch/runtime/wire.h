/* P4Runtime's messages, as bytes: the parts of them that table entries are written and read with. */
#ifndef KV_WIRE_H
#define KV_WIRE_H

#include "control.h"

enum kv_wire_kind { KV_WIRE_EXACT = 2, KV_WIRE_TERNARY = 3, KV_WIRE_LPM = 4, KV_WIRE_RANGE = 6, KV_WIRE_OPTIONAL = 7 };

/* A field of a key, or a parameter of an action: `size` bytes at `offset` of what is packed. */
struct kv_wire_value {
    uint32_t id;
    uint32_t kind; /* of a field: enum kv_wire_kind, which are the field numbers in p4.v1.FieldMatch */
    uint32_t width;
    uint32_t offset, size;
};

struct kv_wire_action {
    uint32_t id;
    uint32_t number;    /* in the table's spec */
    uint32_t in_entries; /* entries may be written with it */
    uint32_t param_count;
    const struct kv_wire_value *params;
};

struct kv_wire_table {
    uint32_t id;
    uint32_t number;
    uint32_t writable; /* what is ordinary about its entries can be taken here */
    uint32_t constant; /* its entries are marked so when they are read */
    uint32_t prioritised;
    uint32_t field_count, action_count;
    const struct kv_wire_value *fields;   /* in P4Info's order */
    const struct kv_wire_action *actions;
};

struct kv_wire_plan {
    uint32_t table_count;
    uint32_t max_key, max_args; /* bytes */
    const struct kv_wire_table *tables;
};

/* What a WriteRequest says beside its updates. */
struct kv_wire_header {
    uint64_t device_id, election_high, election_low;
    uint64_t role_offset, role_length;
    uint64_t update_count;
    uint32_t has_election, atomicity;
};

enum kv_wire_mark { KV_WIRE_OTHER, KV_WIRE_INSERT, KV_WIRE_MODIFY, KV_WIRE_DELETE };

/* One update of a request, and what it is: an ordinary one of table entries, or something else. */
struct kv_wire_update {
    uint64_t offset;
    uint32_t length, mark;
};

struct kv_wire_query {
    int32_t priority; /* 0: any */
    int64_t action;   /* number, -1: any */
    uint32_t counter, meter, colours, last_hit;
    uint64_t chunk; /* bytes after which a ReadResponse is closed */
};

struct kv_wire_chunk {
    uint8_t *data;
    uint64_t size;
};

#endif
