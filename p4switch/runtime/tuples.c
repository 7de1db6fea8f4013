/* The tuples of a table: one map for each distinct mask, and which of them a look-up asks (see lookup.h).
 *
 * Few tuples are a list, the one with the best priority first. Many are indexed: for some bytes of the key there is a row of bits for each
 * value of the byte, with a bit for each tuple that has an entry which agrees with the value. A look-up asks only tuples whose bit is set in
 * the rows of all bytes of its key. The bytes are those that tell entries apart best, tried on entries themselves.
 *
 * A bit may be set without need, which costs time and nothing else. So entries and masks are added to an index in place, bits first, and
 * nothing is taken out; it is made anew when its room for new tuples is used up, when many entries have gone, or when there are twice as
 * many.
 */
#include "control.h"

#include <stdlib.h>

#include "lookup.h"

#define LISTED 16u     /* tuples that are asked one after the other at less cost than the rows take */
#define SAMPLES 128u   /* entries that bytes are tried on */
#define SAMPLE_KEYS 32u /* keys that are made of them */

/* -- all tuples, by number and by mask */

static uint64_t bucket_of(const struct kv_table *table, const uint64_t *mask)
{
    return kv_hash_words(mask, table->spec->key_limbs, table->seed) & (table->bucket_count - 1);
}

struct kv_tuple *kv_tuple_find(const struct kv_table *table, const uint64_t *mask)
{
    struct kv_tuple *tuple = table->bucket_count ? table->buckets[bucket_of(table, mask)] : NULL;
    while (tuple && memcmp(tuple->mask, mask, table->spec->key_limbs * 8u) != 0)
        tuple = tuple->chain;
    return tuple;
}

/* Room for one more in the array of all and in the buckets. */
static int reserve(struct kv_table *table)
{
    if (table->tuple_count < table->bucket_count)
        return KV_OK;
    uint32_t room = table->bucket_count ? table->bucket_count * 2 : 16;
    struct kv_tuple **all = realloc(table->all, room * sizeof(struct kv_tuple *));
    if (all)
        table->all = all;
    struct kv_tuple **buckets = calloc(room, sizeof(struct kv_tuple *));
    if (!all || !buckets) {
        free(buckets);
        return KV_OUT_OF_MEMORY;
    }
    free(table->buckets);
    table->buckets = buckets;
    table->bucket_count = room;
    for (uint32_t t = 0; t < table->tuple_count; t++) {
        struct kv_tuple **bucket = &buckets[bucket_of(table, all[t]->mask)];
        all[t]->chain = *bucket;
        *bucket = all[t];
    }
    return KV_OK;
}

static void enlist(struct kv_table *table, struct kv_tuple *tuple)
{
    struct kv_tuple **bucket = &table->buckets[bucket_of(table, tuple->mask)];
    tuple->chain = *bucket;
    *bucket = tuple;
    tuple->number = table->tuple_count;
    table->all[table->tuple_count++] = tuple;
}

static void strike(struct kv_table *table, struct kv_garbage *garbage, struct kv_tuple *tuple)
{
    struct kv_tuple **link = &table->buckets[bucket_of(table, tuple->mask)];
    while (*link != tuple)
        link = &(*link)->chain;
    *link = tuple->chain;
    table->all[tuple->number] = table->all[--table->tuple_count];
    table->all[tuple->number]->number = tuple->number;
    kv_retire(garbage, tuple->map);
    kv_retire(garbage, tuple);
}

/* -- lists */

static int by_priority(const void *left, const void *right)
{
    const struct kv_tuple *a = *(struct kv_tuple *const *)left, *b = *(struct kv_tuple *const *)right;
    return a->max_priority != b->max_priority ? (a->max_priority < b->max_priority) - (a->max_priority > b->max_priority)
                                              : (a->number > b->number) - (a->number < b->number);
}

/* The tuples that have entries, and `also`, which will have one; in the order of their best priority. NULL without memory. */
static struct kv_tuple **in_order(struct kv_table *table, const struct kv_tuple *also, uint32_t *count)
{
    struct kv_tuple **tuples = malloc((table->tuple_count + 1) * sizeof(struct kv_tuple *));
    *count = 0;
    for (uint32_t t = 0; tuples && t < table->tuple_count; t++)
        if (table->all[t]->live || table->all[t] == also)
            tuples[(*count)++] = table->all[t];
    if (tuples)
        qsort(tuples, *count, sizeof(struct kv_tuple *), by_priority);
    return tuples;
}

/* Puts a list of tuples, or an index of them, in place of what there is. */
static int publish(struct kv_table *table, struct kv_garbage *garbage, struct kv_tuple *const *tuples, uint32_t count,
                   struct kv_tuple_index *index)
{
    uint32_t listed = index ? 0 : count;
    struct kv_tuple_list *old = table->tuples, *list = malloc(sizeof *list + listed * sizeof list->at[0]);
    if (!list)
        return KV_OUT_OF_MEMORY;
    list->index = index;
    list->count = listed;
    for (uint32_t t = 0; t < listed; t++) {
        list->at[t].max_priority = tuples[t]->max_priority;
        list->at[t].tuple = tuples[t];
    }
    KV_STORE(&table->tuples, list);
    kv_retire(garbage, old->index);
    kv_retire(garbage, old);
    return KV_OK;
}

/* -- which bytes tell entries apart */

struct sample {
    const uint64_t *words, *mask;
};

struct trial {
    struct kv_index_byte byte;
    uint64_t apart[SAMPLE_KEYS][SAMPLES / 64]; /* the samples that a key's byte rules out */
};

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

/* An entry of a map, or NULL. */
static const struct kv_entry *any_entry(const struct kv_map *map, uint64_t start)
{
    for (uint64_t i = 0; i <= map->mask; i++) {
        uint64_t slot = map->slots[(start + i) & map->mask];
        if (slot > KV_SLOT_DELETED)
            return KV_POINTER(slot);
    }
    return NULL;
}

static unsigned take_samples(struct kv_tuple *const *tuples, uint32_t count, uint64_t *state, struct sample *samples)
{
    unsigned taken = 0;
    for (unsigned i = 0; i < SAMPLES; i++) {
        const struct kv_tuple *tuple = tuples[(uint64_t)i * count / SAMPLES];
        const struct kv_entry *entry = any_entry(tuple->map, next_random(state));
        if (entry)
            samples[taken++] = (struct sample){entry->words, tuple->mask};
    }
    return taken;
}

static void try_byte(struct trial *trial, const struct sample *samples, unsigned count, const uint64_t *keys, unsigned words)
{
    unsigned limb = trial->byte.limb, shift = trial->byte.shift;
    memset(trial->apart, 0, sizeof trial->apart);
    for (unsigned k = 0; k < SAMPLE_KEYS; k++)
        for (unsigned s = 0; s < count; s++) {
            uint64_t difference = (keys[k * words + limb] ^ samples[s].words[limb]) & samples[s].mask[limb];
            if (difference >> shift & 0xff)
                trial->apart[k][s / 64] |= 1ull << (s % 64);
        }
}

/* How many pairs of key and sample are left if the byte is asked too. */
static unsigned left_after(const struct trial *trial, uint64_t (*left)[SAMPLES / 64])
{
    unsigned pairs = 0;
    for (unsigned k = 0; k < SAMPLE_KEYS; k++)
        for (unsigned i = 0; i < SAMPLES / 64; i++)
            pairs += (unsigned)__builtin_popcountll(left[k][i] & ~trial->apart[k][i]);
    return pairs;
}

/* One byte after the other, each the one that leaves the least, as long as that is much less than before. At least one. */
static unsigned choose_bytes(const struct trial *trials, unsigned count, struct kv_index_byte *chosen)
{
    uint64_t left[SAMPLE_KEYS][SAMPLES / 64];
    memset(left, 0xff, sizeof left);
    unsigned pairs = SAMPLE_KEYS * SAMPLES, bytes = 0;
    while (bytes < KV_INDEX_BYTES) {
        const struct trial *best = &trials[0];
        unsigned fewest = UINT32_MAX;
        for (unsigned i = 0; i < count; i++) {
            unsigned remaining = left_after(&trials[i], left);
            if (remaining < fewest) {
                fewest = remaining;
                best = &trials[i];
            }
        }
        if (bytes && fewest + pairs / 16 >= pairs)
            break;
        pairs = fewest;
        for (unsigned k = 0; k < SAMPLE_KEYS; k++)
            for (unsigned i = 0; i < SAMPLES / 64; i++)
                left[k][i] &= ~best->apart[k][i];
        chosen[bytes++] = best->byte;
    }
    return bytes;
}

/* The bytes of an index of these tuples; how many. 0 without memory. */
static unsigned useful_bytes(const struct kv_table *table, struct kv_tuple *const *tuples, uint32_t count,
                             struct kv_index_byte *chosen)
{
    unsigned words = table->spec->key_limbs, candidates = 0, bytes = 0;
    struct sample samples[SAMPLES];
    uint64_t state = table->seed;
    uint64_t *keys = calloc(SAMPLE_KEYS * words, sizeof *keys);
    struct trial *trials = malloc(words * 8 * sizeof *trials);
    if (keys && trials) {
        unsigned taken = take_samples(tuples, count, &state, samples);
        for (unsigned k = 0; taken && k < SAMPLE_KEYS; k++) {
            const struct sample *sample = &samples[next_random(&state) % taken];
            for (unsigned i = 0; i < words; i++)
                keys[k * words + i] = sample->words[i] | (next_random(&state) & ~sample->mask[i]);
        }
        for (unsigned at = 0; at < words * 8; at++) {
            struct trial *trial = &trials[candidates];
            trial->byte = (struct kv_index_byte){.limb = (uint16_t)(at / 8), .shift = (uint16_t)(at % 8 * 8)};
            uint64_t cared = 0;
            for (uint32_t t = 0; t < count; t++)
                cared |= tuples[t]->mask[at / 8] >> trial->byte.shift & 0xff;
            if (!cared && (candidates || at + 1 < words * 8))
                continue;
            try_byte(trial, samples, taken, keys, words);
            candidates++;
        }
        bytes = choose_bytes(trials, candidates, chosen);
    }
    free(keys);
    free(trials);
    return bytes;
}

/* -- the index */

static struct kv_tuple_index *index_new(uint32_t count, unsigned bytes)
{
    uint32_t fresh = 1 + count / 512, blocks = fresh + (count + 63) / 64;
    size_t bits = (size_t)bytes * 256 * blocks * sizeof(uint64_t), tuples = 64ull * blocks * sizeof(struct kv_tuple *);
    size_t best = 64ull * blocks * sizeof(int32_t), above = blocks * sizeof(int32_t);
    size_t head = (sizeof(struct kv_tuple_index) + 63) & ~(size_t)63;
    size_t size = (head + bits + tuples + best + above + 63) & ~(size_t)63;
    uint8_t *memory = aligned_alloc(64, size);
    if (!memory)
        return NULL;
    memset(memory, 0, size);
    struct kv_tuple_index *index = (struct kv_tuple_index *)memory;
    *index = (struct kv_tuple_index){.blocks = blocks,
                                     .fresh_blocks = fresh,
                                     .byte_count = bytes,
                                     .bits = (uint64_t *)(memory + head),
                                     .tuples = (struct kv_tuple **)(memory + head + bits),
                                     .best = (int32_t *)(memory + head + bits + tuples),
                                     .above = (int32_t *)(memory + head + bits + tuples + best)};
    for (uint32_t b = 0; b < fresh; b++)
        index->above[b] = INT32_MAX;
    return index;
}

/* Says that the tuple at `place` has an entry with this masked key. */
static void mark(struct kv_tuple_index *index, uint32_t place, const uint64_t *words, const uint64_t *mask)
{
    uint64_t bit = 1ull << (place % 64);
    for (unsigned i = 0; i < index->byte_count; i++) {
        unsigned limb = index->bytes[i].limb, shift = index->bytes[i].shift;
        unsigned value = words[limb] >> shift & 0xff, open = ~(unsigned)(mask[limb] >> shift) & 0xff;
        uint64_t *column = index->bits + (size_t)i * 256 * index->blocks + place / 64;
        if (column[(size_t)value * index->blocks] & bit)
            continue; /* then it is in the rows of all values that agree */
        for (unsigned part = open;; part = (part - 1) & open) {
            uint64_t *word = &column[(size_t)(value | part) * index->blocks];
            KV_STORE(word, *word | bit);
            if (!part)
                break;
        }
    }
}

static void raise_priority(struct kv_tuple_index *index, uint32_t place, int32_t priority)
{
    KV_STORE(&index->best[place], priority);
    for (uint32_t b = index->fresh_blocks; b <= place / 64; b++)
        if (index->above[b] < priority)
            KV_STORE(&index->above[b], priority);
}

static void put(struct kv_tuple_index *index, uint32_t place, struct kv_tuple *tuple)
{
    tuple->place = place;
    KV_STORE(&index->tuples[place], tuple);
    raise_priority(index, place, tuple->max_priority);
}

/* Makes the list anew, or the index if there are more than `listed` tuples. Those without entries go. Without memory everything stays
 * as it is. */
static int rebuild(struct kv_table *table, struct kv_garbage *garbage, const struct kv_tuple *also, uint32_t listed)
{
    uint32_t count;
    struct kv_tuple **tuples = in_order(table, also, &count);
    struct kv_tuple_index *index = NULL;
    struct kv_index_byte bytes[KV_INDEX_BYTES];
    unsigned byte_count = 0;
    int status = KV_OK;
    if (tuples && count > listed && (byte_count = useful_bytes(table, tuples, count, bytes)))
        index = index_new(count, byte_count);
    if (!tuples || (count > listed && !index))
        status = KV_OUT_OF_MEMORY;
    if (index) {
        memcpy(index->bytes, bytes, sizeof index->bytes);
        for (uint32_t t = 0; t < count; t++) {
            struct kv_tuple *tuple = tuples[t];
            index->tuples[64 * index->fresh_blocks + t] = tuple;
            index->best[64 * index->fresh_blocks + t] = tuple->max_priority;
            for (uint64_t i = 0; i <= tuple->map->mask; i++)
                if (tuple->map->slots[i] > KV_SLOT_DELETED)
                    mark(index, 64 * index->fresh_blocks + t, KV_POINTER(tuple->map->slots[i])->words, tuple->mask);
        }
        for (uint32_t b = index->fresh_blocks; b < index->blocks; b++) /* in order: the first of a block is its best */
            index->above[b] = tuples[64 * (b - index->fresh_blocks)]->max_priority;
    }
    if (status == KV_OK && (status = publish(table, garbage, tuples, count, index)) == KV_OK) {
        for (uint32_t t = 0; index && t < count; t++)
            tuples[t]->place = 64 * index->fresh_blocks + t;
        for (uint32_t t = table->tuple_count; t-- > 0;)
            if (!table->all[t]->live && table->all[t] != also)
                strike(table, garbage, table->all[t]);
        table->stale = 0;
        table->indexed = table->live;
    } else {
        free(index);
    }
    free(tuples);
    return status;
}

/* -- writes */

int kv_tuples_init(struct kv_table *table)
{
    return (table->tuples = calloc(1, sizeof *table->tuples)) ? KV_OK : KV_OUT_OF_MEMORY;
}

void kv_tuples_free(struct kv_table *table)
{
    for (uint32_t t = 0; t < table->tuple_count; t++) {
        free(table->all[t]->map);
        free(table->all[t]);
    }
    free(table->all);
    free(table->buckets);
    if (table->tuples)
        free(table->tuples->index);
    free(table->tuples);
}

/* A place in the index for a tuple that is in none, made anew if there is no room. */
static int place_fresh(struct kv_table *table, struct kv_garbage *garbage, struct kv_tuple *tuple)
{
    struct kv_tuple_index *index = table->tuples->index;
    if (!index || index->fresh == 64 * index->fresh_blocks)
        return rebuild(table, garbage, tuple, LISTED);
    put(index, index->fresh++, tuple);
    return KV_OK;
}

int kv_tuple_add(struct kv_table *table, struct kv_garbage *garbage, const uint64_t *mask, struct kv_map *map,
                 int32_t priority, struct kv_tuple **added)
{
    unsigned words = table->spec->key_limbs;
    struct kv_tuple *tuple = calloc(1, sizeof *tuple + words * sizeof tuple->mask[0]);
    if (!tuple || reserve(table) != KV_OK) {
        free(tuple);
        return KV_OUT_OF_MEMORY;
    }
    memcpy(tuple->mask, mask, words * sizeof tuple->mask[0]);
    tuple->map = map;
    tuple->max_priority = priority;
    enlist(table, tuple);
    int status = place_fresh(table, garbage, tuple);
    if (status != KV_OK && !table->tuples->index)
        status = rebuild(table, garbage, tuple, UINT32_MAX);
    if (status != KV_OK) {
        tuple->map = NULL; /* stays the caller's */
        strike(table, garbage, tuple);
        return status;
    }
    *added = tuple;
    return KV_OK;
}

int kv_tuple_expect(struct kv_table *table, struct kv_garbage *garbage, struct kv_tuple *tuple, const uint64_t *words,
                    int32_t priority)
{
    struct kv_tuple_index *index = table->tuples->index;
    bool raised = priority > tuple->max_priority;
    int32_t before = tuple->max_priority;
    if (raised)
        tuple->max_priority = priority;
    if (index) {
        mark(index, tuple->place, words, tuple->mask);
        if (raised)
            raise_priority(index, tuple->place, priority);
    } else if (raised && rebuild(table, garbage, tuple, UINT32_MAX) != KV_OK) {
        tuple->max_priority = before;
        return KV_OUT_OF_MEMORY;
    }
    return KV_OK;
}

void kv_tuples_inserted(struct kv_table *table, struct kv_garbage *garbage)
{
    if (table->tuples->index && table->live > 2 * table->indexed + 64)
        rebuild(table, garbage, NULL, LISTED);
}

void kv_tuples_deleted(struct kv_table *table, struct kv_garbage *garbage, struct kv_tuple *tuple)
{
    struct kv_tuple_index *index = table->tuples->index;
    if (index ? ++table->stale > 64 + table->live / 2 : !tuple->live)
        rebuild(table, garbage, NULL, LISTED);
}
