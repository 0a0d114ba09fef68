/* SPDX-License-Identifier: Apache-2.0 */
/* When frames leave that are not full: at the end of a step without more input, else EDGE_WATERMARK_MS after the last time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/local/local_job.h"
#include "weir/connector/generator.h"

#define BEGIN_MS 1000

WEIR_KEY_FIXED(by_seq, weir_generated, seq);

/* What the sink has seen. */
static uint64_t rows_seen;
static weir_time time_seen;

static weir_err see_rows(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *batch)
{
    (void)self, (void)ctx, (void)input;
    rows_seen += batch->count;
    return WEIR_OK;
}

static weir_err see_time(void *self, struct weir_ctx *ctx, weir_time watermark_ms)
{
    (void)self, (void)ctx;
    time_seen = watermark_ms;
    return WEIR_OK;
}

static const struct weir_operator see_op = {
    .struct_size = sizeof see_op, .name = "see", .flags = WEIR_OPERATOR_SINK, .process = see_rows, .on_watermark = see_time};

static weir_err build(struct weir_env *env, int64_t pace)
{
    struct weir_stream *rows = weir_from_generator(env, "rows", &(struct weir_generator){.rows = -1, .rate = 1000, .pace = pace});
    (void)weir_apply(weir_key_by(rows, &by_seq), "see", &see_op, NULL, 0);
    return WEIR_OK;
}

static weir_err build_paced(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)argc, (void)argv, (void)diag;
    return build(env, 1000);
}

static weir_err build_unpaced(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)argc, (void)argv, (void)diag;
    return build(env, 0);
}

struct fixture {
    struct local_job job;
    struct subtask *source, *sink;
};

static void open_job(struct fixture *f, weir_job_fn graph)
{
    rows_seen = 0;
    time_seen = WEIR_TIME_MIN;
    assert_int_equal(local_job_deploy(&f->job, graph, 1, 0, NULL, NULL), WEIR_OK);
    struct task_thread *thread = f->job.d->threads;
    assert_int_equal(thread->n_subtasks, 2);
    f->source = &thread->subtasks[thread->subtasks[0].n_splits ? 0 : 1];
    f->sink = &thread->subtasks[thread->subtasks[0].n_splits ? 1 : 0];
    f->source->yield_flushes = 2; /* so that a step's frames stay within the credit */
    frame_pool_adopt(&thread->pool);
    assert_int_equal(subtask_open(f->source, BEGIN_MS), WEIR_OK);
    assert_int_equal(subtask_open(f->sink, BEGIN_MS), WEIR_OK);
}

static void close_job(struct fixture *f)
{
    local_job_close(&f->job);
    frame_pool_adopt(NULL);
}

static void step_source(struct fixture *f, weir_time now_ms)
{
    assert_int_equal(subtask_step(f->source, now_ms), STEP_PROGRESS);
}

/* Takes all that has left the source. */
static void step_sink(struct fixture *f, weir_time now_ms)
{
    while (subtask_step(f->sink, now_ms) == STEP_PROGRESS) {
    }
}

/* The step in which a source says that it has nothing more at present sends what it has read, and the time behind it. */
static void a_quiet_source_sends_at_once(void **state)
{
    (void)state;
    struct fixture f;
    open_job(&f, build_paced);
    for (weir_time ms = 0; ms < 4; ms++) {
        step_source(&f, BEGIN_MS + ms);
        step_sink(&f, BEGIN_MS + ms);
        assert_int_equal(rows_seen, ms + 1);
        assert_int_equal(time_seen, ms); /* all times to come are later than row ms's */
    }
    close_job(&f);
}

/* A source that always has more fills its frames; the last one waits, but not for longer than EDGE_WATERMARK_MS. */
static void a_busy_source_fills_its_frames(void **state)
{
    (void)state;
    struct fixture f;
    open_job(&f, build_unpaced);
    step_source(&f, BEGIN_MS); /* the first time is always due */
    step_sink(&f, BEGIN_MS);
    assert_int_equal(rows_seen, f.source->stats.records_out);
    step_source(&f, BEGIN_MS + EDGE_WATERMARK_MS - 1);
    step_sink(&f, BEGIN_MS + EDGE_WATERMARK_MS - 1);
    weir_time then = time_seen;
    assert_true(rows_seen < f.source->stats.records_out);
    step_source(&f, BEGIN_MS + EDGE_WATERMARK_MS);
    step_sink(&f, BEGIN_MS + EDGE_WATERMARK_MS);
    assert_int_equal(rows_seen, f.source->stats.records_out);
    assert_true(time_seen > then);
    close_job(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_quiet_source_sends_at_once),
        cmocka_unit_test(a_busy_source_fills_its_frames),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
