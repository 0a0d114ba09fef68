/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tumbling, sliding and cumulating windows as runs of slices: time is cut into slices of one size, gcd(size, slide) or the step, so that
 * each window is a whole number of them and a record needs to be added to its slice only.
 *
 *     slices    | -3 | -2 | -1 |  0 |  1 |  2 |  3 |
 *     windows             [--------------)              from, to: slices from ... to - 1
 *                              [--------------)         the next one
 *
 * Numbers are counted in 128 bits, so that windows which reach over an end of time need no care; only times are cut off there.
 */
#ifndef WEIR_RUNTIME_OPERATOR_WINDOW_GRID_H
#define WEIR_RUNTIME_OPERATOR_WINDOW_GRID_H

#include "runtime/operator/window.h"

__extension__ typedef __int128 window_slice; /* number of a slice */

#define WINDOW_SLICE_FAR ((window_slice)1 << 100) /* behind all slices; -WINDOW_SLICE_FAR: before all */

struct window_span {
    window_slice from, to;
};

struct window_grid {
    int64_t slice_ms;
    int64_t phase_ms;      /* slice 0 begins here: 0 ... slice_ms - 1 */
    window_slice n_slices; /* of the largest window */
    window_slice stride;   /* slices from one window's beginning to the next one's */
    window_slice origin;   /* first slice of a window */
    bool cumulating;       /* windows of 1 ... n_slices slices begin at once */
};

/* w: checked by the builder; anything else is refused. Errors: WEIR_E_ARGUMENT. */
weir_err window_grid_init(struct window_grid *grid, const struct weir_window *w);

window_slice window_grid_slice(const struct window_grid *grid, weir_time t);

/* The slice's lowest and last times that a record can have: cut off at the ends of time; WEIR_TIME_MIN is no time of a record. */
weir_time window_grid_lowest(const struct window_grid *grid, window_slice slice);
weir_time window_grid_last(const struct window_grid *grid, window_slice slice);

/* The windows that hold a slice, in order of their ends: the first, the last, and the one behind a window. false: between two windows. */
bool window_grid_first_of(const struct window_grid *grid, window_slice slice, struct window_span *out);
struct window_span window_grid_last_of(const struct window_grid *grid, window_slice slice);
struct window_span window_grid_next(const struct window_grid *grid, struct window_span window);

/* The last window that is over when all times up to `passed` have gone by. */
struct window_span window_grid_over(const struct window_grid *grid, weir_time passed);

/* Its times; the end is exclusive, and last = end - 1, unless cut off. */
weir_time window_span_start(const struct window_grid *grid, struct window_span window);
weir_time window_span_end(const struct window_grid *grid, struct window_span window);
weir_time window_span_last(const struct window_grid *grid, struct window_span window);

#endif
