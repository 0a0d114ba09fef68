/* SPDX-License-Identifier: Apache-2.0 */
/* Partitioning: the records of a batch are copied, once, into the open frames of the channels they go to. */
#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"
#include "runtime/base/hash.h"
#include "runtime/task/subtask.h"

static weir_err init_keys(struct edge *e)
{
    e->keys = calloc(WEIR_BATCH_MAX, sizeof *e->keys);
    e->key_scratch = calloc(WEIR_BATCH_MAX, e->keyer->key_size ? e->keyer->key_size : 1);
    return e->keys && e->key_scratch ? WEIR_OK : WEIR_E_NOMEM;
}

weir_err edge_init(struct edge *e, struct subtask *s, const struct edge_way *way, uint32_t n_channels, struct channel **channels)
{
    *e = (struct edge){.subtask = s,
                       .partition = way->partition,
                       .keyer = way->keyer,
                       .partitioner = way->partitioner,
                       .n_channels = n_channels,
                       .channels = channels,
                       .time_noted = WEIR_TIME_MIN,
                       .time_sent = WEIR_TIME_MIN};
    e->lanes = calloc(n_channels, sizeof *e->lanes);
    if (!e->lanes) return WEIR_E_NOMEM;
    if (e->partition == GRAPH_REBALANCE) e->turn = s->index % n_channels; /* so that senders do not all begin with the same receiver */
    if (e->partition == GRAPH_KEY) return init_keys(e);
    if (e->partition != GRAPH_CUSTOM) return WEIR_OK;
    e->chosen = calloc(WEIR_BATCH_MAX, sizeof *e->chosen);
    return e->chosen ? WEIR_OK : WEIR_E_NOMEM;
}

void edge_close(struct edge *e)
{
    for (uint32_t i = 0; e->lanes && i < e->n_channels; i++)
        if (e->lanes[i].frame) frame_release(e->lanes[i].frame);
    free(e->lanes);
    free(e->keys);
    free(e->key_scratch);
    free(e->chosen);
    e->lanes = NULL;
    e->keys = NULL;
    e->key_scratch = NULL;
    e->chosen = NULL;
}

static weir_err send_lane(struct edge *e, uint32_t i)
{
    struct lane *lane = &e->lanes[i];
    struct frame *frame = lane->frame;
    frame->head->count = lane->count;
    frame->head->bytes = (uint32_t)(lane->cursor - frame_records(frame));
    frame->head->flags = lane->mixed ? 0 : FRAME_UNIFORM;
    frame->head->stride = lane->span;
    frame->head->time_ms = lane->last->time_ms;
    *lane = (struct lane){0};
    if (e->partition == GRAPH_REBALANCE) e->turn = (i + 1) % e->n_channels;
    return subtask_send(e->subtask, e->channels[i], frame);
}

/*
 * What goes to the other input of the same receiver leaves with the fuller one, so that it does not lag behind by as many records as fill a
 * frame of it: a join would keep all of those.
 */
static weir_err send_twins(struct edge *e, uint32_t i)
{
    weir_err err = WEIR_OK;
    for (struct edge *t = e->twin; !err && t && t != e; t = t->twin)
        if (t->lanes[i].frame) err = send_lane(t, i);
    return err;
}

/* A frame with room for `span` bytes for channel *i (which moves on when it is the next receiver's turn). */
static weir_err open_lane(struct edge *e, uint32_t *i, uint32_t span)
{
    if (e->lanes[*i].frame) {
        weir_err err = send_twins(e, *i);
        if (!err) err = send_lane(e, *i);
        if (err) return err;
        if (e->partition == GRAPH_REBALANCE) *i = e->turn;
    }
    struct frame *frame = frame_take(e->subtask->pool, span);
    if (!frame) return weir_fail(&e->subtask->diag, WEIR_E_NOMEM, "no memory for a frame of %u bytes", (unsigned)span);
    frame->head->kind = FRAME_DATA;
    e->lanes[*i] =
        (struct lane){.cursor = frame_records(frame), .end = frame_records(frame) + frame->capacity, .frame = frame, .span = span};
    return WEIR_OK;
}

/* Spans are multiples of 8 and mostly short: two words at a time beat a call of memcpy. */
static inline void copy_record(unsigned char *to, const unsigned char *from, uint32_t span)
{
    if (WEIR_UNLIKELY(span > 256)) {
        memcpy(to, from, span);
        return;
    }
    uint32_t at = 0;
    for (; at + 16 <= span; at += 16) memcpy(to + at, from + at, 16);
    if (at < span) memcpy(to + at, from + at, 8);
}

static inline weir_err append(struct edge *e, uint32_t i, const struct weir_record *rec, uint32_t span, uint16_t key_group)
{
    struct lane *lane = &e->lanes[i];
    if (WEIR_UNLIKELY((size_t)(lane->end - lane->cursor) < span)) {
        weir_err err = open_lane(e, &i, span);
        if (err) return err;
        lane = &e->lanes[i];
    }
    unsigned char *to = lane->cursor;
    copy_record(to, (const unsigned char *)rec, span);
    lane->last = (struct weir_record *)(void *)to;
    lane->last->key_group = key_group;
    lane->mixed |= lane->span ^ span;
    lane->cursor = to + span;
    lane->count++;
    return WEIR_OK;
}

/* The record loop of a key edge; `span` constant for the compiler in the common sizes, 0 = each record says. */
static inline __attribute__((always_inline)) weir_err scatter(struct edge *e, const struct weir_batch *batch, uint32_t span)
{
    const unsigned char *from = batch->data;
    uint32_t n = e->n_channels;
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct weir_record *rec =
            span ? (const struct weir_record *)(const void *)(from + (size_t)i * span) : weir_batch_record(batch, i);
        uint16_t group = hash_key_group(e->keys[i].hash);
        weir_err err = append(e, plan_key_owner(group, n), rec, span ? span : weir_record_span(rec->size), group);
        if (WEIR_UNLIKELY(err)) return err;
    }
    return WEIR_OK;
}

static weir_err check_keys(struct edge *e, uint32_t n)
{
    uint32_t longest = 0;
    for (uint32_t i = 0; i < n; i++) longest = e->keys[i].length > longest ? e->keys[i].length : longest;
    if (longest <= WEIR_KEY_MAX) return WEIR_OK;
    return weir_fail(&e->subtask->diag, WEIR_E_LIMIT, "a key of %u bytes exceeds the limit of %u (WEIR_KEY_MAX)", longest, WEIR_KEY_MAX);
}

static weir_err write_keyed(struct edge *e, const struct weir_batch *batch)
{
    e->keyer->extract(batch, e->keys, e->key_scratch);
    weir_err err = check_keys(e, batch->count);
    if (err) return err;
    hash_keys(e->keys, batch->count);
    switch (batch->sel ? 0 : batch->stride) {
    case 32: return scatter(e, batch, 32);
    case 48: return scatter(e, batch, 48);
    case 64: return scatter(e, batch, 64);
    case 80: return scatter(e, batch, 80);
    default: return scatter(e, batch, 0);
    }
}

static weir_err write_chosen(struct edge *e, const struct weir_batch *batch)
{
    e->partitioner->choose(batch, e->n_channels, e->chosen);
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct weir_record *rec = weir_batch_record(batch, i);
        if (WEIR_UNLIKELY(e->chosen[i] >= e->n_channels)) {
            return weir_fail(&e->subtask->diag, WEIR_E_USER, "partitioner %s chose subtask %u of %u", e->partitioner->name, e->chosen[i],
                             e->n_channels);
        }
        weir_err err = append(e, e->chosen[i], rec, weir_record_span(rec->size), rec->key_group);
        if (WEIR_UNLIKELY(err)) return err;
    }
    return WEIR_OK;
}

/* Records that lie one behind the other and are all alike go in runs, as many as a frame has room for. */
static weir_err write_run(struct edge *e, uint32_t channel, const struct weir_batch *batch)
{
    const unsigned char *from = batch->data;
    for (uint32_t left = batch->count; left > 0;) {
        uint32_t i = e->partition == GRAPH_REBALANCE ? e->turn : channel;
        if ((size_t)(e->lanes[i].end - e->lanes[i].cursor) < batch->stride) {
            weir_err err = open_lane(e, &i, batch->stride);
            if (err) return err;
        }
        struct lane *lane = &e->lanes[i];
        uint32_t n = (uint32_t)((size_t)(lane->end - lane->cursor) / batch->stride);
        if (n > left) n = left;
        memcpy(lane->cursor, from, (size_t)n * batch->stride);
        lane->mixed |= lane->span ^ batch->stride;
        lane->cursor += (size_t)n * batch->stride;
        lane->last = (struct weir_record *)(void *)(lane->cursor - batch->stride);
        lane->count += n;
        from += (size_t)n * batch->stride;
        left -= n;
    }
    return WEIR_OK;
}

static weir_err write_all(struct edge *e, uint32_t channel, const struct weir_batch *batch)
{
    if (!batch->sel) return write_run(e, channel, batch);
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct weir_record *rec = weir_batch_record(batch, i);
        weir_err err = append(e, e->partition == GRAPH_REBALANCE ? e->turn : channel, rec, weir_record_span(rec->size), rec->key_group);
        if (WEIR_UNLIKELY(err)) return err;
    }
    return WEIR_OK;
}

weir_err edge_write(struct edge *e, const struct weir_batch *batch)
{
    e->subtask->stats.records_out += batch->count;
    if (e->partition == GRAPH_KEY) return write_keyed(e, batch);
    if (e->partition == GRAPH_CUSTOM) return write_chosen(e, batch);
    if (e->partition != GRAPH_BROADCAST) return write_all(e, 0, batch);
    for (uint32_t c = 0; c < e->n_channels; c++) {
        weir_err err = write_all(e, c, batch);
        if (err) return err;
    }
    return WEIR_OK;
}

weir_err edge_flush(struct edge *e)
{
    weir_err err = e->direct ? op_send_direct(e->direct) : WEIR_OK;
    return err ? err : edge_flush_copies(e);
}

weir_err edge_flush_copies(struct edge *e)
{
    for (uint32_t i = 0; i < e->n_channels; i++) {
        if (!e->lanes[i].frame) continue;
        weir_err err = send_lane(e, i);
        if (err) return err;
    }
    return WEIR_OK;
}

static weir_err send_marker(struct edge *e, enum frame_kind kind, weir_time time_ms, uint16_t flags)
{
    weir_err err = edge_flush(e);
    for (uint32_t i = 0; !err && i < e->n_channels; i++) {
        struct frame *frame = frame_take(e->subtask->pool, 0);
        if (!frame) return weir_fail(&e->subtask->diag, WEIR_E_NOMEM, "no memory for an event frame");
        frame->head->kind = (uint8_t)kind;
        frame->head->flags = flags;
        frame->head->time_ms = time_ms;
        err = subtask_send(e->subtask, e->channels[i], frame);
    }
    return err;
}

weir_err edge_event(struct edge *e, enum frame_kind kind, weir_time time_ms)
{
    return send_marker(e, kind, time_ms, 0);
}

weir_err edge_barrier(struct edge *e, uint64_t id, uint16_t options)
{
    return send_marker(e, FRAME_BARRIER, (weir_time)id, options);
}

weir_err edge_watermark(struct edge *e)
{
    if (e->time_noted <= e->time_sent) return WEIR_OK;
    e->time_sent = e->time_noted;
    return edge_event(e, FRAME_WATERMARK, e->time_noted);
}
