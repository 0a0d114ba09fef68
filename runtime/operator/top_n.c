/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first rows of each key in an order of the user's.
 *
 * State: a value per key, its rows in order, each with its time:
 *
 *     | number of rows (8 bytes) | size (8) | time (8) | row, filled up to a multiple of 8 | size | time | row ...
 *
 * The rows of a batch are put in their places key by key; what has changed in the end is told and written, once a key and batch. Most rows
 * come behind the last one and cost one comparison. A watermark releases nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "runtime/operator/first_rows.h"
#include "runtime/operator/groups.h"
#include "runtime/operator/rows.h"
#include "runtime/operator/step.h"

#define HEAD 8u
#define ENTRY_HEAD 16u

struct entry {
    const void *row;
    weir_time time_ms;
    uint32_t size;
    uint32_t was; /* its rank before the batch, from 1; 0 = it is new */
};

/* The rows of a key; `rows` are the same as in `entries`, as `place` wants them. */
struct ranking {
    uint32_t n;
    struct entry entries[WEIR_TOP_N_MAX + 1];
    const void *rows[WEIR_TOP_N_MAX + 1];
};

struct top_n {
    const struct weir_top_n *top;
    struct weir_state *state;
    struct row_buf buf;
    struct groups groups;
    struct ranking old, now;
    bool stays[WEIR_TOP_N_MAX]; /* of the old ones */
    struct weir_ranked changes[2 * WEIR_TOP_N_MAX];
};

static weir_err top_n_open(void *self, struct weir_ctx *ctx)
{
    struct top_n *op = self;
    op->top = ((const struct top_n_config *)ctx->config)->top;
    const struct weir_state_desc desc = {.struct_size = sizeof desc, .name = "first rows"};
    return weir_value_open(ctx, &desc, &op->state);
}

static void top_n_close(void *self, struct weir_ctx *ctx)
{
    (void)ctx;
    row_buf_close(&((struct top_n *)self)->buf);
}

/* ---- the value --------------------------------------------------------------------------------------------------------------------- */

static weir_err broken(struct weir_ctx *ctx)
{
    return weir_fail(ctx->diag, WEIR_E_CORRUPT, "%s: the first rows of a key in its state break their layout", ctx->operator_id);
}

static weir_err parse(const struct top_n *op, struct weir_ctx *ctx, struct weir_bytes value, struct ranking *out)
{
    const unsigned char *at = value.data, *end = at + value.length;
    uint64_t n = 0, size;
    out->n = 0;
    if (!value.data) return WEIR_OK;
    if (value.length < HEAD) return broken(ctx);
    memcpy(&n, at, HEAD);
    at += HEAD;
    if (n > op->top->n) n = op->top->n; /* an earlier version of the job kept more */
    for (; out->n < n; out->n++) {
        struct entry *e = &out->entries[out->n];
        if ((size_t)(end - at) < ENTRY_HEAD) return broken(ctx);
        memcpy(&size, at, 8);
        memcpy(&e->time_ms, at + 8, 8);
        at += ENTRY_HEAD;
        if (size < op->top->row->row_size || size > WEIR_ROW_MAX || (size_t)(end - at) < ((size + 7) & ~7ull)) return broken(ctx);
        e->row = at;
        e->size = (uint32_t)size;
        e->was = out->n + 1;
        out->rows[out->n] = at;
        at += (size + 7) & ~7ull;
    }
    return WEIR_OK;
}

static weir_err write_rows(struct top_n *op, struct weir_ctx *ctx, const struct ranking *r)
{
    size_t size = HEAD;
    for (uint32_t i = 0; i < r->n; i++) size += ENTRY_HEAD + ((r->entries[i].size + 7u) & ~7u);
    if (size > WEIR_VALUE_MAX)
        return weir_fail(ctx->diag, WEIR_E_LIMIT, "%s: the %u first rows of a key have %zu bytes, at most %u (WEIR_VALUE_MAX)",
                         ctx->operator_id, r->n, size, WEIR_VALUE_MAX);
    unsigned char *value = row_reserve(&op->buf, ctx, size), *at = value;
    if (!value) return WEIR_E_NOMEM;
    memcpy(at, &(uint64_t){r->n}, HEAD);
    at += HEAD;
    for (uint32_t i = 0; i < r->n; i++) {
        const struct entry *e = &r->entries[i];
        uint32_t padded = (e->size + 7u) & ~7u;
        memcpy(at, &(uint64_t){e->size}, 8);
        memcpy(at + 8, &e->time_ms, 8);
        memcpy(at + ENTRY_HEAD, e->row, e->size);
        memset(at + ENTRY_HEAD + e->size, 0, padded - e->size);
        at += ENTRY_HEAD + padded;
    }
    return weir_value_write(ctx, op->state, value, (uint32_t)size);
}

/* ---- places ------------------------------------------------------------------------------------------------------------------------ */

/* False: the row comes behind all that are kept. */
static bool insert(const struct top_n *op, struct ranking *r, struct weir_record *rec)
{
    const void *row = weir_record_row(rec);
    uint32_t at = op->top->place(r->rows, r->n, row);
    if (at >= op->top->n) return false;
    memmove(r->entries + at + 1, r->entries + at, (r->n - at) * sizeof r->entries[0]);
    memmove(r->rows + at + 1, r->rows + at, (r->n - at) * sizeof r->rows[0]);
    r->entries[at] = (struct entry){.row = row, .time_ms = rec->time_ms, .size = rec->size};
    r->rows[at] = row;
    if (r->n < op->top->n) r->n++;
    return true;
}

static void copy_ranking(struct ranking *to, const struct ranking *from)
{
    to->n = from->n;
    memcpy(to->entries, from->entries, from->n * sizeof from->entries[0]);
    memcpy(to->rows, from->rows, from->n * sizeof from->rows[0]);
}

/* ---- telling ----------------------------------------------------------------------------------------------------------------------- */

static struct weir_ranked change(const struct entry *e, uint32_t rank, weir_time time_ms, uint8_t kind)
{
    return (struct weir_ranked){.row = e->row, .row_size = e->size, .rank = rank, .time_ms = time_ms, .kind = kind};
}

/* Rank by rank: what stood there, what stands there. */
static weir_err tell_ranks(struct top_n *op, struct weir_ctx *ctx, weir_time time_ms)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < op->now.n; i++) {
        bool was = i < op->old.n;
        if (was && op->now.entries[i].was == i + 1) continue;
        if (was) op->changes[n++] = change(&op->old.entries[i], i + 1, time_ms, WEIR_UPDATE_BEFORE);
        op->changes[n++] = change(&op->now.entries[i], i + 1, time_ms, was ? WEIR_UPDATE_AFTER : WEIR_INSERT);
    }
    return op->top->emit(ctx->out, op->changes, n);
}

/* Rows that have gone, rows that have come. */
static weir_err tell_rows(struct top_n *op, struct weir_ctx *ctx, weir_time time_ms)
{
    weir_err err = WEIR_OK;
    memset(op->stays, 0, op->old.n * sizeof op->stays[0]);
    for (uint32_t i = 0; i < op->now.n; i++) {
        if (op->now.entries[i].was) op->stays[op->now.entries[i].was - 1] = true;
    }
    for (uint32_t i = 0; !err && i < op->old.n; i++) {
        const struct entry *e = &op->old.entries[i];
        if (!op->stays[i]) err = weir_emit_bytes(ctx->out, e->row, e->size, time_ms, WEIR_DELETE);
    }
    for (uint32_t i = 0; !err && i < op->now.n; i++) {
        const struct entry *e = &op->now.entries[i];
        if (!e->was) err = weir_emit_bytes(ctx->out, e->row, e->size, time_ms, WEIR_INSERT);
    }
    return err;
}

/* ---- batches ----------------------------------------------------------------------------------------------------------------------- */

static weir_err take_group(struct top_n *op, struct weir_ctx *ctx, const struct weir_batch *batch, uint32_t group)
{
    weir_set_key(ctx, op->groups.first[group]);
    weir_err err = parse(op, ctx, weir_value_read(ctx, op->state), &op->old);
    if (err) return err;
    copy_ranking(&op->now, &op->old);
    weir_time time_ms = WEIR_TIME_MIN;
    bool changed = false;
    for (uint32_t i = op->groups.first[group]; i != GROUPS_END; i = op->groups.next[i]) {
        struct weir_record *rec = weir_batch_record(batch, i);
        if (rec->time_ms > time_ms) time_ms = rec->time_ms;
        changed |= insert(op, &op->now, rec);
    }
    if (!changed) return WEIR_OK;
    err = op->top->emit ? tell_ranks(op, ctx, time_ms) : tell_rows(op, ctx, time_ms);
    return err ? err : write_rows(op, ctx, &op->now);
}

static weir_err top_n_process(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *batch)
{
    struct top_n *op = self;
    weir_err err = WEIR_OK;
    (void)input; /* one input */
    groups_make(&op->groups, ctx->keys, batch->count);
    for (uint32_t k = 0; !err && k < op->groups.n; k++) err = take_group(op, ctx, batch, k);
    return err;
}

const struct weir_operator top_n_operator = {
    .struct_size = sizeof(struct weir_operator),
    .name = "top-n",
    .self_size = sizeof(struct top_n),
    .flags = WEIR_OPERATOR_KEYED | WEIR_OPERATOR_RETRACTS,
    .open = top_n_open,
    .process = top_n_process,
    .close = top_n_close,
};

struct weir_stream *weir_top_n(struct weir_stream *keyed, const char *id, const struct weir_top_n *top)
{
    if (!step_check(keyed, id, "weir_top_n", top, sizeof *top)) return NULL;
    if (!top->row || !top->place || !top->emit != !top->out || top->n == 0 || top->n > WEIR_TOP_N_MAX)
        return weir_refuse(weir_stream_env(keyed),
                           "operator %s: its weir_top_n needs row, place, both or none of emit and out, and an n of 1 ... %u "
                           "(WEIR_TOP_N_MAX)",
                           id, WEIR_TOP_N_MAX);
    struct weir_operator table = top_n_operator;
    table.in = top->row;
    table.out = top->out ? top->out : top->row;
    const struct top_n_config config = {.top = top};
    return step_apply(keyed, id, &table, &config, sizeof config);
}
