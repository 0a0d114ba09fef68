/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs that are stopped with a savepoint and go on from it at other parallelisms: together they write what one writes. */
#include <signal.h>

#include "tests/integration/tasks.h"

#define HEAD_START_MS 1200 /* of the first part, before it is stopped */

/* Until the job has read something. */
static void let_read(struct cluster *c, const char *id)
{
    int64_t deadline_ms = now_ms() + CLUSTER_WAIT_MS;
    json_t *job = job_wait(c, id, "RUNNING");
    while (job_metric(job, "read-records") < 1000) {
        assert_true(wait_a_while(c, deadline_ms));
        json_decref(job);
        job = job_wait(c, id, "RUNNING");
    }
    json_decref(job);
}

/* And a while longer. */
static void let_run(struct cluster *c, const char *id)
{
    let_read(c, id);
    int64_t deadline_ms = now_ms() + HEAD_START_MS;
    while (wait_a_while(c, deadline_ms)) continue;
}

static void finish(struct cluster *c, const char *id, const struct task *task)
{
    json_t *job = job_wait(c, id, "FINISHED");
    json_decref(job);
    same_output(c, task);
    cluster_wait_processes(c, "weir-worker", 0, CLUSTER_WAIT_MS);
}

static void stop(struct cluster *c, const char *id, const char *where)
{
    struct said s = ctl(c, "stop", id, where, NULL);
    if (s.code) fail_msg("jobctl stop ended with %d: %s", s.code, s.err);
    assert_has(s.out, where);
    json_t *job = job_wait(c, id, "FINISHED");
    json_decref(job);
}

static void stopped_and_resumed(struct cluster *c, const struct task *task, const char *before, const char *after)
{
    const char *a[16];
    char id[JOB_ID_MAX];
    expect(c, task);
    often("200ms");
    cluster_start(c, 2, 2);
    submit(c, task, before, id);
    let_run(c, id);
    stop(c, id, in_dir(c, "save"));
    arguments(task, in_dir(c, "out"), true, a);
    job_submit(c, id, "--parallelism", after, "--from", in_dir(c, "save"), plugin_of(task), "--", a[0], a[1], a[2], a[3], a[4], a[5], a[6],
               a[7], a[8], a[9], NULL);
    finish(c, id, task);
}

STORY(nexmark_q5_resumed_at_3)
{
    struct task task = nexmark("q5");
    stopped_and_resumed(c, &task, "2", "3");
}
STORY(nexmark_q8_resumed_at_1)
{
    struct task task = nexmark("q8");
    stopped_and_resumed(c, &task, "2", "1");
}
STORY(nexmark_q18_resumed_at_3)
{
    struct task task = nexmark("q18");
    stopped_and_resumed(c, &task, "2", "3");
}

static void rescale(struct cluster *c, char id[static JOB_ID_MAX], const char *parallelism)
{
    let_read(c, id);
    struct said s = ctl(c, "rescale", id, "--parallelism", parallelism, NULL);
    if (s.code) fail_msg("jobctl rescale ended with %d: %s", s.code, s.err);
    (void)snprintf(id, JOB_ID_MAX, "%.*s", (int)strcspn(s.out, "\n "), s.out);
}

STORY(nexmark_q3_rescaled)
{
    struct task task = nexmark("q3");
    char id[JOB_ID_MAX];
    expect(c, &task);
    often("200ms");
    cluster_start(c, 2, 2);
    submit(c, &task, "2", id);
    rescale(c, id, "3");
    finish(c, id, &task);
}

/* More subtasks than splits: some have nothing to read and finish at once. That keeps nobody from going back to fewer. */
STORY(rescaled_beyond_the_splits_and_back)
{
    struct task task = nexmark("q5");
    char id[JOB_ID_MAX];
    task.arguments[5] = "2";
    task.pace[1] = "15000";
    expect(c, &task);
    often("200ms");
    cluster_start(c, 2, 2);
    submit(c, &task, "2", id);
    rescale(c, id, "3");
    rescale(c, id, "1");
    finish(c, id, &task);
}

/* A savepoint is what the job goes back to until the next checkpoint, and stays when the job has ended. */
STORY(savepoint_on_the_way)
{
    char id[JOB_ID_MAX];
    pid_t pids[8];
    expect(c, &writer);
    often("1h"); /* nothing but the savepoint */
    cluster_start(c, 2, 2);
    submit(c, &writer, "2", id);
    let_run(c, id);
    assert_int_equal(ctl(c, "savepoint", id, in_dir(c, "save"), NULL).code, 0);
    /* On a busy machine the job may be over by now. */
    if (cluster_processes(c, "weir-worker", pids, 8)) (void)kill(pids[0], SIGKILL);
    finish(c, id, &writer);
}

STORY_MAIN(STORY_TEST(nexmark_q5_resumed_at_3), STORY_TEST(nexmark_q8_resumed_at_1), STORY_TEST(nexmark_q18_resumed_at_3),
           STORY_TEST(nexmark_q3_rescaled), STORY_TEST(rescaled_beyond_the_splits_and_back), STORY_TEST(savepoint_on_the_way))
