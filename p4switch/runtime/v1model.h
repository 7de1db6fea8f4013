/* The v1model architecture around a generated program, in the order of simple_switch: parser, checksum verification,
 * ingress, then clone, digest, resubmit, multicast, drop or unicast; egress, clone, drop, checksum update and deparser,
 * recirculate or transmit.
 *
 * Included at the end of the generated file, which has defined `struct phv`, an accessor for each intrinsic field,
 * kv_parse, kv_ingress, kv_egress, kv_deparse, kv_reset_metadata, kv_reset_headers, kv_copy_fields, kv_store_digest and
 * kv_hint_hashes.
 */
#ifndef KV_V1MODEL_H
#define KV_V1MODEL_H

#include "packet.h"
#include "trace.h"

enum kv_instance {
    KV_NORMAL = 0,
    KV_INGRESS_CLONE = 1,
    KV_EGRESS_CLONE = 2,
    KV_RECIRCULATED = 4,
    KV_REPLICATION = 5,
    KV_RESUBMITTED = 6,
};

/* A packet that goes round more often than this is dropped: a loop in a program must not stop the switch. */
#define KV_MAX_JOBS 4096

struct kv_job {
    struct kv_job *next;
    bool egress;
    uint32_t port;
    struct kv_packet packet;
};

struct kv_jobs {
    struct kv_job *head, **tail;
    uint32_t count;
};

static void kv_to_egress(struct kv_ctx *ctx, struct kv_packet *packet, uint32_t port, struct kv_jobs *jobs);

static void kv_forget_requests(struct kv_packet *packet)
{
    packet->clone_session = packet->clone_fields = 0;
    packet->resubmit = packet->recirculate = packet->digest = 0;
    packet->class_of_service = 0;
    packet->exited = false;
}

/* A copy with its own bytes (data, length) and its own headers; NULL when memory is short. */
static struct kv_job *kv_copy(struct kv_ctx *ctx, const struct kv_packet *packet, const uint8_t *data, uint32_t length,
                              bool with_phv, struct kv_jobs *jobs)
{
    if (++jobs->count > KV_MAX_JOBS) {
        ctx->dropped_loop++;
        KV_TRACE(KV_TRACE_DROP, 3);
        return NULL;
    }
    struct kv_job *job = ctx->alloc(ctx, sizeof *job);
    struct phv *phv = ctx->alloc(ctx, sizeof *phv);
    uint8_t *buffer = ctx->alloc(ctx, KV_HEADROOM + (size_t)length + KV_TAILROOM);
    if (!job || !phv || !buffer) {
        ctx->dropped_exhausted++;
        return NULL;
    }
    if (with_phv)
        memcpy(phv, packet->phv, sizeof *phv);
    else
        memset(phv, 0, sizeof *phv);
    memcpy(buffer + KV_HEADROOM, data, length);
    job->next = NULL;
    job->packet = *packet;
    job->packet.phv = phv;
    job->packet.start = buffer;
    job->packet.data = job->packet.frame = buffer + KV_HEADROOM;
    job->packet.length = job->packet.frame_length = length;
    job->packet.truncate = KV_NO_TRUNCATION;
    kv_forget_requests(&job->packet);
    return job;
}

static void kv_enqueue(struct kv_jobs *jobs, struct kv_job *job)
{
    *jobs->tail = job;
    jobs->tail = &job->next;
}

/* `now`: at once, in front of the original; else after it. `priority` 0 leaves the packet its own. */
static void kv_replicate(struct kv_ctx *ctx, const struct kv_packet *packet, uint32_t port, uint32_t rid, uint32_t truncate,
                         uint32_t priority, bool now, struct kv_jobs *jobs)
{
    struct kv_job *job = kv_copy(ctx, packet, packet->data, packet->length, true, jobs);
    if (!job)
        return;
    kv_set_egress_rid(job->packet.phv, rid);
    if (priority)
        kv_set_priority(job->packet.phv, priority);
    job->packet.class_of_service = priority;
    job->packet.truncate = truncate ? truncate : KV_NO_TRUNCATION;
    if (now) {
        kv_to_egress(ctx, &job->packet, port, jobs);
        return;
    }
    job->egress = true;
    job->port = port;
    kv_enqueue(jobs, job);
}

static void kv_clone_to_session(struct kv_ctx *ctx, const struct kv_packet *packet, uint32_t id, bool now,
                                struct kv_jobs *jobs)
{
    const struct kv_clone_session *session = ctx->clone_session(ctx, id);
    for (uint32_t i = 0; session && i < session->count; i++)
        kv_replicate(ctx, packet, session->replicas[i].port, session->replicas[i].instance, session->truncate,
                     session->class_of_service, now, jobs);
}

/* The clone of a packet as it came in: parsed again, with the fields of the list and nothing else kept. */
static void kv_clone_ingress(struct kv_ctx *ctx, const struct kv_packet *packet, struct kv_jobs *jobs)
{
    struct kv_job *job = kv_copy(ctx, packet, packet->frame, packet->frame_length, false, jobs);
    if (!job)
        return;
    struct phv *phv = job->packet.phv;
    kv_set_ingress_port(phv, packet->ingress_port);
    job->packet.packet_length = packet->frame_length;
    kv_parse(ctx, &job->packet, phv);
    kv_reset_metadata(phv);
    kv_copy_fields(packet->clone_fields, phv, packet->phv);
    kv_set_instance_type(phv, KV_INGRESS_CLONE);
    kv_clone_to_session(ctx, &job->packet, packet->clone_session & ~KV_CLONE_REQUESTED, true, jobs);
}

static void kv_clone_egress(struct kv_ctx *ctx, const struct kv_packet *packet, struct kv_jobs *jobs)
{
    struct kv_job *job = kv_copy(ctx, packet, packet->data, packet->length, true, jobs);
    if (!job)
        return;
    struct phv *phv = job->packet.phv;
    kv_reset_metadata(phv);
    kv_copy_fields(packet->clone_fields, phv, packet->phv);
    kv_set_instance_type(phv, KV_EGRESS_CLONE);
    kv_clone_to_session(ctx, &job->packet, packet->clone_session & ~KV_CLONE_REQUESTED, false, jobs);
}

static void kv_resubmit(struct kv_ctx *ctx, const struct kv_packet *packet, struct kv_jobs *jobs)
{
    struct kv_job *job = kv_copy(ctx, packet, packet->frame, packet->frame_length, false, jobs);
    if (!job)
        return;
    kv_copy_fields(packet->resubmit, job->packet.phv, packet->phv);
    kv_set_instance_type(job->packet.phv, KV_RESUBMITTED);
    kv_set_packet_length(job->packet.phv, packet->frame_length);
    job->packet.packet_length = packet->frame_length;
    job->egress = false;
    kv_enqueue(jobs, job);
}

/* The whole packet goes round: a truncation is for what leaves. */
static void kv_recirculate(struct kv_ctx *ctx, const struct kv_packet *packet, struct kv_jobs *jobs)
{
    uint32_t length = packet->length;
    struct kv_job *job = kv_copy(ctx, packet, packet->data, length, false, jobs);
    if (!job)
        return;
    kv_copy_fields(packet->recirculate, job->packet.phv, packet->phv);
    kv_set_instance_type(job->packet.phv, KV_RECIRCULATED);
    kv_set_packet_length(job->packet.phv, length);
    job->packet.packet_length = job->packet.ingress_length = length;
    job->egress = false;
    kv_enqueue(jobs, job);
}

static inline void kv_run_ingress(struct kv_ctx *ctx, struct kv_packet *packet, struct kv_jobs *jobs)
{
    struct phv *phv = packet->phv;
    KV_TRACE(KV_TRACE_INGRESS, 0, packet->ingress_port);
    kv_parse(ctx, packet, phv);
    kv_set_parser_error(phv, packet->parser_error);
    kv_set_checksum_error(phv, packet->checksum_error);
    kv_ingress(ctx, packet, phv);
    packet->exited = false;

    uint32_t egress_spec = (uint32_t)kv_get_egress_spec(phv), group = (uint32_t)kv_get_mcast_grp(phv);
    if (KV_UNLIKELY(packet->clone_session)) {
        KV_TRACE(KV_TRACE_CLONE, 0, packet->clone_session & ~KV_CLONE_REQUESTED);
        kv_clone_ingress(ctx, packet, jobs);
        packet->clone_session = packet->clone_fields = 0;
    }
    if (KV_UNLIKELY(packet->digest)) {
        KV_TRACE(KV_TRACE_DIGEST, 0, packet->digest);
        kv_store_digest(ctx, packet->digest, phv);
    }
    if (KV_UNLIKELY(packet->resubmit)) {
        KV_TRACE(KV_TRACE_RESUBMIT, 0, packet->resubmit);
        kv_resubmit(ctx, packet, jobs);
        return;
    }
    if (KV_UNLIKELY(group)) {
        const struct kv_multicast_view *view = ctx->multicast(ctx, group);
        KV_TRACE(KV_TRACE_MULTICAST, 0, group, view ? view->count : 0);
        kv_set_instance_type(phv, KV_REPLICATION);
        for (uint32_t i = 0; view && i < view->count; i++)
            kv_replicate(ctx, packet, view->replicas[i].port, view->replicas[i].instance, 0, 0, true, jobs);
        return;
    }
    if (egress_spec == ctx->drop_port) {
        ctx->dropped_ingress++;
        KV_TRACE(KV_TRACE_DROP, 0);
        return;
    }
    kv_set_instance_type(phv, KV_NORMAL);
    kv_to_egress(ctx, packet, egress_spec, jobs);
}

static inline void kv_run_egress(struct kv_ctx *ctx, struct kv_packet *packet, uint32_t port, const struct kv_waited *waited,
                                 struct kv_jobs *jobs)
{
    struct phv *phv = packet->phv;
    KV_TRACE(KV_TRACE_EGRESS, 0, port);
    kv_set_enq_timestamp(phv, waited->enqueued_us);
    kv_set_enq_qdepth(phv, waited->enqueued_depth);
    kv_set_egress_global_timestamp(phv, ctx->now_us);
    kv_set_deq_timedelta(phv, ctx->now_us - waited->enqueued_us);
    kv_set_deq_qdepth(phv, waited->dequeued_depth);
    kv_set_qid(phv, waited->queue);
    kv_set_egress_port(phv, port);
    kv_set_egress_spec(phv, ctx->drop_port + 1);
    kv_set_packet_length(phv, packet->packet_length);
    kv_egress(ctx, packet, phv);
    if (KV_UNLIKELY(packet->clone_session)) {
        KV_TRACE(KV_TRACE_CLONE, 1, packet->clone_session & ~KV_CLONE_REQUESTED);
        kv_clone_egress(ctx, packet, jobs);
        packet->clone_session = packet->clone_fields = 0;
    }
    if (kv_get_egress_spec(phv) == ctx->drop_port) {
        ctx->dropped_egress++;
        KV_TRACE(KV_TRACE_DROP, 1);
        return;
    }
    if (!kv_deparse(ctx, packet, phv)) {
        KV_TRACE(KV_TRACE_DROP, 2);
        ctx->dropped_headroom++;
        return;
    }
    if (KV_UNLIKELY(packet->recirculate)) {
        KV_TRACE(KV_TRACE_RECIRCULATE, 0, packet->recirculate);
        kv_recirculate(ctx, packet, jobs);
        return;
    }
    uint32_t length = packet->length < packet->truncate ? packet->length : packet->truncate;
    KV_TRACE(KV_TRACE_OUT, 0, port, length);
    ctx->emit(ctx, port, packet->data, length, packet->offload);
}

/* By way of the queue of the packet's priority, if the port has such. A clone session's class of service is a wish: the highest
 * queue takes what is above it. */
static void kv_to_egress(struct kv_ctx *ctx, struct kv_packet *packet, uint32_t port, struct kv_jobs *jobs)
{
    struct kv_waited waited = {.enqueued_us = ctx->now_us, .queue = (uint32_t)kv_get_priority(packet->phv)};
    if (KV_UNLIKELY(waited.queue >= ctx->queue_count)) {
        if (!packet->class_of_service) {
            ctx->dropped_priority++;
            KV_TRACE(KV_TRACE_DROP, 4);
            return;
        }
        waited.queue = ctx->queue_count - 1;
    }
    if (KV_UNLIKELY(ctx->enqueue != NULL) && !ctx->enqueue(ctx, packet, port, &waited)) {
        KV_TRACE(KV_TRACE_QUEUE, 0, port, waited.queue, waited.enqueued_depth);
        return;
    }
    kv_run_egress(ctx, packet, port, &waited, jobs);
}

/* The hashes of what the tables that `hinted` names would be asked if nothing happened between parser and table. A guess
 * is enough: it only says what memory will be needed. */
static void kv_hint(struct kv_ctx *ctx, const struct kv_frame *frame, uint64_t *hashes)
{
    struct phv *phv = ctx->hint_phv;
    struct kv_packet packet = {
        .phv = phv,
        .data = frame->data,
        .length = frame->length,
        .start = frame->start,
        .frame = frame->data,
        .frame_length = frame->length,
        .ingress_port = frame->port,
        .packet_length = frame->length,
    };
    kv_reset_metadata(phv);
    kv_reset_headers(phv);
    kv_set_ingress_port(phv, frame->port);
    kv_parse(ctx, &packet, phv);
    kv_hint_hashes(ctx, phv, hashes);
}

static inline void kv_run_jobs(struct kv_ctx *ctx, struct kv_jobs *jobs)
{
    while (KV_UNLIKELY(jobs->head != NULL)) {
        struct kv_job *job = jobs->head;
        jobs->head = job->next;
        if (!jobs->head)
            jobs->tail = &jobs->head;
        if (job->egress)
            kv_to_egress(ctx, &job->packet, job->port, jobs);
        else
            kv_run_ingress(ctx, &job->packet, jobs);
    }
}

static void kv_process(struct kv_ctx *ctx, struct kv_frame *frame)
{
    struct phv *phv = ctx->phv;
    struct kv_packet packet = {
        .phv = phv,
        .data = frame->data,
        .length = frame->length,
        .start = frame->start,
        .frame = frame->data,
        .frame_length = frame->length,
        .ingress_port = frame->port,
        .ingress_length = frame->length,
        .packet_length = frame->length,
        .truncate = KV_NO_TRUNCATION,
        .offload = frame->offload,
    };
    struct kv_jobs jobs = {.head = NULL, .tail = &jobs.head};
    kv_reset_metadata(phv);
    kv_reset_headers(phv);
    kv_set_ingress_port(phv, frame->port);
    kv_set_packet_length(phv, frame->length);
    kv_set_ingress_global_timestamp(phv, ctx->now_us);
    KV_TRACE(KV_TRACE_BEGIN, 0, frame->port, frame->length, (uint32_t)ctx->now_us, (uint32_t)(ctx->now_us >> 32));
    kv_run_ingress(ctx, &packet, &jobs);
    kv_run_jobs(ctx, &jobs);
    KV_TRACE_END(ctx);
}

static void kv_process_egress(struct kv_ctx *ctx, struct kv_packet *packet, uint32_t port, const struct kv_waited *waited)
{
    struct kv_jobs jobs = {.head = NULL, .tail = &jobs.head};
    KV_TRACE(KV_TRACE_BEGIN, 0, packet->ingress_port, packet->length, (uint32_t)ctx->now_us, (uint32_t)(ctx->now_us >> 32));
    kv_run_egress(ctx, packet, port, waited, &jobs);
    kv_run_jobs(ctx, &jobs);
    KV_TRACE_END(ctx);
}

#endif
