/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What became of a job's checkpoints, for people: counts, the newest ones, the last of each kind, and the spread of durations and sizes, as
 * Flink's checkpoint statistics have them. Plain data of the coordinator (checkpoint.h). Owner: one thread.
 */
#ifndef WEIR_JOBMANAGER_CHECKPOINT_HISTORY_H
#define WEIR_JOBMANAGER_CHECKPOINT_HISTORY_H

#include "weir/base.h"

#define CKPT_HISTORY_MAX 10u /* newest checkpoints remembered one by one (Flink: web.checkpoints.history) */
#define CKPT_TEXT_MAX 512u   /* bytes of a path or reason shown; a longer one is cut */

/* Why a checkpoint was given up. The names are shown. */
enum ckpt_cause {
    CKPT_CAUSE_NONE,
    CKPT_CAUSE_EXPIRED,  /* not all had answered in time */
    CKPT_CAUSE_DECLINED, /* a worker could not take part: storage, alignment */
    CKPT_CAUSE_STORAGE,  /* the JobManager could not make the folder, or write the manifest */
    CKPT_CAUSE_CATALOG,  /* the number or the pointer was refused by the catalog */
    CKPT_CAUSE_LEDGER,   /* the two ends of a channel disagree: records were lost or doubled */
    CKPT_CAUSE_STOPPED,  /* the attempt failed, was canceled or has ended */
};
const char *ckpt_cause_name(enum ckpt_cause cause);

enum ckpt_status { CKPT_IN_PROGRESS = 1, CKPT_COMPLETED, CKPT_FAILED };
const char *ckpt_status_name(enum ckpt_status status); /* Flink's, "IN_PROGRESS" */

struct ckpt_stat {
    uint64_t id;
    uint32_t attempt;
    uint32_t options; /* set of enum checkpoint_option */
    bool manual;      /* somebody asked for it */
    enum ckpt_status status;
    enum ckpt_cause cause;
    uint32_t n_workers, n_acked;
    int64_t trigger_wall_ms, ack_wall_ms, end_wall_ms; /* begun; last answer; completed or given up. 0: not yet */
    int64_t duration_ms;
    uint64_t state_bytes, new_bytes;                  /* of all that it names; of what no checkpoint had stored before */
    uint64_t sync_us_max, align_us_max, async_us_max; /* of the slowest */
    char path[CKPT_TEXT_MAX];                         /* COMPLETED */
    char reason[CKPT_TEXT_MAX];                       /* FAILED: a sentence */
};

struct ckpt_spread {
    uint64_t n, least, most, sum;
};

struct ckpt_history {
    uint64_t n_total, n_completed, n_failed, n_restored; /* n_total: begun */
    uint32_t n;
    struct ckpt_stat recent[CKPT_HISTORY_MAX];     /* oldest first; the last one may be in progress */
    struct ckpt_stat completed, failed, savepoint; /* the last of each; id 0: none */
    uint64_t restored_id;                          /* the last one restored; 0: none */
    int64_t restored_wall_ms;
    char restored_path[CKPT_TEXT_MAX];
    struct ckpt_spread duration_ms, state_bytes, new_bytes; /* of completed ones */
};

/* A checkpoint begins. The entry may be changed until ckpt_history_end; it stays where it is until then. */
struct ckpt_stat *ckpt_history_begin(struct ckpt_history *h, const struct ckpt_stat *stat);
/* The newest entry, which is in progress, has come to its end as `status` says. */
void ckpt_history_end(struct ckpt_history *h, enum ckpt_status status, int64_t now_ms, int64_t began_ms, int64_t wall_ms);
void ckpt_history_restored(struct ckpt_history *h, uint64_t id, const char *path, int64_t wall_ms);

#endif
