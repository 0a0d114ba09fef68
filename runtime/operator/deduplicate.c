/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One row of each key: the first or the last in event time.
 *
 * State: a value per key, the row that stands with its time. Of a batch the best row of each key is looked for first, and only that is
 * compared with what stands. A watermark releases nothing: rows leave at once and are taken back when a better one comes. Or, at the end,
 * nothing leaves before the watermark WEIR_TIME_MAX, and then the row that stands of each key, by a scan that pauses when the output is
 * full.
 */
#include "runtime/operator/first_rows.h"
#include "runtime/operator/groups.h"
#include "runtime/operator/rows.h"
#include "runtime/operator/step.h"

struct deduplicator {
    const struct weir_deduplicate *deduplicate;
    bool at_end, telling; /* telling: the end has come */
    uint64_t cursor;
    struct weir_state *rows;
    struct row_buf buf;
    struct groups groups;
};

static weir_err deduplicate_open(void *self, struct weir_ctx *ctx)
{
    struct deduplicator *op = self;
    const struct deduplicate_config *config = ctx->config;
    op->deduplicate = config->deduplicate;
    op->at_end = config->at_end;
    const struct weir_state_desc desc = {.struct_size = sizeof desc, .name = "rows", .schema = op->deduplicate->row};
    return weir_value_open(ctx, &desc, &op->rows);
}

static void deduplicate_close(void *self, struct weir_ctx *ctx)
{
    (void)ctx;
    row_buf_close(&((struct deduplicator *)self)->buf);
}

/* True when a is to be kept rather than b. */
static bool is_better(const struct weir_deduplicate *d, const struct timed_row *a, const struct timed_row *b)
{
    bool first = d->keep == WEIR_KEEP_FIRST;
    if (a->time_ms != b->time_ms) return first == (a->time_ms < b->time_ms);
    return first ? d->before(a->row, b->row) : d->before(b->row, a->row);
}

static struct timed_row best_of_group(const struct deduplicator *op, const struct weir_batch *batch, uint32_t group)
{
    struct timed_row best = {0};
    for (uint32_t i = op->groups.first[group]; i != GROUPS_END; i = op->groups.next[i]) {
        struct weir_record *rec = weir_batch_record(batch, i);
        const struct timed_row row = {.time_ms = rec->time_ms, .row = weir_record_row(rec), .size = rec->size};
        if (!best.row || is_better(op->deduplicate, &row, &best)) best = row;
    }
    return best;
}

static weir_err tell_change(struct weir_ctx *ctx, const struct timed_row *old, const struct timed_row *best)
{
    weir_err err = old ? weir_emit_bytes(ctx->out, old->row, old->size, best->time_ms, WEIR_UPDATE_BEFORE) : WEIR_OK;
    return err ? err : weir_emit_bytes(ctx->out, best->row, best->size, best->time_ms, old ? WEIR_UPDATE_AFTER : WEIR_INSERT);
}

static weir_err take_group(struct deduplicator *op, struct weir_ctx *ctx, const struct weir_batch *batch, uint32_t group)
{
    struct timed_row best = best_of_group(op, batch, group), old;
    weir_err err = WEIR_OK;
    weir_set_key(ctx, op->groups.first[group]);
    bool stands = timed_row_parse(ctx, weir_value_read(ctx, op->rows), op->deduplicate->row->row_size, &old, &err);
    if (err || (stands && !is_better(op->deduplicate, &best, &old))) return err;
    if (!op->at_end) err = tell_change(ctx, stands ? &old : NULL, &best);
    return err ? err : timed_row_write(&op->buf, ctx, op->rows, best.row, best.size, best.time_ms);
}

static weir_err deduplicate_process(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *batch)
{
    struct deduplicator *op = self;
    weir_err err = WEIR_OK;
    (void)input; /* one input */
    if (op->telling) return refuse_after_end(ctx);
    groups_make(&op->groups, ctx->keys, batch->count);
    for (uint32_t k = 0; !err && k < op->groups.n; k++) err = take_group(op, ctx, batch, k);
    return err;
}

static weir_err deduplicate_at_end(void *self, struct weir_ctx *ctx, weir_time watermark_ms)
{
    struct deduplicator *op = self;
    if (watermark_ms != WEIR_TIME_MAX) return WEIR_OK;
    op->telling = true;
    return timed_rows_tell(ctx, op->rows, op->deduplicate->row->row_size, &op->cursor);
}

const struct weir_operator deduplicate_operator = {
    .struct_size = sizeof(struct weir_operator),
    .name = "deduplicate",
    .self_size = sizeof(struct deduplicator),
    .flags = WEIR_OPERATOR_KEYED | WEIR_OPERATOR_RETRACTS,
    .open = deduplicate_open,
    .process = deduplicate_process,
    .close = deduplicate_close,
};

const struct weir_operator end_deduplicate_operator = {
    .struct_size = sizeof(struct weir_operator),
    .name = "deduplicate-at-end",
    .self_size = sizeof(struct deduplicator),
    .flags = WEIR_OPERATOR_KEYED,
    .open = deduplicate_open,
    .process = deduplicate_process,
    .on_watermark = deduplicate_at_end,
    .close = deduplicate_close,
};

static struct weir_stream *build(struct weir_stream *keyed, const char *id, const struct weir_deduplicate *d, bool at_end)
{
    if (!step_check(keyed, id, "weir_deduplicate", d, sizeof *d)) return NULL;
    if (!d->row || !d->before || (d->keep != WEIR_KEEP_FIRST && d->keep != WEIR_KEEP_LAST))
        return weir_refuse(weir_stream_env(keyed), "operator %s: its weir_deduplicate needs row, before, and which row to keep", id);
    struct weir_operator table = at_end ? end_deduplicate_operator : deduplicate_operator;
    table.in = table.out = d->row;
    const struct deduplicate_config config = {.deduplicate = d, .at_end = at_end};
    return step_apply(keyed, id, &table, &config, sizeof config);
}

struct weir_stream *weir_deduplicate(struct weir_stream *keyed, const char *id, const struct weir_deduplicate *d)
{
    return build(keyed, id, d, false);
}

struct weir_stream *weir_deduplicate_at_end(struct weir_stream *keyed, const char *id, const struct weir_deduplicate *d)
{
    return build(keyed, id, d, true);
}
