/* The switch: what surrounds a pipeline, and the functions that Python calls (all named kv_switch_… or kv_pipeline_…). */
#include "switch.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "lookup.h"

uint64_t kv_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Microseconds since the switch started: the clock of packets. */
uint64_t kv_switch_now_us(const struct kv_switch *sw)
{
    return (kv_now_ns() - sw->started_ns) / 1000;
}

/* -- turns */

void kv_worker_enter(struct kv_worker *worker)
{
    __atomic_add_fetch(&worker->waiting, 1, __ATOMIC_SEQ_CST);
    pthread_mutex_lock(&worker->packets);
    __atomic_sub_fetch(&worker->waiting, 1, __ATOMIC_SEQ_CST);
}

void kv_worker_leave(struct kv_worker *worker)
{
    pthread_mutex_unlock(&worker->packets);
}

void kv_enter(struct kv_switch *sw)
{
    for (uint32_t w = 0; w < sw->worker_count; w++)
        kv_worker_enter(&sw->workers[w]);
}

void kv_leave(struct kv_switch *sw)
{
    for (uint32_t w = sw->worker_count; w-- > 0;)
        kv_worker_leave(&sw->workers[w]);
}

/* Frees what was unpublished, once no packet can still see it. */
void kv_reclaim(struct kv_switch *sw, bool all)
{
    if (sw->garbage.count < (all ? 1u : 512u))
        return;
    for (uint32_t w = 0; w < sw->worker_count; w++) {
        kv_worker_enter(&sw->workers[w]);
        kv_worker_leave(&sw->workers[w]);
    }
    for (size_t i = 0; i < sw->garbage.count; i++)
        free(sw->garbage.items[i]);
    sw->garbage.count = 0;
}

/* -- queues */

int kv_queue_init(struct kv_queue *queue, uint32_t room)
{
    *queue = (struct kv_queue){.room = room, .items = calloc(room, sizeof *queue->items)};
    pthread_mutex_init(&queue->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&queue->filled, &attr);
    pthread_condattr_destroy(&attr);
    return queue->items ? KV_OK : KV_OUT_OF_MEMORY;
}

void kv_queue_free(struct kv_queue *queue)
{
    for (uint32_t i = 0; i < queue->count; i++)
        free(queue->items[(queue->first + i) % queue->room].data);
    free(queue->items);
    pthread_cond_destroy(&queue->filled);
    pthread_mutex_destroy(&queue->lock);
}

void kv_queue_push(struct kv_queue *queue, uint32_t tag, uint64_t id, const uint8_t *data, uint32_t length)
{
    uint8_t *copy = malloc(length ? length : 1);
    pthread_mutex_lock(&queue->lock);
    if (!copy || queue->count == queue->room || queue->closed) {
        queue->dropped++;
        free(copy);
    } else {
        memcpy(copy, data, length);
        queue->items[(queue->first + queue->count++) % queue->room] = (struct kv_item){tag, length, id, copy};
        queue->pushed++;
        pthread_cond_signal(&queue->filled);
    }
    pthread_mutex_unlock(&queue->lock);
}

/* Waits for an item: 1 and the item (its data to be freed by the caller), 0 after the time, -1 when closed. */
int kv_queue_pop(struct kv_queue *queue, uint32_t timeout_ms, struct kv_item *item)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    int result = 0;
    pthread_mutex_lock(&queue->lock);
    while (queue->count == 0 && !queue->closed)
        if (pthread_cond_timedwait(&queue->filled, &queue->lock, &until) == ETIMEDOUT)
            break;
    if (queue->count) {
        *item = queue->items[queue->first];
        queue->first = (queue->first + 1) % queue->room;
        queue->count--;
        result = 1;
    } else if (queue->closed) {
        result = -1;
    }
    pthread_mutex_unlock(&queue->lock);
    return result;
}

static void queue_close(struct kv_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->closed = true;
    pthread_cond_broadcast(&queue->filled);
    pthread_mutex_unlock(&queue->lock);
}

/* -- what the pipeline calls */

static void *batch_alloc(struct kv_ctx *ctx, size_t size)
{
    struct kv_worker *worker = ctx->owner;
    if (worker->block_count == worker->block_room) {
        uint32_t room = worker->block_room ? worker->block_room * 2 : 64;
        void **blocks = realloc(worker->blocks, room * sizeof *blocks);
        if (!blocks)
            return NULL;
        worker->blocks = blocks;
        worker->block_room = room;
    }
    void *block = malloc(size);
    if (block)
        worker->blocks[worker->block_count++] = block;
    return block;
}

static void capture(struct kv_worker *worker, uint32_t port, const uint8_t *data, uint32_t length)
{
    size_t need = worker->captured_size + 8 + length;
    if (need > worker->captured_room) {
        size_t room = need * 2;
        uint8_t *captured = realloc(worker->captured, room);
        if (!captured)
            return;
        worker->captured = captured;
        worker->captured_room = room;
    }
    memcpy(worker->captured + worker->captured_size, &port, 4);
    memcpy(worker->captured + worker->captured_size + 4, &length, 4);
    memcpy(worker->captured + worker->captured_size + 8, data, length);
    worker->captured_size = need;
}

static void emit(struct kv_ctx *ctx, uint32_t port, uint8_t *data, uint32_t length, struct kv_offload offload)
{
    struct kv_worker *worker = ctx->owner;
    struct kv_switch *sw = worker->sw;
    if (KV_UNLIKELY(worker->counting)) {
        worker->counted++;
        return;
    }
    if (KV_UNLIKELY(worker->capturing)) {
        capture(worker, port, data, length);
        return;
    }
    if (KV_UNLIKELY(sw->tapped))
        kv_queue_push(&sw->taps, port | KV_TAP_OUT, 0, data, length);
    if (port == ctx->cpu_port) {
        kv_queue_push(&sw->packet_in, port, 0, data, length);
        return;
    }
    if (KV_UNLIKELY(port < KV_MAX_PORTS && KV_LOAD(&sw->outside_ports[port]))) {
        kv_queue_push(&sw->outside, port, worker->packet_id, data, length);
        return;
    }
    if (worker->out_count == worker->out_room) {
        uint32_t room = worker->out_room ? worker->out_room * 2 : 4 * KV_BATCH;
        struct kv_outgoing *out = realloc(worker->out, room * sizeof *out);
        if (!out)
            return;
        worker->out = out;
        worker->out_room = room;
    }
    worker->out[worker->out_count++] = (struct kv_outgoing){port, length, data, offload};
}

static const struct kv_multicast_view *multicast(struct kv_ctx *ctx, uint32_t group)
{
    struct kv_switch *sw = ((struct kv_worker *)ctx->owner)->sw;
    struct kv_multicast_group *found = group < KV_MULTICAST_GROUPS ? KV_LOAD(&sw->multicast[group]) : NULL;
    return found ? KV_LOAD(&found->current) : NULL;
}

static const struct kv_clone_session *clone_session(struct kv_ctx *ctx, uint32_t id)
{
    struct kv_switch *sw = ((struct kv_worker *)ctx->owner)->sw;
    return id < KV_CLONE_SESSIONS ? KV_LOAD(&sw->clones[id]) : NULL;
}

static void digest(struct kv_ctx *ctx, uint32_t index, const uint8_t *sample)
{
    struct kv_switch *sw = ((struct kv_worker *)ctx->owner)->sw;
    kv_learn_sample(&sw->learner, ctx->pipeline, index, sample);
}

static void trace(struct kv_ctx *ctx, const uint8_t *records, uint32_t length)
{
    struct kv_worker *worker = ctx->owner;
    if (!worker->counting)
        kv_queue_push(&worker->sw->traces, 0, 0, records, length);
}

static void log_text(struct kv_ctx *ctx, const char *text)
{
    struct kv_switch *sw = ((struct kv_worker *)ctx->owner)->sw;
    if (sw->log)
        sw->log(text);
}

/* -- batches: the caller holds `packets` */

void kv_batch_begin(struct kv_worker *worker)
{
    worker->ctx.pipeline = KV_LOAD(&worker->sw->pipeline);
    worker->ctx.now_us = (kv_now_ns() - worker->sw->started_ns) / 1000;
    worker->out_count = 0;
}

void kv_batch_end(struct kv_worker *worker)
{
    if (worker->out_count)
        kv_send_batch(worker);
    for (uint32_t i = 0; i < worker->block_count; i++)
        free(worker->blocks[i]);
    worker->block_count = 0;
}

void kv_process_frame(struct kv_worker *worker, struct kv_frame *frame)
{
    if (KV_UNLIKELY(worker->sw->tapped) && !worker->capturing && !worker->counting)
        kv_queue_push(&worker->sw->taps, frame->port, 0, frame->data, frame->length);
    if (worker->ctx.pipeline)
        worker->ctx.pipeline->program->process(&worker->ctx, frame);
}

#define AHEAD 6u        /* packets between the steps of a look-up ahead: as long as memory takes */
#define LARGE_MAP 8192u /* slots; smaller maps are in the cache anyway */

static unsigned large_tables(const struct kv_ctx *ctx, const struct kv_table **tables, unsigned *index)
{
    unsigned count = 0;
    for (unsigned i = 0; ctx->pipeline && i < ctx->pipeline->program->hint_count; i++) {
        const struct kv_table *table = &ctx->pipeline->tables[ctx->pipeline->program->hinted[i]];
        if (KV_LOAD(&table->map)->mask >= LARGE_MAP) {
            tables[count] = table;
            index[count++] = i;
        }
    }
    return count;
}

/* In order; while one packet is processed, the entries that the next ones need are on their way from memory. */
void kv_process_batch(struct kv_worker *worker, struct kv_frame *frames, unsigned count)
{
    struct kv_ctx *ctx = &worker->ctx;
    const struct kv_table *tables[KV_MAX_HINTS];
    uint64_t hashes[KV_BATCH][KV_MAX_HINTS];
    unsigned index[KV_MAX_HINTS], large = large_tables(ctx, tables, index);
    if (!large) {
        for (unsigned i = 0; i < count; i++)
            kv_process_frame(worker, &frames[i]);
        return;
    }
    for (unsigned i = 0; i < count + 2 * AHEAD; i++) {
        if (i < count) {
            ctx->pipeline->program->hint(ctx, &frames[i], hashes[i]);
            for (unsigned t = 0; t < large; t++)
                kv_prefetch_slot(tables[t], hashes[i][index[t]]);
        }
        if (i >= AHEAD && i - AHEAD < count)
            for (unsigned t = 0; t < large; t++)
                kv_prefetch_entry(tables[t], hashes[i - AHEAD][index[t]]);
        if (i >= 2 * AHEAD)
            kv_process_frame(worker, &frames[i - 2 * AHEAD]);
    }
}

/* -- life */

static void recursive_mutex(pthread_mutex_t *mutex)
{
    pthread_mutexattr_t recursive;
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(mutex, &recursive);
    pthread_mutexattr_destroy(&recursive);
}

static bool worker_init(struct kv_switch *sw, uint32_t number, uint64_t seed)
{
    struct kv_worker *worker = &sw->workers[number];
    worker->sw = sw;
    worker->number = number;
    worker->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    recursive_mutex(&worker->packets);
    worker->ctx = (struct kv_ctx){
        .cpu_port = sw->cpu_port,
        .drop_port = sw->drop_port,
        .queue_count = 1,
        .random = seed ^ sw->started_ns ^ (number * 0x9e3779b97f4a7c15ull),
        .owner = worker,
        .emit = emit,
        .alloc = batch_alloc,
        .multicast = multicast,
        .clone_session = clone_session,
        .digest = digest,
        .log = log_text,
        .trace = trace,
    };
    return worker->wake >= 0;
}

/* `workers`: the number of packet threads that a program may have whose state allows it. */
struct kv_switch *kv_switch_new(uint32_t cpu_port, uint32_t drop_port, uint64_t seed, uint32_t workers)
{
    struct kv_switch *sw = calloc(1, sizeof *sw);
    if (!sw)
        return NULL;
    recursive_mutex(&sw->writers);
    sw->started_ns = kv_now_ns();
    sw->cpu_port = cpu_port;
    sw->drop_port = drop_port;
    sw->worker_count = workers < 1 ? 1 : workers < KV_MAX_WORKERS ? workers : KV_MAX_WORKERS;
    sw->active = 1;
    kv_queueing_init(&sw->queueing);
    size_t size = (sw->worker_count * sizeof *sw->workers + 127) & ~(size_t)127;
    sw->workers = aligned_alloc(128, size);
    sw->ports = calloc(KV_MAX_PORTS, sizeof *sw->ports);
    sw->multicast = calloc(KV_MULTICAST_GROUPS, sizeof *sw->multicast);
    sw->clones = calloc(KV_CLONE_SESSIONS, sizeof *sw->clones);
    sw->outside_ports = calloc(KV_MAX_PORTS, sizeof *sw->outside_ports);
    int status = kv_queue_init(&sw->packet_in, 4096) | kv_learner_init(&sw->learner) |
                 kv_queue_init(&sw->outside, 65536) | kv_queue_init(&sw->taps, 65536) |
                 kv_queue_init(&sw->traces, 65536);
    if (!sw->workers || !sw->ports || !sw->outside_ports || !sw->multicast || !sw->clones || status != KV_OK)
        return NULL; /* the process is out of memory: it does not live to miss these */
    memset(sw->workers, 0, size);
    for (uint32_t w = 0; w < sw->worker_count; w++)
        if (!worker_init(sw, w, seed))
            return NULL;
    return sw;
}

void kv_switch_set_log(struct kv_switch *sw, void (*log)(const char *))
{
    sw->log = log;
}

/* Stops the threads and wakes those who wait in a queue; the memory stays until kv_switch_free. */
void kv_switch_stop(struct kv_switch *sw)
{
    kv_queueing_stop(&sw->queueing);
    kv_ports_stop(sw);
    queue_close(&sw->packet_in);
    kv_learner_close(&sw->learner);
    queue_close(&sw->outside);
    queue_close(&sw->taps);
    queue_close(&sw->traces);
}

void kv_switch_free(struct kv_switch *sw)
{
    kv_reclaim(sw, true);
    if (sw->pipeline)
        kv_pipeline_free(sw->pipeline);
    for (uint32_t i = 0; i < KV_MULTICAST_GROUPS; i++) {
        if (sw->multicast[i])
            free(sw->multicast[i]->current);
        free(sw->multicast[i]);
    }
    for (uint32_t i = 0; i < KV_CLONE_SESSIONS; i++)
        free(sw->clones[i]);
    kv_queueing_free(&sw->queueing);
    kv_queue_free(&sw->packet_in);
    kv_learner_free(&sw->learner);
    kv_queue_free(&sw->outside);
    kv_queue_free(&sw->taps);
    kv_queue_free(&sw->traces);
    for (uint32_t w = 0; w < sw->worker_count; w++) {
        close(sw->workers[w].wake);
        free(sw->workers[w].out);
        free(sw->workers[w].blocks);
        free(sw->workers[w].large);
        free(sw->workers[w].captured);
        free(sw->workers[w].ctx.phv);
    }
    free(sw->workers);
    free(sw->ports);
    free(sw->outside_ports);
    free(sw->multicast);
    free(sw->clones);
    free(sw->garbage.items);
    free(sw);
}

static void **array_of(struct kv_pipeline *pipeline, uint32_t kind, uint32_t number)
{
    switch (kind) {
    case KV_KEPT_REGISTER:
        return &pipeline->registers[number];
    case KV_KEPT_COUNTER:
        return (void **)&pipeline->counters[number];
    default:
        return (void **)&pipeline->meters[number];
    }
}

/* The new pipeline goes on with the old one's cells, which are as many and as wide. */
static void swap_arrays(struct kv_pipeline *old, struct kv_pipeline *pipeline, const struct kv_kept_array *kept)
{
    void **from = array_of(old, kept->kind, kept->from), **to = array_of(pipeline, kept->kind, kept->to);
    void *cells = *from;
    *from = *to;
    *to = cells;
}


/* Puts `pipeline` in place of the present one, which is freed. */
int kv_switch_commit(struct kv_switch *sw, struct kv_pipeline *pipeline, const struct kv_kept_array *kept, uint32_t count)
{
    void *phvs[KV_MAX_WORKERS] = {NULL};
    bool complete = true;
    for (uint32_t w = 0; w < sw->worker_count; w++)
        complete = (phvs[w] = calloc(2, pipeline->program->phv_size + 64)) && complete;
    if (!complete) {
        for (uint32_t w = 0; w < sw->worker_count; w++)
            free(phvs[w]);
        return KV_OUT_OF_MEMORY;
    }
    pthread_mutex_lock(&sw->writers);
    kv_enter(sw);
    struct kv_pipeline *old = sw->pipeline;
    for (uint32_t i = 0; old && i < count; i++)
        swap_arrays(old, pipeline, &kept[i]);
    for (uint32_t w = 0; w < sw->worker_count; w++) {
        void *old_phv = sw->workers[w].ctx.phv;
        sw->workers[w].ctx.phv = phvs[w];
        sw->workers[w].ctx.hint_phv = (uint8_t *)phvs[w] + ((pipeline->program->phv_size + 64) & ~63u);
        phvs[w] = old_phv;
    }
    __atomic_store_n(&sw->active, pipeline->program->parallel ? sw->worker_count : 1, __ATOMIC_RELEASE);
    *pipeline->program->shared = sw->active > 1;
    pthread_mutex_lock(&sw->learner.lock);
    kv_learner_clear(&sw->learner);
    KV_STORE(&sw->pipeline, pipeline);
    pthread_mutex_unlock(&sw->learner.lock);
    kv_queueing_clear(&sw->queueing); /* what waits was parsed by the old one */
    kv_leave(sw);
    kv_reclaim(sw, true);
    if (old)
        kv_pipeline_free(old);
    for (uint32_t w = 0; w < sw->worker_count; w++)
        free(phvs[w]);
    kv_ports_wake(sw);
    pthread_mutex_unlock(&sw->writers);
    return KV_OK;
}

const char *kv_pipeline_check(const struct kv_program *program)
{
    return program->abi == KV_ABI ? NULL : "the pipeline was made for another version of the runtime";
}

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

/* -- replication; count 0 removes */

/* Of each replica the most preferred one whose port is up. With all of them down the first is sent, to be lost at its
 * port: egress processing does not depend on the state of ports. */
static struct kv_multicast_view *multicast_view(struct kv_switch *sw, const struct kv_multicast_group *group)
{
    struct kv_multicast_view *view = malloc(sizeof *view + group->count * sizeof *view->replicas);
    if (!view)
        return NULL;
    view->count = 0;
    for (uint32_t i = 0; i < group->count;) {
        uint32_t end = i + 1, chosen = i;
        while (end < group->count && group->written[end].backup)
            end++;
        for (uint32_t at = i; end > i + 1 && at < end; at++)
            if (kv_switch_port_up(sw, (int32_t)group->written[at].replica.port)) {
                chosen = at;
                break;
            }
        view->replicas[view->count++] = group->written[chosen].replica;
        i = end;
    }
    return view;
}

int kv_switch_multicast(struct kv_switch *sw, uint32_t id, const struct kv_backed_replica *replicas, uint32_t count)
{
    if (id == 0 || id >= KV_MULTICAST_GROUPS)
        return KV_INVALID_ARGUMENT;
    struct kv_multicast_group *group = NULL;
    pthread_mutex_lock(&sw->writers);
    if (count) {
        group = malloc(sizeof *group + count * sizeof *replicas);
        if (group) {
            group->count = count;
            memcpy(group->written, replicas, count * sizeof *replicas);
            group->current = multicast_view(sw, group);
        }
        if (!group || !group->current) {
            free(group);
            pthread_mutex_unlock(&sw->writers);
            return KV_OUT_OF_MEMORY;
        }
    }
    struct kv_multicast_group *old = sw->multicast[id];
    if (old)
        kv_retire(&sw->garbage, old->current);
    kv_retire(&sw->garbage, old);
    KV_STORE(&sw->multicast[id], group);
    kv_reclaim(sw, false);
    pthread_mutex_unlock(&sw->writers);
    return KV_OK;
}

static bool has_backups(const struct kv_multicast_group *group)
{
    for (uint32_t i = 0; group && i < group->count; i++)
        if (group->written[i].backup)
            return true;
    return false;
}

void kv_ports_changed(struct kv_switch *sw)
{
    for (unsigned i = 0; sw->pipeline && i < sw->pipeline->program->profile_count; i++)
        kv_groups_refresh(&sw->pipeline->profiles[i], &sw->garbage, kv_switch_port_up, sw);
    for (uint32_t i = 0; i < KV_MULTICAST_GROUPS; i++) {
        struct kv_multicast_view *view = has_backups(sw->multicast[i]) ? multicast_view(sw, sw->multicast[i]) : NULL;
        if (view) {
            kv_retire(&sw->garbage, sw->multicast[i]->current);
            KV_STORE(&sw->multicast[i]->current, view);
        }
    }
}

/* Until the same thread thaws it, no packet is processed and no other thread writes: what it writes meanwhile takes effect
 * at once. */
void kv_switch_freeze(struct kv_switch *sw)
{
    pthread_mutex_lock(&sw->writers);
    kv_enter(sw);
}

void kv_switch_thaw(struct kv_switch *sw)
{
    kv_leave(sw);
    pthread_mutex_unlock(&sw->writers);
}

int kv_switch_clone_session(struct kv_switch *sw, uint32_t id, const struct kv_replica *replicas, uint32_t count,
                            uint32_t truncate, uint32_t class_of_service)
{
    if (id >= KV_CLONE_SESSIONS)
        return KV_INVALID_ARGUMENT;
    struct kv_clone_session *session = count ? malloc(sizeof *session + count * sizeof *replicas) : NULL;
    if (count && !session)
        return KV_OUT_OF_MEMORY;
    if (session) {
        session->truncate = truncate;
        session->count = count;
        session->class_of_service = class_of_service;
        memcpy(session->replicas, replicas, count * sizeof *replicas);
    }
    pthread_mutex_lock(&sw->writers);
    kv_retire(&sw->garbage, sw->clones[id]);
    KV_STORE(&sw->clones[id], session);
    kv_reclaim(sw, false);
    pthread_mutex_unlock(&sw->writers);
    return KV_OK;
}

/* -- packets by hand */

static uint8_t *frame_buffer(const uint8_t *data, uint32_t length)
{
    uint8_t *buffer = malloc(KV_HEADROOM + (size_t)length + KV_TAILROOM);
    if (buffer) {
        memcpy(buffer + KV_HEADROOM, data, length);
        memset(buffer + KV_HEADROOM + length, 0, KV_TAILROOM);
    }
    return buffer;
}

/* Processes a frame as received on `port`. With `data`, what comes out is returned there as (port, length, bytes)… instead of
 * being sent. */
int kv_switch_inject(struct kv_switch *sw, uint32_t port, const uint8_t *bytes, uint32_t length, uint8_t **data,
                     uint64_t *size)
{
    struct kv_worker *worker = &sw->workers[0];
    uint8_t *buffer = frame_buffer(bytes, length);
    if (!buffer)
        return KV_OUT_OF_MEMORY;
    struct kv_frame frame = {.data = buffer + KV_HEADROOM, .start = buffer, .length = length, .port = port};
    kv_worker_enter(worker);
    kv_batch_begin(worker);
    worker->capturing = data != NULL;
    kv_process_frame(worker, &frame);
    worker->capturing = false;
    if (data) {
        *data = worker->captured;
        *size = worker->captured_size;
        worker->captured = NULL;
        worker->captured_size = worker->captured_room = 0;
    }
    kv_batch_end(worker);
    kv_worker_leave(worker);
    free(buffer);
    return KV_OK;
}

static uint64_t thread_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Processes `rounds` frames on one worker, taken in turn from `count` given ones (their `lengths` and `ports`; bytes one behind
 * the other), and counts what comes out. Returns the nanoseconds of processor time it took, 0 if there is no such worker for this
 * program. */
uint64_t kv_switch_bench(struct kv_switch *sw, uint32_t number, const uint8_t *bytes, const uint32_t *lengths,
                         const uint32_t *ports, uint32_t count, uint64_t rounds, uint64_t *emitted)
{
    uint64_t begin = thread_ns(), offset = 0;
    uint32_t at = 0;
    *emitted = 0;
    if (number >= __atomic_load_n(&sw->active, __ATOMIC_ACQUIRE))
        return 0;
    struct kv_worker *worker = &sw->workers[number];
    uint32_t longest = 0;
    for (uint32_t i = 0; i < count; i++)
        longest = lengths[i] > longest ? lengths[i] : longest;
    size_t size = (KV_HEADROOM + longest + KV_TAILROOM + 127) & ~(size_t)63;
    uint8_t *buffers = calloc(KV_BATCH, size);
    if (!buffers)
        return 0;
    for (uint64_t done = 0; done < rounds;) {
        kv_worker_enter(worker);
        kv_batch_begin(worker);
        worker->counting = true;
        struct kv_frame frames[KV_BATCH];
        unsigned batch = 0;
        for (; batch < KV_BATCH && done < rounds; batch++, done++) {
            uint8_t *buffer = buffers + batch * size;
            memcpy(buffer + KV_HEADROOM, bytes + offset, lengths[at]);
            frames[batch] = (struct kv_frame){
                .data = buffer + KV_HEADROOM, .start = buffer, .length = lengths[at], .port = ports[at]};
            offset += lengths[at];
            if (++at == count)
                at = 0, offset = 0;
        }
        kv_process_batch(worker, frames, batch);
        worker->counting = false;
        *emitted += worker->counted;
        worker->counted = 0;
        kv_batch_end(worker);
        kv_worker_leave(worker);
    }
    free(buffers);
    return thread_ns() - begin;
}

/* Waits for the next frame to the controller. 1: `data` and `length` are set (release it); 0: none; -1: closed. */
int kv_switch_next_packet_in(struct kv_switch *sw, uint32_t timeout_ms, uint8_t **data, uint32_t *length)
{
    struct kv_item item;
    int result = kv_queue_pop(&sw->packet_in, timeout_ms, &item);
    if (result == 1) {
        *data = item.data;
        *length = item.length;
    }
    return result;
}
