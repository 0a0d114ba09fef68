/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tumbling windows: an accumulator per key and window of constant size.
 *
 * State: one table per open window (a pane) from key to accumulator, the panes sorted by time. A batch is split by pane and each part
 * probed and added as a whole; most batches lie in one pane, which a comparison of their times with its borders shows. A pane's number in
 * the state is the lowest time a record in it can have, from which a restored operator finds the rest.
 * A watermark fires the panes whose last time it has reached, in order: scan the table, emit each accumulator, drop the table. So a window
 * costs nothing per key but its entry: no timers, no removals.
 * A record whose window's last time the watermark has reached is late: counted and passed on to output 1 as it came.
 */
#include <stdlib.h>
#include <string.h>

#include "runtime/operator/window.h"
#include "runtime/operator/window_time.h"

struct pane {
    weir_time start;
    weir_time lowest; /* time a record in it can have: start, but never WEIR_TIME_MIN, which means no time. Its number in the state */
    weir_time last;   /* end - 1: where results stand and what the watermark must reach */
    struct weir_table *table;
    uint32_t part; /* while a batch is split: its part, valid when parts[part] is this pane */
};

/* A batch's records of one pane: idx[from] ... idx[from + count - 1] */
struct part {
    struct pane *pane;
    uint32_t from;
    uint32_t count;
};

struct tumbling {
    const struct weir_aggregate *aggregate;
    int64_t size_ms;
    int64_t offset_ms;
    struct weir_panes *state;
    weir_time fired_ms;  /* panes up to it have fired or are firing */
    struct pane **panes; /* open ones, panes[first] ... panes[n - 1], ascending */
    uint32_t first, n, cap;
    struct pane *hint; /* of the last record; an open pane or NULL */
    uint64_t cursor;   /* of the scan of panes[first], when it was left in between */
    uint32_t n_parts;
    uint32_t n_late;
    struct part parts[WEIR_BATCH_MAX];
    uint32_t part_of[WEIR_BATCH_MAX]; /* of record i; LATE */
    uint32_t idx[WEIR_BATCH_MAX];
    void *accs[WEIR_BATCH_MAX];
};

#define LATE UINT32_MAX

/* ---- panes ----------------------------------------------------------------------------------------------------------------------- */

/* Index of the first open pane that begins after t; the pane of t, if open, stands before it. */
static uint32_t upper_bound(const struct tumbling *op, weir_time t)
{
    uint32_t lo = op->first, hi = op->n;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (op->panes[mid]->start <= t)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* Room for one more pane: the places of fired ones first, when they are half of all, then a larger array. */
static bool reserve_pane(struct tumbling *op, uint32_t *at)
{
    if (op->n < op->cap) return true;
    if (op->first > op->cap / 2) {
        memmove(op->panes, op->panes + op->first, (op->n - op->first) * sizeof *op->panes);
        *at -= op->first;
        op->n -= op->first;
        op->first = 0;
        return true;
    }
    uint32_t cap = op->cap ? op->cap * 2 : 16;
    struct pane **panes = realloc(op->panes, cap * sizeof *panes);
    if (!panes) return false;
    op->panes = panes;
    op->cap = cap;
    return true;
}

static weir_err no_memory(struct weir_ctx *ctx)
{
    return weir_fail(ctx->diag, WEIR_E_NOMEM, "%s: out of memory for a window", ctx->operator_id);
}

static weir_err add_pane(struct tumbling *op, struct weir_ctx *ctx, uint32_t at, weir_time start, weir_time last, struct pane **out)
{
    struct pane *pane = calloc(1, sizeof *pane);
    if (!pane || !reserve_pane(op, &at)) {
        free(pane);
        return no_memory(ctx);
    }
    pane->start = start;
    pane->lowest = start > WEIR_TIME_MIN ? start : WEIR_TIME_MIN + 1;
    pane->last = last;
    weir_err err = weir_panes_table(ctx, op->state, pane->lowest, &pane->table);
    if (err) {
        free(pane);
        return err;
    }
    memmove(op->panes + at + 1, op->panes + at, (op->n - at) * sizeof *op->panes);
    op->panes[at] = pane;
    op->n++;
    *out = pane;
    return WEIR_OK;
}

/* Gives the pane of time t, or NULL when t is late. */
static weir_err find_pane(struct tumbling *op, struct weir_ctx *ctx, weir_time t, weir_time passed, struct pane **out)
{
    uint32_t at = upper_bound(op, t);
    struct pane *pane = at > op->first ? op->panes[at - 1] : NULL;
    if (pane && t <= pane->last) {
        *out = pane->last > passed ? pane : NULL;
        return WEIR_OK;
    }
    int64_t phase = window_phase(t, op->size_ms, op->offset_ms);
    weir_time last = window_after(t, op->size_ms - 1 - phase);
    *out = NULL;
    return last > passed ? add_pane(op, ctx, at, window_before(t, phase), last, out) : WEIR_OK;
}

/* ---- life ------------------------------------------------------------------------------------------------------------------------ */

/* Panes in the state from before a restart; a window of another size or offset would put their records into wrong windows. */
static weir_err take_restored(struct tumbling *op, struct weir_ctx *ctx)
{
    int64_t number = INT64_MIN;
    while (weir_panes_next(ctx, op->state, number, &number)) {
        struct pane *pane;
        int64_t phase = window_phase(number, op->size_ms, op->offset_ms);
        weir_err err = add_pane(op, ctx, op->n, window_before(number, phase), window_after(number, op->size_ms - 1 - phase), &pane);
        if (err) return err;
        if (pane->lowest != number)
            return weir_fail(ctx->diag, WEIR_E_STATE, "%s: the restored windows have another size or offset than %lld and %lld ms",
                             ctx->operator_id, (long long)op->size_ms, (long long)op->offset_ms);
    }
    return WEIR_OK;
}

static weir_err tumbling_open(void *self, struct weir_ctx *ctx)
{
    struct tumbling *op = self;
    const struct window_config *config = ctx->config;
    const struct weir_window *w = &config->window;
    if (w->size_ms <= 0 || w->offset_ms < 0 || w->offset_ms >= w->size_ms)
        return weir_fail(ctx->diag, WEIR_E_ARGUMENT, "%s: a tumbling window needs a size above 0 and an offset from 0 to below the size",
                         ctx->operator_id);
    op->aggregate = config->aggregate;
    op->size_ms = w->size_ms;
    op->offset_ms = w->offset_ms;
    op->fired_ms = WEIR_TIME_MIN;
    const struct weir_state_desc desc = {.struct_size = sizeof desc, .name = "windows", .value_size = op->aggregate->acc_size};
    weir_err err = weir_panes_open(ctx, &desc, &op->state);
    return err ? err : take_restored(op, ctx);
}

/* Tables stay: what is not fired is the state's. */
static void tumbling_close(void *self, struct weir_ctx *ctx)
{
    struct tumbling *op = self;
    (void)ctx;
    for (uint32_t i = op->first; i < op->n; i++) free(op->panes[i]);
    free(op->panes);
    op->panes = NULL;
    op->first = op->n = 0;
}

/* ---- records --------------------------------------------------------------------------------------------------------------------- */

static weir_err add_part(struct tumbling *op, struct weir_ctx *ctx, const struct weir_batch *batch, struct pane *pane, const uint32_t *idx,
                         uint32_t n)
{
    weir_err err = weir_table_probe(ctx, pane->table, idx, n, op->accs);
    if (err) return err;
    op->aggregate->add(op->accs, batch, idx, n);
    return WEIR_OK;
}

static bool all_in_pane(const struct pane *pane, const struct weir_batch *batch)
{
    bool in = true;
    for (uint32_t i = 0; i < batch->count; i++) {
        weir_time t = weir_batch_record(batch, i)->time_ms;
        in &= (t >= pane->lowest) & (t <= pane->last);
    }
    return in;
}

/* Finds each record's part; parts are numbered in the order in which their panes appear. */
static weir_err assign_parts(struct tumbling *op, struct weir_ctx *ctx, const struct weir_batch *batch, weir_time passed)
{
    op->n_parts = op->n_late = 0;
    struct pane *pane = NULL; /* of the record before */
    for (uint32_t i = 0; i < batch->count; i++) {
        weir_time t = weir_batch_record(batch, i)->time_ms;
        if (!pane || t < pane->lowest || t > pane->last) {
            if (t == WEIR_TIME_MIN)
                return weir_fail(ctx->diag, WEIR_E_USER, "%s: record without event time: assign timestamps before the window",
                                 ctx->operator_id);
            weir_err err = find_pane(op, ctx, t, passed, &pane);
            if (err) return err;
        }
        if (!pane) {
            op->part_of[i] = LATE;
            op->n_late++;
            continue;
        }
        if (pane->part >= op->n_parts || op->parts[pane->part].pane != pane) {
            pane->part = op->n_parts;
            op->parts[op->n_parts++] = (struct part){.pane = pane};
        }
        op->part_of[i] = pane->part;
        op->parts[pane->part].count++;
    }
    if (pane) op->hint = pane;
    return WEIR_OK;
}

/* A counting sort: afterwards the records of a part lie together in idx, in their old order. */
static void sort_by_part(struct tumbling *op, uint32_t count)
{
    uint32_t from = 0;
    for (uint32_t p = 0; p < op->n_parts; p++) {
        op->parts[p].from = from;
        from += op->parts[p].count;
        op->parts[p].count = 0;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (op->part_of[i] == LATE) continue;
        struct part *part = &op->parts[op->part_of[i]];
        op->idx[part->from + part->count++] = i;
    }
}

static weir_err pass_late(struct tumbling *op, struct weir_ctx *ctx, const struct weir_batch *batch)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < batch->count; i++) {
        if (op->part_of[i] == LATE) ctx->sel[n++] = batch->sel ? batch->sel[i] : i * batch->stride;
    }
    weir_count(ctx, "late", n);
    struct weir_batch late = *batch;
    late.sel = ctx->sel;
    late.count = n;
    return weir_forward(ctx, 1, &late);
}

static weir_err tumbling_process(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *batch)
{
    struct tumbling *op = self;
    (void)input; /* one input */
    weir_time passed = ctx->watermark_ms > op->fired_ms ? ctx->watermark_ms : op->fired_ms;
    if (op->hint && op->hint->last > passed && all_in_pane(op->hint, batch)) return add_part(op, ctx, batch, op->hint, NULL, batch->count);
    weir_err err = assign_parts(op, ctx, batch, passed);
    if (err) return err;
    sort_by_part(op, batch->count);
    for (uint32_t p = 0; p < op->n_parts; p++) {
        const struct part *part = &op->parts[p];
        err = add_part(op, ctx, batch, part->pane, op->idx + part->from, part->count);
        if (err) return err;
    }
    /* Last: what is downstream may edit these records. */
    return op->n_late ? pass_late(op, ctx, batch) : WEIR_OK;
}

/* ---- firing ---------------------------------------------------------------------------------------------------------------------- */

/* Emits what is left of the pane's entries. The key of each is made the current one, which the aggregate's emit looks at. */
static weir_err fire_pane(struct tumbling *op, struct weir_ctx *ctx, const struct pane *pane)
{
    const struct weir_key *keys = ctx->keys;
    uint32_t key_index = ctx->key_index;
    struct weir_key key;
    void *acc;
    weir_err err = WEIR_OK;
    while (!err && weir_table_next(ctx, pane->table, &op->cursor, &key, &acc)) {
        ctx->keys = &key;
        ctx->key_index = 0;
        err = op->aggregate->emit(ctx, acc, pane->start, window_end(pane->last));
        if (!err && weir_should_yield(ctx)) err = WEIR_AGAIN;
    }
    ctx->keys = keys;
    ctx->key_index = key_index;
    return err;
}

static weir_err tumbling_on_watermark(void *self, struct weir_ctx *ctx, weir_time watermark_ms)
{
    struct tumbling *op = self;
    if (watermark_ms > op->fired_ms) op->fired_ms = watermark_ms;
    while (op->first < op->n && op->panes[op->first]->last <= op->fired_ms) {
        struct pane *pane = op->panes[op->first];
        weir_err err = fire_pane(op, ctx, pane);
        if (err) return err;
        op->cursor = 0;
        op->first++;
        if (op->hint == pane) op->hint = NULL;
        weir_table_drop(ctx, &pane->table);
        free(pane);
    }
    if (op->first == op->n) op->first = op->n = 0;
    return WEIR_OK;
}

/* The late output carries the input's rows: the builder puts the aggregate's schemas in place of these. */
static const struct weir_schema *const sides[] = {NULL};

const struct weir_operator window_tumbling_operator = {
    .struct_size = sizeof(struct weir_operator),
    .name = "tumbling-window",
    .self_size = sizeof(struct tumbling),
    .sides = sides,
    .n_sides = 1,
    .flags = WEIR_OPERATOR_KEYED,
    .open = tumbling_open,
    .process = tumbling_process,
    .on_watermark = tumbling_on_watermark,
    .close = tumbling_close,
};
