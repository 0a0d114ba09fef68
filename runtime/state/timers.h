/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The timers of one operator instance in one time domain: a set of (key, time, tag), taken out in order of time, then of setting.
 *
 * A 4-ary heap (LaMarca and Ladner, "The influence of caches on the performance of heaps", 1996: four children lie side by side and the
 * heap is half as deep) of times and entries, over a store (store.h) whose entries are the timers. The store makes setting a timer twice
 * one look-up, and deleting one a step to its place in the heap instead of a search; it is also how timers are frozen, persisted and
 * restored.
 *
 *     store's key    time, sign bit flipped (8 bytes, big-endian) · tag (8 bytes, big-endian) · the key's bytes
 *     value          the order of setting, from 1 on, so that it survives a restore
 *     extra bytes    struct timers_place, in memory only
 *
 * All timers are always in memory: the heap needs them. An entry joins the heap when it enters the store, whoever made it: a timer being
 * set, or the keeper giving back what was restored (`entered` in timers.c).
 * Owner: one thread. Limit: UINT32_MAX - 1 timers; a further one fails as without memory.
 */
#ifndef WEIR_RUNTIME_STATE_TIMERS_H
#define WEIR_RUNTIME_STATE_TIMERS_H

#include "runtime/state/store.h"

#define TIMERS_PREFIX 16u    /* time and tag, in front of the key's bytes */
#define TIMERS_VALUE_SIZE 8u /* what their family's values have */

struct timers_node {
    weir_time time_ms;
    uint64_t seq; /* order of setting */
    struct table_entry *entry;
};

/* Extra bytes of an entry. */
struct timers_place {
    uint64_t at;       /* index in the heap */
    uint64_t key_hash; /* of the key alone */
};

struct timers_bytes {
    unsigned char *data;
    uint32_t cap;
};

struct timers {
    struct timers_node *heap;
    uint32_t n, cap;
    uint64_t seq; /* of the timer set last */
    struct store *store;
    const struct weir_key *setting; /* key of the timer being set; NULL: what enters the store comes from the keeper */
    bool loading;                   /* many are entering: the heap is put in order afterwards */
    weir_err failed;                /* an entry is in the store and not in the heap */
    struct timers_bytes name;       /* time, tag, key of the timer looked for */
    struct timers_bytes popped;     /* time, tag, key of the timer given last */
    struct timers_bytes spare;      /* replaces `popped` at the next pop, when a longer key has been set meanwhile */
    struct weir_key key;            /* of the timer given last; lies in popped */
    struct state_slot *slot;
    struct memory *memory;
};

/*
 * family: kept; its values have TIMERS_VALUE_SIZE bytes and no time to live. What was restored behind it is there at once, those of one
 * time in the order in which they were set. Errors: the slot's.
 */
weir_err timers_new(struct timers **out, struct family *family);
void timers_destroy(struct timers **timers);

/* Sets a timer; one that is set already stays as it is. Errors: WEIR_E_LIMIT (key above WEIR_KEY_MAX), nothing changed; the slot's. */
weir_err timers_set(struct timers *t, const struct weir_key *key, weir_time time_ms, uint64_t tag);

/* Takes a timer back; one that is not set is no error. */
void timers_delete(struct timers *t, const struct weir_key *key, weir_time time_ms, uint64_t tag);

/* Time of the earliest timer, WEIR_TIME_MAX when there is none. */
weir_time timers_first(const struct timers *t);

/*
 * Takes the earliest timer with time <= until out of the set. *key stays valid until the next call of this function (also while
 * timers are set and deleted). false: there is none, outputs untouched.
 */
bool timers_pop(struct timers *t, weir_time until, weir_time *time_ms, uint64_t *tag, const struct weir_key **key);

#endif
