/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tumbling, sliding and cumulating windows.
 *
 * A record is added once, to its slice (window_grid.h, window_slices.h): a batch is split by slice and each part probed and added as a
 * whole; most batches lie in one slice, which a comparison of their times with its borders shows. A window of one slice fires by a scan of
 * its table; larger ones fire from the running combination of their slices (window_running.h). A slice is dropped as a whole when its last
 * window is over. So a window costs nothing per key but its entries: no timers, no removals.
 *
 * Windows fire in order of their ends, each once, up to `over`, the last one that is over. `held` are the slices that the window after
 * that one has in common with it. A record of a slice before over.to comes behind the firing of some of its windows: it is added for those
 * that follow, and fires those again whose lateness allows it; when none is left it is late. These records are taken one at a time.
 *
 * Processing time: the same, with the clock as time; a timer under the key of some record calls when the next window is over.
 */
#include <stdlib.h>
#include <string.h>

#include "runtime/operator/window_clock.h"
#include "runtime/operator/window_fold.h"
#include "runtime/operator/window_progress.h"
#include "runtime/operator/window_running.h"
#include "runtime/operator/window_time.h"

/* A batch's records of one slice: idx[from] ... idx[from + count - 1] */
struct part {
    struct slice *slice;
    uint32_t from;
    uint32_t count;
};

/* What a window that fires goes through. */
enum phase { ENTERING, SURVEYING, EMITTING, LEAVING };

struct slicing {
    struct window_fold fold;
    struct window_grid grid;
    struct window_slices slices;
    struct window_running running; /* when windows have several slices */
    bool combines;
    struct window_clock clock;
    int64_t lateness_ms;
    weir_time passed; /* windows that end by then have fired, unless `firing` says that one is under way */
    struct window_span over, held;
    bool firing;
    enum phase phase;
    struct window_span window; /* the one that fires */
    window_slice next;         /* first slice that is to enter or leave yet */
    uint64_t cursor;           /* of the scan for the results */
    struct window_progress progress;
    struct slice *hint; /* of the last record; no longer there: NULL */
    int64_t *places;    /* of the window that fires, for its rows */
    uint32_t cap_places;
    uint32_t n_parts;
    uint32_t n_behind;
    uint32_t n_late;
    struct part parts[WEIR_BATCH_MAX];
    uint32_t part_of[WEIR_BATCH_MAX]; /* of record i; NO_PART */
    uint32_t idx[WEIR_BATCH_MAX];
    uint32_t behind[WEIR_BATCH_MAX];
    uint32_t late[WEIR_BATCH_MAX];
    void *accs[WEIR_BATCH_MAX];
};

#define NO_PART UINT32_MAX

/* ---- what is next -------------------------------------------------------------------------------------------------------------------- */

static void set_over(struct slicing *op, struct window_span window)
{
    op->over = window;
    op->held = (struct window_span){window_grid_next(&op->grid, window).from, window.to};
}

/* All windows that end by `passed` have fired, or were empty. */
static void all_over(struct slicing *op)
{
    set_over(op, window_grid_over(&op->grid, op->passed));
}

/* The next window that holds a record. false: there is none. */
static bool next_window(const struct slicing *op, struct window_span *out)
{
    if (op->combines && op->running.n_keys) {
        *out = window_grid_next(&op->grid, op->over);
        return true;
    }
    uint32_t at = window_slices_from(&op->slices, op->over.to);
    return at < op->slices.n && window_grid_first_of(&op->grid, op->slices.items[at]->number, out);
}

/* Sets a timer, under the current key or any of `table`, for the next window's end. */
static weir_err set_timer(struct slicing *op, struct weir_ctx *ctx, struct weir_table *table)
{
    struct window_span window;
    if (!op->clock.runs || !next_window(op, &window)) return WEIR_OK;
    weir_time end = window_end(window_span_last(&op->grid, window));
    return table ? window_clock_set_under(&op->clock, ctx, table, end, 0) : window_clock_set(&op->clock, ctx, end, 0);
}

/* ---- life ---------------------------------------------------------------------------------------------------------------------------- */

/* Makes the running combination of what the restored windows have in common. */
static weir_err fold_restored(struct slicing *op, struct weir_ctx *ctx)
{
    uint32_t to = window_slices_from(&op->slices, op->held.to);
    for (uint32_t i = window_slices_from(&op->slices, op->held.from); i < to;) {
        weir_err err = window_running_enter(&op->running, ctx, op->slices.items[i]);
        if (err && err != WEIR_AGAIN) return err;
        if (!err) i++;
    }
    return WEIR_OK;
}

static weir_err open_state(struct slicing *op, struct weir_ctx *ctx, const struct window_config *config)
{
    const struct weir_aggregate *aggregate = op->fold.aggregate;
    bool stacks = !op->grid.cumulating && op->grid.stride < op->grid.n_slices && !aggregate->subtract;
    if (op->combines && !aggregate->merge)
        return weir_fail(ctx->diag, WEIR_E_ARGUMENT, "%s: %s windows need an aggregate with a merge function, '%s' has none",
                         ctx->operator_id, config->window.kind == WEIR_CUMULATING ? "cumulating" : "sliding", aggregate->name);
    weir_err err = window_slices_open(&op->slices, ctx, &op->grid, aggregate->acc_size);
    if (!err) err = window_progress_open(&op->progress, ctx);
    op->passed = op->progress.passed;
    all_over(op);
    if (err || !op->combines) return err;
    err = window_running_open(&op->running, ctx, &op->slices, aggregate, stacks);
    return err ? err : fold_restored(op, ctx);
}

static weir_err slice_open(void *self, struct weir_ctx *ctx)
{
    struct slicing *op = self;
    const struct window_config *config = ctx->config;
    if (window_grid_init(&op->grid, &config->window))
        return weir_fail(ctx->diag, WEIR_E_ARGUMENT,
                         "%s: a window needs a size above 0, an offset from 0 to below the size or slide, and a step that divides the size",
                         ctx->operator_id);
    op->combines = op->grid.n_slices > 1;
    op->clock = window_clock_of(&config->window);
    op->lateness_ms = config->window.allowed_lateness_ms;
    weir_err err = window_fold_open(&op->fold, ctx, config);
    if (!err) err = open_state(op, ctx, config);
    if (err || op->slices.first == op->slices.n) return err;
    return set_timer(op, ctx, op->slices.items[op->slices.first]->table); /* restored */
}

static void slice_close(void *self, struct weir_ctx *ctx)
{
    struct slicing *op = self;
    (void)ctx;
    window_fold_close(&op->fold);
    window_running_close(&op->running);
    window_slices_close(&op->slices);
    free(op->places);
    op->places = NULL;
}

/* ---- firing a window ------------------------------------------------------------------------------------------------------------------
 */

static weir_err no_memory(struct weir_ctx *ctx)
{
    return weir_fail(ctx->diag, WEIR_E_NOMEM, "%s: out of memory for a window", ctx->operator_id);
}

/* Where the rows of a window lie: in its slices. */
static weir_err places_of(struct slicing *op, struct weir_ctx *ctx, struct window_span window, struct window_places *out)
{
    *out = (struct window_places){0};
    if (!op->fold.keeps_rows) return WEIR_OK;
    uint32_t from = window_slices_from(&op->slices, window.from), to = window_slices_from(&op->slices, window.to);
    if (to - from > op->cap_places) {
        int64_t *grown = realloc(op->places, (to - from) * sizeof *grown);
        if (!grown) return no_memory(ctx);
        op->places = grown;
        op->cap_places = to - from;
    }
    for (uint32_t i = from; i < to; i++) op->places[i - from] = op->slices.items[i]->lowest;
    *out = (struct window_places){op->places, to - from};
    return WEIR_OK;
}

/* The next key of the window that fires, with its accumulator. */
static bool next_result(struct slicing *op, struct weir_ctx *ctx, struct weir_key *key, const void **acc)
{
    if (op->combines) return window_running_next(&op->running, ctx, &op->cursor, key, acc);
    void *value;
    uint32_t at = window_slices_from(&op->slices, op->window.from);
    if (!weir_table_next(ctx, op->slices.items[at]->table, &op->cursor, key, &value)) return false;
    *acc = value;
    return true;
}

static weir_err emit_window(struct slicing *op, struct weir_ctx *ctx, bool pauses)
{
    weir_time start = window_span_start(&op->grid, op->window), end = window_span_end(&op->grid, op->window);
    struct window_places places;
    struct weir_key key;
    const void *acc;
    weir_err err = places_of(op, ctx, op->window, &places);
    while (!err && next_result(op, ctx, &key, &acc)) {
        err = window_fold_emit(&op->fold, ctx, &key, acc, start, end, places);
        if (!err && pauses && weir_should_yield(ctx)) err = WEIR_AGAIN;
    }
    if (!err) op->cursor = 0;
    return err;
}

static void survey_window(struct slicing *op, struct weir_ctx *ctx)
{
    const struct weir_aggregate *aggregate = op->fold.aggregate;
    struct weir_key key;
    const void *acc;
    if (!aggregate->summary_size) return;
    memset(op->fold.summary, 0, aggregate->summary_size);
    while (next_result(op, ctx, &key, &acc)) aggregate->survey(op->fold.summary, acc);
    op->cursor = 0;
}

/* The slices of the window that are not in the combination yet. */
static weir_err enter_slices(struct slicing *op, struct weir_ctx *ctx)
{
    for (uint32_t at; (at = window_slices_from(&op->slices, op->next)) < op->slices.n;) {
        struct slice *slice = op->slices.items[at];
        if (slice->number >= op->window.to) break;
        weir_err err = window_running_enter(&op->running, ctx, slice);
        if (err) return err;
        op->next = slice->number + 1;
    }
    return WEIR_OK;
}

/* The slices that the next window does not hold. */
static weir_err leave_slices(struct slicing *op, struct weir_ctx *ctx)
{
    struct window_span held = {window_grid_next(&op->grid, op->window).from, op->window.to};
    if (held.from >= held.to) {
        window_running_reset(&op->running, ctx);
        return WEIR_OK;
    }
    for (uint32_t at; (at = window_slices_from(&op->slices, op->next)) < op->slices.n;) {
        struct slice *slice = op->slices.items[at];
        if (slice->number >= held.from) break;
        weir_err err = window_running_leave(&op->running, ctx, slice, held);
        if (err) return err;
        op->next = slice->number + 1;
    }
    return WEIR_OK;
}

/* One window, from where it was left. */
static weir_err fire_window(struct slicing *op, struct weir_ctx *ctx, bool pauses)
{
    weir_err err = WEIR_OK;
    switch (op->phase) {
    case ENTERING:
        if (op->combines) err = enter_slices(op, ctx);
        if (err) return err;
        op->phase = SURVEYING;
        /* fall through */
    case SURVEYING:
        survey_window(op, ctx);
        op->phase = EMITTING;
        /* fall through */
    case EMITTING:
        err = emit_window(op, ctx, pauses);
        if (err) return err;
        op->phase = LEAVING;
        op->next = op->held.from;
        /* fall through */
    case LEAVING:
        if (op->combines) err = leave_slices(op, ctx);
        if (err) return err;
    }
    set_over(op, op->window);
    op->firing = false;
    return WEIR_OK;
}

/* ---- which windows fire ----------------------------------------------------------------------------------------------------------------
 */

/* Nothing that fell to a slice will be asked for again: neither held, nor of a window that may fire again. */
static bool is_over(const struct slicing *op, const struct slice *slice)
{
    if (slice->number >= op->over.to || (op->combines && slice->number >= op->held.from)) return false;
    weir_time last = window_span_last(&op->grid, window_grid_last_of(&op->grid, slice->number));
    return window_after(last, op->lateness_ms) <= op->passed;
}

/* Rows are no part of a slice's table. */
static weir_err clear_rows(struct slicing *op, struct weir_ctx *ctx, struct slice *slice)
{
    uint64_t cursor = 0;
    struct weir_key key;
    void *acc;
    weir_err err = WEIR_OK;
    while (!err && weir_table_next(ctx, slice->table, &cursor, &key, &acc)) err = window_fold_clear(&op->fold, ctx, &key, slice->lowest);
    return err;
}

static weir_err drop_slices(struct slicing *op, struct weir_ctx *ctx)
{
    while (op->slices.first < op->slices.n && is_over(op, op->slices.items[op->slices.first])) {
        struct slice *slice = op->slices.items[op->slices.first];
        weir_err err = op->fold.keeps_rows ? clear_rows(op, ctx, slice) : WEIR_OK;
        if (err) return err;
        if (op->hint == slice) op->hint = NULL;
        window_slices_drop_first(&op->slices, ctx);
    }
    return WEIR_OK;
}

/* Fires all windows that end by `passed`. With `pauses` it may return WEIR_AGAIN: call again. */
static weir_err fire_all(struct slicing *op, struct weir_ctx *ctx, weir_time passed, bool pauses)
{
    if (passed > op->passed) op->passed = passed;
    struct window_span window;
    while (op->firing || (next_window(op, &window) && window_span_last(&op->grid, window) <= op->passed)) {
        if (!op->firing) {
            op->firing = true;
            op->window = window;
            op->phase = ENTERING;
            op->next = op->held.to > window.from ? op->held.to : window.from;
        }
        weir_err err = fire_window(op, ctx, pauses);
        if (err == WEIR_AGAIN && !pauses) continue;
        if (!err) err = drop_slices(op, ctx);
        if (err) return err;
    }
    all_over(op); /* the empty ones, too */
    weir_err err = drop_slices(op, ctx);
    return err ? err : window_progress_note(&op->progress, ctx, op->passed);
}

static weir_err slice_on_watermark(void *self, struct weir_ctx *ctx, weir_time watermark_ms)
{
    struct slicing *op = self;
    if (op->clock.runs && watermark_ms != WEIR_TIME_MAX) return WEIR_OK;
    return fire_all(op, ctx, watermark_ms, true);
}

/* ---- processing time -------------------------------------------------------------------------------------------------------------------
 */

static weir_err slice_on_timer(void *self, struct weir_ctx *ctx, const struct weir_timer *timer)
{
    struct slicing *op = self;
    op->clock.timer_ms = WEIR_TIME_MAX;
    weir_err err = fire_all(op, ctx, window_before(weir_now_ms(ctx), 1), true);
    if (err == WEIR_AGAIN) return weir_timer_set(ctx, WEIR_PROCESSING_TIME, window_after(timer->time_ms, 1), 0); /* at the next step */
    return err ? err : set_timer(op, ctx, NULL);
}

/* ---- records ----------------------------------------------------------------------------------------------------------------------------
 */

static weir_err add_part(struct slicing *op, struct weir_ctx *ctx, const struct weir_batch *batch, struct slice *slice, const uint32_t *idx,
                         uint32_t n)
{
    weir_err err = weir_table_probe(ctx, slice->table, idx, n, op->accs);
    return err ? err : window_fold_add(&op->fold, ctx, op->accs, batch, idx, n, slice->lowest);
}

static bool all_in(const struct slice *slice, const struct weir_batch *batch)
{
    bool in = true;
    for (uint32_t i = 0; i < batch->count; i++) {
        weir_time t = weir_batch_record(batch, i)->time_ms;
        in &= (t >= slice->lowest) & (t <= slice->last);
    }
    return in;
}

/* The slice in front of all windows that have fired, to which time t belongs: NULL when there is none. */
static weir_err find_slice(struct slicing *op, struct weir_ctx *ctx, weir_time t, struct slice **out)
{
    struct window_span window;
    *out = window_slices_at(&op->slices, t);
    if (*out && (*out)->number >= op->over.to) return WEIR_OK;
    window_slice number = window_grid_slice(&op->grid, t);
    bool ahead = number >= op->over.to && window_grid_first_of(&op->grid, number, &window);
    *out = NULL;
    return ahead ? window_slices_make(&op->slices, ctx, number, out) : WEIR_OK;
}

static weir_err assign_part(struct slicing *op, struct weir_ctx *ctx, uint32_t i, weir_time t, struct slice **slice)
{
    if (!*slice || t < (*slice)->lowest || t > (*slice)->last) {
        if (t == WEIR_TIME_MIN)
            return weir_fail(ctx->diag, WEIR_E_USER, "%s: record without event time: assign timestamps before the window",
                             ctx->operator_id);
        weir_err err = find_slice(op, ctx, t, slice);
        if (err) return err;
    }
    if (!*slice) {
        op->part_of[i] = NO_PART;
        op->behind[op->n_behind++] = i;
        return WEIR_OK;
    }
    uint32_t part = (*slice)->part;
    if (part >= op->n_parts || op->parts[part].slice != *slice) {
        part = (*slice)->part = op->n_parts++;
        op->parts[part] = (struct part){.slice = *slice};
    }
    op->part_of[i] = part;
    op->parts[part].count++;
    return WEIR_OK;
}

/* Finds each record's part; parts are numbered in the order in which their slices appear. */
static weir_err assign_parts(struct slicing *op, struct weir_ctx *ctx, const struct weir_batch *batch)
{
    struct slice *slice = NULL; /* of the record before */
    op->n_parts = op->n_behind = op->n_late = 0;
    for (uint32_t i = 0; i < batch->count; i++) {
        weir_err err = assign_part(op, ctx, i, weir_batch_record(batch, i)->time_ms, &slice);
        if (err) return err;
    }
    if (slice) op->hint = slice;
    return WEIR_OK;
}

/* A counting sort: afterwards the records of a part lie together in idx, in their old order. */
static void sort_by_part(struct slicing *op, uint32_t count)
{
    uint32_t from = 0;
    for (uint32_t p = 0; p < op->n_parts; p++) {
        op->parts[p].from = from;
        from += op->parts[p].count;
        op->parts[p].count = 0;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (op->part_of[i] == NO_PART) continue;
        struct part *part = &op->parts[op->part_of[i]];
        op->idx[part->from + part->count++] = i;
    }
}

/* ---- records behind a firing ------------------------------------------------------------------------------------------------------------
 */

static weir_err refire(struct slicing *op, struct weir_ctx *ctx, const struct weir_key *key, struct window_span window)
{
    struct window_places places;
    uint32_t at = window_slices_from(&op->slices, window.from);
    const void *acc =
        op->combines ? window_running_combine(&op->running, ctx, key, window) : weir_table_find(ctx, op->slices.items[at]->table, key);
    if (!acc) return WEIR_OK; /* a failure of the state, which remembers it */
    weir_err err = places_of(op, ctx, window, &places);
    if (err) return err;
    return window_fold_emit(&op->fold, ctx, key, acc, window_span_start(&op->grid, window), window_span_end(&op->grid, window), places);
}

/* Fires those of the slice's windows again that are over and may still change. */
static weir_err refire_windows(struct slicing *op, struct weir_ctx *ctx, const struct weir_key *key, window_slice number)
{
    struct window_span w;
    bool found = window_grid_first_of(&op->grid, number, &w);
    for (; found && w.from <= number && window_span_last(&op->grid, w) <= op->passed; w = window_grid_next(&op->grid, w)) {
        if (window_after(window_span_last(&op->grid, w), op->lateness_ms) <= op->passed) continue;
        weir_err err = refire(op, ctx, key, w);
        if (err) return err;
    }
    return WEIR_OK;
}

static weir_err take_behind(struct slicing *op, struct weir_ctx *ctx, const struct weir_batch *batch, uint32_t i)
{
    window_slice number = window_grid_slice(&op->grid, weir_batch_record(batch, i)->time_ms);
    struct window_span last = window_grid_last_of(&op->grid, number), first;
    if (!window_grid_first_of(&op->grid, number, &first)) return WEIR_OK; /* between two windows */
    if (window_after(window_span_last(&op->grid, last), op->lateness_ms) <= op->passed) {
        op->late[op->n_late++] = i;
        return WEIR_OK;
    }
    struct slice *slice;
    struct weir_key key = ctx->keys[i];
    weir_err err = window_slices_make(&op->slices, ctx, number, &slice);
    if (!err) err = add_part(op, ctx, batch, slice, &i, 1);
    if (!err && op->combines && number >= op->held.from && number < op->held.to)
        err = window_running_refold(&op->running, ctx, &key, op->held);
    return err || op->lateness_ms == 0 ? err : refire_windows(op, ctx, &key, number);
}

static weir_err take_all_behind(struct slicing *op, struct weir_ctx *ctx, const struct weir_batch *batch)
{
    for (uint32_t k = 0; k < op->n_behind; k++) {
        weir_err err = take_behind(op, ctx, batch, op->behind[k]);
        if (err) return err;
    }
    /* Last: what is downstream may edit these records. */
    return op->n_late ? window_pass_late(ctx, batch, op->late, op->n_late) : WEIR_OK;
}

/* ---- batches ----------------------------------------------------------------------------------------------------------------------------
 */

/* All of the batch into the slice of the clock, which does not go back behind windows that have fired. */
static weir_err process_by_clock(struct slicing *op, struct weir_ctx *ctx, const struct weir_batch *batch)
{
    weir_time now = weir_now_ms(ctx);
    struct slice *slice;
    if (now <= op->passed) now = window_after(op->passed, 1);
    weir_err err = find_slice(op, ctx, now, &slice);
    if (err || !slice) return err; /* between two windows */
    err = add_part(op, ctx, batch, slice, NULL, batch->count);
    weir_set_key(ctx, 0);
    return err ? err : set_timer(op, ctx, NULL);
}

static weir_err slice_process(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *batch)
{
    struct slicing *op = self;
    (void)input; /* one input */
    weir_err err = WEIR_OK;
    if (op->clock.runs) return process_by_clock(op, ctx, batch);
    /* The windows that are over take nothing in, wherever their results wait to be taken. */
    if (op->firing || ctx->watermark_ms > op->passed) err = fire_all(op, ctx, ctx->watermark_ms, false);
    if (err) return err;
    if (op->hint && op->hint->number >= op->over.to && all_in(op->hint, batch))
        return add_part(op, ctx, batch, op->hint, NULL, batch->count);
    err = assign_parts(op, ctx, batch);
    if (err) return err;
    sort_by_part(op, batch->count);
    for (uint32_t p = 0; p < op->n_parts && !err; p++) {
        const struct part *part = &op->parts[p];
        err = add_part(op, ctx, batch, part->slice, op->idx + part->from, part->count);
    }
    return err || op->n_behind == 0 ? err : take_all_behind(op, ctx, batch);
}

/* The late output carries the input's rows: the builder puts the aggregate's schemas in place of these. */
static const struct weir_schema *const sides[] = {NULL};

const struct weir_operator window_slice_operator = {
    .struct_size = sizeof(struct weir_operator),
    .name = "window",
    .self_size = sizeof(struct slicing),
    .sides = sides,
    .n_sides = 1,
    .flags = WEIR_OPERATOR_KEYED,
    .open = slice_open,
    .process = slice_process,
    .on_watermark = slice_on_watermark,
    .on_timer = slice_on_timer,
    .close = slice_close,
};
