/* Tables as the bytes of ReadResponses. */
#include <stdlib.h>

#include "switch.h"
#include "wire.h"

enum { VARINT = 0, BYTES = 2 };

struct writer {
    struct kv_switch *sw;
    const struct kv_wire_table *table;
    const struct kv_table_spec *spec;
    const struct kv_wire_query *query;
    uint64_t now_us;
    bool failed;
    /* one entry */
    uint8_t *body;
    size_t body_size, body_room;
    /* the response being written, and those that are done */
    uint8_t *out;
    size_t size, room;
    struct kv_wire_chunk *chunks;
    uint32_t chunk_count, chunk_room;
};

static size_t put_varint(uint8_t *out, uint64_t value)
{
    size_t size = 0;
    for (; value >= 0x80; value >>= 7)
        out[size++] = (uint8_t)(value | 0x80);
    out[size++] = (uint8_t)value;
    return size;
}

static size_t varint_size(uint64_t value)
{
    size_t size = 1;
    for (; value >= 0x80; value >>= 7)
        size++;
    return size;
}

/* Room for an entry's field of this size. */
static uint8_t *extend(struct writer *w, size_t size)
{
    if (w->body_size + size > w->body_room) {
        size_t room = 2 * (w->body_size + size) + 256;
        uint8_t *body = realloc(w->body, room);
        if (!body) {
            w->failed = true;
            return NULL;
        }
        w->body = body;
        w->body_room = room;
    }
    return w->body + w->body_size;
}

static void put_number(struct writer *w, unsigned field, uint64_t value)
{
    uint8_t *at = value ? extend(w, 11) : NULL;
    if (!at)
        return;
    at[0] = (uint8_t)(field << 3 | VARINT);
    w->body_size += 1 + put_varint(at + 1, value);
}

/* The canonical form of a packed value. */
static const uint8_t *canonical(const uint8_t *packed, uint32_t size, uint32_t *length)
{
    while (size > 1 && *packed == 0)
        packed++, size--;
    *length = size;
    return packed;
}

static size_t bytes_size(uint32_t length)
{
    return 1 + varint_size(length) + length;
}

static uint8_t *put_bytes(uint8_t *at, unsigned field, const uint8_t *bytes, uint32_t length)
{
    *at++ = (uint8_t)(field << 3 | BYTES);
    at += put_varint(at, length);
    memcpy(at, bytes, length);
    return at + length;
}

static uint32_t count_bits(const uint8_t *bytes, uint32_t size)
{
    uint32_t bits = 0;
    for (uint32_t i = 0; i < size; i++)
        bits += (uint32_t)__builtin_popcount(bytes[i]);
    return bits;
}

static bool all_bytes(const uint8_t *bytes, uint32_t size, uint8_t byte)
{
    for (uint32_t i = 0; i < size; i++)
        if (bytes[i] != byte)
            return false;
    return true;
}

/* Whether a field matches everything, so that it is left out. */
static bool omitted(const struct kv_wire_value *field, const uint8_t *value, const uint8_t *mask)
{
    switch (field->kind) {
    case KV_WIRE_EXACT:
        return false;
    case KV_WIRE_RANGE:
        return all_bytes(value, field->size, 0) && count_bits(mask, field->size) == field->width;
    default:
        return all_bytes(mask, field->size, 0);
    }
}

static void put_match(struct writer *w, const struct kv_wire_value *field, const uint8_t *value, const uint8_t *mask)
{
    uint32_t length, second_length = 0, prefix = 0;
    const uint8_t *first = canonical(value, field->size, &length), *second = NULL;
    size_t inner = bytes_size(length);
    if (field->kind == KV_WIRE_LPM) {
        prefix = count_bits(mask, field->size);
        inner += 1 + varint_size(prefix);
    } else if (field->kind == KV_WIRE_TERNARY || field->kind == KV_WIRE_RANGE) {
        second = canonical(mask, field->size, &second_length);
        inner += bytes_size(second_length);
    }
    size_t match = (field->id ? 1 + varint_size(field->id) : 0) + 1 + varint_size(inner) + inner;
    uint8_t *at = extend(w, 1 + varint_size(match) + match);
    if (!at)
        return;
    *at++ = 2 << 3 | BYTES;
    at += put_varint(at, match);
    if (field->id) {
        *at++ = 1 << 3 | VARINT;
        at += put_varint(at, field->id);
    }
    *at++ = (uint8_t)(field->kind << 3 | BYTES);
    at += put_varint(at, inner);
    at = put_bytes(at, 1, first, length);
    if (second)
        at = put_bytes(at, 2, second, second_length);
    if (field->kind == KV_WIRE_LPM) {
        *at++ = 2 << 3 | VARINT;
        at += put_varint(at, prefix);
    }
    w->body_size = (size_t)(at - w->body);
}

static void put_action(struct writer *w, const struct kv_wire_action *action, const uint8_t *args)
{
    uint32_t length;
    size_t inner = 1 + varint_size(action->id);
    for (uint32_t p = 0; p < action->param_count; p++) {
        canonical(args + action->params[p].offset, action->params[p].size, &length);
        size_t param = 1 + varint_size(action->params[p].id) + bytes_size(length);
        inner += 1 + varint_size(param) + param;
    }
    size_t outer = 1 + varint_size(inner) + inner;
    uint8_t *at = extend(w, 1 + varint_size(outer) + outer);
    if (!at)
        return;
    *at++ = 3 << 3 | BYTES;
    at += put_varint(at, outer);
    *at++ = 1 << 3 | BYTES;
    at += put_varint(at, inner);
    *at++ = 1 << 3 | VARINT;
    at += put_varint(at, action->id);
    for (uint32_t p = 0; p < action->param_count; p++) {
        const uint8_t *value = canonical(args + action->params[p].offset, action->params[p].size, &length);
        *at++ = 4 << 3 | BYTES;
        at += put_varint(at, 1 + varint_size(action->params[p].id) + bytes_size(length));
        *at++ = 2 << 3 | VARINT;
        at += put_varint(at, action->params[p].id);
        at = put_bytes(at, 3, value, length);
    }
    w->body_size = (size_t)(at - w->body);
}

/* A member or a group: a TableAction of one number. */
static void put_reference(struct writer *w, const struct kv_entry *entry)
{
    uint32_t id = entry->kind == KV_MEMBER ? entry->member->id : entry->group->id;
    uint8_t *at = extend(w, 16);
    if (!at)
        return;
    *at++ = 3 << 3 | BYTES;
    *at++ = (uint8_t)(1 + varint_size(id));
    *at++ = (uint8_t)((entry->kind == KV_MEMBER ? 2 : 3) << 3 | VARINT);
    at += put_varint(at, id);
    w->body_size = (size_t)(at - w->body);
}

static size_t counter_size(const struct kv_counter *counter)
{
    return (counter->bytes ? 1 + varint_size(counter->bytes) : 0) + (counter->packets ? 1 + varint_size(counter->packets) : 0);
}

static uint8_t *put_counter(uint8_t *at, unsigned field, const struct kv_counter *counter)
{
    *at++ = (uint8_t)(field << 3 | BYTES);
    *at++ = (uint8_t)counter_size(counter);
    if (counter->bytes) {
        *at++ = 1 << 3 | VARINT;
        at += put_varint(at, counter->bytes);
    }
    if (counter->packets) {
        *at++ = 2 << 3 | VARINT;
        at += put_varint(at, counter->packets);
    }
    return at;
}

static struct kv_counter snapshot(const struct kv_counter *counter)
{
    return (struct kv_counter){__atomic_load_n(&counter->packets, __ATOMIC_RELAXED),
                               __atomic_load_n(&counter->bytes, __ATOMIC_RELAXED)};
}

static void put_meter(struct writer *w, const struct kv_meter *meter)
{
    uint8_t *at = extend(w, 128);
    if (!at)
        return;
    if (w->query->meter && meter->marker != KV_UNCONFIGURED) {
        uint8_t *size = at + 1;
        *at = 6 << 3 | BYTES;
        at += 2;
        for (unsigned i = 0; i < 5; i++)
            if (meter->written[i]) {
                *at++ = (uint8_t)((i + 1) << 3 | VARINT);
                at += put_varint(at, (uint64_t)meter->written[i]);
            }
        *size = (uint8_t)(at - size - 1);
    }
    if (w->query->colours) {
        uint8_t *size = at + 1;
        *at = 12 << 3 | BYTES;
        at += 2;
        for (unsigned i = 0; i < KV_COLOURS; i++) {
            struct kv_counter counter = snapshot(&meter->marked[i]);
            at = put_counter(at, i + 1, &counter);
        }
        *size = (uint8_t)(at - size - 1);
    }
    w->body_size = (size_t)(at - w->body);
}

static void put_direct(struct writer *w, const struct kv_direct *direct)
{
    uint8_t *at;
    if (direct->note && (at = extend(w, direct->note->length))) {
        memcpy(at, direct->note->bytes, direct->note->length);
        w->body_size += direct->note->length;
    }
    put_number(w, 9, (uint64_t)direct->idle_timeout_ns);
    if (w->query->counter && w->spec->counters && (at = extend(w, 32))) {
        struct kv_counter counter = snapshot(&direct->counter);
        w->body_size = (size_t)(put_counter(at, 7, &counter) - w->body);
    }
    if (w->spec->meter_rates)
        put_meter(w, direct->meter);
    if (w->query->last_hit && w->spec->timeouts && (at = extend(w, 16))) {
        uint64_t last_us = __atomic_load_n(&direct->last_hit_us, __ATOMIC_RELAXED);
        uint64_t idle_ns = w->now_us > last_us ? (w->now_us - last_us) * 1000 : 0;
        *at++ = 10 << 3 | BYTES;
        *at++ = (uint8_t)(idle_ns ? 1 + varint_size(idle_ns) : 0);
        w->body_size += 2;
        put_number(w, 1, idle_ns);
    }
}

static void close_chunk(struct writer *w)
{
    if (!w->size)
        return;
    if (w->chunk_count == w->chunk_room) {
        uint32_t room = w->chunk_room ? 2 * w->chunk_room : 8;
        struct kv_wire_chunk *chunks = realloc(w->chunks, room * sizeof *chunks);
        if (!chunks) {
            w->failed = true;
            return;
        }
        w->chunks = chunks;
        w->chunk_room = room;
    }
    w->chunks[w->chunk_count++] = (struct kv_wire_chunk){w->out, w->size};
    w->out = NULL;
    w->size = w->room = 0;
}

/* The entry's body, as an Entity of the ReadResponse. */
static void put_answer(struct writer *w)
{
    size_t entity = 1 + varint_size(w->body_size) + w->body_size, need = 1 + varint_size(entity) + entity;
    if (w->size + need > w->room) {
        size_t room = w->room ? 2 * w->room : 4096;
        while (room < w->size + need)
            room *= 2;
        uint8_t *out = realloc(w->out, room);
        if (!out) {
            w->failed = true;
            return;
        }
        w->out = out;
        w->room = room;
    }
    uint8_t *at = w->out + w->size;
    *at++ = 1 << 3 | BYTES;
    at += put_varint(at, entity);
    *at++ = 2 << 3 | BYTES;
    at += put_varint(at, w->body_size);
    memcpy(at, w->body, w->body_size);
    w->size += need;
    if (w->size >= w->query->chunk)
        close_chunk(w);
}

static const struct kv_wire_action *action_of(const struct kv_wire_table *table, uint32_t number)
{
    for (uint32_t a = 0; a < table->action_count; a++)
        if (table->actions[a].number == number)
            return &table->actions[a];
    return NULL;
}

static void put_entry(void *arg, struct kv_entry *entry, const uint64_t *mask)
{
    struct writer *w = arg;
    const struct kv_table_spec *spec = w->spec;
    const struct kv_wire_query *query = w->query;
    if (w->failed || (query->priority && entry->priority != query->priority) ||
        (query->action >= 0 && (entry->kind != KV_ACTION || entry->action != query->action)))
        return;
    w->body_size = 0;
    put_number(w, 1, w->table->id);
    uint8_t value[spec->key_bytes + 1], masks[spec->key_bytes + 1];
    kv_entry_key(spec, entry, mask, value, masks);
    for (uint32_t f = 0; f < w->table->field_count; f++) {
        const struct kv_wire_value *field = &w->table->fields[f];
        if (!omitted(field, value + field->offset, masks + field->offset))
            put_match(w, field, value + field->offset, masks + field->offset);
    }
    if (w->table->prioritised)
        put_number(w, 4, (uint64_t)entry->priority);
    if (entry->kind != KV_ACTION) {
        put_reference(w, entry);
    } else {
        const struct kv_wire_action *action = action_of(w->table, entry->action);
        if (!action) { /* not one of the P4Info's */
            w->failed = true;
            return;
        }
        const struct kv_action_spec *packed = &spec->actions[entry->action];
        uint8_t args[packed->arg_bytes + 1];
        kv_pack(packed->params, packed->param_count, entry->words + kv_args_at(spec), args);
        put_action(w, action, args);
    }
    put_number(w, 13, w->table->constant);
    if (entry->direct)
        put_direct(w, entry->direct);
    if (!w->failed)
        put_answer(w);
}

void kv_wire_release(struct kv_wire_chunk *chunks, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        free(chunks[i].data);
    free(chunks);
}

/* The entries of a table as ReadResponses; false if the service has to write them itself. Give `chunks` back with
 * kv_wire_release. */
int kv_wire_read(struct kv_switch *sw, struct kv_pipeline *p, const struct kv_wire_table *table,
                 const struct kv_wire_query *query, struct kv_wire_chunk **chunks, uint32_t *count)
{
    struct kv_table *t = &p->tables[table->number];
    struct writer w = {.sw = sw, .table = table, .spec = t->spec, .query = query, .now_us = kv_switch_now_us(sw)};
    pthread_mutex_lock(&sw->writers);
    kv_table_each(t, put_entry, &w);
    pthread_mutex_unlock(&sw->writers);
    if (!w.failed)
        close_chunk(&w);
    free(w.body);
    free(w.out);
    if (w.failed) {
        kv_wire_release(w.chunks, w.chunk_count);
        return false;
    }
    *chunks = w.chunks;
    *count = w.chunk_count;
    return true;
}
