/* Packets by hand: one at a time, many for a measurement, and those for the controller. */
#include "switch.h"

#include <stdlib.h>
#include <time.h>

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
