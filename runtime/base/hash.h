/* SPDX-License-Identifier: Apache-2.0 */
/* XXH3 of keys and files (the only includer of xxhash.h) and CRC32C of frames and files (the only includer of isa-l). */
#ifndef WEIR_RUNTIME_BASE_HASH_H
#define WEIR_RUNTIME_BASE_HASH_H

#include "weir/operator.h"

uint64_t hash64(const void *data, size_t n); /* XXH3_64bits, seed 0 */
uint64_t hash64_seed(const void *data, size_t n, uint64_t seed);
void hash_keys(struct weir_key *keys, uint32_t n); /* fills keys[i].hash; a fast path for runs of 8-byte keys */

/* XXH3_128bits, seed 0, of what comes in pieces: names files by what is in them. */
struct hash128 {
    uint64_t low, high;
};
struct hash128_state;
struct hash128_state *hash128_new(void); /* NULL: no memory; free it with hash128_free */
void hash128_free(struct hash128_state *state);
void hash128_add(struct hash128_state *state, const void *data, size_t n);
struct hash128 hash128_get(const struct hash128_state *state);

/* Key group of a hash: its upper 15 bits. Part of the ABI and of every savepoint. */
static inline uint16_t hash_key_group(uint64_t hash)
{
    return (uint16_t)(hash >> 49);
}

/* CRC32C (Castagnoli, RFC 3720: reflected, initial and final inversion). crc: 0, or the value so far to go on. */
uint32_t crc32c(uint32_t crc, const void *data, size_t n);

#endif
