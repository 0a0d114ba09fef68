/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs with a known outcome, for stories that disturb them: what they have to write is what the same job writes in a cluster of its own,
 * without faults and without checkpoints.
 */
#ifndef WEIR_TESTS_INTEGRATION_TASKS_H
#define WEIR_TESTS_INTEGRATION_TASKS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/cluster/cluster.h"

/* The cluster's configuration, by environment: checkpoints often, restarts soon, and as many as it takes. */
static inline void often(const char *interval)
{
    assert_int_equal(setenv("WEIR_EXECUTION_CHECKPOINTING_INTERVAL", interval, 1), 0);
    assert_int_equal(setenv("WEIR_RESTART_STRATEGY_TYPE", "fixed-delay", 1), 0);
    assert_int_equal(setenv("WEIR_RESTART_STRATEGY_FIXED_DELAY_ATTEMPTS", "1000000", 1), 0);
    assert_int_equal(setenv("WEIR_RESTART_STRATEGY_FIXED_DELAY_DELAY", "50ms", 1), 0);
}

#define NAMES_MAX 8

struct task {
    const char *plugin;
    const char *arguments[NAMES_MAX]; /* behind --, ending with NULL */
    const char *pace[3];              /* more of them, for the run with faults: so that it lasts a few seconds */
    const char *folders[NAMES_MAX];   /* of its output, ending with NULL; "" = the output itself */
};

static const struct task writer = {.plugin = "writer", .arguments = {"--rows", "60000"}, .pace = {"--pace", "15000"}, .folders = {""}};

static inline struct task nexmark(const char *query)
{
    return (struct task){.plugin = "nexmark",
                         .arguments = {"--query", query, "--events", "120000", "--splits", "4"},
                         .pace = {"--pace", "30000"},
                         .folders = {""}};
}

static inline const char *plugin_of(const struct task *task)
{
    return strcmp(task->plugin, "nexmark") == 0 ? example_plugin("nexmark") : job_plugin(task->plugin);
}

/* "run ..." with the task's arguments; argv has room. */
static inline void arguments(const struct task *task, const char *output, bool paced, const char **argv)
{
    size_t n = 0;
    argv[n++] = "--output";
    argv[n++] = output;
    for (size_t i = 0; task->arguments[i]; i++) argv[n++] = task->arguments[i];
    for (size_t i = 0; paced && task->pace[i]; i++) argv[n++] = task->pace[i];
    while (n < 16) argv[n++] = NULL;
}

/* The job by itself, in a cluster of its own. */
static inline void expect(struct cluster *c, const struct task *task)
{
    const char *a[16];
    arguments(task, in_dir(c, "expected"), false, a);
    struct said s = ctl_within(c, 60000, "run", "--local", "--parallelism", "1", plugin_of(task), "--", a[0], a[1], a[2], a[3], a[4], a[5],
                               a[6], a[7], a[8], a[9], NULL);
    if (s.code) fail_msg("jobctl ended with %d: %s", s.code, s.err);
}

static inline void submit(struct cluster *c, const struct task *task, const char *parallelism, char id[static JOB_ID_MAX])
{
    const char *a[16];
    arguments(task, in_dir(c, "out"), true, a);
    job_submit(c, id, "--parallelism", parallelism, plugin_of(task), "--", a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9],
               NULL);
}

static inline void same_output(struct cluster *c, const struct task *task)
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

#endif
