/* One Linux interface as a link: frames are read out of a ring that the kernel fills, and written in batches. */
#ifndef KV_LINK_H
#define KV_LINK_H

#include "kulvert.h"

#define KV_BATCH 64
#define KV_LARGE_BUFFER (KV_HEADROOM + KV_MAX_FRAME + KV_TAILROOM + 4288u) /* the odd rest spreads buffers over cache sets */

/* Slots in memory that is shared with the kernel; none crosses the end of a block. */
struct kv_ring {
    uint8_t *memory;
    uint32_t slot_size, slots_per_block, block_size, blocks;
    uint32_t block, slot; /* where the next frame will be */
};

struct kv_link {
    int in, out, large; /* sockets: of either ring, and to send what does not fit */
    unsigned ifindex;
    struct kv_ring receive, send;
    uint32_t held; /* slots of the batch at hand */
};

/* One frame for a port, waiting for the end of the batch. */
struct kv_outgoing {
    uint32_t port;
    uint32_t length;
    uint8_t *data;
    struct kv_offload offload;
};

/* What a link has to do with the others of its interface: nothing; or they are a group that shares the frames flow by flow, a
 * new one, or the one that kv_link_fanout names by a number of 0 or more. */
enum { KV_FANOUT_NEW = -1, KV_FANOUT_NONE = -2 };

/* `fanout`: one of these, or a group to join. `memory` is the size of the ring in bytes. NULL and errno if it cannot be opened. */
struct kv_link *kv_link_open(const char *name, int fanout, uint32_t memory);
/* Frames come in from now on. When all links of a group are open: one that is not in it yet gets every frame, as the others do. */
int kv_link_begin(struct kv_link *link);
/* The group of a link that is in one; KV_FANOUT_NONE and errno if that cannot be told. */
int kv_link_fanout(const struct kv_link *link);
void kv_link_close(struct kv_link *link);

/* Up to KV_BATCH frames, which stay until kv_link_release. `large` are KV_BATCH buffers of KV_LARGE_BUFFER bytes for those that
 * do not fit into a slot of the ring. What had to be left out is added to `lost`. */
unsigned kv_link_receive(struct kv_link *link, struct kv_frame *frames, uint8_t *large, uint64_t *lost);
void kv_link_release(struct kv_link *link);
/* Frames that came while the ring was full, since the last call. */
uint64_t kv_link_overruns(const struct kv_link *link);

/* Sends up to KV_BATCH frames; adds up what went. Returns how many did not. */
unsigned kv_link_send(struct kv_link *link, struct kv_outgoing *const *frames, unsigned count, uint64_t *packets,
                      uint64_t *bytes);

#endif
