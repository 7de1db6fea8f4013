/* The switch besides packets on interfaces and P4Runtime: ports that Python serves, copies of frames, hashes with parameters. */
#include "switch.h"

uint64_t kv_switch_elapsed_us(const struct kv_switch *sw)
{
    return (kv_now_ns() - sw->started_ns) / 1000;
}

/* -- ports that are no interfaces */

static void outside_changed(struct kv_switch *sw)
{
    if (sw->pipeline)
        for (unsigned i = 0; i < sw->pipeline->program->profile_count; i++)
            kv_groups_refresh(&sw->pipeline->profiles[i], &sw->garbage, kv_switch_port_up, sw);
}

/* Frames for port `number` wait for kv_switch_next_outside from now on; it receives through kv_switch_inject. */
int kv_switch_attach(struct kv_switch *sw, uint32_t number)
{
    if (number >= KV_MAX_PORTS || number == sw->cpu_port)
        return KV_INVALID_ARGUMENT;
    pthread_mutex_lock(&sw->writers);
    int status = sw->ports[number] || sw->outside_ports[number] ? KV_ALREADY_EXISTS : KV_OK;
    if (status == KV_OK) {
        KV_STORE(&sw->outside_ports[number], 1);
        outside_changed(sw);
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
        outside_changed(sw);
    }
    pthread_mutex_unlock(&sw->writers);
    return status;
}

/* As kv_switch_next_packet_in; and the port that the frame is for. */
int kv_switch_next_outside(struct kv_switch *sw, uint32_t timeout_ms, uint32_t *port, uint8_t **data, uint32_t *length)
{
    struct kv_item item;
    int result = kv_queue_pop(&sw->outside, timeout_ms, &item);
    if (result == 1) {
        *port = item.tag;
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
