/* SPDX-License-Identifier: Apache-2.0 */
/* How many rows of a paced source are due by the wall clock. Its user gives the time, so it has no clock of its own. */
#ifndef WEIR_CONNECTORS_GENERATOR_PACE_H
#define WEIR_CONNECTORS_GENERATOR_PACE_H

#include "weir/row.h"

#define PACE_MAX 1000000000000 /* rows per second; keeps the arithmetic within 64 bits */

/* Row `from` was due at from_ms. Zero-initialise. */
struct pace {
    bool running;
    int64_t from;
    weir_time from_ms;
    weir_time seen_ms; /* the wall clock when it was last read */
};

/*
 * The number of the first row that is not yet due, at `per_second` rows. The first call begins the count: row `next` is due now. A clock
 * that is set back moves the beginning back with it, so that the pace goes on.
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
    int64_t elapsed = now - p->from_ms;
    return p->from + elapsed / 1000 * per_second + elapsed % 1000 * per_second / 1000 + 1;
}

#endif
