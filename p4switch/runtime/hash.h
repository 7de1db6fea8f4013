/* Hash algorithms of v1model on simple_switch, over a buffer of bytes. */
#ifndef KV_HASH_H
#define KV_HASH_H

#include "bits.h"
#include "kulvert.h"

/* -- CRCs: reflected, table driven; the tables are made when the object is loaded */

static uint32_t kv_crc32_table[8][256];
static uint16_t kv_crc16_table[256];
static uint16_t kv_crc_ccitt_table[256];

__attribute__((constructor)) static void kv_make_crc_tables(void)
{
    for (unsigned i = 0; i < 256; i++) {
        uint32_t a = i;
        uint16_t b = (uint16_t)i, c = (uint16_t)(i << 8);
        for (unsigned k = 0; k < 8; k++) {
            a = (a & 1) ? (a >> 1) ^ 0xedb88320u : a >> 1;
            b = (uint16_t)((b >> 1) ^ (b & 1 ? 0xa001 : 0));
            c = (uint16_t)((c << 1) ^ (c & 0x8000 ? 0x1021 : 0));
        }
        kv_crc32_table[0][i] = a;
        kv_crc16_table[i] = b;
        kv_crc_ccitt_table[i] = c;
    }
    for (unsigned t = 1; t < 8; t++)
        for (unsigned i = 0; i < 256; i++)
            kv_crc32_table[t][i] = (kv_crc32_table[t - 1][i] >> 8) ^ kv_crc32_table[0][kv_crc32_table[t - 1][i] & 0xff];
}

static inline uint64_t kv_hash_crc32(const uint8_t *p, size_t n)
{
    uint32_t c = 0xffffffffu;
    for (; n >= 8; n -= 8, p += 8) {
        uint64_t v;
        memcpy(&v, p, 8);
        v ^= c;
        c = kv_crc32_table[7][v & 0xff] ^ kv_crc32_table[6][(v >> 8) & 0xff] ^ kv_crc32_table[5][(v >> 16) & 0xff] ^
            kv_crc32_table[4][(v >> 24) & 0xff] ^ kv_crc32_table[3][(v >> 32) & 0xff] ^
            kv_crc32_table[2][(v >> 40) & 0xff] ^ kv_crc32_table[1][(v >> 48) & 0xff] ^ kv_crc32_table[0][v >> 56];
    }
    for (; n; n--, p++)
        c = (c >> 8) ^ kv_crc32_table[0][(c ^ *p) & 0xff];
    return c ^ 0xffffffffu;
}

static inline uint64_t kv_hash_crc16(const uint8_t *p, size_t n)
{
    uint16_t c = 0;
    for (; n; n--, p++)
        c = (uint16_t)((c >> 8) ^ kv_crc16_table[(c ^ *p) & 0xff]);
    return c;
}

static inline uint64_t kv_hash_crcCCITT(const uint8_t *p, size_t n)
{
    uint16_t c = 0xffff;
    for (; n; n--, p++)
        c = (uint16_t)((c << 8) ^ kv_crc_ccitt_table[(c >> 8) ^ *p]);
    return c;
}

/* -- the Internet checksum */

/* Adds the bytes at p to a one's complement sum of 16-bit big-endian words; only the last part may be odd. */
static inline uint64_t kv_sum_bytes(uint64_t sum, const uint8_t *p, size_t n)
{
    for (; n >= 4; n -= 4, p += 4)
        sum += kv_load32(p);
    if (n & 2) {
        sum += kv_load16(p);
        p += 2;
    }
    if (n & 1)
        sum += (uint64_t)*p << 8;
    return sum;
}

static inline uint64_t kv_sum_fold(uint64_t sum)
{
    sum = (sum & 0xffffffffu) + (sum >> 32);
    sum = (sum & 0xffffffffu) + (sum >> 32);
    sum = (sum & 0xffffu) + (sum >> 16);
    sum = (sum & 0xffffu) + (sum >> 16);
    return sum;
}

static inline uint64_t kv_hash_csum16(const uint8_t *p, size_t n)
{
    return ~kv_sum_fold(kv_sum_bytes(0, p, n)) & 0xffff;
}

/* -- the simple ones */

static inline uint64_t kv_hash_xor16(const uint8_t *p, size_t n)
{
    uint64_t h = 0;
    for (; n >= 2; n -= 2, p += 2)
        h ^= kv_load16(p);
    return n ? h ^ (uint64_t)*p << 8 : h;
}

static inline uint64_t kv_hash_xor32(const uint8_t *p, size_t n)
{
    uint64_t h = 0;
    for (size_t i = 0; i < n; i++)
        h ^= (uint64_t)p[i] << (24 - 8 * (i % 4));
    return h;
}

static inline uint64_t kv_hash_identity(const uint8_t *p, size_t n)
{
    uint64_t h = 0;
    for (size_t i = 0; i < n && i < 8; i++)
        h = h << 8 | p[i];
    return h;
}

/* -- XXH64 with seed 0, by its specification (github.com/Cyan4973/xxHash, doc/xxhash_spec.md) */

#define KV_XX1 0x9e3779b185ebca87ull
#define KV_XX2 0xc2b2ae3d27d4eb4full
#define KV_XX3 0x165667b19e3779f9ull
#define KV_XX4 0x85ebca77c2b2ae63ull
#define KV_XX5 0x27d4eb2f165667c5ull

static inline uint64_t kv_rotate64(uint64_t v, unsigned by)
{
    return v << by | v >> (64 - by);
}

static inline uint64_t kv_xx_round(uint64_t lane, uint64_t input)
{
    return kv_rotate64(lane + input * KV_XX2, 31) * KV_XX1;
}

static inline uint64_t kv_little(const uint8_t *p, unsigned bytes)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < bytes; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

static inline uint64_t kv_hash_xxh64(const uint8_t *p, size_t n)
{
    uint64_t h = KV_XX5;
    size_t left = n;
    if (left >= 32) {
        uint64_t lanes[4] = {KV_XX1 + KV_XX2, KV_XX2, 0, 0 - KV_XX1};
        for (; left >= 32; left -= 32, p += 32)
            for (unsigned i = 0; i < 4; i++)
                lanes[i] = kv_xx_round(lanes[i], kv_little(p + 8 * i, 8));
        h = kv_rotate64(lanes[0], 1) + kv_rotate64(lanes[1], 7) + kv_rotate64(lanes[2], 12) + kv_rotate64(lanes[3], 18);
        for (unsigned i = 0; i < 4; i++)
            h = (h ^ kv_xx_round(0, lanes[i])) * KV_XX1 + KV_XX4;
    }
    h += n;
    for (; left >= 8; left -= 8, p += 8)
        h = kv_rotate64(h ^ kv_xx_round(0, kv_little(p, 8)), 27) * KV_XX1 + KV_XX4;
    if (left >= 4) {
        h = kv_rotate64(h ^ kv_little(p, 4) * KV_XX1, 23) * KV_XX2 + KV_XX3;
        left -= 4, p += 4;
    }
    for (; left; left--, p++)
        h = kv_rotate64(h ^ *p * KV_XX5, 11) * KV_XX1;
    h = (h ^ h >> 33) * KV_XX2;
    h = (h ^ h >> 29) * KV_XX3;
    return h ^ h >> 32;
}

/* -- hashes with parameters or a state */

static inline uint64_t kv_reflect(uint64_t value, unsigned bits)
{
    uint64_t r = 0;
    for (unsigned i = 0; i < bits; i++, value >>= 1)
        r = r << 1 | (value & 1);
    return r;
}

static inline uint64_t kv_hash_custom_crc(const struct kv_hash_state *state, const uint8_t *p, size_t n)
{
    unsigned width = state->width;
    uint64_t ones = width < 64 ? (1ull << width) - 1 : ~0ull, r = state->initial & ones;
    for (; n; n--, p++) {
        uint8_t byte = state->reflect_data ? (uint8_t)kv_reflect(*p, 8) : *p;
        r = (state->table[byte ^ (r >> (width - 8))] ^ r << 8) & ones;
    }
    return ((state->reflect_remainder ? kv_reflect(r, width) : r) ^ state->final_xor) & ones;
}

static inline uint64_t kv_hash_toeplitz(const struct kv_hash_state *state, const uint8_t *p, size_t n)
{
    uint32_t h = 0, words = state->key_words;
    for (size_t at = 0; at < n; at += 4) {
        uint32_t word = 0;
        for (unsigned i = 0; i < 4; i++)
            word = word << 8 | (at + i < n ? p[at + i] : 0);
        uint64_t key = (uint64_t)state->key[at / 4 % words] << 32 | state->key[(at / 4 + 1) % words];
        for (unsigned bit = 0; bit < 32; bit++)
            if (word & 0x80000000u >> bit)
                h ^= (uint32_t)(key >> (32 - bit));
    }
    return h;
}

/* The number of an input in the order of first appearance; a new number each time once there are too many. */
static inline uint64_t kv_hash_consistent(struct kv_hash_state *state, const uint8_t *p, size_t n)
{
    uint64_t h = kv_hash_xxh64(p, n) | 1;
    for (uint64_t i = h >> 1, tries = 0; tries < KV_ROUND_ROBIN_INPUTS; i++, tries++) {
        uint64_t *slot = &state->inputs[2 * (i % KV_ROUND_ROBIN_INPUTS)];
        if (slot[0] == h)
            return slot[1];
        if (!slot[0]) {
            slot[0] = h;
            return slot[1] = state->next++;
        }
    }
    return state->next++;
}

static inline uint64_t kv_hash_with_state(struct kv_hash_state *state, const uint8_t *p, size_t n)
{
    switch (state->kind) {
    case KV_HASH_CRC:
        return kv_hash_custom_crc(state, p, n);
    case KV_HASH_TOEPLITZ:
        return kv_hash_toeplitz(state, p, n);
    case KV_HASH_ROUND_ROBIN:
        return __atomic_fetch_add(&state->next, 1, __ATOMIC_RELAXED);
    default:
        return kv_hash_consistent(state, p, n);
    }
}

#endif
