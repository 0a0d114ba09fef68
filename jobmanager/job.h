/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of one job. A core: no socket, file, clock, thread or randomness.
 *
 *                  DESCRIBED         PLACED            all RUNNING          COMMIT to all, all COMMITTED
 *   INITIALIZING ─────────────▶ CREATED ──────▶ DEPLOYING ───────────▶ RUNNING ────────────────────────────▶ FINISHED
 *        │                         │
 *        ├── not described ────────┴─ no slots ─▶ FAILED ◀─ all gone ─ FAILING ◀── a worker failed, a TaskManager was lost
 *        │                         │                                             (from DEPLOYING and RUNNING)
 *        └── cancel ───────────────┴────────────▶ CANCELED ◀─ all gone ─ CANCELLING ◀── cancel
 *                                                                                (from DEPLOYING, and RUNNING before COMMIT)
 *
 * FINISHED, FAILED and CANCELED are terminal: nothing leads out of them. The names are Flink's.
 *
 * One attempt:  DEPLOY to each TaskManager ▶ READY from all ▶ START to all ▶ RUNNING from all ▶ PREPARED from all ▶ COMMIT to all ▶ ENDED.
 * COMMIT is the point of no return: from then on a cancel comes too late, workers are left to finish their commit, and a failure says that
 * output may be partly visible.
 *
 * The root cause is the first failure. One exception: a worker that merely reports that a peer does not answer (WEIR_E_UNREACHABLE) sees a
 * symptom; while the job is FAILING the first failure of another kind replaces it, so that a lost TaskManager is named by itself and not by
 * its neighbour.
 *
 * There is no restart yet. A restart strategy will lead from FAILING back to CREATED; the next placement then takes attempt + 1.
 *
 * Memory: a failed allocation aborts (WEIR_ASSERT); this is control code.  Thread: one at a time.
 */
#ifndef WEIR_JOBMANAGER_JOB_H
#define WEIR_JOBMANAGER_JOB_H

#include "runtime/plan/plan.h"
#include "runtime/wire/message.h"

enum job_state {
    JOB_INITIALIZING = 1, /* the graph is being described by a throw-away process */
    JOB_CREATED,          /* waits for slots, until deadline_ms */
    JOB_DEPLOYING,        /* workers are started and connected */
    JOB_RUNNING,          /* every worker steps its subtasks, or prepares, or commits */
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
    JOB_WORKER_DEPLOYED, /* DEPLOY was sent */
    JOB_WORKER_READY,    /* plugin loaded, endpoint known */
    JOB_WORKER_RUNNING,  /* connected, steps its subtasks */
    JOB_WORKER_PREPARED, /* done, output durable, not visible */
    /* gone: */
    JOB_WORKER_COMMITTED,
    JOB_WORKER_FAILED,
    JOB_WORKER_CANCELED,
    JOB_WORKER_LOST, /* its TaskManager was lost: whether it still runs is unknown, its messages are fenced */
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

#define JOB_HISTORY_MAX 16 /* state changes remembered; when full the newest overwrites the last entry */

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

    enum job_state state;
    uint32_t attempt;      /* 0 before the first placement; grows, never reused */
    bool committing;       /* COMMIT was sent: no way back */
    bool started;          /* START was sent */
    bool cancel_requested; /* also while FAILING: no restart then */
    int64_t deadline_ms;   /* of the present state, monotonic; INT64_MAX = none */
    int64_t submitted_wall_ms;
    int64_t ended_wall_ms; /* 0 while it lives */
    uint32_t n_history;
    struct job_change history[JOB_HISTORY_MAX]; /* every state entered, oldest first */
    struct job_failure failure;

    bool described; /* graph and plan are there */
    struct graph graph;
    struct plan *plan;

    uint32_t n_slots;      /* of the present or last attempt; subtask i of every vertex lives in slot i */
    uint32_t *slot_worker; /* worker index of each slot */
    uint32_t n_workers;
    struct job_worker *workers;
    uint32_t n_subtasks;                 /* over all vertices */
    struct wire_subtask_stats *subtasks; /* by vertex, then subtask; the last ones are kept after the end */

    uint32_t slot_wait_ms, describe_timeout_ms, start_timeout_ms; /* copied from the configuration */
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

/* ---- the core ---- */

struct job_config {
    uint64_t epoch;
    uint64_t number;
    uint32_t slot_wait_ms, describe_timeout_ms, start_timeout_ms;
};

/* A TaskManager that takes part in an attempt, in the order of worker indices. */
struct job_place {
    uint64_t member;
    const char *taskmanager, *host; /* borrowed */
};

enum job_event_type {
    JOB_EV_DESCRIBED, /* the graph, or why there is none */
    JOB_EV_PLACED,    /* slots were found: begin the next attempt (only in CREATED) */
    JOB_EV_MESSAGE,   /* of a worker; epoch, job and attempt were checked by the master */
    JOB_EV_LOST,      /* the TaskManager of a worker is lost */
    JOB_EV_CANCEL,    /* a user asks; answer in actions.outcome */
    JOB_EV_TICK,      /* time passed */
};

struct job_event {
    enum job_event_type type;
    int64_t now_ms, wall_ms;
    union {
        struct {
            weir_err err;
            const char *reason;  /* when err is not WEIR_OK; borrowed */
            struct graph *graph; /* otherwise; taken: moved out and left zeroed */
        } described;
        struct {
            uint32_t n_slots;
            const uint32_t *slot_worker; /* n_slots worker indices; borrowed */
            uint32_t n_workers;
            const struct job_place *places; /* borrowed */
        } placed;
        struct {
            uint32_t worker;
            struct wire_msg *msg; /* borrowed, but a WORKER_STATS is taken: moved out and left zeroed */
        } message;
        struct {
            uint32_t worker;
            const char *reason; /* "TaskManager tm-1 (host) was lost: no answer for 3000 ms"; borrowed */
        } lost;
        struct {
            uint32_t slots_free, slots_total; /* of the cluster, for the sentence of a job that found no slots */
        } tick;
    };
};

enum job_action_type {
    JOB_DO_STOP_DESCRIBE, /* nobody waits for the description any more */
    JOB_DO_SEND,          /* the message at bytes[offset], length len, to the TaskManager `member` */
    JOB_DO_RELEASE,       /* the slots held for this attempt on `member` are free */
    JOB_DO_ENDED,         /* a terminal state was reached; last action of the job */
};

struct job_action {
    enum job_action_type type;
    uint64_t member;
    size_t offset, len;
    enum wire_type message; /* what is sent, for trace lines */
};

/* Outcome of a message. */
enum job_outcome {
    JOB_TAKEN,
    JOB_UNEXPECTED, /* does not fit the worker's state; dropped */
};

struct job_actions {
    uint32_t n, cap;
    struct job_action *at;
    struct buffer bytes;      /* of messages to send */
    enum job_outcome outcome; /* of MESSAGE */
    struct weir_diag answer;  /* of CANCEL: OK, or STATE with a sentence */
};

/* Whether it can be a job at all, whatever the plugin says. Errors: WEIR_E_ARGUMENT. */
weir_err job_submission_check(const struct job_submission *sub, struct weir_diag *diag);

/* A new job in INITIALIZING: the master emits DESCRIBE for it. The submission was checked. */
void job_new(struct job **out, const struct job_config *config, const struct job_submission *sub, int64_t now_ms, int64_t wall_ms);
void job_destroy(struct job **job);

/* One step. `out` is cleared first. */
void job_step(struct job *job, const struct job_event *ev, struct job_actions *out);

void job_actions_init(struct job_actions *a);
void job_actions_close(struct job_actions *a);

#endif
