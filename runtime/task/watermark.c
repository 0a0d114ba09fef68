/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/task/watermark.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"

weir_err valve_init(struct valve *v, uint32_t n_inputs)
{
    *v = (struct valve){.n = n_inputs, .watermark = WEIR_TIME_MIN};
    v->inputs = calloc(n_inputs ? n_inputs : 1, sizeof *v->inputs);
    if (!v->inputs) return WEIR_E_NOMEM;
    for (uint32_t i = 0; i < n_inputs; i++) v->inputs[i].watermark = WEIR_TIME_MIN;
    return WEIR_OK;
}

void valve_close(struct valve *v)
{
    free(v->inputs);
    v->inputs = NULL;
}

/* A mark covers VALVE_MARK_BYTES at least, but the newest one of all, which grows when there is no room for another. */
static void add_mark(struct valve_input *in)
{
    uint64_t before = in->n_marks > 1 ? in->marks[in->n_marks - 2].bytes : in->bytes_passed;
    bool grows = in->n_marks && (in->n_marks == VALVE_MARKS || in->bytes - before < VALVE_MARK_BYTES);
    if (!grows) in->n_marks++;
    in->marks[in->n_marks - 1] = (struct valve_mark){.watermark = in->watermark, .bytes = in->bytes};
}

static void pass_marks(struct valve_input *in, weir_time reached)
{
    uint32_t n = 0;
    while (n < in->n_marks && in->marks[n].watermark <= reached) n++;
    if (n == 0) return;
    in->bytes_passed = in->marks[n - 1].bytes;
    in->n_marks -= n;
    memmove(in->marks, in->marks + n, in->n_marks * sizeof *in->marks);
}

/* What a stream's slowest active channel has reached, all of them have passed. */
static void pass_stream(struct valve *v, uint32_t stream)
{
    weir_time reached = WEIR_TIME_MAX;
    for (uint32_t i = 0; i < v->n; i++) {
        const struct valve_input *in = &v->inputs[i];
        if (in->stream == stream && !in->final && !in->idle && in->watermark < reached) reached = in->watermark;
    }
    for (uint32_t i = 0; i < v->n; i++)
        if (v->inputs[i].stream == stream) pass_marks(&v->inputs[i], reached);
}

void valve_brought(struct valve *v, uint32_t input, uint64_t bytes)
{
    WEIR_ASSERT_HOT(input < v->n);
    v->inputs[input].bytes += bytes;
}

/* After an input has told something. */
static bool settle(struct valve *v, const struct valve_input *told)
{
    pass_stream(v, told->stream);
    weir_time lowest = WEIR_TIME_MAX, highest = WEIR_TIME_MIN;
    bool any_active = false, any_left = false;
    for (uint32_t i = 0; i < v->n; i++) {
        const struct valve_input *in = &v->inputs[i];
        if (in->watermark > highest) highest = in->watermark;
        if (in->final) continue;
        any_left = true;
        if (in->idle) continue;
        any_active = true;
        if (in->watermark < lowest) lowest = in->watermark;
    }
    bool idle = any_left && !any_active;
    bool changed = idle != v->idle;
    v->idle = idle;
    weir_time now = idle ? highest : lowest;
    if (now <= v->watermark) return changed;
    v->watermark = now;
    return true;
}

bool valve_watermark(struct valve *v, uint32_t input, weir_time watermark)
{
    WEIR_ASSERT_HOT(input < v->n);
    struct valve_input *in = &v->inputs[input];
    if (in->final || watermark <= in->watermark) return false;
    in->final = watermark == WEIR_TIME_MAX;
    if (!in->final) in->watermark = watermark;
    in->idle = false;
    add_mark(in);
    return settle(v, in);
}

bool valve_idle(struct valve *v, uint32_t input, bool idle)
{
    WEIR_ASSERT_HOT(input < v->n);
    struct valve_input *in = &v->inputs[input];
    if (in->final || in->idle == idle) return false;
    in->idle = idle;
    return settle(v, in);
}

bool valve_end(struct valve *v, uint32_t input)
{
    WEIR_ASSERT_HOT(input < v->n);
    struct valve_input *in = &v->inputs[input];
    if (in->ended) return false;
    in->ended = in->final = true;
    v->n_ended++;
    return settle(v, in);
}

weir_err splits_init(struct splits *s, uint32_t n)
{
    s->n = n;
    s->items = calloc(n ? n : 1, sizeof *s->items);
    if (!s->items) return WEIR_E_NOMEM;
    for (uint32_t i = 0; i < n; i++) s->items[i].highest = s->items[i].stated = WEIR_TIME_MIN;
    return WEIR_OK;
}

void splits_close(struct splits *s)
{
    free(s->items);
    s->items = NULL;
}

/* highest - bound - 1, without leaving the range of times. */
static weir_time behind(weir_time highest, int64_t bound)
{
    return highest < WEIR_TIME_MIN + 1 + bound ? WEIR_TIME_MIN : highest - bound - 1;
}

void split_asked(struct split_progress *p, weir_time now_ms)
{
    if (p->asked_ms == 0 || now_ms < p->last_seen_ms)
        p->last_seen_ms = now_ms; /* at first, and when the clock was set back, waiting begins */
    p->asked_ms = now_ms;
}

weir_time splits_bounded(const struct splits *s, int64_t max_out_of_orderness_ms, int64_t idle_ms, bool *idle)
{
    weir_time lowest = WEIR_TIME_MAX, highest = WEIR_TIME_MIN;
    bool any_active = false, any_left = false;
    for (uint32_t i = 0; i < s->n; i++) {
        const struct split_progress *p = &s->items[i];
        weir_time own = behind(p->highest, max_out_of_orderness_ms);
        if (own > highest) highest = own;
        if (p->state == SPLIT_DONE) continue;
        any_left = true;
        if (p->state == SPLIT_READING && idle_ms > 0 && p->asked_ms - p->last_seen_ms >= idle_ms) continue;
        any_active = true;
        weir_time w = p->state == SPLIT_WAITING ? WEIR_TIME_MIN : own;
        if (w < lowest) lowest = w;
    }
    *idle = any_left && !any_active;
    return any_active ? lowest : highest;
}

weir_time splits_stated(const struct splits *s)
{
    weir_time lowest = WEIR_TIME_MAX;
    bool any = false;
    for (uint32_t i = 0; i < s->n; i++) {
        const struct split_progress *p = &s->items[i];
        if (p->state == SPLIT_DONE) continue;
        any = true;
        if (p->stated < lowest) lowest = p->stated;
    }
    return any ? lowest : WEIR_TIME_MIN;
}
