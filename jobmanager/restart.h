/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a job that failed is started again, and when: Flink's restart strategies, with their meanings and defaults. A core: no clock, no
 * randomness (the jitter is drawn from a seed, so that jobs which failed together do not come back together).
 *
 *     none               never
 *     fixed-delay        at most `attempts` times over the life of the job, `delay` after the failure
 *     failure-rate       as long as there were not more than `max_failures` failures within `interval`, `delay` after the failure
 *     exponential-delay  `initial` after the first failure, then times `multiplier` up to `max`, each spread by `jitter`; as at first when
 *                        the job ran for `reset` without one. At most `attempts` times between two such resets
 */
#ifndef WEIR_JOBMANAGER_RESTART_H
#define WEIR_JOBMANAGER_RESTART_H

#include "weir/base.h"

enum restart_kind { RESTART_NONE = 1, RESTART_FIXED_DELAY, RESTART_FAILURE_RATE, RESTART_EXPONENTIAL_DELAY };

#define RESTART_FAILURES_MAX 1000u /* of failure-rate: failures remembered, so also the largest rate */
#define RESTART_UNLIMITED UINT32_MAX

struct restart_config {
    enum restart_kind kind;
    uint32_t attempts;                       /* fixed-delay, exponential-delay; RESTART_UNLIMITED = any number */
    uint32_t max_failures;                   /* failure-rate, 1 ... RESTART_FAILURES_MAX */
    int64_t interval_ms;                     /* failure-rate */
    int64_t delay_ms;                        /* fixed-delay, failure-rate */
    int64_t initial_ms, max_ms, reset_ms;    /* exponential-delay */
    uint32_t multiplier_milli, jitter_milli; /* of a thousand: 1500 = times 1.5; 100 = up to a tenth more or less */
};

/* Flink's name, "exponential-delay". */
const char *restart_kind_name(enum restart_kind kind);

/* Embedded value. */
struct restart {
    struct restart_config config;
    uint64_t random;
    uint32_t restarts;    /* granted; of exponential-delay since the last reset */
    int64_t backoff_ms;   /* exponential-delay: of the next restart, without jitter */
    int64_t restarted_ms; /* exponential-delay: when the last granted restart was due; INT64_MIN = none */
    uint32_t n_failures;  /* failure-rate: those in `failed_ms` */
    int64_t *failed_ms;   /* the newest max_failures + 1, oldest first */
};

/* seed: of the jitter. Aborts without memory, as all control code. */
void restart_init(struct restart *r, const struct restart_config *config, uint64_t seed);
/* Another strategy, or other numbers: what was counted so far is forgotten. The same as before: nothing. */
void restart_configure(struct restart *r, const struct restart_config *config);
void restart_close(struct restart *r);

struct restart_decision {
    bool restart;
    int64_t delay_ms; /* from the failure; when restart */
    char why[160];    /* else: half a sentence, "3 failures within 60000 ms are too many (restart-strategy failure-rate)" */
};

/* The job has failed: what now? Each call counts as a failure. */
void restart_failed(struct restart *r, int64_t now_ms, struct restart_decision *out);

#endif
