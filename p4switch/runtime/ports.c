/* Ports on Linux interfaces, and the threads that carry frames from port to port. */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "switch.h"

#define TICK_MS 200

/* -- a port */

/* Bytes of a port's ring: the first few ports can take a burst of some milliseconds, and many ports do not take all memory. */
static uint32_t ring_memory(const struct kv_switch *sw)
{
    uint32_t memory = sw->attached_count < 8 ? 4u << 20 : sw->attached_count < 32 ? 2u << 20 : 1u << 19;
    return sw->worker_count > 1 && memory > 1u << 20 ? memory / 2 : memory;
}

static void port_close(const struct kv_switch *sw, struct kv_port *port)
{
    for (uint32_t w = 0; w < sw->worker_count; w++) {
        kv_link_close(port->at[w].link);
        port->at[w].link = NULL;
    }
    port->open = false;
}

/* Opens a link for each worker; 0 or errno. */
static int port_open(const struct kv_switch *sw, struct kv_port *port)
{
    int fanout = sw->worker_count > 1 ? KV_FANOUT_NEW : KV_FANOUT_NONE;
    for (uint32_t w = 0; w < sw->worker_count; w++) {
        port->at[w].link = kv_link_open(port->name, fanout, ring_memory(sw));
        if (port->at[w].link && fanout == KV_FANOUT_NEW)
            fanout = kv_link_fanout(port->at[w].link);
        if (!port->at[w].link || (fanout == KV_FANOUT_NONE && sw->worker_count > 1)) {
            int error = errno ? errno : ENODEV;
            port_close(sw, port);
            return error;
        }
    }
    for (uint32_t w = 0; w < sw->worker_count; w++)
        if (kv_link_begin(port->at[w].link)) {
            int error = errno;
            port_close(sw, port);
            return error;
        }
    port->open = true;
    return 0;
}

static bool interface_running(const struct kv_port *port)
{
    struct ifreq request = {0};
    memcpy(request.ifr_name, port->name, IFNAMSIZ);
    return port->open && ioctl(port->at[0].link->out, SIOCGIFFLAGS, &request) == 0 &&
           (request.ifr_flags & (IFF_UP | IFF_RUNNING)) == (IFF_UP | IFF_RUNNING);
}

/* -- batches */

/* One batch from one link; the number of frames that were there. */
static unsigned receive_batch(struct kv_worker *worker, struct kv_port *port, struct kv_worker_port *at)
{
    struct kv_frame frames[KV_BATCH];
    unsigned count = kv_link_receive(at->link, frames, worker->large, &at->stats.rx_dropped);
    unsigned seen = at->link->held;
    if (seen == 0)
        return 0;
    kv_batch_begin(worker);
    for (unsigned i = 0; i < count; i++) {
        frames[i].port = port->number;
        at->stats.rx_packets++;
        at->stats.rx_bytes += frames[i].length;
    }
    kv_process_batch(worker, frames, count);
    kv_batch_end(worker);
    kv_link_release(at->link);
    return seen;
}

void kv_send_batch(struct kv_worker *worker)
{
    struct kv_outgoing *batch[KV_BATCH];
    for (uint32_t first = 0; first < worker->out_count; first++) {
        if (!worker->out[first].data)
            continue; /* sent with an earlier frame of the same port */
        uint32_t number = worker->out[first].port;
        struct kv_port *port = number < KV_MAX_PORTS ? worker->sw->ports[number] : NULL;
        struct kv_worker_port *at = port ? &port->at[worker->number] : NULL;
        unsigned count = 0;
        for (uint32_t i = first; i <= worker->out_count; i++) {
            bool last = i == worker->out_count;
            if ((last && count) || count == KV_BATCH) {
                if (at->link)
                    at->stats.tx_dropped +=
                        kv_link_send(at->link, batch, count, &at->stats.tx_packets, &at->stats.tx_bytes);
                else
                    at->stats.tx_dropped += count;
                for (unsigned b = 0; b < count; b++)
                    batch[b]->data = NULL;
                count = 0;
            }
            if (last || worker->out[i].port != number || !worker->out[i].data)
                continue;
            if (port)
                batch[count++] = &worker->out[i];
            else
                worker->out[i].data = NULL;
        }
    }
    worker->out_count = 0;
}

/* -- the threads */

/* Ports that went away are looked for again, and selectors hear of ports that went up or down. */
static void tick(struct kv_switch *sw)
{
    bool changed = false;
    pthread_mutex_lock(&sw->writers);
    kv_enter(sw);
    for (uint32_t i = 0; i < sw->attached_count; i++) {
        struct kv_port *port = sw->attached[i];
        if (port->open && if_nametoindex(port->name) != port->at[0].link->ifindex)
            port_close(sw, port);
        if (!port->open)
            port_open(sw, port);
        for (uint32_t w = 0; port->open && w < sw->worker_count; w++)
            port->at[w].stats.rx_dropped += kv_link_overruns(port->at[w].link);
        bool up = interface_running(port);
        changed = changed || up != port->up;
        port->up = up;
    }
    kv_leave(sw);
    if (changed)
        kv_ports_changed(sw);
    kv_reclaim(sw, true);
    pthread_mutex_unlock(&sw->writers);
}

/* Serves the links of this worker and of those that sleep. Fills `polls`; true if there were frames. */
static bool serve(struct kv_worker *worker, struct pollfd *polls, unsigned *count)
{
    struct kv_switch *sw = worker->sw;
    bool busy = false;
    *count = 1;
    polls[0] = (struct pollfd){.fd = worker->wake, .events = POLLIN};
    for (uint32_t w = worker->number; worker->number < sw->active && w < sw->worker_count; w += sw->active)
        for (uint32_t i = 0; i < sw->attached_count; i++) {
            struct kv_worker_port *at = &sw->attached[i]->at[w];
            if (!at->link)
                continue;
            busy = receive_batch(worker, sw->attached[i], at) > 0 || busy;
            polls[(*count)++] = (struct pollfd){.fd = at->link->in, .events = POLLIN};
        }
    return busy;
}

static void *run(void *arg)
{
    struct kv_worker *worker = arg;
    struct kv_switch *sw = worker->sw;
    struct pollfd *polls = calloc(1 + sw->worker_count * (sizeof sw->attached / sizeof *sw->attached), sizeof *polls);
    uint64_t ticked = 0;
    while (polls && __atomic_load_n(&sw->running, __ATOMIC_ACQUIRE)) {
        unsigned count;
        while (__atomic_load_n(&worker->waiting, __ATOMIC_ACQUIRE))
            sched_yield();
        pthread_mutex_lock(&worker->packets);
        bool busy = serve(worker, polls, &count);
        pthread_mutex_unlock(&worker->packets);
        if (!busy) {
            poll(polls, count, TICK_MS);
            uint64_t drain;
            while (polls[0].revents && read(worker->wake, &drain, sizeof drain) > 0)
                ;
        }
        uint64_t now = worker->number == 0 ? kv_now_ns() : 0;
        if (now > ticked + TICK_MS * 1000000ull) {
            tick(sw);
            ticked = now;
        }
    }
    free(polls);
    return NULL;
}

void kv_ports_wake(struct kv_switch *sw)
{
    uint64_t one = 1;
    for (uint32_t w = 0; w < sw->worker_count; w++) {
        ssize_t written = write(sw->workers[w].wake, &one, sizeof one);
        (void)written;
    }
}

int kv_ports_start(struct kv_switch *sw)
{
    if (sw->running)
        return KV_OK;
    for (uint32_t w = 0; w < sw->worker_count; w++)
        if (!sw->workers[w].large && !(sw->workers[w].large = calloc(KV_BATCH, KV_LARGE_BUFFER)))
            return KV_OUT_OF_MEMORY;
    sw->running = true;
    for (uint32_t w = 0; w < sw->worker_count; w++)
        if (pthread_create(&sw->workers[w].thread, NULL, run, &sw->workers[w])) {
            __atomic_store_n(&sw->running, false, __ATOMIC_RELEASE);
            kv_ports_wake(sw);
            while (w-- > 0)
                pthread_join(sw->workers[w].thread, NULL);
            return KV_OUT_OF_MEMORY;
        }
    return KV_OK;
}

void kv_ports_stop(struct kv_switch *sw)
{
    if (sw->running) {
        __atomic_store_n(&sw->running, false, __ATOMIC_RELEASE);
        kv_ports_wake(sw);
        for (uint32_t w = 0; w < sw->worker_count; w++)
            pthread_join(sw->workers[w].thread, NULL);
    }
    for (uint32_t i = 0; i < sw->attached_count; i++) {
        port_close(sw, sw->attached[i]);
        sw->ports[sw->attached[i]->number] = NULL;
        free(sw->attached[i]);
    }
    sw->attached_count = 0;
}

/* The CPU port is always up; other ports are while their interface runs. The caller holds `writers`. */
bool kv_switch_port_up(void *arg, int32_t number)
{
    struct kv_switch *sw = arg;
    if ((uint32_t)number == sw->cpu_port)
        return true;
    if (number < 0 || (uint32_t)number >= KV_MAX_PORTS)
        return false;
    return sw->outside_ports[number] == KV_OUTSIDE_UP || (sw->ports[number] && sw->ports[number]->up);
}

/* -- from Python */

/* KV_OK, KV_ALREADY_EXISTS (port number in use), KV_RESOURCE_EXHAUSTED, or minus errno of the socket. */
int kv_switch_add_port(struct kv_switch *sw, uint32_t number, const char *name)
{
    if (number >= KV_MAX_PORTS || strlen(name) >= IFNAMSIZ)
        return KV_INVALID_ARGUMENT;
    struct kv_port *port = calloc(1, sizeof *port + sw->worker_count * sizeof port->at[0]);
    if (!port)
        return KV_OUT_OF_MEMORY;
    port->number = number;
    memcpy(port->name, name, strlen(name));
    pthread_mutex_lock(&sw->writers);
    int status = KV_OK;
    if (sw->ports[number] || sw->outside_ports[number])
        status = KV_ALREADY_EXISTS;
    else if (sw->attached_count == sizeof sw->attached / sizeof *sw->attached)
        status = KV_RESOURCE_EXHAUSTED;
    else
        status = -port_open(sw, port);
    if (status == KV_OK) {
        port->up = interface_running(port);
        kv_enter(sw);
        sw->ports[number] = sw->attached[sw->attached_count++] = port;
        kv_leave(sw);
        status = kv_ports_start(sw);
        kv_ports_changed(sw);
    } else {
        free(port);
    }
    pthread_mutex_unlock(&sw->writers);
    kv_ports_wake(sw);
    return status;
}

int kv_switch_remove_port(struct kv_switch *sw, uint32_t number)
{
    pthread_mutex_lock(&sw->writers);
    kv_enter(sw);
    struct kv_port *port = number < KV_MAX_PORTS ? sw->ports[number] : NULL;
    if (port) {
        sw->ports[number] = NULL;
        for (uint32_t i = 0; i < sw->attached_count; i++)
            if (sw->attached[i] == port)
                sw->attached[i--] = sw->attached[--sw->attached_count];
    }
    kv_leave(sw);
    kv_ports_wake(sw);
    if (port) {
        port_close(sw, port);
        free(port);
        kv_ports_changed(sw);
    }
    pthread_mutex_unlock(&sw->writers);
    return port ? KV_OK : KV_NOT_FOUND;
}

/* The i-th port, or KV_NOT_FOUND behind the last. */
int kv_switch_port(struct kv_switch *sw, uint32_t i, uint32_t *number, char *name, uint32_t *up,
                   struct kv_port_stats *stats)
{
    int status = KV_NOT_FOUND;
    kv_enter(sw);
    if (i < sw->attached_count) {
        struct kv_port *port = sw->attached[i];
        *number = port->number;
        memcpy(name, port->name, IFNAMSIZ);
        *up = port->up;
        *stats = (struct kv_port_stats){0};
        for (uint32_t w = 0; w < sw->worker_count; w++) {
            struct kv_worker_port *at = &port->at[w];
            if (at->link)
                at->stats.rx_dropped += kv_link_overruns(at->link);
            stats->rx_packets += at->stats.rx_packets;
            stats->rx_bytes += at->stats.rx_bytes;
            stats->tx_packets += at->stats.tx_packets;
            stats->tx_bytes += at->stats.tx_bytes;
            stats->rx_dropped += at->stats.rx_dropped;
            stats->tx_dropped += at->stats.tx_dropped;
        }
        status = KV_OK;
    }
    kv_leave(sw);
    return status;
}
