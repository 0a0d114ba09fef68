/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A result for each row over it and those before it, in order of event time.
 *
 * State per key: its rows by (time, tie), those that wait and the last n - 1 that have left; a value that says how far it has come, and the
 * time of the key's one timer, which is that of the first row that waits. A watermark releases the rows up to it. A key with many pauses
 * when the output is full: its timer is set again, for at once.
 */
#include "runtime/operator/over_rows.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/operator/join_time.h"
#include "runtime/operator/rows.h"
#include "runtime/operator/step.h"

/* Zeros: nothing has left. */
struct progress {
    weir_time left_ms; /* of the last row that has left, with left_tie */
    uint64_t left_tie;
    uint64_t any_left;
    struct one_timer timer;
};

struct over_rows {
    const struct weir_over_rows *over;
    struct weir_state *rows;
    struct weir_state *progress;
    struct row_buf *bufs; /* the rows of `window` */
    const void **window;  /* the last rows seen, ascending */
    uint32_t n_window;
    uint32_t late[WEIR_BATCH_MAX];
};

static weir_err over_open(void *self, struct weir_ctx *ctx)
{
    struct over_rows *op = self;
    op->over = ((const struct over_rows_config *)ctx->config)->over;
    op->bufs = calloc(op->over->n, sizeof *op->bufs);
    op->window = calloc(op->over->n, sizeof *op->window);
    if (!op->bufs || !op->window) return weir_fail(ctx->diag, WEIR_E_NOMEM, "%s: no memory for %u rows", ctx->operator_id, op->over->n);
    const struct weir_state_desc rows = {.struct_size = sizeof rows, .name = "rows", .schema = op->over->row};
    const struct weir_state_desc progress = {.struct_size = sizeof progress, .name = "progress", .value_size = sizeof(struct progress)};
    weir_err err = weir_ordered_open(ctx, &rows, &op->rows);
    return err ? err : weir_value_open(ctx, &progress, &op->progress);
}

static void over_close(void *self, struct weir_ctx *ctx)
{
    struct over_rows *op = self;
    (void)ctx;
    for (uint32_t i = 0; op->bufs && i < op->over->n; i++) row_buf_close(&op->bufs[i]);
    free(op->bufs);
    free(op->window);
}

/* ---- rows come ---------------------------------------------------------------------------------------------------------------------- */

static weir_err keep_row(struct over_rows *op, struct weir_ctx *ctx, struct weir_record *rec)
{
    const void *row = weir_record_row(rec);
    uint64_t tie = op->over->tie(row);
    if (weir_ordered_get(ctx, op->rows, rec->time_ms, tie).data)
        return weir_fail(ctx->diag, WEIR_E_USER, "%s: two rows of a key have the time %" PRId64 " and the tie %" PRIu64, ctx->operator_id,
                         rec->time_ms, tie);
    return weir_ordered_put(ctx, op->rows, rec->time_ms, tie, row, rec->size);
}

static weir_err take_row(struct over_rows *op, struct weir_ctx *ctx, struct weir_record *rec, bool *late)
{
    struct progress *p = weir_value(ctx, op->progress);
    if (!p) return WEIR_E_NOMEM;
    *late = p->any_left && rec->time_ms <= p->left_ms; /* after a restore the watermark may be behind */
    if (*late) return WEIR_OK;
    weir_err err = timer_at_latest(&p->timer, ctx, rec->time_ms);
    return err ? err : keep_row(op, ctx, rec);
}

static weir_err over_process(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *batch)
{
    struct over_rows *op = self;
    uint32_t n_late = 0;
    (void)input; /* one input */
    for (uint32_t i = 0; i < batch->count; i++) {
        struct weir_record *rec = weir_batch_record(batch, i);
        bool late = rec->time_ms <= ctx->watermark_ms;
        if (rec->time_ms == WEIR_TIME_MIN) return refuse_timeless(ctx);
        weir_set_key(ctx, i);
        weir_err err = late ? WEIR_OK : take_row(op, ctx, rec, &late);
        if (err) return err;
        if (late) op->late[n_late++] = i;
    }
    return forward_late(ctx, 1, batch, op->late, n_late);
}

/* ---- rows leave --------------------------------------------------------------------------------------------------------------------- */

/* Appends a row to the window; the oldest one leaves a full one. */
static weir_err push(struct over_rows *op, struct weir_ctx *ctx, struct weir_bytes row)
{
    uint32_t n = op->over->n;
    if (op->n_window == n) {
        struct row_buf oldest = op->bufs[0];
        memmove(op->bufs, op->bufs + 1, (n - 1) * sizeof *op->bufs);
        memmove(op->window, op->window + 1, (n - 1) * sizeof *op->window);
        op->bufs[n - 1] = oldest;
        op->n_window--;
    }
    void *copy = row_reserve(&op->bufs[op->n_window], ctx, row.length);
    if (!copy) return WEIR_E_NOMEM;
    op->window[op->n_window++] = memcpy(copy, row.data, row.length);
    return WEIR_OK;
}

static bool has_left(const struct progress *p, const struct weir_ordered_entry *e)
{
    return p->any_left && (e->time_ms < p->left_ms || (e->time_ms == p->left_ms && e->seq <= p->left_tie));
}

/*
 * Lets rows go up to the watermark, or until the output is full. *n: rows of the key up to the last one that has left. *next: time of the
 * first that waits; WEIR_TIME_MAX: none.
 */
static weir_err release(struct over_rows *op, struct weir_ctx *ctx, struct progress *p, uint32_t *n, weir_time *next)
{
    struct weir_ordered_entry e;
    uint64_t cursor = 0;
    bool full = false;
    op->n_window = *n = 0;
    *next = WEIR_TIME_MAX;
    while (weir_ordered_next(ctx, op->rows, WEIR_TIME_MIN, WEIR_TIME_MAX, &cursor, &e)) {
        bool old = has_left(p, &e);
        if (!old && (full || e.time_ms > ctx->watermark_ms)) {
            *next = e.time_ms;
            break;
        }
        weir_err err = push(op, ctx, e.value);
        ++*n;
        if (!err && !old) err = op->over->emit(ctx->out, op->window, op->n_window, e.time_ms);
        if (err) return err;
        if (old) continue;
        p->left_ms = e.time_ms;
        p->left_tie = e.seq;
        p->any_left = 1;
        full = weir_should_yield(ctx);
    }
    return WEIR_OK;
}

/* Of the first `n` rows the last .n - 1 stay. */
static weir_err forget(struct over_rows *op, struct weir_ctx *ctx, uint32_t n)
{
    struct weir_ordered_entry e;
    uint64_t cursor = 0;
    for (; n >= op->over->n && weir_ordered_next(ctx, op->rows, WEIR_TIME_MIN, WEIR_TIME_MAX, &cursor, &e); n--) {
        weir_err err = weir_ordered_remove(ctx, op->rows, e.time_ms, e.seq);
        if (err) return err;
    }
    return WEIR_OK;
}

static weir_err over_on_timer(void *self, struct weir_ctx *ctx, const struct weir_timer *timer)
{
    struct over_rows *op = self;
    struct progress *stored = weir_value(ctx, op->progress), p;
    uint32_t n;
    weir_time next;
    (void)timer; /* the key has one */
    if (!stored) return WEIR_E_NOMEM;
    p = *stored;
    p.timer.is_set = 0;
    weir_err err = release(op, ctx, &p, &n, &next);
    if (!err) err = forget(op, ctx, n);
    if (!err && next != WEIR_TIME_MAX) err = timer_at_latest(&p.timer, ctx, next);
    return err ? err : weir_value_write(ctx, op->progress, &p, sizeof p);
}

static const struct weir_schema *const sides[] = {NULL}; /* the builder puts the rows' type in its place */

const struct weir_operator over_rows_operator = {
    .struct_size = sizeof(struct weir_operator),
    .name = "over-rows",
    .self_size = sizeof(struct over_rows),
    .sides = sides,
    .n_sides = 1,
    .flags = WEIR_OPERATOR_KEYED,
    .open = over_open,
    .process = over_process,
    .on_timer = over_on_timer,
    .close = over_close,
};

struct weir_stream *weir_over_rows(struct weir_stream *keyed, const char *id, const struct weir_over_rows *over)
{
    if (!step_check(keyed, id, "weir_over_rows", over, sizeof *over)) return NULL;
    if (!over->tie || !over->emit || over->n == 0 || over->n > WEIR_OVER_ROWS_MAX)
        return weir_refuse(weir_stream_env(keyed),
                           "operator %s: its weir_over_rows needs tie, emit, and n of 1 ... %u (WEIR_OVER_ROWS_MAX)", id,
                           WEIR_OVER_ROWS_MAX);
    struct weir_operator table = over_rows_operator;
    const struct weir_schema *const late[] = {over->row};
    table.in = over->row;
    table.out = over->out;
    table.sides = late;
    const struct over_rows_config config = {.over = over};
    return step_apply(keyed, id, &table, &config, sizeof config);
}
