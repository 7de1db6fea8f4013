/* Hashes with parameters: their defaults, and how they are changed. */
#include <stdlib.h>

#include "control.h"

void kv_hash_configure_crc(struct kv_hash_state *state, uint64_t polynomial, uint64_t initial, uint64_t final_xor,
                           bool reflect_data, bool reflect_remainder)
{
    uint64_t top = 1ull << (state->width - 1);
    for (unsigned byte = 0; byte < 256; byte++) {
        uint64_t r = (uint64_t)byte << (state->width - 8);
        for (unsigned bit = 0; bit < 8; bit++)
            r = r & top ? r << 1 ^ polynomial : r << 1;
        state->table[byte] = r;
    }
    state->initial = initial;
    state->final_xor = final_xor;
    state->reflect_data = reflect_data;
    state->reflect_remainder = reflect_remainder;
}

int kv_hashes_init(struct kv_hash_state *states, const struct kv_hash_spec *specs, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct kv_hash_state *state = &states[i];
        state->kind = specs[i].kind;
        state->width = specs[i].width;
        state->key_words = 1;
        if (state->kind == KV_HASH_CRC)
            kv_hash_configure_crc(state, specs[i].polynomial, specs[i].initial, specs[i].final_xor,
                                  specs[i].reflect_data, specs[i].reflect_remainder);
        if (state->kind == KV_HASH_ROUND_ROBIN_CONSISTENT &&
            !(state->inputs = calloc(KV_ROUND_ROBIN_INPUTS, 2 * sizeof *state->inputs)))
            return KV_OUT_OF_MEMORY;
    }
    return KV_OK;
}

void kv_hashes_free(struct kv_hash_state *states, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        free(states[i].inputs);
}
