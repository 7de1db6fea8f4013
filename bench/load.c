// Loads a wire: sends copies of one Ethernet frame, each with another UDP source port, in batches.
//
//   load INTERFACE SECONDS PACKETS_PER_SECOND FLOWS FRAME_HEX
//
// FRAME_HEX is an Ethernet frame with IPv4 or IPv6 and UDP; its UDP checksum must be 0 (IPv4) and the source port is replaced by
// BASE_PORT + 0 .. FLOWS - 1 in turn. A rate of 0 means as fast as it goes. Prints the number of frames that the interface took.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <linux/if_packet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 64, FRAME_MAX = 1514, BASE_PORT = 20000, ETHERNET = 14, IPV4 = 20, IPV6 = 40 };

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void fail(const char *what) {
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static size_t parse_frame(const char *hex, uint8_t *frame) {
    size_t length = strlen(hex) / 2;
    if (length < ETHERNET + IPV4 + 8 || length > FRAME_MAX) {
        fprintf(stderr, "load: a frame of %zu bytes\n", length);
        exit(2);
    }
    for (size_t i = 0; i < length; i++) {
        unsigned byte;
        if (sscanf(hex + 2 * i, "%2x", &byte) != 1) {
            fprintf(stderr, "load: the frame is not hexadecimal\n");
            exit(2);
        }
        frame[i] = (uint8_t)byte;
    }
    return length;
}

int main(int argc, char **argv) {
    static uint8_t frames[BATCH][FRAME_MAX];
    static uint8_t frame[FRAME_MAX];
    if (argc != 6) {
        fprintf(stderr, "usage: load INTERFACE SECONDS PACKETS_PER_SECOND FLOWS FRAME_HEX\n");
        return 2;
    }
    double seconds = atof(argv[2]), rate = atof(argv[3]);
    unsigned flows = (unsigned)atoi(argv[4]);
    size_t length = parse_frame(argv[5], frame);
    size_t source_port = ETHERNET + (frame[12] == 0x08 ? IPV4 : IPV6);

    int wire = socket(AF_PACKET, SOCK_RAW, 0);
    if (wire < 0) fail("socket");
    struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(argv[1])};
    if (!address.sll_ifindex || bind(wire, (struct sockaddr *)&address, sizeof address)) fail(argv[1]);
    int on = 1;
    if (setsockopt(wire, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof on)) fail("PACKET_QDISC_BYPASS");

    struct mmsghdr messages[BATCH] = {0};
    struct iovec pieces[BATCH];
    for (int i = 0; i < BATCH; i++) {
        memcpy(frames[i], frame, length);
        pieces[i] = (struct iovec){frames[i], length};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &pieces[i], .msg_iovlen = 1};
    }

    unsigned long sent = 0, made = 0;
    double start = now(), time;
    while ((time = now() - start) < seconds) {
        unsigned batch = BATCH;
        if (rate > 0) {
            double due = time * rate - (double)made;
            if (due < 1) {
                usleep(50);
                continue;
            }
            if (due < batch) batch = (unsigned)due;
        }
        for (unsigned i = 0; i < batch; i++) {
            uint16_t port = htons((uint16_t)(BASE_PORT + (made + i) % flows));
            memcpy(frames[i] + source_port, &port, sizeof port);
        }
        made += batch;
        int done = sendmmsg(wire, messages, batch, 0);
        if (done > 0) sent += (unsigned long)done;
        else if (errno != ENOBUFS && errno != EAGAIN) fail("sendmmsg");
    }
    printf("%lu\n", sent);
    return 0;
}
