/* Frames on their way to Python: bounded queues of copies. */
#include "switch.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

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

void kv_queue_close(struct kv_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->closed = true;
    pthread_cond_broadcast(&queue->filled);
    pthread_mutex_unlock(&queue->lock);
}
