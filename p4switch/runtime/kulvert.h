/* What the generated pipeline and the runtime library share: descriptions of a program, entries, packets.
 *
 * A pipeline is one shared object that exports `kv_program`; the runtime library holds its state (tables, registers,
 * counters) and calls `process` for each frame. Everything a packet thread reads is published by one store of a pointer,
 * and freed only after every packet thread has left its batch (see pipeline.c), so that a packet sees a write
 * whole or not at all and never waits for one.
 */
#ifndef KULVERT_H
#define KULVERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define KV_ABI 10
#define KV_MAX_PORTS 65536u
#define KV_HEADROOM 640u  /* bytes in front of a received frame into which headers may grow */
#define KV_TAILROOM 64u   /* readable bytes behind a frame: fields are loaded eight bytes at a time */
#define KV_MAX_HINTS 4u
#define KV_MAX_FRAME 65600u

typedef unsigned __int128 kv_u128;
typedef __int128 kv_i128;

#define KV_LOAD(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define KV_STORE(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define KV_PUT(cell, v) __atomic_store_n(&(cell), (v), __ATOMIC_RELAXED)
#define KV_LIKELY(c) __builtin_expect(!!(c), 1)
#define KV_UNLIKELY(c) __builtin_expect(!!(c), 0)

/* -- description of a program, generated -------------------------------------------------------------------------- */

enum kv_match { KV_EXACT, KV_LPM, KV_TERNARY, KV_RANGE };

/* Where a key field or an action parameter lives: `bytes` big-endian bytes at the seam, `width` bits from bit
 * `shift` of 64-bit word `limb` inside. `range` is the index of a range field's bounds. */
struct kv_field_spec {
    uint32_t width;
    uint16_t bytes;
    uint16_t limb;
    uint8_t shift;
    uint8_t match;
    uint16_t range;
};

struct kv_action_spec {
    const char *name;
    uint16_t param_count;
    uint16_t arg_bytes;
    uint16_t arg_limbs;
    const struct kv_field_spec *params;
};

struct kv_table_spec {
    const char *name;
    uint8_t kind; /* enum kv_match */
    uint8_t counters;
    uint8_t meter_rates; /* 0: no direct meter */
    uint8_t meter_bytes;
    uint8_t timeouts; /* entries may age */
    int16_t profile;  /* index, or -1 */
    uint16_t key_count;
    uint16_t key_bytes;
    uint16_t key_limbs;
    uint16_t range_count;
    uint16_t action_count;
    uint32_t size;
    const struct kv_field_spec *key;
    const struct kv_action_spec *actions;
};

struct kv_profile_spec {
    const char *name;
    uint8_t selector;
    uint16_t action_count;
    uint32_t size;
    const struct kv_action_spec *actions;
};

struct kv_register_spec {
    const char *name;
    uint32_t size;
    uint32_t width;  /* bits */
    uint32_t stride; /* bytes of one cell */
};

struct kv_counter_spec {
    const char *name;
    uint32_t size;
};

struct kv_meter_spec {
    const char *name;
    uint32_t size;
    uint8_t rates;
    uint8_t per_byte;
};

struct kv_value_set_spec {
    const char *name;
    uint32_t bytes; /* of one member, each field of the key padded to bytes */
};

/* A hash with parameters or a state of its own, one for each calculation that uses it. `width` is a CRC's, else 0. */
enum kv_hash_kind { KV_HASH_CRC, KV_HASH_TOEPLITZ, KV_HASH_ROUND_ROBIN, KV_HASH_ROUND_ROBIN_CONSISTENT };

struct kv_hash_spec {
    const char *name;
    uint8_t kind;
    uint8_t width;
    uint8_t reflect_data, reflect_remainder;
    uint64_t polynomial, initial, final_xor;
};

struct kv_digest_spec {
    const char *name;
    uint32_t id;
    uint32_t bytes; /* of one sample, each field padded to bytes */
};

struct kv_ctx;
struct kv_frame;
struct kv_packet;
struct kv_waited;

struct kv_program {
    uint32_t abi;
    uint32_t phv_size;
    uint16_t table_count, profile_count, register_count, counter_count, meter_count, value_set_count, digest_count, hash_count;
    const struct kv_table_spec *tables;
    const struct kv_profile_spec *profiles;
    const struct kv_register_spec *registers;
    const struct kv_counter_spec *counters;
    const struct kv_meter_spec *meters;
    const struct kv_value_set_spec *value_sets;
    const struct kv_digest_spec *digests;
    const struct kv_hash_spec *hashes;
    /* Look-ups of large exact tables whose keys can be guessed from the parsed packet: kv_process_batch fetches them ahead. */
    uint16_t hint_count;
    const uint16_t *hinted; /* tables */
    void (*hint)(struct kv_ctx *, const struct kv_frame *, uint64_t *hashes);
    bool parallel; /* its state lets several packet threads run it at once */
    bool *shared;  /* set while they do */
    void (*process)(struct kv_ctx *, struct kv_frame *);
    /* The rest of what is done to a packet that waited in front of the egress. */
    void (*egress)(struct kv_ctx *, struct kv_packet *, uint32_t port, const struct kv_waited *);
};

/* -- tables ------------------------------------------------------------------------------------------------------- */

struct kv_counter {
    uint64_t packets, bytes;
};

/* A token bucket for each rate: committed, then peak (or, of a single-rate marker, the excess bucket). */
#define KV_MAX_RATES 2
#define KV_COLOURS (KV_MAX_RATES + 1)
enum kv_marker { KV_UNCONFIGURED, KV_TWO_RATES, KV_SINGLE_RATE };

struct kv_meter {
    uint8_t marker; /* enum kv_marker */
    struct {
        double per_microsecond;
        uint64_t burst, tokens, granted;
    } rate[KV_MAX_RATES];
    uint64_t since; /* microseconds at which it was configured */
    struct kv_counter marked[KV_COLOURS];
    int64_t written[5]; /* the configuration as it was written, for reading it back: cir, cburst, pir, pburst, eburst */
};

/* What a client attached to an entry that means nothing to packets; writers only. */
struct kv_note {
    uint32_t length;
    uint8_t bytes[];
};

/* What an entry carries beside its key and action, if there is any; shared by the successive versions of one entry. */
struct kv_direct {
    struct kv_counter counter;
    uint64_t last_hit_us; /* since the switch started; kept in tables with timeouts */
    uint64_t notified_us; /* the last notification that it is idle; writers only */
    int64_t idle_timeout_ns; /* 0: none; writers only */
    struct kv_note *note;
    struct kv_meter meter[]; /* one in tables with a direct meter */
};

/* An action with its arguments; never changed once published. */
struct kv_member_action {
    uint32_t action; /* index in the profile's actions */
    uint64_t args[];
};

struct kv_member {
    uint32_t id;
    uint32_t uses; /* by entries and groups; writers only */
    struct kv_member_action *current;
};

struct kv_group_view {
    uint32_t count; /* active members, each as often as its weight */
    struct kv_member *members[];
};

struct kv_group_member {
    uint32_t member_id;
    uint32_t weight;
    int32_t watch_port; /* -1: none */
};

struct kv_group {
    uint32_t id;
    uint32_t uses;
    struct kv_group_view *current;
    uint32_t member_count;
    struct kv_group_member *members; /* as written; writers only */
};

enum kv_entry_kind { KV_ACTION, KV_MEMBER, KV_GROUP };

/* An entry: key words, two words for each range field, then the action's arguments. */
struct kv_entry {
    struct kv_entry *next; /* same masked key in the same tuple, by falling priority */
    union {
        struct kv_member *member;
        struct kv_group *group;
    };
    struct kv_direct *direct;
    int32_t priority;
    uint32_t order; /* of insertion: the older entry wins among equals */
    uint16_t action;
    uint8_t kind;
    uint8_t ranged; /* the ranges are not fully expressed by the tuple's mask */
    uint64_t words[];
};

struct kv_map {
    uint64_t mask;    /* number of slots, a power of two, minus one */
    uint64_t filter;  /* number of filter bits minus one; 0: no filter. The bits are behind the slots */
    uint64_t slots[]; /* 0: free, 1: deleted, else 16 bits of hash above an entry's address */
};

struct kv_tuple {
    struct kv_map *map;
    /* writers only */
    uint32_t live, used; /* entries' slots; slots not free */
    int32_t max_priority;
    uint32_t number, place; /* in the table's array; in its index */
    struct kv_tuple *chain; /* the next one of the bucket */
    uint64_t mask[];
};

#define KV_INDEX_BYTES 8u

/* Which of many tuples may have a key (tuples.c). A tuple's place is a bit in all rows; places come in blocks of 64. The first
 * `fresh_blocks` have tuples in the order in which they came, the others in that of their best priority when the index was made. */
struct kv_tuple_index {
    uint32_t blocks, fresh_blocks, byte_count;
    uint32_t fresh; /* places taken of the fresh blocks; writers only */
    struct kv_index_byte {
        uint16_t limb, shift;
    } bytes[KV_INDEX_BYTES];
    uint64_t *bits;           /* for each of the bytes and each of its values a row of `blocks` words */
    struct kv_tuple **tuples; /* by place */
    int32_t *best;            /* by place: the best priority */
    int32_t *above;           /* by block: no priority in it or in a later one is better */
};

struct kv_tuple_list {
    struct kv_tuple_index *index; /* NULL, or else the list is empty */
    uint32_t count;
    struct {
        int32_t max_priority;
        struct kv_tuple *tuple;
    } at[];
};

struct kv_table {
    const struct kv_table_spec *spec;
    uint64_t seed;
    struct kv_map *map;           /* exact */
    struct kv_tuple_list *tuples; /* lpm, ternary, range */
    struct kv_entry *default_entry;
    /* writers only */
    struct kv_entry *program_default;
    uint32_t live, used, order;
    uint32_t ageing; /* entries with a timeout */
    struct kv_tuple **all, **buckets; /* tuples, also those without entries that an index still has; by hash of the mask */
    uint32_t tuple_count, bucket_count;
    uint32_t indexed, stale; /* entries when the index was made; deleted since then */
    bool immutable, default_const;
};

struct kv_profile {
    const struct kv_profile_spec *spec;
    /* writers only: open hash by id */
    struct kv_member **members;
    uint32_t member_slots, member_count;
    struct kv_group **groups;
    uint32_t group_slots, group_count;
};

/* A field of a value set's members: compared under a mask, or as a range between a value and its mask. */
struct kv_value_set_field {
    uint16_t bytes;
    uint16_t range;
};

struct kv_value_set {
    const struct kv_value_set_spec *spec;
    struct kv_value_set_view {
        uint32_t count;
        uint32_t field_count; /* 0: all exact */
        const struct kv_value_set_field *fields; /* behind the members */
        uint8_t members[];                       /* value and mask of each */
    } *current;
};

#define KV_TOEPLITZ_WORDS 256u
#define KV_ROUND_ROBIN_INPUTS 65536u

struct kv_hash_state {
    uint8_t kind, width;
    bool reflect_data, reflect_remainder;
    uint64_t initial, final_xor;
    uint64_t next;      /* of a round robin */
    uint64_t *inputs;   /* of a consistent one: hash and number of each input met, by open addressing */
    uint32_t key_words; /* of a Toeplitz hash */
    uint32_t key[KV_TOEPLITZ_WORDS];
    uint64_t table[256]; /* of a CRC: the remainder of each byte */
};

struct kv_pipeline {
    const struct kv_program *program;
    struct kv_table *tables;
    struct kv_profile *profiles;
    void **registers;
    struct kv_counter **counters;
    struct kv_meter **meters;
    struct kv_value_set *value_sets;
    struct kv_learn *learns; /* by digest */
    struct kv_hash_state *hashes;
};

/* -- packets ------------------------------------------------------------------------------------------------------ */

/* Segmentation that the receiver left undone, as Linux's virtio header tells it. */
struct kv_offload {
    uint8_t gso_type; /* 0: none */
    uint16_t gso_size;
};

struct kv_frame {
    uint8_t *data;  /* at least KV_HEADROOM bytes behind `start` */
    uint8_t *start; /* of the buffer */
    uint32_t length;
    uint32_t port;
    struct kv_offload offload;
};

/* Replication: what the packet engine does with a multicast group and a clone session. */
struct kv_replica {
    uint32_t port;
    uint32_t instance;
};

/* What is sent: of each replica the most preferred one whose port is up. */
struct kv_multicast_view {
    uint32_t count;
    struct kv_replica replicas[];
};

struct kv_clone_session {
    uint32_t truncate; /* bytes, 0: none */
    uint32_t count;
    uint32_t class_of_service;
    struct kv_replica replicas[];
};

/* What a packet met in its queue: when it came, and how many were in front of it then and behind it when it left. */
struct kv_waited {
    uint64_t enqueued_us; /* since the switch started */
    uint32_t enqueued_depth, dequeued_depth;
    uint32_t queue; /* of its port's */
};

/* A packet thread's surroundings. `emit` takes a finished frame; its bytes must stay until the batch ends. */
struct kv_ctx {
    struct kv_pipeline *pipeline;
    uint64_t now_us; /* since the switch started */
    uint32_t drop_port, cpu_port;
    uint32_t queue_count; /* of each port, one a priority */
    /* NULL while no queue has a rate or a depth. True: the packet goes straight on; else it waits as a copy, or was dropped. */
    bool (*enqueue)(struct kv_ctx *, const struct kv_packet *, uint32_t port, struct kv_waited *);
    void *phv;        /* scratch, program->phv_size bytes */
    void *hint_phv;   /* another one, for program->hint */
    uint64_t random;  /* state of the generator */
    void *owner;
    void (*emit)(struct kv_ctx *, uint32_t port, uint8_t *data, uint32_t length, struct kv_offload offload);
    void *(*alloc)(struct kv_ctx *, size_t size); /* freed at the end of the batch */
    const struct kv_multicast_view *(*multicast)(struct kv_ctx *, uint32_t group);
    const struct kv_clone_session *(*clone_session)(struct kv_ctx *, uint32_t id);
    void (*digest)(struct kv_ctx *, uint32_t index, const uint8_t *sample);
    void (*log)(struct kv_ctx *, const char *text);
    void (*trace)(struct kv_ctx *, const uint8_t *records, uint32_t length); /* NULL, or for pipelines with KV_TRACED */
    uint64_t dropped_ingress, dropped_egress;                   /* by the program */
    uint64_t dropped_headroom, dropped_loop, dropped_exhausted; /* reasons of the runtime's own */
    uint64_t dropped_priority;                                  /* there is no queue of the packet's priority */
};

#endif
