/* The state of one loaded program. */
#include <stdlib.h>
#include <sys/mman.h>

#include "control.h"

#define HUGE_ARRAY (4u << 20)

/* Arrays of registers, counters and meters are mapped, so that memory is taken by the cells in use, not by the size. */
static void *map_array(uint64_t size)
{
    void *memory = mmap(NULL, size ? size : 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    if (size >= HUGE_ARRAY) /* random access to a large array would miss the TLB each time */
        madvise(memory, size, MADV_HUGEPAGE);
    return memory;
}

static void unmap_array(void *memory, uint64_t size)
{
    if (memory)
        munmap(memory, size ? size : 1);
}

struct kv_pipeline *kv_pipeline_new(const struct kv_program *program, uint64_t seed)
{
    struct kv_pipeline *pipeline = calloc(1, sizeof *pipeline);
    if (!pipeline)
        return NULL;
    pipeline->program = program;
    pipeline->tables = calloc(program->table_count + 1u, sizeof *pipeline->tables);
    pipeline->profiles = calloc(program->profile_count + 1u, sizeof *pipeline->profiles);
    pipeline->registers = calloc(program->register_count + 1u, sizeof *pipeline->registers);
    pipeline->counters = calloc(program->counter_count + 1u, sizeof *pipeline->counters);
    pipeline->meters = calloc(program->meter_count + 1u, sizeof *pipeline->meters);
    pipeline->value_sets = calloc(program->value_set_count + 1u, sizeof *pipeline->value_sets);
    pipeline->learns = kv_learns_new(program);
    pipeline->hashes = calloc(program->hash_count + 1u, sizeof *pipeline->hashes);
    bool complete = pipeline->learns && pipeline->hashes && pipeline->tables && pipeline->profiles && pipeline->registers && pipeline->counters &&
                    pipeline->meters && pipeline->value_sets;
    for (unsigned i = 0; complete && i < program->table_count; i++)
        complete = kv_table_init(&pipeline->tables[i], &program->tables[i], seed + i) == KV_OK;
    for (unsigned i = 0; complete && i < program->profile_count; i++)
        pipeline->profiles[i].spec = &program->profiles[i];
    for (unsigned i = 0; complete && i < program->register_count; i++) {
        const struct kv_register_spec *spec = &program->registers[i];
        complete = (pipeline->registers[i] = map_array((uint64_t)spec->size * spec->stride + 64));
    }
    for (unsigned i = 0; complete && i < program->counter_count; i++)
        complete = (pipeline->counters[i] = map_array((uint64_t)program->counters[i].size * sizeof(struct kv_counter)));
    for (unsigned i = 0; complete && i < program->meter_count; i++)
        complete = (pipeline->meters[i] = map_array((uint64_t)program->meters[i].size * sizeof(struct kv_meter)));
    for (unsigned i = 0; complete && i < program->value_set_count; i++)
        pipeline->value_sets[i].spec = &program->value_sets[i];
    complete = complete && kv_hashes_init(pipeline->hashes, program->hashes, program->hash_count) == KV_OK;
    if (!complete) {
        kv_pipeline_free(pipeline);
        return NULL;
    }
    return pipeline;
}

void kv_pipeline_free(struct kv_pipeline *pipeline)
{
    const struct kv_program *program = pipeline->program;
    for (unsigned i = 0; pipeline->tables && i < program->table_count; i++)
        if (pipeline->tables[i].spec)
            kv_table_free(&pipeline->tables[i]);
    for (unsigned i = 0; pipeline->profiles && i < program->profile_count; i++)
        if (pipeline->profiles[i].spec)
            kv_profile_free(&pipeline->profiles[i]);
    for (unsigned i = 0; pipeline->registers && i < program->register_count; i++)
        unmap_array(pipeline->registers[i], (uint64_t)program->registers[i].size * program->registers[i].stride + 64);
    for (unsigned i = 0; pipeline->counters && i < program->counter_count; i++)
        unmap_array(pipeline->counters[i], (uint64_t)program->counters[i].size * sizeof(struct kv_counter));
    for (unsigned i = 0; pipeline->meters && i < program->meter_count; i++)
        unmap_array(pipeline->meters[i], (uint64_t)program->meters[i].size * sizeof(struct kv_meter));
    for (unsigned i = 0; pipeline->value_sets && i < program->value_set_count; i++)
        free(pipeline->value_sets[i].current);
    kv_learns_free(pipeline->learns, program->digest_count);
    if (pipeline->hashes)
        kv_hashes_free(pipeline->hashes, program->hash_count);
    free(pipeline->hashes);
    free(pipeline->tables);
    free(pipeline->profiles);
    free(pipeline->registers);
    free(pipeline->counters);
    free(pipeline->meters);
    free(pipeline->value_sets);
    free(pipeline);
}
