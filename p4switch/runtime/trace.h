/* What happens to a packet, as records for whoever follows it: only in pipelines that are compiled with KV_TRACED.
 *
 * A record is kind (1 byte), zero (1), id (2), length of what follows (4), little-endian as all of it. The records of one packet and
 * its copies go to `ctx->trace` together, at its end.
 */
#ifndef KV_TRACE_H
#define KV_TRACE_H

#include "lookup.h"

enum kv_trace_kind {
    KV_TRACE_BEGIN = 1,   /* port, length, microseconds (2 words) */
    KV_TRACE_INGRESS,     /* instance type */
    KV_TRACE_EGRESS,      /* port */
    KV_TRACE_STATE,       /* id: parser state */
    KV_TRACE_PARSER_ERROR,
    KV_TRACE_CHECKSUM_ERROR,
    KV_TRACE_TABLE,       /* id: table; see kv_trace_table */
    KV_TRACE_CONDITION,   /* id: conditional; result */
    KV_TRACE_ACTION,      /* id: place among the actions */
    KV_TRACE_OUT,         /* port, length */
    KV_TRACE_DROP,        /* id: 0 ingress, 1 egress, 2 headers grew too much, 3 copies without end, 4 no such queue */
    KV_TRACE_CLONE,       /* id: 0 ingress, 1 egress; session */
    KV_TRACE_RESUBMIT,
    KV_TRACE_RECIRCULATE,
    KV_TRACE_MULTICAST,   /* group, copies */
    KV_TRACE_DIGEST,      /* list id */
    KV_TRACE_QUEUE,       /* port, queue, depth: it waits there, or was dropped */
};

#ifdef KV_TRACED

#define KV_TRACE_ROOM (256u << 10)

static __thread uint8_t kv_trace_buffer[KV_TRACE_ROOM];
static __thread uint32_t kv_trace_used;

static inline uint8_t *kv_trace_record(uint32_t kind, uint32_t id, uint32_t length)
{
    if (kv_trace_used + 8 + length > KV_TRACE_ROOM)
        return NULL; /* the packet goes round and round: the rest is left out */
    uint8_t *p = kv_trace_buffer + kv_trace_used;
    uint32_t head[2] = {kind | id << 16, length};
    memcpy(p, head, sizeof head);
    kv_trace_used += 8 + length;
    return p + 8;
}

static inline void kv_trace_words(uint32_t kind, uint32_t id, const uint32_t *words, uint32_t count)
{
    uint8_t *p = kv_trace_record(kind, id, count * 4);
    if (p && count)
        memcpy(p, words, count * 4);
}

static inline void kv_trace_end(struct kv_ctx *ctx)
{
    if (ctx->trace && kv_trace_used)
        ctx->trace(ctx, kv_trace_buffer, kv_trace_used);
    kv_trace_used = 0;
}

/* The mask under which `key` met `entry`. */
static inline const uint64_t *kv_trace_mask(struct kv_table *table, const uint64_t *key, unsigned words,
                                            const struct kv_entry *entry)
{
    const struct kv_tuple_list *list = KV_LOAD(&table->tuples);
    uint32_t count = !list ? 0 : list->index ? 64 * list->index->blocks : list->count;
    for (uint32_t t = 0; t < count; t++) {
        const struct kv_tuple *tuple = list->index ? KV_LOAD(&list->index->tuples[t]) : list->at[t].tuple;
        if (!tuple)
            continue; /* a place that nobody has */
        uint64_t masked[words ? words : 1];
        for (unsigned i = 0; i < words; i++)
            masked[i] = key[i] & tuple->mask[i];
        const struct kv_entry *found =
            kv_map_find(KV_LOAD(&tuple->map), masked, words, kv_hash_words(masked, words, table->seed));
        while (found && found != entry)
            found = KV_LOAD(&found->next);
        if (found)
            return tuple->mask;
    }
    return NULL;
}

/* hit, kind of the entry (3: there is none), action, priority, member or group; then words of 64 bits: the key, the matched entry's key
 * and ranges and its mask (if hit), the arguments. `found`: what matched; `entry`: that, or the default. */
static inline void kv_trace_table(struct kv_ctx *ctx, uint32_t number, const uint64_t *key, const struct kv_entry *found,
                                  const struct kv_entry *entry, bool hit, const struct kv_member_action *chosen)
{
    struct kv_table *table = &ctx->pipeline->tables[number];
    const struct kv_table_spec *spec = table->spec;
    unsigned limbs = spec->key_limbs, bounds = 2u * spec->range_count;
    const struct kv_action_spec *action = NULL;
    const uint64_t *args = NULL;
    uint32_t action_number = 0;
    if (chosen) {
        action_number = chosen->action;
        action = &ctx->pipeline->profiles[spec->profile].spec->actions[chosen->action];
        args = chosen->args;
    } else if (entry && entry->kind == KV_ACTION) {
        action_number = entry->action;
        action = &spec->actions[entry->action];
        args = entry->words + limbs + bounds;
    }
    unsigned arg_limbs = action ? action->arg_limbs : 0, matched = found ? limbs + bounds + limbs : 0;
    uint32_t id = !entry ? 0 : entry->kind == KV_MEMBER ? entry->member->id : entry->kind == KV_GROUP ? entry->group->id : 0;
    uint32_t head[6] = {hit, entry ? entry->kind : 3, action_number, found ? (uint32_t)found->priority : 0, id, found != NULL};
    uint8_t *p = kv_trace_record(KV_TRACE_TABLE, number, sizeof head + 8 * (limbs + matched + arg_limbs));
    if (!p)
        return;
    memcpy(p, head, sizeof head);
    p += sizeof head;
    if (limbs)
        memcpy(p, key, limbs * 8);
    p += limbs * 8;
    if (found) {
        memcpy(p, found->words, (limbs + bounds) * 8);
        p += (limbs + bounds) * 8;
        const uint64_t *mask = spec->kind == KV_EXACT ? NULL : kv_trace_mask(table, key, limbs, found);
        if (mask)
            memcpy(p, mask, limbs * 8);
        else
            memset(p, 0xff, limbs * 8);
        p += limbs * 8;
    }
    if (arg_limbs)
        memcpy(p, args, arg_limbs * 8);
}

#define KV_TRACE(kind, id, ...)                                                              \
    do {                                                                                     \
        uint32_t words_[] = {__VA_ARGS__};                                                   \
        kv_trace_words(kind, id, words_, sizeof words_ / sizeof *words_);                    \
    } while (0)
#define KV_TRACE_END(ctx) kv_trace_end(ctx)
#else
#define KV_TRACE(...) ((void)0)
#define KV_TRACE_END(ctx) ((void)0)
#endif

#endif
