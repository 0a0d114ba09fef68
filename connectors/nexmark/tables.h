/* SPDX-License-Identifier: Apache-2.0 */
/* The fixed tables of section 3 of docs/reference/nexmark.md, built once a process, and the random numbers of section 2 they come from. */
#ifndef WEIR_CONNECTORS_NEXMARK_TABLES_H
#define WEIR_CONNECTORS_NEXMARK_TABLES_H

#include <stdint.h>

/* ---- random numbers ---------------------------------------------------------------------------------------------------------------- */

/* sm(s, k): output number k of SplitMix64 started at s. */
static inline uint64_t random_word(uint64_t s, uint64_t k)
{
    uint64_t z = s + 0x9e3779b97f4a7c15u * (k + 1);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* hi(x, m), lo(x, m): two independent numbers below m from one word. */
static inline uint32_t random_hi(uint64_t x, uint32_t m)
{
    return (uint32_t)((x >> 32) * m >> 32);
}
static inline uint32_t random_lo(uint64_t x, uint32_t m)
{
    return (uint32_t)((x & UINT32_MAX) * m >> 32);
}

/* ---- tables ------------------------------------------------------------------------------------------------------------------------ */

#define POOL_BYTES 65536u
#define COPY_BYTES 128u /* readable behind each pool: copies in blocks may begin at its last byte */

#define CHANNELS 10004u
#define CHANNELS_NUMBERED 10000u /* the first ones; the others are hot and have names */

/* Two cache lines. Text is copied in blocks of a constant size, so all of a block is readable. */
#define CHANNEL_NAME_BLOCK 16u
#define CHANNEL_URL_BLOCK 80u
struct channel {
    _Alignas(64) char url[CHANNEL_URL_BLOCK];
    char name[CHANNEL_NAME_BLOCK];
    uint32_t url_len, name_len;
};

struct generate_tables {
    char letters[POOL_BYTES + COPY_BYTES]; /* L */
    char text[POOL_BYTES + COPY_BYTES];    /* T */
    struct channel channels[CHANNELS];
};

/* The tables, built by the first caller. Thread: any. */
const struct generate_tables *generate_tables(void);

#define PRICE_STEPS 16u
extern const uint32_t price_mantissas[PRICE_STEPS + 1]; /* round(10^6 * 10^(j/16)) */
extern const uint32_t price_powers[6];                  /* 10^d */

/* price(x), in cents. */
static inline int64_t table_price(uint64_t x)
{
    uint32_t s = random_hi(x, 96), d = s / PRICE_STEPS, j = s % PRICE_STEPS;
    uint64_t m = price_mantissas[j] + ((uint64_t)(price_mantissas[j + 1] - price_mantissas[j]) * (x % 1024) >> 10);
    return (int64_t)(m * price_powers[d] / 10000);
}

/* A word of a list, in a block of constant size. */
struct table_word {
    char text[16];
    uint32_t len;
};
#define FIRST_NAMES 11u
#define LAST_NAMES 9u
#define CITIES 10u
#define STATES 6u
extern const struct table_word first_names[FIRST_NAMES];
extern const struct table_word last_names[LAST_NAMES];
extern const struct table_word cities[CITIES];
extern const struct table_word states[STATES];

#endif
