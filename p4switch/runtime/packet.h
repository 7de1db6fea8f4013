/* One packet on its way through the generated pipeline: its bytes, and what the pipeline asked to be done with it. */
#ifndef KV_PACKET_H
#define KV_PACKET_H

#include "kulvert.h"

#define KV_CLONE_REQUESTED 0x10000u /* session 0 is a session too */
#define KV_NO_TRUNCATION 0xffffffffu

struct phv; /* headers and metadata, generated */

struct kv_packet {
    struct phv *phv;
    uint8_t *data;    /* what the parser has not consumed */
    uint32_t length;
    uint8_t *start;   /* of the buffer, in front of which headers cannot grow */
    uint8_t *frame;   /* the packet as it came in */
    uint32_t frame_length;
    uint32_t ingress_port;
    uint32_t ingress_length; /* what counters and meters count */
    uint32_t packet_length;  /* follows added and removed headers */
    uint32_t truncate;
    uint32_t clone_session, clone_fields;
    uint32_t resubmit, recirculate, digest;
    uint32_t class_of_service; /* of the clone session that it comes from; 0: none */
    uint32_t parser_error;
    bool checksum_error;
    bool exited;
    struct kv_offload offload;
};

#endif
