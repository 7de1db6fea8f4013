/* Links on AF_PACKET sockets.
 *
 * Frames arrive in a ring in shared memory (PACKET_RX_RING), each with room in front into which headers may grow, so that
 * a frame is processed where the kernel put it and no system call is made while there are frames. A frame that does not fit into a slot (a
 * large send, a jumbo frame) also waits in the socket's queue (PACKET_COPY_THRESH) and is read from there, in its turn.
 * Frames leave through a second ring (PACKET_TX_RING), one system call a batch; those that do not fit, or find no slot since the
 * receivers have not yet let go of the earlier ones, by sendmmsg.
 *
 * Frames from Linux stacks behind a veth come with work left undone, which PACKET_VNET_HDR tells: a checksum not yet computed is
 * completed on receipt, so that the pipeline sees a correct packet; a segmented send (GSO, up to 64 KB) goes through the
 * pipeline as one frame and its segmentation is handed on to the next interface. A VLAN tag that the kernel took out is put back.
 */
#include "link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hash.h"

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif
#ifndef PACKET_FANOUT_FLAG_UNIQUEID
#define PACKET_FANOUT_FLAG_UNIQUEID 0x2000
#endif
#define VNET sizeof(struct virtio_net_hdr)
#define RESERVE (KV_HEADROOM + 64u)
#define SLOT_OVERHEAD (RESERVE + 128u + KV_TAILROOM) /* the kernel's header in front, and the tail */
#define SEND_AT (TPACKET2_HDRLEN - sizeof(struct sockaddr_ll)) /* where the kernel looks for a frame to send */
#define SMALLEST_SLOT_FRAME 1522u                    /* the usual MTU with Ethernet header and VLAN tag */
#define LARGEST_SLOT_FRAME 9238u

/* -- opening */

static int socket_open(void)
{
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), one = 1, buffer = 8 << 20;
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one);
    setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof buffer);
    if (setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof one)) {
        close(fd);
        return -1;
    }
    return fd;
}

static int socket_bind(int fd, unsigned ifindex, unsigned protocol)
{
    struct sockaddr_ll address = {
        .sll_family = AF_PACKET, .sll_protocol = htons((uint16_t)protocol), .sll_ifindex = (int)ifindex};
    return bind(fd, (struct sockaddr *)&address, sizeof address);
}

static uint32_t largest_frame(int fd, const char *name)
{
    struct ifreq request = {0};
    strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    if (ioctl(fd, SIOCGIFMTU, &request) || request.ifr_mtu < 0)
        return SMALLEST_SLOT_FRAME;
    uint32_t frame = (uint32_t)request.ifr_mtu + ETH_HLEN + 8;
    return frame < SMALLEST_SLOT_FRAME ? SMALLEST_SLOT_FRAME : frame > LARGEST_SLOT_FRAME ? LARGEST_SLOT_FRAME : frame;
}

static void *ring_map(int fd, int option, const struct kv_ring *ring)
{
    struct tpacket_req request = {
        .tp_block_size = ring->block_size,
        .tp_block_nr = ring->blocks,
        .tp_frame_size = ring->slot_size,
        .tp_frame_nr = ring->blocks * ring->slots_per_block,
    };
    if (setsockopt(fd, SOL_PACKET, option, &request, sizeof request))
        return NULL;
    void *memory = mmap(NULL, (size_t)ring->block_size * ring->blocks, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

/* The size of slots, in an odd number of cache lines, so that their heads do not share few cache sets. */
static void ring_shape(struct kv_ring *ring, uint32_t slot_size, uint32_t block_size, uint32_t memory)
{
    slot_size = (slot_size + 63) & ~63u;
    ring->slot_size = slot_size & 64 ? slot_size : slot_size + 64;
    ring->block_size = block_size;
    ring->slots_per_block = block_size / ring->slot_size;
    ring->blocks = memory > block_size ? memory / block_size : 1;
}

static int rings_open(struct kv_link *link, const char *name, uint32_t memory)
{
    int version = TPACKET_V2, reserve = RESERVE, one = 1;
    uint32_t frame = largest_frame(link->in, name);
    ring_shape(&link->receive, SLOT_OVERHEAD + frame, 1u << 18, memory);
    ring_shape(&link->send, SEND_AT + VNET + frame, 1u << 17, memory / 8);
    if (setsockopt(link->in, SOL_PACKET, PACKET_VERSION, &version, sizeof version) ||
        setsockopt(link->in, SOL_PACKET, PACKET_RESERVE, &reserve, sizeof reserve) ||
        setsockopt(link->in, SOL_PACKET, PACKET_COPY_THRESH, &one, sizeof one) ||
        setsockopt(link->out, SOL_PACKET, PACKET_VERSION, &version, sizeof version) ||
        setsockopt(link->out, SOL_PACKET, PACKET_LOSS, &one, sizeof one))
        return -1;
    link->receive.memory = ring_map(link->in, PACKET_RX_RING, &link->receive);
    link->send.memory = ring_map(link->out, PACKET_TX_RING, &link->send);
    return link->receive.memory && link->send.memory ? 0 : -1;
}

static void ring_unmap(const struct kv_ring *ring)
{
    if (ring->memory)
        munmap(ring->memory, (size_t)ring->block_size * ring->blocks);
}

static struct tpacket2_hdr *slot_at(const struct kv_ring *ring, uint32_t block, uint32_t slot)
{
    return (void *)(ring->memory + (size_t)block * ring->block_size + (size_t)slot * ring->slot_size);
}

static void advance(const struct kv_ring *ring, uint32_t *block, uint32_t *slot)
{
    if (++*slot == ring->slots_per_block) {
        *slot = 0;
        if (++*block == ring->blocks)
            *block = 0;
    }
}

/* Lets no frame in, or lets them in again. */
static int filter_all(int fd)
{
    struct sock_filter nothing = {.code = BPF_RET | BPF_K, .k = 0};
    struct sock_fprog program = {.len = 1, .filter = &nothing};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

int kv_link_begin(struct kv_link *link)
{
    int unused = 0;
    return setsockopt(link->in, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof unused);
}

struct kv_link *kv_link_open(const char *name, int fanout, uint32_t memory)
{
    struct kv_link *link = calloc(1, sizeof *link);
    if (!link)
        return NULL;
    link->in = link->out = link->large = -1;
    link->ifindex = if_nametoindex(name);
    if (!link->ifindex)
        goto failed;
    struct packet_mreq promiscuous = {.mr_ifindex = (int)link->ifindex, .mr_type = PACKET_MR_PROMISC};
    link->in = socket_open();
    link->out = socket_open();
    link->large = socket_open();
    if (link->in < 0 || link->out < 0 || link->large < 0 || filter_all(link->in) || rings_open(link, name, memory) ||
        socket_bind(link->in, link->ifindex, ETH_P_ALL) || socket_bind(link->out, link->ifindex, 0) ||
        socket_bind(link->large, link->ifindex, 0) ||
        setsockopt(link->in, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof promiscuous))
        goto failed;
    if (fanout != KV_FANOUT_NONE) {
        int group = fanout == KV_FANOUT_NEW ? (PACKET_FANOUT_HASH | PACKET_FANOUT_FLAG_UNIQUEID) << 16 : fanout;
        if (setsockopt(link->in, SOL_PACKET, PACKET_FANOUT, &group, sizeof group))
            goto failed;
    }
    return link;
failed:;
    int error = errno;
    kv_link_close(link);
    errno = error;
    return NULL;
}

int kv_link_fanout(const struct kv_link *link)
{
    int group = 0;
    socklen_t size = sizeof group;
    if (getsockopt(link->in, SOL_PACKET, PACKET_FANOUT, &group, &size))
        return KV_FANOUT_NONE;
    return (group & 0xffff) | PACKET_FANOUT_HASH << 16;
}

void kv_link_close(struct kv_link *link)
{
    if (!link)
        return;
    ring_unmap(&link->receive);
    ring_unmap(&link->send);
    const int sockets[] = {link->in, link->out, link->large};
    for (unsigned i = 0; i < sizeof sockets / sizeof *sockets; i++)
        if (sockets[i] >= 0)
            close(sockets[i]);
    free(link);
}

uint64_t kv_link_overruns(const struct kv_link *link)
{
    struct tpacket_stats stats = {0};
    socklen_t size = sizeof stats;
    return getsockopt(link->in, SOL_PACKET, PACKET_STATISTICS, &stats, &size) ? 0 : stats.tp_drops;
}

/* -- receiving */

static void complete_checksum(uint8_t *data, uint32_t length, uint32_t start, uint32_t offset)
{
    if (start + offset + 2 > length)
        return;
    uint64_t sum = ~kv_sum_fold(kv_sum_bytes(0, data + start, length - start)) & 0xffff;
    kv_store16(data + start + offset, sum == 0 ? 0xffff : sum);
}

/* A frame too long for its slot, from the queue of the socket. */
static bool receive_large(struct kv_link *link, uint8_t *buffer, struct virtio_net_hdr *vnet, struct kv_frame *frame)
{
    struct iovec parts[2] = {{vnet, VNET}, {buffer + KV_HEADROOM, KV_MAX_FRAME}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    ssize_t size = recvmsg(link->in, &message, MSG_DONTWAIT);
    if (size < (ssize_t)(VNET + ETH_HLEN) || (message.msg_flags & MSG_TRUNC))
        return false;
    frame->data = buffer + KV_HEADROOM;
    frame->length = (uint32_t)((size_t)size - VNET);
    return true;
}

/* Makes a slot a frame: whole, checksum completed, VLAN tag back in place. */
static bool receive_frame(struct kv_link *link, const struct tpacket2_hdr *head, uint32_t status, uint8_t *large,
                          struct kv_frame *frame)
{
    struct virtio_net_hdr vnet;
    uint8_t *data = (uint8_t *)(uintptr_t)head + head->tp_mac;
    memcpy(&vnet, data - VNET, VNET);
    *frame = (struct kv_frame){.data = data, .length = head->tp_snaplen};
    if (KV_UNLIKELY(status & TP_STATUS_COPY)) {
        if (!receive_large(link, large, &vnet, frame))
            return false;
    } else if (head->tp_snaplen < head->tp_len || head->tp_snaplen < ETH_HLEN) {
        return false;
    }
    frame->start = frame->data - KV_HEADROOM;
    frame->offload.gso_type = vnet.gso_type & ~VIRTIO_NET_HDR_GSO_ECN;
    frame->offload.gso_size = vnet.gso_size;
    if ((vnet.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) && frame->offload.gso_type == VIRTIO_NET_HDR_GSO_NONE)
        complete_checksum(frame->data, frame->length, vnet.csum_start, vnet.csum_offset);
    if (KV_UNLIKELY(status & TP_STATUS_VLAN_VALID)) {
        frame->data -= 4;
        frame->length += 4;
        memmove(frame->data, frame->data + 4, 12);
        kv_store16(frame->data + 12, (status & TP_STATUS_VLAN_TPID_VALID) ? head->tp_vlan_tpid : ETH_P_8021Q);
        kv_store16(frame->data + 14, head->tp_vlan_tci);
    }
    return true;
}

/* A group of sockets (fanout) gets what its own interface sends, too. */
static bool outgoing(const struct tpacket2_hdr *head)
{
    const struct sockaddr_ll *address = (const void *)((const uint8_t *)head + TPACKET_ALIGN(sizeof *head));
    return address->sll_pkttype == PACKET_OUTGOING;
}

unsigned kv_link_receive(struct kv_link *link, struct kv_frame *frames, uint8_t *large, uint64_t *lost)
{
    unsigned count = 0;
    const struct kv_ring *ring = &link->receive;
    uint32_t block = ring->block, slot = ring->slot;
    for (link->held = 0; link->held < KV_BATCH; link->held++) {
        struct tpacket2_hdr *head = slot_at(ring, block, slot);
        uint32_t status = KV_LOAD(&head->tp_status);
        if (!(status & TP_STATUS_USER))
            break;
        advance(ring, &block, &slot);
        const uint8_t *next = (const uint8_t *)slot_at(ring, block, slot);
        __builtin_prefetch(next);
        __builtin_prefetch(next + head->tp_mac);
        if (KV_UNLIKELY(outgoing(head))) {
            struct virtio_net_hdr unused;
            if (status & TP_STATUS_COPY)
                receive_large(link, large, &unused, &frames[count]);
            continue;
        }
        if (receive_frame(link, head, status, large + (size_t)link->held * KV_LARGE_BUFFER, &frames[count]))
            count++;
        else
            ++*lost;
    }
    return count;
}

void kv_link_release(struct kv_link *link)
{
    struct kv_ring *ring = &link->receive;
    for (; link->held; link->held--) {
        KV_STORE(&slot_at(ring, ring->block, ring->slot)->tp_status, TP_STATUS_KERNEL);
        advance(ring, &ring->block, &ring->slot);
    }
}

/* -- sending */

/* Sum of the pseudo-header, for a transport checksum that the next stack completes. */
static uint64_t pseudo_sum(const uint8_t *addresses, unsigned size, uint32_t length, uint8_t protocol)
{
    return kv_sum_fold(kv_sum_bytes(0, addresses, size) + length + protocol);
}

/* Hands the segmentation of a frame on: describes it as it looks behind the pipeline. False if that cannot be done. */
static bool describe_offload(const struct kv_outgoing *out, struct virtio_net_hdr *vnet)
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

/* The frames of a batch that were handed over, in order: either in the ring or as messages, not yet sent. */
struct batch {
    struct kv_link *link;
    uint32_t in_ring, block, slot; /* where the first of them is */
    unsigned messages;
    struct mmsghdr message[KV_BATCH];
    struct iovec parts[KV_BATCH][2];
    struct virtio_net_hdr vnet[KV_BATCH];
    unsigned failed;
    uint64_t *packets, *bytes;
};

static void flush_messages(struct batch *batch)
{
    for (unsigned done = 0; done < batch->messages;) {
        int sent = sendmmsg(batch->link->large, batch->message + done, batch->messages - done, MSG_DONTWAIT);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0) { /* this frame cannot go; the next one may */
            batch->failed++;
            done++;
            continue;
        }
        *batch->packets += (unsigned)sent;
        for (int i = 0; i < sent; i++)
            *batch->bytes += batch->message[done + (unsigned)i].msg_len - VNET;
        done += (unsigned)sent;
    }
    batch->messages = 0;
}

/* Takes back what the kernel did not send, since it would start there the next time: the interface is down. */
static void flush_ring(struct batch *batch)
{
    struct kv_ring *ring = &batch->link->send;
    if (!batch->in_ring)
        return;
    while (send(batch->link->out, NULL, 0, MSG_DONTWAIT) < 0 && errno == EINTR)
        ;
    bool stopped = false;
    for (; batch->in_ring; batch->in_ring--, advance(ring, &batch->block, &batch->slot)) {
        struct tpacket2_hdr *head = slot_at(ring, batch->block, batch->slot);
        if (!stopped && KV_LOAD(&head->tp_status) == TP_STATUS_SEND_REQUEST) {
            stopped = true;
            ring->block = batch->block;
            ring->slot = batch->slot;
        }
        if (stopped) {
            KV_STORE(&head->tp_status, TP_STATUS_AVAILABLE);
            batch->failed++;
        } else {
            ++*batch->packets;
            *batch->bytes += head->tp_len - VNET;
        }
    }
}

/* With `hdr_len` the kernel copies all of a frame out of the slot; else it would hand out pages of the ring. */
static bool put_in_ring(struct batch *batch, const struct kv_outgoing *frame, const struct virtio_net_hdr *vnet)
{
    struct kv_ring *ring = &batch->link->send;
    struct tpacket2_hdr *head = slot_at(ring, ring->block, ring->slot);
    if (frame->length + VNET + SEND_AT > ring->slot_size || KV_LOAD(&head->tp_status) != TP_STATUS_AVAILABLE)
        return false;
    flush_messages(batch);
    if (batch->in_ring++ == 0) {
        batch->block = ring->block;
        batch->slot = ring->slot;
    }
    uint8_t *data = (uint8_t *)head + SEND_AT;
    struct virtio_net_hdr whole = *vnet;
    whole.hdr_len = (uint16_t)frame->length;
    memcpy(data, &whole, VNET);
    memcpy(data + VNET, frame->data, frame->length);
    head->tp_len = frame->length + (uint32_t)VNET;
    KV_STORE(&head->tp_status, TP_STATUS_SEND_REQUEST);
    advance(ring, &ring->block, &ring->slot);
    return true;
}

static void put_in_messages(struct batch *batch, const struct kv_outgoing *frame, const struct virtio_net_hdr *vnet)
{
    flush_ring(batch);
    unsigned i = batch->messages++;
    batch->vnet[i] = *vnet;
    batch->parts[i][0] = (struct iovec){&batch->vnet[i], VNET};
    batch->parts[i][1] = (struct iovec){frame->data, frame->length};
    batch->message[i].msg_hdr = (struct msghdr){.msg_iov = batch->parts[i], .msg_iovlen = 2};
}

unsigned kv_link_send(struct kv_link *link, struct kv_outgoing *const *frames, unsigned count, uint64_t *packets,
                      uint64_t *bytes)
{
    struct batch batch;
    batch.link = link;
    batch.in_ring = batch.messages = batch.failed = 0;
    batch.packets = packets;
    batch.bytes = bytes;
    for (unsigned i = 0; i < count; i++) {
        struct virtio_net_hdr vnet = {0};
        if (frames[i]->length < ETH_HLEN || (frames[i]->offload.gso_type && !describe_offload(frames[i], &vnet)))
            batch.failed++;
        else if (!put_in_ring(&batch, frames[i], &vnet))
            put_in_messages(&batch, frames[i], &vnet);
    }
    flush_ring(&batch);
    flush_messages(&batch);
    return batch.failed;
}
