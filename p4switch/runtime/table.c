/* Writes to tables. A write prepares what it needs aside and takes effect with one store (see lookup.h). */
#include "control.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "lookup.h"

/* -- words and bytes */

void kv_unpack(const struct kv_field_spec *fields, unsigned count, const uint8_t *bytes, uint64_t *words)
{
    for (unsigned f = 0; f < count; f++) {
        const struct kv_field_spec *field = &fields[f];
        unsigned top = field->width % 8;
        for (unsigned i = 0; i < field->bytes; i++) {
            uint64_t byte = bytes[field->bytes - 1 - i];
            if (top && i == field->bytes - 1u)
                byte &= (1u << top) - 1;
            unsigned bit = field->shift + 8 * i;
            words[field->limb + bit / 64] |= byte << (bit % 64);
        }
        bytes += field->bytes;
    }
}

void kv_pack(const struct kv_field_spec *fields, unsigned count, const uint64_t *words, uint8_t *bytes)
{
    for (unsigned f = 0; f < count; f++) {
        const struct kv_field_spec *field = &fields[f];
        unsigned top = field->width % 8;
        for (unsigned i = 0; i < field->bytes; i++) {
            unsigned bit = field->shift + 8 * i;
            uint8_t byte = (uint8_t)(words[field->limb + bit / 64] >> (bit % 64));
            if (top && i == field->bytes - 1u)
                byte &= (uint8_t)((1u << top) - 1);
            bytes[field->bytes - 1 - i] = byte;
        }
        bytes += field->bytes;
    }
}

/* -- garbage */

void kv_retire(struct kv_garbage *garbage, void *item)
{
    if (!item)
        return;
    if (garbage->count == garbage->room) {
        size_t room = garbage->room ? garbage->room * 2 : 64;
        void **items = realloc(garbage->items, room * sizeof *items);
        if (!items)
            return; /* leaked rather than freed under a reader */
        garbage->items = items;
        garbage->room = room;
    }
    garbage->items[garbage->count++] = item;
}

/* -- maps */

#define HUGE_PAGE (2u << 20)
#define HUGE_MAP (4u << 20)

/* With a filter of eight bits a slot if it is one of many maps that are asked in turn. */
static struct kv_map *map_new(uint64_t slots, bool filtered)
{
    uint64_t bits = filtered ? slots * 8 : 0;
    size_t size = sizeof(struct kv_map) + slots * sizeof(uint64_t) + bits / 8;
    struct kv_map *map;
    if (size < HUGE_MAP) {
        map = calloc(1, size);
    } else { /* large pages: a look-up in a large map would miss the TLB each time */
        size = (size + HUGE_PAGE - 1) & ~(size_t)(HUGE_PAGE - 1);
        map = aligned_alloc(HUGE_PAGE, size);
        if (map) {
            madvise(map, size, MADV_HUGEPAGE);
            memset(map, 0, size);
        }
    }
    if (map) {
        map->mask = slots - 1;
        map->filter = filtered ? bits - 1 : 0;
    }
    return map;
}

static void map_place(struct kv_map *map, uint64_t hash, uint64_t slot)
{
    uint64_t i = hash;
    if (map->filter) {
        uint64_t *word = kv_filter_word(map, hash);
        KV_STORE(word, *word | kv_filter_bit(hash));
    }
    while (map->slots[i & map->mask] != KV_SLOT_FREE)
        i++;
    KV_STORE(&map->slots[i & map->mask], slot);
}

/* The slot that holds the chain of `key`, or NULL. */
static uint64_t *map_slot(struct kv_map *map, const uint64_t *key, unsigned words, uint64_t hash)
{
    for (uint64_t i = hash;; i++) {
        uint64_t *slot = &map->slots[i & map->mask];
        if (*slot == KV_SLOT_FREE)
            return NULL;
        if (*slot != KV_SLOT_DELETED && *slot >> 48 == hash >> 48 && kv_words_equal(KV_POINTER(*slot)->words, key, words))
            return slot;
    }
}

static uint64_t slot_of(uint64_t hash, const struct kv_entry *entry)
{
    return (hash >> 48 << 48) | (uint64_t)(uintptr_t)entry;
}

/* Makes room for one more slot: at most three quarters of the slots are in use, deleted ones included. */
static int map_reserve(struct kv_map **where, uint32_t live, uint32_t *used, unsigned words, uint64_t seed,
                       struct kv_garbage *garbage)
{
    struct kv_map *old = *where;
    if (((uint64_t)*used + 1) * 4 <= (old->mask + 1) * 3)
        return KV_OK;
    uint64_t slots = 8;
    while (slots < ((uint64_t)live + 1) * 2)
        slots *= 2;
    struct kv_map *map = map_new(slots, old->filter != 0);
    if (!map)
        return KV_OUT_OF_MEMORY;
    for (uint64_t i = 0; i <= old->mask; i++)
        if (old->slots[i] > KV_SLOT_DELETED) {
            struct kv_entry *entry = KV_POINTER(old->slots[i]);
            map_place(map, kv_hash_words(entry->words, words, seed), old->slots[i]);
        }
    *used = live;
    KV_STORE(where, map);
    kv_retire(garbage, old);
    return KV_OK;
}

/* -- keys */

struct key {
    uint64_t *words;  /* masked */
    uint64_t *mask;   /* NULL in an exact table */
    uint64_t *ranges; /* two words a range field */
    bool ranged;
};

static void key_free(struct key *key)
{
    free(key->words);
}

/* The key of an entry, from its packed value and mask. Ranges narrow the mask to the bits that both bounds share. */
static int key_make(const struct kv_table_spec *spec, const uint8_t *value, const uint8_t *mask, struct key *key)
{
    unsigned words = spec->key_limbs;
    uint64_t *memory = calloc(2u * words + 2u * spec->range_count + 1, sizeof *memory);
    if (!memory)
        return KV_OUT_OF_MEMORY;
    *key = (struct key){.words = memory, .mask = memory + words, .ranges = memory + 2 * words};
    kv_unpack(spec->key, spec->key_count, value, key->words);
    if (spec->kind == KV_EXACT) {
        key->mask = NULL;
        return KV_OK;
    }
    kv_unpack(spec->key, spec->key_count, mask, key->mask);
    for (unsigned f = 0; f < spec->key_count; f++) {
        const struct kv_field_spec *field = &spec->key[f];
        if (field->match != KV_RANGE)
            continue;
        uint64_t ones = field->width < 64 ? (1ull << field->width) - 1 : ~0ull;
        uint64_t low = (key->words[field->limb] >> field->shift) & ones;
        uint64_t high = (key->mask[field->limb] >> field->shift) & ones;
        if (low > high) {
            key_free(key);
            return KV_INVALID_ARGUMENT;
        }
        uint64_t shared = low == high ? ones : ones & ~((2ull << (63 - __builtin_clzll(low ^ high))) - 1);
        if ((low & ~shared) != 0 || (high | shared) != ones)
            key->ranged = true;
        key->mask[field->limb] = (key->mask[field->limb] & ~(ones << field->shift)) | shared << field->shift;
        key->ranges[2 * field->range] = low;
        key->ranges[2 * field->range + 1] = high;
    }
    for (unsigned i = 0; i < words; i++)
        key->words[i] &= key->mask[i];
    return KV_OK;
}

unsigned kv_args_at(const struct kv_table_spec *spec)
{
    return spec->key_limbs + 2u * spec->range_count;
}

static bool same_ranges(const struct kv_table_spec *spec, const struct kv_entry *entry, const struct key *key)
{
    return memcmp(entry->words + spec->key_limbs, key->ranges, 16u * spec->range_count) == 0;
}

/* -- entries */

static int entry_new(const struct kv_table_spec *spec, struct kv_profile *profile, const struct kv_target *target,
                     struct kv_entry **result)
{
    const struct kv_action_spec *action = NULL;
    unsigned at = kv_args_at(spec);
    if (target->kind == KV_ACTION) {
        if (target->id >= spec->action_count)
            return KV_INVALID_ARGUMENT;
        action = &spec->actions[target->id];
    }
    struct kv_entry *entry = calloc(1, sizeof *entry + (at + (action ? action->arg_limbs : 0u)) * 8u);
    if (!entry)
        return KV_OUT_OF_MEMORY;
    entry->kind = (uint8_t)target->kind;
    if (action) {
        entry->action = (uint16_t)target->id;
        kv_unpack(action->params, action->param_count, target->args, entry->words + at);
    } else if (target->kind == KV_MEMBER) {
        entry->member = profile ? kv_member_find(profile, target->id) : NULL;
        if (entry->member)
            entry->member->uses++;
    } else {
        entry->group = profile ? kv_group_find(profile, target->id) : NULL;
        if (entry->group)
            entry->group->uses++;
    }
    if (!action && !entry->member) {
        free(entry);
        return KV_NOT_FOUND;
    }
    *result = entry;
    return KV_OK;
}

static void entry_drop_target(struct kv_entry *entry)
{
    if (entry->kind == KV_MEMBER)
        entry->member->uses--;
    else if (entry->kind == KV_GROUP)
        entry->group->uses--;
}

static void entry_retire(struct kv_garbage *garbage, struct kv_entry *entry, bool with_direct)
{
    entry_drop_target(entry);
    if (with_direct)
        kv_direct_retire(garbage, entry->direct);
    kv_retire(garbage, entry);
}

static bool ages(const struct kv_entry *entry)
{
    return entry->direct && entry->direct->idle_timeout_ns != 0;
}

static unsigned prefix_length(const uint64_t *mask, unsigned words)
{
    unsigned bits = 0;
    for (unsigned i = 0; i < words; i++)
        bits += (unsigned)__builtin_popcountll(mask[i]);
    return bits;
}

/* -- table */

int kv_table_init(struct kv_table *table, const struct kv_table_spec *spec, uint64_t seed)
{
    *table = (struct kv_table){.spec = spec, .seed = seed};
    if (spec->kind == KV_EXACT)
        return (table->map = map_new(8, false)) ? KV_OK : KV_OUT_OF_MEMORY;
    return kv_tuples_init(table);
}

static void map_free_entries(struct kv_map *map)
{
    for (uint64_t i = 0; map && i <= map->mask; i++)
        if (map->slots[i] > KV_SLOT_DELETED)
            for (struct kv_entry *entry = KV_POINTER(map->slots[i]), *next; entry; entry = next) {
                next = entry->next;
                kv_direct_free(entry->direct);
                free(entry);
            }
}

void kv_table_free(struct kv_table *table)
{
    map_free_entries(table->map);
    free(table->map);
    for (uint32_t t = 0; t < table->tuple_count; t++)
        map_free_entries(table->all[t]->map);
    kv_tuples_free(table);
    if (table->program_default != table->default_entry)
        free(table->program_default);
    free(table->default_entry);
}

/* Where an entry stands: the link that points at it, a slot (`slot`) or its predecessor's `next` (`link`). */
struct place {
    struct kv_tuple *tuple;
    struct kv_map **map;
    uint32_t *live, *used;
    uint64_t hash;
    uint64_t *slot;
    struct kv_entry **link;
    struct kv_entry *entry;
};

static void place_find(struct kv_table *table, const struct key *key, int32_t priority, struct place *place)
{
    const struct kv_table_spec *spec = table->spec;
    *place = (struct place){0};
    if (spec->kind == KV_EXACT) {
        place->map = &table->map;
        place->live = &table->live;
        place->used = &table->used;
    } else {
        place->tuple = kv_tuple_find(table, key->mask);
        if (!place->tuple)
            return;
        place->map = &place->tuple->map;
        place->live = &place->tuple->live;
        place->used = &place->tuple->used;
    }
    place->hash = kv_hash_words(key->words, spec->key_limbs, table->seed);
    place->slot = map_slot(*place->map, key->words, spec->key_limbs, place->hash);
    if (!place->slot)
        return;
    struct kv_entry *entry = KV_POINTER(*place->slot);
    for (struct kv_entry **link = NULL; entry; link = &entry->next, entry = entry->next)
        if (entry->priority == priority && same_ranges(spec, entry, key)) {
            place->entry = entry;
            place->link = link;
            return;
        }
}

static void place_store(struct place *place, struct kv_entry *entry)
{
    if (place->link)
        KV_STORE(place->link, entry);
    else
        KV_STORE(place->slot, entry ? slot_of(place->hash, entry) : KV_SLOT_DELETED);
}

static int32_t effective_priority(const struct kv_table *table, const struct key *key, int32_t priority)
{
    if (table->spec->kind == KV_EXACT)
        return 0;
    return table->spec->kind == KV_LPM ? (int32_t)prefix_length(key->mask, table->spec->key_limbs) : priority;
}

static int insert_at(struct kv_table *table, struct kv_garbage *garbage, const struct key *key, struct place *place,
                     struct kv_entry *entry)
{
    const struct kv_table_spec *spec = table->spec;
    int status;
    if (spec->kind != KV_EXACT) {
        if (!place->tuple) {
            struct kv_map *map = map_new(8, true);
            status = map ? kv_tuple_add(table, garbage, key->mask, map, entry->priority, &place->tuple) : KV_OUT_OF_MEMORY;
            if (status != KV_OK) {
                free(map);
                return status;
            }
            place->map = &place->tuple->map;
            place->live = &place->tuple->live;
            place->used = &place->tuple->used;
            place->hash = kv_hash_words(key->words, spec->key_limbs, table->seed);
        }
        /* First the order, then the entry: a tuple searched too early is only a little slower. */
        status = kv_tuple_expect(table, garbage, place->tuple, key->words, entry->priority);
        if (status != KV_OK)
            return status;
    }
    if (place->slot) { /* other priorities of the same masked key: into the chain */
        struct kv_entry *at = KV_POINTER(*place->slot), **link = NULL;
        while (at && at->priority >= entry->priority) {
            link = &at->next;
            at = at->next;
        }
        entry->next = at;
        place->link = link;
        place_store(place, entry);
    } else {
        status = map_reserve(place->map, *place->live, place->used, spec->key_limbs, table->seed, garbage);
        if (status != KV_OK)
            return status;
        map_place(*place->map, place->hash, slot_of(place->hash, entry));
        ++*place->used;
        if (spec->kind != KV_EXACT)
            ++*place->live; /* counts slots in a tuple */
    }
    table->live++;
    table->ageing += ages(entry);
    if (spec->kind != KV_EXACT)
        kv_tuples_inserted(table, garbage);
    return KV_OK;
}

int kv_table_insert(struct kv_table *table, struct kv_profile *profile, struct kv_garbage *garbage,
                    const uint8_t *value, const uint8_t *mask, int32_t priority, const struct kv_target *target)
{
    if (table->immutable || table->spec->key_count == 0)
        return KV_FAILED_PRECONDITION;
    struct key key;
    int status = key_make(table->spec, value, mask, &key);
    if (status != KV_OK)
        return status;
    priority = effective_priority(table, &key, priority);
    struct place place;
    place_find(table, &key, priority, &place);
    struct kv_entry *entry = NULL;
    if (place.entry)
        status = KV_ALREADY_EXISTS;
    else if (table->live >= table->spec->size)
        status = KV_RESOURCE_EXHAUSTED;
    else
        status = entry_new(table->spec, profile, target, &entry);
    if (status == KV_OK) {
        memcpy(entry->words, key.words, table->spec->key_limbs * 8u);
        memcpy(entry->words + table->spec->key_limbs, key.ranges, 16u * table->spec->range_count);
        entry->priority = priority;
        entry->order = table->order++;
        entry->ranged = key.ranged;
        status = kv_direct_new(table->spec, target, &entry->direct);
        if (status == KV_OK)
            status = insert_at(table, garbage, &key, &place, entry);
        if (status != KV_OK) {
            entry_drop_target(entry);
            kv_direct_free(entry->direct);
            free(entry);
        }
    }
    key_free(&key);
    return status;
}

int kv_table_modify(struct kv_table *table, struct kv_profile *profile, struct kv_garbage *garbage,
                    const uint8_t *value, const uint8_t *mask, int32_t priority, const struct kv_target *target)
{
    if (table->immutable || table->spec->key_count == 0)
        return KV_FAILED_PRECONDITION;
    struct key key;
    int status = key_make(table->spec, value, mask, &key);
    if (status != KV_OK)
        return status;
    priority = effective_priority(table, &key, priority);
    struct place place;
    place_find(table, &key, priority, &place);
    struct kv_entry *entry = NULL;
    status = place.entry ? entry_new(table->spec, profile, target, &entry) : KV_NOT_FOUND;
    if (status == KV_OK) {
        bool aged = ages(place.entry);
        status = kv_direct_modify(table->spec, target, place.entry->direct, &entry->direct);
        if (status != KV_OK) {
            entry_drop_target(entry);
            free(entry);
            entry = NULL;
        } else {
            table->ageing += (uint32_t)ages(entry) - (uint32_t)aged;
        }
    }
    if (status == KV_OK) {
        memcpy(entry->words, place.entry->words, kv_args_at(table->spec) * 8u);
        entry->priority = place.entry->priority;
        entry->order = place.entry->order;
        entry->ranged = place.entry->ranged;
        entry->next = place.entry->next;
        place_store(&place, entry);
        entry_retire(garbage, place.entry, false);
    }
    key_free(&key);
    return status;
}

int kv_table_delete(struct kv_table *table, struct kv_garbage *garbage, const uint8_t *value, const uint8_t *mask,
                    int32_t priority)
{
    if (table->immutable || table->spec->key_count == 0)
        return KV_FAILED_PRECONDITION;
    struct key key;
    int status = key_make(table->spec, value, mask, &key);
    if (status != KV_OK)
        return status;
    priority = effective_priority(table, &key, priority);
    struct place place;
    place_find(table, &key, priority, &place);
    key_free(&key);
    if (!place.entry)
        return KV_NOT_FOUND;
    place_store(&place, place.entry->next);
    table->live--;
    table->ageing -= ages(place.entry);
    if (place.tuple) {
        if (*place.slot == KV_SLOT_DELETED)
            place.tuple->live--;
        kv_tuples_deleted(table, garbage, place.tuple);
    }
    entry_retire(garbage, place.entry, true);
    return KV_OK;
}

int kv_table_set_default(struct kv_table *table, struct kv_profile *profile, struct kv_garbage *garbage,
                         const struct kv_target *target, bool of_program)
{
    struct kv_entry *entry = table->program_default, *old = table->default_entry;
    if (table->default_const && !of_program)
        return KV_FAILED_PRECONDITION;
    if (target) {
        int status = entry_new(table->spec, profile, target, &entry);
        if (status != KV_OK)
            return status;
    }
    if (of_program)
        table->program_default = entry;
    KV_STORE(&table->default_entry, entry);
    if (old && old != table->program_default && old != entry)
        entry_retire(garbage, old, false);
    return KV_OK;
}

struct kv_entry *kv_table_find(struct kv_table *table, const uint8_t *value, const uint8_t *mask, int32_t priority,
                               const uint64_t **tuple_mask)
{
    struct key key;
    if (table->spec->key_count == 0 || key_make(table->spec, value, mask, &key) != KV_OK)
        return NULL;
    struct place place;
    place_find(table, &key, effective_priority(table, &key, priority), &place);
    key_free(&key);
    *tuple_mask = place.tuple ? place.tuple->mask : NULL;
    return place.entry;
}

void kv_entry_key(const struct kv_table_spec *spec, const struct kv_entry *entry, const uint64_t *mask, uint8_t *value,
                  uint8_t *masks)
{
    if (!mask) {
        kv_pack(spec->key, spec->key_count, entry->words, value);
        return;
    }
    uint64_t low[spec->key_limbs + 1], high[spec->key_limbs + 1];
    memcpy(low, entry->words, spec->key_limbs * 8u);
    memcpy(high, mask, spec->key_limbs * 8u);
    for (unsigned f = 0; f < spec->key_count; f++) { /* a range has bounds instead of value and mask */
        const struct kv_field_spec *field = &spec->key[f];
        if (field->match != KV_RANGE)
            continue;
        uint64_t ones = field->width < 64 ? (1ull << field->width) - 1 : ~0ull;
        const uint64_t *bounds = entry->words + spec->key_limbs + 2 * field->range;
        low[field->limb] = (low[field->limb] & ~(ones << field->shift)) | bounds[0] << field->shift;
        high[field->limb] = (high[field->limb] & ~(ones << field->shift)) | bounds[1] << field->shift;
    }
    kv_pack(spec->key, spec->key_count, low, value);
    kv_pack(spec->key, spec->key_count, high, masks);
}

static void map_each(const struct kv_map *map, const uint64_t *mask,
                     void (*visit)(void *, struct kv_entry *, const uint64_t *), void *arg)
{
    for (uint64_t i = 0; i <= map->mask; i++)
        if (map->slots[i] > KV_SLOT_DELETED)
            for (struct kv_entry *entry = KV_POINTER(map->slots[i]); entry; entry = entry->next)
                visit(arg, entry, mask);
}

void kv_table_each(struct kv_table *table, void (*visit)(void *, struct kv_entry *, const uint64_t *), void *arg)
{
    if (table->map)
        map_each(table->map, NULL, visit, arg);
    for (uint32_t t = 0; t < table->tuple_count; t++)
        map_each(table->all[t]->map, table->all[t]->mask, visit, arg);
}
