/* SPDX-License-Identifier: Apache-2.0 */
/* Processes that die, stop and come back while jobs run. What was lost is named, what is left goes on, and nothing is left behind. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/support/cluster/cluster.h"

#define FAILED_WITHIN_MS 5000 /* promised: from the death of a TaskManager to FAILED, by the job's own clock */

static int64_t wall_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* A job on both TaskManagers that writes to DIR/out; returns when it has moved rows. */
static void start_writer(struct cluster *c, char id[static JOB_ID_MAX])
{
    int64_t deadline_ms = now_ms() + CLUSTER_WAIT_MS;
    job_submit(c, id, "--parallelism", "2", job_plugin("writer"), "--", "--output", in_dir(c, "out"), "--rows", "-1", "--pace", "20000",
               NULL);
    for (int64_t moved = 0; moved < 1000;) {
        json_t *job = job_wait(c, id, "RUNNING");
        moved = job_metric(job, "read-records");
        json_decref(job);
        assert_true(wait_a_while(c, deadline_ms));
    }
}

static void failed_soon_after(const json_t *job, int64_t death_ms)
{
    int64_t failed_ms = json_number(json_object_get(job, "timestamps"), "FAILED") - death_ms;
    if (failed_ms < 0 || failed_ms > FAILED_WITHIN_MS) fail_msg("FAILED %lld ms after the death", (long long)failed_ms);
}

static void only_healthy_left(struct cluster *c, uint32_t n_taskmanagers)
{
    cluster_wait_processes(c, "weir-worker", 0, CLUSTER_WAIT_MS);
    cluster_wait_processes(c, "weir-taskmanager", n_taskmanagers, CLUSTER_WAIT_MS);
    assert_int_equal(files_with_prefix(in_dir(c, "out"), ""), 0);
}

static void killed_taskmanager(struct cluster *c, bool ipc)
{
    char id[JOB_ID_MAX];
    cluster_start_jobmanager(c, ipc);
    for (int i = 0; i < 2; i++) (void)cluster_start_taskmanager(c, 2);
    cluster_wait_registered(c, 2);
    start_writer(c, id);
    int64_t death_ms = wall_ms();
    proc_signal(c->taskmanager[1], SIGKILL);
    assert_int_equal(proc_wait(c, c->taskmanager[1], CLUSTER_WAIT_MS), 128 + SIGKILL);
    json_t *job = job_wait(c, id, "FAILED");
    failed_soon_after(job, death_ms);
    const json_t *failure = json_object_get(job, "failure");
    assert_has(json_text(failure, "reason"), "tm-2");
    assert_string_equal(json_text(failure, "taskmanager"), "tm-2");
    json_decref(job);
    only_healthy_left(c, 1);
    cluster_wait_registered(c, 1);
    /* What is left can run the next job. */
    assert_int_equal(ctl(c, "run", "--parallelism", "2", job_plugin("writer"), "--", "--output", in_dir(c, "out"), NULL).code, 0);
    uint32_t lines;
    (void)sorted_sha256(in_dir(c, "out"), &lines);
    assert_int_equal(lines, 1000);
}

STORY(killed_taskmanager_fails_its_job_within_five_seconds)
{
    killed_taskmanager(c, false);
}
/* On ipc the worker, too, goes without leaving its socket's name behind. */
STORY(killed_taskmanager_on_ipc)
{
    killed_taskmanager(c, true);
}

/* The worker of a TaskManager, the only one. */
static pid_t worker_of(struct proc *taskmanager)
{
    pid_t pid = 0;
    assert_int_equal(proc_children(taskmanager->pid, "weir-worker", &pid, 1), 1);
    return pid;
}

STORY(killed_worker_fails_its_job_with_the_signal)
{
    char id[JOB_ID_MAX];
    cluster_start(c, 2, 2);
    start_writer(c, id);
    int64_t death_ms = wall_ms();
    assert_int_equal(kill(worker_of(c->taskmanager[0]), SIGKILL), 0);
    json_t *job = job_wait(c, id, "FAILED");
    failed_soon_after(job, death_ms);
    const json_t *failure = json_object_get(job, "failure");
    assert_has(json_text(failure, "reason"), "SIGKILL");
    assert_string_equal(json_text(failure, "taskmanager"), "tm-1");
    json_decref(job);
    only_healthy_left(c, 2);
    cluster_wait_registered(c, 2);
}

/* To the others it is dead: when it wakes it finds that out, ends its workers, and comes back as a new one. */
STORY(stopped_taskmanager_is_lost_and_comes_back)
{
    char id[JOB_ID_MAX];
    cluster_start(c, 2, 2);
    start_writer(c, id);
    pid_t worker = worker_of(c->taskmanager[0]);
    int64_t stop_ms = wall_ms();
    proc_signal(c->taskmanager[0], SIGSTOP);
    json_t *job = job_wait(c, id, "FAILED");
    failed_soon_after(job, stop_ms);
    assert_has(json_text(json_object_get(job, "failure"), "reason"), "tm-1");
    json_decref(job);
    cluster_wait_registered(c, 1);
    assert_int_equal(kill(worker, 0), 0); /* nobody there to end it yet */
    proc_signal(c->taskmanager[0], SIGCONT);
    cluster_wait_registered(c, 2);
    only_healthy_left(c, 2);
    assert_int_equal(ctl(c, "run", "--parallelism", "4", job_plugin("steady"), "--", "--rows", "1000", "--pace", "0", NULL).code, 0);
}

/* The job goes on without it, and under the next one, though it has no checkpoints. */
STORY(killed_jobmanager_is_followed_by_a_new_one)
{
    char id[JOB_ID_MAX];
    cluster_start_jobmanager(c, true);
    for (int i = 0; i < 2; i++) (void)cluster_start_taskmanager(c, 2);
    cluster_wait_registered(c, 2);
    start_writer(c, id);
    proc_signal(c->jobmanager, SIGKILL);
    assert_int_equal(proc_wait(c, c->jobmanager, CLUSTER_WAIT_MS), 128 + SIGKILL);
    cluster_start_jobmanager(c, true);
    cluster_wait_registered(c, 2);
    json_t *job = job_wait(c, id, "RUNNING");
    assert_int_equal(json_number(job, "attempt"), 1);
    json_decref(job);
    assert_int_equal(ctl(c, "cancel", id, NULL).code, 0);
    json_decref(job_wait(c, id, "CANCELED"));
    assert_int_equal(ctl(c, "run", "--parallelism", "4", job_plugin("steady"), "--", "--rows", "1000", "--pace", "0", NULL).code, 0);
}

STORY(taskmanagers_may_start_before_the_jobmanager)
{
    (void)snprintf(c->control, sizeof c->control, "ipc://%s/control", c->dir);
    (void)snprintf(c->admin, sizeof c->admin, "ipc://%s/admin", c->dir);
    struct proc *tm = cluster_start_taskmanager(c, 1);
    (void)proc_wait_log(c, tm, "starting", 1);
    cluster_start_jobmanager(c, true);
    cluster_wait_registered(c, 1);
}

STORY(unreachable_jobmanager_does_not_keep_a_taskmanager_from_ending)
{
    (void)snprintf(c->control, sizeof c->control, "ipc://%s/control", c->dir);
    struct proc *tm = cluster_start_taskmanager(c, 1);
    (void)proc_wait_log(c, tm, "starting", 1);
    proc_signal(tm, SIGTERM);
    assert_int_equal(proc_wait(c, tm, CLUSTER_WAIT_MS), 0);
}

/* ---- jobctl run --local ---------------------------------------------------------------------------------------------------------------
 */

/* A local cluster with a job that has begun to run. */
static struct proc *start_local(struct cluster *c)
{
    struct proc *run = ctl_start(c, "run", "--local", "--taskmanagers", "2", "--parallelism", "2", job_plugin("writer"), "--", "--output",
                                 in_dir(c, "out"), "--rows", "-1", "--pace", "1000", NULL);
    cluster_wait_processes(c, "weir-worker", 2, CLUSTER_WAIT_MS);
    return run;
}

static void ended_by(struct cluster *c, int signal_number)
{
    struct proc *run = start_local(c);
    proc_signal(run, signal_number);
    assert_int_equal(proc_wait(c, run, CLUSTER_WAIT_MS), 130);
    cluster_wait_processes(c, "", 0, CLUSTER_WAIT_MS);
    assert_int_equal(files_with_prefix(in_dir(c, "t"), ""), 0);
    assert_int_equal(files_with_prefix(in_dir(c, "out"), ""), 0);
    assert_int_equal(sockets_below(c->dir), 0);
}

STORY(ctrl_c_ends_a_local_run_without_a_trace)
{
    ended_by(c, SIGINT);
}
STORY(sigterm_ends_a_local_run_without_a_trace)
{
    ended_by(c, SIGTERM);
}

/* Nobody can remove the folder then, but no process stays. */
STORY(killed_local_run_leaves_no_process)
{
    struct proc *run = start_local(c);
    c->dirty = true;
    proc_signal(run, SIGKILL);
    assert_int_equal(proc_wait(c, run, CLUSTER_WAIT_MS), 128 + SIGKILL);
    cluster_wait_processes(c, "", 0, CLUSTER_WAIT_MS);
    assert_int_equal(files_with_prefix(in_dir(c, "out"), ""), 0);
}

/* A TaskManager of a local cluster that dies fails the job as it would anywhere. */
STORY(killed_taskmanager_of_a_local_run)
{
    pid_t taskmanagers[2];
    struct proc *run = start_local(c);
    assert_int_equal(cluster_processes(c, "weir-taskmanager", taskmanagers, 2), 2);
    assert_int_equal(kill(taskmanagers[0], SIGKILL), 0);
    assert_int_equal(proc_wait(c, run, CLUSTER_WAIT_MS), 1);
    assert_has(proc_said(run).err, "FAILED");
    assert_has(proc_said(run).err, "TaskManager tm-");
    cluster_wait_processes(c, "", 0, CLUSTER_WAIT_MS);
    assert_int_equal(files_with_prefix(in_dir(c, "t"), ""), 0);
}

/* Without its JobManager a local run cannot go on: it says so at once. */
STORY(killed_jobmanager_of_a_local_run)
{
    pid_t jobmanager;
    struct proc *run = start_local(c);
    assert_int_equal(cluster_processes(c, "weir-jobmanager", &jobmanager, 1), 1);
    assert_int_equal(kill(jobmanager, SIGKILL), 0);
    assert_int_equal(proc_wait(c, run, CLUSTER_WAIT_MS), 5);
    assert_has(proc_said(run).err, "the JobManager of the local cluster");
    cluster_wait_processes(c, "", 0, CLUSTER_WAIT_MS);
    assert_int_equal(files_with_prefix(in_dir(c, "t"), ""), 0);
}

STORY_MAIN(STORY_TEST(killed_taskmanager_fails_its_job_within_five_seconds), STORY_TEST(killed_taskmanager_on_ipc),
           STORY_TEST(killed_worker_fails_its_job_with_the_signal), STORY_TEST(stopped_taskmanager_is_lost_and_comes_back),
           STORY_TEST(killed_jobmanager_is_followed_by_a_new_one), STORY_TEST(taskmanagers_may_start_before_the_jobmanager),
           STORY_TEST(unreachable_jobmanager_does_not_keep_a_taskmanager_from_ending), STORY_TEST(ctrl_c_ends_a_local_run_without_a_trace),
           STORY_TEST(sigterm_ends_a_local_run_without_a_trace), STORY_TEST(killed_local_run_leaves_no_process),
           STORY_TEST(killed_taskmanager_of_a_local_run), STORY_TEST(killed_jobmanager_of_a_local_run))
