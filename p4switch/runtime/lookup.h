/* Table look-ups, inlined into the generated code with the number of key words as a constant.
 *
 * Exact tables are open-addressing hash maps of eight-byte slots (16 bits of the hash above the entry's address): a look-up
 * costs one cache line for the slot and one or two for the entry. The other kinds are searched tuple by tuple: one such map for each
 * distinct mask, in order of the best priority in it, so that the search ends at the first tuple that cannot win.
 */
#ifndef KV_LOOKUP_H
#define KV_LOOKUP_H

#include "kulvert.h"

#define KV_SLOT_FREE 0u
#define KV_SLOT_DELETED 1u
#define KV_POINTER(slot) ((struct kv_entry *)(uintptr_t)((slot) & 0xffffffffffffu))

static inline uint64_t kv_fold(uint64_t a, uint64_t b)
{
    kv_u128 r = (kv_u128)a * b;
    return (uint64_t)r ^ (uint64_t)(r >> 64);
}

static inline uint64_t kv_hash_words(const uint64_t *key, unsigned words, uint64_t seed)
{
    uint64_t h = seed;
    unsigned i = 0;
    for (; i + 1 < words; i += 2)
        h = kv_fold(key[i] ^ h ^ 0xa0761d6478bd642full, key[i + 1] ^ seed ^ 0xe7037ed1a0b428dbull) + h;
    if (i < words)
        h = kv_fold(key[i] ^ h ^ 0x8ebc6af09c88c6e3ull, seed ^ 0x589965cc75374cc3ull) + h;
    return kv_fold(h ^ 0x1d8e4e27c47d124full, 0xeb44accab455d165ull);
}

static inline bool kv_words_equal(const uint64_t *a, const uint64_t *b, unsigned words)
{
    uint64_t difference = 0;
    for (unsigned i = 0; i < words; i++)
        difference |= a[i] ^ b[i];
    return difference == 0;
}

static inline struct kv_entry *kv_map_find(const struct kv_map *map, const uint64_t *key, unsigned words, uint64_t hash)
{
    uint64_t tag = hash >> 48;
    for (uint64_t i = hash;; i++) {
        uint64_t slot = KV_LOAD(&map->slots[i & map->mask]);
        if (slot == KV_SLOT_FREE)
            return NULL;
        if (slot >> 48 == tag && slot != KV_SLOT_DELETED) {
            struct kv_entry *entry = KV_POINTER(slot);
            if (KV_LIKELY(kv_words_equal(entry->words, key, words)))
                return entry;
        }
    }
}

static inline struct kv_entry *kv_lookup_exact(struct kv_table *table, const uint64_t *key, unsigned words)
{
    return kv_map_find(KV_LOAD(&table->map), key, words, kv_hash_words(key, words, table->seed));
}

/* `fields` are the values of the range fields, in the order of their bounds in an entry. */
static inline bool kv_in_ranges(const struct kv_entry *entry, unsigned words, const uint64_t *fields, unsigned ranges)
{
    for (unsigned i = 0; i < ranges; i++)
        if (fields[i] < entry->words[words + 2 * i] || fields[i] > entry->words[words + 2 * i + 1])
            return false;
    return true;
}

static inline struct kv_entry *kv_lookup_tuples(struct kv_table *table, const uint64_t *key, unsigned words,
                                                const uint64_t *fields, unsigned ranges)
{
    const struct kv_tuple_list *list = KV_LOAD(&table->tuples);
    struct kv_entry *best = NULL;
    for (uint32_t t = 0; t < list->count; t++) {
        if (best && list->at[t].max_priority < best->priority)
            break;
        struct kv_tuple *tuple = list->at[t].tuple;
        uint64_t masked[words ? words : 1];
        for (unsigned i = 0; i < words; i++)
            masked[i] = key[i] & tuple->mask[i];
        struct kv_entry *entry =
            kv_map_find(KV_LOAD(&tuple->map), masked, words, kv_hash_words(masked, words, table->seed));
        while (entry && ranges && entry->ranged && !kv_in_ranges(entry, words, fields, ranges))
            entry = KV_LOAD(&entry->next);
        if (entry && (!best || entry->priority > best->priority ||
                      (entry->priority == best->priority && entry->order < best->order)))
            best = entry;
    }
    return best;
}

/* One prefix length a tuple and the longest first: the first hit is the answer. */
static inline struct kv_entry *kv_lookup_lpm(struct kv_table *table, const uint64_t *key, unsigned words)
{
    const struct kv_tuple_list *list = KV_LOAD(&table->tuples);
    for (uint32_t t = 0; t < list->count; t++) {
        struct kv_tuple *tuple = list->at[t].tuple;
        uint64_t masked[words ? words : 1];
        for (unsigned i = 0; i < words; i++)
            masked[i] = key[i] & tuple->mask[i];
        struct kv_entry *entry =
            kv_map_find(KV_LOAD(&tuple->map), masked, words, kv_hash_words(masked, words, table->seed));
        if (entry)
            return entry;
    }
    return NULL;
}

static inline void kv_count(struct kv_counter *counter, uint64_t bytes)
{
    __atomic_store_n(&counter->packets, counter->packets + 1, __ATOMIC_RELAXED);
    __atomic_store_n(&counter->bytes, counter->bytes + bytes, __ATOMIC_RELAXED);
}

/* The colour of a packet: 0 while every bucket has tokens for it, else the number of the first that has not. */
static inline uint32_t kv_meter_execute(struct kv_meter *meter, unsigned rates, bool per_byte, uint32_t length,
                                        uint64_t now_us)
{
    if (!__atomic_load_n(&meter->configured, __ATOMIC_ACQUIRE))
        return 0;
    uint64_t elapsed = now_us - meter->since, need = per_byte ? length : 1;
    for (unsigned i = 0; i < rates; i++) {
        uint64_t granted = (uint64_t)((double)elapsed * meter->rate[i].per_microsecond);
        uint64_t tokens = meter->rate[i].tokens + (granted - meter->rate[i].granted);
        meter->rate[i].granted = granted;
        if (tokens > meter->rate[i].burst)
            tokens = meter->rate[i].burst;
        if (tokens < need) {
            meter->rate[i].tokens = tokens;
            return i + 1;
        }
        meter->rate[i].tokens = tokens - need;
    }
    return 0;
}

static inline bool kv_value_set_contains(struct kv_value_set *set, const uint8_t *key, unsigned bytes)
{
    const struct kv_value_set_view *view = KV_LOAD(&set->current);
    if (view)
        for (uint32_t i = 0; i < view->count; i++)
            if (memcmp(view->members + (size_t)i * bytes, key, bytes) == 0)
                return true;
    return false;
}

#endif
