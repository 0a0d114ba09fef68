/* SPDX-License-Identifier: Apache-2.0 */
/* Arithmetic on event times that holds up to both ends of int64: windows there are cut off, they do not wrap. */
#ifndef WEIR_RUNTIME_OPERATOR_WINDOW_TIME_H
#define WEIR_RUNTIME_OPERATOR_WINDOW_TIME_H

#include "weir/row.h"

/* t + d for d >= 0; WEIR_TIME_MAX when that passes it. */
static inline weir_time window_after(weir_time t, int64_t d)
{
    return t > WEIR_TIME_MAX - d ? WEIR_TIME_MAX : t + d;
}

/* t - d for d >= 0; WEIR_TIME_MIN when that passes it. */
static inline weir_time window_before(weir_time t, int64_t d)
{
    return t < WEIR_TIME_MIN + d ? WEIR_TIME_MIN : t - d;
}

/* How far t lies behind the start of its window [k * size + offset, (k + 1) * size + offset): 0 ... size - 1, for negative times, too. */
static inline int64_t window_phase(weir_time t, int64_t size, int64_t offset)
{
    int64_t phase = t % size; /* -(size - 1) ... size - 1 */
    if (phase < 0) phase += size;
    phase -= offset;
    return phase < 0 ? phase + size : phase;
}

/* First time at which the window whose last time is `last` has ended: its exclusive end. */
static inline weir_time window_end(weir_time last)
{
    return window_after(last, 1);
}

#endif
