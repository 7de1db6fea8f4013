/* Table entries from and to the bytes of P4Runtime's messages.
 *
 * Only what is ordinary is understood here: an INSERT, MODIFY or DELETE of an entry with known fields, each given once, that
 * the specification's rules allow. Everything else, each mistake included, is left to the service, which knows the words for
 * it: nothing is refused here, and nothing is taken that the service would refuse or understand otherwise (the tests hold the two
 * against each other). */
#include "wire.h"

#include <stdlib.h>

#include "switch.h"

/* -- reading messages */

struct input {
    const uint8_t *at, *end;
};

struct field {
    uint32_t number, type;
    uint64_t value; /* of a varint */
    struct input body;
};

enum { VARINT = 0, BYTES = 2 };

static bool take_varint(struct input *in, uint64_t *value)
{
    uint64_t result = 0;
    for (unsigned shift = 0; shift < 64 && in->at < in->end; shift += 7) {
        uint8_t byte = *in->at++;
        if (shift == 63 && byte > 1)
            return false;
        result |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *value = result;
            return true;
        }
    }
    return false;
}

/* The next field; false at something that is not a varint or a sequence of bytes. */
static bool take_field(struct input *in, struct field *field)
{
    uint64_t key, length;
    if (!take_varint(in, &key) || key > UINT32_MAX || key < 8)
        return false;
    field->number = (uint32_t)(key >> 3);
    field->type = (uint32_t)(key & 7);
    if (field->type == VARINT)
        return take_varint(in, &field->value);
    if (field->type != BYTES || !take_varint(in, &length) || length > (uint64_t)(in->end - in->at))
        return false;
    field->body = (struct input){in->at, in->at + length};
    in->at += length;
    return true;
}

/* Notes that a field was met; false if it was already. */
static bool once(uint32_t *seen, uint32_t number)
{
    uint32_t bit = 1u << number;
    if (*seen & bit)
        return false;
    *seen |= bit;
    return true;
}

/* -- values */

/* The value as `size` bytes; false if it is empty or needs more than `width` bits. */
static bool take_value(struct input in, uint32_t width, uint32_t size, uint8_t *packed)
{
    if (in.at == in.end)
        return false;
    while (in.at < in.end && *in.at == 0)
        in.at++;
    size_t length = (size_t)(in.end - in.at);
    if (length > size || (length == size && width % 8 && *in.at >> (width % 8)))
        return false;
    memset(packed, 0, size - length);
    memcpy(packed + size - length, in.at, length);
    return true;
}

static void ones(uint32_t width, uint32_t size, uint8_t *packed)
{
    memset(packed, 0xff, size);
    if (width % 8)
        packed[0] = (uint8_t)((1u << (width % 8)) - 1);
}

static bool is_zero(const uint8_t *bytes, uint32_t size)
{
    for (uint32_t i = 0; i < size; i++)
        if (bytes[i])
            return false;
    return true;
}

/* Whether `value` has no bit outside of `mask`. */
static bool within(const uint8_t *value, const uint8_t *mask, uint32_t size)
{
    for (uint32_t i = 0; i < size; i++)
        if (value[i] & ~mask[i])
            return false;
    return true;
}

static void prefix_mask(uint32_t prefix, uint32_t width, uint32_t size, uint8_t *mask)
{
    uint32_t padding = size * 8 - width, end = padding + prefix; /* bits from the first byte's highest */
    for (uint32_t i = 0; i < size; i++) {
        uint32_t high = 8 * i, byte = 0;
        for (uint32_t bit = 0; bit < 8; bit++)
            byte = byte << 1 | (high + bit >= padding && high + bit < end);
        mask[i] = (uint8_t)byte;
    }
}

/* -- an update */

struct update {
    const struct kv_wire_table *table;
    uint8_t *value, *mask, *args; /* buffers of the plan's sizes */
    int32_t priority;
    struct kv_target target;
    bool has_action;
    uint8_t *note;
    size_t note_room;
};

static const struct kv_wire_table *find_table(const struct kv_wire_plan *plan, uint64_t id)
{
    uint32_t low = 0, high = plan->table_count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (plan->tables[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < plan->table_count && plan->tables[low].id == id ? &plan->tables[low] : NULL;
}

/* The two values, or the value and the prefix length, of one kind of match. */
static bool take_match(struct input in, const struct kv_wire_value *field, uint8_t *value, uint8_t *mask)
{
    uint32_t seen = 0;
    uint64_t prefix = 0;
    struct field part;
    while (in.at < in.end) {
        if (!take_field(&in, &part) || part.number > 2 || !once(&seen, part.number))
            return false;
        bool second = part.number == 2;
        if (second && field->kind == KV_WIRE_LPM) {
            if (part.type != VARINT)
                return false;
            prefix = part.value;
        } else if (part.type != BYTES || (second && field->kind != KV_WIRE_TERNARY && field->kind != KV_WIRE_RANGE) ||
                   !take_value(part.body, field->width, field->size, second ? mask : value)) {
            return false;
        }
    }
    switch (field->kind) {
    case KV_WIRE_EXACT:
    case KV_WIRE_OPTIONAL:
        ones(field->width, field->size, mask);
        return seen == 1u << 1;
    case KV_WIRE_LPM:
        if (seen != (1u << 1 | 1u << 2) || prefix == 0 || prefix > field->width)
            return false;
        prefix_mask((uint32_t)prefix, field->width, field->size, mask);
        return within(value, mask, field->size);
    case KV_WIRE_TERNARY:
        return seen == (1u << 1 | 1u << 2) && !is_zero(mask, field->size) && within(value, mask, field->size);
    case KV_WIRE_RANGE: {
        if (seen != (1u << 1 | 1u << 2) || memcmp(value, mask, field->size) > 0)
            return false;
        uint8_t all[field->size];
        ones(field->width, field->size, all);
        return !is_zero(value, field->size) || memcmp(mask, all, field->size) != 0;
    }
    }
    return false;
}

static bool take_field_match(struct update *update, struct input in, uint64_t *given)
{
    const struct kv_wire_table *table = update->table;
    struct field id, match;
    if (!take_field(&in, &id) || id.number != 1 || id.type != VARINT || !take_field(&in, &match) || match.type != BYTES ||
        in.at != in.end)
        return false;
    for (uint32_t f = 0; f < table->field_count; f++) {
        const struct kv_wire_value *field = &table->fields[f];
        if (field->id != id.value)
            continue;
        if (field->kind != match.number || *given >> f & 1)
            return false;
        *given |= 1ull << f;
        return take_match(match.body, field, update->value + field->offset, update->mask + field->offset);
    }
    return false;
}

/* What the fields that were not given mean; false if one of them must be. */
static bool fill_omitted(struct update *update, uint64_t given)
{
    for (uint32_t f = 0; f < update->table->field_count; f++) {
        const struct kv_wire_value *field = &update->table->fields[f];
        if (given >> f & 1)
            continue;
        if (field->kind == KV_WIRE_EXACT)
            return false;
        memset(update->value + field->offset, 0, field->size);
        if (field->kind == KV_WIRE_RANGE)
            ones(field->width, field->size, update->mask + field->offset);
        else
            memset(update->mask + field->offset, 0, field->size);
    }
    return true;
}

static bool take_param(const struct kv_wire_action *action, uint8_t *args, struct input in, uint64_t *given)
{
    struct field id, value;
    if (!take_field(&in, &id) || id.number != 2 || id.type != VARINT || !take_field(&in, &value) || value.number != 3 ||
        value.type != BYTES || in.at != in.end)
        return false;
    for (uint32_t p = 0; p < action->param_count; p++) {
        const struct kv_wire_value *param = &action->params[p];
        if (param->id != id.value)
            continue;
        if (*given >> p & 1)
            return false;
        *given |= 1ull << p;
        return take_value(value.body, param->width, param->size, args + param->offset);
    }
    return false;
}

/* A TableAction that is an action of the table. */
static bool take_action(struct update *update, struct input in)
{
    struct field part;
    if (!take_field(&in, &part) || part.number != 1 || part.type != BYTES || in.at != in.end)
        return false;
    in = part.body;
    if (!take_field(&in, &part) || part.number != 1 || part.type != VARINT)
        return false;
    const struct kv_wire_action *action = NULL;
    for (uint32_t a = 0; a < update->table->action_count && !action; a++)
        if (update->table->actions[a].id == part.value)
            action = &update->table->actions[a];
    if (!action || !action->in_entries)
        return false;
    uint64_t given = 0;
    while (in.at < in.end)
        if (!take_field(&in, &part) || part.number != 4 || part.type != BYTES ||
            !take_param(action, update->args, part.body, &given))
            return false;
    update->target.id = action->number;
    update->has_action = true;
    return given == (1ull << action->param_count) - 1;
}

static size_t put_varint(uint8_t *out, uint64_t value)
{
    size_t size = 0;
    for (; value >= 0x80; value >>= 7)
        out[size++] = (uint8_t)(value | 0x80);
    out[size++] = (uint8_t)value;
    return size;
}

#define NOTE_HEADS 32 /* bytes that tags, lengths and numbers take in a note */

/* The metadata fields as they are read back. */
static bool make_note(struct update *update, uint64_t controller_metadata, struct input metadata)
{
    size_t length = (size_t)(metadata.end - metadata.at), at = 0;
    if (!controller_metadata && !length)
        return true;
    if (length >> 31)
        return false;
    if (update->note_room < length + NOTE_HEADS) {
        uint8_t *note = realloc(update->note, length + NOTE_HEADS);
        if (!note)
            return false;
        update->note = note;
        update->note_room = length + NOTE_HEADS;
    }
    if (controller_metadata) {
        update->note[at++] = 5 << 3 | VARINT;
        at += put_varint(update->note + at, controller_metadata);
    }
    if (length) {
        update->note[at++] = 11 << 3 | BYTES;
        at += put_varint(update->note + at, length);
        memcpy(update->note + at, metadata.at, length);
        at += length;
    }
    update->target.note = update->note;
    update->target.note_length = (uint32_t)at;
    return true;
}

static bool take_entry(const struct kv_wire_plan *plan, struct update *update, struct input in)
{
    struct field part;
    if (!take_field(&in, &part) || part.number != 1 || part.type != VARINT)
        return false;
    const struct kv_wire_table *table = find_table(plan, part.value);
    if (!table || !table->writable)
        return false;
    update->table = table;
    update->has_action = false;
    update->priority = 0;
    update->target = (struct kv_target){.kind = KV_ACTION, .args = update->args};
    uint32_t seen = 1u << 1;
    uint64_t given = 0, controller_metadata = 0;
    struct input metadata = {NULL, NULL};
    while (in.at < in.end) {
        if (!take_field(&in, &part) || part.number > 11 || (part.number != 2 && !once(&seen, part.number)))
            return false;
        bool is_bytes = part.number == 2 || part.number == 3 || part.number == 11;
        if (part.type != (is_bytes ? BYTES : VARINT))
            return false;
        switch (part.number) {
        case 2:
            if (!take_field_match(update, part.body, &given))
                return false;
            break;
        case 3:
            if (!take_action(update, part.body))
                return false;
            break;
        case 4:
            if (part.value > INT32_MAX)
                return false;
            update->priority = (int32_t)part.value;
            break;
        case 5:
            controller_metadata = part.value;
            break;
        case 9:
            if (part.value > INT64_MAX)
                return false;
            update->target.idle_timeout_ns = (int64_t)part.value;
            break;
        case 11:
            metadata = part.body;
            break;
        default:
            return false;
        }
    }
    return (update->priority > 0) == (table->prioritised != 0) && fill_omitted(update, given) &&
           make_note(update, controller_metadata, metadata);
}

/* An update that is ordinary; else KV_WIRE_OTHER. */
static uint32_t take_update(const struct kv_wire_plan *plan, struct update *update, struct input in,
                            const struct kv_pipeline *p)
{
    struct field type, entity, entry;
    if (!take_field(&in, &type) || type.number != 1 || type.type != VARINT || type.value < 1 || type.value > 3 ||
        !take_field(&in, &entity) || entity.number != 2 || entity.type != BYTES || in.at != in.end)
        return KV_WIRE_OTHER;
    in = entity.body;
    if (!take_field(&in, &entry) || entry.number != 2 || entry.type != BYTES || in.at != in.end ||
        !take_entry(plan, update, entry.body))
        return KV_WIRE_OTHER;
    if (type.value != KV_WIRE_DELETE &&
        (!update->has_action || (update->target.idle_timeout_ns && !p->tables[update->table->number].spec->timeouts)))
        return KV_WIRE_OTHER;
    return (uint32_t)type.value;
}

static bool update_init(const struct kv_wire_plan *plan, struct update *update)
{
    *update = (struct update){.value = calloc(1, 2 * (size_t)plan->max_key + plan->max_args + 1)};
    update->mask = update->value + plan->max_key;
    update->args = update->mask + plan->max_key;
    return update->value != NULL;
}

static void update_free(struct update *update)
{
    free(update->value);
    free(update->note);
}

/* -- requests */

/* The parts of a WriteRequest that are not updates, and their number; false: it has something unusual about it. */
int kv_wire_scan(const uint8_t *request, uint64_t length, struct kv_wire_header *header)
{
    struct input in = {request, request + length};
    struct field part, half;
    uint32_t seen = 0, seen_halves = 0;
    *header = (struct kv_wire_header){0};
    while (in.at < in.end) {
        if (!take_field(&in, &part) || part.number > 6 || (part.number != 4 && !once(&seen, part.number)))
            return false;
        bool is_bytes = part.number == 3 || part.number == 4 || part.number == 6;
        if (part.type != (is_bytes ? BYTES : VARINT))
            return false;
        switch (part.number) {
        case 1:
            header->device_id = part.value;
            break;
        case 3:
            header->has_election = 1;
            while (part.body.at < part.body.end) {
                if (!take_field(&part.body, &half) || half.type != VARINT || half.number > 2 || half.number < 1 ||
                    !once(&seen_halves, half.number))
                    return false;
                *(half.number == 1 ? &header->election_high : &header->election_low) = half.value;
            }
            break;
        case 4:
            header->update_count++;
            break;
        case 5:
            if (part.value > INT32_MAX)
                return false;
            header->atomicity = (uint32_t)part.value;
            break;
        case 6:
            header->role_offset = (uint64_t)(part.body.at - request);
            header->role_length = (uint64_t)(part.body.end - part.body.at);
            break;
        default:
            return false;
        }
    }
    return true;
}

/* Finds the updates of a scanned request and what each is. Returns how many are not ordinary, or -1 without memory. */
int64_t kv_wire_sort(struct kv_pipeline *p, const struct kv_wire_plan *plan, const uint8_t *request, uint64_t length,
                     struct kv_wire_update *updates)
{
    struct input in = {request, request + length};
    struct field part;
    struct update update;
    if (!update_init(plan, &update))
        return -1;
    int64_t others = 0;
    while (in.at < in.end && take_field(&in, &part)) {
        if (part.number != 4)
            continue;
        uint32_t mark = take_update(plan, &update, part.body, p);
        *updates++ = (struct kv_wire_update){(uint64_t)(part.body.at - request), (uint32_t)(part.body.end - part.body.at), mark};
        others += mark == KV_WIRE_OTHER;
    }
    update_free(&update);
    return others;
}

static int carry_out(struct kv_switch *sw, struct kv_pipeline *p, struct update *update, uint32_t mark)
{
    uint32_t number = update->table->number;
    struct kv_table *table = &p->tables[number];
    const uint8_t *mask = table->spec->kind == KV_EXACT ? NULL : update->mask;
    switch (mark) {
    case KV_WIRE_INSERT:
        return kv_table_insert(table, NULL, &sw->garbage, update->value, mask, update->priority, &update->target);
    case KV_WIRE_MODIFY:
        return kv_modify_entry(sw, p, number, update->value, mask, update->priority, &update->target);
    case KV_WIRE_DELETE:
        return kv_table_delete(table, &sw->garbage, update->value, mask, update->priority);
    }
    return KV_INVALID_ARGUMENT;
}

#define TURN 256u /* updates after which other writers, and the watch over ports, get their turn */

/* Carries out updates from `first` on. Returns the index of the first one that was not, because it is not ordinary or because
 * the data plane refuses it: the service goes on with it. `count` if all were. */
uint64_t kv_wire_apply(struct kv_switch *sw, struct kv_pipeline *p, const struct kv_wire_plan *plan, const uint8_t *request,
                       const struct kv_wire_update *updates, uint64_t first, uint64_t count)
{
    struct update update;
    uint64_t i = first;
    if (!update_init(plan, &update))
        return first;
    uint64_t now_us = kv_switch_now_us(sw);
    pthread_mutex_lock(&sw->writers);
    for (; i < count && updates[i].mark != KV_WIRE_OTHER; i++) {
        const uint8_t *bytes = request + updates[i].offset;
        uint32_t mark = take_update(plan, &update, (struct input){bytes, bytes + updates[i].length}, p);
        update.target.now_us = now_us;
        if (carry_out(sw, p, &update, mark) != KV_OK)
            break;
        kv_reclaim(sw, false);
        if ((i + 1) % TURN == 0) {
            pthread_mutex_unlock(&sw->writers);
            pthread_mutex_lock(&sw->writers);
        }
    }
    pthread_mutex_unlock(&sw->writers);
    update_free(&update);
    return i;
}

/* Takes insertions back, the last one first. */
void kv_wire_undo(struct kv_switch *sw, struct kv_pipeline *p, const struct kv_wire_plan *plan, const uint8_t *request,
                  const struct kv_wire_update *updates, uint64_t count)
{
    struct update update;
    if (!update_init(plan, &update))
        return;
    pthread_mutex_lock(&sw->writers);
    while (count-- > 0) {
        const uint8_t *bytes = request + updates[count].offset;
        take_update(plan, &update, (struct input){bytes, bytes + updates[count].length}, p);
        carry_out(sw, p, &update, KV_WIRE_DELETE);
        kv_reclaim(sw, false);
    }
    pthread_mutex_unlock(&sw->writers);
    update_free(&update);
}
