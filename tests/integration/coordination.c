/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs that coordinate through the tree of their cluster: one subtask leads, all read a setting while they run. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/cluster/cluster.h"

/* Where `jobctl coord` finds the tree: the JobManager's log says it. */
static void find_tree(struct cluster *c)
{
    const char *line = proc_wait_log(c, c->jobmanager, "msg=\"coordinating\"", 1);
    assert_int_equal(setenv("WEIR_COORD", log_field(line, "clients="), 1), 0);
}

static const char *node(const char *id, const char *name)
{
    static char paths[4][CLUSTER_PATH_MAX];
    static unsigned next;
    char *path = paths[next++ % 4];
    (void)snprintf(path, CLUSTER_PATH_MAX, "/elected/%s/%s", id, name);
    return path;
}

static uint32_t subtasks_that_publish(const json_t *job, uint32_t *which)
{
    uint32_t n = 0;
    size_t i;
    const json_t *counter;
    json_array_foreach(json_object_get(job, "counters"), i, counter)
    {
        if (strcmp(json_text(counter, "name"), "published") != 0 || json_number(counter, "value") == 0) continue;
        *which = (uint32_t)json_number(counter, "subtask");
        n++;
    }
    return n;
}

/* Waits until the status in the tree holds these words. */
static void wait_status(struct cluster *c, const char *id, const char *words)
{
    struct said s;
    int64_t deadline_ms = now_ms() + CLUSTER_WAIT_MS;
    for (;;) {
        s = ctl(c, "coord", "get", node(id, "status"), NULL);
        if (s.code == 0 && strstr(s.out, words)) return;
        if (!wait_a_while(c, deadline_ms)) fail_msg("the status stays \"%s\" %s", s.out, s.err);
    }
}

static void start_job(struct cluster *c, char id[static JOB_ID_MAX])
{
    job_submit(c, id, "--parallelism", "4", "-D", "execution.checkpointing.interval=200ms", example_plugin("elected"), "--", "--pace",
               "20000", NULL);
    json_decref(job_wait(c, id, "RUNNING"));
}

STORY(one_subtask_leads_and_all_read_a_setting)
{
    char id[JOB_ID_MAX];
    uint32_t which;
    cluster_start(c, 2, 2);
    find_tree(c);
    start_job(c, id);
    wait_status(c, id, "one of every 1");
    assert_int_equal(ctl(c, "config", "set", "--job", id, "job.every", "50", NULL).code, 0);
    (void)job_wait_counter(c, id, "sample", "settings", 4); /* each subtask has seen it */
    wait_status(c, id, "one of every 50");
    json_t *job = job_show(c, id);
    assert_int_equal(subtasks_that_publish(job, &which), 1);
    assert_int_equal(json_number(job, "attempt"), 1);
    json_decref(job);
    assert_int_equal(ctl(c, "config", "set", "--job", id, "job.every", "nonsense", NULL).code, 0);
    assert_int_equal(ctl(c, "config", "set", "--job", id, "job.every", "7", NULL).code, 0);
    wait_status(c, id, "one of every 7");
    assert_int_equal(ctl(c, "cancel", id, NULL).code, 0);
    json_decref(job_wait(c, id, "CANCELED"));
    struct said s = ctl(c, "coord", "ls", node(id, "leader"), NULL); /* sessions ended with their tasks */
    if (s.code) assert_has(s.err, "NO_NODE");                        /* an empty line goes by itself */
    assert_string_equal(s.out, "");
}

/* The session of a killed worker outlives it for its timeout; then another subtask leads, in the next attempt. */
STORY(another_leads_when_a_worker_was_killed)
{
    char id[JOB_ID_MAX];
    pid_t worker;
    cluster_start(c, 2, 2);
    find_tree(c);
    start_job(c, id);
    wait_status(c, id, "one of every 1");
    assert_int_equal(cluster_processes(c, "weir-worker", &worker, 1), 2);
    assert_int_equal(kill(worker, SIGKILL), 0);
    for (int64_t deadline_ms = now_ms() + CLUSTER_WAIT_MS;;) {
        json_t *job = job_show(c, id);
        int64_t attempt = json_number(job, "attempt");
        json_decref(job);
        if (attempt == 2) break;
        if (!wait_a_while(c, deadline_ms)) fail_msg("no second attempt");
    }
    (void)job_wait_counter(c, id, "sample", "published", 1);
    assert_int_equal(ctl(c, "config", "set", "--job", id, "job.every", "9", NULL).code, 0);
    wait_status(c, id, "one of every 9");
}

/* Workers that run find the tree again when the JobManager they coordinate by was started anew; the job does not notice. */
STORY(a_new_jobmanager_serves_the_same_tree)
{
    char id[JOB_ID_MAX], endpoint[CLUSTER_PATH_MAX];
    (void)snprintf(endpoint, sizeof endpoint, "ipc://%s/tree", c->dir);
    assert_int_equal(setenv("WEIR_COORDINATION_CLIENT_BIND", endpoint, 1), 0);
    cluster_start_jobmanager(c, true);
    for (int i = 0; i < 2; i++) (void)cluster_start_taskmanager(c, 2);
    cluster_wait_registered(c, 2);
    find_tree(c);
    start_job(c, id);
    wait_status(c, id, "one of every 1");
    proc_signal(c->jobmanager, SIGKILL);
    assert_int_equal(proc_wait(c, c->jobmanager, CLUSTER_WAIT_MS), 128 + SIGKILL);
    cluster_start_jobmanager(c, true);
    assert_int_equal(ctl(c, "config", "set", "--job", id, "job.every", "30", NULL).code, 0);
    wait_status(c, id, "one of every 30");
    json_t *job = job_show(c, id);
    assert_int_equal(json_number(job, "attempt"), 1);
    json_decref(job);
}

/* A local run has a tree of its own, which goes with it. */
STORY(a_local_run_coordinates_too)
{
    struct said s = ctl(c, "run", "--local", "--parallelism", "2", example_plugin("elected"), "--", "--rows", "20000", "--pace", "0", NULL);
    if (s.code) fail_msg("%s", s.err);
}

STORY_MAIN(STORY_TEST(one_subtask_leads_and_all_read_a_setting), STORY_TEST(another_leads_when_a_worker_was_killed),
           STORY_TEST(a_local_run_coordinates_too), STORY_TEST(a_new_jobmanager_serves_the_same_tree))
