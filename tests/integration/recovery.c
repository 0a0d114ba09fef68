/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs whose processes die while they run end as if nothing had happened: the same rows, none twice, none missing, and nothing left behind.
 * What they have to write is what the same job writes without faults and without checkpoints.
 */
#include <signal.h>

#include "tests/integration/tasks.h"

#define PAUSE_MS 300            /* about so long a job is left alone between two deaths */
#define DETECTED_WITHIN_MS 6000 /* from the silence to the next attempt: 3 s of it, and what a busy machine adds */
#define PLUGINS_OPEN 1          /* descriptors that a TaskManager keeps of a job: its plugin, for the next one */
#define JOB_MS 110000           /* for a whole job with all its deaths */

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

/* Descriptors of our daemons, together. */
static uint32_t open_files(struct cluster *c)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i <= c->n_taskmanagers; i++) {
        char path[64];
        (void)snprintf(path, sizeof path, "/proc/%d/fd", (int)(i ? c->taskmanager[i - 1] : c->jobmanager)->pid);
        n += files_with_prefix(path, "");
    }
    return n;
}

/* Nothing that deaths and attempts have opened stays open. */
static void wait_closed(struct cluster *c, uint32_t before)
{
    int64_t deadline_ms = now_ms() + CLUSTER_WAIT_MS;
    uint32_t n;
    while ((n = open_files(c)) > before)
        if (!wait_a_while(c, deadline_ms)) fail_msg("%u descriptors are open, and were %u", n, before);
}

static void workers_die(struct cluster *c, const struct task *task, const char *parallelism, uint32_t n_taskmanagers)
{
    char id[JOB_ID_MAX];
    expect(c, task);
    often("100ms");
    cluster_start(c, n_taskmanagers, 2);
    uint32_t n_open = open_files(c);
    submit(c, task, parallelism, id);
    kill_workers(c, id, 12);
    same_output(c, task);
    cluster_wait_processes(c, "weir-worker", 0, CLUSTER_WAIT_MS);
    wait_closed(c, n_open + PLUGINS_OPEN * n_taskmanagers);
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

/* It has not died, but nobody hears of it: its TaskManager ends it after three seconds, and it comes to no harm that it wakes then. */
STORY(stopped_worker)
{
    char id[JOB_ID_MAX];
    bool running = false;
    pid_t pids[8];
    uint32_t silent = 0;
    expect(c, &writer);
    often("100ms");
    cluster_start(c, 2, 2);
    submit(c, &writer, "3", id);
    while (!running) assert_true(leave_alone(c, id, &running));
    assert_int_equal(cluster_processes(c, "weir-worker", pids, 8), 2);
    int64_t stopped_ms = now_ms();
    assert_int_equal(kill(pids[0], SIGSTOP), 0);
    (void)proc_wait_log(c, c->jobmanager, "attempt 2 DEPLOYING -> RUNNING", 1);
    int64_t took_ms = now_ms() - stopped_ms;
    if (took_ms > DETECTED_WITHIN_MS) fail_msg("the job went on after %lld ms", (long long)took_ms);
    for (uint32_t i = 0; i < 2; i++) silent += proc_count_log(c->taskmanager[i], "was silent for 3000 ms");
    assert_true(silent > 0);
    json_t *job = job_wait(c, id, "FINISHED");
    json_decref(job);
    same_output(c, &writer);
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
           STORY_TEST(nexmark_q5), STORY_TEST(nexmark_q8), STORY_TEST(nexmark_q18), STORY_TEST(stopped_worker),
           STORY_TEST(taskmanagers_die))
