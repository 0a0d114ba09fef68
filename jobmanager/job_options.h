/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a job is checkpointed and restarted: options with Flink's names and defaults. The cluster's come from the JobManager's configuration,
 * a job's own (`jobctl run -D key=value`) hide them. docs/reference/configuration.md tells of each.
 */
#ifndef WEIR_JOBMANAGER_JOB_OPTIONS_H
#define WEIR_JOBMANAGER_JOB_OPTIONS_H

#include "jobmanager/restart.h"
#include "runtime/base/config.h"

#define JOB_OPTIONS_MAX 64u    /* options of one submission; with more it is refused */
#define JOB_PATH_MAX 448       /* bytes of a folder of checkpoints; names below it have to fit CKPT_TEXT_MAX */
#define JOB_INTERVAL_MIN_MS 10 /* shorter intervals are refused, as Flink's are */

/* What stays when a job has ended; of FINISHED jobs nothing. Flink's names. */
enum job_retention {
    JOB_RETAIN_NOTHING,            /* NO_EXTERNALIZED_CHECKPOINTS */
    JOB_RETAIN_ON_FAILURE,         /* DELETE_ON_CANCELLATION */
    JOB_RETAIN_ON_CANCEL_AND_FAIL, /* RETAIN_ON_CANCELLATION */
};

struct job_options {
    int64_t interval_ms; /* 0 = only what is asked for */
    int64_t min_pause_ms, timeout_ms, alignment_timeout_ms;
    uint32_t tolerable_failures, n_retained;
    char dir[JOB_PATH_MAX];           /* "" = the JobManager's own folder of checkpoints */
    char savepoint_dir[JOB_PATH_MAX]; /* "" = the JobManager's own */
    bool at_least_once;
    enum job_retention retention;
    int64_t restore_timeout_ms;
    bool older_checkpoint;      /* a restore point that is damaged or missing is passed over */
    enum restart_kind strategy; /* 0 = by default: exponential-delay with checkpoints, none without */
    uint32_t fixed_attempts, rate_failures, backoff_attempts;
    int64_t fixed_delay_ms, rate_delay_ms, rate_interval_ms;
    int64_t backoff_initial_ms, backoff_max_ms, backoff_reset_ms;
    uint32_t backoff_multiplier_milli, backoff_jitter_milli;
};

/* Checkpoints are possible: by the interval, or because somebody says where they go. */
bool job_options_checkpoints(const struct job_options *options);

void job_options_default(struct job_options *out);

/*
 * Sets one option from text. Errors: WEIR_E_ARGUMENT with what would be right, the nearest name for an unknown one.
 */
weir_err job_options_set(struct job_options *options, const char *name, const char *text, struct weir_diag *diag);

/* The strategy that they choose, with its numbers. */
struct restart_config job_options_restart(const struct job_options *options);

/* Does everything fit together? After the last job_options_set. Errors: WEIR_E_ARGUMENT. */
weir_err job_options_check(const struct job_options *options, struct weir_diag *diag);

/* The keys, for the JobManager's configuration: put into its table as they are. */
#define JOB_OPTION_KEYS                                                                                                                    \
    {"execution.checkpointing.interval", CONFIG_DURATION, "0", .help = "pause between checkpoints; 0 = only when asked for"},              \
        {"execution.checkpointing.min-pause", CONFIG_DURATION, "0", .help = "from the end of one to the next"},                            \
        {"execution.checkpointing.timeout", CONFIG_DURATION, "10m", .min = 1, .max = INT64_MAX, .help = "a slower one is given up"},       \
        {"execution.checkpointing.alignment-timeout", CONFIG_DURATION, "0", .max = INT32_MAX,                                              \
         .help = "a checkpoint whose barriers wait longer for each other is given up; 0 = its timeout alone"},                             \
        {"execution.checkpointing.tolerable-failed-checkpoints", CONFIG_INT, "0", .max = INT32_MAX,                                        \
         .help = "so many in a row may fail before the job does"},                                                                         \
        {"execution.checkpointing.dir", CONFIG_STR, "",                                                                                    \
         .help = "folder of checkpoints, seen by all machines; by default in the data folder"},                                            \
        {"execution.checkpointing.savepoint-dir", CONFIG_STR, "",                                                                          \
         .help = "folder of savepoints without a path; by default in the data folder"},                                                    \
        {"execution.checkpointing.mode", CONFIG_STR, "EXACTLY_ONCE", .help = "EXACTLY_ONCE or AT_LEAST_ONCE"},                             \
        {"execution.checkpointing.externalized-checkpoint-retention", CONFIG_STR, "NO_EXTERNALIZED_CHECKPOINTS",                           \
         .help = "what stays after the job: RETAIN_ON_CANCELLATION, DELETE_ON_CANCELLATION, NO_EXTERNALIZED_CHECKPOINTS"},                 \
        {"state.checkpoints.num-retained", CONFIG_INT, "3", .min = 1, .max = 100, .help = "complete checkpoints kept"},                    \
        {"execution.state-recovery.older-checkpoint", CONFIG_BOOL, "false",                                                                \
         .help = "restore an older checkpoint when the newest is damaged: output may be doubled"},                                         \
        {"execution.state-recovery.timeout",                                                                                               \
         CONFIG_DURATION,                                                                                                                  \
         "30m",                                                                                                                            \
         .min = 1,                                                                                                                         \
         .max = INT32_MAX,                                                                                                                 \
         .help = "an attempt whose workers are not back with their state after so long fails"},                                            \
        {"restart-strategy.type", CONFIG_STR, "",                                                                                          \
         .help = "none, fixed-delay, failure-rate, exponential-delay; by default the last with checkpoints, none without"},                \
        {"restart-strategy.fixed-delay.attempts", CONFIG_INT, "1", .max = UINT32_MAX - 1, .help = "restarts of a job"},                    \
        {"restart-strategy.fixed-delay.delay", CONFIG_DURATION, "1s", .help = "from failure to restart"},                                  \
        {"restart-strategy.failure-rate.max-failures-per-interval",                                                                        \
         CONFIG_INT,                                                                                                                       \
         "1",                                                                                                                              \
         .min = 1,                                                                                                                         \
         .max = RESTART_FAILURES_MAX,                                                                                                      \
         .help = "more of them end the job"},                                                                                              \
        {"restart-strategy.failure-rate.failure-rate-interval", CONFIG_DURATION, "1m", .help = "in which they are counted"},               \
        {"restart-strategy.failure-rate.delay", CONFIG_DURATION, "1s", .help = "from failure to restart"},                                 \
        {"restart-strategy.exponential-delay.initial-backoff", CONFIG_DURATION, "1s", .help = "from the first failure to the restart"},    \
        {"restart-strategy.exponential-delay.max-backoff", CONFIG_DURATION, "1m", .min = 1, .max = INT32_MAX, .help = "never longer"},     \
        {"restart-strategy.exponential-delay.backoff-multiplier", CONFIG_STR, "1.5",                                                       \
         .help = "each delay is so many times the one before"},                                                                            \
        {"restart-strategy.exponential-delay.reset-backoff-threshold", CONFIG_DURATION, "1h", .help = "begin anew after so long without"}, \
        {"restart-strategy.exponential-delay.jitter-factor", CONFIG_STR, "0.1", .help = "up to this share more or less"},                  \
    {                                                                                                                                      \
        "restart-strategy.exponential-delay.attempts-before-reset-backoff", CONFIG_STR, "infinite", .help = "restarts between two resets"  \
    }

/* What the JobManager's configuration says. Errors: of job_options_set, job_options_check. */
weir_err job_options_from_config(struct job_options *out, const struct config *config, struct weir_diag *diag);

#endif
