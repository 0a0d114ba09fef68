/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs whose processes die while they run end as if nothing had happened: the same rows, none twice, none missing, and nothing left behind.
 * What they have to write is what the same job writes without faults and without checkpoints.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/cluster/cluster.h"

#define PAUSE_MS 300  /* about so long a job is left alone between two deaths */
#define JOB_MS 110000 /* for a whole job with all its deaths */

/* The cluster's configuration, by environment: checkpoints often, restarts soon, and as many as it takes. */
static void often(const char *interval)
{
    assert_int_equal(setenv("WEIR_EXECUTION_CHECKPOINTING_INTERVAL", interval, 1), 0);
    assert_int_equal(setenv("WEIR_RESTART_STRATEGY_TYPE", "fixed-delay", 1), 0);
    assert_int_equal(setenv("WEIR_RESTART_STRATEGY_FIXED_DELAY_ATTEMPTS", "1000000", 1), 0);
    assert_int_equal(setenv("WEIR_RESTART_STRATEGY_FIXED_DELAY_DELAY", "50ms", 1), 0);
}

/* ---- jobs and what they write ---------------------------------------------------------------------------------------------------- */

#define NAMES_MAX 8

struct task {
    const char *plugin;
    const char *arguments[NAMES_MAX]; /* behind --, ending with NULL */
    const char *pace[3];              /* more of them, for the run with faults: so that it lasts a few seconds */
    const char *folders[NAMES_MAX];   /* of its output, ending with NULL; "" = the output itself */
};

static const struct task writer = {.plugin = "writer", .arguments = {"--rows", "60000"}, .pace = {"--pace", "15000"}, .folders = {""}};

static struct task nexmark(const char *query)
{
    return (struct task){.plugin = "nexmark",
                         .arguments = {"--query", query, "--events", "120000", "--splits", "4"},
                         .pace = {"--pace", "30000"},
                         .folders = {""}};
}

static const char *plugin_of(const struct task *task)
{
    return strcmp(task->plugin, "nexmark") == 0 ? example_plugin("nexmark") : job_plugin(task->plugin);
}

/* "run ..." with the task's arguments; argv has room. */
static void arguments(const struct task *task, const char *output, bool paced, const char **argv)
{
    size_t n = 0;
    argv[n++] = "--output";
    argv[n++] = output;
    for (size_t i = 0; task->arguments[i]; i++) argv[n++] = task->arguments[i];
    for (size_t i = 0; paced && task->pace[i]; i++) argv[n++] = task->pace[i];
    while (n < 16) argv[n++] = NULL;
}

/* The job by itself, in a cluster of its own. */
static void expect(struct cluster *c, const struct task *task)
{
    const char *a[16];
    arguments(task, in_dir(c, "expected"), false, a);
    struct said s = ctl_within(c, 60000, "run", "--local", "--parallelism", "1", plugin_of(task), "--", a[0], a[1], a[2], a[3], a[4], a[5],
                               a[6], a[7], a[8], a[9], NULL);
    if (s.code) fail_msg("jobctl ended with %d: %s", s.code, s.err);
}

static void submit(struct cluster *c, const struct task *task, const char *parallelism, char id[static JOB_ID_MAX])
{
    const char *a[16];
    arguments(task, in_dir(c, "out"), true, a);
    job_submit(c, id, "--parallelism", parallelism, plugin_of(task), "--", a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9],
               NULL);
}

static void same_output(struct cluster *c, const struct task *task)
{
    for (size_t i = 0; task->folders[i]; i++) {
        char is[CLUSTER_PATH_MAX], should[CLUSTER_PATH_MAX], hash[80];
        uint32_t n_is, n_should;
        (void)snprintf(is, sizeof is, "%s/%s", in_dir(c, "out"), task->folders[i]);
        (void)snprintf(should, sizeof should, "%s/%s", in_dir(c, "expected"), task->folders[i]);
        (void)snprintf(hash, sizeof hash, "%s", sorted_sha256(should, &n_should));
        assert_true(n_should > 0);
        const char *got = sorted_sha256(is, &n_is);
        if (n_is != n_should || strcmp(got, hash) != 0)
            fail_msg("%s: %u lines instead of %u, or other ones", task->folders[i], n_is, n_should);
        assert_int_equal(files_with_prefix(is, "."), 0); /* nothing that was never made visible */
    }
}

/* ---- deaths ------------------------------------------------------------------------------------------------------------------------ */

/* Numbers from the story's own seed: where a death strikes inside a process is the machine's anyway. */
static uint32_t draw(uint32_t below)
{
    static uint64_t state = 0x9e3779b97f4a7c15u;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) % below;
}

static bool job_runs_on(struct cluster *c, const char *id, bool *running)
{
    json_t *job = job_show(c, id);
    const char *state = json_text(job, "state");
    bool ended = strcmp(state, "FINISHED") == 0;
    if (strcmp(state, "FAILED") == 0 || strcmp(state, "CANCELED") == 0)
        fail_msg("the job is %s: %s", state, json_text(json_object_get(job, "failure"), "reason"));
    *running = strcmp(state, "RUNNING") == 0;
    json_decref(job);
    return !ended;
}

/* Waits a drawn time; false: the job has finished. */
static bool leave_alone(struct cluster *c, const char *id, bool *running)
{
    int64_t until_ms = now_ms() + PAUSE_MS / 2 + draw(PAUSE_MS);
    while (wait_a_while(c, until_ms)) continue;
    return job_runs_on(c, id, running);
}

static uint32_t kill_a_worker(struct cluster *c)
{
    pid_t pids[16];
    uint32_t n = cluster_processes(c, "weir-worker", pids, 16);
    if (n) (void)kill(pids[draw(n < 16 ? n : 16)], SIGKILL);
    return n ? 1 : 0;
}

/* Until the job has finished, or so many have died while it ran. Then it is left to end. */
static void kill_workers(struct cluster *c, const char *id, uint32_t deaths)
{
    bool running;
    uint32_t n = 0;
    int64_t deadline_ms = now_ms() + JOB_MS;
    while (n < deaths && leave_alone(c, id, &running)) {
        if (now_ms() > deadline_ms) fail_msg("the job does not come forward: %u deaths so far", n);
        if (running) n += kill_a_worker(c);
    }
    assert_true(n >= 2); /* else it was over too soon to say anything */
    while (job_runs_on(c, id, &running))
        if (!wait_a_while(c, deadline_ms)) fail_msg("the job does not end");
}

static void workers_die(struct cluster *c, const struct task *task, const char *parallelism, uint32_t n_taskmanagers)
{
    char id[JOB_ID_MAX];
    expect(c, task);
    often("100ms");
    cluster_start(c, n_taskmanagers, 2);
    submit(c, task, parallelism, id);
    kill_workers(c, id, 12);
    same_output(c, task);
    cluster_wait_processes(c, "weir-worker", 0, CLUSTER_WAIT_MS);
}

STORY(writer_on_one_taskmanager)
{
    workers_die(c, &writer, "2", 1);
}
STORY(writer_on_two_taskmanagers)
{
    workers_die(c, &writer, "3", 2);
}
STORY(nexmark_q0)
{
    struct task task = nexmark("q0");
    workers_die(c, &task, "2", 2);
}
STORY(nexmark_q3)
{
    struct task task = nexmark("q3");
    workers_die(c, &task, "3", 2);
}
STORY(nexmark_q5)
{
    struct task task = nexmark("q5");
    workers_die(c, &task, "2", 2);
}
STORY(nexmark_q8)
{
    struct task task = nexmark("q8");
    workers_die(c, &task, "3", 2);
}
STORY(nexmark_q18)
{
    struct task task = nexmark("q18");
    workers_die(c, &task, "3", 2);
}

/* Each that dies is started again, empty: its local copies are gone with it. */
STORY(taskmanagers_die)
{
    char id[JOB_ID_MAX];
    bool running;
    uint32_t n = 0;
    expect(c, &writer);
    often("100ms");
    cluster_start(c, 2, 2);
    submit(c, &writer, "3", id);
    while (leave_alone(c, id, &running) && n < 4) {
        if (!running) continue;
        struct proc *victim = c->taskmanager[c->n_taskmanagers - 1 - draw(2)];
        if (proc_ended(c, victim)) continue;
        proc_signal(victim, SIGKILL);
        (void)proc_wait(c, victim, CLUSTER_WAIT_MS);
        (void)cluster_start_taskmanager(c, 2);
        n++;
    }
    assert_true(n >= 1);
    json_t *job = job_wait(c, id, "FINISHED");
    json_decref(job);
    same_output(c, &writer);
    cluster_wait_processes(c, "weir-worker", 0, CLUSTER_WAIT_MS);
}

STORY_MAIN(STORY_TEST(writer_on_one_taskmanager), STORY_TEST(writer_on_two_taskmanagers), STORY_TEST(nexmark_q0), STORY_TEST(nexmark_q3),
           STORY_TEST(nexmark_q5), STORY_TEST(nexmark_q8), STORY_TEST(nexmark_q18), STORY_TEST(taskmanagers_die))
