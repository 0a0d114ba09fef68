/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parallel senders of one stream do not drift apart without limit where somebody waits for event time: the fast one waits for the slow.
 * What they bring is taken in the order of time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/local/local_job.h"
#include "weir/connector/generator.h"

#define SENDERS 2
#define BEGIN_MS 1000
#define ROUNDS 30 /* of EDGE_WATERMARK_MS each; together shorter than AHEAD_WAIT_MS, and enough to fill all there is */
#define RECORD_BYTES (sizeof(struct weir_record) + sizeof(struct weir_generated))

static_assert(ROUNDS * EDGE_WATERMARK_MS < AHEAD_WAIT_MS, "the rounds are shorter than what is waited for");

WEIR_KEY_FIXED(by_seq, weir_generated, seq);

static int64_t rows_made;            /* by the sources; < 0: without end */
static uint64_t rows_seen;           /* by the sinks */
static weir_time ends_seen[SENDERS]; /* of each sink, the time of the last record of its newest full frame */
static uint64_t steps_back;          /* full frames that ended before the one before them */
static char inputs_seen[1024];       /* the input of each batch, '0' or '1' */
static size_t n_inputs_seen;

static weir_err see_rows(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *batch)
{
    (void)self;
    rows_seen += batch->count;
    if (batch->count * RECORD_BYTES >= ORDER_BYTES_LEAST) {
        weir_time end = weir_batch_record(batch, batch->count - 1)->time_ms;
        steps_back += end < ends_seen[ctx->subtask];
        ends_seen[ctx->subtask] = end;
    }
    if (n_inputs_seen < sizeof inputs_seen) inputs_seen[n_inputs_seen++] = (char)('0' + input);
    return WEIR_OK;
}

static weir_err see_time(void *self, struct weir_ctx *ctx, weir_time watermark_ms)
{
    (void)self, (void)ctx, (void)watermark_ms;
    return WEIR_OK;
}

static const struct weir_operator timed_op = {
    .struct_size = sizeof timed_op, .name = "timed", .flags = WEIR_OPERATOR_SINK, .process = see_rows, .on_watermark = see_time};
static const struct weir_operator untimed_op = {
    .struct_size = sizeof untimed_op, .name = "untimed", .flags = WEIR_OPERATOR_SINK, .process = see_rows};

static const struct weir_operator joining_op = {.struct_size = sizeof joining_op,
                                                .name = "joining",
                                                .flags = WEIR_OPERATOR_SINK | WEIR_OPERATOR_KEYED | WEIR_OPERATOR_TWO_INPUTS,
                                                .process = see_rows};

static bool is_rare(const struct weir_generated *row)
{
    return row->seq % 100 == 0;
}
WEIR_FILTER(rare_op, weir_generated, is_rare);

static weir_err pass_rows(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *batch)
{
    (void)self, (void)input;
    weir_err err = WEIR_OK;
    for (uint32_t i = 0; i < batch->count && !err; i++) {
        struct weir_record *rec = weir_batch_record(batch, i);
        const struct weir_generated *row = weir_record_row(rec);
        err = weir_emit(ctx->out, row, sizeof *row, rec->time_ms);
    }
    return err;
}

static const struct weir_operator passing_op = {
    .struct_size = sizeof passing_op, .name = "passing", .out = &weir_generated_schema, .flags = WEIR_OPERATOR_KEYED, .process = pass_rows};

static const struct weir_operator *sink_op;

static weir_err build_two_exchanges(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)argc, (void)argv, (void)diag;
    struct weir_stream *rows = weir_from_generator(env, "rows", &(struct weir_generator){.rows = rows_made, .rate = 1000});
    struct weir_stream *passed = weir_apply(weir_key_by(rows, &by_seq), "pass", &passing_op, NULL, 0);
    (void)weir_apply(weir_key_by(passed, &by_seq), "see", &timed_op, NULL, 0);
    return WEIR_OK;
}

static weir_err build(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)argc, (void)argv, (void)diag;
    struct weir_stream *rows = weir_from_generator(env, "rows", &(struct weir_generator){.rows = rows_made, .rate = 1000});
    struct weir_stream *keyed = weir_key_by(rows, &by_seq);
    if (sink_op->flags & WEIR_OPERATOR_TWO_INPUTS)
        (void)weir_co_apply(keyed, weir_key_by(weir_filter(rows, "rare", &rare_op), &by_seq), "see", sink_op, NULL, 0);
    else
        (void)weir_apply(keyed, "see", sink_op, NULL, 0);
    return WEIR_OK;
}

/* Senders and sinks that the test steps itself, in one thread. */
struct fixture {
    struct local_job job;
    struct subtask *sources[SENDERS], *sinks[SENDERS];
    weir_time now_ms;
};

static void open_bounded(struct fixture *f, const struct weir_operator *op, int64_t rows)
{
    sink_op = op;
    rows_made = rows;
    rows_seen = n_inputs_seen = steps_back = 0;
    for (uint32_t i = 0; i < SENDERS; i++) ends_seen[i] = WEIR_TIME_MIN;
    f->now_ms = BEGIN_MS;
    assert_int_equal(local_job_deploy(&f->job, build, SENDERS, 0, NULL, NULL), WEIR_OK);
    for (uint32_t t = 0; t < SENDERS; t++) {
        struct subtask *subtasks = f->job.d->threads[t].subtasks;
        assert_int_equal(f->job.d->threads[t].n_subtasks, 2);
        f->sources[t] = &subtasks[subtasks[0].n_splits ? 0 : 1];
        f->sinks[t] = &subtasks[subtasks[0].n_splits ? 1 : 0];
        assert_int_equal(subtask_open(f->sources[t], BEGIN_MS), WEIR_OK);
        assert_int_equal(subtask_open(f->sinks[t], BEGIN_MS), WEIR_OK);
    }
}

static void open_job(struct fixture *f, const struct weir_operator *op)
{
    open_bounded(f, op, -1);
}

/* Until it has filled its channels. */
static void fill(struct fixture *f, uint32_t sender)
{
    while (subtask_step(f->sources[sender], f->now_ms) == STEP_PROGRESS) {
    }
}

static void step_sinks(struct fixture *f)
{
    for (uint32_t i = 0; i < SENDERS; i++)
        while (subtask_step(f->sinks[i], f->now_ms) == STEP_PROGRESS) {
        }
}

/* The first sender, or both, and the sinks behind them. */
static void run(struct fixture *f, uint32_t n_senders)
{
    for (uint32_t round = 0; round < ROUNDS; round++) {
        f->now_ms += EDGE_WATERMARK_MS;
        for (uint32_t i = 0; i < n_senders; i++) assert_int_not_equal(subtask_step(f->sources[i], f->now_ms), STEP_FAILED);
        step_sinks(f);
    }
}

static bool first_waits(struct fixture *f)
{
    return subtask_step(f->sources[0], f->now_ms) == STEP_BLOCKED;
}

static void a_fast_sender_waits_for_a_slow_one(void **state)
{
    (void)state;
    struct fixture f;
    open_job(&f, &timed_op);
    run(&f, 1);
    assert_true(first_waits(&f));
    uint64_t alone = rows_seen;
    /* Each sink takes the channel's share, and what comes with the frame that reaches it. */
    assert_in_range(alone * RECORD_BYTES, AHEAD_BYTES_MAX / 2, AHEAD_BYTES_MAX + SENDERS * WEIR_FRAME_BYTES);
    assert_false(subtask_has_work(f.sinks[0])); /* so that its thread parks */
    run(&f, 2);
    assert_true(rows_seen > 4 * alone); /* side by side they do not wait */
    local_job_close(&f.job);
}

/* Watermarks come seldom, frames tell of time, too: whose turn it is does not wait, however much has come since the last watermark. */
static void the_order_holds_between_watermarks(void **state)
{
    (void)state;
    struct fixture f;
    open_job(&f, &timed_op);
    uint64_t limit = 4 * WEIR_FRAME_BYTES; /* of a channel; all that its window lets through comes before a watermark */
    for (uint32_t i = 0; i < SENDERS; i++) f.sinks[i]->ahead_max = limit;
    run(&f, 2);
    rows_seen = steps_back = 0;
    for (uint32_t i = 0; i < SENDERS; i++) fill(&f, i);
    step_sinks(&f);
    assert_true(rows_seen * RECORD_BYTES > (uint64_t)SENDERS * SENDERS * 2 * limit);
    assert_int_equal(steps_back, 0);
    local_job_close(&f.job);
}

/* The time in a frame may be any: it does not lift the limit. */
static void a_time_far_ahead_does_not_let_the_fast_sender_go(void **state)
{
    (void)state;
    struct fixture f;
    open_job(&f, &timed_op);
    for (uint32_t i = 0; i < SENDERS; i++) f.sinks[i]->inputs[1].reached = WEIR_TIME_MAX - 1;
    for (uint32_t n = 0; n < 3; n++) run(&f, 1); /* shorter than AHEAD_WAIT_MS */
    assert_true(first_waits(&f));
    assert_in_range(rows_seen * RECORD_BYTES, AHEAD_BYTES_MAX, AHEAD_FIRM * (AHEAD_BYTES_MAX + SENDERS * WEIR_FRAME_BYTES));
    local_job_close(&f.job);
}

/* It does not look at the time, but keeps what the fast sender brought until the slow one's partners come. */
static void at_a_join_a_fast_sender_waits_too(void **state)
{
    (void)state;
    struct fixture f;
    open_job(&f, &joining_op);
    run(&f, 1);
    assert_true(first_waits(&f));
    assert_in_range(rows_seen * RECORD_BYTES, AHEAD_BYTES_MAX / 2, AHEAD_BYTES_MAX + 2 * SENDERS * WEIR_FRAME_BYTES);
    local_job_close(&f.job);
}

/* Only time tells a slow sender from a silent one. */
static void a_silent_sender_does_not_stop_the_others(void **state)
{
    (void)state;
    struct fixture f;
    open_job(&f, &timed_op);
    run(&f, 1);
    for (uint32_t wait = 1; wait <= 4; wait++) {
        uint64_t before = rows_seen;
        assert_true(first_waits(&f));
        f.now_ms += AHEAD_WAIT_MS;
        run(&f, 1);
        assert_true(rows_seen > before);
    }
    local_job_close(&f.job);
}

/* True when some subtask found something to do. */
static bool step_all(struct local_job *job, uint32_t t, weir_time now_ms)
{
    bool moved = false;
    for (uint32_t i = 0; i < job->d->threads[t].n_subtasks; i++) {
        enum subtask_step step = subtask_step(&job->d->threads[t].subtasks[i], now_ms);
        assert_int_not_equal(step, STEP_FAILED);
        moved |= step == STEP_PROGRESS;
    }
    return moved;
}

/*
 * Rows keep their key, so the second exchange brings each sink the rows of one sender and the time of both. Each sender takes from both
 * sources: were the one with rows made to wait for the other, that one would wait for a source which waits for the first. Without a
 * clock that runs nobody gives up.
 */
static void senders_that_depend_on_each_other_do_not_wait(void **state)
{
    (void)state;
    enum { ROWS = 400000 };
    struct local_job job;
    rows_made = ROWS;
    rows_seen = steps_back = 0;
    assert_int_equal(local_job_deploy(&job, build_two_exchanges, SENDERS, 0, NULL, NULL), WEIR_OK);
    for (uint32_t t = 0; t < SENDERS; t++) {
        assert_int_equal(job.d->threads[t].n_subtasks, 3);
        for (uint32_t i = 3; i > 0; i--) assert_int_equal(subtask_open(&job.d->threads[t].subtasks[i - 1], BEGIN_MS), WEIR_OK);
    }
    /* The first thread has its core for itself for a while, then the other one. */
    while (rows_seen < ROWS) {
        bool moved = false;
        for (uint32_t t = 0; t < SENDERS; t++)
            for (uint32_t round = 0; round < 20; round++) moved |= step_all(&job, t, BEGIN_MS);
        assert_true(moved);
    }
    local_job_close(&job);
}

static void full_frames_wait_for_older_ones(void **state)
{
    (void)state;
    struct fixture f;
    open_job(&f, &timed_op);
    fill(&f, 0);
    step_sinks(&f);
    assert_int_equal(rows_seen, 0); /* those of the other sender begin at the same time */
    assert_false(subtask_has_work(f.sinks[0]));
    fill(&f, 1);
    assert_true(subtask_has_work(f.sinks[0]));
    step_sinks(&f);
    assert_true(rows_seen > 0);
    local_job_close(&f.job);
}

static void small_frames_do_not_wait(void **state)
{
    (void)state;
    struct fixture f;
    open_bounded(&f, &timed_op, 100);
    fill(&f, 0);
    step_sinks(&f);
    assert_int_equal(rows_seen, 50);
    local_job_close(&f.job);
}

static void the_order_is_given_up_when_nothing_older_comes(void **state)
{
    (void)state;
    struct fixture f;
    open_job(&f, &timed_op);
    fill(&f, 0);
    step_sinks(&f);
    f.now_ms += ORDER_WAIT_MS;
    step_sinks(&f); /* it has waited long enough */
    step_sinks(&f);
    uint64_t alone = rows_seen;
    assert_true(alone > 0);
    fill(&f, 1); /* older: the order comes back with it */
    step_sinks(&f);
    fill(&f, 0);
    step_sinks(&f); /* as far as the other is known to have come */
    uint64_t both = rows_seen;
    fill(&f, 0);
    step_sinks(&f);
    assert_true(both > alone);
    assert_int_equal(rows_seen, both);
    local_job_close(&f.job);
}

static void the_smaller_side_of_a_join_goes_first(void **state)
{
    (void)state;
    struct fixture f;
    open_job(&f, &joining_op);
    fill(&f, 0);
    fill(&f, 1);
    while (subtask_step(f.sinks[0], f.now_ms) == STEP_PROGRESS) {
    }
    assert_in_range(n_inputs_seen, 4, sizeof inputs_seen - 1);
    inputs_seen[n_inputs_seen] = '\0';
    const char *second = strchr(strchr(inputs_seen, '0') + 1, '0'); /* with the first one it is known which side is the smaller */
    assert_non_null(second);
    assert_null(strchr(second, '1'));
    local_job_close(&f.job);
}

static void without_event_time_nobody_waits(void **state)
{
    (void)state;
    struct fixture f;
    open_job(&f, &untimed_op);
    run(&f, 1);
    assert_false(first_waits(&f));
    assert_true(rows_seen * RECORD_BYTES > 4 * AHEAD_BYTES_MAX);
    local_job_close(&f.job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fast_sender_waits_for_a_slow_one),
        cmocka_unit_test(the_order_holds_between_watermarks),
        cmocka_unit_test(a_time_far_ahead_does_not_let_the_fast_sender_go),
        cmocka_unit_test(at_a_join_a_fast_sender_waits_too),
        cmocka_unit_test(a_silent_sender_does_not_stop_the_others),
        cmocka_unit_test(senders_that_depend_on_each_other_do_not_wait),
        cmocka_unit_test(full_frames_wait_for_older_ones),
        cmocka_unit_test(small_frames_do_not_wait),
        cmocka_unit_test(the_order_is_given_up_when_nothing_older_comes),
        cmocka_unit_test(the_smaller_side_of_a_join_goes_first),
        cmocka_unit_test(without_event_time_nobody_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
