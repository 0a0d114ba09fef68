/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of one job. A core: no socket, file, clock, thread or randomness.
 *
 *                 described, stored        PLACED            all RUNNING          COMMIT to all, all COMMITTED
 *   INITIALIZING ─────────────▶ CREATED ──────▶ DEPLOYING ───────────▶ RUNNING ────────────────────────────▶ FINISHED
 *        │                       ▲  │
 *        │        attempt stored │  └─ no slots ─▶ FAILING ◀── a worker failed, a TaskManager was lost, records were lost
 *        │                       │                  │   │      (from DEPLOYING and RUNNING)
 *        ├── not described ──────┼─────────────────▶│   └── all gone, and there is to be no restart ──▶ FAILED
 *        │                       └── RESTARTING ◀───┘ all gone, after a failure that the restart strategy forgives
 *        └── cancel ───────────────▶ CANCELLING ── all gone ──▶ CANCELED
 *                                    (from every state, and RUNNING before COMMIT, when the catalog holds that it was asked for)
 *
 * Found in the catalog by a new leader, with an attempt that may still run:
 *
 *                                every worker of the attempt is reported, and runs
 *   INITIALIZING ──▶ RECONCILING ─────────────────────────────────────────────────▶ RUNNING (nothing is restarted)
 *                        └── not within reconcile_ms, or one has failed, or is missing on TaskManagers that are all back ──▶ FAILING
 *
 * The new leader takes over the sequence of checkpoints: one that was under way is given up at the workers, a complete one is told again,
 * and what was being committed is committed again.
 *
 * FINISHED, FAILED and CANCELED are terminal: nothing leads out of them. The names are Flink's. A terminal state is entered when the
 * catalog holds it, so that no job is ever run again whose end somebody has seen.
 *
 * One attempt:  DEPLOY to each TaskManager ▶ READY from all ▶ START to all ▶ RUNNING from all ▶ PREPARED from all ▶ COMMIT to all ▶ ENDED.
 * Its number is in the catalog before it is placed, so it is never used twice, whoever crashes.
 *
 * With checkpoints (checkpoint.h) COMMIT comes after a last checkpoint (FINAL, or a savepoint that stops the job), so that a failure after
 * it restores and commits again. Without, COMMIT is the point of no return: the catalog is told before, workers are left to finish their
 * commit, and a failure says that output may be partly visible. In both a cancel comes too late then; COMMIT waits while one is being
 * stored, so a cancel that the catalog holds is obeyed by whoever leads: nobody can have been told to commit.
 *
 * The root cause is the first failure. One exception: a worker that merely reports that a peer does not answer (WEIR_E_UNREACHABLE) sees a
 * symptom; while the job is FAILING the first failure of another kind replaces it, so that a lost TaskManager is named by itself and not by
 * its neighbour.
 *
 * A restart restores the newest complete checkpoint; without checkpoints it begins anew. One that is damaged or missing ends the job by
 * name, unless `execution.state-recovery.older-checkpoint` allows to pass over it.
 *
 * The parts: job.c (states), job_submission.c (what a user hands in), job_failure.c (causes, restarts), job_recovery.c (found in the
 * catalog), job_workers.c (messages to and from workers), job_reconcile.c (workers of a leader before us), job_checkpoints.c (checkpoints,
 * restore), job_view.c.
 *
 * Memory: a failed allocation aborts (WEIR_ASSERT); this is control code.  Thread: one at a time.
 */
#ifndef WEIR_JOBMANAGER_JOB_H
#define WEIR_JOBMANAGER_JOB_H

#include "jobmanager/checkpoint.h"
#include "jobmanager/job_options.h"
#include "jobmanager/live.h"
#include "jobmanager/restart.h"
#include "runtime/checkpoint/manifest.h"
#include "runtime/plan/plan.h"
#include "runtime/wire/message.h"

enum job_state {
    JOB_INITIALIZING = 1, /* the graph is being described by a throw-away process */
    JOB_RECONCILING,      /* of a new leader: waits for TaskManagers to report the workers of the attempt, until deadline_ms */
    JOB_CREATED,          /* waits for slots, until deadline_ms */
    JOB_DEPLOYING,        /* workers are started and connected */
    JOB_RUNNING,          /* every worker steps its subtasks, or prepares, or commits */
    JOB_RESTARTING,       /* has failed, and will be started again at deadline_ms */
    JOB_FAILING,          /* has a root cause; waits until no worker of the attempt is left */
    JOB_CANCELLING,       /* cancel was asked for; waits until no worker of the attempt is left */
    JOB_FINISHED,         /* terminal: every worker committed */
    JOB_FAILED,           /* terminal: see failure */
    JOB_CANCELED,         /* terminal */
};

/* Flink's word for the state, "CANCELLING". */
const char *job_state_name(enum job_state state);
static inline bool job_state_terminal(enum job_state state)
{
    return state >= JOB_FINISHED;
}

/* How far the worker of one TaskManager has come. In order: each includes the ones before it. */
enum job_worker_state {
    JOB_WORKER_MISSING,  /* RECONCILING: no TaskManager has reported it yet */
    JOB_WORKER_DEPLOYED, /* DEPLOY was sent */
    JOB_WORKER_READY,    /* plugin loaded, endpoint known */
    JOB_WORKER_RUNNING,  /* connected, steps its subtasks */
    JOB_WORKER_PREPARED, /* done, output durable, not visible */
    /* gone: */
    JOB_WORKER_COMMITTED,
    JOB_WORKER_FAILED,
    JOB_WORKER_CANCELED,
    JOB_WORKER_LOST, /* was never reported, or its TaskManager was lost: whether it still runs is unknown, its messages are fenced */
};

static inline bool job_worker_gone(enum job_worker_state state)
{
    return state >= JOB_WORKER_COMMITTED;
}

struct job_failure {
    weir_err code;     /* WEIR_OK: none */
    char *operator_id; /* "" where no operator is to blame */
    int32_t subtask;   /* -1 where none */
    char *reason;      /* a sentence */
    char *taskmanager; /* where it happened; "" where none */
    bool symptom;      /* a worker saw that a peer does not answer; gives way to a cause */
    int64_t wall_ms;
};

struct job_option {
    const char *key, *value;
};

/* What a user hands in. Borrowed during the step that takes it; the job copies it. */
struct job_submission {
    struct weir_id id;            /* random, drawn by the driver */
    struct weir_digest digest;    /* of the plugin, already in the artifact store */
    uint64_t size;                /* of the plugin */
    const char *name;             /* as the user asked; "" = the plugin's choice */
    const char *cwd;              /* of the submitter */
    uint32_t parallelism;         /* default parallelism; 0 = 1 */
    uint32_t progress_timeout_ms; /* 0 = WEIR_PROGRESS_TIMEOUT_MS */
    uint32_t n_args;
    const char *const *args; /* argv[0] first */
    uint32_t n_options;
    const struct job_option *options; /* its own; they hide the cluster's */
    const char *from;                 /* folder of a savepoint or retained checkpoint to begin with, absolute; NULL or "" = none */
    bool from_claim;                  /* its files are the job's from now on: deleted when they are not needed */
    bool from_unmatched;              /* state of operators that the job does not have is left behind */
    struct weir_id predecessor;       /* of a rescaled job: the one it goes on for; else zero */
};

struct job_worker {
    uint64_t member;   /* the TaskManager (cluster.h); 0 once the worker is gone */
    char *taskmanager; /* its id and host, kept after it has gone */
    char *host;
    uint32_t n_slots; /* slots of the job that it runs */
    enum job_worker_state state;
    char *endpoint; /* of its data socket, from READY; "" before */
    struct weir_id incarnation;
    bool has_stats;
    struct wire_msg stats; /* last WORKER_STATS: counters as the worker sent them, subtasks checked (use job_subtask_stats) */
};

#define JOB_HISTORY_MAX 16 /* state changes remembered; the oldest goes */

#define JOB_FAILURES_MAX 8 /* failures before the last one that are remembered, newest last; the oldest goes */

/* What the catalog holds of a job, each under a key of its own (catalog_records.h). */
enum job_key {
    JOB_KEY_SUBMISSION,
    JOB_KEY_GRAPH,
    JOB_KEY_ATTEMPT,
    JOB_KEY_COUNTER,
    JOB_KEY_POINTERS,
    JOB_KEY_RESULT,
    JOB_KEY_CANCEL,
    JOB_KEY_REQUESTS,
    JOB_KEYS
};

/* The job that goes on for a rescaled one. */
struct job_successor {
    struct weir_id id; /* zero: none */
    uint32_t parallelism;
    char path[CKPT_TEXT_MAX]; /* of the savepoint it begins with, which it claims */
};

struct job_change {
    enum job_state state;
    int64_t wall_ms;
};

/* Fields may be read by anyone (the admin endpoint does); only job.c writes them. Pointers last until the next step of the master. */
struct job {
    struct weir_id id;
    uint64_t epoch;
    uint64_t number; /* order of submission, from 1 */
    struct weir_digest digest;
    uint64_t size;
    char *name; /* as submitted; see job_name */
    char *cwd;
    uint32_t parallelism;
    uint32_t progress_timeout_ms;
    uint32_t n_args;
    char **args;
    struct job_options options; /* the cluster's, hidden by its own */
    uint32_t n_options;
    struct job_option *own_options;
    char *from;
    bool from_claim, from_unmatched;
    struct weir_id predecessor;
    struct job_successor successor;

    enum job_state state;
    uint32_t attempt;                    /* 0 before the first placement; grows, never reused */
    uint64_t attempt_epoch;              /* of the leader that deployed it: its workers' messages carry it */
    bool committing;                     /* COMMIT was sent: no way back */
    bool started;                        /* START was sent */
    bool cancel_requested;               /* stored; also while FAILING: no restart then */
    bool cancel_storing, commit_waits;   /* a cancel is being stored; and COMMIT waits for that */
    bool unreported;                     /* the failure is that workers of a leader before us were not reported: the job is not to blame */
    bool fatal;                          /* the failure is one that no restart heals */
    uint32_t storing;                    /* set of 1 << enum job_key: puts that the state waits for */
    uint64_t last_put, put_of[JOB_KEYS]; /* numbers: of the last one, of the last one of each key */
    enum job_state outcome;              /* the terminal state that is being stored; 0: none */
    uint32_t n_restarts;
    enum restart_kind strategy; /* where its options name none: whether it has checkpoints was decided when it was submitted */
    struct restart restart;
    struct ckpt *ckpt;    /* NULL: no checkpoints */
    uint64_t restored_id; /* what the present attempt began with; 0: nothing */
    int64_t deadline_ms;  /* of the present state, monotonic; INT64_MAX = none */
    int64_t submitted_wall_ms;
    int64_t ended_wall_ms;                      /* 0 while it lives */
    uint32_t n_changes, n_history;              /* ever; remembered */
    struct job_change history[JOB_HISTORY_MAX]; /* the newest states entered, oldest first */
    struct job_failure failure;                 /* of the present attempt, or why the job has failed */
    uint32_t n_failures;
    struct job_failure failures[JOB_FAILURES_MAX]; /* that were overcome by a restart, oldest first */

    bool described; /* graph and plan are there */
    struct graph graph;
    struct plan *plan;

    uint32_t n_slots;      /* of the present or last attempt; subtask i of every vertex lives in slot i */
    uint32_t *slot_worker; /* worker index of each slot */
    uint32_t n_workers;
    struct job_worker *workers;
    uint32_t n_subtasks;                 /* over all vertices */
    struct wire_subtask_stats *subtasks; /* by vertex, then subtask; the last ones are kept after the end */

    uint32_t n_awaited;         /* RECONCILING: ... */
    char **awaited;             /* ... the TaskManagers that may have workers of the attempt; none: not known */
    uint64_t triggered;         /* RECONCILING: the newest checkpoint that a worker was told to take ... */
    uint32_t triggered_options; /* ... and what it was */

    uint32_t slot_wait_ms, describe_timeout_ms, start_timeout_ms, reconcile_ms; /* copied from the configuration */
    char *const *coordination;                                                  /* as in DEPLOY; NULL = "" */
};

/* ---- views ---- */

/* Name to show: as submitted, else the graph's, else "". */
const char *job_name(const struct job *job);
/* Statistics of a subtask, all zero before its worker reported. vertex and subtask must exist in the plan. */
const struct wire_subtask_stats *job_subtask_stats(const struct job *job, uint32_t vertex, uint32_t subtask);
/* Worker that runs subtask i of any vertex; NULL before the first placement. */
const struct job_worker *job_subtask_worker(const struct job *job, uint32_t subtask);
/* Flink's word for a subtask's state: CREATED, DEPLOYING, INITIALIZING, RUNNING, FINISHED, CANCELING, CANCELED or FAILED. */
const char *job_subtask_state(const struct job *job, uint32_t vertex, uint32_t subtask);

/* Where a request (checkpoint.h) stands. A stop is done when the job has ended; *why: NULL, or what went wrong. An end is never taken back.
 */
enum ckpt_request_state job_request_state(const struct job *job, const struct ckpt_request *request, const char **why);

/* ---- the core ---- */

struct job_config {
    uint64_t epoch;
    uint64_t number;
    uint32_t slot_wait_ms, describe_timeout_ms, start_timeout_ms, reconcile_ms;
    const struct job_options *options; /* the cluster's; copied */
    const char *checkpoint_dir;        /* where options.dir is ""; copied */
    char *const *coordination;         /* as in DEPLOY; what it points at may change. NULL = "" */
};

/* What a restarted JobManager finds of a job in the catalog. Borrowed, but the graph is taken. */
struct job_recovery {
    int64_t submitted_wall_ms;
    struct graph *graph; /* NULL: it was not stored yet */
    uint32_t attempt;    /* highest number used; 0: none */
    bool committing;     /* COMMIT may have been sent in that attempt, which had no checkpoints, unless: */
    bool cancel;         /* a cancel was asked for, in time */
    uint64_t counter;    /* of checkpoints; 0: none */
    uint32_t n_taskmanagers;
    const char *const *taskmanagers; /* that its workers were sent to; none: not known, if there ever were any */
    uint32_t n_pointers;
    const struct ckpt_pointer *pointers; /* oldest first */
    uint32_t n_requests;
    const struct ckpt_request *requests; /* in order of arrival; state: WAITING, DONE or FAILED */
    /* when it had ended: */
    enum job_state result; /* 0: it had not */
    int64_t ended_wall_ms;
    const struct job_failure *failure;
    const struct job_successor *successor;
};

/* A TaskManager that takes part in an attempt, in the order of worker indices. */
struct job_place {
    uint64_t member;
    const char *taskmanager, *host; /* borrowed */
};

enum job_event_type {
    JOB_EV_BEGIN,      /* first of all: submitted */
    JOB_EV_RECOVER,    /* or, instead, found in the catalog */
    JOB_EV_STORED,     /* answer to PUT */
    JOB_EV_DESCRIBED,  /* the graph, or why there is none */
    JOB_EV_OPENED,     /* answer to OPEN */
    JOB_EV_PLACED,     /* slots were found: begin the next attempt (only in CREATED) */
    JOB_EV_REPORTED,   /* a TaskManager that registers has this worker; outcome JOB_UNEXPECTED: it is not wanted */
    JOB_EV_ALL_BACK,   /* every TaskManager that is `awaited` is registered: what was not reported does not run any more */
    JOB_EV_MESSAGE,    /* of a worker; epoch, job and attempt were checked by the master */
    JOB_EV_LOST,       /* the TaskManager of a worker is lost */
    JOB_EV_CHECKPOINT, /* answer to BEGIN_CHECKPOINT or SEAL */
    JOB_EV_CLEANED,    /* answer to END_STORAGE */
    JOB_EV_REQUEST,    /* a user asks for a checkpoint, a savepoint, a stop; answer in actions.answer, or, if then awaited, by ACCEPTED */
    JOB_EV_CANCEL,     /* a user asks; answer in actions.answer, or, if then cancel_storing, by ACCEPTED */
    JOB_EV_TICK,       /* time passed */
};

struct job_event {
    enum job_event_type type;
    int64_t now_ms, wall_ms;
    union {
        const struct job_recovery *recover;
        struct {
            enum job_key key;
            uint64_t number;    /* as in the action */
            weir_err err;       /* WEIR_OK, or why not; then it certainly is not stored */
            const char *reason; /* borrowed */
        } stored;
        struct {
            weir_err err;
            const char *reason;  /* when err is not WEIR_OK; borrowed */
            struct graph *graph; /* otherwise; taken: moved out and left zeroed */
        } described;
        struct {
            weir_err err;
            const char *reason;
            const struct manifest *manifest; /* borrowed */
            const bool *has_state;           /* by operator of the manifest, in its order; borrowed */
            uint64_t bytes;                  /* of the manifest file */
            uint32_t crc32c;
        } opened;
        struct {
            uint32_t n_slots;
            const uint32_t *slot_worker; /* n_slots worker indices; borrowed */
            uint32_t n_workers;
            const struct job_place *places; /* borrowed */
        } placed;
        struct {
            const struct wire_worker *worker; /* of this job; borrowed */
            struct job_place place;
        } reported;
        struct {
            uint32_t worker;
            struct wire_msg *msg; /* borrowed, but a WORKER_STATS is taken: moved out and left zeroed */
        } message;
        struct {
            uint32_t worker;
            const char *reason; /* "TaskManager tm-1 (host) was lost: no answer for 3000 ms"; borrowed */
        } lost;
        struct {
            uint64_t id;
            bool sealed; /* of SEAL; else of BEGIN_CHECKPOINT */
            weir_err err;
            const char *reason;
            uint64_t bytes; /* SEAL: of the manifest file */
            uint32_t crc32c;
        } checkpoint;
        struct {
            weir_err err; /* something is left: it will be tried again when the JobManager starts anew */
        } cleaned;
        struct ckpt_request request;
        struct {
            uint32_t slots_free, slots_total; /* of the cluster, for the sentence of a job that found no slots */
        } tick;
    };
};

enum job_action_type {
    JOB_DO_ACCEPTED, /* what was asked for (`key`; `request`) is in the catalog, or (code, text) has no effect: who asked may be told */
    JOB_DO_DESCRIBE, /* run the describing process, then DESCRIBED */
    JOB_DO_STOP_DESCRIBE,    /* nobody waits for the description any more */
    JOB_DO_PUT,              /* the bytes under `key`, then STORED */
    JOB_DO_DELETE,           /* what is under `key` is not needed any more; no answer */
    JOB_DO_OPEN,             /* read the manifest of the checkpoint or savepoint at `from`, then OPENED */
    JOB_DO_KEEP,             /* the storage counts the checkpoint `id` at text, bytes and crc32c as retained; no answer */
    JOB_DO_BEGIN_CHECKPOINT, /* make its folder, at text, then CHECKPOINT */
    JOB_DO_SEAL,             /* complete it at text with the manifest in bytes, then CHECKPOINT */
    JOB_DO_DISCARD,          /* delete the checkpoint at text; no answer */
    JOB_DO_END_STORAGE,      /* nothing of the job is written any more: what is not retained goes, then CLEANED */
    JOB_DO_SEND,             /* the message at bytes[offset], length len, to the TaskManager `member` */
    JOB_DO_RELEASE,          /* the slots held for this attempt on `member` are free */
    JOB_DO_TELL,             /* text is worth a line in the log */
    JOB_DO_ENDED,            /* a terminal state was reached; last action of the job */
};

struct job_action {
    enum job_action_type type;
    uint64_t member;
    size_t offset, len;     /* in actions.bytes: message, value, manifest */
    size_t text;            /* in actions.bytes: a C string; 0 = none */
    enum wire_type message; /* what is sent, for trace lines */
    enum job_key key;
    weir_err code;          /* ACCEPTED */
    struct weir_id request; /* ACCEPTED: of JOB_KEY_REQUESTS; BEGIN_CHECKPOINT, SEAL, DISCARD: as in master.h */
    uint64_t id;            /* of a checkpoint; PUT: a number that STORED names */
    uint32_t options;       /* of a checkpoint */
    uint64_t bytes;         /* KEEP */
    uint32_t crc32c;
};

/* Outcome of a message, or of a report. */
enum job_outcome {
    JOB_TAKEN,
    JOB_LATE,       /* of a checkpoint that is over, or said twice; dropped */
    JOB_UNEXPECTED, /* does not fit the worker's state; dropped */
};

struct job_actions {
    uint32_t n, cap;
    struct job_action *at;
    struct buffer bytes;      /* of messages, values, texts */
    enum job_outcome outcome; /* of MESSAGE, REPORTED */
    struct weir_diag answer;  /* of CANCEL, REQUEST: OK, or STATE with a sentence */
};

/* Whether it can be a job at all, whatever the plugin says; `options` are the cluster's. Errors: WEIR_E_ARGUMENT. */
weir_err job_submission_check(const struct job_submission *sub, const struct job_options *options, struct weir_diag *diag);

/* A new job in INITIALIZING: BEGIN or RECOVER must be its first event. The submission was checked. */
void job_new(struct job **out, const struct job_config *config, const struct job_submission *sub, int64_t now_ms, int64_t wall_ms);
void job_destroy(struct job **job);

/*
 * The options that the job would have: `cluster`, its own over them, and what counts of the live settings for it. May be `cluster`.
 * Errors: WEIR_E_ARGUMENT: they do not fit together.
 */
weir_err job_options_with(const struct job *job, const struct job_options *cluster, const struct live_setting *live, uint32_t n,
                          struct job_options *out, struct weir_diag *diag);
/* Makes them its options from now on. Errors: the same; then it keeps those that it has. */
weir_err job_configure(struct job *job, const struct job_options *cluster, const struct live_setting *live, uint32_t n, int64_t now_ms,
                       struct weir_diag *diag);

/* The submission, to be stored, or handed in once more. Borrowed from the job; `options` has room for all of its own. */
struct job_submission job_submission_of(const struct job *job);

/* One step. `out` is cleared first. */
void job_step(struct job *job, const struct job_event *ev, struct job_actions *out);
/* When to call TICK at the latest; INT64_MAX: not by time. */
int64_t job_deadline_ms(const struct job *job);

void job_actions_init(struct job_actions *a);
void job_actions_close(struct job_actions *a);

#endif
