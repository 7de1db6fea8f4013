// The yardstick for a switch on AF_PACKET: reads frames from one interface and writes them to the other, and does nothing else.
//
//   forward INTERFACE INTERFACE
//
// One thread, recvmmsg and sendmmsg in batches of 64, as plain as it gets: no offloads, no VLAN tags, no look at the frames. Runs until
// it is killed.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif

enum { BATCH = 64, FRAME_MAX = 2048, SOCKET_BUFFER = 8 << 20 };

static void fail(const char *what)
{
    fprintf(stderr, "forward: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int open_wire(const char *name)
{
    int on = 1, size = SOCKET_BUFFER;
    int wire = socket(AF_PACKET, SOCK_RAW, 0);
    struct sockaddr_ll address = {
        .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)if_nametoindex(name)};
    if (wire < 0 || !address.sll_ifindex)
        fail(name);
    struct packet_mreq promiscuous = {.mr_ifindex = address.sll_ifindex, .mr_type = PACKET_MR_PROMISC};
    if (setsockopt(wire, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on) ||
        setsockopt(wire, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof on) ||
        setsockopt(wire, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) ||
        setsockopt(wire, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) ||
        bind(wire, (struct sockaddr *)&address, sizeof address) ||
        setsockopt(wire, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof promiscuous))
        fail(name);
    return wire;
}

int main(int argc, char **argv)
{
    static uint8_t frames[BATCH][FRAME_MAX];
    struct iovec pieces[BATCH];
    struct mmsghdr messages[BATCH];
    if (argc != 3) {
        fprintf(stderr, "usage: forward INTERFACE INTERFACE\n");
        return 2;
    }
    struct pollfd wires[2] = {{.fd = open_wire(argv[1]), .events = POLLIN}, {.fd = open_wire(argv[2]), .events = POLLIN}};
    for (;;) {
        int moved = 0;
        for (int from = 0; from < 2; from++) {
            for (int i = 0; i < BATCH; i++) {
                pieces[i] = (struct iovec){frames[i], FRAME_MAX};
                messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &pieces[i], .msg_iovlen = 1}};
            }
            int count = recvmmsg(wires[from].fd, messages, BATCH, MSG_DONTWAIT, NULL);
            for (int i = 0; i < count; i++)
                pieces[i].iov_len = messages[i].msg_len;
            for (int done = 0; done < count;) {
                int sent = sendmmsg(wires[!from].fd, messages + done, (unsigned)(count - done), MSG_DONTWAIT);
                done += sent > 0 ? sent : 1;
            }
            moved += count > 0;
        }
        if (!moved)
            poll(wires, 2, -1);
    }
}
