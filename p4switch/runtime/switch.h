/* A running switch: its pipeline, ports, packet threads and queues to the controller. */
#ifndef KV_SWITCH_H
#define KV_SWITCH_H

#include <net/if.h>
#include <pthread.h>

#include "control.h"
#include "link.h"
#include "queueing.h"

#define KV_MAX_WORKERS 64u
#define KV_MULTICAST_GROUPS 65536u
#define KV_CLONE_SESSIONS 32769u

struct kv_port_stats {
    uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes, rx_dropped, tx_dropped;
};

struct kv_port {
    uint32_t number;
    char name[IFNAMSIZ];
    bool up;
    bool open; /* all links are there */
    struct kv_worker_port {
        struct kv_link *link; /* NULL: the interface is gone */
        struct kv_port_stats stats;
    } at[]; /* by worker */
};

/* Frames on their way to Python: a bounded ring of copies. */
struct kv_queue {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    struct kv_item {
        uint32_t tag, length;
        uint64_t id; /* of the packet that it comes of, 0 if that has none */
        uint8_t *data;
    } * items;
    uint32_t first, count, room;
    uint64_t pushed, dropped;
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

/* A packet thread and all that it alone touches. */
struct kv_worker {
    struct kv_ctx ctx;
    struct kv_switch *sw;
    uint32_t number;
    pthread_mutex_t packets; /* held while a batch is processed: taking it once outlives its reader; recursive */
    uint32_t waiting;        /* threads that want `packets`; the packet thread lets them in */
    pthread_t thread;
    int wake; /* eventfd */

    struct kv_outgoing *out;
    uint32_t out_count, out_room;
    void **blocks; /* memory of the batch */
    uint32_t block_count, block_room;
    uint8_t *large; /* KV_BATCH buffers for frames that fit into no ring */

    /* inject */
    uint8_t *captured;
    size_t captured_size, captured_room;
    bool capturing, counting;
    uint64_t counted;
    uint64_t packet_id; /* of the packet at hand and all that comes of it; 0: it has none */
};

struct kv_switch {
    pthread_mutex_t writers; /* serialises control; recursive, for kv_switch_freeze */
    struct kv_pipeline *pipeline;
    struct kv_garbage garbage;
    uint32_t cpu_port, drop_port;
    uint64_t started_ns;

    /* Every port has a link for each worker. The first `active` workers share out all links; the others sleep. */
    struct kv_worker *workers;
    uint32_t worker_count, active;
    struct kv_port **ports; /* by number */
    struct kv_port *attached[1024];
    uint32_t attached_count;
    bool running;

    struct kv_multicast_group **multicast;
    struct kv_clone_session **clones;

    struct kv_queueing queueing;
    struct kv_queue packet_in;
    struct kv_learner learner;
    struct kv_queue outside;  /* frames for ports that are no interfaces: files and sockets, which Python serves */
    struct kv_queue taps;     /* copies of frames that come and go, while `tapped` */
    bool tapped;
    struct kv_queue traces;   /* records of what happened to packets (trace.h) */
    uint8_t *outside_ports;   /* by number: such a port is there (KV_OUTSIDE_UP, _DOWN), or 0 */
    void (*log)(const char *);
};

uint64_t kv_now_ns(void);
uint64_t kv_switch_now_us(const struct kv_switch *sw);
/* Keeps packets out, of one worker or of all; for threads other than the packet threads. */
void kv_worker_enter(struct kv_worker *worker);
void kv_worker_leave(struct kv_worker *worker);
void kv_enter(struct kv_switch *sw);
void kv_leave(struct kv_switch *sw);
void kv_reclaim(struct kv_switch *sw, bool all);
enum { KV_OUTSIDE_UP = 1, KV_OUTSIDE_DOWN = 2 };
#define KV_TAP_OUT 0x80000000u /* in a tap's tag: the frame leaves */

void kv_batch_begin(struct kv_worker *worker);
void kv_batch_end(struct kv_worker *worker);
void kv_process_frame(struct kv_worker *worker, struct kv_frame *frame);
void kv_process_batch(struct kv_worker *worker, struct kv_frame *frames, unsigned count);

int kv_modify_entry(struct kv_switch *sw, struct kv_pipeline *p, uint32_t table, const uint8_t *value,
                    const uint8_t *mask, int32_t priority, const struct kv_target *target); /* holding `writers` */

int kv_switch_inject(struct kv_switch *sw, uint32_t port, const uint8_t *bytes, uint32_t length, uint8_t **data,
                     uint64_t *size);

/* ports.c */
int kv_ports_start(struct kv_switch *sw);
void kv_ports_stop(struct kv_switch *sw);
void kv_ports_wake(struct kv_switch *sw);
void kv_send_batch(struct kv_worker *worker);
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
/* Those who wait are woken. */
void kv_queue_close(struct kv_queue *queue);
int kv_queue_pop(struct kv_queue *queue, uint32_t timeout_ms, struct kv_item *item);
void kv_queue_push(struct kv_queue *queue, uint32_t tag, uint64_t id, const uint8_t *data, uint32_t length);

#endif
