/* Ports on Linux interfaces: AF_PACKET sockets, read and written in batches by one thread.
 *
 * Frames from Linux stacks behind a veth come with work left undone, which PACKET_VNET_HDR tells: a checksum not yet computed is
 * completed on receipt, so that the pipeline sees a correct packet; a segmented send (GSO, up to 64 KB) goes through the
 * pipeline as one frame and its segmentation is handed on to the next interface. A VLAN tag that the kernel took out is put back.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hash.h"
#include "switch.h"

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif
#define VNET sizeof(struct virtio_net_hdr)
#define BUFFER_SIZE (KV_HEADROOM + KV_MAX_FRAME + KV_TAILROOM + 4288u) /* the odd rest spreads buffers over cache sets */
#define TICK_MS 200

/* -- one socket */

static int socket_open(const char *name, unsigned *ifindex)
{
    *ifindex = if_nametoindex(name);
    if (!*ifindex)
        return -1;
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    int one = 1, buffer = 8 << 20;
    struct packet_mreq promiscuous = {.mr_ifindex = (int)*ifindex, .mr_type = PACKET_MR_PROMISC};
    struct sockaddr_ll address = {
        .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)*ifindex};
    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one);
    setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof buffer);
    if (setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof one) ||
        setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &one, sizeof one) ||
        bind(fd, (struct sockaddr *)&address, sizeof address) ||
        setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof promiscuous)) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

static bool interface_running(const struct kv_port *port)
{
    struct ifreq request = {0};
    memcpy(request.ifr_name, port->name, IFNAMSIZ);
    return port->fd >= 0 && ioctl(port->fd, SIOCGIFFLAGS, &request) == 0 &&
           (request.ifr_flags & (IFF_UP | IFF_RUNNING)) == (IFF_UP | IFF_RUNNING);
}

/* -- receiving */

static void complete_checksum(uint8_t *data, uint32_t length, uint32_t start, uint32_t offset)
{
    if (start + offset + 2 > length)
        return;
    uint64_t sum = ~kv_sum_fold(kv_sum_bytes(0, data + start, length - start)) & 0xffff;
    kv_store16(data + start + offset, sum == 0 ? 0xffff : sum);
}

struct receive {
    struct mmsghdr messages[KV_BATCH];
    struct iovec parts[KV_BATCH][2];
    struct virtio_net_hdr vnet[KV_BATCH];
    union {
        char bytes[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
        struct cmsghdr align;
    } control[KV_BATCH];
};

static void receive_prepare(struct kv_switch *sw, struct receive *rx)
{
    for (unsigned i = 0; i < KV_BATCH; i++) {
        rx->parts[i][0] = (struct iovec){&rx->vnet[i], VNET};
        rx->parts[i][1] = (struct iovec){sw->buffers + (size_t)i * BUFFER_SIZE + KV_HEADROOM, KV_MAX_FRAME};
        rx->messages[i].msg_hdr = (struct msghdr){.msg_iov = rx->parts[i], .msg_iovlen = 2};
    }
}

/* Makes message i a frame: checksum completed, VLAN tag back in place. */
static bool receive_frame(struct receive *rx, unsigned i, struct kv_port *port, struct kv_frame *frame)
{
    const struct virtio_net_hdr *vnet = &rx->vnet[i];
    if (rx->messages[i].msg_len < VNET + ETH_HLEN)
        return false;
    *frame = (struct kv_frame){
        .data = rx->parts[i][1].iov_base,
        .start = (uint8_t *)rx->parts[i][1].iov_base - KV_HEADROOM,
        .length = (uint32_t)(rx->messages[i].msg_len - VNET),
        .port = port->number,
        .offload = {.gso_type = vnet->gso_type & ~VIRTIO_NET_HDR_GSO_ECN, .gso_size = vnet->gso_size},
    };
    if (rx->messages[i].msg_hdr.msg_flags & MSG_TRUNC)
        return false;
    if ((vnet->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) && frame->offload.gso_type == VIRTIO_NET_HDR_GSO_NONE)
        complete_checksum(frame->data, frame->length, vnet->csum_start, vnet->csum_offset);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&rx->messages[i].msg_hdr); c; c = CMSG_NXTHDR(&rx->messages[i].msg_hdr, c)) {
        if (c->cmsg_level != SOL_PACKET || c->cmsg_type != PACKET_AUXDATA)
            continue;
        struct tpacket_auxdata aux;
        memcpy(&aux, CMSG_DATA(c), sizeof aux);
        if (!(aux.tp_status & TP_STATUS_VLAN_VALID))
            continue;
        frame->data -= 4;
        frame->length += 4;
        memmove(frame->data, frame->data + 4, 12);
        kv_store16(frame->data + 12, (aux.tp_status & TP_STATUS_VLAN_TPID_VALID) ? aux.tp_vlan_tpid : ETH_P_8021Q);
        kv_store16(frame->data + 14, aux.tp_vlan_tci);
    }
    return true;
}

/* One batch from one port; the number of frames, or -1 if the socket failed. */
static int receive_batch(struct kv_switch *sw, struct kv_port *port, struct receive *rx)
{
    for (unsigned i = 0; i < KV_BATCH; i++) {
        rx->messages[i].msg_hdr.msg_control = rx->control[i].bytes;
        rx->messages[i].msg_hdr.msg_controllen = sizeof rx->control[i].bytes;
    }
    int count = recvmmsg(port->fd, rx->messages, KV_BATCH, MSG_DONTWAIT, NULL);
    if (count <= 0)
        return count == 0 || errno == EAGAIN || errno == EINTR ? 0 : -1;
    kv_batch_begin(sw);
    for (int i = 0; i < count; i++) {
        struct kv_frame frame;
        if (!receive_frame(rx, (unsigned)i, port, &frame)) {
            port->stats.rx_dropped++;
            continue;
        }
        port->stats.rx_packets++;
        port->stats.rx_bytes += frame.length;
        kv_process_frame(sw, &frame);
    }
    kv_batch_end(sw);
    return count;
}

/* -- sending */

/* Sum of the pseudo-header, for a transport checksum that the next stack completes. */
static uint64_t pseudo_sum(const uint8_t *addresses, unsigned size, uint32_t length, uint8_t protocol)
{
    return kv_sum_fold(kv_sum_bytes(0, addresses, size) + length + protocol);
}

/* Hands the segmentation of a frame on: describes it as it looks behind the pipeline. False if that cannot be done. */
static bool describe_offload(struct kv_outgoing *out, struct virtio_net_hdr *vnet)
{
    uint8_t *data = out->data;
    uint32_t at = ETH_HLEN, length = out->length;
    if (length < at)
        return false;
    uint64_t type = kv_load16(data + 12);
    while ((type == ETH_P_8021Q || type == ETH_P_8021AD) && length >= at + 4) {
        type = kv_load16(data + at + 2);
        at += 4;
    }
    uint8_t protocol;
    uint64_t pseudo;
    uint32_t transport;
    if (type == ETH_P_IP && length >= at + 20) {
        transport = at + (data[at] & 15) * 4u;
        protocol = data[at + 9];
        if (length < transport)
            return false;
        pseudo = pseudo_sum(data + at + 12, 8, length - transport, protocol);
    } else if (type == ETH_P_IPV6 && length >= at + 40) {
        transport = at + 40;
        protocol = data[at + 6];
        pseudo = pseudo_sum(data + at + 8, 32, length - transport, protocol);
    } else {
        return false;
    }
    bool tcp = out->offload.gso_type == VIRTIO_NET_HDR_GSO_TCPV4 || out->offload.gso_type == VIRTIO_NET_HDR_GSO_TCPV6;
    uint32_t offset = tcp ? 16 : 6, header = tcp ? 20 : 8;
    if (protocol != (tcp ? IPPROTO_TCP : IPPROTO_UDP) || length < transport + header)
        return false;
    if (tcp)
        header = (data[transport + 12] >> 4) * 4u;
    vnet->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
    vnet->csum_start = (uint16_t)transport;
    vnet->csum_offset = (uint16_t)offset;
    kv_store16(data + transport + offset, pseudo);
    if (length > transport + header + out->offload.gso_size) {
        vnet->gso_type = !tcp                  ? out->offload.gso_type
                         : type == ETH_P_IP ? VIRTIO_NET_HDR_GSO_TCPV4
                                            : VIRTIO_NET_HDR_GSO_TCPV6;
        vnet->gso_size = out->offload.gso_size;
        vnet->hdr_len = (uint16_t)(transport + header);
    }
    return true;
}

static void send_messages(struct kv_port *port, struct mmsghdr *messages, unsigned count)
{
    for (unsigned done = 0; done < count;) {
        int sent = sendmmsg(port->fd, messages + done, count - done, MSG_DONTWAIT);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0) { /* this frame cannot go; the next one may */
            port->stats.tx_dropped++;
            done++;
            continue;
        }
        for (int i = 0; i < sent; i++) {
            port->stats.tx_packets++;
            port->stats.tx_bytes += messages[done + (unsigned)i].msg_len - VNET;
        }
        done += (unsigned)sent;
    }
}

void kv_send_batch(struct kv_switch *sw)
{
    static const struct virtio_net_hdr plain = {0};
    struct mmsghdr messages[KV_BATCH];
    struct iovec parts[KV_BATCH][2];
    struct virtio_net_hdr described[KV_BATCH];
    for (uint32_t first = 0; first < sw->out_count; first++) {
        if (!sw->out[first].data)
            continue; /* sent with an earlier frame of the same port */
        uint32_t number = sw->out[first].port;
        struct kv_port *port = number < KV_MAX_PORTS ? sw->ports[number] : NULL;
        unsigned count = 0;
        for (uint32_t i = first; i < sw->out_count; i++) {
            struct kv_outgoing *out = &sw->out[i];
            if (out->port != number || !out->data)
                continue;
            const struct virtio_net_hdr *vnet = &plain;
            if (port && port->fd >= 0 && out->offload.gso_type) {
                described[count] = plain;
                vnet = describe_offload(out, &described[count]) ? &described[count] : NULL;
            }
            if (!port || port->fd < 0 || !vnet) {
                if (port)
                    port->stats.tx_dropped++;
            } else {
                parts[count][0] = (struct iovec){(void *)(uintptr_t)vnet, VNET};
                parts[count][1] = (struct iovec){out->data, out->length};
                messages[count].msg_hdr = (struct msghdr){.msg_iov = parts[count], .msg_iovlen = 2};
                count++;
            }
            out->data = NULL;
            if (count == KV_BATCH) {
                send_messages(port, messages, count);
                count = 0;
            }
        }
        if (count)
            send_messages(port, messages, count);
    }
    sw->out_count = 0;
}

/* -- the thread */

/* Ports that went away are looked for again, and selectors hear of ports that went up or down. */
static void tick(struct kv_switch *sw)
{
    bool changed = false;
    pthread_mutex_lock(&sw->writers);
    kv_enter(sw);
    for (uint32_t i = 0; i < sw->attached_count; i++) {
        struct kv_port *port = sw->attached[i];
        if (port->fd >= 0 && if_nametoindex(port->name) != port->ifindex) {
            close(port->fd);
            port->fd = -1;
        }
        if (port->fd < 0)
            port->fd = socket_open(port->name, &port->ifindex);
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

static void *run(void *arg)
{
    struct kv_switch *sw = arg;
    struct receive *rx = malloc(sizeof *rx);
    struct pollfd polls[1025];
    if (!rx)
        return NULL;
    receive_prepare(sw, rx);
    uint64_t ticked = 0;
    while (__atomic_load_n(&sw->running, __ATOMIC_ACQUIRE)) {
        unsigned count = 0;
        bool busy = false;
        while (__atomic_load_n(&sw->waiting, __ATOMIC_ACQUIRE))
            sched_yield();
        pthread_mutex_lock(&sw->packets);
        polls[count++] = (struct pollfd){.fd = sw->wake, .events = POLLIN};
        for (uint32_t i = 0; i < sw->attached_count; i++) {
            struct kv_port *port = sw->attached[i];
            if (port->fd < 0)
                continue;
            busy = receive_batch(sw, port, rx) > 0 || busy;
            polls[count++] = (struct pollfd){.fd = port->fd, .events = POLLIN};
        }
        pthread_mutex_unlock(&sw->packets);
        if (!busy) {
            poll(polls, count, TICK_MS);
            uint64_t drain;
            while (read(sw->wake, &drain, sizeof drain) > 0)
                ;
        }
        uint64_t now = kv_now_ns();
        if (now - ticked > TICK_MS * 1000000ull) {
            tick(sw);
            ticked = now;
        }
    }
    free(rx);
    return NULL;
}

static void wake(struct kv_switch *sw)
{
    uint64_t one = 1;
    ssize_t written = write(sw->wake, &one, sizeof one);
    (void)written;
}

int kv_ports_start(struct kv_switch *sw)
{
    if (sw->running)
        return KV_OK;
    if (!sw->buffers && !(sw->buffers = calloc(KV_BATCH, BUFFER_SIZE)))
        return KV_OUT_OF_MEMORY;
    sw->running = true;
    if (pthread_create(&sw->thread, NULL, run, sw)) {
        sw->running = false;
        return KV_OUT_OF_MEMORY;
    }
    return KV_OK;
}

void kv_ports_stop(struct kv_switch *sw)
{
    if (sw->running) {
        __atomic_store_n(&sw->running, false, __ATOMIC_RELEASE);
        wake(sw);
        pthread_join(sw->thread, NULL);
    }
    for (uint32_t i = 0; i < sw->attached_count; i++) {
        if (sw->attached[i]->fd >= 0)
            close(sw->attached[i]->fd);
        sw->ports[sw->attached[i]->number] = NULL;
        free(sw->attached[i]);
    }
    sw->attached_count = 0;
}

/* The CPU port is always up; other ports are while their interface runs. The caller holds `writers`. */
bool kv_switch_port_up(void *arg, int32_t number)
{
    struct kv_switch *sw = arg;
    if ((uint32_t)number == sw->ctx.cpu_port)
        return true;
    if (number < 0 || (uint32_t)number >= KV_MAX_PORTS)
        return false;
    return sw->outside_ports[number] || (sw->ports[number] && sw->ports[number]->up);
}

/* -- from Python */

/* KV_OK, KV_ALREADY_EXISTS (port number in use), KV_RESOURCE_EXHAUSTED, or minus errno of the socket. */
int kv_switch_add_port(struct kv_switch *sw, uint32_t number, const char *name)
{
    if (number >= KV_MAX_PORTS || strlen(name) >= IFNAMSIZ)
        return KV_INVALID_ARGUMENT;
    struct kv_port *port = calloc(1, sizeof *port);
    if (!port)
        return KV_OUT_OF_MEMORY;
    port->number = number;
    memcpy(port->name, name, strlen(name));
    port->fd = socket_open(name, &port->ifindex);
    if (port->fd < 0) {
        int error = errno;
        free(port);
        return -(error ? error : ENODEV);
    }
    port->up = interface_running(port);
    int status = KV_OK;
    pthread_mutex_lock(&sw->writers);
    kv_enter(sw);
    if (sw->ports[number] || sw->outside_ports[number])
        status = KV_ALREADY_EXISTS;
    else if (sw->attached_count == sizeof sw->attached / sizeof *sw->attached)
        status = KV_RESOURCE_EXHAUSTED;
    if (status == KV_OK) {
        sw->ports[number] = sw->attached[sw->attached_count++] = port;
        status = kv_ports_start(sw);
    } else {
        close(port->fd);
        free(port);
    }
    kv_leave(sw);
    if (status == KV_OK)
        kv_ports_changed(sw);
    pthread_mutex_unlock(&sw->writers);
    wake(sw);
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
    wake(sw);
    if (port) {
        if (port->fd >= 0)
            close(port->fd);
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
        const struct kv_port *port = sw->attached[i];
        *number = port->number;
        memcpy(name, port->name, IFNAMSIZ);
        *up = port->up;
        *stats = port->stats;
        status = KV_OK;
    }
    kv_leave(sw);
    return status;
}
