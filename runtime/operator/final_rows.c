/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table that a changelog ends in: kept while it runs, told when event time ends.
 *
 * By key: state is a value per key, its row with the time of its last change; a delete clears it. Of a batch only the last change of each
 * key counts. By row: the key is the row itself, by its fields alone, and state is how often it stands; zero clears it. The count may be
 * below zero for a while, when one sender takes back before another one gives.
 *
 * The watermark WEIR_TIME_MAX releases everything: a scan over all keys, of memory and RocksDB, which pauses when the output is full.
 */
#include "runtime/operator/final_rows.h"

#include <inttypes.h>

#include "runtime/operator/aggregate.h"
#include "runtime/operator/groups.h"
#include "runtime/operator/rows.h"
#include "runtime/operator/step.h"

/* ---- what both have in common ------------------------------------------------------------------------------------------------------ */

struct scan {
    uint64_t cursor;
    bool begun;
};

/* ---- a row a key ------------------------------------------------------------------------------------------------------------------- */

struct by_key {
    struct weir_state *rows;
    uint32_t row_size;
    struct scan scan;
    struct row_buf buf;
    struct groups groups;
};

static weir_err by_key_open(void *self, struct weir_ctx *ctx)
{
    struct by_key *op = self;
    const struct final_rows_config *config = ctx->config;
    const struct weir_state_desc desc = {.struct_size = sizeof desc, .name = "rows", .schema = config->schema};
    op->row_size = config->schema ? config->schema->row_size : 0;
    return weir_value_open(ctx, &desc, &op->rows);
}

static void by_key_close(void *self, struct weir_ctx *ctx)
{
    (void)ctx;
    row_buf_close(&((struct by_key *)self)->buf);
}

static weir_err by_key_process(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *batch)
{
    struct by_key *op = self;
    (void)input; /* one input */
    if (op->scan.begun) return refuse_after_end(ctx);
    groups_make(&op->groups, ctx->keys, batch->count);
    for (uint32_t k = 0; k < op->groups.n; k++) {
        uint32_t i = op->groups.last[k];
        struct weir_record *rec = weir_batch_record(batch, i);
        weir_set_key(ctx, i);
        weir_err err = WEIR_OK;
        if (takes_back(rec->kind))
            weir_value_clear(ctx, op->rows);
        else
            err = timed_row_write(&op->buf, ctx, op->rows, weir_record_row(rec), rec->size, rec->time_ms);
        if (err) return err;
    }
    return WEIR_OK;
}

static weir_err by_key_on_watermark(void *self, struct weir_ctx *ctx, weir_time watermark_ms)
{
    struct by_key *op = self;
    if (watermark_ms != WEIR_TIME_MAX) return WEIR_OK;
    op->scan.begun = true;
    return timed_rows_tell(ctx, op->rows, op->row_size, &op->scan.cursor);
}

const struct weir_operator final_rows_by_key_operator = {
    .struct_size = sizeof(struct weir_operator),
    .name = "final-rows",
    .self_size = sizeof(struct by_key),
    .flags = WEIR_OPERATOR_KEYED | WEIR_OPERATOR_UPSERTS,
    .open = by_key_open,
    .process = by_key_process,
    .on_watermark = by_key_on_watermark,
    .close = by_key_close,
};

/* ---- counted rows ------------------------------------------------------------------------------------------------------------------ */

struct standing {
    int64_t count;
    weir_time time_ms; /* of the last change */
};

struct counted {
    struct weir_state *rows;
    struct scan scan;
    struct weir_key row;  /* being told ... */
    struct standing left; /* ... and how often it still must be */
    void *cells[WEIR_BATCH_MAX];
    bool gone[WEIR_BATCH_MAX];
    struct groups groups;
};

static weir_err counted_open(void *self, struct weir_ctx *ctx)
{
    struct counted *op = self;
    const struct weir_state_desc desc = {.struct_size = sizeof desc, .name = "rows", .value_size = sizeof(struct standing)};
    return weir_value_open(ctx, &desc, &op->rows);
}

static weir_err counted_process(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *batch)
{
    struct counted *op = self;
    struct groups *g = &op->groups;
    (void)input; /* one input */
    if (op->scan.begun) return refuse_after_end(ctx);
    groups_make(g, ctx->keys, batch->count);
    weir_err err = weir_value_probe(ctx, op->rows, g->first, g->n, op->cells);
    if (err) return err;
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct weir_record *rec = weir_batch_record(batch, i);
        struct standing *s = op->cells[g->of[i]];
        s->count += takes_back(rec->kind) ? -1 : 1;
        s->time_ms = rec->time_ms;
    }
    for (uint32_t k = 0; k < g->n; k++) op->gone[k] = ((struct standing *)op->cells[k])->count == 0;
    for (uint32_t k = 0; k < g->n; k++) {
        if (!op->gone[k]) continue;
        weir_set_key(ctx, g->first[k]);
        weir_value_clear(ctx, op->rows);
    }
    return WEIR_OK;
}

static bool next_row(struct counted *op, struct weir_ctx *ctx)
{
    struct weir_bytes value;
    if (!weir_value_next(ctx, op->rows, &op->scan.cursor, &op->row, &value)) return false;
    memcpy(&op->left, value.data, sizeof op->left);
    return true;
}

static weir_err counted_on_watermark(void *self, struct weir_ctx *ctx, weir_time watermark_ms)
{
    struct counted *op = self;
    if (watermark_ms != WEIR_TIME_MAX) return WEIR_OK;
    op->scan.begun = true;
    while (op->left.count > 0 || next_row(op, ctx)) {
        if (op->left.count < 0)
            return weir_fail(ctx->diag, WEIR_E_USER,
                             "%s: a row was taken back %" PRId64
                             " times more often than it was given: what comes before breaks its changelog",
                             ctx->operator_id, -op->left.count);
        weir_err err = weir_emit_bytes(ctx->out, op->row.data, op->row.length, op->left.time_ms, WEIR_INSERT);
        if (err) return err;
        op->left.count--;
        if (weir_should_yield(ctx)) return WEIR_AGAIN;
    }
    return WEIR_OK;
}

const struct weir_operator final_rows_counted_operator = {
    .struct_size = sizeof(struct weir_operator),
    .name = "final-rows",
    .self_size = sizeof(struct counted),
    .flags = WEIR_OPERATOR_KEYED | WEIR_OPERATOR_TAKES_CHANGES,
    .open = counted_open,
    .process = counted_process,
    .on_watermark = counted_on_watermark,
};

static void extract_row(const struct weir_batch *batch, struct weir_key *keys, unsigned char *scratch)
{
    (void)scratch; /* the row is its key */
    for (uint32_t i = 0; i < batch->count; i++) {
        struct weir_record *rec = weir_batch_record(batch, i);
        keys[i].data = weir_record_row(rec);
        keys[i].length = rec->size;
    }
}
const struct weir_keyer whole_row_key = {sizeof(struct weir_keyer), "row", 0, extract_row, NULL};

/* ---- rows by their fields ----------------------------------------------------------------------------------------------------------- */

struct row_fields {
    const struct weir_schema *schema;
    struct row_buf buf;
};

static weir_err fields_open(void *self, struct weir_ctx *ctx)
{
    const struct final_rows_config *config = ctx->config;
    ((struct row_fields *)self)->schema = config->schema;
    return WEIR_OK;
}

static void fields_close(void *self, struct weir_ctx *ctx)
{
    (void)ctx;
    row_buf_close(&((struct row_fields *)self)->buf);
}

static weir_err fields_process(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *batch)
{
    struct row_fields *op = self;
    (void)input; /* one input */
    for (uint32_t i = 0; i < batch->count; i++) {
        struct weir_record *rec = weir_batch_record(batch, i);
        struct weir_bytes row = row_by_fields(&op->buf, ctx, op->schema, weir_record_row(rec));
        if (!row.data) return WEIR_E_NOMEM;
        if (row.length > WEIR_KEY_MAX)
            return weir_fail(ctx->diag, WEIR_E_LIMIT,
                             "%s: a row of %u bytes is too long to be counted by its fields (WEIR_KEY_MAX, %u): "
                             "give weir_final_rows a keyer",
                             ctx->operator_id, row.length, WEIR_KEY_MAX);
        weir_err err = weir_emit_bytes(ctx->out, row.data, row.length, rec->time_ms, rec->kind);
        if (err) return err;
    }
    return WEIR_OK;
}

const struct weir_operator row_fields_operator = {
    .struct_size = sizeof(struct weir_operator),
    .name = "row-fields",
    .self_size = sizeof(struct row_fields),
    .flags = WEIR_OPERATOR_PASSES_CHANGES,
    .open = fields_open,
    .process = fields_process,
    .close = fields_close,
};

/* ---- builder ------------------------------------------------------------------------------------------------------------------------ */

struct weir_stream *weir_final_rows(struct weir_stream *in, const char *id, const struct weir_keyer *keyer)
{
    const struct final_rows_config config = {.schema = weir_stream_schema(in)};
    if (!in) return NULL;
    if (keyer) return step_apply(weir_key_by(in, keyer), id, &final_rows_by_key_operator, &config, sizeof config);
    if (!config.schema)
        return weir_refuse(weir_stream_env(in), "operator %s: final rows without a keyer need a stream whose row type is known", id);
    struct weir_stream *fields = step_apply(in, step_part_id(in, id, "fields"), &row_fields_operator, &config, sizeof config);
    return step_apply(weir_key_by(fields, &whole_row_key), id, &final_rows_counted_operator, NULL, 0);
}
