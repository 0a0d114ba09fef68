/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What users ask of a job's checkpoints: checkpoint, savepoint, stop, run --from, rescale; and a JobManager that dies and finds its jobs
 * again. The job writes each number once; whatever happens in between, at the end each is there once.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/cluster/cluster.h"

#define INTERVAL "-D", "execution.checkpointing.interval=100ms"
#define RESTARTS                                                                                        \
    "-D", "restart-strategy.type=fixed-delay", "-D", "restart-strategy.fixed-delay.attempts=100", "-D", \
        "restart-strategy.fixed-delay.delay=50ms"

enum { ROWS = 40000 };
#define ROWS_TEXT "40000"

/* The lines that a run without faults writes. */
static const char *expected(struct cluster *c, uint32_t *lines)
{
    static char hash[65];
    const char *out = in_dir(c, "expected");
    assert_int_equal(ctl(c, "run", "--parallelism", "2", job_plugin("writer"), "--", "--output", out, "--rows", ROWS_TEXT, NULL).code, 0);
    snprintf(hash, sizeof hash, "%s", sorted_sha256(out, lines));
    assert_int_equal(*lines, ROWS);
    return hash;
}

static void start_writer(struct cluster *c, const char *name, char id[static JOB_ID_MAX])
{
    job_submit(c, id, "--parallelism", "2", "--name", name, INTERVAL, RESTARTS, job_plugin("writer"), "--", "--output", in_dir(c, "out"),
               "--rows", ROWS_TEXT, "--pace", "10000", NULL);
    json_decref(job_wait(c, id, "RUNNING"));
}

static void output_is_whole(struct cluster *c, const char *hash)
{
    uint32_t lines;
    const char *got = sorted_sha256(in_dir(c, "out"), &lines);
    assert_int_equal(lines, ROWS);
    assert_string_equal(got, hash);
}

/* The first word of what jobctl printed. */
static const char *printed(const struct said *s, char out[static 512])
{
    snprintf(out, 512, "%.*s", (int)strcspn(s->out, "\n"), s->out);
    return out;
}

STORY(checkpoints_and_savepoints_are_taken_when_asked_for)
{
    char id[JOB_ID_MAX], path[512];
    cluster_start(c, 2, 1);
    c->dirty = true; /* savepoints are their user's */
    start_writer(c, "w", id);
    struct said s = ctl(c, "checkpoint", "w", NULL);
    assert_int_equal(s.code, 0);
    assert_has(printed(&s, path), "/chk-");
    const char *mine = in_dir(c, "mine");
    s = ctl(c, "savepoint", "w", mine, NULL);
    assert_int_equal(s.code, 0);
    assert_string_equal(printed(&s, path), mine);
    assert_int_equal(files_with_prefix(mine, "MANIFEST"), 1);
    s = ctl(c, "savepoint", "w", mine, NULL);
    assert_int_equal(s.code, 1);
    assert_has(s.err, "not empty");
    s = ctl(c, "savepoint", "w", NULL);
    assert_int_equal(s.code, 0);
    assert_has(printed(&s, path), "/savepoints/savepoint-");
    json_t *stats = ctl_json(c, "checkpoints", "w", NULL);
    assert_true(json_number(json_object_get(stats, "counts"), "completed") >= 3);
    assert_int_equal(json_number(json_object_get(stats, "counts"), "failed"), 1);
    assert_string_equal(json_text(json_object_get(json_object_get(stats, "latest"), "savepoint"), "external_path"), path);
    json_decref(stats);
    assert_int_equal(ctl(c, "cancel", "w", NULL).code, 0);
    json_decref(job_wait(c, id, "CANCELED"));
    assert_int_equal(files_with_prefix(mine, "MANIFEST"), 1); /* and they stay */
}

STORY(stopped_job_goes_on_from_its_savepoint)
{
    char id[JOB_ID_MAX];
    uint32_t lines;
    cluster_start(c, 2, 2);
    c->dirty = true;
    const char *hash = expected(c, &lines);
    start_writer(c, "w", id);
    struct said s = ctl(c, "stop", "w", in_dir(c, "save"), NULL);
    assert_int_equal(s.code, 0);
    json_decref(job_wait(c, id, "FINISHED"));
    s = ctl(c, "run", "--parallelism", "2", "--from", in_dir(c, "save"), job_plugin("writer"), "--", "--output", in_dir(c, "out"), "--rows",
            ROWS_TEXT, "--pace", "0", NULL); /* without checkpoints of its own: it restores the savepoint all the same */
    assert_int_equal(s.code, 0);
    output_is_whole(c, hash);
}

STORY(rescaled_job_goes_on_under_its_name)
{
    char id[JOB_ID_MAX], next[512];
    uint32_t lines;
    cluster_start(c, 2, 2);
    c->dirty = true;
    const char *hash = expected(c, &lines);
    start_writer(c, "w", id);
    struct said s = ctl(c, "rescale", "w", "--parallelism", "1", NULL);
    assert_int_equal(s.code, 0);
    json_t *old = job_wait(c, id, "FINISHED");
    assert_string_equal(json_text(old, "successor"), printed(&s, next));
    json_decref(old);
    json_t *job = job_wait(c, next, "FINISHED");
    assert_string_equal(json_text(job, "name"), "w");
    assert_string_equal(json_text(job, "predecessor"), id);
    json_decref(job);
    output_is_whole(c, hash);
}

/* Nobody survives: everything comes from disk. */
STORY(killed_cluster_restores_the_newest_checkpoint)
{
    char id[JOB_ID_MAX];
    uint32_t lines;
    cluster_start_jobmanager(c, true);
    for (int i = 0; i < 2; i++) (void)cluster_start_taskmanager(c, 2);
    cluster_wait_registered(c, 2);
    const char *hash = expected(c, &lines);
    start_writer(c, "w", id);
    assert_int_equal(ctl(c, "checkpoint", "w", NULL).code, 0);
    proc_signal(c->jobmanager, SIGKILL);
    assert_int_equal(proc_wait(c, c->jobmanager, CLUSTER_WAIT_MS), 128 + SIGKILL);
    for (uint32_t i = 0; i < 2; i++) {
        proc_signal(c->taskmanager[i], SIGKILL);
        assert_int_equal(proc_wait(c, c->taskmanager[i], CLUSTER_WAIT_MS), 128 + SIGKILL);
    }
    cluster_start_jobmanager(c, true);
    for (int i = 0; i < 2; i++) (void)cluster_start_taskmanager(c, 2);
    cluster_wait_registered(c, 2);
    json_t *job = job_wait(c, id, "FINISHED");
    assert_true(json_number(job, "attempt") >= 2);
    assert_true(json_number(job, "restored-checkpoint") >= 1);
    json_decref(job);
    output_is_whole(c, hash);
}

STORY(retained_checkpoint_of_a_canceled_job_is_begun_with)
{
    char id[JOB_ID_MAX], path[512];
    uint32_t lines;
    cluster_start(c, 2, 2);
    c->dirty = true;
    const char *hash = expected(c, &lines);
    job_submit(c, id, "--parallelism", "2", INTERVAL, "-D",
               "execution.checkpointing.externalized-checkpoint-retention=RETAIN_ON_CANCELLATION", job_plugin("writer"), "--", "--output",
               in_dir(c, "out"), "--rows", ROWS_TEXT, "--pace", "10000", NULL);
    json_decref(job_wait(c, id, "RUNNING"));
    assert_int_equal(ctl(c, "checkpoint", id, NULL).code, 0);
    assert_int_equal(ctl(c, "cancel", id, NULL).code, 0);
    json_decref(job_wait(c, id, "CANCELED"));
    json_t *stats = ctl_json(c, "checkpoints", id, NULL), *retained = json_object_get(stats, "retained");
    assert_true(json_array_size(retained) >= 1);
    snprintf(path, sizeof path, "%s", json_text(json_array_get(retained, json_array_size(retained) - 1), "external_path"));
    json_decref(stats);
    assert_int_equal(files_with_prefix(path, "MANIFEST"), 1);
    struct said s = ctl(c, "run", "--parallelism", "2", INTERVAL, "--from", path, "--claim", "claim", job_plugin("writer"), "--",
                        "--output", in_dir(c, "out"), "--rows", ROWS_TEXT, "--pace", "0", NULL);
    assert_int_equal(s.code, 0);
    output_is_whole(c, hash);
    assert_int_equal(files_with_prefix(path, "MANIFEST"), 0); /* it was claimed, and is not needed any more */
}

/* Takes two checkpoints by hand, damages the newer one and kills a worker. */
static void damage_the_newest(struct cluster *c, const char *policy, char id[static JOB_ID_MAX])
{
    char path[512], manifest[600];
    size_t len;
    pid_t workers[2];
    char dir[CLUSTER_PATH_MAX + 40];
    snprintf(dir, sizeof dir, "execution.checkpointing.dir=%s/jm/checkpoints", c->dir);
    job_submit(c, id, "--parallelism", "2", "-D", dir, RESTARTS, "-D", policy, job_plugin("writer"), "--", "--output", in_dir(c, "out"),
               "--rows", ROWS_TEXT, "--pace", "10000", NULL);
    json_decref(job_wait(c, id, "RUNNING"));
    assert_int_equal(ctl(c, "checkpoint", id, NULL).code, 0);
    struct said s = ctl(c, "checkpoint", id, NULL);
    assert_int_equal(s.code, 0);
    snprintf(manifest, sizeof manifest, "%s/MANIFEST", printed(&s, path));
    char *bytes = file_read(manifest, &len);
    assert_non_null(bytes);
    bytes[len / 2] ^= 1;
    file_write(manifest, bytes, len);
    free(bytes);
    assert_int_equal(cluster_processes(c, "weir-worker", workers, 2), 2);
    assert_int_equal(kill(workers[0], SIGKILL), 0);
}

STORY(damaged_checkpoint_ends_the_job_by_name)
{
    char id[JOB_ID_MAX];
    cluster_start(c, 2, 1);
    c->dirty = true;
    damage_the_newest(c, "execution.state-recovery.older-checkpoint=false", id);
    json_t *job = job_wait(c, id, "FAILED");
    const char *reason = json_text(json_object_get(job, "failure"), "reason");
    assert_has(reason, "checkpoint 2 could not be restored");
    assert_has(reason, "chk-2/MANIFEST");
    json_decref(job);
}

STORY(older_checkpoint_is_restored_if_the_policy_says_so)
{
    char id[JOB_ID_MAX];
    cluster_start(c, 2, 1);
    c->dirty = true;
    damage_the_newest(c, "execution.state-recovery.older-checkpoint=true", id);
    (void)proc_wait_log(c, c->jobmanager, "AN OLDER ONE IS RESTORED, 1 at", 1);
    json_t *job = job_wait(c, id, "FINISHED");
    assert_int_equal(json_number(job, "restored-checkpoint"), 1);
    json_decref(job);
}

STORY(what_does_not_fit_is_refused_in_words)
{
    char id[JOB_ID_MAX];
    cluster_start(c, 1, 2);
    c->dirty = true;
    start_writer(c, "w", id);
    assert_int_equal(ctl(c, "stop", "w", in_dir(c, "save"), NULL).code, 0);
    json_decref(job_wait(c, id, "FINISHED"));
    struct said s = ctl(c, "run", INTERVAL, "--from", in_dir(c, "save"), job_plugin("steady"), NULL); /* another job */
    assert_int_equal(s.code, 1);
    assert_has(s.err, "the job does not fit the savepoint: its operator 'write' (file) is not in the job");
    s = ctl(c, "run", INTERVAL, "--from", in_dir(c, "nowhere"), job_plugin("writer"), "--", "--output", in_dir(c, "out"), NULL);
    assert_int_equal(s.code, 1);
    assert_has(s.err, "nowhere");
    s = ctl(c, "run", "-D", "execution.checkpointing.intervall=1s", job_plugin("writer"), "--", "--output", in_dir(c, "out"), NULL);
    assert_int_equal(s.code, 4);
    assert_has(s.err, "did you mean execution.checkpointing.interval?");
    s = ctl(c, "savepoint", id, NULL);
    assert_int_equal(s.code, 4);
    assert_has(s.err, "already ended");
    job_submit(c, id, "--name", "plain", job_plugin("steady"), NULL);
    json_decref(job_wait(c, id, "RUNNING"));
    s = ctl(c, "savepoint", "plain", NULL);
    assert_int_equal(s.code, 4);
    assert_has(s.err, "has no checkpoints");
    assert_int_equal(ctl(c, "cancel", "plain", NULL).code, 0);
    json_decref(job_wait(c, id, "CANCELED"));
}

STORY_MAIN(STORY_TEST(checkpoints_and_savepoints_are_taken_when_asked_for), STORY_TEST(stopped_job_goes_on_from_its_savepoint),
           STORY_TEST(rescaled_job_goes_on_under_its_name), STORY_TEST(killed_cluster_restores_the_newest_checkpoint),
           STORY_TEST(retained_checkpoint_of_a_canceled_job_is_begun_with), STORY_TEST(damaged_checkpoint_ends_the_job_by_name),
           STORY_TEST(older_checkpoint_is_restored_if_the_policy_says_so), STORY_TEST(what_does_not_fit_is_refused_in_words))
