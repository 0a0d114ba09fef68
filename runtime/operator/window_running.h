/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The combination of the slices of the window that fires: a running accumulator per key, so that a window costs what the keys of the slices
 * cost that enter and leave it, whatever its size.
 *
 *     enter(slice)   its accumulators are merged in
 *     leave(slice)   they are taken out again; a key that no slice holds any more is gone
 *     total(key)     the key's accumulator over all slices held
 *
 * Taking out: by the aggregate's `subtract`, with a count of the slices that hold the key beside it, or, without one, by two stacks (the
 * queue of two stacks, as in Tangwongsan, Hirzel, Schneider, "Low-latency sliding-window aggregation in worst-case constant time", DEBS
 * 2017, section 3, a key at a time): slices that enter are merged into `back`; when a slice is to leave and none has been turned, all held
 * ones are turned, newest first: each entry gets a suffix, the combination of the key's entries from it to the last one turned, and the
 * place of the next of them. `front` is the suffix of the key's oldest entry; when that leaves, the next one's takes its place. So an entry
 * is merged twice in its life.
 *
 * All of this is derived from the slices: after a restore it is made anew. It lies in the state nevertheless, for its memory.
 * Work on a slice goes on where it stopped: each function that scans looks at a bounded number of entries, then says WEIR_AGAIN.
 */
#ifndef WEIR_RUNTIME_OPERATOR_WINDOW_RUNNING_H
#define WEIR_RUNTIME_OPERATOR_WINDOW_RUNNING_H

#include "runtime/operator/window_slices.h"

struct window_running {
    const struct weir_aggregate *aggregate;
    struct window_slices *slices;
    bool stacks; /* two stacks; else subtract, or nothing ever leaves */
    uint64_t n_keys;
    uint32_t turn;       /* counts the turns: marks what belongs to an older one */
    window_slice turned; /* slices below it have been turned */
    struct weir_panes *state, *suffixes;
    struct weir_table *table; /* one for all keys; NULL: none yet */
    uint64_t cursor;          /* of the slice being worked on */
    window_slice turning;     /* while turning: slices below it are still to be turned */
    bool is_turning;
    void *total; /* scratch: front and back together */
};

/* slices: kept. stacks: slices leave one by one and the aggregate cannot subtract. Errors: of weir_panes_open, WEIR_E_NOMEM. */
weir_err window_running_open(struct window_running *r, struct weir_ctx *ctx, struct window_slices *slices,
                             const struct weir_aggregate *aggregate, bool stacks);
void window_running_close(struct window_running *r);

/* Errors: WEIR_AGAIN: call again with the same slice; failures of the state. */
weir_err window_running_enter(struct window_running *r, struct weir_ctx *ctx, struct slice *slice);
/* held: what stays afterwards, all slices of which have entered. Slices leave in order. */
weir_err window_running_leave(struct window_running *r, struct weir_ctx *ctx, struct slice *slice, struct window_span held);

/* All leave at once. */
void window_running_reset(struct window_running *r, struct weir_ctx *ctx);

/* Scans the keys with their totals, as weir_table_next does; the total is valid until the next call. */
bool window_running_next(struct window_running *r, struct weir_ctx *ctx, uint64_t *cursor, struct weir_key *key, const void **total);

/* Makes the key's accumulator anew from the slices held, one of which has changed. Costs a look at each of them. */
weir_err window_running_refold(struct window_running *r, struct weir_ctx *ctx, const struct weir_key *key, struct window_span held);

/* The same for a window that is not held, for this key alone: NULL when it has nothing there. Valid until the next call. */
const void *window_running_combine(struct window_running *r, struct weir_ctx *ctx, const struct weir_key *key, struct window_span window);

#endif
