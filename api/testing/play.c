/* SPDX-License-Identifier: Apache-2.0 */
/* Putting events in, releasing them one after the other, and stepping the subtasks until nothing is left to do. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "api/testing/harness.h"
#include "api/testing/kept.h"

#define LAG_ONE_IN 4u /* rounds of a slot that WEIR_HARNESS_DRAWN leaves out */
/* Idle rounds after which all is done: an idle step may send what its receiver, stepped before it, takes in the next round, or note what it
 * acts upon only then (that a split is silent). */
#define QUIET_ROUNDS 2u

/* splitmix64 */
static uint64_t draw(struct weir_harness *h)
{
    uint64_t x = h->rng += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* ---- steps ----------------------------------------------------------------------------------------------------------------------- */

static weir_err step_subtask(struct weir_harness *h, struct subtask *s, bool *busy)
{
    enum subtask_step step = subtask_step(s, h->now_ms);
    if (step == STEP_FAILED) return harness_fail(h, s);
    *busy |= step == STEP_PROGRESS;
    return WEIR_OK;
}

/* Work that never ends. */
static weir_err give_up(struct weir_harness *h)
{
    h->failed = WEIR_E_LIMIT;
    return weir_fail(&h->failure, WEIR_E_LIMIT,
                     "the steps are still busy %u rounds after the last event (WEIR_HARNESS_ROUNDS_MAX): does a "
                     "function return WEIR_AGAIN for ever, or a timer set itself again for the time at which it fires?",
                     WEIR_HARNESS_ROUNDS_MAX);
}

weir_err harness_round(struct weir_harness *h)
{
    bool busy = false;
    weir_err err = WEIR_OK;
    for (uint32_t t = 0; t < h->d->n_threads; t++) {
        struct task_thread *thread = &h->d->threads[t];
        if (h->options.batch == WEIR_HARNESS_DRAWN && h->d->n_threads > 1 && draw(h) % LAG_ONE_IN == 0) {
            busy = true;
            continue;
        }
        for (uint32_t i = 0; !err && i < thread->n_subtasks; i++) err = step_subtask(h, &thread->subtasks[i], &busy);
    }
    if (err) return err;
    h->n_idle = busy ? 0 : h->n_idle + 1;
    return ++h->n_rounds < WEIR_HARNESS_ROUNDS_MAX ? WEIR_OK : give_up(h);
}

/* ---- release --------------------------------------------------------------------------------------------------------------------- */

/* Short batches as often as long ones. */
static uint32_t drawn_rows(struct weir_harness *h)
{
    uint32_t limit = 1u << draw(h) % 12;
    static_assert(1u << 11 == WEIR_BATCH_MAX, "the longest limit");
    return 1u + (uint32_t)(draw(h) % limit);
}

static uint32_t batch_rows(struct weir_harness *h)
{
    switch (h->options.batch) {
    case WEIR_HARNESS_ONE: break;
    case WEIR_HARNESS_FULL: return WEIR_BATCH_MAX;
    case WEIR_HARNESS_DRAWN: return drawn_rows(h);
    }
    return 1;
}

static void release_rows(struct weir_harness *h, uint32_t input)
{
    for (uint32_t n = batch_rows(h); n > 0; n--) {
        const struct event *next = h->queue.first;
        if (!next || next->kind != EVENT_ROW || next->input != input) return;
        events_put(&h->inputs[input].ready, events_take(&h->queue));
        h->n_waiting--;
    }
}

/* Lets the next batch or event in; false: there is none. */
static bool release(struct weir_harness *h)
{
    const struct event *next = h->queue.first;
    if (!next) return false;
    h->n_idle = h->n_rounds = 0;
    if (next->kind == EVENT_ROW) {
        release_rows(h, next->input);
        return true;
    }
    struct event *event = events_take(&h->queue);
    if (event->kind == EVENT_TIME) {
        h->now_ms = event->time_ms;
        free(event);
    } else {
        events_put(&h->inputs[event->input].ready, event);
    }
    return true;
}

/* Nothing is to be done but to release the next event. */
static bool quiet(const struct weir_harness *h)
{
    return h->n_idle >= QUIET_ROUNDS;
}

weir_err harness_settle(struct weir_harness *h)
{
    while (!h->failed && (!quiet(h) || release(h)))
        if (harness_round(h)) break;
    if (h->failed) h->diag = h->failure;
    return h->failed;
}

void harness_catch_up(struct weir_harness *h)
{
    if (!h->options.manual && !h->finished) (void)harness_settle(h);
}

weir_err weir_harness_step(struct weir_harness *h, bool *more)
{
    if (!h->options.manual)
        return weir_fail(&h->diag, WEIR_E_STATE, "weir_harness_step is for a harness made with the option `manual`; this one steps itself");
    *more = false;
    if (h->finished || (quiet(h) && !release(h))) return WEIR_OK;
    if (!h->failed) (void)harness_round(h);
    if (h->failed) h->diag = h->failure;
    *more = !h->failed && (!quiet(h) || h->queue.first);
    return h->failed;
}

/* ---- putting in ------------------------------------------------------------------------------------------------------------------ */

static weir_err check_open(struct weir_harness *h)
{
    if (h->failed) h->diag = h->failure;
    if (h->failed) return h->failed;
    return h->finished ? weir_fail(&h->diag, WEIR_E_STATE, "the harness has finished: nothing can be put in any more") : WEIR_OK;
}

static weir_err check_input(struct weir_harness *h, uint32_t input)
{
    weir_err err = check_open(h);
    if (err) return err;
    if (input >= h->n_inputs)
        return weir_fail(&h->diag, WEIR_E_ARGUMENT, "the harness has %u inputs, counted from 0; there is no input %u", h->n_inputs, input);
    if (h->inputs[input].ended) return weir_fail(&h->diag, WEIR_E_STATE, "input %u has ended: nothing can be put in any more", input);
    return WEIR_OK;
}

/* Takes the event, and delivers unless the test does that itself. `lazy`: rows may gather first. */
static weir_err put(struct weir_harness *h, struct event *event, bool lazy)
{
    h->n_waiting += event->kind == EVENT_ROW;
    events_put(&h->queue, event);
    if (h->options.manual || (lazy && h->n_waiting < WEIR_BATCH_MAX)) return WEIR_OK;
    return harness_settle(h);
}

/* An event with room for `size` bytes of a row; NULL: no memory, said in h->diag. */
static struct event *new_event(struct weir_harness *h, enum event_kind kind, uint32_t input, weir_time time_ms, uint32_t size)
{
    struct event *event = malloc(sizeof *event + size);
    if (event)
        *event = (struct event){.kind = kind, .input = input, .time_ms = time_ms, .size = size};
    else
        (void)weir_fail(&h->diag, WEIR_E_NOMEM, "no memory for a row of the test");
    return event;
}

static weir_err put_word(struct weir_harness *h, enum event_kind kind, uint32_t input, weir_time time_ms)
{
    struct event *event = new_event(h, kind, input, time_ms, 0);
    return event ? put(h, event, false) : WEIR_E_NOMEM;
}

static weir_err check_row(struct weir_harness *h, uint32_t input, uint32_t row_size, enum weir_kind kind)
{
    const struct input *in = &h->inputs[input];
    if (in->failed)
        return weir_fail(&h->diag, in->failed, "the strings of a row for input %u found no room (WEIR_ROW_MAX is %u bytes)", input,
                         WEIR_ROW_MAX);
    if (row_size < in->schema->row_size)
        return weir_fail(&h->diag, WEIR_E_ARGUMENT, "a row of %u bytes for input %u, whose rows (%s) have %u", row_size, input,
                         in->schema->name, in->schema->row_size);
    if (in->tail && row_size != in->schema->row_size)
        return weir_fail(&h->diag, WEIR_E_ARGUMENT,
                         "a row for input %u has strings of its own and others from weir_harness_str: it may have one kind only", input);
    if (row_size > WEIR_ROW_MAX) return weir_fail(&h->diag, WEIR_E_LIMIT, "a row of more than %u bytes (WEIR_ROW_MAX)", WEIR_ROW_MAX);
    if ((uint32_t)kind > WEIR_DELETE) return weir_fail(&h->diag, WEIR_E_ARGUMENT, "%d is no kind of a row", (int)kind);
    if (kind != WEIR_INSERT && !in->changes)
        return weir_fail(&h->diag, WEIR_E_ARGUMENT,
                         "input %u takes inserts only: make it with weir_harness_in_changes, or set `changes` of its port", input);
    if (h->n_waiting >= h->options.rows_max)
        return weir_fail(&h->diag, WEIR_E_LIMIT, "%" PRIu64 " rows wait to be delivered (rows_max): call weir_harness_step in between",
                         h->n_waiting);
    return WEIR_OK;
}

/* The struct, and behind it its strings where weir_harness_str has them. The whole must be a row that could travel. */
static weir_err put_row(struct weir_harness *h, struct event *event, const void *row, uint32_t row_size)
{
    const struct input *in = &h->inputs[event->input];
    memcpy(event->row, row, row_size);
    if (event->size > row_size) memcpy(event->row + row_size, in->building + sizeof(struct weir_record) + row_size, event->size - row_size);
    if (weir_row_valid(in->schema, event->row, event->size)) return put(h, event, h->options.batch != WEIR_HARNESS_ONE);
    weir_err err = weir_fail(&h->diag, WEIR_E_ARGUMENT, "a row for input %u has a string outside its bytes: take it from weir_harness_str",
                             event->input);
    free(event);
    return err;
}

weir_err weir_harness_push(struct weir_harness *h, uint32_t input, const void *row, uint32_t row_size, weir_time time_ms,
                           enum weir_kind kind)
{
    weir_err err = check_input(h, input);
    if (err) return err;
    struct input *in = &h->inputs[input];
    err = check_row(h, input, row_size, kind);
    struct event *event = err ? NULL : new_event(h, EVENT_ROW, input, time_ms, in->tail ? in->tail : row_size);
    if (event) {
        event->row_kind = (uint8_t)kind;
        err = put_row(h, event, row, row_size);
    } else if (!err) {
        err = WEIR_E_NOMEM;
    }
    in->tail = 0;
    in->failed = WEIR_OK;
    return err;
}

weir_err weir_harness_watermark(struct weir_harness *h, uint32_t input, weir_time watermark_ms)
{
    weir_err err = check_input(h, input);
    if (err) return err;
    struct input *in = &h->inputs[input];
    if (watermark_ms == WEIR_TIME_MAX)
        return weir_fail(&h->diag, WEIR_E_ARGUMENT, "the end of all time is no watermark to give: weir_harness_end says it");
    if (watermark_ms < in->watermark_ms)
        return weir_fail(&h->diag, WEIR_E_ARGUMENT, "watermark %" PRId64 " of input %u goes back: it was at %" PRId64, watermark_ms, input,
                         in->watermark_ms);
    in->watermark_ms = watermark_ms;
    return put_word(h, EVENT_WATERMARK, input, watermark_ms);
}

weir_err weir_harness_idle(struct weir_harness *h, uint32_t input)
{
    weir_err err = check_input(h, input);
    return err ? err : put_word(h, EVENT_IDLE, input, 0);
}

weir_err weir_harness_end(struct weir_harness *h, uint32_t input)
{
    weir_err err = check_input(h, input);
    if (err) return err;
    h->inputs[input].ended = true;
    return put_word(h, EVENT_END, input, 0);
}

weir_err weir_harness_set_time(struct weir_harness *h, weir_time now_ms)
{
    weir_err err = check_open(h);
    if (err) return err;
    if (now_ms < h->clock_ms)
        return weir_fail(&h->diag, WEIR_E_ARGUMENT, "the clock goes back, from %" PRId64 " to %" PRId64, h->clock_ms, now_ms);
    h->clock_ms = now_ms;
    return put_word(h, EVENT_TIME, 0, now_ms);
}

/* ---- the end --------------------------------------------------------------------------------------------------------------------- */

static weir_err commit(struct weir_harness *h, struct subtask *s, void *arg)
{
    (void)arg;
    return subtask_commit(s) ? harness_fail(h, s) : WEIR_OK;
}

weir_err weir_harness_finish(struct weir_harness *h)
{
    weir_err err = check_open(h);
    if (err) return err;
    for (uint32_t i = 0; i < h->n_inputs && !err; i++)
        if (!h->inputs[i].ended) err = weir_harness_end(h, i);
    if (!err) err = harness_settle(h);
    struct kept *last = NULL;
    if (!err && h->checkpointed) err = harness_checkpoint(h, &last);
    kept_destroy(&last);
    if (!err) err = harness_each(h, commit, NULL);
    if (h->failed) h->diag = h->failure;
    h->finished = !err;
    return err;
}

static uint64_t op_counter(const struct op *op, const char *name)
{
    for (uint32_t i = 0; i < op->n_counters; i++)
        if (strcmp(op->counters[i].name, name) == 0) return op->counters[i].value;
    return 0;
}

struct tally {
    const char *operator_id, *name;
    uint64_t sum;
};

static weir_err add_counters(struct weir_harness *h, struct subtask *s, void *arg)
{
    struct tally *tally = arg;
    (void)h;
    for (uint32_t i = 0; i < s->n_ops; i++)
        if (strcmp(s->ops[i].spec.id, tally->operator_id) == 0) tally->sum += op_counter(&s->ops[i], tally->name);
    return WEIR_OK;
}

uint64_t weir_harness_counter(struct weir_harness *h, const char *operator_id, const char *name)
{
    struct tally tally = {.operator_id = operator_id, .name = name};
    harness_catch_up(h);
    (void)harness_each(h, add_counters, &tally);
    return tally.sum;
}
