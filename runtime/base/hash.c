/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/base/hash.h"

#include <isa-l/crc.h>
#include <limits.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

/* Inlined with a constant length, XXH3 of eight bytes is a dozen instructions without a branch. */
uint64_t hash64(const void *data, size_t n)
{
    return WEIR_LIKELY(n == 8) ? XXH3_64bits(data, 8) : XXH3_64bits(data, n);
}

uint64_t hash64_seed(const void *data, size_t n, uint64_t seed)
{
    return XXH3_64bits_withSeed(data, n, seed);
}

void hash_keys(struct weir_key *keys, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (WEIR_LIKELY(keys[i].length == 8)) {
            keys[i].hash = XXH3_64bits(keys[i].data, 8);
        } else {
            keys[i].hash = XXH3_64bits(keys[i].data, keys[i].length);
        }
    }
}

struct hash128_state *hash128_new(void)
{
    XXH3_state_t *state = XXH3_createState();
    if (state) XXH3_128bits_reset(state);
    return (struct hash128_state *)state;
}

void hash128_free(struct hash128_state *state)
{
    XXH3_freeState((XXH3_state_t *)state);
}

void hash128_add(struct hash128_state *state, const void *data, size_t n)
{
    XXH3_128bits_update((XXH3_state_t *)state, data, n);
}

struct hash128 hash128_get(const struct hash128_state *state)
{
    XXH128_hash_t hash = XXH3_128bits_digest((const XXH3_state_t *)state);
    return (struct hash128){hash.low64, hash.high64};
}

uint32_t crc32c(uint32_t crc, const void *data, size_t n)
{
    const unsigned char *at = data;
    uint32_t state = ~crc; /* isa-l leaves both inversions to its caller */
    while (n > 0) {
        int part = n > INT_MAX ? INT_MAX : (int)n;
        state = crc32_iscsi((unsigned char *)(uintptr_t)at, part, state);
        at += part;
        n -= (size_t)part;
    }
    return ~state;
}
