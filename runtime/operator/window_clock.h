/* SPDX-License-Identifier: Apache-2.0 */
/* Windows by the clock: one processing-time timer for the next end of a window, under whichever key is at hand. */
#ifndef WEIR_RUNTIME_OPERATOR_WINDOW_CLOCK_H
#define WEIR_RUNTIME_OPERATOR_WINDOW_CLOCK_H

#include "weir/weir.h"

struct window_clock {
    bool runs;          /* time is the clock's */
    weir_time timer_ms; /* earliest timer that was set and has not fired; WEIR_TIME_MAX: none */
};

static inline struct window_clock window_clock_of(const struct weir_window *w)
{
    return (struct window_clock){.runs = w->domain == WEIR_PROCESSING_TIME, .timer_ms = WEIR_TIME_MAX};
}

/* Has the current key's timer fire at `time` at the latest. */
static inline weir_err window_clock_set(struct window_clock *c, struct weir_ctx *ctx, weir_time time, uint64_t tag)
{
    if (time >= c->timer_ms) return WEIR_OK;
    c->timer_ms = time;
    return weir_timer_set(ctx, WEIR_PROCESSING_TIME, time, tag);
}

/* A restored timer belongs to one key group, the windows to all: each subtask needs a timer of its own, under any key of a window's table.
 */
static inline weir_err window_clock_set_under(struct window_clock *c, struct weir_ctx *ctx, struct weir_table *table, weir_time time,
                                              uint64_t tag)
{
    struct weir_key key;
    void *value;
    uint64_t cursor = 0;
    if (!weir_table_next(ctx, table, &cursor, &key, &value)) return WEIR_OK;
    const struct weir_key *keys = ctx->keys;
    ctx->keys = &key;
    ctx->key_index = 0;
    weir_err err = window_clock_set(c, ctx, time, tag);
    ctx->keys = keys;
    return err;
}

#endif
