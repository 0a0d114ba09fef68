/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs that are canceled, that run side by side, and that find no slots. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "tests/integration/tasks.h"

static int64_t free_slots(struct cluster *c)
{
    json_t *overview = ctl_json(c, "status", NULL);
    int64_t n = json_number(overview, "slots-available");
    json_decref(overview);
    return n;
}

STORY(canceled_job_leaves_no_output_and_frees_its_slots)
{
    char id[JOB_ID_MAX];
    const char *output = in_dir(c, "out");
    cluster_start(c, 2, 2);
    job_submit(c, id, "--parallelism", "4", job_plugin("writer"), "--", "--output", output, "--rows", "-1", "--pace", "200000", NULL);
    int64_t deadline_ms = now_ms() + CLUSTER_WAIT_MS;
    for (int64_t moved = 0; moved < 50000;) { /* more than fits a sink's buffer: there are files, hidden or nameless */
        json_t *job = job_wait(c, id, "RUNNING");
        moved = job_metric(job, "read-records");
        json_decref(job);
        assert_true(wait_a_while(c, deadline_ms));
    }
    assert_int_equal(free_slots(c), 0);
    assert_int_equal(ctl(c, "cancel", id, NULL).code, 0);
    json_decref(job_wait(c, id, "CANCELED"));
    assert_int_equal(free_slots(c), 4);
    cluster_wait_processes(c, "weir-worker", 0, CLUSTER_WAIT_MS);
    assert_int_equal(files_with_prefix(output, ""), 0);

    struct said s = ctl(c, "cancel", id, NULL);
    assert_int_equal(s.code, 4);
    assert_has(s.err, "CANCELED");
}

STORY(attached_run_is_canceled_by_ctrl_c)
{
    cluster_start(c, 2, 1);
    struct proc *run = ctl_start(c, "run", "--parallelism", "2", "--name", "steady", job_plugin("steady"), NULL);
    cluster_wait_processes(c, "weir-worker", 2, CLUSTER_WAIT_MS);
    json_decref(job_wait(c, "steady", "RUNNING"));
    proc_signal(run, SIGINT);
    assert_int_equal(proc_wait(c, run, CLUSTER_WAIT_MS), 130);
    assert_has(proc_said(run).err, "CANCELED");
    json_decref(job_wait(c, "steady", "CANCELED"));
}

/* Somebody else's cancel is a failure of the run, and nobody's is told apart by its code. */
STORY(attached_run_is_canceled_by_somebody_else)
{
    cluster_start(c, 1, 1);
    struct proc *run = ctl_start(c, "run", "--name", "steady", job_plugin("steady"), NULL);
    cluster_wait_processes(c, "weir-worker", 1, CLUSTER_WAIT_MS);
    json_decref(job_wait(c, "steady", "RUNNING"));
    assert_int_equal(ctl(c, "cancel", "steady", NULL).code, 0);
    assert_int_equal(proc_wait(c, run, CLUSTER_WAIT_MS), 1);
    assert_has(proc_said(run).err, "CANCELED");
}

STORY(finished_job_cannot_be_canceled)
{
    cluster_start(c, 1, 1);
    assert_int_equal(ctl(c, "run", "--name", "short", job_plugin("steady"), "--", "--rows", "100", "--pace", "0", NULL).code, 0);
    struct said s = ctl(c, "cancel", "short", NULL);
    assert_int_equal(s.code, 4);
    assert_has(s.err, "FINISHED");
}

static void check_rows(struct cluster *c, const char *name, int64_t rows)
{
    json_t *job = job_wait(c, name, "FINISHED");
    assert_int_equal(job_counter(job, "hole", "rows"), rows);
    json_decref(job);
}

STORY(two_jobs_at_once)
{
    cluster_start(c, 2, 2);
    struct proc *a =
        ctl_start(c, "run", "--parallelism", "2", "--name", "a", job_plugin("steady"), "--", "--rows", "300000", "--pace", "0", NULL);
    struct proc *b =
        ctl_start(c, "run", "--parallelism", "2", "--name", "b", job_plugin("steady"), "--", "--rows", "200000", "--pace", "0", NULL);
    assert_int_equal(proc_wait(c, a, CLUSTER_WAIT_MS), 0);
    assert_int_equal(proc_wait(c, b, CLUSTER_WAIT_MS), 0);
    check_rows(c, "a", 300000);
    check_rows(c, "b", 200000);
}

/* It waits, starts when slots become free, and while it waits it can be canceled. */
STORY(job_waits_for_slots)
{
    char first[JOB_ID_MAX], second[JOB_ID_MAX];
    cluster_start(c, 1, 2);
    job_submit(c, first, "--parallelism", "2", job_plugin("steady"), NULL);
    json_decref(job_wait(c, first, "RUNNING"));
    job_submit(c, second, "--parallelism", "1", job_plugin("steady"), NULL);
    json_decref(job_wait(c, second, "CREATED"));
    assert_int_equal(ctl(c, "cancel", first, NULL).code, 0);
    json_decref(job_wait(c, second, "RUNNING"));
    job_submit(c, first, "--parallelism", "2", job_plugin("steady"), NULL);
    json_decref(job_wait(c, first, "CREATED"));
    assert_int_equal(ctl(c, "cancel", first, NULL).code, 0);
    json_decref(job_wait(c, first, "CANCELED"));
    assert_int_equal(ctl(c, "cancel", second, NULL).code, 0);
    json_decref(job_wait(c, second, "CANCELED"));
}

STORY(not_enough_slots_is_a_failure_that_says_so)
{
    cluster_start(c, 1, 2);
    struct said s = ctl_within(c, 60000, "run", "--parallelism", "3", job_plugin("steady"), NULL);
    assert_int_equal(s.code, 1);
    assert_has(s.err, "FAILED");
    assert_has(s.err, "3 slots");
    assert_int_equal(free_slots(c), 2);
}

/* A local cluster gets no further slots: that is said at once, before it is started or, where only the plan shows it, soon after. */
STORY(not_enough_slots_in_a_local_cluster)
{
    struct said s = ctl(c, "run", "--local", "--slots", "1", "--parallelism", "3", job_plugin("steady"), NULL);
    assert_int_equal(s.code, 2);
    assert_has(s.err, "--slots");
    int64_t began_ms = now_ms();
    s = ctl(c, "run", "--local", "--slots", "2", job_plugin("steady"), "--", "--sinks", "5", NULL);
    assert_int_equal(s.code, 1);
    assert_has(s.err, "5 slots");
    assert_has(s.err, "--slots");
    assert_true(now_ms() - began_ms < 15000);
}

/*
 * Canceled while a checkpoint is taken: what a sink has prepared for it is hidden, and no checkpoint will ever tell of it. One worker
 * stands still, so that the checkpoint cannot be completed; the other one's sink is chained to its source, and does not wait for it.
 */
STORY(a_canceled_job_leaves_no_hidden_files)
{
    char id[JOB_ID_MAX];
    pid_t pids[8];
    const char *out = in_dir(c, "out");
    often("100ms");
    cluster_start_jobmanager(c, true);
    for (int i = 0; i < 2; i++) (void)cluster_start_taskmanager(c, 1);
    cluster_wait_registered(c, 2);
    job_submit(c, id, "--parallelism", "2", example_plugin("nexmark"), "--", "--output", out, "--query", "q0", "--events", "100000000",
               "--splits", "2", "--pace", "5000", NULL);
    json_decref(job_wait(c, id, "RUNNING"));
    assert_true(cluster_processes(c, "weir-worker", pids, 8) == 2);
    assert_int_equal(kill(pids[1], SIGSTOP), 0);
    for (int64_t until_ms = now_ms() + CLUSTER_WAIT_MS; files_with_prefix(out, ".part-") == 0;)
        if (!wait_a_while(c, until_ms)) fail_msg("nothing is prepared");
    assert_int_equal(ctl(c, "cancel", id, NULL).code, 0);
    (void)kill(pids[1], SIGCONT);
    json_decref(job_wait(c, id, "CANCELED"));
    cluster_wait_processes(c, "weir-worker", 0, CLUSTER_WAIT_MS);
    assert_int_equal(files_with_prefix(out, "."), 0);
}

STORY_MAIN(STORY_TEST(a_canceled_job_leaves_no_hidden_files), STORY_TEST(canceled_job_leaves_no_output_and_frees_its_slots),
           STORY_TEST(attached_run_is_canceled_by_ctrl_c), STORY_TEST(attached_run_is_canceled_by_somebody_else),
           STORY_TEST(finished_job_cannot_be_canceled), STORY_TEST(two_jobs_at_once), STORY_TEST(job_waits_for_slots),
           STORY_TEST(not_enough_slots_is_a_failure_that_says_so), STORY_TEST(not_enough_slots_in_a_local_cluster))
