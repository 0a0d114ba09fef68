/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of keyed state share: a random generator, checks that name the seed, and a universe of keys. */
#ifndef WEIR_TESTS_UNIT_STATE_ORACLE_H
#define WEIR_TESTS_UNIT_STATE_ORACLE_H

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/base/hash.h"
#include "weir/operator.h"

static uint64_t current_seed;

static inline void check(bool holds, const char *condition, const char *file, int line)
{
    if (holds) return;
    print_error("seed %" PRIu64 ": not true: %s\n", current_seed, condition);
    _fail(file, line);
}
#define CHECK(cond) check((cond), #cond, __FILE__, __LINE__)

struct rng {
    uint64_t state;
};

/* splitmix64 */
static inline uint64_t draw(struct rng *r)
{
    uint64_t x = r->state += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static inline uint32_t below(struct rng *r, uint32_t n)
{
    return (uint32_t)(draw(r) % n);
}

#define KEYS 500u
#define KEY_ROOM 320u

enum hashing { HASH_GOOD, HASH_EQUAL, HASH_TAG_EQUAL, HASH_FEW, HASHINGS };

struct universe {
    struct weir_key keys[KEYS];
    unsigned char bytes[KEYS][KEY_ROOM];
};

static inline uint64_t hash_as(enum hashing hashing, const struct weir_key *key)
{
    uint64_t good = hash64(key->data, key->length);
    switch (hashing) {
    case HASH_EQUAL: return 0;
    case HASH_TAG_EQUAL: return (good & 0xffffffff00000000u) | 0xfffffff0u; /* one home, the last of any table: sequences wrap */
    case HASH_FEW: return (good % 7) * 0x9249249249249249u;
    default: return good;
    }
}

/* Different keys of 0 ... 300 bytes, many of 8. */
static inline void make_universe(struct universe *u, struct rng *r, enum hashing hashing)
{
    for (uint32_t i = 0; i < KEYS; i++) {
        uint32_t length = i == 0 ? 0 : i == 1 ? 1 : i % 2 ? 8 : 2 + below(r, 299);
        for (uint32_t k = 0; k < length; k++) u->bytes[i][k] = (unsigned char)draw(r);
        if (length >= 2) {
            u->bytes[i][length - 2] = (unsigned char)(i >> 8); /* two keys of a length differ, here at least */
            u->bytes[i][length - 1] = (unsigned char)i;
        }
        u->keys[i] = (struct weir_key){.data = u->bytes[i], .length = length};
        u->keys[i].hash = hash_as(hashing, &u->keys[i]);
    }
}

#endif
