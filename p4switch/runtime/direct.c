/* What entries carry beside key and action: direct counters and meters, timeouts, and the notes of their clients. */
#include <stdlib.h>

#include "control.h"

/* Puts a meter into its initial state; NULL makes every packet green. The caller keeps packets out of a meter in use. */
void kv_meter_configure(struct kv_meter *meter, const struct kv_meter_config *config, uint64_t now_us)
{
    struct kv_counter marked[KV_COLOURS];
    memcpy(marked, meter->marked, sizeof marked);
    memset(meter, 0, sizeof *meter);
    memcpy(meter->marked, marked, sizeof marked);
    if (!config)
        return;
    meter->since = now_us;
    for (unsigned i = 0; i < KV_MAX_RATES; i++) {
        meter->rate[i].per_microsecond = config->per_microsecond[i];
        meter->rate[i].burst = meter->rate[i].tokens = config->burst[i];
    }
    memcpy(meter->written, config->written, sizeof meter->written);
    __atomic_store_n(&meter->marker, (uint8_t)config->marker, __ATOMIC_RELEASE);
}

static bool has_direct(const struct kv_table_spec *spec, const struct kv_target *target)
{
    return spec->counters || spec->meter_rates || spec->timeouts || target->note_length || target->idle_timeout_ns;
}

static int note_make(const struct kv_target *target, struct kv_note **note)
{
    *note = NULL;
    if (!target->note_length)
        return KV_OK;
    if (!(*note = malloc(sizeof **note + target->note_length)))
        return KV_OUT_OF_MEMORY;
    (*note)->length = target->note_length;
    memcpy((*note)->bytes, target->note, target->note_length);
    return KV_OK;
}

/* What a new entry carries; NULL if that is nothing. */
int kv_direct_new(const struct kv_table_spec *spec, const struct kv_target *target, struct kv_direct **result)
{
    *result = NULL;
    if (!has_direct(spec, target))
        return KV_OK;
    struct kv_direct *direct = calloc(1, sizeof *direct + (spec->meter_rates ? sizeof direct->meter[0] : 0));
    if (!direct || note_make(target, &direct->note) != KV_OK) {
        free(direct);
        return KV_OUT_OF_MEMORY;
    }
    direct->idle_timeout_ns = target->idle_timeout_ns;
    direct->last_hit_us = target->now_us;
    if (target->counter)
        direct->counter = *target->counter;
    if (target->meter)
        kv_meter_configure(direct->meter, target->meter, target->now_us);
    *result = direct;
    return KV_OK;
}

/* Takes over what a modification says; packets do not look at what changes here. `fresh` is what the entry's new version
 * carries: `old`, or something new if that was nothing. */
int kv_direct_modify(const struct kv_table_spec *spec, const struct kv_target *target, struct kv_direct *old,
                     struct kv_direct **fresh)
{
    if (!old)
        return kv_direct_new(spec, target, fresh);
    struct kv_note *note;
    int status = note_make(target, &note);
    if (status != KV_OK)
        return status;
    free(old->note);
    old->note = note;
    old->idle_timeout_ns = target->idle_timeout_ns;
    *fresh = old;
    return KV_OK;
}

void kv_direct_free(struct kv_direct *direct)
{
    if (direct)
        free(direct->note);
    free(direct);
}

/* An entry was unpublished: packets may still count in what it carries. */
void kv_direct_retire(struct kv_garbage *garbage, struct kv_direct *direct)
{
    if (direct) {
        free(direct->note);
        direct->note = NULL;
    }
    kv_retire(garbage, direct);
}
