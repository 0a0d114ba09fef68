/* SPDX-License-Identifier: Apache-2.0 */
/* The step: take input while there is credit, run the chain, let event time pass, hand on what came out. */
#include "runtime/task/subtask.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"

#define FRAMES_A_STEP 16u /* input frames before the thread's other subtasks get their turn */
#define READS_A_STEP 8u   /* calls of a split reader likewise */
#define YIELD_FLUSHES 32u /* batches a step hands on before long emitters are asked to pause, so that none holds the thread */
#define WALK_AHEAD 1024u  /* bytes; measured: enough between two cores */
#define CACHE_LINE 64u

/* ---- outgoing frames --------------------------------------------------------------------------------------------------------------------
 */

/* The operator whose output outgrew its input most in this step: the one to name when the output finds no room. */
static struct op *greatest_multiplier(struct subtask *s)
{
    struct op *worst = &s->ops[0];
    double ratio = 0;
    for (uint32_t i = 0; i < s->n_ops; i++) {
        struct op *op = &s->ops[i];
        double r = (double)op->step_out / (double)(op->step_in ? op->step_in : 1);
        if (r > ratio) {
            ratio = r;
            worst = op;
        }
    }
    return worst;
}

weir_err subtask_send(struct subtask *s, struct channel *ch, struct frame *frame)
{
    s->stats.bytes_out += frame->head->bytes;
    if (ch->outbox)
        s->stats.frames_out_remote++;
    else
        s->stats.frames_out_local++;
    uint32_t held = frame->head->bytes + (uint32_t)sizeof(struct frame_header);
    bool was_blocked = channel_blocked(ch);
    channel_send(ch, frame);
    if (!channel_blocked(ch)) return WEIR_OK;
    s->n_blocked += !was_blocked;
    s->waiting_bytes += held;
    if (s->waiting_bytes <= WEIR_OVERFLOW_MAX) return WEIR_OK;
    struct op *op = greatest_multiplier(s);
    if (!s->failed_id) s->failed_id = op->spec.id;
    return weir_fail(&s->diag, WEIR_E_LIMIT,
                     "it emitted %llu records from %llu in one step, %u MiB more than the next step takes (WEIR_OVERFLOW_MAX)",
                     (unsigned long long)op->step_out, (unsigned long long)op->step_in, WEIR_OVERFLOW_MAX >> 20);
}

static bool drain(struct subtask *s)
{
    if (s->n_blocked == 0) return true;
    s->n_blocked = 0;
    for (uint32_t e = 0; e < s->n_edges; e++)
        for (uint32_t c = 0; c < s->edges[e].n_channels; c++) s->n_blocked += !channel_drain(s->edges[e].channels[c]);
    if (s->n_blocked == 0) s->waiting_bytes = 0;
    return s->n_blocked == 0;
}

weir_err subtask_flush(struct subtask *s)
{
    weir_err err = WEIR_OK;
    for (uint32_t e = 0; !err && e < s->n_edges; e++) {
        err = edge_flush(&s->edges[e]);
        if (!err) err = edge_watermark(&s->edges[e]);
    }
    return err;
}

/* ---- event time through the chain -------------------------------------------------------------------------------------------------------
 */

/* Parents stand before children, so one pass carries time from the head to the ends. WEIR_AGAIN: an operator paused; the pass begins again
 * there. */
static weir_err pump(struct subtask *s)
{
    s->pumping = true;
    for (uint32_t i = 0; i < s->n_ops; i++) {
        weir_err err = op_advance(&s->ops[i]);
        if (err) return err;
    }
    s->pumping = false;
    return WEIR_OK;
}

static weir_err advance_to(struct subtask *s, weir_time watermark, bool idle)
{
    struct op *head = &s->ops[0];
    if (watermark > head->time_in) head->time_in = watermark;
    head->idle_in = idle;
    s->stats.watermark_ms = watermark;
    return pump(s);
}

/* Split `index` of the source, or all inputs as the one split 0, was asked for records and gave what it had. */
static void note_asked(struct subtask *s, uint32_t index)
{
    for (uint32_t i = 0; i < s->n_ops; i++)
        if (s->ops[i].spec.kind == OP_WATERMARKS) split_asked(&s->ops[i].splits.items[index], s->now_ms);
}

/* ---- input frames -----------------------------------------------------------------------------------------------------------------------
 */

static void fetch(const unsigned char *data, uint32_t from, uint32_t to)
{
    for (uint32_t at = from; at < to; at += CACHE_LINE) __builtin_prefetch(data + at);
}

/*
 * Where a record begins is known from the one before, so the walk would wait for one cache line after the other: the frame was written by
 * another core, or has left this one's cache. What comes WALK_AHEAD bytes later is fetched on the way.
 */
static void walk_records(uint32_t *offsets, const unsigned char *data, uint32_t count, uint32_t bytes)
{
    uint32_t at = 0, fetched = bytes < WALK_AHEAD ? bytes : WALK_AHEAD;
    fetch(data, 0, fetched);
    for (uint32_t i = 0; i < count; i++) {
        offsets[i] = at;
        at += weir_record_span(((const struct weir_record *)(const void *)(data + at))->size);
        uint32_t until = bytes - at < WALK_AHEAD ? bytes : at + WALK_AHEAD;
        fetch(data, fetched, until);
        fetched = until;
    }
}

/* Finds the records of a frame: by stride when all are alike, else by walking them. */
static struct weir_batch frame_batch(struct subtask *s, const struct frame *frame)
{
    const struct frame_header *head = frame->head;
    struct weir_batch batch = {.data = frame_records(frame), .count = head->count, .flags = WEIR_BATCH_MUTABLE};
    if (head->flags & FRAME_UNIFORM) {
        batch.stride = head->stride;
        return batch;
    }
    walk_records(s->offsets, batch.data, head->count, head->bytes);
    batch.sel = s->offsets;
    return batch;
}

/* Rows from another process: their strings must lie inside them, whatever that process is. */
static weir_err check_rows(struct subtask *s, const struct subtask_input *in, const struct weir_batch *batch)
{
    if (!in->schema) return WEIR_OK;
    /* Rows without strings that are all of the right span can be read as they are; frame_check has seen that they lie in the frame. */
    if (!in->has_strings && !batch->sel && batch->stride == weir_record_span(in->schema->row_size)) return WEIR_OK;
    for (uint32_t i = 0; i < batch->count; i++) {
        struct weir_record *rec = weir_batch_record(batch, i);
        if (WEIR_UNLIKELY(!weir_row_valid(in->schema, weir_record_row(rec), rec->size)))
            return weir_fail(&s->diag, WEIR_E_CORRUPT, "a row of type %s that breaks its layout came over channel %u", in->schema->name,
                             in->channel->id);
    }
    return WEIR_OK;
}

static weir_err take_data(struct subtask *s, const struct subtask_input *in, struct frame *frame)
{
    s->stats.records_in += frame->head->count;
    valve_brought(&s->valve, (uint32_t)(in - s->inputs), frame->head->bytes);
    if (frame->head->count == 0) return WEIR_OK;
    struct weir_batch batch = frame_batch(s, frame);
    weir_err err = in->remote ? check_rows(s, in, &batch) : WEIR_OK;
    return err ? err : op_process(&s->ops[0], in->port, &batch);
}

/* The end stands for all barriers to come, so a snapshot that waited for it comes first, without what the end brings about. */
static weir_err take_end(struct subtask *s, uint32_t index)
{
    s->inputs[index].counts = s->inputs[index].channel->taken;
    weir_err err = subtask_align(s, (struct align_event){.type = ALIGN_EV_END, .input = index});
    if (err) return err;
    bool moved = valve_end(&s->valve, index);
    if (valve_ended(&s->valve)) s->state = SUBTASK_DRAINING;
    return moved ? advance_to(s, s->valve.watermark, s->valve.idle) : WEIR_OK;
}

static weir_err take_barrier(struct subtask *s, uint32_t index, const struct frame_header *head)
{
    s->inputs[index].counts = s->inputs[index].channel->taken;
    return subtask_align(
        s, (struct align_event){.type = ALIGN_EV_BARRIER, .input = index, .id = (uint64_t)head->time_ms, .options = head->flags});
}

static weir_err take_frame(struct subtask *s, uint32_t index, struct frame *frame)
{
    struct subtask_input *in = &s->inputs[index];
    const struct frame_header *head = frame->head;
    bool moved = false;
    s->stats.bytes_in += head->bytes;
    if (in->remote) {
        s->stats.frames_in_remote++;
        weir_err err = frame_check_inside(head, &s->diag);
        if (err) return weir_wrap(&s->diag, err, "channel %u brought a damaged frame", in->channel->id);
    } else {
        s->stats.frames_in_local++;
    }
    switch ((enum frame_kind)head->kind) {
    case FRAME_DATA: {
        weir_err err = take_data(s, in, frame);
        return err || !s->pumping ? err : pump(s); /* an assigner may have moved time */
    }
    case FRAME_WATERMARK: moved = valve_watermark(&s->valve, index, head->time_ms); break;
    case FRAME_IDLE:
    case FRAME_ACTIVE: moved = valve_idle(&s->valve, index, head->kind == FRAME_IDLE); break;
    case FRAME_END: return take_end(s, index);
    case FRAME_BARRIER: return take_barrier(s, index, head);
    default: return weir_fail(&s->diag, WEIR_E_PROTOCOL, "a frame of unknown kind %u on channel %u", head->kind, in->channel->id);
    }
    return moved ? advance_to(s, s->valve.watermark, s->valve.idle) : WEIR_OK;
}

/* The order of frames is given up when nothing comes; note_order takes it up again. */
static void note_order_wait(struct subtask *s, bool waiting)
{
    if (!waiting) {
        s->order_waiting_ms = 0;
        return;
    }
    if (s->order_waiting_ms == 0 || s->now_ms < s->order_waiting_ms) s->order_waiting_ms = s->now_ms;
    if (s->now_ms - s->order_waiting_ms >= ORDER_WAIT_MS) s->order_given_up = true;
}

/* No channel had a frame that may be taken. waiting: some have to wait for the others. */
static void note_quiet(struct subtask *s, bool waiting)
{
    note_order_wait(s, waiting);
    if (align_waits(&s->checkpoints.align)) {
        s->ahead_waiting_ms = 0; /* nor is anybody idle who is not asked */
    } else if (!waiting) {
        s->ahead_waiting_ms = 0;
        note_asked(s, 0);
    } else if (s->ahead_waiting_ms == 0 || s->now_ms < s->ahead_waiting_ms) {
        s->ahead_waiting_ms = s->now_ms;
    } else if (s->now_ms - s->ahead_waiting_ms >= AHEAD_WAIT_MS) {
        s->ahead_max *= 2;
        s->ahead_waiting_ms = 0;
    }
}

/* Event time that a frame reaches with its last record; of other frames, which are quickly taken, before all. */
static weir_time end_of(const struct frame *frame)
{
    return frame->head->kind == FRAME_DATA ? frame->head->time_ms : WEIR_TIME_MIN;
}

/* What comes from this input next may be older than `end`, and is not here yet. */
static bool is_missing(const struct subtask *s, uint32_t input, weir_time end)
{
    const struct subtask_input *in = &s->inputs[input];
    const struct valve_input *told = &s->valve.inputs[input];
    if (told->final || told->idle || align_blocked(&s->checkpoints.align, input)) return false;
    return told->watermark + 1 < end && in->reached < end && channel_empty(in->channel);
}

/* A frame of this input reaches beyond what another one of its stream has brought. */
static bool reaches_beyond(const struct subtask *s, uint32_t input, const struct frame *frame)
{
    weir_time end = end_of(frame);
    for (uint32_t i = 0; i < s->n_inputs; i++)
        if (i != input && s->inputs[i].stream == s->inputs[input].stream && is_missing(s, i, end)) return true;
    return false;
}

/*
 * Who is ahead waits for those that are behind it; and in any case beyond AHEAD_FIRM times the limit, as the times in frames, of which one
 * may be far in the future, are no more than a hint. While barriers are awaited an input that is ahead is read all the same: the others may
 * not come before its barrier has passed.
 */
static bool is_ahead(const struct subtask *s, uint32_t input, const struct frame *frame)
{
    if (!s->inputs[input].apart || align_waits(&s->checkpoints.align)) return false;
    uint64_t ahead = valve_ahead(&s->valve, input);
    return ahead >= s->ahead_max && (ahead / AHEAD_FIRM >= s->ahead_max || reaches_beyond(s, input, frame));
}

/* The frame, the oldest of its stream that is here, is full, and older ones may be under way. */
static bool is_early(const struct subtask *s, uint32_t input, const struct frame *frame)
{
    bool waits = s->inputs[input].apart && frame->head->bytes >= ORDER_BYTES_LEAST && !align_waits(&s->checkpoints.align);
    return waits && reaches_beyond(s, input, frame);
}

/* Streams in the order of what they have brought. */
static bool stream_before(const struct subtask_input *a, const struct subtask_input *b)
{
    return a->stream_bytes != b->stream_bytes ? a->stream_bytes < b->stream_bytes : a->stream < b->stream;
}

/*
 * The input with the oldest frame of the first stream behind that of input `after` (n_inputs: of the first stream) that has a frame which
 * may be taken; n_inputs: there is none.
 */
static uint32_t oldest_of_next(const struct subtask *s, uint32_t after, bool *waiting)
{
    uint32_t best = s->n_inputs, i = s->next_input;
    weir_time oldest = 0;
    for (uint32_t n = 0; n < s->n_inputs; n++, i = i + 1 == s->n_inputs ? 0 : i + 1) {
        const struct subtask_input *in = &s->inputs[i];
        const struct frame *frame = ring_peek(&in->channel->ring);
        if (!frame || (after < s->n_inputs && !stream_before(&s->inputs[after], in))) continue;
        if (align_blocked(&s->checkpoints.align, i) || is_ahead(s, i, frame)) {
            *waiting = true;
            continue;
        }
        if (!s->in_order) return i;
        weir_time end = end_of(frame);
        bool better = best == s->n_inputs || stream_before(in, &s->inputs[best]) || (in->stream == s->inputs[best].stream && end < oldest);
        if (!better) continue;
        best = i;
        oldest = end;
    }
    return best;
}

/* The input to take from; n_inputs: none has a frame that may be taken, *waiting: though some have one. */
static uint32_t choose_input(const struct subtask *s, bool *waiting)
{
    *waiting = false;
    for (uint32_t input = s->n_inputs;;) {
        input = oldest_of_next(s, input, waiting);
        if (input == s->n_inputs || !s->in_order || s->order_given_up) return input;
        if (!is_early(s, input, ring_peek(&s->inputs[input].channel->ring))) return input;
        *waiting = true;
    }
}

/* What the order of further frames depends on; one that was given up is kept again when nothing older is missing. */
static void note_order(struct subtask *s, uint32_t input, const struct frame *frame)
{
    struct subtask_input *in = &s->inputs[input];
    s->order_waiting_ms = 0;
    if (s->order_given_up && frame->head->bytes >= ORDER_BYTES_LEAST) s->order_given_up = is_early(s, input, frame);
    weir_time end = end_of(frame);
    if (end > in->reached) in->reached = end;
    for (uint32_t i = 0; i < s->n_inputs; i++)
        if (s->inputs[i].stream == in->stream) s->inputs[i].stream_bytes += frame->head->bytes;
    if (in->stream_bytes <= ORDER_BYTES_KNOWN) return;
    for (uint32_t i = 0; i < s->n_inputs; i++) s->inputs[i].stream_bytes /= 2;
}

static weir_err take_input(struct subtask *s, uint32_t input)
{
    struct frame *frame = channel_take(s->inputs[input].channel);
    s->next_input = input + 1 == s->n_inputs ? 0 : input + 1;
    s->ahead_waiting_ms = 0;
    if (s->in_order) note_order(s, input, frame);
    if (frame->head->kind == FRAME_DATA) note_asked(s, 0);
    weir_err err = take_frame(s, input, frame);
    frame_release(frame);
    return err;
}

static weir_err step_inputs(struct subtask *s, bool *progress)
{
    for (uint32_t n = 0; n < FRAMES_A_STEP; n++) {
        bool waiting;
        uint32_t input = choose_input(s, &waiting);
        if (input == s->n_inputs) {
            note_quiet(s, waiting);
            return WEIR_OK;
        }
        *progress = true;
        weir_err err = take_input(s, input);
        if (err) return err;
        if (s->state != SUBTASK_RUNNING || subtask_blocked(s)) return WEIR_OK;
    }
    return WEIR_OK;
}

/* No channel has a frame that may be taken. */
static bool inputs_quiet(const struct subtask *s)
{
    bool waiting;
    return choose_input(s, &waiting) == s->n_inputs;
}

/* ---- sources
 * ------------------------------------------------------------------------------------------------------------------------------ */

void subtask_set_split(struct subtask *s, uint32_t i, enum split_state state)
{
    s->progress.items[i].state = state;
    for (uint32_t k = 0; k < s->n_ops; k++)
        if (s->ops[k].spec.kind == OP_WATERMARKS) s->ops[k].splits.items[i].state = state;
}

static weir_err open_reader(struct subtask *s, uint32_t i)
{
    struct op *op = &s->ops[0];
    const struct weir_source *source = op->spec.source;
    struct subtask_split *split = &s->splits[i];
    size_t size = (source->self_size + 63u) & ~(size_t)63u;
    split->self = aligned_alloc(64, size ? size : 64);
    if (!split->self) return weir_fail(&s->diag, WEIR_E_NOMEM, "no memory for a reader of source %s", source->name);
    memset(split->self, 0, size ? size : 64);
    split->opened = true;
    subtask_set_split(s, i, SPLIT_READING);
    op->may_wait = true;
    weir_err err = source->open(split->self, &op->ctx, split->data, split->position);
    op->may_wait = false;
    return err;
}

static void close_reader(struct subtask *s, struct subtask_split *split)
{
    const struct weir_source *source = s->ops[0].spec.source;
    s->ops[0].may_wait = true;
    if (split->opened && source->close) source->close(split->self, &s->ops[0].ctx);
    s->ops[0].may_wait = false;
    free(split->self);
    split->self = NULL;
    split->opened = false;
}

static weir_err end_split(struct subtask *s, uint32_t i)
{
    close_reader(s, &s->splits[i]);
    subtask_set_split(s, i, SPLIT_DONE);
    s->splits_left--;
    s->pumping = true; /* the split no longer holds the watermark back */
    return WEIR_OK;
}

/* One call of the reader of split i; *more: it may have more at once. */
static weir_err read_split(struct subtask *s, uint32_t i, bool *more)
{
    struct op *op = &s->ops[0];
    s->current_split = i;
    atomic_store_explicit(s->probe.op, (int32_t)op->spec.node, memory_order_relaxed);
    uint64_t before = op->step_out;
    s->depth++;
    weir_err err = op_prepare_state(op);
    if (!err && !s->splits[i].opened) err = open_reader(s, i);
    if (!err) err = op->spec.source->read(s->splits[i].self, &op->ctx);
    err = op_judge_state(op, err);
    weir_err flushed = op_flush(op);
    s->depth--;
    atomic_store_explicit(s->probe.op, -1, memory_order_relaxed);
    s->stats.records_in += op->step_out - before;
    note_asked(s, i);
    if (flushed) return op_fail(op, flushed);
    *more = err == WEIR_OK || err == WEIR_DONE;
    if (err == WEIR_DONE) return end_split(s, i);
    return err && err != WEIR_AGAIN ? op_fail(op, err) : WEIR_OK;
}

/* The split to read next: one after the other, or in turns. -1: none is left. */
static int64_t next_split(const struct subtask *s)
{
    bool one_by_one = s->ops[0].spec.source->flags & WEIR_SOURCE_ONE_BY_ONE;
    for (uint32_t k = 0; k < s->n_splits; k++) {
        uint32_t i = one_by_one ? k : (s->current_split + 1 + k) % s->n_splits;
        if (s->progress.items[i].state != SPLIT_DONE) return i;
    }
    return -1;
}

static weir_err pump_source(struct subtask *s)
{
    weir_time stated = splits_stated(&s->progress);
    if (stated > s->ops[0].time_in) {
        s->ops[0].time_in = stated;
        s->stats.watermark_ms = stated;
    }
    return pump(s);
}

/* *more_left: it stopped before every reader had said that it has nothing at present. */
static weir_err step_source(struct subtask *s, bool *progress, bool *more_left)
{
    uint32_t quiet = 0; /* readers in a row that had nothing */
    *more_left = true;
    for (uint32_t n = 0; n < READS_A_STEP && quiet < s->n_splits && s->splits_left > 0; n++) {
        bool more = false;
        uint64_t before = s->ops[0].step_out;
        weir_err err = read_split(s, (uint32_t)next_split(s), &more);
        if (err) return err;
        quiet = more ? 0 : quiet + 1;
        *progress |= more || s->ops[0].step_out != before;
        if (s->pumping) err = pump_source(s);
        if (err == WEIR_AGAIN) *progress = true; /* a long emitter paused; it goes on at once, not after a nap */
        if (err) return err == WEIR_AGAIN ? WEIR_OK : err;
        if (subtask_blocked(s)) return WEIR_OK;
    }
    *more_left = quiet < s->n_splits;
    if (s->splits_left > 0) return WEIR_OK;
    s->state = SUBTASK_DRAINING;
    return subtask_align(s, (struct align_event){.type = ALIGN_EV_END});
}

/* ---- the end
 * ------------------------------------------------------------------------------------------------------------------------------- */

static weir_err send_ends(struct subtask *s)
{
    for (uint32_t e = 0; e < s->n_edges; e++) {
        weir_err err = subtask_flush(s);
        if (!err) err = edge_event(&s->edges[e], FRAME_END, 0);
        if (err) return err;
    }
    return WEIR_OK;
}

static weir_err step_draining(struct subtask *s)
{
    weir_err err = WEIR_OK;
    /* The last real time goes before the end of all time: a receiver whose other inputs are silent goes on to it. */
    for (uint32_t e = 0; !err && e < s->n_edges; e++) err = edge_watermark(&s->edges[e]);
    if (!err) err = advance_to(s, WEIR_TIME_MAX, false);
    for (uint32_t i = 0; !err && i < s->n_ops; i++) err = op_finish(&s->ops[i]);
    if (err == WEIR_AGAIN) return WEIR_OK; /* outputs are full; go on in the next step */
    if (!err) err = send_ends(s);
    for (uint32_t i = 0; !err && i < s->n_ops && !s->checkpoints.on; i++) err = op_prepare(&s->ops[i], 0);
    if (err) return err;
    s->state = SUBTASK_PREPARED;
    return subtask_align(s, (struct align_event){.type = ALIGN_EV_FINISHED});
}

/* ---- the step
 * ------------------------------------------------------------------------------------------------------------------------------ */

static weir_err begin_step(struct subtask *s, weir_time now_ms, bool *progress)
{
    s->now_ms = now_ms;
    s->step_flushes = 0;
    for (uint32_t i = 0; i < s->n_ops; i++) {
        struct op *op = &s->ops[i];
        op->step_in = op->step_out = 0;
        weir_err err = op_processing_time(op, now_ms, progress);
        if (err) return err;
        if (op->spec.kind == OP_WATERMARKS && op->spec.watermarks.idle_ms > 0) s->pumping = true;
    }
    return WEIR_OK;
}

/* A checkpoint that waits to begin, or whose barriers are overdue. */
static weir_err serve_checkpoint(struct subtask *s)
{
    struct subtask_checkpoints *c = &s->checkpoints;
    weir_err err = WEIR_OK;
    if (s->pumping) return WEIR_OK; /* an emission is under way: it belongs before the barrier as a whole */
    if (c->trigger > c->align.triggered)
        err = subtask_align(s, (struct align_event){.type = ALIGN_EV_TRIGGER, .id = c->trigger, .options = c->trigger_options});
    if (!err && c->align.id) err = subtask_align(s, (struct align_event){.type = ALIGN_EV_TIME});
    return err;
}

static weir_err run_step(struct subtask *s, weir_time now_ms, bool *progress)
{
    bool source = s->ops[0].spec.kind == OP_SOURCE, source_more = false;
    weir_err err = begin_step(s, now_ms, progress);
    if (!err && s->pumping) {
        err = s->n_splits || source ? pump_source(s) : pump(s);
        if (err == WEIR_AGAIN) {
            *progress = true;
            return subtask_flush(s);
        }
    }
    if (!err) err = serve_checkpoint(s);
    if (!err && s->state == SUBTASK_RUNNING) err = source ? step_source(s, progress, &source_more) : step_inputs(s, progress);
    if (err == WEIR_AGAIN) err = WEIR_OK; /* a long emitter paused inside a watermark; `pumping` brings it back */
    if (!err && s->state == SUBTASK_DRAINING && !subtask_blocked(s)) {
        *progress = true;
        err = step_draining(s);
    }
    if (err) return err;
    /*
     * Under load frames leave when they are full, and now and then as they are, with the time behind them: a filter that keeps few rows
     * would never fill one. Without load all leaves at once.
     */
    bool more = *progress && s->state == SUBTASK_RUNNING && (source ? source_more : !inputs_quiet(s));
    bool due = now_ms >= s->watermark_at_ms || now_ms < s->watermark_at_ms - EDGE_WATERMARK_MS; /* the latter: the clock was set back */
    if (more && !due) return WEIR_OK;
    s->watermark_at_ms = now_ms + EDGE_WATERMARK_MS;
    return subtask_flush(s);
}

static enum subtask_step fail_step(struct subtask *s, weir_err err)
{
    (void)op_fail(&s->ops[0], err); /* unless an operator said it first */
    s->state = SUBTASK_FAILED;
    return STEP_FAILED;
}

/* What it can do without taking or firing anything: checkpoints need neither credit nor input. */
static enum subtask_step step_aside(struct subtask *s, weir_time now_ms, bool drained)
{
    s->now_ms = now_ms;
    s->ahead_waiting_ms = s->order_waiting_ms = 0; /* it does not look at its inputs */
    weir_err err = serve_checkpoint(s);
    /* Receivers of what is not blocked may be waiting for it, and so keep back the credit that this one waits for. */
    if (!err && s->state == SUBTASK_RUNNING) err = subtask_flush(s);
    if (err) return fail_step(s, err);
    if (s->state == SUBTASK_RESTING) return STEP_DONE; /* what it could still send, nobody takes */
    return s->state >= SUBTASK_PREPARED && drained ? STEP_DONE : STEP_BLOCKED;
}

enum subtask_step subtask_step(struct subtask *s, weir_time now_ms)
{
    if (s->state == SUBTASK_FAILED) return STEP_FAILED;
    bool drained = drain(s);
    if (s->state >= SUBTASK_RESTING || !drained) return step_aside(s, now_ms, drained);
    bool progress = false;
    weir_err err = run_step(s, now_ms, &progress);
    if (err) return fail_step(s, err);
    return progress ? STEP_PROGRESS : STEP_IDLE;
}

bool subtask_has_work(const struct subtask *s)
{
    if (subtask_blocked(s)) {
        for (uint32_t e = 0; e < s->n_edges; e++)
            for (uint32_t c = 0; c < s->edges[e].n_channels; c++) {
                const struct channel *ch = s->edges[e].channels[c];
                if (channel_blocked(ch) && ch->n_out - atomic_load(&ch->n_taken) < ch->window) return true;
            }
        return false;
    }
    return s->state == SUBTASK_RUNNING && !inputs_quiet(s);
}

/* ---- life
 * -------------------------------------------------------------------------------------------------------------------------------- */

static uint64_t ahead_share(const struct subtask *s)
{
    if (!s->in_order) return UINT64_MAX;
    uint64_t share = AHEAD_BYTES_MAX / s->n_inputs;
    return share > AHEAD_BYTES_LEAST ? share : AHEAD_BYTES_LEAST;
}

static weir_err init_inputs(struct subtask *s)
{
    struct align_options options = s->checkpoints.options;
    options.source = s->ops[0].spec.kind == OP_SOURCE;
    weir_err err = valve_init(&s->valve, s->n_inputs);
    if (!err) err = align_init(&s->checkpoints.align, s->n_inputs, &options);
    for (uint32_t i = 0; !err && i < s->n_inputs; i++) {
        s->valve.inputs[i].stream = s->inputs[i].stream;
        s->inputs[i].reached = WEIR_TIME_MIN;
    }
    return err;
}

/* Splits that were being read are opened at once, so that one that cannot go on where it stood says so before anything is read. */
static weir_err open_splits(struct subtask *s)
{
    weir_err err = WEIR_OK;
    s->splits_left = 0;
    for (uint32_t i = 0; i < s->n_splits && !err; i++) {
        enum split_state state = s->progress.items[i].state;
        s->splits_left += state != SPLIT_DONE;
        if (state == SPLIT_READING) err = open_reader(s, i);
    }
    return err;
}

weir_err subtask_open(struct subtask *s, weir_time now_ms)
{
    s->stats.vertex = s->vertex;
    s->stats.subtask = s->index;
    s->stats.watermark_ms = WEIR_TIME_MIN;
    s->now_ms = now_ms; /* for the times to live of what an operator finds in its open */
    if (s->yield_flushes == 0) s->yield_flushes = YIELD_FLUSHES;
    if (s->ahead_max == 0) s->ahead_max = ahead_share(s);
    for (uint32_t i = 0; i < s->n_ops; i++) op_choose_direct(&s->ops[i]);
    weir_err err = init_inputs(s);
    /* Children open before parents, so that what is emitted in an open finds its receivers ready. */
    for (uint32_t i = s->n_ops; !err && i > 0; i--) err = op_open(&s->ops[i - 1]);
    for (uint32_t i = 0; !err && i < s->n_ops; i++) err = op_recover(&s->ops[i]);
    if (!err) err = open_splits(s);
    if (err) {
        (void)op_fail(&s->ops[0], err); /* unless an operator said it first */
        s->state = SUBTASK_FAILED;
        return err;
    }
    s->state = SUBTASK_RUNNING;
    return WEIR_OK;
}

weir_err subtask_commit(struct subtask *s)
{
    WEIR_ASSERT(s->state == SUBTASK_PREPARED || s->state == SUBTASK_RESTING);
    weir_err err = subtask_complete(s, UINT64_MAX);
    if (!err) s->state = SUBTASK_COMMITTED;
    return err;
}

void subtask_abandon(struct subtask *s, uint64_t kept)
{
    for (uint32_t i = 0; s->ops && i < s->n_ops; i++) op_abort(&s->ops[i], kept);
}

void subtask_close(struct subtask *s)
{
    WEIR_ASSERT(s->checkpoints.n_unsettled == 0);
    for (uint32_t i = 0; i < s->n_splits; i++) {
        if (s->splits[i].self) close_reader(s, &s->splits[i]);
        free((void *)(uintptr_t)s->splits[i].position.data);
    }
    for (uint32_t i = 0; s->ops && i < s->n_ops; i++) op_close(&s->ops[i]);
    for (uint32_t i = 0; s->edges && i < s->n_edges; i++) edge_close(&s->edges[i]);
    valve_close(&s->valve);
    align_close(&s->checkpoints.align);
    splits_close(&s->progress);
    free(s->ops);
    free(s->edges);
    free(s->inputs);
    free(s->splits);
    s->ops = NULL;
    s->edges = NULL;
    s->inputs = NULL;
    s->splits = NULL;
    s->n_ops = s->n_edges = s->n_inputs = s->n_splits = 0;
}
