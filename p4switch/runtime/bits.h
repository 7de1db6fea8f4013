/* Loads, stores and arithmetic on fields; words of values wider than 128 bits are least significant first. */
#ifndef KV_BITS_H
#define KV_BITS_H

#include "kulvert.h"

static inline uint64_t kv_load64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return __builtin_bswap64(v);
}

static inline uint64_t kv_load32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return __builtin_bswap32(v);
}

static inline uint64_t kv_load16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, 2);
    return __builtin_bswap16(v);
}

static inline void kv_store64(uint8_t *p, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(p, &v, 8);
}

static inline void kv_store32(uint8_t *p, uint64_t v)
{
    uint32_t w = __builtin_bswap32((uint32_t)v);
    memcpy(p, &w, 4);
}

static inline void kv_store16(uint8_t *p, uint64_t v)
{
    uint16_t w = __builtin_bswap16((uint16_t)v);
    memcpy(p, &w, 2);
}

/* The low `n` bits of v as a two's complement number, 0 < n <= 64. */
static inline uint64_t kv_sext64(uint64_t v, unsigned n)
{
    return (uint64_t)((int64_t)(v << (64 - n)) >> (64 - n));
}

static inline kv_u128 kv_sext128(kv_u128 v, unsigned n)
{
    return (kv_u128)((kv_i128)(v << (128 - n)) >> (128 - n));
}

static inline kv_u128 kv_u128_of(uint64_t high, uint64_t low)
{
    return ((kv_u128)high << 64) | low;
}

/* Shifts whose distance is a run-time value: past the width nothing (or the sign) is left. */
static inline uint64_t kv_shl64(uint64_t v, uint64_t n)
{
    return n < 64 ? v << n : 0;
}

static inline uint64_t kv_shr64(uint64_t v, uint64_t n)
{
    return n < 64 ? v >> n : 0;
}

static inline uint64_t kv_sar64(uint64_t v, uint64_t n)
{
    return (uint64_t)((int64_t)v >> (n < 64 ? n : 63));
}

static inline kv_u128 kv_shl128(kv_u128 v, uint64_t n)
{
    return n < 128 ? v << n : 0;
}

static inline kv_u128 kv_shr128(kv_u128 v, uint64_t n)
{
    return n < 128 ? v >> n : 0;
}

static inline kv_u128 kv_sar128(kv_u128 v, uint64_t n)
{
    return (kv_u128)((kv_i128)v >> (n < 128 ? n : 127));
}

/* -- values of n words */

static inline void kv_wide_add(uint64_t *r, const uint64_t *a, const uint64_t *b, unsigned n)
{
    kv_u128 carry = 0;
    for (unsigned i = 0; i < n; i++) {
        carry += (kv_u128)a[i] + b[i];
        r[i] = (uint64_t)carry;
        carry >>= 64;
    }
}

static inline void kv_wide_sub(uint64_t *r, const uint64_t *a, const uint64_t *b, unsigned n)
{
    uint64_t borrow = 0;
    for (unsigned i = 0; i < n; i++) {
        kv_u128 d = (kv_u128)a[i] - b[i] - borrow;
        r[i] = (uint64_t)d;
        borrow = (uint64_t)(d >> 64) & 1;
    }
}

static inline void kv_wide_mul(uint64_t *r, const uint64_t *a, const uint64_t *b, unsigned n)
{
    uint64_t out[256] = {0};
    for (unsigned i = 0; i < n; i++) {
        uint64_t carry = 0;
        for (unsigned j = 0; i + j < n; j++) {
            kv_u128 t = (kv_u128)a[i] * b[j] + out[i + j] + carry;
            out[i + j] = (uint64_t)t;
            carry = (uint64_t)(t >> 64);
        }
    }
    memcpy(r, out, n * 8);
}

static inline void kv_wide_shl(uint64_t *r, const uint64_t *a, uint64_t by, unsigned n)
{
    for (unsigned i = n; i-- > 0;) {
        uint64_t word = by / 64;
        unsigned bit = by % 64;
        uint64_t high = i >= word ? a[i - word] : 0, low = bit && i >= word + 1 ? a[i - word - 1] : 0;
        r[i] = bit ? (high << bit) | (low >> (64 - bit)) : high;
    }
}

/* `fill` is what stands above the top word: 0, or all ones for a negative number. */
static inline void kv_wide_shr(uint64_t *r, const uint64_t *a, uint64_t by, unsigned n, uint64_t fill)
{
    uint64_t word = by / 64;
    unsigned bit = by % 64;
    for (unsigned i = 0; i < n; i++) {
        uint64_t low = word < n && i < n - word ? a[i + word] : fill;
        uint64_t high = word + 1 < n && i < n - word - 1 ? a[i + word + 1] : fill;
        r[i] = bit ? (low >> bit) | (high << (64 - bit)) : low;
    }
}

/* Quotient and remainder, a bit at a time; both are 0 if the divisor is. */
static inline void kv_wide_divide(uint64_t *quotient, uint64_t *rest, const uint64_t *a, const uint64_t *b, unsigned n)
{
    uint64_t any = 0;
    for (unsigned i = 0; i < n; i++) {
        quotient[i] = rest[i] = 0;
        any |= b[i];
    }
    for (unsigned bit = any ? n * 64 : 0; bit-- > 0;) {
        uint64_t carry = rest[n - 1] >> 63; /* into the bit above the top word */
        for (unsigned i = n; i-- > 1;)
            rest[i] = rest[i] << 1 | rest[i - 1] >> 63;
        rest[0] = rest[0] << 1 | (a[bit / 64] >> bit % 64 & 1);
        bool fits = carry;
        for (unsigned i = n; !fits && i-- > 0;) {
            if (rest[i] != b[i]) {
                fits = rest[i] > b[i];
                break;
            }
            fits = i == 0;
        }
        if (!fits)
            continue;
        uint64_t borrow = 0;
        for (unsigned i = 0; i < n; i++) {
            kv_u128 difference = (kv_u128)rest[i] - b[i] - borrow;
            rest[i] = (uint64_t)difference;
            borrow = (uint64_t)(difference >> 64) & 1;
        }
        quotient[bit / 64] |= 1ull << bit % 64;
    }
}

/* -1, 0 or 1; the top word is compared as a signed number if `is_signed`. */
static inline int kv_wide_compare(const uint64_t *a, const uint64_t *b, unsigned n, bool is_signed)
{
    if (is_signed && a[n - 1] != b[n - 1])
        return (int64_t)a[n - 1] < (int64_t)b[n - 1] ? -1 : 1;
    for (unsigned i = n; i-- > 0;)
        if (a[i] != b[i])
            return a[i] < b[i] ? -1 : 1;
    return 0;
}

/* Variable-length fields compare as numbers: a shorter one counts as if filled up with leading zeros. */
static inline bool kv_varlen_equal(const uint8_t *a, uint32_t a_bits, const uint8_t *b, uint32_t b_bits)
{
    uint32_t m = a_bits / 8, n = b_bits / 8;
    for (; m > n; m--)
        if (*a++)
            return false;
    for (; n > m; n--)
        if (*b++)
            return false;
    return memcmp(a, b, m) == 0;
}

/* -- bits at any bit offset, for what is not known when the code is made */

static inline void kv_put_bits(uint8_t *buffer, uint32_t *position, uint64_t value, unsigned bits)
{
    while (bits > 0) {
        unsigned room = 8 - *position % 8, take = bits < room ? bits : room;
        uint8_t *byte = buffer + *position / 8;
        if (room == 8)
            *byte = 0;
        *byte |= (uint8_t)(((value >> (bits - take)) & ((1u << take) - 1)) << (room - take));
        *position += take;
        bits -= take;
    }
}

static inline uint64_t kv_get_bits(const uint8_t *buffer, uint32_t position, unsigned bits)
{
    uint64_t value = 0;
    while (bits > 0) {
        unsigned have = 8 - position % 8, take = bits < have ? bits : have;
        value = (value << take) | ((uint64_t)(buffer[position / 8] >> (have - take)) & ((1u << take) - 1));
        position += take;
        bits -= take;
    }
    return value;
}

/* Bytes at any bit offset. */
static inline void kv_put_bytes(uint8_t *buffer, uint32_t *position, const uint8_t *bytes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        kv_put_bits(buffer, position, bytes[i], 8);
}

static inline void kv_get_bytes(const uint8_t *buffer, uint32_t position, uint8_t *bytes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)kv_get_bits(buffer, position + 8 * i, 8);
}

#endif
