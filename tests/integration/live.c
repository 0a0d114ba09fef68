/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Live configuration: a changed value reaches JobManagers, TaskManagers and a running job without a restart, also when another JobManager
 * has begun to lead; what may not be is refused, and changes nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/support/cluster/ensemble.h"

static struct ensemble all;

static void start(struct cluster *c)
{
    char coord[CLUSTER_PATH_MAX];
    ensemble_start(c, &all, 2);
    (void)snprintf(coord, sizeof coord, "ipc://%s/k1", c->dir);
    assert_int_equal(setenv("WEIR_COORD", coord, 1), 0);
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
        if (all.jobmanager[i]) (void)proc_wait_log(c, all.jobmanager[i], text, before[i] + 1);
    for (uint32_t i = 0; i < 2; i++) (void)proc_wait_log(c, c->taskmanager[i], text, before[JOBMANAGERS + i] + 1);
}

static void count_everywhere(struct cluster *c, const char *text, uint32_t out[static JOBMANAGERS + 2])
{
    for (uint32_t i = 0; i < JOBMANAGERS; i++) out[i] = all.jobmanager[i] ? proc_count_log(all.jobmanager[i], text) : 0;
    for (uint32_t i = 0; i < 2; i++) out[JOBMANAGERS + i] = proc_count_log(c->taskmanager[i], text);
}

static void reaches_daemons(struct cluster *c, const char *key, const char *value, const char *line, bool jobmanagers)
{
    uint32_t before[JOBMANAGERS + 2];
    count_everywhere(c, line, before);
    set(c, NULL, key, value);
    wait_everywhere(c, line, before, jobmanagers);
}

/* Daemons, and the workers whose lines stand in the logs of their TaskManagers. */
static void reaches_log(struct cluster *c, const char *level)
{
    char line[2][64];
    uint32_t before[2];
    (void)snprintf(line[0], sizeof line[0], "manager msg=\"live configuration\" log.level=%s", level);
    (void)snprintf(line[1], sizeof line[1], "worker msg=\"live configuration\" log.level=%s", level);
    for (uint32_t i = 0; i < 2; i++) before[i] = proc_count_log(c->taskmanager[i], line[1]);
    reaches_daemons(c, "log.level", level, line[0], true);
    for (uint32_t i = 0; i < 2; i++) (void)proc_wait_log(c, c->taskmanager[i], line[1], before[i] + 1);
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
    reaches_log(c, "debug");
    reaches_daemons(c, "taskmanager.leader-wait", "7m", "leader-wait is 420000 ms now", false);
    reaches_job(c, id, "50");
    set(c, id, "execution.checkpointing.interval", "100ms"); /* over the job's own hour */
    wait_checkpoints(c, 2);

    uint32_t leader = ensemble_kill_leader(c, &all);
    wait_checkpoints(c, 2); /* the new leader knows */
    reaches_log(c, "info");
    reaches_daemons(c, "taskmanager.leader-wait", "8m", "leader-wait is 480000 ms now", false);
    reaches_job(c, id, "9");
    assert_int_equal(ctl(c, "config", "unset", "taskmanager.leader-wait", NULL).code, 0);
    for (uint32_t i = 0; i < 2; i++) (void)proc_wait_log(c, c->taskmanager[i], "leader-wait is 300000 ms now", 1);
    ensemble_start_member(c, &all, leader); /* it follows, and is told as well */
    (void)proc_wait_log(c, all.jobmanager[leader], "msg=\"stands by\"", 1);
    reaches_log(c, "debug");
    first_attempt_still(c, id);

    /* workers that begin now write at that level, too */
    assert_int_equal(ctl(c, "cancel", id, NULL).code, 0);
    json_decref(job_wait(c, id, "CANCELED"));
    uint32_t stored = proc_count_log(c->taskmanager[0], "worker msg=\"checkpoint stored\"");
    start_job(c, id);
    set(c, id, "execution.checkpointing.interval", "100ms");
    (void)proc_wait_log(c, c->taskmanager[0], "worker msg=\"checkpoint stored\"", stored + 1);
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

STORY(settings_of_a_job_go_when_it_has_ended)
{
    char id[JOB_ID_MAX], folder[128];
    start(c);
    start_job(c, id);
    set(c, NULL, "taskmanager.leader-wait", "7m");
    set(c, id, "job.every", "50");
    set(c, id, "restart-strategy.type", "none");
    (void)snprintf(folder, sizeof folder, "/weir/config/jobs/%s", id);
    assert_int_equal(ctl(c, "coord", "get", folder, NULL).code, 0);
    assert_int_equal(ctl(c, "cancel", id, NULL).code, 0);
    json_decref(job_wait(c, id, "CANCELED"));
    for (int64_t deadline_ms = now_ms() + CLUSTER_WAIT_MS; ctl(c, "coord", "get", folder, NULL).code == 0;)
        if (!wait_a_while(c, deadline_ms)) fail_msg("%s stays", folder);
    refused(c, id, "job.every", "9", "the job has ended: CANCELED");
    assert_has(ctl(c, "config", "list", NULL).out, "taskmanager.leader-wait");
}

STORY_MAIN(STORY_TEST(a_changed_value_reaches_what_runs_under_any_leader), STORY_TEST(what_may_not_be_changes_nothing),
           STORY_TEST(settings_of_a_job_go_when_it_has_ended))
