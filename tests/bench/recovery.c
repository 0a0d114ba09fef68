/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker with a GiB of state is killed: how long until its job is where it was. Two TaskManagers with a slot each, real processes; state
 * comes back from the local copies. Printed apart: until the death is known, until the attempt is gone, until the next one runs, until its
 * first row, until it is where the dead one had been. Checkpoints every second, no pause before the restart.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/bench.h"
#include "tests/bench/progress.h"
#include "tests/support/cluster/cluster.h"

#define FILL_MS 110000 /* for the state to be there and in a checkpoint */

static bool is_short;

static double wall_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* When a line was logged. */
static double logged_ms(const char *line)
{
    struct tm tm = {0};
    const char *rest = strptime(line, "%Y-%m-%dT%H:%M:%S", &tm);
    return rest ? (double)timegm(&tm) * 1e3 + strtod(rest, NULL) * 1e3 : 0;
}

static bool read_progress(struct cluster *c, pid_t pid, struct progress *out)
{
    char name[64];
    (void)snprintf(name, sizeof name, "progress-%d", (int)pid);
    int fd = open(in_dir(c, name), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    bool whole = read(fd, out, sizeof *out) == (ssize_t)sizeof *out;
    (void)close(fd);
    return whole;
}

#define WORKERS 2

static bool is_one_of(pid_t pid, const pid_t *pids)
{
    for (uint32_t i = 0; pids && i < WORKERS; i++)
        if (pids[i] == pid) return true;
    return false;
}

/* The furthest of the workers that run, and the earliest first row; without those of the dead attempt. */
static struct progress look(struct cluster *c, const pid_t *dead)
{
    struct progress all = {0}, one;
    pid_t pids[8];
    uint32_t n = cluster_processes(c, "weir-worker", pids, 8);
    for (uint32_t i = 0; i < n; i++) {
        if (is_one_of(pids[i], dead)) continue;
        if (!read_progress(c, pids[i], &one) || one.first_ns == 0) continue;
        if (all.first_ns == 0 || one.first_ns < all.first_ns) all.first_ns = one.first_ns;
        if (one.max_seq > all.max_seq) all.max_seq = one.max_seq;
    }
    return all;
}

static void wait_state(struct cluster *c, int64_t keys)
{
    int64_t deadline_ms = now_ms() + FILL_MS;
    struct progress now = look(c, NULL);
    while (now.max_seq < keys) {
        if (!wait_a_while(c, deadline_ms)) fail_msg("%lld rows of %lld", (long long)now.max_seq, (long long)keys);
        now = look(c, NULL);
    }
    uint32_t n = proc_count_log(c->jobmanager, "completed in");
    while (proc_count_log(c->jobmanager, "completed in") < n + 3) /* one may have begun before */
        if (!wait_a_while(c, deadline_ms)) fail_msg("no checkpoint of the whole state");
}

/* Waits, looking often: the processes are known by then. */
static double wait_progress(struct cluster *c, const pid_t *dead, int64_t least_seq, struct progress *out)
{
    int64_t deadline_ms = now_ms() + CLUSTER_WAIT_MS;
    do {
        *out = look(c, dead);
        if (out->first_ns && out->max_seq >= least_seq) return wall_ms();
    } while (wait_a_little(c, deadline_ms));
    fail_msg("the job does not come back");
    return 0;
}

static void report(double kill_ms, double ended_ms, double gone_ms, double created_ms, double running_ms, double first_ms, double caught_ms,
                   const char *restored)
{
    printf("  detection: death known          %8.0f ms\n", ended_ms - kill_ms);
    printf("  cancel: attempt gone            %8.0f ms\n", gone_ms - ended_ms);
    printf("  pause before the restart        %8.0f ms\n", created_ms - gone_ms);
    printf("  restore: started and running    %8.0f ms (of it state, in the slower worker: %.0f ms)\n", running_ms - created_ms,
           strtod(log_field(restored, "us="), NULL) / 1e3);
    printf("  catch-up: where it had been     %8.0f ms\n", caught_ms - running_ms);
    bench_verdict("seconds until the first row", (first_ms - kill_ms) / 1e3, "at most", 3);
}

static void recover(struct cluster *c)
{
    struct progress before = look(c, NULL), now;
    pid_t pids[8];
    assert_int_equal(cluster_processes(c, "weir-worker", pids, 8), WORKERS);
    double kill_ms = wall_ms();
    assert_int_equal(kill(pids[0], SIGKILL), 0);
    (void)wait_progress(c, pids, 0, &now);
    double first_ms = (double)now.first_ns / 1e6;
    double caught_ms = wait_progress(c, pids, before.max_seq, &now);
    double ended_ms = 0;
    const char *restored = "";
    for (uint32_t i = 0; i < WORKERS; i++) {
        if (proc_count_log(c->taskmanager[i], "killed: SIGKILL"))
            ended_ms = logged_ms(proc_wait_log(c, c->taskmanager[i], "killed: SIGKILL", 1));
        const char *line = proc_wait_log(c, c->taskmanager[i], "checkpoint restored", 1);
        if (!*restored || strtod(log_field(line, "us="), NULL) > strtod(log_field(restored, "us="), NULL)) restored = line;
    }
    printf("  restored by it: %.0f MiB, from local copies %.0f MiB\n", strtod(log_field(restored, " bytes="), NULL) / 1048576,
           strtod(log_field(restored, "from_local_bytes="), NULL) / 1048576);
    report(kill_ms, ended_ms, logged_ms(proc_wait_log(c, c->jobmanager, "-> RESTARTING", 1)),
           logged_ms(proc_wait_log(c, c->jobmanager, "attempt 2 CREATED -> DEPLOYING", 1)),
           logged_ms(proc_wait_log(c, c->jobmanager, "attempt 2 DEPLOYING -> RUNNING", 1)), first_ms, caught_ms, restored);
}

static void story(void **state)
{
    struct cluster *c = *state;
    char id[JOB_ID_MAX], keys[32];
    int64_t n = is_short ? 40000 : 2 << 20; /* a GiB a worker */
    (void)snprintf(keys, sizeof keys, "%lld", (long long)n);
    (void)setenv("WEIR_EXECUTION_CHECKPOINTING_INTERVAL", "1s", 1);
    (void)setenv("WEIR_RESTART_STRATEGY_TYPE", "fixed-delay", 1);
    (void)setenv("WEIR_RESTART_STRATEGY_FIXED_DELAY_DELAY", "0", 1);
    (void)setenv("WEIR_TASKMANAGER_MEMORY_MANAGED_SIZE", "2GiB", 1);
    printf("recovery of a worker with %.0f MiB of state\n", (double)n / 2048);
    cluster_start(c, WORKERS, 1);
    job_submit(c, id, "--parallelism", "2", WEIR_BENCH_JOBS "/recovery.so", "--", "--keys", keys, "--progress", c->dir, NULL);
    wait_state(c, n);
    recover(c);
    assert_int_equal(ctl(c, "cancel", id, NULL).code, 0);
    json_t *job = job_wait(c, id, "CANCELED");
    json_decref(job);
    c->dirty = true; /* the files of progress */
    c->passed = true;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(story, cluster_open, cluster_close)};
    is_short = argc > 1 && strcmp(argv[1], "--short") == 0;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
