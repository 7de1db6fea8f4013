/* Hash algorithms of v1model on simple_switch, over a buffer of bytes. */
#ifndef KV_HASH_H
#define KV_HASH_H

#include "bits.h"

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

#endif
