/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Windows with a trigger of their own, and global windows: each key of each window fires for itself, so slices cannot serve. A record is
 * added to every window that holds it.
 *
 * State: a table per window from key to a cell: its accumulator, what has come since the last firing, and its early timer. A window's
 * number in the state is the slice behind it (window_grid.h), so that their order is that of their ends; the global window has number 0.
 * Early timers carry the number as their tag.
 *
 * A watermark fires, oldest first, the windows that have ended, unless the trigger is early_only, and drops those whose lateness is over.
 *
 * Processing time: the same, with the clock as time; a timer under the key of some record calls when the next window is over.
 */
#include <string.h>

#include "runtime/operator/window_clock.h"
#include "runtime/operator/window_early.h"
#include "runtime/operator/window_fold.h"
#include "runtime/operator/window_grid.h"
#include "runtime/operator/window_progress.h"
#include "runtime/operator/window_time.h"

#define GLOBAL_NUMBER 0
#define END_TAG ((uint64_t)INT64_MIN) /* of the clock's timer: no window has this number */

/* Its accumulator follows. */
struct cell {
    uint64_t n_rows;    /* that the next firing shows */
    uint64_t since;     /* of them, came after the last firing */
    weir_time timer_ms; /* of the early timer, valid when has_timer */
    uint64_t has_timer;
};

struct triggered {
    struct window_fold fold;
    struct window_progress progress;
    struct window_grid grid;
    struct weir_trigger trigger;
    bool global;
    struct window_clock clock;
    int64_t lateness_ms;
    weir_time passed; /* windows that end by then have fired, unless `firing` */
    bool firing;
    int64_t over;    /* number of the last window that has fired */
    uint64_t cursor; /* of the scan of the window that fires */
    struct weir_panes *panes;
    uint32_t n_pending, n_late;
    uint32_t idx[WEIR_BATCH_MAX]; /* pending records ... */
    void *accs[WEIR_BATCH_MAX];   /* ... and their accumulators */
    void *cells[WEIR_BATCH_MAX];
    uint32_t run[WEIR_BATCH_MAX];
    uint32_t late[WEIR_BATCH_MAX];
};

/* A window at hand. */
struct opened {
    int64_t number;
    weir_time start, end, last;
    struct weir_table *table;
};

static void *acc_of(struct cell *c)
{
    return c + 1;
}

/* ---- windows ----------------------------------------------------------------------------------------------------------------------------
 */

static struct opened times_of(const struct triggered *op, struct window_span w)
{
    return (struct opened){.number = (int64_t)w.to,
                           .start = window_span_start(&op->grid, w),
                           .end = window_span_end(&op->grid, w),
                           .last = window_span_last(&op->grid, w)};
}

static struct opened global_window(void)
{
    return (struct opened){.number = GLOBAL_NUMBER, .start = WEIR_TIME_MIN, .end = WEIR_TIME_MAX, .last = WEIR_TIME_MAX};
}

/* The window of that number. */
static struct opened numbered(const struct triggered *op, int64_t number)
{
    if (op->global) return global_window();
    struct window_span w = {number - op->grid.n_slices, number};
    if (op->grid.cumulating) (void)window_grid_first_of(&op->grid, (window_slice)number - 1, &w);
    return times_of(op, w);
}

/* The first window behind number `after` that has cells. */
static bool next_window(struct triggered *op, struct weir_ctx *ctx, int64_t after, struct opened *out)
{
    int64_t number;
    if (!weir_panes_next(ctx, op->panes, after, &number)) return false;
    *out = numbered(op, number);
    return true;
}

static bool is_over(const struct triggered *op, const struct opened *w)
{
    return window_after(w->last, op->lateness_ms) <= op->passed;
}

/* By the clock: has a timer, under the current key, or after a restore under any, fire at the end of the next window. */
static weir_err set_end_timer(struct triggered *op, struct weir_ctx *ctx, bool restored)
{
    struct opened w;
    if (!op->clock.runs || !next_window(op, ctx, INT64_MIN, &w)) return WEIR_OK;
    if (!restored) return window_clock_set(&op->clock, ctx, window_end(w.last), END_TAG);
    weir_err err = weir_panes_table(ctx, op->panes, w.number, &w.table);
    return err ? err : window_clock_set_under(&op->clock, ctx, w.table, window_end(w.last), END_TAG);
}

/* ---- life ---------------------------------------------------------------------------------------------------------------------------- */

static weir_err trigger_open(void *self, struct weir_ctx *ctx)
{
    struct triggered *op = self;
    const struct window_config *config = ctx->config;
    const struct weir_window *w = &config->window;
    op->global = w->kind == WEIR_GLOBAL;
    op->clock = window_clock_of(w);
    op->lateness_ms = w->allowed_lateness_ms;
    if (w->trigger) op->trigger = *w->trigger;
    if (!op->global && window_grid_init(&op->grid, w))
        return weir_fail(ctx->diag, WEIR_E_ARGUMENT, "%s: a window has no such size, offset, slide or step", ctx->operator_id);
    weir_err err = window_fold_open(&op->fold, ctx, config);
    if (err) return err;
    const struct weir_state_desc desc = {
        .struct_size = sizeof desc, .name = "cells", .value_size = (uint32_t)sizeof(struct cell) + op->fold.aggregate->acc_size};
    err = weir_panes_open(ctx, &desc, &op->panes);
    if (!err) err = window_progress_open(&op->progress, ctx);
    op->passed = op->progress.passed;
    return err ? err : set_end_timer(op, ctx, true);
}

static void trigger_close(void *self, struct weir_ctx *ctx)
{
    struct triggered *op = self;
    (void)ctx;
    window_fold_close(&op->fold);
}

/* ---- firing -----------------------------------------------------------------------------------------------------------------------------
 */

static weir_err add_pending(struct triggered *op, struct weir_ctx *ctx, const struct weir_batch *batch, int64_t place)
{
    weir_err err = WEIR_OK;
    if (op->n_pending) err = window_fold_add(&op->fold, ctx, op->accs, batch, op->idx, op->n_pending, place);
    op->n_pending = 0;
    return err;
}

/* Shows what the key has in the window. */
static weir_err fire(struct triggered *op, struct weir_ctx *ctx, const struct opened *w, const struct weir_key *key, struct cell *c)
{
    if (c->n_rows == 0) return WEIR_OK;
    weir_err err = window_fold_emit(&op->fold, ctx, key, acc_of(c), w->start, w->end, (struct window_places){&w->number, 1});
    c->since = 0;
    if (err || !op->trigger.purge) return err;
    c->n_rows = 0;
    memset(acc_of(c), 0, op->fold.aggregate->acc_size);
    return window_fold_clear(&op->fold, ctx, key, w->number);
}

/* A window that has ended. What its lateness keeps is edited where it lies; the scan's own addresses are for reading. */
static weir_err fire_window(struct triggered *op, struct weir_ctx *ctx, struct opened *w, bool pauses)
{
    struct weir_key key;
    void *value;
    weir_err err = op->trigger.early_only ? WEIR_OK : weir_panes_table(ctx, op->panes, w->number, &w->table);
    while (!err && !op->trigger.early_only && weir_table_next(ctx, w->table, &op->cursor, &key, &value)) {
        struct cell *c = op->lateness_ms ? weir_table_find(ctx, w->table, &key) : value;
        if (c) err = fire(op, ctx, w, &key, c);
        if (!err && pauses && weir_should_yield(ctx)) err = WEIR_AGAIN;
    }
    if (!err) op->cursor = 0;
    return err;
}

static weir_err drop_window(struct triggered *op, struct weir_ctx *ctx, struct opened *w)
{
    uint64_t cursor = 0;
    struct weir_key key;
    void *value;
    weir_err err = weir_panes_table(ctx, op->panes, w->number, &w->table);
    while (!err && op->fold.keeps_rows && weir_table_next(ctx, w->table, &cursor, &key, &value))
        err = window_fold_clear(&op->fold, ctx, &key, w->number);
    if (!err) weir_table_drop(ctx, &w->table);
    return err;
}

/* Number of the last window that the watermark before this one has reached: what its lateness has kept does not fire again. */
static int64_t last_fired(const struct triggered *op)
{
    if (op->global) return INT64_MIN;
    window_slice number = window_grid_over(&op->grid, op->progress.passed).to;
    return number > INT64_MAX ? INT64_MAX : number < INT64_MIN ? INT64_MIN : (int64_t)number;
}

/* Fires all windows that end by `passed` and drops those that are over. With `pauses` it may return WEIR_AGAIN. */
static weir_err fire_all(struct triggered *op, struct weir_ctx *ctx, weir_time passed, bool pauses)
{
    struct opened w;
    weir_err err = WEIR_OK;
    if (!op->firing) op->over = last_fired(op);
    if (passed > op->passed) op->passed = passed;
    op->firing = true;
    while (!err && next_window(op, ctx, op->over, &w) && w.last <= op->passed) {
        err = fire_window(op, ctx, &w, pauses);
        if (!err) op->over = w.number;
    }
    while (!err && next_window(op, ctx, INT64_MIN, &w) && is_over(op, &w)) err = drop_window(op, ctx, &w);
    if (err) return err;
    op->firing = false;
    return window_progress_note(&op->progress, ctx, op->passed);
}

static weir_err trigger_on_watermark(void *self, struct weir_ctx *ctx, weir_time watermark_ms)
{
    struct triggered *op = self;
    if (op->clock.runs && watermark_ms != WEIR_TIME_MAX) return WEIR_OK;
    return fire_all(op, ctx, watermark_ms, true);
}

/* The clock has reached the end of a window. */
static weir_err end_windows(struct triggered *op, struct weir_ctx *ctx, weir_time timer_ms)
{
    op->clock.timer_ms = WEIR_TIME_MAX;
    weir_err err = fire_all(op, ctx, window_before(weir_now_ms(ctx), 1), true);
    if (err == WEIR_AGAIN) return weir_timer_set(ctx, WEIR_PROCESSING_TIME, window_after(timer_ms, 1), END_TAG); /* at the next step */
    return err ? err : set_end_timer(op, ctx, false);
}

static weir_err trigger_on_timer(void *self, struct weir_ctx *ctx, const struct weir_timer *timer)
{
    struct triggered *op = self;
    struct opened w;
    int64_t number = (int64_t)timer->tag;
    if (timer->tag == END_TAG) return end_windows(op, ctx, timer->time_ms);
    if (!next_window(op, ctx, number - 1, &w) || w.number != number) return WEIR_OK; /* it is over */
    weir_err err = weir_panes_table(ctx, op->panes, number, &w.table);
    struct cell *c = err ? NULL : weir_table_find(ctx, w.table, timer->key);
    if (!c || !c->has_timer || c->timer_ms != timer->time_ms) return err;
    c->has_timer = 0;
    return c->since ? fire(op, ctx, &w, timer->key, c) : WEIR_OK;
}

/* ---- records ----------------------------------------------------------------------------------------------------------------------------
 */

/* Sets the early timer of the current key, at the next multiple of early_ms, unless the window ends before. */
static weir_err set_timer(struct triggered *op, struct weir_ctx *ctx, const struct opened *w, struct cell *c, weir_time t)
{
    bool by_clock = op->trigger.early_domain == WEIR_PROCESSING_TIME;
    weir_time at = window_early_at(&op->trigger, ctx, t, op->passed);
    bool ended = w->last <= op->passed;
    if (by_clock ? ended && !op->trigger.early_only : at >= w->last) return WEIR_OK;
    c->has_timer = 1;
    c->timer_ms = at;
    return weir_timer_set(ctx, op->trigger.early_domain, at, (uint64_t)w->number);
}

static weir_err take(struct triggered *op, struct weir_ctx *ctx, const struct weir_batch *batch, const struct opened *w, struct cell *c,
                     uint32_t i)
{
    op->idx[op->n_pending] = i;
    op->accs[op->n_pending++] = acc_of(c);
    c->n_rows++;
    c->since++;
    if (window_fires(&op->trigger, c->since, w->last <= op->passed)) {
        struct weir_key key = ctx->keys[i];
        weir_err err = add_pending(op, ctx, batch, w->number);
        return err ? err : fire(op, ctx, w, &key, c);
    }
    weir_set_key(ctx, i);
    if (op->trigger.early_ms && !c->has_timer) return set_timer(op, ctx, w, c, weir_batch_record(batch, i)->time_ms);
    return WEIR_OK;
}

/* Adds records run[0 ... n - 1] of the batch to a window. */
static weir_err add_to(struct triggered *op, struct weir_ctx *ctx, const struct weir_batch *batch, struct opened *w, uint32_t n)
{
    weir_err err = weir_panes_table(ctx, op->panes, w->number, &w->table);
    if (!err) err = weir_table_probe(ctx, w->table, op->run, n, op->cells);
    for (uint32_t k = 0; k < n && !err; k++) err = take(op, ctx, batch, w, op->cells[k], op->run[k]);
    return err ? err : add_pending(op, ctx, batch, w->number);
}

/* The records of run, all of one slice, to each window of that slice that is not over. */
static weir_err add_to_windows(struct triggered *op, struct weir_ctx *ctx, const struct weir_batch *batch, window_slice slice, uint32_t n)
{
    struct window_span span;
    bool any = window_grid_first_of(&op->grid, slice, &span), taken = false;
    for (; any && span.from <= slice; span = window_grid_next(&op->grid, span)) {
        struct opened w = times_of(op, span);
        if (is_over(op, &w)) continue;
        if (span.to >= INT64_MAX || span.to <= INT64_MIN)
            return weir_fail(ctx->diag, WEIR_E_LIMIT, "%s: a window of 1 ms slices reaches behind the end of time", ctx->operator_id);
        weir_err err = add_to(op, ctx, batch, &w, n);
        if (err) return err;
        taken = true;
    }
    for (uint32_t k = 0; k < n && any && !taken; k++) op->late[op->n_late++] = op->run[k];
    return WEIR_OK;
}

/* Takes a run of records of one slice from place *i on. */
static weir_err take_run(struct triggered *op, struct weir_ctx *ctx, const struct weir_batch *batch, uint32_t *i)
{
    weir_time t = weir_batch_record(batch, *i)->time_ms;
    if (t == WEIR_TIME_MIN)
        return weir_fail(ctx->diag, WEIR_E_USER, "%s: record without event time: assign timestamps before the window", ctx->operator_id);
    window_slice slice = window_grid_slice(&op->grid, t);
    weir_time lowest = window_grid_lowest(&op->grid, slice), last = window_grid_last(&op->grid, slice);
    uint32_t n = 0;
    for (; *i < batch->count; ++*i) {
        t = weir_batch_record(batch, *i)->time_ms;
        if (t < lowest || t > last) break;
        op->run[n++] = *i;
    }
    return add_to_windows(op, ctx, batch, slice, n);
}

static weir_err take_global(struct triggered *op, struct weir_ctx *ctx, const struct weir_batch *batch)
{
    struct opened w = global_window();
    bool over = is_over(op, &w);
    for (uint32_t i = 0; i < batch->count; i++) op->run[i] = i;
    if (!over) return add_to(op, ctx, batch, &w, batch->count);
    memcpy(op->late, op->run, batch->count * sizeof *op->late);
    op->n_late = batch->count;
    return WEIR_OK;
}

/* All of the batch into the windows of the clock, which does not go back behind those that have fired. */
static weir_err take_by_clock(struct triggered *op, struct weir_ctx *ctx, const struct weir_batch *batch)
{
    weir_time now = weir_now_ms(ctx);
    if (now <= op->passed) now = window_after(op->passed, 1);
    for (uint32_t i = 0; i < batch->count; i++) op->run[i] = i;
    weir_err err = add_to_windows(op, ctx, batch, window_grid_slice(&op->grid, now), batch->count);
    weir_set_key(ctx, 0);
    return err ? err : set_end_timer(op, ctx, false);
}

static weir_err trigger_process(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *batch)
{
    struct triggered *op = self;
    (void)input; /* one input */
    weir_err err = WEIR_OK;
    op->n_pending = op->n_late = 0;
    if (op->clock.runs) return take_by_clock(op, ctx, batch);
    if (op->firing || ctx->watermark_ms > op->passed) err = fire_all(op, ctx, ctx->watermark_ms, false);
    if (!err && op->global) err = take_global(op, ctx, batch);
    for (uint32_t i = 0; i < batch->count && !err && !op->global;) err = take_run(op, ctx, batch, &i);
    /* Last: what is downstream may edit these records. */
    return err || op->n_late == 0 ? err : window_pass_late(ctx, batch, op->late, op->n_late);
}

/* The late output carries the input's rows: the builder puts the aggregate's schemas in place of these. */
static const struct weir_schema *const sides[] = {NULL};

const struct weir_operator window_trigger_operator = {
    .struct_size = sizeof(struct weir_operator),
    .name = "triggered-window",
    .self_size = sizeof(struct triggered),
    .sides = sides,
    .n_sides = 1,
    .flags = WEIR_OPERATOR_KEYED,
    .open = trigger_open,
    .process = trigger_process,
    .on_watermark = trigger_on_watermark,
    .on_timer = trigger_on_timer,
    .close = trigger_close,
};
