/* The writers' side of the runtime: tables, profiles and pipelines. One lock per switch serialises all writers. */
#ifndef KV_CONTROL_H
#define KV_CONTROL_H

#include "kulvert.h"

/* Results of writes, in the order of `Status` on the Python side. */
enum kv_status {
    KV_OK,
    KV_NOT_FOUND,
    KV_ALREADY_EXISTS,
    KV_RESOURCE_EXHAUSTED,
    KV_INVALID_ARGUMENT,
    KV_FAILED_PRECONDITION,
    KV_OUT_OF_MEMORY,
};

/* A meter's configuration: rates in units a microsecond and bursts in units, committed and peak (or excess). */
struct kv_meter_config {
    uint32_t marker; /* enum kv_marker */
    double per_microsecond[KV_MAX_RATES];
    uint64_t burst[KV_MAX_RATES];
    int64_t written[5];
};

/* What an entry does, as it crosses the seam: an action with packed arguments, a member or a group; and what it carries. */
struct kv_target {
    uint32_t kind; /* enum kv_entry_kind */
    uint32_t id;   /* index of the action in the table's actions, member id or group id */
    const uint8_t *args;
    const uint8_t *note;
    uint32_t note_length;
    int64_t idle_timeout_ns;
    const struct kv_counter *counter;    /* NULL: 0, or unchanged */
    const struct kv_meter_config *meter; /* NULL: every packet is green */
    uint64_t now_us;
};

/* Memory that packet threads may still be reading; freed by kv_reclaim after they have passed a batch. */
struct kv_garbage {
    void **items;
    size_t count, room;
};

void kv_retire(struct kv_garbage *garbage, void *item);

/* packed bytes <-> words */
void kv_unpack(const struct kv_field_spec *fields, unsigned count, const uint8_t *bytes, uint64_t *words);
void kv_pack(const struct kv_field_spec *fields, unsigned count, const uint64_t *words, uint8_t *bytes);

/* direct resources */
void kv_meter_configure(struct kv_meter *meter, const struct kv_meter_config *config, uint64_t now_us);
int kv_direct_new(const struct kv_table_spec *spec, const struct kv_target *target, struct kv_direct **result);
int kv_direct_modify(const struct kv_table_spec *spec, const struct kv_target *target, struct kv_direct *old,
                     struct kv_direct **fresh);
void kv_direct_free(struct kv_direct *direct);
void kv_direct_retire(struct kv_garbage *garbage, struct kv_direct *direct);

/* the tuples of a table */
int kv_tuples_init(struct kv_table *table);
void kv_tuples_free(struct kv_table *table); /* and the maps, but no entries */
struct kv_tuple *kv_tuple_find(const struct kv_table *table, const uint64_t *mask);
/* A tuple with an empty map, for an entry of this priority. The map is the caller's if it fails. */
int kv_tuple_add(struct kv_table *table, struct kv_garbage *garbage, const uint64_t *mask, struct kv_map *map, int32_t priority,
                 struct kv_tuple **added);
/* Before an entry with this masked key and priority is put into the tuple's map, so that it is found there. */
int kv_tuple_expect(struct kv_table *table, struct kv_garbage *garbage, struct kv_tuple *tuple, const uint64_t *words,
                    int32_t priority);
/* After an entry was put into a map or taken out, and the table's `live` and the tuple's are right. The tuple may be gone then. */
void kv_tuples_inserted(struct kv_table *table, struct kv_garbage *garbage);
void kv_tuples_deleted(struct kv_table *table, struct kv_garbage *garbage, struct kv_tuple *tuple);

/* tables */
int kv_table_init(struct kv_table *table, const struct kv_table_spec *spec, uint64_t seed);
void kv_table_free(struct kv_table *table);
int kv_table_insert(struct kv_table *table, struct kv_profile *profile, struct kv_garbage *garbage,
                    const uint8_t *value, const uint8_t *mask, int32_t priority, const struct kv_target *target);
int kv_table_modify(struct kv_table *table, struct kv_profile *profile, struct kv_garbage *garbage,
                    const uint8_t *value, const uint8_t *mask, int32_t priority, const struct kv_target *target);
int kv_table_delete(struct kv_table *table, struct kv_garbage *garbage, const uint8_t *value, const uint8_t *mask,
                    int32_t priority);
int kv_table_set_default(struct kv_table *table, struct kv_profile *profile, struct kv_garbage *garbage,
                         const struct kv_target *target, bool of_program);
struct kv_entry *kv_table_find(struct kv_table *table, const uint8_t *value, const uint8_t *mask, int32_t priority,
                               const uint64_t **tuple_mask);
/* Calls `visit` for each entry; `mask` is the tuple's, NULL in an exact table. */
void kv_table_each(struct kv_table *table, void (*visit)(void *, struct kv_entry *, const uint64_t *mask), void *arg);
unsigned kv_args_at(const struct kv_table_spec *spec);
/* The packed value and mask (or bounds) of an entry; `masks` is left alone in an exact table, where `mask` is NULL. */
void kv_entry_key(const struct kv_table_spec *spec, const struct kv_entry *entry, const uint64_t *mask, uint8_t *value,
                  uint8_t *masks);

/* profiles */
struct kv_member *kv_member_find(struct kv_profile *profile, uint32_t id);
struct kv_group *kv_group_find(struct kv_profile *profile, uint32_t id);
int kv_member_write(struct kv_profile *profile, struct kv_garbage *garbage, uint32_t id, uint32_t action,
                    const uint8_t *args, bool insert);
int kv_member_delete(struct kv_profile *profile, struct kv_garbage *garbage, uint32_t id);
typedef bool (*kv_port_up)(void *arg, int32_t port);
int kv_group_write(struct kv_profile *profile, struct kv_garbage *garbage, uint32_t id,
                   const struct kv_group_member *members, uint32_t count, bool insert, kv_port_up up, void *arg);
int kv_group_delete(struct kv_profile *profile, struct kv_garbage *garbage, uint32_t id);
void kv_groups_refresh(struct kv_profile *profile, struct kv_garbage *garbage, kv_port_up up, void *arg);
void kv_profile_free(struct kv_profile *profile);

/* digests */
struct kv_learn *kv_learns_new(const struct kv_program *program);
void kv_learns_free(struct kv_learn *learns, unsigned count);

/* hashes with parameters */
void kv_hash_configure_crc(struct kv_hash_state *state, uint64_t polynomial, uint64_t initial, uint64_t final_xor,
                           bool reflect_data, bool reflect_remainder);
int kv_hashes_init(struct kv_hash_state *states, const struct kv_hash_spec *specs, unsigned count);
void kv_hashes_free(struct kv_hash_state *states, unsigned count);

/* An array of the program that is replaced which the new one goes on with. */
enum kv_kept_kind { KV_KEPT_REGISTER, KV_KEPT_COUNTER, KV_KEPT_METER };
struct kv_kept_array {
    uint32_t kind, from, to;
};

/* pipelines */
struct kv_pipeline *kv_pipeline_new(const struct kv_program *program, uint64_t seed);
void kv_pipeline_free(struct kv_pipeline *pipeline);

#endif
