/* The queues between ingress and egress (queueing.c). A switch of which nobody asked for rates or depths has none. */
#ifndef KV_QUEUEING_H
#define KV_QUEUEING_H

#include <pthread.h>

#include "kulvert.h"

#define KV_MAX_QUEUES 32u

struct kv_switch;

/* A queue holds up to `depth` packets and lets one go each `interval_ns`. */
struct kv_egress_queue {
    uint32_t depth, size;
    uint64_t interval_ns;
    uint64_t last_ns; /* when the last packet that came leaves, or has left */
};

/* Packets of one priority that wait, of all ports: a heap, the next to leave first. */
struct kv_held_heap {
    struct kv_held **items;
    uint32_t count, room;
};

struct kv_queueing {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_cond_t settled; /* nothing is held */
    pthread_t thread;
    bool running, stopping;
    uint32_t default_depth;
    uint64_t default_interval_ns;
    uint32_t queue_count;           /* of each port */
    struct kv_egress_queue **ports; /* by number: `queue_count` queues, or NULL while none was asked for */
    struct kv_held_heap waiting[KV_MAX_QUEUES]; /* by priority */
    uint64_t order;
    uint64_t held; /* packets that wait, or that the thread is putting through the egress */
    uint64_t dropped;
};

void kv_queueing_init(struct kv_queueing *queueing);
/* Drops what waits. */
void kv_queueing_clear(struct kv_queueing *queueing);
/* Waits until nothing is held; false if that takes longer. */
bool kv_queueing_settle(struct kv_queueing *queueing, uint32_t timeout_ms);
void kv_queueing_stop(struct kv_queueing *queueing);
void kv_queueing_free(struct kv_queueing *queueing);
uint64_t kv_queueing_dropped(struct kv_queueing *queueing);

#endif
