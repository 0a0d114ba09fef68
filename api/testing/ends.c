/* SPDX-License-Identifier: Apache-2.0 */
/* The two ends that are the harness's own: a source that gives what was released, a sink that keeps what arrives. */
#include <stdlib.h>
#include <string.h>

#include "api/testing/harness.h"

/* ---- events ---------------------------------------------------------------------------------------------------------------------- */

void events_put(struct events *list, struct event *event)
{
    event->next = NULL;
    if (list->last)
        list->last->next = event;
    else
        list->first = event;
    list->last = event;
}

struct event *events_take(struct events *list)
{
    struct event *event = list->first;
    if (!event) return NULL;
    list->first = event->next;
    if (!list->first) list->last = NULL;
    return event;
}

void events_close(struct events *list)
{
    for (struct event *event; (event = events_take(list));) free(event);
}

/* ---- an input: one split, read by one subtask ------------------------------------------------------------------------------------- */

struct reader {
    struct input *in;
};

static weir_err source_discover(const void *config, uint32_t parallelism, struct weir_splits *splits, struct weir_diag *diag)
{
    (void)config, (void)parallelism, (void)splits;
    return weir_fail(diag, WEIR_E_UNSUPPORTED, "the inputs of a test harness exist in no job");
}

static weir_err source_open(void *self, struct weir_ctx *ctx, struct weir_bytes split, struct weir_bytes position)
{
    const struct end_config *config = ctx->config;
    (void)split, (void)position;
    ((struct reader *)self)->in = &config->h->inputs[config->index];
    return WEIR_OK;
}

/* A source that falls silent says so to its assigner only; an input says it in the assigner's stead. */
static void set_idle(struct op *op, bool idle)
{
    if (op->idle_in == idle) return;
    op->idle_in = idle;
    op->subtask->pumping = true;
}

static weir_err play_event(struct weir_ctx *ctx, const struct event *event)
{
    set_idle(op_of(ctx), event->kind == EVENT_IDLE);
    switch (event->kind) {
    case EVENT_ROW: return weir_emit_bytes(ctx->out, event->row, event->size, event->time_ms, event->row_kind);
    case EVENT_WATERMARK: return weir_source_watermark(ctx, event->time_ms);
    case EVENT_END: return WEIR_DONE;
    case EVENT_IDLE:
    case EVENT_TIME: break; /* the latter is the clock's, and never comes here */
    }
    return WEIR_OK;
}

/* All that was released, which is rows or one event of another kind; then nothing until more is. */
static weir_err source_read(void *self, struct weir_ctx *ctx)
{
    struct reader *r = self;
    weir_err err = WEIR_OK;
    for (struct event *event; !err && (event = events_take(&r->in->ready));) {
        err = play_event(ctx, event);
        free(event);
    }
    return err ? err : WEIR_AGAIN;
}

/* What was released has been read, and what waits is not the graph's yet. */
static weir_err source_position(void *self, struct weir_ctx *ctx, void *data, uint32_t *length)
{
    (void)self, (void)ctx, (void)data;
    *length = 0;
    return WEIR_OK;
}

const struct weir_source harness_source = {.struct_size = sizeof harness_source,
                                           .name = "harness input",
                                           .self_size = sizeof(struct reader),
                                           .discover = source_discover,
                                           .open = source_open,
                                           .read = source_read,
                                           .position = source_position};

static weir_err changes_process(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *batch)
{
    (void)self, (void)input;
    return weir_forward(ctx, 0, batch);
}

const struct weir_operator harness_changes = {
    .struct_size = sizeof harness_changes, .name = "harness changes", .flags = WEIR_OPERATOR_RETRACTS, .process = changes_process};

/* ---- an output: a sink beside each subtask that feeds it ---------------------------------------------------------------------------- */

static struct output *output_of(struct weir_ctx *ctx)
{
    const struct end_config *config = ctx->config;
    return &config->h->outputs[config->index];
}

static weir_err add_item(struct weir_ctx *ctx, const struct item *head, const void *row)
{
    struct output *o = output_of(ctx);
    struct item *item = malloc(sizeof *item + head->size); /* of its own size: a sanitizer sees who reads past a row */
    if (!item) return weir_fail(ctx->diag, WEIR_E_NOMEM, "no memory for a row of the test's output");
    *item = *head;
    item->next = NULL;
    item->subtask = ctx->subtask;
    if (head->size) memcpy(item->row, row, head->size);
    if (o->last)
        o->last->next = item;
    else
        o->first = item;
    o->last = item;
    o->n_rows += !item->is_watermark;
    return WEIR_OK;
}

static weir_err sink_open(void *self, struct weir_ctx *ctx)
{
    struct output *o = output_of(ctx);
    (void)self;
    if (o->times) return WEIR_OK; /* by another subtask */
    o->times = malloc(ctx->parallelism * sizeof *o->times);
    if (!o->times) return weir_fail(ctx->diag, WEIR_E_NOMEM, "no memory for an output of the test");
    o->n_times = ctx->parallelism;
    for (uint32_t i = 0; i < o->n_times; i++) o->times[i] = WEIR_TIME_MIN;
    return WEIR_OK;
}

static weir_err sink_process(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *batch)
{
    const struct end_config *config = ctx->config;
    const struct output *o = output_of(ctx);
    uint64_t rows_max = config->h->options.rows_max;
    (void)self, (void)input;
    for (uint32_t i = 0; i < batch->count; i++) {
        struct weir_record *rec = weir_batch_record(batch, i);
        if (o->n_rows == rows_max)
            return weir_fail(ctx->diag, WEIR_E_LIMIT,
                             "output %u of the test holds %llu rows that nobody has read (rows_max, WEIR_HARNESS_ROWS_MAX): read them in "
                             "between, or raise rows_max",
                             config->index, (unsigned long long)rows_max);
        weir_err err = add_item(ctx, &(struct item){.kind = rec->kind, .size = rec->size, .time_ms = rec->time_ms}, weir_record_row(rec));
        if (err) return err;
    }
    return WEIR_OK;
}

/* The time of the whole output is the lowest of its subtasks'. */
static weir_err sink_watermark(void *self, struct weir_ctx *ctx, weir_time watermark_ms)
{
    const struct end_config *config = ctx->config;
    struct output *o = output_of(ctx);
    (void)self;
    o->times[ctx->subtask] = watermark_ms;
    weir_time lowest = WEIR_TIME_MAX;
    for (uint32_t i = 0; i < o->n_times; i++)
        if (o->times[i] < lowest) lowest = o->times[i];
    if (lowest <= o->watermark_ms) return WEIR_OK;
    o->watermark_ms = lowest;
    if (!(config->h->options.show & WEIR_HARNESS_WATERMARKS)) return WEIR_OK;
    return add_item(ctx, &(struct item){.is_watermark = true, .time_ms = lowest}, NULL);
}

const struct weir_operator harness_sink = {.struct_size = sizeof harness_sink,
                                           .name = "harness output",
                                           .flags = WEIR_OPERATOR_SINK | WEIR_OPERATOR_TAKES_CHANGES,
                                           .open = sink_open,
                                           .process = sink_process,
                                           .on_watermark = sink_watermark};

struct item *output_take(struct output *o)
{
    struct item *item = o->first;
    free(o->given);
    o->given = item;
    if (!item) return NULL;
    o->first = item->next;
    if (!o->first) o->last = NULL;
    o->n_rows -= !item->is_watermark;
    return item;
}

void output_close(struct output *o)
{
    while (output_take(o)) {
    }
    free(o->times);
    text_close(&o->text);
    *o = (struct output){0};
}
