/* The switch besides packets on interfaces and P4Runtime: ports that Python serves, copies of frames, hashes with parameters. */
#include "switch.h"

uint64_t kv_switch_elapsed_us(const struct kv_switch *sw)
{
    return (kv_now_ns() - sw->started_ns) / 1000;
}

/* -- ports that are no interfaces */

/* Frames for port `number` wait for kv_switch_next_outside from now on; it receives through kv_switch_inject. */
int kv_switch_attach(struct kv_switch *sw, uint32_t number)
{
    if (number >= KV_MAX_PORTS || number == sw->cpu_port)
        return KV_INVALID_ARGUMENT;
    pthread_mutex_lock(&sw->writers);
    int status = sw->ports[number] || sw->outside_ports[number] ? KV_ALREADY_EXISTS : KV_OK;
    if (status == KV_OK) {
        KV_STORE(&sw->outside_ports[number], KV_OUTSIDE_UP);
        kv_ports_changed(sw);
    }
    pthread_mutex_unlock(&sw->writers);
    return status;
}

int kv_switch_detach(struct kv_switch *sw, uint32_t number)
{
    pthread_mutex_lock(&sw->writers);
    int status = number < KV_MAX_PORTS && sw->outside_ports[number] ? KV_OK : KV_NOT_FOUND;
    if (status == KV_OK) {
        KV_STORE(&sw->outside_ports[number], 0);
        kv_ports_changed(sw);
    }
    pthread_mutex_unlock(&sw->writers);
    return status;
}

/* Every number that is no port yet becomes one, but for the controller's. */
void kv_switch_attach_all(struct kv_switch *sw)
{
    pthread_mutex_lock(&sw->writers);
    for (uint32_t number = 0; number < KV_MAX_PORTS; number++)
        if (number != sw->cpu_port && !sw->ports[number] && !sw->outside_ports[number])
            KV_STORE(&sw->outside_ports[number], KV_OUTSIDE_UP);
    kv_ports_changed(sw);
    pthread_mutex_unlock(&sw->writers);
}

/* Whether selectors and multicast groups take the port for usable; packets come and go all the same. */
int kv_switch_set_outside_up(struct kv_switch *sw, uint32_t number, int up)
{
    pthread_mutex_lock(&sw->writers);
    int status = number < KV_MAX_PORTS && sw->outside_ports[number] ? KV_OK : KV_NOT_FOUND;
    if (status == KV_OK) {
        KV_STORE(&sw->outside_ports[number], up ? KV_OUTSIDE_UP : KV_OUTSIDE_DOWN);
        kv_ports_changed(sw);
    }
    pthread_mutex_unlock(&sw->writers);
    return status;
}

/* Processes a frame as received on `port`. What comes of it for ports that Python serves has its `id`. */
int kv_switch_receive(struct kv_switch *sw, uint32_t port, uint64_t id, const uint8_t *bytes, uint32_t length)
{
    struct kv_worker *worker = &sw->workers[0];
    kv_worker_enter(worker);
    worker->packet_id = id;
    int status = kv_switch_inject(sw, port, bytes, length, NULL, NULL);
    worker->packet_id = 0;
    kv_worker_leave(worker);
    return status;
}

/* Waits until no packet is held up between ingress and egress, and tells how many frames for ports that Python serves there have
 * been until then. KV_RESOURCE_EXHAUSTED if it takes longer. */
int kv_switch_settle(struct kv_switch *sw, uint32_t timeout_ms, uint64_t *pushed)
{
    bool settled = kv_queueing_settle(&sw->queueing, timeout_ms);
    pthread_mutex_lock(&sw->outside.lock);
    *pushed = sw->outside.pushed;
    pthread_mutex_unlock(&sw->outside.lock);
    return settled ? KV_OK : KV_RESOURCE_EXHAUSTED;
}

/* As kv_switch_next_packet_in; and the port that the frame is for, and the id of the packet that it comes of. */
int kv_switch_next_outside(struct kv_switch *sw, uint32_t timeout_ms, uint32_t *port, uint64_t *id, uint8_t **data,
                           uint32_t *length)
{
    struct kv_item item;
    int result = kv_queue_pop(&sw->outside, timeout_ms, &item);
    if (result == 1) {
        *port = item.tag;
        *id = item.id;
        *data = item.data;
        *length = item.length;
    }
    return result;
}

/* -- copies of all frames */

void kv_switch_tap(struct kv_switch *sw, int on)
{
    kv_enter(sw);
    sw->tapped = on;
    kv_leave(sw);
}

/* As kv_switch_next_outside, with KV_TAP_OUT in `port` of a frame that leaves. */
int kv_switch_next_tap(struct kv_switch *sw, uint32_t timeout_ms, uint32_t *port, uint8_t **data, uint32_t *length)
{
    struct kv_item item;
    int result = kv_queue_pop(&sw->taps, timeout_ms, &item);
    if (result == 1) {
        *port = item.tag;
        *data = item.data;
        *length = item.length;
    }
    return result;
}

int kv_switch_next_trace(struct kv_switch *sw, uint32_t timeout_ms, uint8_t **data, uint32_t *length)
{
    struct kv_item item;
    int result = kv_queue_pop(&sw->traces, timeout_ms, &item);
    if (result == 1) {
        *data = item.data;
        *length = item.length;
    }
    return result;
}

/* -- figures */

uint32_t kv_switch_table_entries(struct kv_switch *sw, struct kv_pipeline *p, uint32_t table)
{
    pthread_mutex_lock(&sw->writers);
    uint32_t entries = p->tables[table].live;
    pthread_mutex_unlock(&sw->writers);
    return entries;
}

void kv_switch_profile_counts(struct kv_switch *sw, struct kv_pipeline *p, uint32_t profile, uint32_t *members,
                              uint32_t *groups)
{
    pthread_mutex_lock(&sw->writers);
    *members = p->profiles[profile].member_count;
    *groups = p->profiles[profile].group_count;
    pthread_mutex_unlock(&sw->writers);
}

/* Dropped packets: by ingress, by egress, headers grown too much, copied without end, no memory, no queue of their priority, no room
 * on the way to the controller, no room on the way to a port that Python serves, no room in their queue. */
void kv_switch_drops(struct kv_switch *sw, uint64_t *drops)
{
    memset(drops, 0, 9 * sizeof *drops);
    for (uint32_t w = 0; w < sw->worker_count; w++) {
        const struct kv_ctx *ctx = &sw->workers[w].ctx;
        const uint64_t *counts[6] = {&ctx->dropped_ingress, &ctx->dropped_egress,    &ctx->dropped_headroom,
                                     &ctx->dropped_loop,    &ctx->dropped_exhausted, &ctx->dropped_priority};
        for (unsigned i = 0; i < 6; i++)
            drops[i] += __atomic_load_n(counts[i], __ATOMIC_RELAXED);
    }
    const struct kv_queue *queues[2] = {&sw->packet_in, &sw->outside};
    for (unsigned i = 0; i < 2; i++)
        drops[6 + i] = __atomic_load_n(&queues[i]->dropped, __ATOMIC_RELAXED);
    drops[8] = kv_queueing_dropped(&sw->queueing);
}

/* -- hashes with parameters; the caller has checked the number and its kind */

void kv_switch_set_crc(struct kv_switch *sw, struct kv_pipeline *p, uint32_t hash, uint64_t polynomial, uint64_t initial,
                       uint64_t final_xor, int reflect_data, int reflect_remainder)
{
    pthread_mutex_lock(&sw->writers);
    kv_enter(sw);
    kv_hash_configure_crc(&p->hashes[hash], polynomial, initial, final_xor, reflect_data, reflect_remainder);
    kv_leave(sw);
    pthread_mutex_unlock(&sw->writers);
}

/* `key`: big-endian words, 1 to KV_TOEPLITZ_WORDS of them. */
int kv_switch_set_toeplitz(struct kv_switch *sw, struct kv_pipeline *p, uint32_t hash, const uint8_t *key, uint32_t words)
{
    if (words == 0 || words > KV_TOEPLITZ_WORDS)
        return KV_INVALID_ARGUMENT;
    pthread_mutex_lock(&sw->writers);
    kv_enter(sw);
    for (uint32_t i = 0; i < words; i++)
        p->hashes[hash].key[i] = (uint32_t)key[4 * i] << 24 | (uint32_t)key[4 * i + 1] << 16 |
                                 (uint32_t)key[4 * i + 2] << 8 | key[4 * i + 3];
    p->hashes[hash].key_words = words;
    kv_leave(sw);
    pthread_mutex_unlock(&sw->writers);
    return KV_OK;
}
