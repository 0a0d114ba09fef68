/* SPDX-License-Identifier: Apache-2.0 */
/* The coordination client of an operator: when it is opened and closed, and where its calls may wait. The client itself is a double. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "tests/support/local/local_job.h"
#include "weir/connector/generator.h"

struct weir_coord {
    const bool *may_wait;
};

static struct weir_coord client;
static uint32_t n_opened, n_closed;
static char story[512]; /* what was called, in order; with a + where waiting is allowed */

static void tell(const char *what)
{
    const char *word = client.may_wait && *client.may_wait ? "+" : "-";
    size_t at = strlen(story);
    (void)snprintf(story + at, sizeof story - at, "%s%s ", what, word);
}

static weir_err open_double(struct weir_coord **out, const char *servers, const bool *may_wait, struct weir_diag *diag)
{
    if (strcmp(servers, "refuse") == 0) return weir_fail(diag, WEIR_E_ARGUMENT, "no endpoint");
    client.may_wait = may_wait;
    n_opened++;
    *out = &client;
    return WEIR_OK;
}

static void close_double(struct weir_coord **coord)
{
    tell("closed");
    client.may_wait = NULL;
    *coord = NULL;
    n_closed++;
}

/* ---- a sink that asks for its client and tells of its functions ---- */

static weir_err sink_open(void *self, struct weir_ctx *ctx)
{
    struct weir_coord *a, *b;
    (void)self;
    weir_err err = weir_ctx_coord(ctx, &a);
    if (!err) err = weir_ctx_coord(ctx, &b);
    if (!err) assert_ptr_equal(a, b);
    if (!err) tell("open");
    return err;
}

static weir_err sink_process(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *batch)
{
    (void)self, (void)ctx, (void)input, (void)batch;
    if (!strstr(story, "process")) tell("process");
    return WEIR_OK;
}

static weir_err sink_finish(void *self, struct weir_ctx *ctx)
{
    (void)self, (void)ctx;
    tell("finish");
    return WEIR_OK;
}

static weir_err sink_prepare(void *self, struct weir_ctx *ctx, uint64_t id, struct weir_committables *out)
{
    (void)self, (void)ctx, (void)id;
    tell("prepare");
    return weir_committable_add(out, "x", 1);
}

static weir_err sink_commit(void *self, struct weir_ctx *ctx, struct weir_bytes committable)
{
    (void)self, (void)ctx, (void)committable;
    tell("commit");
    return WEIR_OK;
}

static weir_err sink_recover(void *self, struct weir_ctx *ctx, const struct weir_bytes *kept, uint32_t n)
{
    (void)self, (void)ctx, (void)kept, (void)n;
    tell("recover");
    return WEIR_OK;
}

static void sink_close(void *self, struct weir_ctx *ctx)
{
    (void)self, (void)ctx;
    tell("close");
}

static const struct weir_operator sink = {.struct_size = sizeof sink,
                                          .name = "sink",
                                          .flags = WEIR_OPERATOR_SINK,
                                          .open = sink_open,
                                          .process = sink_process,
                                          .finish = sink_finish,
                                          .prepare = sink_prepare,
                                          .commit = sink_commit,
                                          .recover = sink_recover,
                                          .close = sink_close};

static weir_err build(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)argc, (void)argv, (void)diag;
    (void)weir_apply(weir_from_generator(env, "rows", &(struct weir_generator){.rows = 3}), "sink", &sink, NULL, 0);
    return WEIR_OK;
}

struct fixture {
    struct local_job job;
    struct subtask *subtask; /* the only one: source and sink in a chain */
};

static void deploy(struct fixture *f, const struct task_coord *coord)
{
    n_opened = n_closed = 0;
    story[0] = '\0';
    assert_int_equal(local_job_deploy(&f->job, build, 1, 0, NULL, NULL), WEIR_OK);
    f->subtask = &f->job.d->threads->subtasks[0];
    f->subtask->coord = coord;
    frame_pool_adopt(&f->job.d->threads->pool);
}

static void end(struct fixture *f)
{
    local_job_close(&f->job);
    frame_pool_adopt(NULL);
}

static void it_may_wait_where_blocking_is_allowed(void **state)
{
    (void)state;
    static const struct task_coord coord = {"somewhere", open_double, close_double};
    struct fixture f;
    deploy(&f, &coord);
    assert_int_equal(subtask_open(f.subtask, 1000), WEIR_OK);
    for (int i = 0; i < 100 && f.subtask->state != SUBTASK_PREPARED; i++) (void)subtask_step(f.subtask, 1000);
    assert_int_equal(subtask_commit(f.subtask), WEIR_OK);
    end(&f);
    assert_string_equal(story, "open+ recover+ process- finish- prepare+ commit+ close+ closed+ ");
    assert_int_equal(n_opened, 1);
    assert_int_equal(n_closed, 1);
}

static void refused(const struct task_coord *coord, weir_err err, const char *words)
{
    struct fixture f;
    deploy(&f, coord);
    assert_int_equal(subtask_open(f.subtask, 1000), err);
    assert_non_null(strstr(f.subtask->diag.text, words));
    end(&f);
    assert_int_equal(n_closed, 0);
}

static void where_there_is_none_it_is_said_why(void **state)
{
    (void)state;
    static const struct task_coord none = {"", open_double, close_double}, broken = {"refuse", open_double, close_double};
    refused(NULL, WEIR_E_UNSUPPORTED, "in a cluster, or by jobctl run --local");
    refused(&none, WEIR_E_UNREACHABLE, "coordination.client-bind");
    refused(&broken, WEIR_E_ARGUMENT, "open a coordination client of refuse: no endpoint");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_may_wait_where_blocking_is_allowed),
        cmocka_unit_test(where_there_is_none_it_is_said_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
