/* Digests: samples of the pipeline are gathered into lists for the controller (P4Runtime specification, "DigestEntry").
 *
 * A sample is held back while the same one waits in the open list, or is in a list that was sent and neither acknowledged
 * nor older than the time allowed for that. All of it is guarded by the learner's lock, which packet threads take for each
 * sample. */
#include "switch.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define MAX_LIST 4096u          /* samples of a list for which the controller sets no limit */
#define MAX_HELD (1u << 20)     /* samples of one digest that are open or not acknowledged */
#define MAX_READY 4096u         /* lists that the controller has not fetched */

struct sample {
    struct sample *next; /* of the same bucket */
    uint64_t hash;
    uint8_t bytes[];
};

/* A list that was sent, until it is acknowledged. */
struct sent_list {
    uint64_t id, sent_ns;
    uint32_t count;
    struct sample **samples;
};

struct kv_learn {
    uint32_t size; /* bytes of a sample */
    uint32_t index;
    bool enabled;
    uint32_t max_list;
    uint64_t max_timeout_ns, ack_timeout_ns;

    struct sample **buckets;
    uint32_t bucket_count, held;

    uint64_t next_id, since_ns; /* of the open list */
    struct sample **open;
    uint32_t open_count, open_room;

    struct sent_list *sent; /* by rising id, from `first_sent` on */
    uint32_t first_sent, sent_count, sent_room;
};

/* A list on its way to the controller. */
struct kv_digest_list {
    struct kv_digest_list *next;
    uint64_t id, timestamp_ns;
    uint32_t index, count;
    uint8_t samples[];
};

struct kv_learn *kv_learns_new(const struct kv_program *program)
{
    struct kv_learn *learns = calloc(program->digest_count + 1u, sizeof *learns);
    for (unsigned i = 0; learns && i < program->digest_count; i++) {
        learns[i].index = i;
        learns[i].size = program->digests[i].bytes;
        learns[i].next_id = 1;
    }
    return learns;
}

/* -- the set of samples that are held */

static uint64_t hash_bytes(const uint8_t *bytes, uint32_t size)
{
    uint64_t h = 0xcbf29ce484222325ull;
    for (uint32_t i = 0; i < size; i++)
        h = (h ^ bytes[i]) * 0x100000001b3ull;
    return h ^ h >> 29;
}

static struct sample *find(const struct kv_learn *learn, const uint8_t *bytes, uint64_t hash)
{
    if (!learn->bucket_count)
        return NULL;
    for (struct sample *at = learn->buckets[hash & (learn->bucket_count - 1)]; at; at = at->next)
        if (at->hash == hash && memcmp(at->bytes, bytes, learn->size) == 0)
            return at;
    return NULL;
}

static bool grow_buckets(struct kv_learn *learn)
{
    if (learn->held < learn->bucket_count)
        return true;
    uint32_t count = learn->bucket_count ? learn->bucket_count * 2 : 64;
    struct sample **buckets = calloc(count, sizeof *buckets);
    if (!buckets)
        return false;
    for (uint32_t i = 0; i < learn->bucket_count; i++)
        for (struct sample *at = learn->buckets[i], *next; at; at = next) {
            next = at->next;
            at->next = buckets[at->hash & (count - 1)];
            buckets[at->hash & (count - 1)] = at;
        }
    free(learn->buckets);
    learn->buckets = buckets;
    learn->bucket_count = count;
    return true;
}

static void forget(struct kv_learn *learn, struct sample **samples, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct sample **link = &learn->buckets[samples[i]->hash & (learn->bucket_count - 1)];
        while (*link != samples[i])
            link = &(*link)->next;
        *link = samples[i]->next;
        free(samples[i]);
    }
    learn->held -= count;
}

/* -- lists that were sent */

static void drop_sent(struct kv_learn *learn, struct sent_list *list)
{
    forget(learn, list->samples, list->count);
    free(list->samples);
    list->samples = NULL;
    list->count = 0;
    while (learn->sent_count && !learn->sent[learn->first_sent].samples) { /* those dropped out of order, too */
        learn->first_sent++;
        learn->sent_count--;
    }
}

/* Takes over the open list's samples. */
static bool keep_sent(struct kv_learn *learn, uint64_t now_ns)
{
    if (learn->first_sent + learn->sent_count == learn->sent_room) {
        if (learn->first_sent)
            memmove(learn->sent, learn->sent + learn->first_sent, learn->sent_count * sizeof *learn->sent);
        learn->first_sent = 0;
        if (learn->sent_count * 2 >= learn->sent_room) {
            uint32_t room = learn->sent_room ? learn->sent_room * 2 : 16;
            struct sent_list *sent = realloc(learn->sent, room * sizeof *sent);
            if (!sent)
                return false;
            learn->sent = sent;
            learn->sent_room = room;
        }
    }
    learn->sent[learn->first_sent + learn->sent_count++] =
        (struct sent_list){learn->next_id, now_ns, learn->open_count, learn->open};
    learn->open = NULL;
    learn->open_count = learn->open_room = 0;
    return true;
}

static void expire_sent(struct kv_learn *learn, uint64_t now_ns)
{
    while (learn->sent_count && now_ns - learn->sent[learn->first_sent].sent_ns >= learn->ack_timeout_ns)
        drop_sent(learn, &learn->sent[learn->first_sent]);
}

/* -- the open list */

static void close_list(struct kv_learner *learner, struct kv_learn *learn, uint64_t now_ns)
{
    struct kv_digest_list *list = NULL;
    if (learner->ready_count < MAX_READY)
        list = malloc(sizeof *list + (size_t)learn->open_count * learn->size);
    if (list) {
        struct timespec t;
        clock_gettime(CLOCK_REALTIME, &t);
        *list = (struct kv_digest_list){.id = learn->next_id, .index = learn->index, .count = learn->open_count};
        list->timestamp_ns = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
        for (uint32_t i = 0; i < learn->open_count; i++)
            memcpy(list->samples + (size_t)i * learn->size, learn->open[i]->bytes, learn->size);
        *learner->last = list;
        learner->last = &list->next;
        learner->ready_count++;
    } else {
        learner->dropped += learn->open_count;
    }
    if (!list || !learn->ack_timeout_ns || !keep_sent(learn, now_ns)) {
        forget(learn, learn->open, learn->open_count);
        learn->open_count = 0;
    }
    learn->next_id++;
}

static bool is_full(const struct kv_learn *learn)
{
    return !learn->max_timeout_ns || learn->open_count >= (learn->max_list ? learn->max_list : MAX_LIST);
}

static bool add(struct kv_learn *learn, const uint8_t *bytes, uint64_t hash)
{
    if (learn->held >= MAX_HELD || !grow_buckets(learn))
        return false;
    if (learn->open_count == learn->open_room) {
        uint32_t room = learn->open_room ? learn->open_room * 2 : 16;
        struct sample **open = realloc(learn->open, room * sizeof *open);
        if (!open)
            return false;
        learn->open = open;
        learn->open_room = room;
    }
    struct sample *sample = malloc(sizeof *sample + learn->size);
    if (!sample)
        return false;
    struct sample **bucket = &learn->buckets[hash & (learn->bucket_count - 1)];
    sample->hash = hash;
    sample->next = *bucket;
    memcpy(sample->bytes, bytes, learn->size);
    *bucket = sample;
    learn->open[learn->open_count++] = sample;
    learn->held++;
    return true;
}

/* A sample from a packet. */
void kv_learn_sample(struct kv_learner *learner, struct kv_pipeline *pipeline, uint32_t index, const uint8_t *bytes)
{
    struct kv_learn *learn = &pipeline->learns[index];
    if (!__atomic_load_n(&learn->enabled, __ATOMIC_ACQUIRE))
        return;
    uint64_t hash = hash_bytes(bytes, learn->size);
    pthread_mutex_lock(&learner->lock);
    uint64_t now_ns = kv_now_ns();
    expire_sent(learn, now_ns);
    if (learn->enabled && !find(learn, bytes, hash)) {
        if (!add(learn, bytes, hash))
            learner->dropped++;
        else if (is_full(learn))
            close_list(learner, learn, now_ns);
        else if (learn->open_count == 1)
            learn->since_ns = now_ns;
        if (learn->open_count <= 1) /* ready, or the first of a list, which has to be waited for */
            pthread_cond_signal(&learner->changed);
    }
    pthread_mutex_unlock(&learner->lock);
}

/* -- the controller's side */

int kv_learner_init(struct kv_learner *learner)
{
    *learner = (struct kv_learner){.last = &learner->ready};
    pthread_mutex_init(&learner->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    int status = pthread_cond_init(&learner->changed, &attr);
    pthread_condattr_destroy(&attr);
    return status ? KV_OUT_OF_MEMORY : KV_OK;
}

/* Forgets the lists of a pipeline that is being replaced. */
void kv_learner_clear(struct kv_learner *learner)
{
    while (learner->ready) {
        struct kv_digest_list *list = learner->ready;
        learner->ready = list->next;
        free(list);
    }
    learner->last = &learner->ready;
    learner->ready_count = 0;
}

void kv_learner_close(struct kv_learner *learner)
{
    pthread_mutex_lock(&learner->lock);
    learner->closed = true;
    pthread_cond_broadcast(&learner->changed);
    pthread_mutex_unlock(&learner->lock);
}

void kv_learner_free(struct kv_learner *learner)
{
    kv_learner_clear(learner);
    pthread_cond_destroy(&learner->changed);
    pthread_mutex_destroy(&learner->lock);
}

static void clear(struct kv_learn *learn)
{
    while (learn->sent_count)
        drop_sent(learn, &learn->sent[learn->first_sent]);
    forget(learn, learn->open, learn->open_count);
    learn->open_count = 0;
}

void kv_learns_free(struct kv_learn *learns, unsigned count)
{
    for (unsigned i = 0; learns && i < count; i++) {
        clear(&learns[i]);
        free(learns[i].buckets);
        free(learns[i].open);
        free(learns[i].sent);
    }
    free(learns);
}

/* Sets how lists are made; a digest that is not enabled makes none and forgets what it holds. */
void kv_switch_configure_digest(struct kv_switch *sw, struct kv_pipeline *p, uint32_t index, int enabled,
                                uint32_t max_list, uint64_t max_timeout_ns, uint64_t ack_timeout_ns)
{
    struct kv_learn *learn = &p->learns[index];
    pthread_mutex_lock(&sw->learner.lock);
    learn->max_list = max_list;
    learn->max_timeout_ns = max_timeout_ns;
    learn->ack_timeout_ns = ack_timeout_ns;
    __atomic_store_n(&learn->enabled, enabled != 0, __ATOMIC_RELEASE);
    if (!enabled)
        clear(learn);
    else if (learn->open_count && is_full(learn))
        close_list(&sw->learner, learn, kv_now_ns());
    pthread_cond_broadcast(&sw->learner.changed);
    pthread_mutex_unlock(&sw->learner.lock);
}

/* The samples of a list may be sent again from now on. */
int kv_switch_acknowledge_digest(struct kv_switch *sw, struct kv_pipeline *p, uint32_t index, uint64_t id)
{
    struct kv_learn *learn = &p->learns[index];
    int status = KV_NOT_FOUND;
    pthread_mutex_lock(&sw->learner.lock);
    uint32_t low = 0, high = learn->sent_count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (learn->sent[learn->first_sent + middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < learn->sent_count) {
        struct sent_list *list = &learn->sent[learn->first_sent + low];
        if (list->id == id && list->samples) {
            drop_sent(learn, list);
            status = KV_OK;
        }
    }
    pthread_mutex_unlock(&sw->learner.lock);
    return status;
}

/* Closes the lists that have waited long enough; the moment at which the next one has. */
static uint64_t close_due(struct kv_switch *sw, uint64_t now_ns)
{
    struct kv_pipeline *p = sw->pipeline;
    uint64_t next_ns = UINT64_MAX;
    for (unsigned i = 0; p && i < p->program->digest_count; i++) {
        struct kv_learn *learn = &p->learns[i];
        if (!learn->open_count)
            continue;
        if (now_ns - learn->since_ns >= learn->max_timeout_ns)
            close_list(&sw->learner, learn, now_ns);
        else if (learn->since_ns + learn->max_timeout_ns < next_ns)
            next_ns = learn->since_ns + learn->max_timeout_ns;
    }
    return next_ns;
}

/* Waits for a list. 1: it is in `data` (release it), its samples one behind the other; 0: none came; -1: closed. */
int kv_switch_next_digest(struct kv_switch *sw, uint32_t timeout_ms, uint32_t *index, uint64_t *id,
                          uint64_t *timestamp_ns, uint32_t *count, uint8_t **data, uint64_t *length)
{
    struct kv_learner *learner = &sw->learner;
    uint64_t until_ns = kv_now_ns() + timeout_ms * 1000000ull;
    int result = 0;
    pthread_mutex_lock(&learner->lock);
    for (;;) {
        uint64_t now_ns = kv_now_ns(), next_ns = close_due(sw, now_ns);
        if (learner->ready || learner->closed || now_ns >= until_ns)
            break;
        if (until_ns < next_ns)
            next_ns = until_ns;
        struct timespec when = {(time_t)(next_ns / 1000000000u), (long)(next_ns % 1000000000u)};
        pthread_cond_timedwait(&learner->changed, &learner->lock, &when);
    }
    struct kv_digest_list *list = learner->ready;
    if (learner->closed) {
        result = -1;
    } else if (list) {
        *length = (uint64_t)list->count * sw->pipeline->learns[list->index].size;
        if ((*data = malloc(*length + 1))) {
            memcpy(*data, list->samples, *length);
            *index = list->index;
            *id = list->id;
            *timestamp_ns = list->timestamp_ns;
            *count = list->count;
            result = 1;
        }
        if (!(learner->ready = list->next))
            learner->last = &learner->ready;
        learner->ready_count--;
        free(list);
    }
    pthread_mutex_unlock(&learner->lock);
    return result;
}
