/* Table look-ups, inlined into the generated code with the number of key words as a constant.
 *
 * Exact tables are open-addressing hash maps of eight-byte slots (16 bits of the hash above the entry's address): a look-up
 * costs one cache line for the slot and one or two for the entry, and a large table is asked for both some packets ahead. The other kinds are searched tuple by tuple: one such map for each
 * distinct mask, in order of the best priority in it, so that the search ends at the first tuple that cannot win. Where there are many, an
 * index tells which of them may have the key at all (tuples.c).
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

/* The word and bit of a filter in which every key of the map has left its mark. */
static inline uint64_t *kv_filter_word(const struct kv_map *map, uint64_t hash)
{
    return (uint64_t *)(uintptr_t)&map->slots[map->mask + 1 + ((hash >> 24 & map->filter) >> 6)];
}

static inline uint64_t kv_filter_bit(uint64_t hash)
{
    return 1ull << (hash >> 24 & 63);
}

/* False if the map of a tuple cannot have the key: most tuples have not, and this is told without a guess of the branch. */
static inline bool kv_map_may_have(const struct kv_map *map, uint64_t hash)
{
    return (__atomic_load_n(kv_filter_word(map, hash), __ATOMIC_ACQUIRE) & kv_filter_bit(hash)) != 0;
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

/* Looking up a key that will be asked for soon, in two steps with time in between: the slot, then what it leads to. */
static inline void kv_prefetch_slot(const struct kv_table *table, uint64_t hash)
{
    const struct kv_map *map = KV_LOAD(&table->map);
    __builtin_prefetch(&map->slots[hash & map->mask]);
}

static inline void kv_prefetch_entry(const struct kv_table *table, uint64_t hash)
{
    const struct kv_map *map = KV_LOAD(&table->map);
    for (uint64_t i = hash;; i++) {
        uint64_t slot = KV_LOAD(&map->slots[i & map->mask]);
        if (slot == KV_SLOT_FREE)
            return;
        if (slot >> 48 == hash >> 48 && slot != KV_SLOT_DELETED) {
            __builtin_prefetch(KV_POINTER(slot));
            __builtin_prefetch((const uint8_t *)KV_POINTER(slot) + 63);
            return;
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

/* The best entry of one tuple that has the key, or NULL. */
static inline struct kv_entry *kv_lookup_tuple(const struct kv_table *table, const struct kv_tuple *tuple,
                                               const uint64_t *key, unsigned words, const uint64_t *fields, unsigned ranges)
{
    uint64_t masked[words ? words : 1];
    for (unsigned i = 0; i < words; i++)
        masked[i] = key[i] & tuple->mask[i];
    const struct kv_map *map = KV_LOAD(&tuple->map);
    uint64_t hash = kv_hash_words(masked, words, table->seed);
    if (!kv_map_may_have(map, hash))
        return NULL;
    struct kv_entry *entry = kv_map_find(map, masked, words, hash);
    while (entry && ranges && entry->ranged && !kv_in_ranges(entry, words, fields, ranges))
        entry = KV_LOAD(&entry->next);
    return entry;
}

static inline bool kv_wins(const struct kv_entry *entry, const struct kv_entry *best)
{
    return !best || entry->priority > best->priority || (entry->priority == best->priority && entry->order < best->order);
}

static inline __attribute__((always_inline)) struct kv_entry *
kv_search_index(const struct kv_table *table, const struct kv_tuple_index *index, const uint64_t *key, unsigned words,
                const uint64_t *fields, unsigned ranges)
{
    const uint64_t *rows[KV_INDEX_BYTES];
    for (unsigned i = 0; i < index->byte_count; i++)
        rows[i] = index->bits + (256u * i + (key[index->bytes[i].limb] >> index->bytes[i].shift & 0xff)) * (size_t)index->blocks;
    struct kv_entry *best = NULL;
    for (uint32_t b = 0; b < index->blocks; b++) {
        if (best && KV_LOAD(&index->above[b]) < best->priority)
            break;
        uint64_t may = KV_LOAD(&rows[0][b]);
        for (unsigned i = 1; may && i < index->byte_count; i++)
            may &= KV_LOAD(&rows[i][b]);
        for (; may; may &= may - 1) {
            uint32_t place = 64 * b + (uint32_t)__builtin_ctzll(may);
            if (best && KV_LOAD(&index->best[place]) < best->priority)
                continue;
            struct kv_entry *entry = kv_lookup_tuple(table, KV_LOAD(&index->tuples[place]), key, words, fields, ranges);
            if (entry && kv_wins(entry, best))
                best = entry;
        }
    }
    return best;
}

/* Compiled once for the numbers of words that are frequent, and not for each table. */
#define KV_LOOKUP_INDEX(name, words, ranges)                                                                                  \
    static __attribute__((noinline, unused)) struct kv_entry *name(                                                           \
        const struct kv_table *table, const struct kv_tuple_index *index, const uint64_t *key, unsigned word_count,           \
        const uint64_t *fields, unsigned range_count)                                                                         \
    {                                                                                                                         \
        (void)word_count, (void)range_count;                                                                                  \
        return kv_search_index(table, index, key, words, fields, ranges);                                                     \
    }
KV_LOOKUP_INDEX(kv_lookup_index_1, 1, 0)
KV_LOOKUP_INDEX(kv_lookup_index_2, 2, 0)
KV_LOOKUP_INDEX(kv_lookup_index_3, 3, 0)
KV_LOOKUP_INDEX(kv_lookup_index_any, word_count, range_count)
#undef KV_LOOKUP_INDEX

static inline struct kv_entry *kv_lookup_index(const struct kv_table *table, const struct kv_tuple_index *index,
                                               const uint64_t *key, unsigned words, const uint64_t *fields, unsigned ranges)
{
    if (ranges == 0 && words == 1)
        return kv_lookup_index_1(table, index, key, words, fields, ranges);
    if (ranges == 0 && words == 2)
        return kv_lookup_index_2(table, index, key, words, fields, ranges);
    if (ranges == 0 && words == 3)
        return kv_lookup_index_3(table, index, key, words, fields, ranges);
    return kv_lookup_index_any(table, index, key, words, fields, ranges);
}

static inline struct kv_entry *kv_lookup_tuples(struct kv_table *table, const uint64_t *key, unsigned words,
                                                const uint64_t *fields, unsigned ranges)
{
    const struct kv_tuple_list *list = KV_LOAD(&table->tuples);
    if (list->index)
        return kv_lookup_index(table, list->index, key, words, fields, ranges);
    struct kv_entry *best = NULL;
    for (uint32_t t = 0; t < list->count; t++) {
        if (best && list->at[t].max_priority < best->priority)
            break;
        struct kv_entry *entry = kv_lookup_tuple(table, list->at[t].tuple, key, words, fields, ranges);
        if (entry && kv_wins(entry, best))
            best = entry;
    }
    return best;
}

/* One prefix length a tuple and the longest first: the first hit is the answer. */
static inline struct kv_entry *kv_lookup_lpm(struct kv_table *table, const uint64_t *key, unsigned words)
{
    const struct kv_tuple_list *list = KV_LOAD(&table->tuples);
    if (list->index)
        return kv_lookup_index(table, list->index, key, words, NULL, 0);
    for (uint32_t t = 0; t < list->count; t++) {
        struct kv_entry *entry = kv_lookup_tuple(table, list->at[t].tuple, key, words, NULL, 0);
        if (entry)
            return entry;
    }
    return NULL;
}

/* Several packet threads run this program. */
static bool kv_shared;

static inline void kv_count(struct kv_counter *counter, uint64_t bytes)
{
    if (kv_shared) {
        __atomic_fetch_add(&counter->packets, 1, __ATOMIC_RELAXED);
        __atomic_fetch_add(&counter->bytes, bytes, __ATOMIC_RELAXED);
        return;
    }
    __atomic_store_n(&counter->packets, counter->packets + 1, __ATOMIC_RELAXED);
    __atomic_store_n(&counter->bytes, counter->bytes + bytes, __ATOMIC_RELAXED);
}

/* The tokens that have come into a bucket since it was last asked. */
static inline uint64_t kv_meter_granted(struct kv_meter *meter, unsigned rate, uint64_t elapsed_us)
{
    uint64_t granted = (uint64_t)((double)elapsed_us * meter->rate[rate].per_microsecond);
    uint64_t fresh = granted - meter->rate[rate].granted;
    meter->rate[rate].granted = granted;
    return fresh;
}

static inline bool kv_meter_take(struct kv_meter *meter, unsigned rate, uint64_t need)
{
    if (meter->rate[rate].tokens < need)
        return false;
    meter->rate[rate].tokens -= need;
    return true;
}

/* RFC 2697: what the committed bucket cannot hold fills the excess bucket. */
static inline uint32_t kv_meter_single_rate(struct kv_meter *meter, uint64_t elapsed_us, uint64_t need)
{
    uint64_t tokens = meter->rate[0].tokens + kv_meter_granted(meter, 0, elapsed_us);
    uint64_t over = tokens > meter->rate[0].burst ? tokens - meter->rate[0].burst : 0;
    meter->rate[0].tokens = tokens - over;
    uint64_t excess = meter->rate[1].tokens + over;
    meter->rate[1].tokens = excess < meter->rate[1].burst ? excess : meter->rate[1].burst;
    if (kv_meter_take(meter, 0, need))
        return 0;
    return kv_meter_take(meter, 1, need) ? 1 : 2;
}

/* The peak bucket is asked first, as in RFC 2698 and BMv2: a packet beyond it takes nothing from the committed one. */
static inline uint32_t kv_meter_rates(struct kv_meter *meter, unsigned rates, uint64_t elapsed_us, uint64_t need)
{
    for (unsigned i = rates; i-- > 0;) {
        uint64_t tokens = meter->rate[i].tokens + kv_meter_granted(meter, i, elapsed_us);
        meter->rate[i].tokens = tokens < meter->rate[i].burst ? tokens : meter->rate[i].burst;
        if (!kv_meter_take(meter, i, need))
            return i + 1;
    }
    return 0;
}

/* The colour of a packet: 0 green, 1 yellow, 2 red. */
static inline uint32_t kv_meter_execute(struct kv_meter *meter, unsigned rates, bool per_byte, uint32_t length,
                                        uint64_t now_us)
{
    uint32_t colour = 0;
    uint8_t marker = __atomic_load_n(&meter->marker, __ATOMIC_ACQUIRE);
    if (marker != KV_UNCONFIGURED) {
        uint64_t elapsed_us = now_us - meter->since, need = per_byte ? length : 1;
        colour = marker == KV_SINGLE_RATE ? kv_meter_single_rate(meter, elapsed_us, need)
                                          : kv_meter_rates(meter, rates, elapsed_us, need);
    }
    kv_count(&meter->marked[colour], length);
    return colour;
}

/* Remembers that an entry was hit. Most hits fall into the microsecond of the last one and leave the line clean. */
static inline void kv_hit(struct kv_direct *direct, uint64_t now_us)
{
    if (__atomic_load_n(&direct->last_hit_us, __ATOMIC_RELAXED) != now_us)
        __atomic_store_n(&direct->last_hit_us, now_us, __ATOMIC_RELAXED);
}

static inline bool kv_value_set_matches(const struct kv_value_set_view *view, const uint8_t *member, const uint8_t *key,
                                        unsigned bytes)
{
    const uint8_t *mask = member + bytes;
    for (uint32_t f = 0; f < view->field_count; f++) {
        unsigned n = view->fields[f].bytes;
        if (view->fields[f].range) {
            if (memcmp(key, member, n) < 0 || memcmp(key, mask, n) > 0)
                return false;
        } else {
            for (unsigned i = 0; i < n; i++)
                if ((key[i] & mask[i]) != member[i])
                    return false;
        }
        key += n;
        member += n;
        mask += n;
    }
    return true;
}

static inline bool kv_value_set_contains(struct kv_value_set *set, const uint8_t *key, unsigned bytes)
{
    const struct kv_value_set_view *view = KV_LOAD(&set->current);
    for (uint32_t i = 0; view && i < view->count; i++) {
        const uint8_t *member = view->members + 2 * (size_t)i * bytes;
        if (view->field_count ? kv_value_set_matches(view, member, key, bytes) : memcmp(member, key, bytes) == 0)
            return true;
    }
    return false;
}

#endif
