/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which keys may have something due, in order of time: a calendar. Times to come are cut in buckets, each a table of keys in the state, so
 * that they may leave memory and come back after a restore; the bucket that the watermark is in is laid open as a heap. Cheaper than a
 * timer a key: what comes later costs an insertion, not a place in one order of all.
 *
 * A key may stand in several buckets; its owner knows which of them counts. Owner: the operator.
 */
#ifndef WEIR_RUNTIME_OPERATOR_WINDOW_DUE_H
#define WEIR_RUNTIME_OPERATOR_WINDOW_DUE_H

#include "weir/weir.h"

struct window_due_node;

struct window_due {
    struct weir_panes *panes;
    int64_t width_ms;
    int64_t open; /* the bucket laid open, INT64_MIN: none yet; times before its end go into the heap */
    bool laying;  /* its keys are still being looked at, up to `cursor` */
    uint64_t cursor;
    struct weir_table *table; /* of the open bucket; NULL: it has none */
    struct window_due_node *heap;
    uint32_t n, cap;
    uint64_t seq;
    unsigned char *keys; /* bytes of the heap's keys, one behind the other until the bucket is through */
    size_t n_keys, cap_keys;
    unsigned char *popped; /* the key given last */
    uint32_t cap_popped;
};

/* width_ms: > 0. Errors: of weir_panes_open. */
weir_err window_due_open(struct window_due *due, struct weir_ctx *ctx, int64_t width_ms);
void window_due_close(struct window_due *due);

/* Notes that the current key may have something due at `time`, which is below WEIR_TIME_MAX. Errors: WEIR_E_NOMEM, of the state. */
weir_err window_due_set(struct window_due *due, struct weir_ctx *ctx, weir_time time);

/* The bucket of a time: what says whether a note counts. */
int64_t window_due_bucket(const struct window_due *due, weir_time time);

/*
 * Asks for a key of the bucket being laid open: the time that it was noted for, moved into a later bucket by the asked if it is not due in
 * this one. false: nothing is due in this bucket.
 */
typedef bool (*window_due_ask)(void *owner, struct weir_ctx *ctx, const struct weir_key *key, int64_t bucket, weir_time *time,
                               weir_err *err);

/*
 * Takes the earliest key out that is noted for a time up to `until`; the key is valid until the next call. *found is false when there is
 * none. Errors: WEIR_AGAIN (a pause: call again), WEIR_E_NOMEM, of the state.
 */
weir_err window_due_pop(struct window_due *due, struct weir_ctx *ctx, weir_time until, window_due_ask ask, void *owner,
                        struct weir_key *key, weir_time *time, bool *found);

#endif
