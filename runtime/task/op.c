/* SPDX-License-Identifier: Apache-2.0 */
/* An operator instance: batches in, batches out, event time through it, its state kept within its budget. */
#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"
#include "runtime/base/hash.h"
#include "runtime/task/subtask.h"

#define TIMERS_A_SLICE 1024 /* timers fired before the step looks at its outputs again */

/* ---- life -----------------------------------------------------------------------------------------------------------------------------
 */

static weir_err init_outputs(struct op *op)
{
    uint32_t n = op->spec.n_outs;
    if (n == 0) return WEIR_OK;
    op->ctx.out = calloc(n, sizeof *op->ctx.out);
    op->outs = calloc(n, sizeof *op->outs);
    if (!op->ctx.out || !op->outs) return WEIR_E_NOMEM;
    for (uint32_t i = 0; i < n; i++) {
        struct op_out *out = &op->outs[i];
        struct weir_out *pub = &op->ctx.out[i];
        *out = (struct op_out){.op = op, .pub = pub, .capacity = WEIR_FRAME_BYTES, .room = op->subtask->segment};
        out->buffer = aligned_alloc(64, WEIR_FRAME_BYTES);
        pub->offsets = calloc(WEIR_BATCH_MAX, sizeof *pub->offsets);
        if (!out->buffer || !pub->offsets) return WEIR_E_NOMEM;
        pub->base = pub->cursor = out->buffer;
        pub->end = out->buffer + out->room;
        pub->host = out;
    }
    return WEIR_OK;
}

static weir_err init_keys(struct op *op)
{
    uint32_t key_size = 1;
    bool keyed = false;
    for (uint32_t port = 0; port < GRAPH_PORTS; port++) {
        const struct weir_keyer *keyer = op->spec.keyers[port];
        keyed |= keyer != NULL;
        if (keyer && keyer->key_size > key_size) key_size = keyer->key_size;
    }
    if (!keyed || op->spec.kind != OP_USER || !(op->spec.table->flags & WEIR_OPERATOR_KEYED)) return WEIR_OK; /* nobody would look */
    op->keys = calloc(WEIR_BATCH_MAX, sizeof *op->keys);
    op->key_scratch = calloc(WEIR_BATCH_MAX, key_size);
    if (!op->keys || !op->key_scratch) return WEIR_E_NOMEM;
    op->ctx.keys = op->keys;
    return op_make_state(op);
}

/* The field that the operator's keys are; NULL: not declared. */
static const struct weir_field *key_field(const struct op *op)
{
    const struct weir_keyer *keyer = op->spec.keyers[0] ? op->spec.keyers[0] : op->spec.keyers[1];
    for (uint32_t i = 0; keyer && keyer->row && i < keyer->row->n_fields; i++) {
        if (strcmp(keyer->row->fields[i].name, keyer->name) == 0) return &keyer->row->fields[i];
    }
    return NULL;
}

weir_err op_make_state(struct op *op)
{
    struct subtask *s = op->subtask;
    if (!s->slot) return weir_fail(&s->diag, WEIR_E_STATE, "the subtask has no slot for state");
    uint32_t first, last;
    plan_key_groups(s->index, s->parallelism, &first, &last);
    weir_err err = keyed_new(&op->keyed, s->slot, op->spec.id, (uint16_t)first, (uint16_t)last);
    if (err) return weir_fail(&s->diag, err, "no memory for the state of operator %s", op->spec.id);
    keyed_describe_key(op->keyed, key_field(op));
    return WEIR_OK;
}

/* Chained to a source, the assigner sees which split a batch comes from. Each assigner has its own view: two of one source read other
 * times. */
static weir_err init_splits(struct op *op)
{
    bool chained = op->subtask->ops[0].spec.kind == OP_SOURCE;
    weir_err err = splits_init(&op->splits, chained ? op->subtask->n_splits : 1);
    if (!err && !chained) op->splits.items[0].state = SPLIT_READING;
    return err;
}

weir_err op_init(struct op *op, struct subtask *s, const struct op_spec *spec)
{
    *op = (struct op){.subtask = s, .spec = *spec, .time_in = WEIR_TIME_MIN, .time_out = WEIR_TIME_MIN};
    op->ctx = (struct weir_ctx){.struct_size = sizeof op->ctx,
                                .n_outs = spec->n_outs,
                                .subtask = s->index,
                                .parallelism = s->parallelism,
                                .watermark_ms = WEIR_TIME_MIN,
                                .config = spec->config,
                                .operator_id = spec->id,
                                .job_id = s->job_id,
                                .diag = &s->diag,
                                .host = op,
                                .attempt = s->attempt};
    op->ctx.sel = calloc(WEIR_BATCH_MAX, sizeof *op->ctx.sel);
    if (!op->ctx.sel) return WEIR_E_NOMEM;
    if (spec->kind == OP_USER) {
        size_t size = (spec->table->self_size + 63u) & ~(size_t)63u;
        op->self = aligned_alloc(64, size ? size : 64);
        if (!op->self) return WEIR_E_NOMEM;
        memset(op->self, 0, size ? size : 64);
    }
    weir_err err = spec->kind == OP_WATERMARKS ? init_splits(op) : WEIR_OK;
    if (!err) err = init_outputs(op);
    return err ? err : init_keys(op);
}

void op_close(struct op *op)
{
    op->may_wait = true;
    if (op->opened && op->spec.kind == OP_USER && op->spec.table->close) op->spec.table->close(op->self, &op->ctx);
    op->opened = false;
    if (op->coord) op->subtask->coord->close(&op->coord);
    for (uint32_t i = 0; op->outs && i < op->spec.n_outs; i++) {
        if (op->outs[i].frame) frame_release(op->outs[i].frame);
        free(op->outs[i].buffer);
        free(op->outs[i].targets);
        free(op->ctx.out[i].offsets);
    }
    free(op->outs);
    free(op->ctx.out);
    free(op->ctx.sel);
    free(op->self);
    free(op->keys);
    free(op->key_scratch);
    free(op->own);
    free(op->own_offsets);
    splits_close(&op->splits);
    committables_close(&op->committables);
    committables_close(&op->restored);
    keyed_destroy(&op->keyed);
    op->outs = NULL;
    op->ctx.out = NULL;
    op->ctx.sel = NULL;
    op->self = op->keys = NULL;
    op->key_scratch = op->own = NULL;
    op->own_offsets = NULL;
}

weir_err op_fail(struct op *op, weir_err err)
{
    struct subtask *s = op->subtask;
    if (!s->failed_id) {
        s->failed_id = op->spec.id;
        if (s->diag.text[0] == '\0') (void)weir_fail(&s->diag, err, "the operator returned %s without a reason", weir_err_name(err));
    }
    return err;
}

/* What user code the thread is in, for the black box; calls nest along a chain. */
static int32_t enter(struct op *op)
{
    struct task_probe *probe = &op->subtask->probe;
    int32_t before = atomic_load_explicit(probe->op, memory_order_relaxed);
    atomic_store_explicit(probe->op, (int32_t)op->spec.node, memory_order_relaxed);
    op->subtask->depth++;
    return before;
}

static void leave(struct op *op, int32_t before)
{
    op->subtask->depth--;
    atomic_store_explicit(op->subtask->probe.op, before, memory_order_relaxed);
}

/* ---- state --------------------------------------------------------------------------------------------------------------------------- */

weir_err op_prepare_state(struct op *op)
{
    struct subtask *s = op->subtask;
    if (!op->keyed || s->depth > 1) return WEIR_OK;
    return keyed_safe_point(op->keyed, s->now_ms) ? slot_error(s->slot, &s->diag) : WEIR_OK;
}

weir_err op_judge_state(struct op *op, weir_err err)
{
    if (!op->keyed) return err;
    struct subtask *s = op->subtask;
    weir_err failed = slot_error(s->slot, s->failed_id ? NULL : &s->diag); /* the first sentence stays */
    return failed ? failed : err;
}

weir_err op_open(struct op *op)
{
    if (op->done && !op_is_sink(op)) return WEIR_OK;
    op->opened = true;
    if (op->spec.kind != OP_USER || !op->spec.table->open) return WEIR_OK;
    int32_t before = enter(op);
    weir_err err = op_prepare_state(op);
    op->may_wait = true;
    if (!err) err = op_judge_state(op, op->spec.table->open(op->self, &op->ctx));
    op->may_wait = false;
    leave(op, before);
    return err ? op_fail(op, err) : WEIR_OK;
}

/* ---- batches ----------------------------------------------------------------------------------------------------------------------------
 */

/* A broadcast record beside a keyed stream has no key: state by key is refused while it is processed. */
static weir_err key_batch(struct op *op, const struct weir_keyer *keyer, const struct weir_batch *batch)
{
    op->ctx.keys = keyer ? op->keys : NULL;
    if (!keyer) return WEIR_OK;
    keyer->extract(batch, op->keys, op->key_scratch);
    hash_keys(op->keys, batch->count);
    keyed_prefetch(op->keyed, op->keys, batch->count);
    return WEIR_OK;
}

/* Event times of a batch: into the records, and into what is known of the split they come from. */
static weir_err assign_times(struct op *op, struct weir_batch *batch)
{
    weir_err err = weir_batch_own(&op->ctx, batch);
    if (err) return err;
    op->spec.timestamp(batch);
    struct subtask *s = op->subtask;
    struct split_progress *split = &op->splits.items[s->current_split]; /* 0 where no source is */
    weir_time highest = split->highest;
    for (uint32_t i = 0; i < batch->count; i++) {
        weir_time t = weir_batch_record(batch, i)->time_ms;
        if (t > highest) highest = t;
    }
    split->highest = highest;
    split->last_seen_ms = s->now_ms;
    s->pumping = true; /* the watermark may have moved */
    return op_deliver(&op->outs[0], batch);
}

/* An operator that takes upserts sees what a key's row becomes, not what it was. */
static void drop_befores(struct op *op, struct weir_batch *batch)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < batch->count; i++) {
        op->ctx.sel[n] = batch->sel ? batch->sel[i] : i * batch->stride;
        n += weir_batch_record(batch, i)->kind != WEIR_UPDATE_BEFORE;
    }
    if (n == batch->count) return;
    batch->sel = op->ctx.sel;
    batch->count = n;
}

static weir_err call_process(struct op *op, uint32_t input, struct weir_batch *batch)
{
    if (op->spec.kind == OP_WATERMARKS) return assign_times(op, batch);
    weir_err err = op_prepare_state(op);
    if (op->spec.table->flags & WEIR_OPERATOR_UPSERTS) drop_befores(op, batch);
    if (err || batch->count == 0) return err;
    op->taken += batch->count;
    if (op->keys) err = key_batch(op, op->spec.keyers[input], batch);
    if (err) return err;
    return op->spec.table->process ? op->spec.table->process(op->self, &op->ctx, input, batch) : WEIR_OK;
}

weir_err op_process(struct op *op, uint32_t input, struct weir_batch *batch)
{
    op->step_in += batch->count;
    int32_t before = enter(op);
    weir_err err = op_judge_state(op, call_process(op, input, batch));
    if (!err) err = op_flush(op);
    leave(op, before);
    return err ? op_fail(op, err) : WEIR_OK;
}

weir_err op_deliver(struct op_out *out, struct weir_batch *batch)
{
    struct op *op = out->op;
    op->step_out += batch->count;
    op->subtask->step_flushes++;
    for (uint32_t i = 0; i < out->n_targets; i++) {
        struct op_target *to = &out->targets[i];
        struct weir_batch view = *batch; /* an operator narrows its own view */
        if (i + 1 < out->n_targets) view.flags &= ~(uint32_t)WEIR_BATCH_MUTABLE;
        weir_err err = to->edge ? edge_write(to->edge, &view) : op_process(to->op, 0, &view);
        if (err) return err;
    }
    return WEIR_OK;
}

/* Rows that took up less room than was asked for them may be more than a segment holds: then each goes by itself. */
static weir_err deliver_apart(struct op_out *out, const struct weir_batch *batch)
{
    weir_err err = WEIR_OK;
    for (uint32_t i = 0; !err && i < batch->count; i++) {
        struct weir_record *rec = weir_batch_record(batch, i);
        struct weir_batch alone = {
            .data = (unsigned char *)rec, .count = 1, .stride = weir_record_span(rec->size), .flags = WEIR_BATCH_MUTABLE};
        err = op_deliver(out, &alone);
    }
    return err;
}

static weir_err flush_out(struct op_out *out)
{
    struct weir_out *pub = out->pub;
    if (pub->err) return pub->err;
    if (pub->count == 0) return WEIR_OK;
    struct weir_batch batch = {.data = pub->base,
                               .sel = pub->mixed ? pub->offsets : NULL,
                               .count = pub->count,
                               .stride = pub->mixed ? 0 : pub->first_span,
                               .flags = WEIR_BATCH_MUTABLE};
    bool fits = pub->count == 1 || (size_t)(pub->cursor - pub->base) <= out->room;
    weir_err err = WEIR_LIKELY(fits) ? op_deliver(out, &batch) : deliver_apart(out, &batch);
    pub->count = 0;
    pub->mixed = 0;
    if (err) pub->err = err;
    return err;
}

/* The buffer is empty; strings put without an emit are dropped with their call. */
static void restart(struct op_out *out)
{
    out->pub->cursor = out->pub->base;
    out->pub->end = out->pub->base + out->room;
    out->pub->tail = 0;
}

weir_err op_flush(struct op *op)
{
    for (uint32_t i = 0; i < op->spec.n_outs; i++) {
        struct weir_out *pub = &op->ctx.out[i];
        if (op->outs[i].direct && !pub->err) { /* its frame goes on filling until it is full or the step ends */
            pub->tail = 0;
            continue;
        }
        weir_err err = flush_out(&op->outs[i]);
        if (err) return err;
        restart(&op->outs[i]);
    }
    return WEIR_OK;
}

/* ---- direct outputs ---- */

void op_choose_direct(struct op *op)
{
    for (uint32_t i = 0; i < op->spec.n_outs; i++) {
        struct op_out *out = &op->outs[i];
        struct edge *edge = out->n_targets == 1 ? out->targets[0].edge : NULL;
        if (!edge || !(edge->partition == GRAPH_FORWARD || edge->partition == GRAPH_GLOBAL)) continue;
        out->direct = edge;
        edge->direct = out;
        free(out->buffer);
        out->buffer = NULL;
        out->capacity = out->room = 0;
        out->pub->base = out->pub->cursor = out->pub->end = NULL; /* the first row asks for room */
    }
}

/* The same for a frame: the edge copies its rows into frames of the right size. Its lanes are empty before and after. */
static weir_err send_apart(struct op_out *out, struct frame *frame)
{
    struct weir_out *pub = out->pub;
    const struct weir_batch batch = {.data = pub->base, .sel = pub->offsets, .count = pub->count};
    out->op->step_out += pub->count;
    out->op->subtask->step_flushes++;
    pub->count = 0;
    pub->mixed = 0;
    weir_err err = edge_write(out->direct, &batch);
    frame_release(frame);
    return err ? err : edge_flush_copies(out->direct);
}

static weir_err send_frame(struct op_out *out, struct frame *frame)
{
    struct weir_out *pub = out->pub;
    struct subtask *s = out->op->subtask;
    if (WEIR_UNLIKELY(pub->count > 1 && (size_t)(pub->cursor - pub->base) > s->pool->room)) return send_apart(out, frame);
    struct frame_header *head = frame->head;
    head->kind = FRAME_DATA;
    head->count = pub->count;
    head->bytes = (uint32_t)(pub->cursor - pub->base);
    head->flags = pub->mixed ? 0 : FRAME_UNIFORM;
    head->stride = pub->first_span;
    head->time_ms = ((const struct weir_record *)(const void *)(pub->base + pub->offsets[pub->count - 1]))->time_ms;
    s->stats.records_out += pub->count;
    out->op->step_out += pub->count;
    s->step_flushes++;
    pub->count = 0;
    pub->mixed = 0;
    return subtask_send(s, out->direct->channels[0], frame);
}

weir_err op_send_direct(struct op_out *out)
{
    struct weir_out *pub = out->pub;
    struct frame *frame = out->frame;
    if (pub->err) return pub->err;
    if (!frame) return WEIR_OK;
    out->frame = NULL;
    weir_err err = WEIR_OK;
    if (pub->count > 0)
        err = send_frame(out, frame);
    else
        frame_release(frame); /* not kept for later: rows in it would overtake what is forwarded now */
    pub->base = pub->cursor = pub->end = NULL;
    pub->tail = 0;
    if (err) pub->err = err;
    return err;
}

/* A new frame; the row being built moves to it before the old one goes, since its receiver may have it at once. */
static weir_err renew_direct(struct op_out *out, uint32_t span)
{
    struct weir_out *pub = out->pub;
    weir_err err = edge_flush_copies(out->direct); /* what was forwarded before must not be overtaken */
    if (err) return err;
    struct frame *frame = frame_take(out->op->subtask->pool, span), *full = out->frame;
    if (!frame) return weir_fail(out->op->ctx.diag, WEIR_E_NOMEM, "no memory for a frame of %u bytes", (unsigned)span);
    if (pub->tail) memcpy(frame_records(frame) + sizeof(struct weir_record), pub->cursor + sizeof(struct weir_record), pub->tail);
    out->frame = frame;
    if (full && pub->count > 0)
        err = send_frame(out, full);
    else if (full)
        frame_release(full);
    pub->base = pub->cursor = frame_records(frame);
    pub->end = pub->base + frame->capacity;
    return err;
}

/* ---- room ---- */

/* Moves the row being built, which needs `span` bytes, to the front of the buffer. */
static weir_err grow_out(struct op_out *out, uint32_t span)
{
    struct weir_out *pub = out->pub;
    unsigned char *from = pub->cursor;
    unsigned char *buffer = out->buffer;
    if (span > out->capacity) {
        uint32_t capacity = out->capacity;
        while (capacity < span) capacity *= 2;
        buffer = aligned_alloc(64, capacity);
        if (!buffer) return weir_fail(out->op->ctx.diag, WEIR_E_NOMEM, "no memory for a row of %u bytes", (unsigned)span);
        out->capacity = capacity;
    }
    if (pub->tail) memmove(buffer + sizeof(struct weir_record), from + sizeof(struct weir_record), pub->tail);
    if (buffer != out->buffer) free(out->buffer);
    out->buffer = buffer;
    pub->base = pub->cursor = buffer;
    pub->end = buffer + (span > out->room ? span : out->room);
    return WEIR_OK;
}

/*
 * What the operator's other outputs hold leaves with the one that is full, so that rows of different kinds that belong together do not
 * drift apart by as many as fill a buffer of the rarest.
 */
static weir_err flush_others(struct op_out *out)
{
    struct op *op = out->op;
    weir_err err = WEIR_OK;
    for (uint32_t i = 0; i < op->spec.n_outs && !err; i++) {
        struct op_out *other = &op->outs[i];
        if (other == out || other->direct || other->pub->count == 0 || other->pub->tail) continue;
        err = flush_out(other);
        if (!err) restart(other);
    }
    return err;
}

void weir_out_make_room(struct weir_out *pub, uint32_t need)
{
    struct op_out *out = pub->host;
    if (pub->err) return;
    if (need > WEIR_ROW_MAX) {
        pub->err = weir_fail(out->op->ctx.diag, WEIR_E_LIMIT, "a row of more than %u bytes (WEIR_ROW_MAX)", WEIR_ROW_MAX);
        return;
    }
    weir_err err = WEIR_OK;
    if (out->direct) {
        err = renew_direct(out, weir_record_span(need));
    } else {
        err = flush_others(out);
        if (!err) err = flush_out(out);
        if (!err) err = grow_out(out, weir_record_span(need));
    }
    if (err) pub->err = err;
}

weir_err weir_forward(struct weir_ctx *ctx, uint32_t index, struct weir_batch *batch)
{
    struct op *op = op_of(ctx);
    if (index >= op->spec.n_outs) return weir_fail(ctx->diag, WEIR_E_ARGUMENT, "output %u does not exist", (unsigned)index);
    struct op_out *out = &op->outs[index];
    weir_err err = out->direct ? op_send_direct(out) : flush_out(out);
    if (err) return err;
    if (!out->direct) restart(out); /* a row being built does not cross a forward */
    return batch->count ? op_deliver(out, batch) : WEIR_OK;
}

weir_err weir_batch_own(struct weir_ctx *ctx, struct weir_batch *batch)
{
    if (batch->flags & WEIR_BATCH_MUTABLE) return WEIR_OK;
    struct op *op = op_of(ctx);
    uint64_t need = 0;
    for (uint32_t i = 0; i < batch->count; i++) need += weir_record_span(weir_batch_record(batch, i)->size);
    if (need > op->own_capacity) {
        unsigned char *grown = aligned_alloc(64, (need + 63u) & ~63ul);
        if (!grown) return weir_fail(ctx->diag, WEIR_E_NOMEM, "no memory to copy a shared batch");
        free(op->own);
        op->own = grown;
        op->own_capacity = (uint32_t)need;
    }
    if (!op->own_offsets) op->own_offsets = calloc(WEIR_BATCH_MAX, sizeof *op->own_offsets);
    if (!op->own_offsets) return weir_fail(ctx->diag, WEIR_E_NOMEM, "no memory to copy a shared batch");
    uint32_t at = 0;
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct weir_record *rec = weir_batch_record(batch, i);
        uint32_t span = weir_record_span(rec->size);
        memcpy(op->own + at, rec, span);
        op->own_offsets[i] = at;
        at += span;
    }
    bool uniform = batch->sel == NULL;
    *batch = (struct weir_batch){.data = op->own,
                                 .sel = uniform ? NULL : op->own_offsets,
                                 .count = batch->count,
                                 .stride = uniform ? batch->stride : 0,
                                 .flags = WEIR_BATCH_MUTABLE};
    return WEIR_OK;
}

/* ---- time
 * ---------------------------------------------------------------------------------------------------------------------------------- */

static weir_err fire_timers(struct op *op, enum weir_time_domain domain, weir_time until, bool *fired)
{
    struct weir_timer timer;
    const struct weir_key *keys = op->ctx.keys;
    weir_err err = WEIR_OK;
    for (uint32_t n = 0; !err && keyed_timer_first(op->keyed, domain) <= until; n++) {
        if (n == TIMERS_A_SLICE || weir_should_yield(&op->ctx)) {
            err = WEIR_AGAIN;
            break;
        }
        err = op_prepare_state(op);
        if (err || !keyed_timer_pop(op->keyed, domain, until, &timer)) break;
        if (fired) *fired = true;
        op->ctx.keys = timer.key;
        op->ctx.key_index = 0;
        err = op_judge_state(op, op->spec.table->on_timer ? op->spec.table->on_timer(op->self, &op->ctx, &timer) : WEIR_OK);
    }
    op->ctx.keys = keys;
    return err;
}

static weir_err advance_user(struct op *op)
{
    weir_err err = WEIR_OK;
    op->ctx.watermark_ms = op->time_in;
    /* WEIR_TIME_MAX means "none" to the timer set; no timer is set there (weir_timer_set). */
    weir_time until = op->time_in == WEIR_TIME_MAX ? WEIR_TIME_MAX - 1 : op->time_in;
    if (op->keys) err = fire_timers(op, WEIR_EVENT_TIME, until, NULL);
    if (err || !op->spec.table->on_watermark) return err;
    err = op_prepare_state(op);
    return err ? err : op_judge_state(op, op->spec.table->on_watermark(op->self, &op->ctx, op->time_in));
}

/* The assigner makes its own watermarks; of what arrives it passes on only the end of all time. */
static void advance_assigner(struct op *op, weir_time *out, bool *idle)
{
    weir_time made = splits_bounded(&op->splits, op->spec.watermarks.max_out_of_orderness_ms, op->spec.watermarks.idle_ms, idle);
    *out = op->time_in == WEIR_TIME_MAX ? WEIR_TIME_MAX : made;
}

static void pass_on(struct op *op, weir_time time)
{
    if (time > op->time_out) op->time_out = time;
    for (uint32_t o = 0; o < op->spec.n_outs; o++) {
        for (uint32_t i = 0; i < op->outs[o].n_targets; i++) {
            struct op_target *to = &op->outs[o].targets[i];
            if (to->op) {
                if (op->time_out > to->op->time_in) to->op->time_in = op->time_out;
                to->op->idle_in = op->idle_out;
            } else {
                if (op->time_out > to->edge->time_noted) to->edge->time_noted = op->time_out;
            }
        }
    }
}

static weir_err pass_idle(struct op *op)
{
    for (uint32_t o = 0; o < op->spec.n_outs; o++) {
        for (uint32_t i = 0; i < op->outs[o].n_targets; i++) {
            struct edge *edge = op->outs[o].targets[i].edge;
            if (!edge) continue;
            weir_err err = edge_watermark(edge);
            if (!err) err = edge_event(edge, op->idle_out ? FRAME_IDLE : FRAME_ACTIVE, 0);
            if (err) return err;
        }
    }
    return WEIR_OK;
}

weir_err op_advance(struct op *op)
{
    weir_time out = op->time_in;
    bool idle = op->idle_in;
    if (op->spec.kind == OP_WATERMARKS) {
        advance_assigner(op, &out, &idle);
    } else if (op->spec.kind == OP_USER && op->time_in > op->time_out) {
        int32_t before = enter(op);
        weir_err err = advance_user(op);
        weir_err flushed = op_flush(op);
        leave(op, before);
        if (flushed) return op_fail(op, flushed);
        if (err == WEIR_AGAIN) return err; /* nothing is passed on yet, idleness neither */
        if (err) return op_fail(op, err);
    }
    bool changed = idle != op->idle_out;
    op->idle_out = idle;
    pass_on(op, out);
    return changed ? pass_idle(op) : WEIR_OK;
}

weir_err op_processing_time(struct op *op, weir_time now_ms, bool *fired)
{
    if (!op->keys || keyed_timer_first(op->keyed, WEIR_PROCESSING_TIME) > now_ms) return WEIR_OK;
    int32_t before = enter(op);
    weir_err err = fire_timers(op, WEIR_PROCESSING_TIME, now_ms, fired);
    weir_err flushed = op_flush(op);
    leave(op, before);
    if (flushed) return op_fail(op, flushed);
    return err && err != WEIR_AGAIN ? op_fail(op, err) : WEIR_OK;
}

weir_err op_finish(struct op *op)
{
    if (op->finished) return WEIR_OK;
    weir_err err = WEIR_OK;
    if (op->spec.kind == OP_USER && op->spec.table->finish) {
        int32_t before = enter(op);
        err = op_prepare_state(op);
        if (!err) err = op_judge_state(op, op->spec.table->finish(op->self, &op->ctx));
        weir_err flushed = op_flush(op);
        leave(op, before);
        if (flushed) err = flushed;
    }
    if (err == WEIR_AGAIN) return err;
    if (err) return op_fail(op, err);
    op->finished = true;
    return WEIR_OK;
}
