/* The switch: what surrounds a pipeline; its life, turns, batches. Functions that Python calls are all named kv_switch_… or kv_pipeline_…. */
#include "switch.h"

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
    kv_queue_close(&sw->packet_in);
    kv_learner_close(&sw->learner);
    kv_queue_close(&sw->outside);
    kv_queue_close(&sw->taps);
    kv_queue_close(&sw->traces);
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
