/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/operator/window_slices.h"

#include <stdlib.h>
#include <string.h>

/* Room for one more: the places of dropped ones first, when they are half of all, then a larger array. */
static bool reserve(struct window_slices *s, uint32_t *at)
{
    if (s->n < s->cap) return true;
    if (s->first > s->cap / 2) {
        memmove(s->items, s->items + s->first, (s->n - s->first) * sizeof *s->items);
        *at -= s->first;
        s->n -= s->first;
        s->first = 0;
        return true;
    }
    uint32_t cap = s->cap ? s->cap * 2 : 16;
    struct slice **items = realloc(s->items, cap * sizeof *items);
    if (!items) return false;
    s->items = items;
    s->cap = cap;
    return true;
}

static weir_err add(struct window_slices *s, struct weir_ctx *ctx, uint32_t at, window_slice number, struct slice **out)
{
    struct slice *slice = malloc(sizeof *slice);
    if (!slice || !reserve(s, &at)) {
        free(slice);
        return weir_fail(ctx->diag, WEIR_E_NOMEM, "%s: out of memory for a window", ctx->operator_id);
    }
    *slice = (struct slice){.number = number, .lowest = window_grid_lowest(s->grid, number), .last = window_grid_last(s->grid, number)};
    weir_err err = weir_panes_table(ctx, s->state, slice->lowest, &slice->table);
    if (err) {
        free(slice);
        return err;
    }
    memmove(s->items + at + 1, s->items + at, (s->n - at) * sizeof *s->items);
    s->items[at] = slice;
    s->n++;
    *out = slice;
    return WEIR_OK;
}

/* A window of another size or offset would put restored records into wrong windows. */
static weir_err take_restored(struct window_slices *s, struct weir_ctx *ctx)
{
    int64_t pane = INT64_MIN;
    struct slice *slice;
    while (weir_panes_next(ctx, s->state, pane, &pane)) {
        weir_err err = add(s, ctx, s->n, window_grid_slice(s->grid, pane), &slice);
        if (err) return err;
        if (slice->lowest != pane)
            return weir_fail(ctx->diag, WEIR_E_STATE,
                             "%s: the restored windows have another size or offset: their slices are not of %lld ms", ctx->operator_id,
                             (long long)s->grid->slice_ms);
    }
    return WEIR_OK;
}

weir_err window_slices_open(struct window_slices *s, struct weir_ctx *ctx, const struct window_grid *grid, uint32_t acc_size)
{
    *s = (struct window_slices){.grid = grid};
    const struct weir_state_desc desc = {.struct_size = sizeof desc, .name = "windows", .value_size = acc_size};
    weir_err err = weir_panes_open(ctx, &desc, &s->state);
    return err ? err : take_restored(s, ctx);
}

void window_slices_close(struct window_slices *s)
{
    for (uint32_t i = s->first; i < s->n; i++) free(s->items[i]);
    free(s->items);
    *s = (struct window_slices){0};
}

uint32_t window_slices_from(const struct window_slices *s, window_slice number)
{
    uint32_t lo = s->first, hi = s->n;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (s->items[mid]->number < number)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

struct slice *window_slices_at(const struct window_slices *s, weir_time t)
{
    uint32_t lo = s->first, hi = s->n;
    while (lo < hi) { /* afterwards: the first slice that begins behind t */
        uint32_t mid = lo + (hi - lo) / 2;
        if (s->items[mid]->lowest <= t)
            lo = mid + 1;
        else
            hi = mid;
    }
    struct slice *slice = lo > s->first ? s->items[lo - 1] : NULL;
    return slice && t <= slice->last ? slice : NULL;
}

struct slice *window_slices_pane(const struct window_slices *s, weir_time lowest)
{
    struct slice *slice = window_slices_at(s, lowest);
    return slice && slice->lowest == lowest ? slice : NULL;
}

weir_err window_slices_make(struct window_slices *s, struct weir_ctx *ctx, window_slice number, struct slice **out)
{
    uint32_t at = window_slices_from(s, number);
    if (at < s->n && s->items[at]->number == number) {
        *out = s->items[at];
        return WEIR_OK;
    }
    return add(s, ctx, at, number, out);
}

void window_slices_drop_first(struct window_slices *s, struct weir_ctx *ctx)
{
    struct slice *slice = s->items[s->first++];
    weir_table_drop(ctx, &slice->table);
    free(slice);
    if (s->first == s->n) s->first = s->n = 0;
}
