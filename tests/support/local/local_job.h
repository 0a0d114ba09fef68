/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a job inside the calling process: one worker, all its slots as task threads, no network. For tests and benchmarks of the real record
 * path; user functions are linked into the program instead of loaded.
 */
#ifndef WEIR_TESTS_SUPPORT_LOCAL_JOB_H
#define WEIR_TESTS_SUPPORT_LOCAL_JOB_H

#include "taskmanager/worker/deployment.h"

struct local_job {
    struct deployment *d;
    struct blackbox *box;
    struct wire_msg stats; /* the last counters of all threads */
    const char *failed_id; /* operator that failed */
    struct wire_split *splits;
    uint32_t n_splits;
};

/*
 * State and frames of the jobs run from here on; zeros: state in memory without limit, frames of the default size. With segment 1 every
 * batch is one record.
 */
extern struct deployment_state local_job_state;

/* Job, attempt, deploy.checkpoint and deploy.restore of the jobs deployed from here on; zeros: the first attempt of one without
 * checkpoints. */
extern struct wire_msg local_job_order;

/*
 * With `look`: called about every `every_us` while a job runs, by the thread that called local_job_run, with job->stats as the threads told
 * them when they were asked the time before. A step that lasts longer than every_us answers late.
 */
struct local_job_watch {
    void (*look)(const struct local_job *job, void *arg);
    void *arg;
    int64_t every_us;
};
extern struct local_job_watch local_job_watch;

/* For main: runs a table of cmocka tests with frames of the default size, and again with one record in each. Gives how many failed. */
#define LOCAL_JOB_RUN_TESTS(tests)                                                        \
    __extension__({                                                                       \
        int failed_ = cmocka_run_group_tests_name("default frames", tests, NULL, NULL);   \
        local_job_state.segment = 1;                                                      \
        failed_ + cmocka_run_group_tests_name("frames of one record", tests, NULL, NULL); \
    })

/*
 * Builds the graph with `build`, deploys it with `parallelism` slots and runs it until everything is committed or something fails.
 * Errors: of the build, or the first failure of a subtask with its sentence in diag. local_job_close in any case.
 */
weir_err local_job_run(struct local_job *job, weir_job_fn build, uint32_t parallelism, int argc, char **argv, struct weir_diag *diag);
/* The same without running it, for a test that steps the subtasks of job->d itself. Errors: of the build. local_job_close in any case. */
weir_err local_job_deploy(struct local_job *job, weir_job_fn build, uint32_t parallelism, int argc, char **argv, struct weir_diag *diag);
void local_job_close(struct local_job *job);

/* Sum over subtasks of a user counter. */
uint64_t local_job_counter(const struct local_job *job, const char *operator_id, const char *name);

#endif
