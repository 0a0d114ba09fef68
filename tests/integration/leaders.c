/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The JobManager dies under a running job, again and again, and is started anew on its folder: the job goes on in the same attempt, and
 * what it writes is what it writes without faults.
 */
#include <signal.h>

#include "tests/integration/tasks.h"

#define DEATHS 3
#define JOB_MS 90000 /* for a whole job with all the deaths */

/* Waits until it runs, and has completed a checkpoint since; false: it has finished. */
static bool runs_again(struct cluster *c, const char *id, int64_t *reconciled_ms)
{
    int64_t begin_ms = now_ms(), deadline_ms = begin_ms + JOB_MS;
    uint32_t before = proc_count_log(c->jobmanager, " completed in ");
    for (;;) {
        json_t *job = job_show(c, id);
        const char *state = json_text(job, "state");
        bool ended = strcmp(state, "FINISHED") == 0, runs = strcmp(state, "RUNNING") == 0;
        if (strcmp(state, "FAILED") == 0) fail_msg("the job has failed: %s", json_text(json_object_get(job, "failure"), "reason"));
        if (json_number(job, "attempt") > 1) fail_msg("the job was restarted");
        json_decref(job);
        if (ended) return false;
        if (runs && !*reconciled_ms) *reconciled_ms = now_ms() - begin_ms;
        if (runs && proc_count_log(c->jobmanager, " completed in ") > before) return true;
        if (!wait_a_while(c, deadline_ms)) fail_msg("the job does not run, or completes no checkpoint");
    }
}

static void restart_jobmanager(struct cluster *c)
{
    proc_signal(c->jobmanager, SIGKILL);
    assert_int_equal(proc_wait(c, c->jobmanager, CLUSTER_WAIT_MS), 128 + SIGKILL);
    cluster_start_jobmanager(c, true);
}

static void jobmanagers_die(struct cluster *c, const struct task *task, const char *parallelism)
{
    char id[JOB_ID_MAX];
    uint32_t n = 0;
    int64_t ms = 0;
    expect(c, task);
    often("100ms");
    cluster_start_jobmanager(c, true);
    for (int i = 0; i < 2; i++) (void)cluster_start_taskmanager(c, 2);
    cluster_wait_registered(c, 2);
    submit(c, task, parallelism, id);
    json_decref(job_wait(c, id, "RUNNING"));
    for (; n < DEATHS && runs_again(c, id, &ms); n++) {
        restart_jobmanager(c);
        ms = 0;
        if (runs_again(c, id, &ms)) print_message("RUNNING %lld ms after the JobManager was there again\n", (long long)ms);
    }
    assert_true(n >= 1); /* else it was over too soon to say anything */
    json_t *job = job_wait(c, id, "FINISHED");
    assert_int_equal(json_number(job, "attempt"), 1);
    json_decref(job);
    same_output(c, task);
    cluster_wait_processes(c, "weir-worker", 0, CLUSTER_WAIT_MS);
}

STORY(writer_goes_on_under_new_jobmanagers)
{
    struct task task = writer;
    task.arguments[1] = "120000";
    task.pace[1] = "6000";
    jobmanagers_die(c, &task, "3");
}
STORY(nexmark_q5_goes_on_under_new_jobmanagers)
{
    struct task task = nexmark("q5");
    task.pace[1] = "6000";
    jobmanagers_die(c, &task, "3");
}

/* Jobs do not wait for a JobManager for ever. */
STORY(workers_end_when_no_jobmanager_comes)
{
    char id[JOB_ID_MAX];
    assert_int_equal(setenv("WEIR_TASKMANAGER_LEADER_WAIT", "1s", 1), 0);
    cluster_start_jobmanager(c, true);
    for (int i = 0; i < 2; i++) (void)cluster_start_taskmanager(c, 2);
    cluster_wait_registered(c, 2);
    job_submit(c, id, "--parallelism", "2", job_plugin("writer"), "--", "--output", in_dir(c, "out"), "--rows", "-1", "--pace", "20000",
               NULL);
    json_decref(job_wait(c, id, "RUNNING"));
    proc_signal(c->jobmanager, SIGKILL);
    assert_int_equal(proc_wait(c, c->jobmanager, CLUSTER_WAIT_MS), 128 + SIGKILL);
    cluster_wait_processes(c, "weir-worker", 0, CLUSTER_WAIT_MS);
    cluster_wait_processes(c, "weir-taskmanager", 2, CLUSTER_WAIT_MS);
}

STORY_MAIN(STORY_TEST(writer_goes_on_under_new_jobmanagers), STORY_TEST(nexmark_q5_goes_on_under_new_jobmanagers),
           STORY_TEST(workers_end_when_no_jobmanager_comes))
