/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Live configuration: a changed value reaches JobManagers, TaskManagers and a running job without a restart, also when another JobManager
 * has begun to lead; what may not be is refused, and changes nothing.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/cluster/cluster.h"

#define JOBMANAGERS 3u

static struct proc *jobmanager[JOBMANAGERS];

static const char *endpoint(const struct cluster *c, const char *letter, uint32_t i)
{
    char name[16];
    (void)snprintf(name, sizeof name, "%s%u", letter, (unsigned)i + 1);
    static char text[4][CLUSTER_PATH_MAX];
    static unsigned next;
    char *out = text[next++ % 4];
    (void)snprintf(out, CLUSTER_PATH_MAX, "ipc://%s", in_dir(c, name));
    return out;
}

static void start_jobmanager(struct cluster *c, uint32_t i)
{
    char id[8], name[16], parent[16];
    (void)snprintf(id, sizeof id, "%u", (unsigned)i + 1);
    (void)snprintf(name, sizeof name, "jm%u", (unsigned)i + 1);
    (void)snprintf(parent, sizeof parent, "%d", (int)getpid());
    const char *argv[] = {
        "weir-jobmanager", "--coordination.id",  id,     "--admin", endpoint(c, "a", i), "--bind", endpoint(c, "c", i), "--data-dir",
        in_dir(c, name),   "--exit-with-parent", parent, NULL};
    jobmanager[i] = proc_start(c, name, argv);
    jobmanager[i]->daemon = true;
}

/* Waits until one leads; jobctl asks that one then. */
static uint32_t wait_leader(struct cluster *c)
{
    for (int64_t deadline_ms = now_ms() + CLUSTER_WAIT_MS;;) {
        for (uint32_t i = 0; i < JOBMANAGERS; i++) {
            struct proc *p = jobmanager[i];
            if (!p || proc_count_log(p, "msg=\"listening\"") <= proc_count_log(p, "msg=\"leads no more\"")) continue;
            c->jobmanager = p;
            (void)snprintf(c->admin, sizeof c->admin, "%s", endpoint(c, "a", i));
            return i;
        }
        if (!wait_a_little(c, deadline_ms)) fail_msg("no JobManager leads");
    }
}

static void start(struct cluster *c)
{
    char peers[1024] = "";
    for (uint32_t i = 0; i < JOBMANAGERS; i++) {
        size_t at = strlen(peers);
        (void)snprintf(peers + at, sizeof peers - at, "%s%u=%s;%s;", i ? "," : "", (unsigned)i + 1, endpoint(c, "p", i),
                       endpoint(c, "k", i));
        at = strlen(peers);
        (void)snprintf(peers + at, sizeof peers - at, "%s;%s", endpoint(c, "a", i), endpoint(c, "c", i));
        at = strlen(c->control);
        (void)snprintf(c->control + at, sizeof c->control - at, "%s%s", i ? "," : "", endpoint(c, "c", i));
    }
    assert_int_equal(setenv("WEIR_COORDINATION_PEERS", peers, 1), 0);
    assert_int_equal(setenv("WEIR_EXECUTION_CHECKPOINTING_DIR", in_dir(c, "checkpoints"), 1), 0);
    assert_int_equal(setenv("WEIR_COORD", endpoint(c, "k", 0), 1), 0);
    for (uint32_t i = 0; i < JOBMANAGERS; i++) start_jobmanager(c, i);
    (void)wait_leader(c);
    for (int i = 0; i < 2; i++) (void)cluster_start_taskmanager(c, 2);
    cluster_wait_registered(c, 2);
}

static void set(struct cluster *c, const char *job, const char *key, const char *value)
{
    struct said s = job ? ctl(c, "config", "set", "--job", job, key, value, NULL) : ctl(c, "config", "set", key, value, NULL);
    if (s.code) fail_msg("%s = %s: %s", key, value, s.err);
}

static void refused(struct cluster *c, const char *job, const char *key, const char *value, const char *words)
{
    struct said s = job ? ctl(c, "config", "set", "--job", job, key, value, NULL) : ctl(c, "config", "set", key, value, NULL);
    assert_int_not_equal(s.code, 0);
    assert_has(s.err, words);
}

/* Everybody says so in his log, once more than before. */
static void wait_everywhere(struct cluster *c, const char *text, const uint32_t before[static JOBMANAGERS + 2], bool jobmanagers)
{
    for (uint32_t i = 0; jobmanagers && i < JOBMANAGERS; i++)
        if (jobmanager[i]) (void)proc_wait_log(c, jobmanager[i], text, before[i] + 1);
    for (uint32_t i = 0; i < 2; i++) (void)proc_wait_log(c, c->taskmanager[i], text, before[JOBMANAGERS + i] + 1);
}

static void count_everywhere(struct cluster *c, const char *text, uint32_t out[static JOBMANAGERS + 2])
{
    for (uint32_t i = 0; i < JOBMANAGERS; i++) out[i] = jobmanager[i] ? proc_count_log(jobmanager[i], text) : 0;
    for (uint32_t i = 0; i < 2; i++) out[JOBMANAGERS + i] = proc_count_log(c->taskmanager[i], text);
}

static void reaches_daemons(struct cluster *c, const char *key, const char *value, const char *line, bool jobmanagers)
{
    uint32_t before[JOBMANAGERS + 2];
    count_everywhere(c, line, before);
    set(c, NULL, key, value);
    wait_everywhere(c, line, before, jobmanagers);
}

/* The job itself: what its leading subtask writes of the setting that all of them read. */
static void reaches_job(struct cluster *c, const char *id, const char *value)
{
    char path[128], words[64];
    (void)snprintf(path, sizeof path, "/elected/%s/status", id);
    (void)snprintf(words, sizeof words, "one of every %s", value);
    set(c, id, "job.every", value);
    for (int64_t deadline_ms = now_ms() + CLUSTER_WAIT_MS;;) {
        struct said s = ctl(c, "coord", "get", path, NULL);
        if (s.code == 0 && strstr(s.out, words)) return;
        if (!wait_a_while(c, deadline_ms)) fail_msg("the status stays \"%s\" %s", s.out, s.err);
    }
}

static void wait_checkpoints(struct cluster *c, uint32_t n)
{
    uint32_t before = proc_count_log(c->jobmanager, " completed in ");
    (void)proc_wait_log(c, c->jobmanager, " completed in ", before + n);
}

static void start_job(struct cluster *c, char id[static JOB_ID_MAX])
{
    job_submit(c, id, "--parallelism", "4", "-D", "execution.checkpointing.interval=1h", example_plugin("elected"), "--", "--pace", "20000",
               NULL);
    json_decref(job_wait(c, id, "RUNNING"));
}

static void first_attempt_still(struct cluster *c, const char *id)
{
    json_t *job = job_wait(c, id, "RUNNING");
    assert_int_equal(json_number(job, "attempt"), 1);
    json_decref(job);
}

STORY(a_changed_value_reaches_what_runs_under_any_leader)
{
    char id[JOB_ID_MAX];
    start(c);
    start_job(c, id);
    reaches_daemons(c, "log.level", "debug", "log.level=debug", true);
    reaches_daemons(c, "taskmanager.leader-wait", "7m", "leader-wait is 420000 ms now", false);
    reaches_job(c, id, "50");
    set(c, id, "execution.checkpointing.interval", "100ms"); /* over the job's own hour */
    wait_checkpoints(c, 2);

    uint32_t leader = wait_leader(c);
    proc_signal(jobmanager[leader], SIGKILL);
    assert_int_equal(proc_wait(c, jobmanager[leader], CLUSTER_WAIT_MS), 128 + SIGKILL);
    jobmanager[leader] = NULL;
    (void)wait_leader(c);
    wait_checkpoints(c, 2); /* the new leader knows */
    reaches_daemons(c, "log.level", "info", "log.level=info", true);
    reaches_daemons(c, "taskmanager.leader-wait", "8m", "leader-wait is 480000 ms now", false);
    reaches_job(c, id, "9");
    assert_int_equal(ctl(c, "config", "unset", "taskmanager.leader-wait", NULL).code, 0);
    for (uint32_t i = 0; i < 2; i++) (void)proc_wait_log(c, c->taskmanager[i], "leader-wait is 300000 ms now", 1);
    start_jobmanager(c, leader); /* it follows, and is told as well */
    (void)proc_wait_log(c, jobmanager[leader], "msg=\"stands by\"", 1);
    reaches_daemons(c, "log.level", "debug", "log.level=debug", true);
    first_attempt_still(c, id);
}

STORY(what_may_not_be_changes_nothing)
{
    char id[JOB_ID_MAX], path[160];
    struct said s;
    start(c);
    start_job(c, id);
    refused(c, NULL, "log.level", "loud", "is not one of debug, info, warn, error");
    refused(c, NULL, "taskmanager.slots", "7", "cannot be changed while the cluster runs");
    refused(c, id, "execution.checkpointing.interval", "1ms", "below 10 ms");
    refused(c, id, "restart-strategy.exponential-delay.max-backoff", "10ms", "initial-backoff is above");
    s = ctl(c, "config", "set", "--job", "nobody", "job.x", "1", NULL);
    assert_int_not_equal(s.code, 0);
    s = ctl(c, "config", "unset", "log.level", NULL);
    assert_int_equal(s.code, 1);
    assert_has(s.err, "nothing to unset");
    s = ctl(c, "config", "get", "log.level", NULL);
    assert_int_equal(s.code, 1);

    /* Past jobctl: it is refused by who reads it, loudly, and the former value stays. */
    set(c, id, "execution.checkpointing.interval", "100ms");
    wait_checkpoints(c, 1);
    (void)snprintf(path, sizeof path, "/weir/config/jobs/%s/execution.checkpointing.interval", id);
    assert_int_equal(ctl(c, "coord", "set", path, "never", NULL).code, 0);
    (void)proc_wait_log(c, c->jobmanager, "execution.checkpointing.interval is refused", 1);
    wait_checkpoints(c, 2);
    s = ctl(c, "config", "get", "--job", id, "execution.checkpointing.interval", NULL);
    assert_int_equal(s.code, 0);
    assert_string_equal(s.out, "100ms\n");
    assert_has(s.err, "never is not");
    s = ctl(c, "config", "list", NULL);
    assert_int_equal(s.code, 0);
    assert_has(s.out, "never is not");
    first_attempt_still(c, id);
    assert_int_equal(ctl(c, "cancel", id, NULL).code, 0);
    json_decref(job_wait(c, id, "CANCELED"));
}

STORY_MAIN(STORY_TEST(a_changed_value_reaches_what_runs_under_any_leader), STORY_TEST(what_may_not_be_changes_nothing))
