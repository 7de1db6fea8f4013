/* Writes to action profiles: members and groups. Packets reach both through the entries that refer to them. */
#include <stdlib.h>

#include "control.h"

/* Objects by id: open addressing over an array of pointers, NULL is free. Ids are removed by re-placing the cluster. */
#define ID_HASH(id) ((uint32_t)(id) * 2654435769u)

static void **id_slot(void **slots, uint32_t room, uint32_t id, uint32_t (*id_of)(const void *))
{
    uint32_t i = ID_HASH(id) & (room - 1);
    while (slots[i] && id_of(slots[i]) != id)
        i = (i + 1) & (room - 1);
    return &slots[i];
}

static int id_reserve(void ***slots, uint32_t *room, uint32_t count, uint32_t (*id_of)(const void *))
{
    if (*room && (count + 1) * 2 <= *room)
        return KV_OK;
    uint32_t grown = *room ? *room * 2 : 16;
    void **fresh = calloc(grown, sizeof *fresh);
    if (!fresh)
        return KV_OUT_OF_MEMORY;
    for (uint32_t i = 0; i < *room; i++)
        if ((*slots)[i])
            *id_slot(fresh, grown, id_of((*slots)[i]), id_of) = (*slots)[i];
    free(*slots);
    *slots = fresh;
    *room = grown;
    return KV_OK;
}

static void id_remove(void **slots, uint32_t room, void **slot, uint32_t (*id_of)(const void *))
{
    *slot = NULL;
    for (uint32_t i = ((uint32_t)(slot - slots) + 1) & (room - 1); slots[i]; i = (i + 1) & (room - 1)) {
        void *moved = slots[i];
        slots[i] = NULL;
        *id_slot(slots, room, id_of(moved), id_of) = moved;
    }
}

static uint32_t member_id(const void *member)
{
    return ((const struct kv_member *)member)->id;
}

static uint32_t group_id(const void *group)
{
    return ((const struct kv_group *)group)->id;
}

struct kv_member *kv_member_find(struct kv_profile *profile, uint32_t id)
{
    return profile->member_slots ? *id_slot((void **)profile->members, profile->member_slots, id, member_id) : NULL;
}

struct kv_group *kv_group_find(struct kv_profile *profile, uint32_t id)
{
    return profile->group_slots ? *id_slot((void **)profile->groups, profile->group_slots, id, group_id) : NULL;
}

int kv_member_write(struct kv_profile *profile, struct kv_garbage *garbage, uint32_t id, uint32_t action,
                    const uint8_t *args, bool insert)
{
    struct kv_member *member = kv_member_find(profile, id);
    if (insert && member)
        return KV_ALREADY_EXISTS;
    if (!insert && !member)
        return KV_NOT_FOUND;
    if (action >= profile->spec->action_count)
        return KV_INVALID_ARGUMENT;
    if (insert && profile->member_count >= profile->spec->size)
        return KV_RESOURCE_EXHAUSTED;
    const struct kv_action_spec *spec = &profile->spec->actions[action];
    struct kv_member_action *made = calloc(1, sizeof *made + spec->arg_limbs * 8u);
    if (!made)
        return KV_OUT_OF_MEMORY;
    made->action = action;
    kv_unpack(spec->params, spec->param_count, args, made->args);
    if (insert) {
        member = calloc(1, sizeof *member);
        if (!member || id_reserve((void ***)&profile->members, &profile->member_slots, profile->member_count, member_id)) {
            free(made);
            free(member);
            return KV_OUT_OF_MEMORY;
        }
        member->id = id;
        member->current = made;
        *id_slot((void **)profile->members, profile->member_slots, id, member_id) = member;
        profile->member_count++;
        return KV_OK;
    }
    kv_retire(garbage, member->current);
    KV_STORE(&member->current, made);
    return KV_OK;
}

int kv_member_delete(struct kv_profile *profile, struct kv_garbage *garbage, uint32_t id)
{
    struct kv_member *member = kv_member_find(profile, id);
    if (!member)
        return KV_NOT_FOUND;
    if (member->uses)
        return KV_FAILED_PRECONDITION;
    void **slots = (void **)profile->members;
    id_remove(slots, profile->member_slots, id_slot(slots, profile->member_slots, id, member_id), member_id);
    profile->member_count--;
    kv_retire(garbage, member->current);
    kv_retire(garbage, member);
    return KV_OK;
}

/* The members a packet may be sent to, by member id (which is the order of BMv2), each as often as its weight. */
static struct kv_group_view *group_view(struct kv_profile *profile, const struct kv_group *group, kv_port_up up, void *arg)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < group->member_count; i++)
        if (group->members[i].watch_port < 0 || up(arg, group->members[i].watch_port))
            count += group->members[i].weight;
    struct kv_group_view *view = malloc(sizeof *view + count * sizeof view->members[0]);
    if (!view)
        return NULL;
    view->count = 0;
    for (uint32_t i = 0; i < group->member_count; i++) {
        const struct kv_group_member *at = &group->members[i];
        if (at->watch_port < 0 || up(arg, at->watch_port))
            for (uint32_t w = 0; w < at->weight; w++)
                view->members[view->count++] = kv_member_find(profile, at->member_id);
    }
    return view;
}

static int by_member_id(const void *a, const void *b)
{
    uint32_t x = ((const struct kv_group_member *)a)->member_id, y = ((const struct kv_group_member *)b)->member_id;
    return x < y ? -1 : x > y;
}

int kv_group_write(struct kv_profile *profile, struct kv_garbage *garbage, uint32_t id,
                   const struct kv_group_member *members, uint32_t count, bool insert, kv_port_up up, void *arg)
{
    struct kv_group *group = kv_group_find(profile, id);
    if (insert && group)
        return KV_ALREADY_EXISTS;
    if (!insert && !group)
        return KV_NOT_FOUND;
    if (!profile->spec->selector)
        return KV_FAILED_PRECONDITION;
    struct kv_group next = {.id = id, .member_count = count, .members = calloc(count + 1u, sizeof *members)};
    if (!next.members)
        return KV_OUT_OF_MEMORY;
    memcpy(next.members, members, count * sizeof *members);
    qsort(next.members, count, sizeof *members, by_member_id);
    uint64_t weights = 0;
    for (uint32_t i = 0; i < count; i++) {
        weights += next.members[i].weight;
        bool twice = i > 0 && next.members[i].member_id == next.members[i - 1].member_id;
        if (twice || next.members[i].weight == 0 || weights > 1u << 24 || !kv_member_find(profile, next.members[i].member_id)) {
            int status = twice || next.members[i].weight == 0 ? KV_INVALID_ARGUMENT
                         : weights > 1u << 24                 ? KV_RESOURCE_EXHAUSTED
                                                              : KV_NOT_FOUND;
            free(next.members);
            return status;
        }
    }
    struct kv_group_view *view = group_view(profile, &next, up, arg);
    if (insert && view) {
        group = calloc(1, sizeof *group);
        if (group && id_reserve((void ***)&profile->groups, &profile->group_slots, profile->group_count, group_id)) {
            free(group);
            group = NULL;
        }
    }
    if (!view || !group) {
        free(view);
        free(next.members);
        return KV_OUT_OF_MEMORY;
    }
    for (uint32_t i = 0; i < count; i++)
        kv_member_find(profile, next.members[i].member_id)->uses++;
    for (uint32_t i = 0; i < group->member_count; i++)
        kv_member_find(profile, group->members[i].member_id)->uses--;
    free(group->members);
    group->id = id;
    group->members = next.members;
    group->member_count = count;
    kv_retire(garbage, group->current);
    KV_STORE(&group->current, view);
    if (insert) {
        *id_slot((void **)profile->groups, profile->group_slots, id, group_id) = group;
        profile->group_count++;
    }
    return KV_OK;
}

int kv_group_delete(struct kv_profile *profile, struct kv_garbage *garbage, uint32_t id)
{
    struct kv_group *group = kv_group_find(profile, id);
    if (!group)
        return KV_NOT_FOUND;
    if (group->uses)
        return KV_FAILED_PRECONDITION;
    for (uint32_t i = 0; i < group->member_count; i++)
        kv_member_find(profile, group->members[i].member_id)->uses--;
    void **slots = (void **)profile->groups;
    id_remove(slots, profile->group_slots, id_slot(slots, profile->group_slots, id, group_id), group_id);
    profile->group_count--;
    free(group->members);
    kv_retire(garbage, group->current);
    kv_retire(garbage, group);
    return KV_OK;
}

/* Takes members in and out after a port went up or down. */
void kv_groups_refresh(struct kv_profile *profile, struct kv_garbage *garbage, kv_port_up up, void *arg)
{
    for (uint32_t i = 0; i < profile->group_slots; i++) {
        struct kv_group *group = profile->groups[i];
        bool watched = false;
        for (uint32_t m = 0; group && m < group->member_count; m++)
            watched = watched || group->members[m].watch_port >= 0;
        struct kv_group_view *view = watched ? group_view(profile, group, up, arg) : NULL;
        if (view) {
            kv_retire(garbage, group->current);
            KV_STORE(&group->current, view);
        }
    }
}

void kv_profile_free(struct kv_profile *profile)
{
    for (uint32_t i = 0; i < profile->member_slots; i++)
        if (profile->members[i]) {
            free(profile->members[i]->current);
            free(profile->members[i]);
        }
    for (uint32_t i = 0; i < profile->group_slots; i++)
        if (profile->groups[i]) {
            free(profile->groups[i]->current);
            free(profile->groups[i]->members);
            free(profile->groups[i]);
        }
    free(profile->members);
    free(profile->groups);
}
