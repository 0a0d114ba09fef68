/* SPDX-License-Identifier: Apache-2.0 */
/* How many rows of a paced source are due by the wall clock. Its user gives the time, so it has no clock of its own. */
#ifndef WEIR_CONNECTORS_GENERATOR_PACE_H
#define WEIR_CONNECTORS_GENERATOR_PACE_H

#include "weir/row.h"

#define PACE_MAX 1000000000000 /* rows per second */

/* Row `from` was due at from_ms. Zero-initialise. */
struct pace {
    bool running;
    int64_t from;
    weir_time from_ms;
    weir_time seen_ms; /* the wall clock when it was last read */
};

/* Row 0 is due at `at`, whenever the reader is first asked, and wherever it begins. Before the first pace_due_below. */
static inline void pace_begin_at(struct pace *p, weir_time at)
{
    *p = (struct pace){.running = true, .from_ms = at, .seen_ms = WEIR_TIME_MIN};
}

/*
 * The number of the first row that is not yet due, at `per_second` rows, 1 ... PACE_MAX. Unless pace_begin_at has said when, the first call
 * begins the count: row `next` is due now. A clock that is set back moves the beginning back with it, so that the pace goes on.
 */
static inline int64_t pace_due_below(struct pace *p, int64_t next, int64_t per_second, weir_time now)
{
    if (!p->running) {
        p->running = true;
        p->from = next;
        p->from_ms = now;
    } else if (now < p->seen_ms) {
        p->from_ms -= p->seen_ms - now;
    }
    p->seen_ms = now;
    int64_t elapsed = now - p->from_ms, whole;
    if (elapsed < 0) return p->from;
    if (__builtin_mul_overflow(elapsed / 1000, per_second, &whole)) return INT64_MAX; /* behind by more than there are rows */
    int64_t due = whole + elapsed % 1000 * per_second / 1000 + 1;
    return due > 0 && due < INT64_MAX - p->from ? p->from + due : INT64_MAX;
}

#endif
