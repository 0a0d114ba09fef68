/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The window join: pairs that share a window.
 *
 * State per key: the rows of each side by (time, number), once however many windows hold them, and a value with the next number. A timer
 * stands at the last time of each window that holds a row. A semi-join keeps one right row of those in the same windows. When the watermark
 * reaches it, the rows of its range are paired; then those that no later window holds go, and with the last of them the key.
 */
#include <inttypes.h>
#include <string.h>

#include "runtime/operator/join.h"
#include "runtime/operator/join_time.h"
#include "runtime/operator/rows.h"
#include "runtime/operator/step.h"

struct key_state {
    uint64_t next_number; /* tells rows of one time apart; 0: no row yet */
    weir_time last_start; /* the windows of a row whose last one begins there have their timers */
    weir_time seen_start; /* semi-join: the last window of the right row kept last; one of those that share their windows is enough */
    bool seen;
};

struct window_join {
    const struct weir_pairs *pairs;
    struct weir_join_window window;
    struct weir_state *rows[2];
    struct weir_state *keys;
    struct row_buf left, right;
    uint32_t late[WEIR_BATCH_MAX];
};

static weir_err window_open(void *self, struct weir_ctx *ctx)
{
    struct window_join *op = self;
    const struct window_join_config *config = ctx->config;
    const struct weir_state_desc left = {.struct_size = sizeof left, .name = "left", .schema = config->pairs->left};
    const struct weir_state_desc right = {.struct_size = sizeof right, .name = "right", .schema = config->pairs->right};
    const struct weir_state_desc keys = {.struct_size = sizeof keys, .name = "keys", .value_size = sizeof(struct key_state)};
    op->pairs = config->pairs;
    op->window = config->window;
    weir_err err = weir_ordered_open(ctx, &left, &op->rows[0]);
    if (!err) err = weir_ordered_open(ctx, &right, &op->rows[1]);
    return err ? err : weir_value_open(ctx, &keys, &op->keys);
}

static void window_close(void *self, struct weir_ctx *ctx)
{
    struct window_join *op = self;
    (void)ctx;
    row_buf_close(&op->left);
    row_buf_close(&op->right);
}

/* ---- rows come ---------------------------------------------------------------------------------------------------------------------- */

/* Start of the last window that holds t. */
static weir_time last_start(const struct weir_join_window *w, weir_time t)
{
    int64_t rest = (t - w->offset_ms) % w->slide_ms;
    return t - (rest < 0 ? rest + w->slide_ms : rest);
}

/* Rows with one last window share all. */
static bool windows_are_alike(const struct weir_join_window *w)
{
    return w->size_ms % w->slide_ms == 0;
}

/* Sets the timers of the windows that hold t and have not fired. Those of another row are often the same. */
static weir_err set_timers(const struct window_join *op, struct weir_ctx *ctx, struct key_state *key, weir_time t, weir_time last)
{
    const struct weir_join_window *w = &op->window;
    if (windows_are_alike(w) && key->next_number > 1 && key->last_start == last) return WEIR_OK;
    key->last_start = last;
    for (weir_time start = last; start > t - w->size_ms && start + w->size_ms - 1 > ctx->watermark_ms; start -= w->slide_ms) {
        weir_err err = weir_timer_set(ctx, WEIR_EVENT_TIME, start + w->size_ms - 1, 0);
        if (err) return err;
    }
    return WEIR_OK;
}

/* A right row of a semi-join tells nothing new when one in the same windows is kept. */
static bool is_known(const struct window_join *op, struct key_state *key, uint32_t input, weir_time last)
{
    if (!op->window.semi || input == 0 || !windows_are_alike(&op->window)) return false;
    bool known = key->seen && key->seen_start == last;
    key->seen = true;
    key->seen_start = last;
    return known;
}

static weir_err take_row(struct window_join *op, struct weir_ctx *ctx, uint32_t input, struct weir_record *rec, weir_time last)
{
    struct key_state *key = weir_value(ctx, op->keys);
    if (!key) return WEIR_E_NOMEM;
    if (is_known(op, key, input, last)) return WEIR_OK;
    uint64_t number = key->next_number++;
    weir_err err = set_timers(op, ctx, key, rec->time_ms, last);
    return err ? err : weir_ordered_put(ctx, op->rows[input], rec->time_ms, number, weir_record_row(rec), rec->size);
}

static weir_err refuse_time(struct weir_ctx *ctx, weir_time t)
{
    return weir_fail(ctx->diag, WEIR_E_USER, "%s: a record at %" PRId64 ", whose windows leave the range of times", ctx->operator_id, t);
}

static weir_err window_process(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *batch)
{
    struct window_join *op = self;
    int64_t margin = 2 * op->window.size_ms;
    uint32_t n_late = 0;
    for (uint32_t i = 0; i < batch->count; i++) {
        struct weir_record *rec = weir_batch_record(batch, i);
        weir_time t = rec->time_ms;
        if (t == WEIR_TIME_MIN) return refuse_timeless(ctx);
        if (t < WEIR_TIME_MIN + margin || t > WEIR_TIME_MAX - margin) return refuse_time(ctx, t);
        weir_time last = last_start(&op->window, t);
        if (last + op->window.size_ms - 1 <= ctx->watermark_ms) {
            op->late[n_late++] = i;
            continue;
        }
        weir_set_key(ctx, i);
        weir_err err = take_row(op, ctx, input, rec, last);
        if (err) return err;
    }
    return forward_late(ctx, 1 + input, batch, op->late, n_late);
}

/* ---- windows fire -------------------------------------------------------------------------------------------------------------------- */

static weir_err give(struct window_join *op, struct weir_ctx *ctx, const void *left, const void *right, weir_time time_ms)
{
    const struct weir_pair pair = {.left = left, .right = right, .time_ms = time_ms, .kind = WEIR_INSERT};
    return op->pairs->emit(ctx->out, &pair, 1);
}

/* A left row, in op->left, beside all right rows of the window. */
static weir_err give_pairs(struct window_join *op, struct weir_ctx *ctx, weir_time start, weir_time end)
{
    struct weir_ordered_entry e;
    uint64_t cursor = 0;
    while (weir_ordered_next(ctx, op->rows[1], start, end, &cursor, &e)) {
        const void *right = row_aligned(&op->right, ctx, e.value.data, e.value.length);
        weir_err err = right ? give(op, ctx, op->left.data, right, end) : WEIR_E_NOMEM;
        if (err) return err;
    }
    return WEIR_OK;
}

static bool is_empty(struct weir_ctx *ctx, struct weir_state *rows, weir_time from, weir_time to)
{
    struct weir_ordered_entry e;
    uint64_t cursor = 0;
    return !weir_ordered_next(ctx, rows, from, to, &cursor, &e);
}

/* The window [start, end]. */
static weir_err fire(struct window_join *op, struct weir_ctx *ctx, weir_time start, weir_time end)
{
    struct weir_ordered_entry e;
    uint64_t cursor = 0;
    if (is_empty(ctx, op->rows[1], start, end)) return WEIR_OK;
    while (weir_ordered_next(ctx, op->rows[0], start, end, &cursor, &e)) {
        void *left = row_reserve(&op->left, ctx, e.value.length); /* the entry's bytes end with the next call */
        if (!left) return WEIR_E_NOMEM;
        memcpy(left, e.value.data, e.value.length);
        weir_err err = op->window.semi ? give(op, ctx, left, NULL, end) : give_pairs(op, ctx, start, end);
        if (err) return err;
    }
    return WEIR_OK;
}

/* Rows before `until` are in no window that has not fired. */
static weir_err forget(struct window_join *op, struct weir_ctx *ctx, weir_time until)
{
    weir_err err = weir_ordered_remove_before(ctx, op->rows[0], until);
    if (!err) err = weir_ordered_remove_before(ctx, op->rows[1], until);
    if (err) return err;
    if (is_empty(ctx, op->rows[0], until, WEIR_TIME_MAX) && is_empty(ctx, op->rows[1], until, WEIR_TIME_MAX))
        weir_value_clear(ctx, op->keys);
    return WEIR_OK;
}

static weir_err window_on_timer(void *self, struct weir_ctx *ctx, const struct weir_timer *timer)
{
    struct window_join *op = self;
    weir_time end = timer->time_ms, start = end + 1 - op->window.size_ms;
    weir_err err = fire(op, ctx, start, end);
    return err ? err : forget(op, ctx, start + op->window.slide_ms);
}

static const struct weir_schema *const sides[] = {NULL, NULL}; /* the builder puts the rows' types in their places */

const struct weir_operator window_join_operator = {
    .struct_size = sizeof(struct weir_operator),
    .name = "window-join",
    .self_size = sizeof(struct window_join),
    .sides = sides,
    .n_sides = 2,
    .flags = WEIR_OPERATOR_KEYED | WEIR_OPERATOR_TWO_INPUTS,
    .open = window_open,
    .process = window_process,
    .on_timer = window_on_timer,
    .close = window_close,
};

static bool window_is_sound(const struct weir_join_window *w)
{
    return w->size_ms > 0 && w->size_ms <= WEIR_INTERVAL_MAX && w->slide_ms > 0 && w->slide_ms <= w->size_ms && w->offset_ms >= 0 &&
           w->offset_ms < w->slide_ms;
}

struct weir_stream *weir_window_join(struct weir_stream *left, struct weir_stream *right, const char *id, const struct weir_pairs *pairs,
                                     const struct weir_join_window *window)
{
    if (!right || !pairs_check(left, id, pairs)) return NULL;
    struct window_join_config config = {.pairs = pairs};
    if (window) config.window = *window;
    if (config.window.slide_ms == 0) config.window.slide_ms = config.window.size_ms;
    if (!window_is_sound(&config.window))
        return weir_refuse(weir_stream_env(left),
                           "operator %s: its window needs a size_ms of 1 ... %" PRId64
                           ", a slide_ms up to that, and an offset_ms below the slide",
                           id, WEIR_INTERVAL_MAX);
    struct weir_operator table = window_join_operator;
    const struct weir_schema *const late[] = {pairs->left, pairs->right};
    table.in = pairs->left;
    table.second = pairs->right;
    table.out = pairs->out;
    table.sides = late;
    return step_co_apply(left, right, id, &table, &config, sizeof config);
}
