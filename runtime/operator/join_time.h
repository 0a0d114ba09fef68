/* SPDX-License-Identifier: Apache-2.0 */
/* What operators in event time share: sums of times that stay within int64, rows in ordered state, late rows. */
#ifndef WEIR_RUNTIME_OPERATOR_JOIN_TIME_H
#define WEIR_RUNTIME_OPERATOR_JOIN_TIME_H

#include "weir/weir.h"

/* t + d, not beyond WEIR_TIME_MIN ... WEIR_TIME_MAX. */
static inline weir_time time_plus(weir_time t, int64_t d)
{
    weir_time sum;
    if (!__builtin_add_overflow(t, d, &sum)) return sum;
    return d < 0 ? WEIR_TIME_MIN : WEIR_TIME_MAX;
}

/*
 * A key's one timer in event time, in a value of its operator; zeros: none is set. timer_at_latest sets it to `t` unless it is set to an
 * earlier time. When it has fired, its owner clears `is_set`.
 */
struct one_timer {
    weir_time time_ms;
    uint64_t is_set;
};
static inline weir_err timer_at_latest(struct one_timer *timer, struct weir_ctx *ctx, weir_time t)
{
    const struct one_timer old = *timer;
    if (old.is_set && old.time_ms <= t) return WEIR_OK;
    *timer = (struct one_timer){.time_ms = t, .is_set = 1}; /* first: where it lies in state, the calls below end its address */
    if (old.is_set) weir_timer_delete(ctx, WEIR_EVENT_TIME, old.time_ms, 0);
    return weir_timer_set(ctx, WEIR_EVENT_TIME, t, 0);
}

/* Counts the records idx[0 ... n-1] of the batch as late and passes them on to `output` as they came. n = 0 is allowed. */
static inline weir_err forward_late(struct weir_ctx *ctx, uint32_t output, const struct weir_batch *batch, const uint32_t *idx, uint32_t n)
{
    if (n == 0) return WEIR_OK;
    for (uint32_t i = 0; i < n; i++) ctx->sel[i] = batch->sel ? batch->sel[idx[i]] : idx[i] * batch->stride;
    weir_count(ctx, "late", n);
    struct weir_batch late = *batch;
    late.sel = ctx->sel;
    late.count = n;
    return weir_forward(ctx, output, &late);
}

static inline weir_err refuse_timeless(struct weir_ctx *ctx)
{
    return weir_fail(ctx->diag, WEIR_E_USER, "%s: a record without event time: assign timestamps before it", ctx->operator_id);
}

#endif
