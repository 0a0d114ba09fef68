/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The interval join: pairs whose times lie within given distances.
 *
 * State per key: the rows of each side by (time, number), and a value with the next number and the key's one timer. A row meets the rows of
 * the other side within its reach, a range of that state, and is kept for those to come. The watermark is what says that none will: a
 * left row at t goes when it reaches t + upper, a right one when it reaches t - lower. The timer stands at the first time at which a row of
 * the key may go; when none is left, nothing of the key is.
 */
#include <inttypes.h>

#include "runtime/operator/join.h"
#include "runtime/operator/join_time.h"
#include "runtime/operator/rows.h"
#include "runtime/operator/step.h"

struct key_state {
    uint64_t next_number; /* tells rows of one time apart */
    struct one_timer timer;
};

struct side {
    struct weir_state *rows; /* by (time, number) */
    int64_t from_ms, to_ms;  /* what it reaches of the other side: [t + from_ms, t + to_ms] */
};

struct interval_join {
    const struct weir_pairs *pairs;
    struct side sides[2];
    struct weir_state *keys;
    struct row_buf buf;
    uint32_t late[WEIR_BATCH_MAX];
};

static weir_err interval_open(void *self, struct weir_ctx *ctx)
{
    struct interval_join *op = self;
    const struct interval_join_config *config = ctx->config;
    const struct weir_interval *i = &config->interval;
    const struct weir_state_desc left = {.struct_size = sizeof left, .name = "left", .schema = config->pairs->left};
    const struct weir_state_desc right = {.struct_size = sizeof right, .name = "right", .schema = config->pairs->right};
    const struct weir_state_desc keys = {.struct_size = sizeof keys, .name = "keys", .value_size = sizeof(struct key_state)};
    op->pairs = config->pairs;
    op->sides[0] = (struct side){.from_ms = i->lower_ms, .to_ms = i->upper_ms};
    op->sides[1] = (struct side){.from_ms = -i->upper_ms, .to_ms = -i->lower_ms};
    weir_err err = weir_ordered_open(ctx, &left, &op->sides[0].rows);
    if (!err) err = weir_ordered_open(ctx, &right, &op->sides[1].rows);
    return err ? err : weir_value_open(ctx, &keys, &op->keys);
}

static void interval_close(void *self, struct weir_ctx *ctx)
{
    (void)ctx;
    row_buf_close(&((struct interval_join *)self)->buf);
}

/* ---- rows meet ---------------------------------------------------------------------------------------------------------------------- */

static weir_err meet(struct interval_join *op, struct weir_ctx *ctx, uint32_t input, struct weir_record *rec)
{
    const struct side *own = &op->sides[input], *other = &op->sides[1 - input];
    weir_time from = time_plus(rec->time_ms, own->from_ms), to = time_plus(rec->time_ms, own->to_ms);
    struct weir_ordered_entry e;
    uint64_t cursor = 0;
    while (weir_ordered_next(ctx, other->rows, from, to, &cursor, &e)) {
        const void *row = row_aligned(&op->buf, ctx, e.value.data, e.value.length), *mine = weir_record_row(rec);
        if (!row) return WEIR_E_NOMEM;
        const struct weir_pair pair = {.left = input ? row : mine,
                                       .right = input ? mine : row,
                                       .time_ms = e.time_ms > rec->time_ms ? e.time_ms : rec->time_ms,
                                       .kind = WEIR_INSERT};
        weir_err err = op->pairs->emit(ctx->out, &pair, 1);
        if (err) return err;
    }
    return WEIR_OK;
}

/* Keeps a row for those of the other side that may still come. */
static weir_err keep(struct interval_join *op, struct weir_ctx *ctx, uint32_t input, struct weir_record *rec)
{
    weir_time due = time_plus(rec->time_ms, op->sides[input].to_ms);
    if (due <= ctx->watermark_ms) return WEIR_OK;
    struct key_state *key = weir_value(ctx, op->keys);
    if (!key) return WEIR_E_NOMEM;
    uint64_t number = key->next_number++;
    weir_err err = timer_at_latest(&key->timer, ctx, due);
    return err ? err : weir_ordered_put(ctx, op->sides[input].rows, rec->time_ms, number, weir_record_row(rec), rec->size);
}

static weir_err interval_process(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *batch)
{
    struct interval_join *op = self;
    uint32_t n_late = 0;
    for (uint32_t i = 0; i < batch->count; i++) {
        struct weir_record *rec = weir_batch_record(batch, i);
        if (rec->time_ms == WEIR_TIME_MIN) return refuse_timeless(ctx);
        if (rec->time_ms <= ctx->watermark_ms) {
            op->late[n_late++] = i;
            continue;
        }
        weir_set_key(ctx, i);
        weir_err err = meet(op, ctx, input, rec);
        if (!err) err = keep(op, ctx, input, rec);
        if (err) return err;
    }
    return forward_late(ctx, 1 + input, batch, op->late, n_late);
}

/* ---- rows go ------------------------------------------------------------------------------------------------------------------------ */

/* Drops the rows that are due. *next: when the first of the others is; WEIR_TIME_MAX: none is left. */
static weir_err forget(const struct side *s, struct weir_ctx *ctx, weir_time *next)
{
    struct weir_ordered_entry e;
    uint64_t cursor = 0;
    weir_time until = time_plus(time_plus(ctx->watermark_ms, -s->to_ms), 1);
    weir_err err = weir_ordered_remove_before(ctx, s->rows, until);
    if (!err && weir_ordered_next(ctx, s->rows, WEIR_TIME_MIN, WEIR_TIME_MAX, &cursor, &e)) *next = time_plus(e.time_ms, s->to_ms);
    return err;
}

static weir_err interval_on_timer(void *self, struct weir_ctx *ctx, const struct weir_timer *timer)
{
    struct interval_join *op = self;
    weir_time next[2] = {WEIR_TIME_MAX, WEIR_TIME_MAX};
    (void)timer; /* the key has one */
    weir_err err = forget(&op->sides[0], ctx, &next[0]);
    if (!err) err = forget(&op->sides[1], ctx, &next[1]);
    if (err) return err;
    weir_time first = next[0] < next[1] ? next[0] : next[1];
    if (first == WEIR_TIME_MAX) {
        weir_value_clear(ctx, op->keys);
        return WEIR_OK;
    }
    struct key_state *key = weir_value(ctx, op->keys);
    if (!key) return WEIR_E_NOMEM;
    key->timer.is_set = 0;
    return timer_at_latest(&key->timer, ctx, first);
}

static const struct weir_schema *const sides[] = {NULL, NULL}; /* the builder puts the rows' types in their places */

const struct weir_operator interval_join_operator = {
    .struct_size = sizeof(struct weir_operator),
    .name = "interval-join",
    .self_size = sizeof(struct interval_join),
    .sides = sides,
    .n_sides = 2,
    .flags = WEIR_OPERATOR_KEYED | WEIR_OPERATOR_TWO_INPUTS,
    .open = interval_open,
    .process = interval_process,
    .on_timer = interval_on_timer,
    .close = interval_close,
};

struct weir_stream *weir_interval_join(struct weir_stream *left, struct weir_stream *right, const char *id, const struct weir_pairs *pairs,
                                       const struct weir_interval *interval)
{
    if (!right || !pairs_check(left, id, pairs)) return NULL;
    if (!interval || interval->lower_ms > interval->upper_ms || interval->lower_ms < -WEIR_INTERVAL_MAX ||
        interval->upper_ms > WEIR_INTERVAL_MAX)
        return weir_refuse(weir_stream_env(left), "operator %s: its interval is not lower_ms <= upper_ms within +-%" PRId64, id,
                           WEIR_INTERVAL_MAX);
    struct weir_operator table = interval_join_operator;
    const struct weir_schema *const late[] = {pairs->left, pairs->right};
    table.in = pairs->left;
    table.second = pairs->right;
    table.out = pairs->out;
    table.sides = late;
    const struct interval_join_config config = {.pairs = pairs, .interval = *interval};
    return step_co_apply(left, right, id, &table, &config, sizeof config);
}
