/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fake_runtime.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define FRAME_BYTES 32768u

/* Memory of a test does not run out. */
static void *need(void *memory)
{
    if (!memory) abort();
    return memory;
}

static struct fake *fake_of(struct weir_ctx *ctx)
{
    return ctx->host;
}

/* ---- outputs --------------------------------------------------------------------------------------------------------------------- */

static void remember_row(struct fake_output *output, struct weir_record *rec)
{
    if (output->n_rows == output->rows_cap) {
        output->rows_cap = output->rows_cap ? output->rows_cap * 2 : 1024;
        output->rows = need(realloc(output->rows, output->rows_cap * sizeof *output->rows));
    }
    output->rows[output->n_rows++] = rec;
}

/* Keeps a copy of the batch. It is a copy of its own size, so that a sanitizer sees who reads past a record. */
static void keep(struct fake *f, uint32_t index, const struct weir_batch *batch)
{
    struct fake_output *output = &f->outputs[index];
    output->batches = need(realloc(output->batches, (output->n_batches + 1) * sizeof *output->batches));
    struct fake_batch *kept = &output->batches[output->n_batches++];
    size_t bytes = 0;
    for (uint32_t i = 0; i < batch->count; i++) bytes += weir_record_span(weir_batch_record(batch, i)->size);
    kept->count = batch->count;
    kept->data = need(malloc(bytes));
    kept->offsets = need(calloc(batch->count, sizeof *kept->offsets));
    uint32_t at = 0;
    for (uint32_t i = 0; i < batch->count; i++) {
        struct weir_record *rec = weir_batch_record(batch, i);
        if (index == 0 && rec->time_ms != WEIR_TIME_MIN)
            assert_true(rec->time_ms > f->source_watermark_ms); /* never behind its own promise */
        kept->offsets[i] = at;
        memcpy(kept->data + at, rec, sizeof *rec + rec->size);
        remember_row(output, (struct weir_record *)(void *)(kept->data + at));
        at += weir_record_span(rec->size);
    }
}

static uint32_t index_of(const struct fake *f, const struct weir_out *out)
{
    return (uint32_t)(out - f->outs);
}

static void hand_over(struct fake *f, struct weir_out *out)
{
    if (out->count == 0) return;
    struct weir_batch batch = {.data = out->base, .sel = out->mixed ? out->offsets : NULL, .count = out->count, .stride = out->first_span};
    keep(f, index_of(f, out), &batch);
    out->count = 0;
    out->mixed = 0;
}

static struct fake *fake_of_out(struct weir_out *out)
{
    return out->host;
}

static void new_frame(struct fake *f, struct weir_out *out, uint32_t need_bytes)
{
    uint32_t size = f->frame_bytes > need_bytes ? f->frame_bytes : need_bytes;
    unsigned char *frame = need(aligned_alloc(64, (size + 63u) & ~63u));
    memset(frame, 0xa5, (size + 63u) & ~63u); /* nobody may rely on zeros */
    out->base = out->cursor = frame;
    out->end = frame + size;
}

void weir_out_make_room(struct weir_out *out, uint32_t need_size)
{
    struct fake *f = fake_of_out(out);
    if (need_size > WEIR_ROW_MAX) {
        out->err = weir_fail(&f->diag, WEIR_E_LIMIT, "a row of more than %u bytes (WEIR_ROW_MAX)", WEIR_ROW_MAX);
        return;
    }
    const unsigned char *building = out->cursor;
    hand_over(f, out);
    unsigned char *old = out->base;
    new_frame(f, out, weir_record_span(need_size));
    if (out->tail) memcpy(out->cursor, building, sizeof(struct weir_record) + out->tail);
    free(old);
}

weir_err weir_forward(struct weir_ctx *ctx, uint32_t index, struct weir_batch *batch)
{
    struct fake *f = fake_of(ctx);
    assert_true(index < ctx->n_outs);
    assert_in_range(batch->count, 1, WEIR_BATCH_MAX);
    fake_flush(f);
    keep(f, index, batch);
    return WEIR_OK;
}

weir_err weir_batch_own(struct weir_ctx *ctx, struct weir_batch *batch)
{
    struct fake *f = fake_of(ctx);
    if (batch->flags & WEIR_BATCH_MUTABLE) return WEIR_OK;
    uint32_t end = 0;
    for (uint32_t i = 0; i < batch->count; i++) {
        struct weir_record *rec = weir_batch_record(batch, i);
        uint32_t behind = (uint32_t)((unsigned char *)rec - batch->data) + weir_record_span(rec->size);
        if (behind > end) end = behind;
    }
    assert_null(f->owned); /* once a call */
    f->owned = need(malloc(end));
    memcpy(f->owned, batch->data, end);
    batch->data = f->owned;
    batch->flags |= WEIR_BATCH_MUTABLE;
    return WEIR_OK;
}

/* ---- the rest of the runtime ------------------------------------------------------------------------------------------------------ */

weir_time weir_now_ms(struct weir_ctx *ctx)
{
    return fake_of(ctx)->now_ms;
}

void weir_count(struct weir_ctx *ctx, const char *name, uint64_t n)
{
    struct fake *f = fake_of(ctx);
    uint32_t i = 0;
    while (i < f->n_counters && strcmp(f->counters[i].name, name) != 0) i++;
    assert_true(i < FAKE_COUNTERS_MAX);
    if (i == f->n_counters) f->counters[f->n_counters++] = (struct fake_counter){.name = name};
    f->counters[i].value += n;
}

bool weir_should_yield(struct weir_ctx *ctx)
{
    struct fake *f = fake_of(ctx);
    return f->yield_at_rows && f->outputs[0].n_rows + f->outs[0].count >= f->yield_at_rows;
}

weir_err weir_source_watermark(struct weir_ctx *ctx, weir_time watermark_ms)
{
    struct fake *f = fake_of(ctx);
    fake_flush(f); /* rows first: the promise is about later ones */
    if (watermark_ms > f->source_watermark_ms) f->source_watermark_ms = watermark_ms;
    return WEIR_OK;
}

/* ---- life ------------------------------------------------------------------------------------------------------------------------ */

struct fake *fake_new(const struct fake_options *o)
{
    struct fake *f = need(calloc(1, sizeof *f));
    assert_true(o->n_outs <= FAKE_OUTS_MAX);
    f->frame_bytes = o->frame_bytes ? o->frame_bytes : FRAME_BYTES;
    f->source_watermark_ms = WEIR_TIME_MIN;
    for (uint32_t i = 0; i < o->n_outs; i++) {
        f->outs[i].host = f;
        f->outs[i].offsets = need(calloc(WEIR_BATCH_MAX, sizeof(uint32_t)));
        new_frame(f, &f->outs[i], 0);
    }
    f->ctx = (struct weir_ctx){
        .struct_size = sizeof f->ctx,
        .out = f->outs,
        .n_outs = o->n_outs,
        .subtask = o->subtask,
        .parallelism = o->parallelism ? o->parallelism : 1,
        .sel = f->sel,
        .watermark_ms = WEIR_TIME_MIN,
        .config = o->config,
        .operator_id = o->operator_id ? o->operator_id : "test",
        .job_id = o->job_id ? o->job_id : "00000000000000000000000000000000",
        .diag = &f->diag,
        .host = f,
        .attempt = o->attempt ? o->attempt : 1,
        .restored = o->restored,
    };
    return f;
}

void fake_clear(struct fake *f, uint32_t index)
{
    struct fake_output *output = &f->outputs[index];
    for (uint32_t i = 0; i < output->n_batches; i++) {
        free(output->batches[i].data);
        free(output->batches[i].offsets);
    }
    free(output->batches);
    free(output->rows);
    *output = (struct fake_output){0};
}

void fake_close(struct fake *f)
{
    if (f->self && f->source && f->source->close) f->source->close(f->self, &f->ctx);
    if (f->self && f->op && f->op->close) f->op->close(f->self, &f->ctx);
    if (f->keyed_close) f->keyed_close(f);
    for (uint32_t i = 0; i < FAKE_OUTS_MAX; i++) {
        fake_clear(f, i);
        free(f->outs[i].base);
        free(f->outs[i].offsets);
    }
    for (uint32_t i = 0; i < f->committables.n; i++) free((void *)(uintptr_t)f->committables.items[i].data);
    free(f->committables.items);
    free(f->owned);
    free(f->self);
    free(f);
}

static void *new_self(size_t size)
{
    size_t rounded = (size + 63) & ~(size_t)63;
    void *self = need(aligned_alloc(64, rounded ? rounded : 64));
    return memset(self, 0, rounded ? rounded : 64);
}

/* The end of every call into the table. */
static weir_err after(struct fake *f, weir_err err)
{
    fake_flush(f);
    free(f->owned);
    f->owned = NULL;
    return err;
}

/* ---- a source -------------------------------------------------------------------------------------------------------------------- */

weir_err fake_source_open(struct fake *f, const struct weir_source *source, struct weir_bytes split, struct weir_bytes position)
{
    f->source = source;
    f->self = new_self(source->self_size);
    return source->open ? after(f, source->open(f->self, &f->ctx, split, position)) : WEIR_OK;
}

weir_err fake_source_read(struct fake *f)
{
    return after(f, f->source->read(f->self, &f->ctx));
}

weir_err fake_source_run(struct fake *f, uint32_t rows)
{
    while (fake_count(f, 0) < rows) {
        weir_err err = fake_source_read(f);
        if (err) return err == WEIR_DONE ? WEIR_OK : err;
    }
    return WEIR_OK;
}

struct weir_bytes fake_source_position(struct fake *f, unsigned char *data)
{
    uint32_t length = UINT32_MAX;
    assert_ok(f, f->source->position(f->self, &f->ctx, data, &length));
    assert_in_range(length, 0, WEIR_POSITION_BYTES_MAX);
    return (struct weir_bytes){data, length};
}

/* ---- an operator or sink ----------------------------------------------------------------------------------------------------------- */

weir_err fake_op_open(struct fake *f, const struct weir_operator *op)
{
    f->op = op;
    f->self = new_self(op->self_size);
    return op->open ? after(f, op->open(f->self, &f->ctx)) : WEIR_OK;
}

weir_err fake_op_process_input(struct fake *f, uint32_t input, struct weir_batch *batch)
{
    return after(f, f->op->process(f->self, &f->ctx, input, batch));
}

weir_err fake_op_process(struct fake *f, struct weir_batch *batch)
{
    return fake_op_process_input(f, 0, batch);
}

weir_err fake_op_feed(struct fake *f, const struct fake *from, uint32_t output)
{
    weir_err err = WEIR_OK;
    for (uint32_t i = 0; i < from->outputs[output].n_batches && !err; i++) {
        const struct fake_batch *kept = &from->outputs[output].batches[i];
        struct weir_batch batch = {.data = kept->data, .sel = kept->offsets, .count = kept->count};
        err = fake_op_process(f, &batch);
    }
    return err;
}

weir_err fake_op_finish(struct fake *f)
{
    weir_err err = f->op->finish ? WEIR_AGAIN : WEIR_OK;
    while (err == WEIR_AGAIN) err = after(f, f->op->finish(f->self, &f->ctx));
    return err ? err : fake_op_prepare(f, 0);
}

weir_err weir_committable_add(struct weir_committables *out, const void *data, uint32_t length)
{
    assert_in_range(length, 1, WEIR_COMMITTABLE_MAX);
    void *copy = malloc(length);
    memcpy(copy, data, length);
    out->items = realloc(out->items, (out->n + 1) * sizeof *out->items);
    out->items[out->n++] = (struct weir_bytes){copy, length};
    return WEIR_OK;
}

void weir_committables_records(struct weir_committables *out, uint64_t n)
{
    out->records += n;
}

weir_err fake_op_prepare(struct fake *f, uint64_t checkpoint_id)
{
    f->committables.records = 0;
    return f->op->prepare ? after(f, f->op->prepare(f->self, &f->ctx, checkpoint_id, &f->committables)) : WEIR_OK;
}

weir_err fake_op_commit_one(struct fake *f, struct weir_bytes committable)
{
    return f->op->commit ? after(f, f->op->commit(f->self, &f->ctx, committable)) : WEIR_OK;
}

weir_err fake_op_commit(struct fake *f)
{
    weir_err err = WEIR_OK;
    for (uint32_t i = 0; i < f->committables.n && !err; i++) err = fake_op_commit_one(f, f->committables.items[i]);
    return err;
}

weir_err fake_op_recover(struct fake *f, const struct weir_bytes *kept, uint32_t n_kept)
{
    return f->op->recover ? after(f, f->op->recover(f->self, &f->ctx, kept, n_kept)) : WEIR_OK;
}

/* ---- what came out ----------------------------------------------------------------------------------------------------------------- */

void fake_flush(struct fake *f)
{
    for (uint32_t i = 0; i < f->ctx.n_outs; i++) {
        struct weir_out *out = &f->outs[i];
        if (out->count == 0) continue;
        const unsigned char *building = out->cursor;
        unsigned char *old = out->base;
        hand_over(f, out);
        new_frame(f, out, out->tail ? weir_record_span(out->tail) : 0);
        if (out->tail) memcpy(out->cursor, building, sizeof(struct weir_record) + out->tail);
        free(old);
    }
}

uint32_t fake_count(const struct fake *f, uint32_t output)
{
    return f->outputs[output].n_rows;
}

struct weir_record *fake_record(const struct fake *f, uint32_t output, uint32_t index)
{
    assert_true(index < f->outputs[output].n_rows);
    return f->outputs[output].rows[index];
}

void *fake_row(const struct fake *f, uint32_t output, uint32_t index)
{
    return weir_record_row(fake_record(f, output, index));
}

uint64_t fake_counter(const struct fake *f, const char *name)
{
    for (uint32_t i = 0; i < f->n_counters; i++) {
        if (strcmp(f->counters[i].name, name) == 0) return f->counters[i].value;
    }
    return 0;
}

void fake_assert_ok(const struct fake *f, weir_err err, const char *file, int line)
{
    if (!err) return;
    print_error("%s: %s\n", weir_err_name(err), f->diag.text);
    _fail(file, line);
}
