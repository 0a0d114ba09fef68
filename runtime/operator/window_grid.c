/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/operator/window_grid.h"

#include "runtime/operator/window_time.h"

static int64_t gcd(int64_t a, int64_t b)
{
    while (b) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static window_slice floor_div(window_slice a, window_slice b)
{
    window_slice q = a / b;
    return a % b < 0 ? q - 1 : q;
}

/* The largest start of a window (of any of the cumulating ones) that is not above `slice`. */
static window_slice start_at_or_before(const struct window_grid *g, window_slice slice)
{
    return floor_div(slice - g->origin, g->stride) * g->stride + g->origin;
}

static weir_time cut_off(window_slice t)
{
    return t > WEIR_TIME_MAX ? WEIR_TIME_MAX : t < WEIR_TIME_MIN ? WEIR_TIME_MIN : (weir_time)t;
}

weir_err window_grid_init(struct window_grid *g, const struct weir_window *w)
{
    int64_t every = w->kind == WEIR_SLIDING ? w->slide_ms : w->size_ms;
    if (w->size_ms <= 0 || every <= 0 || w->offset_ms < 0 || w->offset_ms >= every) return WEIR_E_ARGUMENT;
    if (w->kind == WEIR_CUMULATING && (w->step_ms <= 0 || w->size_ms % w->step_ms)) return WEIR_E_ARGUMENT;
    int64_t slice = w->kind == WEIR_CUMULATING ? w->step_ms : gcd(w->size_ms, every);
    int64_t phase = w->offset_ms % slice;
    *g = (struct window_grid){.slice_ms = slice,
                              .phase_ms = phase,
                              .n_slices = w->size_ms / slice,
                              .stride = every / slice,
                              .origin = (w->offset_ms - phase) / slice,
                              .cumulating = w->kind == WEIR_CUMULATING};
    return WEIR_OK;
}

window_slice window_grid_slice(const struct window_grid *g, weir_time t)
{
    return floor_div((window_slice)t - g->phase_ms, g->slice_ms);
}

static window_slice begin_of(const struct window_grid *g, window_slice slice)
{
    return slice * g->slice_ms + g->phase_ms;
}

weir_time window_grid_lowest(const struct window_grid *g, window_slice slice)
{
    window_slice begin = begin_of(g, slice);
    return begin > WEIR_TIME_MIN ? cut_off(begin) : WEIR_TIME_MIN + 1;
}

weir_time window_grid_last(const struct window_grid *g, window_slice slice)
{
    return cut_off(begin_of(g, slice + 1) - 1);
}

bool window_grid_first_of(const struct window_grid *g, window_slice slice, struct window_span *out)
{
    if (g->cumulating) {
        *out = (struct window_span){start_at_or_before(g, slice), slice + 1};
        return true;
    }
    window_slice from = start_at_or_before(g, slice - g->n_slices) + g->stride;
    *out = (struct window_span){from, from + g->n_slices};
    return from <= slice;
}

struct window_span window_grid_last_of(const struct window_grid *g, window_slice slice)
{
    window_slice from = start_at_or_before(g, slice);
    return (struct window_span){from, from + g->n_slices};
}

struct window_span window_grid_next(const struct window_grid *g, struct window_span w)
{
    if (!g->cumulating) return (struct window_span){w.from + g->stride, w.to + g->stride};
    if (w.to - w.from < g->n_slices) return (struct window_span){w.from, w.to + 1};
    return (struct window_span){w.to, w.to + 1};
}

struct window_span window_grid_over(const struct window_grid *g, weir_time passed)
{
    if (passed == WEIR_TIME_MAX) return (struct window_span){WINDOW_SLICE_FAR, WINDOW_SLICE_FAR};
    window_slice to = window_grid_slice(g, passed + 1); /* all slices before it are over */
    if (g->cumulating) return (struct window_span){start_at_or_before(g, to - 1), to};
    window_slice from = start_at_or_before(g, to - g->n_slices);
    return (struct window_span){from, from + g->n_slices};
}

weir_time window_span_start(const struct window_grid *g, struct window_span w)
{
    return cut_off(begin_of(g, w.from));
}

weir_time window_span_end(const struct window_grid *g, struct window_span w)
{
    return cut_off(begin_of(g, w.to));
}

weir_time window_span_last(const struct window_grid *g, struct window_span w)
{
    return cut_off(begin_of(g, w.to) - 1);
}
