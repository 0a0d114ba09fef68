/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The timers of one operator instance in one time domain: a set of (key, time, tag), taken out in order of time, then of setting.
 *
 * A 4-ary heap (LaMarca and Ladner, "The influence of caches on the performance of heaps", 1996: four children lie side by side and the
 * heap is half as deep) of times and entries, and a table from (time, tag, key) to the place in the heap. The table makes setting a timer
 * twice one look-up, and deleting one a step to its place instead of a search.
 * Embedded value. Owner: one thread. Limit: UINT32_MAX - 1 timers; a further one fails as without memory.
 */
#ifndef WEIR_RUNTIME_STATE_TIMERS_H
#define WEIR_RUNTIME_STATE_TIMERS_H

#include "runtime/state/table.h"

#define TIMERS_PREFIX 16u /* time and tag, in front of the key's bytes in the table */

struct timers_node {
    weir_time time_ms;
    uint64_t seq; /* order of setting */
    struct table_entry *entry;
};

/* Value of the table. */
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
    uint64_t seq;
    struct table table;         /* time, tag, key -> struct timers_place */
    struct timers_bytes name;   /* time, tag, key of the timer looked for */
    struct timers_bytes popped; /* time, tag, key of the timer given last */
    struct timers_bytes spare;  /* replaces `popped` at the next pop, when a longer key has been set meanwhile */
    struct weir_key key;        /* of the timer given last; lies in popped */
    struct memory *memory;
};

/* `memory` is kept. */
void timers_init(struct timers *t, struct memory *memory);
void timers_close(struct timers *t); /* accepts a zeroed one */

/* Sets a timer; one that is set already stays as it is. Errors: WEIR_E_NOMEM, WEIR_E_LIMIT (key above WEIR_KEY_MAX); nothing changed. */
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
