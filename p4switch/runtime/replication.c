/* Multicast groups and clone sessions; count 0 removes. */
#include "switch.h"

#include <stdlib.h>

/* Of each replica the most preferred one whose port is up. With all of them down the first is sent, to be lost at its
 * port: egress processing does not depend on the state of ports. */
static struct kv_multicast_view *multicast_view(struct kv_switch *sw, const struct kv_multicast_group *group)
{
    struct kv_multicast_view *view = malloc(sizeof *view + group->count * sizeof *view->replicas);
    if (!view)
        return NULL;
    view->count = 0;
    for (uint32_t i = 0; i < group->count;) {
        uint32_t end = i + 1, chosen = i;
        while (end < group->count && group->written[end].backup)
            end++;
        for (uint32_t at = i; end > i + 1 && at < end; at++)
            if (kv_switch_port_up(sw, (int32_t)group->written[at].replica.port)) {
                chosen = at;
                break;
            }
        view->replicas[view->count++] = group->written[chosen].replica;
        i = end;
    }
    return view;
}

int kv_switch_multicast(struct kv_switch *sw, uint32_t id, const struct kv_backed_replica *replicas, uint32_t count)
{
    if (id == 0 || id >= KV_MULTICAST_GROUPS)
        return KV_INVALID_ARGUMENT;
    struct kv_multicast_group *group = NULL;
    pthread_mutex_lock(&sw->writers);
    if (count) {
        group = malloc(sizeof *group + count * sizeof *replicas);
        if (group) {
            group->count = count;
            memcpy(group->written, replicas, count * sizeof *replicas);
            group->current = multicast_view(sw, group);
        }
        if (!group || !group->current) {
            free(group);
            pthread_mutex_unlock(&sw->writers);
            return KV_OUT_OF_MEMORY;
        }
    }
    struct kv_multicast_group *old = sw->multicast[id];
    if (old)
        kv_retire(&sw->garbage, old->current);
    kv_retire(&sw->garbage, old);
    KV_STORE(&sw->multicast[id], group);
    kv_reclaim(sw, false);
    pthread_mutex_unlock(&sw->writers);
    return KV_OK;
}

static bool has_backups(const struct kv_multicast_group *group)
{
    for (uint32_t i = 0; group && i < group->count; i++)
        if (group->written[i].backup)
            return true;
    return false;
}

void kv_ports_changed(struct kv_switch *sw)
{
    for (unsigned i = 0; sw->pipeline && i < sw->pipeline->program->profile_count; i++)
        kv_groups_refresh(&sw->pipeline->profiles[i], &sw->garbage, kv_switch_port_up, sw);
    for (uint32_t i = 0; i < KV_MULTICAST_GROUPS; i++) {
        struct kv_multicast_view *view = has_backups(sw->multicast[i]) ? multicast_view(sw, sw->multicast[i]) : NULL;
        if (view) {
            kv_retire(&sw->garbage, sw->multicast[i]->current);
            KV_STORE(&sw->multicast[i]->current, view);
        }
    }
}

int kv_switch_clone_session(struct kv_switch *sw, uint32_t id, const struct kv_replica *replicas, uint32_t count,
                            uint32_t truncate, uint32_t class_of_service)
{
    if (id >= KV_CLONE_SESSIONS)
        return KV_INVALID_ARGUMENT;
    struct kv_clone_session *session = count ? malloc(sizeof *session + count * sizeof *replicas) : NULL;
    if (count && !session)
        return KV_OUT_OF_MEMORY;
    if (session) {
        session->truncate = truncate;
        session->count = count;
        session->class_of_service = class_of_service;
        memcpy(session->replicas, replicas, count * sizeof *replicas);
    }
    pthread_mutex_lock(&sw->writers);
    kv_retire(&sw->garbage, sw->clones[id]);
    KV_STORE(&sw->clones[id], session);
    kv_reclaim(sw, false);
    pthread_mutex_unlock(&sw->writers);
    return KV_OK;
}
