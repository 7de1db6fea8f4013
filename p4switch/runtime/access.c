/* Tables, profiles and indexed state, as Python writes and reads them. */
#include "switch.h"

#include <stdlib.h>

#include "lookup.h"

/* -- writes; `p` may be a pipeline that is not yet committed */

#define WRITE(sw, call)                   \
    do {                                  \
        pthread_mutex_lock(&sw->writers); \
        int status = (call);              \
        kv_reclaim(sw, false);            \
        pthread_mutex_unlock(&sw->writers); \
        return status;                    \
    } while (0)

static struct kv_profile *profile_of(struct kv_pipeline *p, uint32_t table)
{
    int16_t profile = p->tables[table].spec->profile;
    return profile < 0 ? NULL : &p->profiles[profile];
}

int kv_switch_insert(struct kv_switch *sw, struct kv_pipeline *p, uint32_t table, const uint8_t *value,
                     const uint8_t *mask, int32_t priority, const struct kv_target *target)
{
    struct kv_target stamped = *target;
    stamped.now_us = kv_switch_now_us(sw);
    WRITE(sw, kv_table_insert(&p->tables[table], profile_of(p, table), &sw->garbage, value, mask, priority, &stamped));
}

/* The action takes effect with one store; a counter or meter that is written with it, right after. */
int kv_modify_entry(struct kv_switch *sw, struct kv_pipeline *p, uint32_t table, const uint8_t *value,
                    const uint8_t *mask, int32_t priority, const struct kv_target *target)
{
    struct kv_table *t = &p->tables[table];
    int status = kv_table_modify(t, profile_of(p, table), &sw->garbage, value, mask, priority, target);
    if (status == KV_OK && (target->counter || t->spec->meter_rates)) {
        const uint64_t *tuple_mask;
        struct kv_direct *direct = kv_table_find(t, value, mask, priority, &tuple_mask)->direct;
        kv_enter(sw);
        if (direct && target->counter)
            direct->counter = *target->counter;
        if (t->spec->meter_rates)
            kv_meter_configure(direct->meter, target->meter, target->now_us);
        kv_leave(sw);
    }
    return status;
}

int kv_switch_modify(struct kv_switch *sw, struct kv_pipeline *p, uint32_t table, const uint8_t *value,
                     const uint8_t *mask, int32_t priority, const struct kv_target *target)
{
    struct kv_target stamped = *target;
    stamped.now_us = kv_switch_now_us(sw);
    WRITE(sw, kv_modify_entry(sw, p, table, value, mask, priority, &stamped));
}

int kv_switch_delete(struct kv_switch *sw, struct kv_pipeline *p, uint32_t table, const uint8_t *value,
                     const uint8_t *mask, int32_t priority)
{
    WRITE(sw, kv_table_delete(&p->tables[table], &sw->garbage, value, mask, priority));
}

int kv_switch_set_default(struct kv_switch *sw, struct kv_pipeline *p, uint32_t table, const struct kv_target *target,
                          int of_program)
{
    WRITE(sw, kv_table_set_default(&p->tables[table], profile_of(p, table), &sw->garbage, target, of_program));
}

void kv_switch_seal(struct kv_pipeline *p, uint32_t table, int immutable, int default_const)
{
    p->tables[table].immutable = immutable;
    p->tables[table].default_const = default_const;
}

int kv_switch_member(struct kv_switch *sw, struct kv_pipeline *p, uint32_t profile, uint32_t id, uint32_t action,
                     const uint8_t *args, int insert)
{
    WRITE(sw, kv_member_write(&p->profiles[profile], &sw->garbage, id, action, args, insert));
}

int kv_switch_delete_member(struct kv_switch *sw, struct kv_pipeline *p, uint32_t profile, uint32_t id)
{
    WRITE(sw, kv_member_delete(&p->profiles[profile], &sw->garbage, id));
}

int kv_switch_group(struct kv_switch *sw, struct kv_pipeline *p, uint32_t profile, uint32_t id,
                    const struct kv_group_member *members, uint32_t count, int insert)
{
    WRITE(sw, kv_group_write(&p->profiles[profile], &sw->garbage, id, members, count, insert, kv_switch_port_up, sw));
}

int kv_switch_delete_group(struct kv_switch *sw, struct kv_pipeline *p, uint32_t profile, uint32_t id)
{
    WRITE(sw, kv_group_delete(&p->profiles[profile], &sw->garbage, id));
}

/* -- reads: records packed one behind the other, in memory that the caller frees with kv_switch_release */

/* What is read of a meter. */
struct meter_state {
    uint64_t configured;
    int64_t written[5];
    struct kv_counter marked[KV_COLOURS];
};

static struct meter_state meter_state(const struct kv_meter *meter)
{
    struct meter_state state = {.configured = meter->marker != KV_UNCONFIGURED};
    memcpy(state.written, meter->written, sizeof state.written);
    for (unsigned i = 0; i < KV_COLOURS; i++) {
        state.marked[i].packets = __atomic_load_n(&meter->marked[i].packets, __ATOMIC_RELAXED);
        state.marked[i].bytes = __atomic_load_n(&meter->marked[i].bytes, __ATOMIC_RELAXED);
    }
    return state;
}

struct record_buffer {
    uint8_t *data;
    size_t size, room;
    bool failed;
    struct kv_table *table;
    uint64_t now_us;
};

static void put(struct record_buffer *buffer, const void *data, size_t size)
{
    if (buffer->size + size > buffer->room) {
        size_t room = (buffer->size + size) * 2 + 256;
        uint8_t *grown = realloc(buffer->data, room);
        if (!grown) {
            buffer->failed = true;
            return;
        }
        buffer->data = grown;
        buffer->room = room;
    }
    if (size)
        memcpy(buffer->data + buffer->size, data, size);
    buffer->size += size;
}

static void put_packed(struct record_buffer *buffer, const struct kv_field_spec *fields, unsigned count,
                       const uint64_t *words, size_t size)
{
    uint8_t bytes[size + 1];
    kv_pack(fields, count, words, bytes);
    put(buffer, bytes, size);
}

/* A head, then value, mask (not in an exact table), arguments, note, and the state of the direct meter if there is one. */
static void put_entry(void *arg, struct kv_entry *entry, const uint64_t *mask)
{
    struct record_buffer *buffer = arg;
    const struct kv_table_spec *spec = buffer->table->spec;
    const struct kv_direct *direct = entry->direct;
    struct {
        uint32_t kind, id;
        int32_t priority;
        uint32_t note_length;
        uint64_t packets, bytes, idle_us;
        int64_t idle_timeout_ns;
    } head = {.kind = entry->kind, .priority = spec->kind == KV_LPM ? 0 : entry->priority};
    head.id = entry->kind == KV_ACTION ? entry->action : entry->kind == KV_MEMBER ? entry->member->id : entry->group->id;
    if (direct) {
        head.note_length = direct->note ? direct->note->length : 0;
        head.packets = __atomic_load_n(&direct->counter.packets, __ATOMIC_RELAXED);
        head.bytes = __atomic_load_n(&direct->counter.bytes, __ATOMIC_RELAXED);
        uint64_t last_hit_us = __atomic_load_n(&direct->last_hit_us, __ATOMIC_RELAXED);
        head.idle_us = buffer->now_us > last_hit_us ? buffer->now_us - last_hit_us : 0;
        head.idle_timeout_ns = direct->idle_timeout_ns;
    }
    put(buffer, &head, sizeof head);
    uint8_t value[spec->key_bytes + 1], masks[spec->key_bytes + 1];
    kv_entry_key(spec, entry, mask, value, masks);
    put(buffer, value, spec->key_bytes);
    if (mask)
        put(buffer, masks, spec->key_bytes);
    if (entry->kind == KV_ACTION) {
        const struct kv_action_spec *action = &spec->actions[entry->action];
        put_packed(buffer, action->params, action->param_count, entry->words + kv_args_at(spec), action->arg_bytes);
    }
    if (head.note_length)
        put(buffer, direct->note->bytes, direct->note->length);
    if (spec->meter_rates) {
        struct meter_state state = meter_state(direct->meter);
        put(buffer, &state, sizeof state);
    }
}

static int finish(struct record_buffer *buffer, uint8_t **data, uint64_t *size)
{
    if (buffer->failed) {
        free(buffer->data);
        return KV_OUT_OF_MEMORY;
    }
    *data = buffer->data;
    *size = buffer->size;
    return KV_OK;
}

void kv_switch_release(void *data)
{
    free(data);
}

int kv_switch_read_table(struct kv_switch *sw, struct kv_pipeline *p, uint32_t table, uint8_t **data, uint64_t *size)
{
    struct record_buffer buffer = {.table = &p->tables[table], .now_us = kv_switch_now_us(sw)};
    pthread_mutex_lock(&sw->writers);
    kv_table_each(&p->tables[table], put_entry, &buffer);
    pthread_mutex_unlock(&sw->writers);
    return finish(&buffer, data, size);
}

int kv_switch_read_entry(struct kv_switch *sw, struct kv_pipeline *p, uint32_t table, const uint8_t *value,
                         const uint8_t *mask, int32_t priority, uint8_t **data, uint64_t *size)
{
    struct record_buffer buffer = {.table = &p->tables[table], .now_us = kv_switch_now_us(sw)};
    const uint64_t *tuple_mask = NULL;
    pthread_mutex_lock(&sw->writers);
    struct kv_entry *entry = kv_table_find(&p->tables[table], value, mask, priority, &tuple_mask);
    if (entry)
        put_entry(&buffer, entry, tuple_mask);
    pthread_mutex_unlock(&sw->writers);
    return entry ? finish(&buffer, data, size) : KV_NOT_FOUND;
}

struct idle_sweep {
    struct record_buffer buffer;
    uint64_t next_us; /* the soonest moment at which another entry can be idle */
};

static void put_if_idle(void *arg, struct kv_entry *entry, const uint64_t *mask)
{
    struct idle_sweep *sweep = arg;
    struct kv_direct *direct = entry->direct;
    if (!direct || !direct->idle_timeout_ns)
        return;
    uint64_t now_us = sweep->buffer.now_us, timeout_us = ((uint64_t)direct->idle_timeout_ns + 999) / 1000;
    uint64_t since_us = __atomic_load_n(&direct->last_hit_us, __ATOMIC_RELAXED);
    if (direct->notified_us > since_us)
        since_us = direct->notified_us;
    if (now_us >= since_us && now_us - since_us >= timeout_us) {
        direct->notified_us = since_us = now_us;
        put_entry(&sweep->buffer, entry, mask);
    }
    if (since_us + timeout_us < sweep->next_us)
        sweep->next_us = since_us + timeout_us;
}

/* The entries of a table that have been idle for their timeout; each is given once, and again after another timeout.
 * `next_us`: how long to wait for the next one at least. */
int kv_switch_read_idle(struct kv_switch *sw, struct kv_pipeline *p, uint32_t table, uint64_t *next_us, uint8_t **data,
                        uint64_t *size)
{
    struct kv_table *t = &p->tables[table];
    struct idle_sweep sweep = {.buffer = {.table = t, .now_us = kv_switch_now_us(sw)}, .next_us = UINT64_MAX};
    pthread_mutex_lock(&sw->writers);
    if (t->ageing)
        kv_table_each(t, put_if_idle, &sweep);
    pthread_mutex_unlock(&sw->writers);
    *next_us = sweep.next_us == UINT64_MAX ? UINT64_MAX : sweep.next_us - sweep.buffer.now_us;
    return finish(&sweep.buffer, data, size);
}

int kv_switch_read_default(struct kv_switch *sw, struct kv_pipeline *p, uint32_t table, uint32_t *kind, uint32_t *id,
                           uint8_t *args)
{
    pthread_mutex_lock(&sw->writers);
    struct kv_table *t = &p->tables[table];
    struct kv_entry *entry = t->default_entry;
    if (entry) {
        *kind = entry->kind;
        *id = entry->kind == KV_ACTION ? entry->action : entry->kind == KV_MEMBER ? entry->member->id : entry->group->id;
        if (entry->kind == KV_ACTION) {
            const struct kv_action_spec *action = &t->spec->actions[entry->action];
            kv_pack(action->params, action->param_count, entry->words + kv_args_at(t->spec), args);
        }
    }
    pthread_mutex_unlock(&sw->writers);
    return entry ? KV_OK : KV_NOT_FOUND;
}

/* id, action, arguments */
int kv_switch_read_members(struct kv_switch *sw, struct kv_pipeline *p, uint32_t profile, uint8_t **data, uint64_t *size)
{
    struct record_buffer buffer = {0};
    struct kv_profile *at = &p->profiles[profile];
    pthread_mutex_lock(&sw->writers);
    for (uint32_t i = 0; i < at->member_slots; i++)
        if (at->members[i]) {
            const struct kv_member_action *current = at->members[i]->current;
            const struct kv_action_spec *action = &at->spec->actions[current->action];
            uint32_t head[2] = {at->members[i]->id, current->action};
            put(&buffer, head, sizeof head);
            put_packed(&buffer, action->params, action->param_count, current->args, action->arg_bytes);
        }
    pthread_mutex_unlock(&sw->writers);
    return finish(&buffer, data, size);
}

/* id, number of members, then id, weight and watch port of each */
int kv_switch_read_groups(struct kv_switch *sw, struct kv_pipeline *p, uint32_t profile, uint8_t **data, uint64_t *size)
{
    struct record_buffer buffer = {0};
    struct kv_profile *at = &p->profiles[profile];
    pthread_mutex_lock(&sw->writers);
    for (uint32_t i = 0; i < at->group_slots; i++)
        if (at->groups[i]) {
            uint32_t head[2] = {at->groups[i]->id, at->groups[i]->member_count};
            put(&buffer, head, sizeof head);
            put(&buffer, at->groups[i]->members, head[1] * sizeof *at->groups[i]->members);
        }
    pthread_mutex_unlock(&sw->writers);
    return finish(&buffer, data, size);
}

int kv_switch_write_direct_counter(struct kv_switch *sw, struct kv_pipeline *p, uint32_t table, const uint8_t *value,
                                   const uint8_t *mask, int32_t priority, uint64_t packets, uint64_t bytes)
{
    const uint64_t *tuple_mask = NULL;
    pthread_mutex_lock(&sw->writers);
    struct kv_entry *entry = kv_table_find(&p->tables[table], value, mask, priority, &tuple_mask);
    if (entry && entry->direct) {
        kv_enter(sw);
        entry->direct->counter = (struct kv_counter){packets, bytes};
        kv_leave(sw);
    }
    pthread_mutex_unlock(&sw->writers);
    return entry ? KV_OK : KV_NOT_FOUND;
}

/* -- indexed state: the caller has checked first + count against the size */

#define CHUNK 4096u /* cells for which packets are kept waiting at a time */

void kv_switch_read_registers(struct kv_switch *sw, struct kv_pipeline *p, uint32_t array, uint32_t first, uint32_t count,
                              uint8_t *cells)
{
    uint32_t stride = p->program->registers[array].stride;
    for (uint32_t done = 0; done < count; done += CHUNK) {
        uint32_t n = count - done < CHUNK ? count - done : CHUNK;
        kv_enter(sw);
        memcpy(cells + (size_t)done * stride, (uint8_t *)p->registers[array] + (size_t)(first + done) * stride,
               (size_t)n * stride);
        kv_leave(sw);
    }
}

void kv_switch_write_registers(struct kv_switch *sw, struct kv_pipeline *p, uint32_t array, uint32_t first,
                               uint32_t count, const uint8_t *cell)
{
    uint32_t stride = p->program->registers[array].stride;
    for (uint32_t done = 0; done < count; done += CHUNK) {
        kv_enter(sw);
        for (uint32_t i = done; i < count && i < done + CHUNK; i++)
            memcpy((uint8_t *)p->registers[array] + (size_t)(first + i) * stride, cell, stride);
        kv_leave(sw);
    }
}

void kv_switch_read_counters(struct kv_switch *sw, struct kv_pipeline *p, uint32_t array, uint32_t first, uint32_t count,
                             struct kv_counter *cells)
{
    kv_enter(sw);
    memcpy(cells, p->counters[array] + first, count * sizeof *cells);
    kv_leave(sw);
}

void kv_switch_write_counters(struct kv_switch *sw, struct kv_pipeline *p, uint32_t array, uint32_t first,
                              uint32_t count, uint64_t packets, uint64_t bytes)
{
    kv_enter(sw);
    for (uint32_t i = 0; i < count; i++)
        p->counters[array][first + i] = (struct kv_counter){packets, bytes};
    kv_leave(sw);
}

/* NULL makes every packet green again. The counters of colours stay. */
void kv_switch_write_meters(struct kv_switch *sw, struct kv_pipeline *p, uint32_t array, uint32_t first, uint32_t count,
                            const struct kv_meter_config *config)
{
    uint64_t now_us = kv_switch_now_us(sw);
    for (uint32_t done = 0; done < count; done += CHUNK) {
        kv_enter(sw);
        for (uint32_t i = done; i < count && i < done + CHUNK; i++)
            kv_meter_configure(&p->meters[array][first + i], config, now_us);
        kv_leave(sw);
    }
}

void kv_switch_clear_meters(struct kv_switch *sw, struct kv_pipeline *p, uint32_t array, uint32_t first, uint32_t count)
{
    for (uint32_t done = 0; done < count; done += CHUNK) {
        kv_enter(sw);
        for (uint32_t i = done; i < count && i < done + CHUNK; i++)
            memset(p->meters[array][first + i].marked, 0, sizeof p->meters[array][first + i].marked);
        kv_leave(sw);
    }
}

void kv_switch_read_meters(struct kv_switch *sw, struct kv_pipeline *p, uint32_t array, uint32_t first, uint32_t count,
                           struct meter_state *cells)
{
    pthread_mutex_lock(&sw->writers);
    for (uint32_t i = 0; i < count; i++)
        cells[i] = meter_state(&p->meters[array][first + i]);
    pthread_mutex_unlock(&sw->writers);
}

static struct kv_meter *direct_meter(struct kv_table *table, const uint8_t *value, const uint8_t *mask, int32_t priority)
{
    const uint64_t *tuple_mask = NULL;
    struct kv_entry *entry = kv_table_find(table, value, mask, priority, &tuple_mask);
    return entry && entry->direct && table->spec->meter_rates ? entry->direct->meter : NULL;
}

int kv_switch_write_direct_meter(struct kv_switch *sw, struct kv_pipeline *p, uint32_t table, const uint8_t *value,
                                 const uint8_t *mask, int32_t priority, const struct kv_meter_config *config)
{
    pthread_mutex_lock(&sw->writers);
    struct kv_meter *meter = direct_meter(&p->tables[table], value, mask, priority);
    if (meter) {
        kv_enter(sw);
        kv_meter_configure(meter, config, kv_switch_now_us(sw));
        kv_leave(sw);
    }
    pthread_mutex_unlock(&sw->writers);
    return meter ? KV_OK : KV_NOT_FOUND;
}

int kv_switch_clear_direct_meter(struct kv_switch *sw, struct kv_pipeline *p, uint32_t table, const uint8_t *value,
                                 const uint8_t *mask, int32_t priority)
{
    pthread_mutex_lock(&sw->writers);
    struct kv_meter *meter = direct_meter(&p->tables[table], value, mask, priority);
    if (meter) {
        kv_enter(sw);
        memset(meter->marked, 0, sizeof meter->marked);
        kv_leave(sw);
    }
    pthread_mutex_unlock(&sw->writers);
    return meter ? KV_OK : KV_NOT_FOUND;
}

/* `members`: value and mask (or bounds) of each, each of the value set's bytes; no `fields`: all are exact. */
int kv_switch_write_value_set(struct kv_switch *sw, struct kv_pipeline *p, uint32_t set, const uint8_t *members,
                              uint32_t count, const struct kv_value_set_field *fields, uint32_t field_count)
{
    size_t size = 2 * (size_t)count * p->value_sets[set].spec->bytes, fields_at = (size + 1) & ~(size_t)1;
    struct kv_value_set_view *view = malloc(sizeof *view + fields_at + field_count * sizeof *fields);
    if (!view)
        return KV_OUT_OF_MEMORY;
    view->count = count;
    view->field_count = field_count;
    memcpy(view->members, members, size);
    view->fields = memcpy(view->members + fields_at, fields, field_count * sizeof *fields);
    pthread_mutex_lock(&sw->writers);
    kv_retire(&sw->garbage, p->value_sets[set].current);
    KV_STORE(&p->value_sets[set].current, view);
    kv_reclaim(sw, false);
    pthread_mutex_unlock(&sw->writers);
    return KV_OK;
}
