/* Queues between ingress and egress, as simple_switch has them: each port has one a priority, with a depth in packets and a rate in
 * packets a second.
 *
 * When a packet comes, its time to leave is fixed: at once, or an interval after the one before it. What has to wait is copied, headers
 * and bytes, and goes through the egress on a thread of its own: of all packets whose time has come, those of the highest priority
 * first. A packet that need not wait goes straight on. As long as nothing was configured there is neither thread nor queue.
 */
#include "queueing.h"

#include <stdlib.h>
#include <time.h>

#include "packet.h"
#include "switch.h"

#define DEFAULT_DEPTH 64u

struct kv_held {
    uint64_t leaves_ns, order;
    uint32_t port;
    uint64_t packet_id;
    struct kv_waited waited;
    struct kv_packet packet;
};

static bool before(const struct kv_held *a, const struct kv_held *b)
{
    return a->leaves_ns != b->leaves_ns ? a->leaves_ns < b->leaves_ns : a->order < b->order;
}

/* -- heaps */

static bool heap_push(struct kv_held_heap *heap, struct kv_held *held)
{
    if (heap->count == heap->room) {
        uint32_t room = heap->room ? heap->room * 2 : 64;
        struct kv_held **items = realloc(heap->items, room * sizeof *items);
        if (!items)
            return false;
        heap->items = items;
        heap->room = room;
    }
    uint32_t at = heap->count++;
    for (; at && before(held, heap->items[(at - 1) / 2]); at = (at - 1) / 2)
        heap->items[at] = heap->items[(at - 1) / 2];
    heap->items[at] = held;
    return true;
}

static struct kv_held *heap_pop(struct kv_held_heap *heap)
{
    struct kv_held *first = heap->items[0], *last = heap->items[--heap->count];
    uint32_t at = 0;
    for (uint32_t child; (child = 2 * at + 1) < heap->count; at = child) {
        if (child + 1 < heap->count && before(heap->items[child + 1], heap->items[child]))
            child++;
        if (!before(heap->items[child], last))
            break;
        heap->items[at] = heap->items[child];
    }
    heap->items[at] = last;
    return first;
}

/* -- packets come */

static struct kv_egress_queue *queue_of(struct kv_queueing *queueing, uint32_t port, uint32_t number)
{
    struct kv_egress_queue *queues = queueing->ports[port];
    if (!queues) {
        queues = queueing->ports[port] = calloc(queueing->queue_count, sizeof *queues);
        for (uint32_t i = 0; queues && i < queueing->queue_count; i++) {
            queues[i].depth = queueing->default_depth;
            queues[i].interval_ns = queueing->default_interval_ns;
        }
    }
    return queues ? &queues[number] : NULL;
}

/* A copy with headers and bytes of its own, in one piece. */
static struct kv_held *hold(const struct kv_packet *packet, uint32_t phv_size)
{
    size_t phv_at = (sizeof(struct kv_held) + 63) & ~(size_t)63, bytes_at = (phv_at + phv_size + 63) & ~(size_t)63;
    size_t size = (bytes_at + KV_HEADROOM + (size_t)packet->length + KV_TAILROOM + 63) & ~(size_t)63;
    struct kv_held *held = aligned_alloc(64, size);
    if (!held)
        return NULL;
    uint8_t *buffer = (uint8_t *)held + bytes_at;
    held->packet = *packet;
    held->packet.phv = (struct phv *)((uint8_t *)held + phv_at);
    held->packet.start = buffer;
    held->packet.data = held->packet.frame = buffer + KV_HEADROOM;
    held->packet.frame_length = packet->length;
    memcpy(held->packet.phv, packet->phv, phv_size);
    memcpy(buffer + KV_HEADROOM, packet->data, packet->length);
    memset(buffer + KV_HEADROOM + packet->length, 0, KV_TAILROOM);
    return held;
}

static bool enqueue(struct kv_ctx *ctx, const struct kv_packet *packet, uint32_t port, struct kv_waited *waited)
{
    struct kv_worker *worker = ctx->owner;
    struct kv_queueing *queueing = &worker->sw->queueing;
    if (port >= KV_MAX_PORTS || worker->capturing || worker->counting)
        return true; /* it will not be sent to a wire */
    pthread_mutex_lock(&queueing->lock);
    struct kv_egress_queue *queue = queue_of(queueing, port, waited->queue);
    uint64_t now = kv_now_ns();
    uint64_t leaves = queue && queue->last_ns + queue->interval_ns > now ? queue->last_ns + queue->interval_ns : now;
    bool straight = false, full = queue && queue->size >= queue->depth;
    if (queue)
        waited->enqueued_depth = queue->size;
    if (queue && !full && leaves == now && queue->size == 0) {
        queue->last_ns = now;
        straight = true;
    } else if (queue && !full) {
        struct kv_held *held = hold(packet, ctx->pipeline->program->phv_size);
        if (held) {
            waited->enqueued_us = (now - worker->sw->started_ns) / 1000;
            held->leaves_ns = leaves;
            held->order = queueing->order++;
            held->port = port;
            held->packet_id = worker->packet_id;
            held->waited = *waited;
        }
        if (held && heap_push(&queueing->waiting[waited->queue], held)) {
            queue->last_ns = leaves;
            queue->size++;
            queueing->held++;
            if (queueing->waiting[waited->queue].items[0] == held)
                pthread_cond_signal(&queueing->changed);
        } else {
            free(held);
            queueing->dropped++;
        }
    } else {
        queueing->dropped++;
    }
    pthread_mutex_unlock(&queueing->lock);
    return straight;
}

/* -- packets leave */

/* The next packet whose time has come, or NULL and the time of the one that comes next (UINT64_MAX: none). */
static struct kv_held *due(struct kv_queueing *queueing, uint64_t now, uint64_t *next)
{
    *next = UINT64_MAX;
    for (uint32_t priority = queueing->queue_count; priority-- > 0;) {
        struct kv_held_heap *heap = &queueing->waiting[priority];
        if (!heap->count)
            continue;
        if (heap->items[0]->leaves_ns <= now)
            return heap_pop(heap);
        if (heap->items[0]->leaves_ns < *next)
            *next = heap->items[0]->leaves_ns;
    }
    return NULL;
}

/* The caller holds the lock. */
static void gone(struct kv_queueing *queueing, unsigned count)
{
    queueing->held -= count;
    if (queueing->held == 0)
        pthread_cond_broadcast(&queueing->settled);
}

/* Puts up to a batch of packets through the egress; when the next one is due. */
static uint64_t serve(struct kv_switch *sw)
{
    struct kv_queueing *queueing = &sw->queueing;
    struct kv_worker *worker = &sw->workers[0];
    struct kv_held *batch[KV_BATCH];
    unsigned count = 0;
    uint64_t next = 0;
    kv_worker_enter(worker);
    kv_batch_begin(worker);
    pthread_mutex_lock(&queueing->lock);
    for (struct kv_held *held; count < KV_BATCH && (held = due(queueing, kv_now_ns(), &next)); batch[count++] = held) {
        struct kv_egress_queue *queue = queue_of(queueing, held->port, held->waited.queue);
        held->waited.dequeued_depth = --queue->size;
    }
    pthread_mutex_unlock(&queueing->lock);
    for (unsigned i = 0; i < count; i++) {
        worker->packet_id = batch[i]->packet_id;
        worker->ctx.pipeline->program->egress(&worker->ctx, &batch[i]->packet, batch[i]->port, &batch[i]->waited);
    }
    worker->packet_id = 0;
    kv_batch_end(worker);
    pthread_mutex_lock(&queueing->lock);
    gone(queueing, count);
    pthread_mutex_unlock(&queueing->lock);
    kv_worker_leave(worker);
    for (unsigned i = 0; i < count; i++)
        free(batch[i]);
    return count == KV_BATCH ? 0 : next;
}

static void *run(void *arg)
{
    struct kv_switch *sw = arg;
    struct kv_queueing *queueing = &sw->queueing;
    pthread_mutex_lock(&queueing->lock);
    while (!queueing->stopping) {
        uint64_t next = UINT64_MAX;
        for (uint32_t priority = 0; priority < queueing->queue_count; priority++) {
            const struct kv_held_heap *heap = &queueing->waiting[priority];
            if (heap->count && heap->items[0]->leaves_ns < next)
                next = heap->items[0]->leaves_ns;
        }
        if (next == UINT64_MAX) {
            pthread_cond_wait(&queueing->changed, &queueing->lock);
        } else if (next > kv_now_ns()) {
            struct timespec until = {.tv_sec = (time_t)(next / 1000000000u), .tv_nsec = (long)(next % 1000000000u)};
            pthread_cond_timedwait(&queueing->changed, &queueing->lock, &until);
        } else {
            pthread_mutex_unlock(&queueing->lock);
            serve(sw);
            pthread_mutex_lock(&queueing->lock);
        }
    }
    pthread_mutex_unlock(&queueing->lock);
    return NULL;
}

/* -- life */

void kv_queueing_init(struct kv_queueing *queueing)
{
    queueing->queue_count = 1;
    queueing->default_depth = DEFAULT_DEPTH;
    pthread_mutex_init(&queueing->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&queueing->changed, &attr);
    pthread_cond_init(&queueing->settled, &attr);
    pthread_condattr_destroy(&attr);
}

void kv_queueing_clear(struct kv_queueing *queueing)
{
    pthread_mutex_lock(&queueing->lock);
    for (uint32_t priority = 0; priority < KV_MAX_QUEUES; priority++) {
        struct kv_held_heap *heap = &queueing->waiting[priority];
        while (heap->count) {
            struct kv_held *held = heap->items[--heap->count];
            queue_of(queueing, held->port, held->waited.queue)->size--;
            queueing->dropped++;
            gone(queueing, 1);
            free(held);
        }
    }
    pthread_mutex_unlock(&queueing->lock);
}

bool kv_queueing_settle(struct kv_queueing *queueing, uint32_t timeout_ms)
{
    uint64_t end = kv_now_ns() + timeout_ms * 1000000ull;
    struct timespec until = {.tv_sec = (time_t)(end / 1000000000u), .tv_nsec = (long)(end % 1000000000u)};
    pthread_mutex_lock(&queueing->lock);
    while (queueing->held && pthread_cond_timedwait(&queueing->settled, &queueing->lock, &until) == 0)
        ;
    bool settled = queueing->held == 0;
    pthread_mutex_unlock(&queueing->lock);
    return settled;
}

/* Ends the thread; what still waits is dropped. */
void kv_queueing_stop(struct kv_queueing *queueing)
{
    pthread_mutex_lock(&queueing->lock);
    bool running = queueing->running;
    queueing->running = false;
    queueing->stopping = true;
    pthread_cond_signal(&queueing->changed);
    pthread_mutex_unlock(&queueing->lock);
    if (running)
        pthread_join(queueing->thread, NULL);
}

void kv_queueing_free(struct kv_queueing *queueing)
{
    kv_queueing_clear(queueing);
    for (uint32_t priority = 0; priority < KV_MAX_QUEUES; priority++)
        free(queueing->waiting[priority].items);
    for (uint32_t port = 0; queueing->ports && port < KV_MAX_PORTS; port++)
        free(queueing->ports[port]);
    free(queueing->ports);
    pthread_cond_destroy(&queueing->changed);
    pthread_cond_destroy(&queueing->settled);
    pthread_mutex_destroy(&queueing->lock);
}

uint64_t kv_queueing_dropped(struct kv_queueing *queueing)
{
    pthread_mutex_lock(&queueing->lock);
    uint64_t dropped = queueing->dropped;
    pthread_mutex_unlock(&queueing->lock);
    return dropped;
}

/* -- from Python */

/* How many queues a port has, 1 to KV_MAX_QUEUES; before anything else is asked of them. */
void kv_switch_queues(struct kv_switch *sw, uint32_t count)
{
    kv_enter(sw);
    sw->queueing.queue_count = count;
    for (uint32_t w = 0; w < sw->worker_count; w++)
        sw->workers[w].ctx.queue_count = count;
    kv_leave(sw);
}

/* From now on packets go by way of the queues. The caller holds `writers`. */
static int start(struct kv_switch *sw)
{
    struct kv_queueing *queueing = &sw->queueing;
    if (queueing->running)
        return KV_OK;
    if (!queueing->ports && !(queueing->ports = calloc(KV_MAX_PORTS, sizeof *queueing->ports)))
        return KV_OUT_OF_MEMORY;
    if (pthread_create(&queueing->thread, NULL, run, sw))
        return KV_OUT_OF_MEMORY;
    queueing->running = true;
    kv_enter(sw);
    for (uint32_t w = 0; w < sw->worker_count; w++)
        sw->workers[w].ctx.enqueue = enqueue;
    kv_leave(sw);
    return KV_OK;
}

/* Sets depth (packets) or rate (packets a second, 0: no limit) of queues: of one port and priority, or with -1 of all. */
int kv_switch_set_queue(struct kv_switch *sw, int32_t port, int32_t priority, int is_rate, uint64_t value)
{
    struct kv_queueing *queueing = &sw->queueing;
    if (port >= (int32_t)KV_MAX_PORTS || priority >= (int32_t)queueing->queue_count)
        return KV_INVALID_ARGUMENT;
    pthread_mutex_lock(&sw->writers);
    int status = start(sw);
    uint64_t interval_ns = is_rate && value ? 1000000000u / value : 0;
    uint32_t depth = value < UINT32_MAX ? (uint32_t)value : UINT32_MAX;
    pthread_mutex_lock(&queueing->lock);
    if (status == KV_OK && port < 0) {
        if (is_rate)
            queueing->default_interval_ns = interval_ns;
        else
            queueing->default_depth = depth;
    }
    for (uint32_t i = port < 0 ? 0 : (uint32_t)port; status == KV_OK && i < KV_MAX_PORTS; i++) {
        if (port >= 0 ? i != (uint32_t)port : !queueing->ports[i])
            continue;
        for (uint32_t q = 0; q < queueing->queue_count; q++) {
            struct kv_egress_queue *queue = queue_of(queueing, i, q);
            if (!queue) {
                status = KV_OUT_OF_MEMORY;
                break;
            }
            if (priority >= 0 && q != (uint32_t)priority)
                continue;
            if (is_rate)
                queue->interval_ns = interval_ns;
            else
                queue->depth = depth;
        }
    }
    pthread_mutex_unlock(&queueing->lock);
    pthread_mutex_unlock(&sw->writers);
    return status;
}
