/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoint storages that are away, full or damaged: the checkpoint fails and the job goes on, as long as that is tolerated; what cannot
 * be restored is refused by the name of its file.
 */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/cluster/cluster.h"

static void set(const char *key, const char *value)
{
    assert_int_equal(setenv(key, value, 1), 0);
}

/* A storage outside of the JobManager's folder, and a job with state that is checkpointed into it all the time. */
static void start(struct cluster *c, const char *tolerable, char id[static JOB_ID_MAX])
{
    assert_int_equal(mkdir(in_dir(c, "storage"), 0700), 0);
    set("WEIR_EXECUTION_CHECKPOINTING_DIR", in_dir(c, "storage"));
    set("WEIR_EXECUTION_CHECKPOINTING_INTERVAL", "50ms");
    set("WEIR_EXECUTION_CHECKPOINTING_TOLERABLE_FAILED_CHECKPOINTS", tolerable);
    set("WEIR_RESTART_STRATEGY_TYPE", "fixed-delay");
    set("WEIR_RESTART_STRATEGY_FIXED_DELAY_ATTEMPTS", "3");
    set("WEIR_RESTART_STRATEGY_FIXED_DELAY_DELAY", "50ms");
    cluster_start(c, 2, 1);
    job_submit(c, id, "--parallelism", "2", example_plugin("nexmark"), "--", "--query", "q18", "--events", "-1", "--splits", "2", "--pace",
               "20000", "--output", "blackhole", NULL);
}

static void cancel(struct cluster *c, const char *id)
{
    struct said s = ctl(c, "cancel", id, NULL);
    assert_int_equal(s.code, 0);
    json_t *job = job_wait(c, id, "CANCELED");
    json_decref(job);
    cluster_wait_processes(c, "weir-worker", 0, CLUSTER_WAIT_MS);
}

/* The nth line of the JobManager's that tells of a checkpoint, counted from those there are. */
static const char *wait_more(struct cluster *c, const char *text, uint32_t more)
{
    return proc_wait_log(c, c->jobmanager, text, proc_count_log(c->jobmanager, text) + more);
}

/* State files in the storage; all of them when `what` is NULL. Returns how many. */
static uint32_t for_each_file(struct cluster *c, const char *id, void (*what)(const char *path))
{
    char dir[CLUSTER_PATH_MAX], path[2 * CLUSTER_PATH_MAX];
    uint32_t n = 0;
    (void)snprintf(dir, sizeof dir, "%s/%s/shared", in_dir(c, "storage"), id);
    DIR *d = opendir(dir);
    for (struct dirent *entry; d && (entry = readdir(d)) != NULL;) {
        if (entry->d_name[0] == '.') continue;
        (void)snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
        if (what) what(path);
        n++;
    }
    if (d) (void)closedir(d);
    return n;
}

static void kill_one_worker(struct cluster *c)
{
    pid_t pids[8];
    assert_true(cluster_processes(c, "weir-worker", pids, 8) > 0);
    assert_int_equal(kill(pids[0], SIGKILL), 0);
}

STORY(storage_away_for_a_while)
{
    char id[JOB_ID_MAX];
    start(c, "1000", id);
    (void)wait_more(c, "completed in", 2);
    assert_int_equal(rename(in_dir(c, "storage"), in_dir(c, "away")), 0);
    const char *line = wait_more(c, "failed", 3);
    assert_has(line, "storage");
    json_t *job = job_wait(c, id, "RUNNING");
    assert_int_equal(json_number(job, "attempt"), 1);
    json_decref(job);
    assert_int_equal(rename(in_dir(c, "away"), in_dir(c, "storage")), 0);
    (void)wait_more(c, "completed in", 2);
    kill_one_worker(c); /* and what was completed since can be restored */
    (void)proc_wait_log(c, c->jobmanager, "attempt 2 DEPLOYING -> RUNNING", 1);
    (void)wait_more(c, "completed in", 1);
    cancel(c, id);
    int64_t deadline_ms = now_ms() + CLUSTER_WAIT_MS;
    while (for_each_file(c, id, NULL) > 0) assert_true(wait_a_little(c, deadline_ms)); /* nothing of a canceled job stays */
}

/* More failures in a row than are tolerated make the job begin again; the storage is still away, so it cannot, and fails. */
STORY(storage_away_for_good)
{
    char id[JOB_ID_MAX];
    start(c, "2", id);
    (void)wait_more(c, "completed in", 2);
    assert_int_equal(rename(in_dir(c, "storage"), in_dir(c, "away")), 0);
    json_t *job = job_wait(c, id, "FAILED");
    assert_has(json_text(json_object_get(job, "failure"), "reason"), "storage");
    json_decref(job);
    cluster_wait_processes(c, "weir-worker", 0, CLUSTER_WAIT_MS);
}

static void refused(struct cluster *c, void (*what)(const char *path), const char *words)
{
    char id[JOB_ID_MAX];
    start(c, "1000", id);
    do {
        (void)wait_more(c, "completed in", 1);
    } while (for_each_file(c, id, NULL) < 2);                             /* so many rows that state does not travel in packs */
    assert_int_equal(rename(in_dir(c, "storage"), in_dir(c, "away")), 0); /* so that nothing is put right meanwhile */
    (void)wait_more(c, "failed", 1);
    assert_int_equal(rename(in_dir(c, "away"), in_dir(c, "storage")), 0);
    for_each_file(c, id, what);
    kill_one_worker(c);
    json_t *job = job_wait(c, id, "FAILED");
    const char *reason = json_text(json_object_get(job, "failure"), "reason");
    assert_has(reason, words);
    assert_has(reason, "/");
    json_decref(job);
    cluster_wait_processes(c, "weir-worker", 0, CLUSTER_WAIT_MS);
}

/* In place: local copies are links to the same bytes. */
static void spoil(const char *path)
{
    FILE *f = fopen(path, "r+e");
    assert_non_null(f);
    assert_int_equal(fseek(f, 5000, SEEK_SET), 0);
    int byte = fgetc(f);
    assert_int_equal(fseek(f, 5000, SEEK_SET), 0);
    assert_int_not_equal(fputc(byte ^ 1, f), EOF);
    assert_int_equal(fclose(f), 0);
}

static void cut(const char *path)
{
    assert_int_equal(truncate(path, 6000), 0);
}

static void drop(const char *path)
{
    assert_int_equal(unlink(path), 0);
}

STORY(corrupt_file)
{
    refused(c, spoil, "checksum");
}
STORY(cut_file)
{
    refused(c, cut, "bytes instead of");
}
STORY(missing_file)
{
    refused(c, drop, "No such file");
}

/* ---- disks that are full, by a preloaded library --------------------------------------------------------------------------------- */

/* The nth write of a worker to a path with this text finds no room; with `sticky`, all after it do not, either. */
static void fill_disk(struct cluster *c, const char *path, const char *nth, const char *sticky)
{
#ifdef WEIR_TEST_SANITIZED
    story_skip(c, "a sanitizer must be the first library of a process");
#endif
    char script[1024];
    int n = snprintf(script, sizeof script,
                     "#!/bin/sh\nexport FAULTFS_PATH='%s' FAULTFS_OPS=write,pwrite FAULTFS_ERRNO=ENOSPC FAULTFS_N=%s FAULTFS_STICKY=%s\n"
                     "LD_PRELOAD='" WEIR_TEST_FAULTFS "' exec '" WEIR_TEST_BIN "/weir-worker' \"$@\"\n",
                     path, nth, sticky);
    file_write(in_dir(c, "worker"), script, (size_t)n);
    assert_int_equal(chmod(in_dir(c, "worker"), 0700), 0);
    set("WEIR_TASKMANAGER_WORKER", in_dir(c, "worker")); /* the JobManager has a disk of its own */
}

STORY(storage_full_once)
{
    char id[JOB_ID_MAX];
    fill_disk(c, "pack-", "4", "0");
    start(c, "5", id);
    assert_has(wait_more(c, "No space left", 1), "failed");
    (void)wait_more(c, "completed in", 3);
    json_t *job = job_wait(c, id, "RUNNING");
    assert_int_equal(json_number(job, "attempt"), 1);
    json_decref(job);
    cancel(c, id);
}

/* Each attempt stores three checkpoints and then none: the fourth ends the job. */
STORY(storage_full_for_good)
{
    char id[JOB_ID_MAX];
    fill_disk(c, "pack-", "4", "1");
    start(c, "2", id);
    json_t *job = job_wait(c, id, "FAILED");
    assert_has(json_text(json_object_get(job, "failure"), "reason"), "No space left on device");
    assert_int_equal(json_number(job, "attempt"), 4);
    json_decref(job);
    cluster_wait_processes(c, "weir-worker", 0, CLUSTER_WAIT_MS);
}

/* State that cannot be written here fails the attempt, whatever is tolerated; the next one begins with what was stored. */
STORY(local_disk_full)
{
    char id[JOB_ID_MAX];
    fill_disk(c, "/local/", "30", "0");
    start(c, "1000", id);
    (void)proc_wait_log(c, c->jobmanager, "attempt 2 DEPLOYING -> RUNNING", 1);
    assert_true(proc_count_log(c->jobmanager, "attempt 2 restores checkpoint") == 1);
    cancel(c, id);
}

/* Folders that do not exist yet, named for the cluster and by a job, are made with their parents. */
STORY(storage_not_there_yet)
{
    char id[JOB_ID_MAX], own[CLUSTER_PATH_MAX + 64];
    (void)snprintf(own, sizeof own, "execution.checkpointing.dir=%s", in_dir(c, "a/job's/own"));
    set("WEIR_EXECUTION_CHECKPOINTING_DIR", in_dir(c, "the/cluster's"));
    set("WEIR_EXECUTION_CHECKPOINTING_INTERVAL", "50ms");
    cluster_start(c, 1, 2);
    job_submit(c, id, example_plugin("nexmark"), "--", "--query", "q18", "--events", "-1", "--pace", "1000", "--output", "blackhole", NULL);
    (void)wait_more(c, "completed in", 1);
    cancel(c, id);
    job_submit(c, id, "-D", own, example_plugin("nexmark"), "--", "--query", "q18", "--events", "-1", "--pace", "1000", "--output",
               "blackhole", NULL);
    (void)wait_more(c, "completed in", 1);
    cancel(c, id);
    assert_int_equal(access(in_dir(c, "the/cluster's"), F_OK), 0);
    assert_int_equal(access(in_dir(c, "a/job's/own"), F_OK), 0);
    assert_int_equal(proc_count_log(c->jobmanager, "failed, storage failure"), 0);
}

STORY_MAIN(STORY_TEST(storage_not_there_yet), STORY_TEST(storage_away_for_a_while), STORY_TEST(storage_away_for_good),
           STORY_TEST(corrupt_file), STORY_TEST(cut_file), STORY_TEST(missing_file), STORY_TEST(storage_full_once),
           STORY_TEST(storage_full_for_good), STORY_TEST(local_disk_full))
