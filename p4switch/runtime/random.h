/* Numbers for the program's random(): fast and well spread, not secret. */
#ifndef KV_RANDOM_H
#define KV_RANDOM_H

#include "kulvert.h"

/* A number from low to high, both included. */
static inline uint64_t kv_random(struct kv_ctx *ctx, uint64_t low, uint64_t high)
{
    uint64_t z = (ctx->random += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    z ^= z >> 31;
    uint64_t span = high - low + 1;
    return span ? low + (uint64_t)(((kv_u128)z * span) >> 64) : z;
}

#endif
