/* A running switch: its pipeline, ports, packet thread and queues to the controller. */
#ifndef KV_SWITCH_H
#define KV_SWITCH_H

#include <net/if.h>
#include <pthread.h>

#include "control.h"

#define KV_BATCH 64
#define KV_MULTICAST_GROUPS 65536u
#define KV_CLONE_SESSIONS 32769u

struct kv_port_stats {
    uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes, rx_dropped, tx_dropped;
};

struct kv_port {
    uint32_t number;
    char name[IFNAMSIZ];
    int fd; /* -1: the interface is gone */
    unsigned ifindex;
    bool up;
    struct kv_port_stats stats;
};

/* One frame for a port, waiting for the end of the batch. */
struct kv_outgoing {
    uint32_t port;
    uint32_t length;
    uint8_t *data;
    struct kv_offload offload;
};

/* Frames on their way to Python: a bounded ring of copies. */
struct kv_queue {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    struct kv_item {
        uint32_t tag, length;
        uint8_t *data;
    } * items;
    uint32_t first, count, room;
    uint64_t dropped;
    bool closed;
};

/* Lists of digests on their way to Python (learn.c). The lock also guards `pipeline->learns`. */
struct kv_learner {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct kv_digest_list *ready, **last;
    uint32_t ready_count;
    uint64_t dropped;
    bool closed;
};

/* A multicast group as it was written: after each replica those that stand in for it, the most preferred one first. */
struct kv_multicast_group {
    struct kv_multicast_view *current;
    uint32_t count;
    struct kv_backed_replica {
        struct kv_replica replica;
        uint32_t backup; /* 0: a replica of its own, else the rank among the stand-ins of the one before */
    } written[];
};

struct kv_switch {
    pthread_mutex_t writers; /* serialises control; recursive, for kv_switch_freeze */
    pthread_mutex_t packets; /* held while a batch is processed: taking it once outlives every reader; recursive */
    uint32_t waiting;        /* threads that want `packets`; the packet thread lets them in */
    struct kv_pipeline *pipeline;
    struct kv_garbage garbage;
    struct kv_ctx ctx;
    uint64_t started_ns;

    struct kv_port **ports; /* by number */
    struct kv_port *attached[1024];
    uint32_t attached_count;
    pthread_t thread;
    bool running;
    int wake; /* eventfd */

    struct kv_multicast_group **multicast;
    struct kv_clone_session **clones;

    struct kv_queue packet_in;
    struct kv_learner learner;
    struct kv_queue outside;  /* frames for ports that are no interfaces: files and sockets, which Python serves */
    struct kv_queue taps;     /* copies of frames that come and go, while `tapped` */
    bool tapped;
    uint8_t *outside_ports;   /* by number: such a port is there */
    struct kv_outgoing *out;
    uint32_t out_count, out_room;
    void **blocks; /* memory of the batch */
    uint32_t block_count, block_room;
    uint8_t *buffers; /* KV_BATCH receive buffers */

    /* inject */
    uint8_t *captured;
    size_t captured_size, captured_room;
    bool capturing, counting;
    uint64_t counted;
    void (*log)(const char *);
};

uint64_t kv_now_ns(void);
uint64_t kv_switch_now_us(const struct kv_switch *sw);
void kv_enter(struct kv_switch *sw); /* locks `packets` for a thread other than the packet thread */
void kv_leave(struct kv_switch *sw);
void kv_reclaim(struct kv_switch *sw, bool all);
#define KV_TAP_OUT 0x80000000u /* in a tap's tag: the frame leaves */

void kv_batch_begin(struct kv_switch *sw);
void kv_batch_end(struct kv_switch *sw);
void kv_process_frame(struct kv_switch *sw, struct kv_frame *frame);

int kv_modify_entry(struct kv_switch *sw, struct kv_pipeline *p, uint32_t table, const uint8_t *value,
                    const uint8_t *mask, int32_t priority, const struct kv_target *target); /* holding `writers` */

/* ports.c */
int kv_ports_start(struct kv_switch *sw);
void kv_ports_stop(struct kv_switch *sw);
void kv_send_batch(struct kv_switch *sw);
bool kv_switch_port_up(void *sw, int32_t port);

/* learn.c */
int kv_learner_init(struct kv_learner *learner);
void kv_learner_clear(struct kv_learner *learner);
void kv_learner_close(struct kv_learner *learner);
void kv_learner_free(struct kv_learner *learner);
void kv_learn_sample(struct kv_learner *learner, struct kv_pipeline *pipeline, uint32_t index, const uint8_t *bytes);

void kv_ports_changed(struct kv_switch *sw); /* a port came, went, or is up or down now; the caller holds `writers` */

int kv_queue_init(struct kv_queue *queue, uint32_t room);
void kv_queue_free(struct kv_queue *queue);
int kv_queue_pop(struct kv_queue *queue, uint32_t timeout_ms, struct kv_item *item);
void kv_queue_push(struct kv_queue *queue, uint32_t tag, const uint8_t *data, uint32_t length);

#endif
