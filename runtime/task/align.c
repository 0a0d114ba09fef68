/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/task/align.h"

#include <stdlib.h>

#include "runtime/base/assert.h"
#include "runtime/wire/message.h"

weir_err align_init(struct align *a, uint32_t n_inputs, const struct align_options *options)
{
    *a = (struct align){.options = *options, .n_inputs = options->source ? 1 : n_inputs};
    a->inputs = calloc(a->n_inputs ? a->n_inputs : 1, sizeof *a->inputs);
    return a->inputs ? WEIR_OK : WEIR_E_NOMEM;
}

void align_close(struct align *a)
{
    free(a->inputs);
    a->inputs = NULL;
}

static void act(struct align_action *out, enum align_action_type type, uint64_t id, uint32_t options)
{
    *out = (struct align_action){.type = type, .id = id, .options = options};
}

static void decide(struct align *a, uint64_t id)
{
    if (id > a->decided) a->decided = id;
    a->id = 0;
}

static void begin(struct align *a, uint64_t id, uint32_t options, weir_time now_ms)
{
    a->id = id;
    a->id_options = options;
    a->since_ms = now_ms;
    a->n_arrived = a->n_ended;
    for (uint32_t i = 0; i < a->n_inputs; i++) a->inputs[i].arrived = false;
}

static void snapshot(struct align *a, uint64_t id, uint32_t options, struct align_action *out)
{
    decide(a, id);
    if (!a->finished && (options & CHECKPOINT_STOP)) a->resting = id;
    act(out, ALIGN_DO_SNAPSHOT, id, options);
}

static void snapshot_when_aligned(struct align *a, weir_time now_ms, struct align_action *out)
{
    if (!a->id || a->n_arrived < a->n_inputs) return;
    uint64_t waited_ms = now_ms > a->since_ms ? (uint64_t)(now_ms - a->since_ms) : 0;
    snapshot(a, a->id, a->id_options, out);
    out->waited_ms = waited_ms;
}

static void on_barrier(struct align *a, const struct align_event *ev, struct align_action *out)
{
    struct align_input *in = &a->inputs[ev->input];
    if (ev->id <= a->decided || ev->id < a->id) return;
    if (ev->id > a->id) begin(a, ev->id, ev->options, ev->now_ms);
    if (in->arrived || in->ended) return;
    in->arrived = true;
    a->n_arrived++;
    snapshot_when_aligned(a, ev->now_ms, out);
}

static void on_end(struct align *a, const struct align_event *ev, struct align_action *out)
{
    struct align_input *in = &a->inputs[ev->input];
    if (in->ended) return;
    in->ended = true;
    a->n_ended++;
    if (!in->arrived) a->n_arrived++;
    snapshot_when_aligned(a, ev->now_ms, out);
}

static void on_trigger(struct align *a, const struct align_event *ev, struct align_action *out)
{
    if (ev->id <= a->decided || ev->id <= a->triggered) return;
    bool rested = a->resting != 0; /* behind one that must have been given up, or nothing newer would come */
    a->resting = 0;
    a->triggered = ev->id;
    a->triggered_options = ev->options;
    bool reads = a->options.source && a->n_ended == 0;
    if (reads && (ev->options & CHECKPOINT_DRAIN))
        act(out, ALIGN_DO_DRAIN, ev->id, ev->options);
    else if (reads || a->finished)
        snapshot(a, ev->id, ev->options, out);
    else if (rested)
        act(out, ALIGN_DO_RESUME, ev->id, 0);
}

static void on_finished(struct align *a, struct align_action *out)
{
    WEIR_ASSERT(a->n_ended == a->n_inputs);
    a->finished = true;
    if (a->triggered > a->decided) snapshot(a, a->triggered, a->triggered_options, out);
}

static void on_abort(struct align *a, uint64_t id, struct align_action *out)
{
    bool resumes = a->resting && a->resting <= id;
    if (id > a->decided) a->decided = id;
    if (a->id <= id) a->id = 0;
    if (!resumes) return;
    a->resting = 0;
    act(out, ALIGN_DO_RESUME, id, 0);
}

static void on_time(struct align *a, weir_time now_ms, struct align_action *out)
{
    if (now_ms < align_deadline(a)) return;
    uint64_t id = a->id, waited_ms = (uint64_t)(now_ms - a->since_ms);
    decide(a, id);
    act(out, ALIGN_DO_GIVE_UP, id, a->id_options);
    out->waited_ms = waited_ms;
}

void align_step(struct align *a, const struct align_event *ev, struct align_action *out)
{
    act(out, ALIGN_DO_NOTHING, 0, 0);
    switch (ev->type) {
    case ALIGN_EV_BARRIER: on_barrier(a, ev, out); return;
    case ALIGN_EV_END: on_end(a, ev, out); return;
    case ALIGN_EV_TRIGGER: on_trigger(a, ev, out); return;
    case ALIGN_EV_FINISHED: on_finished(a, out); return;
    case ALIGN_EV_ABORT: on_abort(a, ev->id, out); return;
    case ALIGN_EV_TIME: on_time(a, ev->now_ms, out); return;
    }
}

weir_time align_deadline(const struct align *a)
{
    if (!a->id || a->options.at_least_once || a->options.timeout_ms == 0) return WEIR_TIME_MAX;
    return a->since_ms + (weir_time)a->options.timeout_ms;
}
