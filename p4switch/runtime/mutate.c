/* Mutated packets in bulk, for the tests that run under the sanitizers. */
#include <stdlib.h>

#include "random.h"
#include "switch.h"

#define LONGEST 9018u

/* A copy of a seed that was changed in up to eight places, cut or lengthened; the buffer is no larger than a port would make it, so that
 * the sanitizer sees each byte that is touched beyond. */
static uint8_t *mutated(struct kv_ctx *ctx, const uint8_t *seed, uint32_t seed_length, uint32_t *length)
{
    *length = seed_length;
    switch (kv_random(ctx, 0, 7)) {
    case 0:
        *length = (uint32_t)kv_random(ctx, 0, seed_length);
        break;
    case 1:
        *length = (uint32_t)kv_random(ctx, seed_length, seed_length + 64);
        break;
    case 2:
        if (kv_random(ctx, 0, 63) == 0)
            *length = (uint32_t)kv_random(ctx, 0, LONGEST);
        break;
    default:
        break;
    }
    uint8_t *buffer = malloc(KV_HEADROOM + *length + KV_TAILROOM);
    if (!buffer)
        return NULL;
    memset(buffer, 0, KV_HEADROOM + *length + KV_TAILROOM);
    uint8_t *data = buffer + KV_HEADROOM;
    memcpy(data, seed, *length < seed_length ? *length : seed_length);
    for (uint32_t at = seed_length; at < *length; at++)
        data[at] = (uint8_t)kv_random(ctx, 0, 255);
    for (uint64_t changes = *length ? kv_random(ctx, 0, 8) : 0; changes > 0; changes--) {
        uint8_t *byte = &data[kv_random(ctx, 0, *length - 1)];
        *byte = kv_random(ctx, 0, 1) ? (uint8_t)kv_random(ctx, 0, 255) : *byte ^ (uint8_t)(1u << kv_random(ctx, 0, 7));
    }
    return buffer;
}

/* Processes `rounds` mutations of `count` frames (their `lengths`; bytes one behind the other) on random ports; returns how many frames
 * came out. The same `seed` makes the same frames. */
uint64_t kv_switch_mutate(struct kv_switch *sw, const uint8_t *bytes, const uint32_t *lengths, uint32_t count,
                          uint64_t rounds, uint64_t seed)
{
    struct kv_worker *worker = &sw->workers[0];
    struct kv_ctx dice = {.random = seed};
    uint64_t emitted = 0;
    for (uint64_t done = 0; done < rounds;) {
        uint8_t *buffers[KV_BATCH];
        struct kv_frame frames[KV_BATCH];
        unsigned batch = 0;
        kv_worker_enter(worker);
        kv_batch_begin(worker);
        for (; batch < KV_BATCH && done < rounds; batch++, done++) {
            const uint8_t *at = bytes;
            uint32_t chosen = (uint32_t)kv_random(&dice, 0, count - 1), length;
            for (uint32_t i = 0; i < chosen; i++)
                at += lengths[i];
            uint8_t *buffer = buffers[batch] = mutated(&dice, at, lengths[chosen], &length);
            if (!buffer)
                break;
            frames[batch] = (struct kv_frame){.data = buffer + KV_HEADROOM,
                                              .start = buffer,
                                              .length = length,
                                              .port = (uint32_t)kv_random(&dice, 0, 511)};
        }
        worker->counting = true;
        kv_process_batch(worker, frames, batch);
        worker->counting = false;
        emitted += worker->counted;
        worker->counted = 0;
        kv_batch_end(worker);
        kv_worker_leave(worker);
        for (unsigned i = 0; i < batch; i++)
            free(buffers[i]);
        if (batch == 0)
            break;
    }
    return emitted;
}
