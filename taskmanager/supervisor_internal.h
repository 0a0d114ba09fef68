/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The supervisor's parts, which share one structure: supervisor.c (the link, orders, the step), supervisor_worker.c (a worker's life),
 * supervisor_report.c (what a new leader is told of workers), supervisor_artifact.c (plugins), supervisor_copies.c (local copies). Nobody
 * else includes this.
 */
#ifndef WEIR_TASKMANAGER_SUPERVISOR_INTERNAL_H
#define WEIR_TASKMANAGER_SUPERVISOR_INTERNAL_H

#include <string.h>

#include "taskmanager/supervisor.h"

enum { ENDED_KEPT = 256 }; /* ended attempts remembered, so that a repeated DEPLOY does not start them again */

/* How a worker ended, or why it had to; strings are owned. */
struct words {
    enum wire_outcome outcome; /* 0 = not known yet */
    weir_err code;
    char *operator_id, *reason;
    int32_t subtask;
};

struct worker {
    struct weir_id job;
    uint32_t attempt;
    uint64_t epoch;
    enum supervisor_worker_state state;
    uint32_t n_slots;
    struct weir_digest digest;
    uint32_t progress_timeout_ms;
    bool canceling;
    void *deploy; /* encoded; until SPAWN */
    size_t deploy_len;
    int64_t heard_ms;          /* STARTED, UP: last message, or the start */
    int64_t ready_ms;          /* FETCHING, STARTED: when it is too late */
    int64_t leave_ms;          /* when it must be gone: after CANCEL or ENDED; INT64_MAX before */
    struct words said;         /* by the worker itself, in ENDED */
    struct words sentence;     /* by us, with KILL */
    struct words last;         /* GONE: how it has ended */
    struct wire_worker report; /* what a new leader is told of it; job, attempt and epoch are those above; slots, endpoint: owned */
};

enum artifact_state { ARTIFACT_FETCHING, ARTIFACT_STORING, ARTIFACT_READY };

struct artifact {
    struct weir_digest digest;
    enum artifact_state state;
    uint64_t total;     /* 0 before the first chunk */
    uint64_t expected;  /* offset of the next chunk to come */
    uint64_t requested; /* offset of the next chunk to ask for */
    uint64_t used;      /* grows with each use, to find the one used longest ago */
};

enum { LOCAL_COPIES_MAX = WEIR_SLOTS_MAX + 64 }; /* jobs with local copies; above, the one idle for longest loses its own */

struct local_copies {
    struct weir_id job;
    int64_t idle_since_ms; /* since then no worker of the job is here; INT64_MAX = one is */
    bool forgotten;        /* the job has ended: they go with the worker */
};

struct ended_attempt {
    struct weir_id job;
    uint32_t attempt;
    uint64_t epoch;
    enum wire_outcome outcome;
    uint32_t worker, n_workers; /* these and the next: as it was reported */
    uint64_t triggered;
    uint32_t options;
};

struct supervisor {
    struct supervisor_config config;
    char *taskmanager, *host, *version;
    enum supervisor_state state;
    uint64_t epoch; /* highest seen */
    uint64_t n_incarnations;
    struct link *link;                           /* NULL in STOPPING when it has died */
    uint32_t heartbeat_ms, heartbeat_timeout_ms; /* of the link and of the next one */
    bool reconnect;                              /* tell the driver of the new link */
    bool refused;                                /* STOPPING: the JobManager does not want us */
    char *stop_reason;
    int64_t farewell_ms;      /* STOPPING without workers: leave then; INT64_MAX before */
    int64_t again_ms;         /* REGISTERING, with nobody to register with: begin a link then */
    uint32_t pause_ms;        /* before the next such */
    bool connected;           /* there is a connection below the link */
    char *leader;             /* where that one goes; NULL = to the next address */
    enum log_level log_level; /* the live setting's, else the configuration's; workers have it, too */
    int64_t leader_wait_ms;   /* the live setting's, else the configuration's */
    int64_t leader_ms;        /* REGISTERING: workers are ended then; INT64_MAX: none has been without a leader */

    struct slots slots;
    uint32_t n_workers;
    struct worker *workers[WEIR_SLOTS_MAX]; /* in order of DEPLOY; each holds a slot at least */
    uint32_t n_artifacts;
    struct artifact artifacts[SUPERVISOR_ARTIFACTS_MAX];
    uint64_t uses;
    uint32_t n_copies;
    struct local_copies copies[LOCAL_COPIES_MAX];
    uint32_t n_ended; /* all there ever were; the last ENDED_KEPT are in the ring */
    struct ended_attempt ended[ENDED_KEPT];
    struct supervisor_counts counts;

    /* of the step that runs */
    int64_t now_ms;
    int64_t due_ms; /* deadline that the last step told */
    struct supervisor_actions *out;
    struct buffer packet;
};

/* ---- supervisor.c ---- */

void supervisor_trace(struct supervisor *s, bool notable, const char *fmt, ...) WEIR_PRINTF(3, 4);
char *supervisor_copy_text(const char *text); /* NULL: ""; never NULL */
/* Adds an action; its address lasts until the next one. */
struct supervisor_action *supervisor_act(struct supervisor *s, enum supervisor_action_type type);
/* A copy that lives as long as the actions of this step, with a NUL behind it. */
struct weir_bytes supervisor_keep(struct supervisor *s, const void *data, size_t len);
/* To the JobManager; nothing when there is no link. */
void supervisor_tell(struct supervisor *s, const struct wire_msg *msg);
void supervisor_tell_bytes(struct supervisor *s, const void *data, size_t len);

/* ---- supervisor_worker.c ---- */

/* NULL: there is none. */
struct worker *worker_find(const struct supervisor *s, struct weir_id job, uint32_t attempt);
struct worker *worker_of_job(const struct supervisor *s, struct weir_id job);
bool worker_has_ended(const struct supervisor *s, struct weir_id job, uint32_t attempt);
/* From a DEPLOY message and its bytes; its slots have been taken. */
struct worker *worker_new(struct supervisor *s, const struct wire_msg *msg, uint32_t n_slots, struct weir_bytes bytes);
void worker_destroy(struct worker *w);
/* Its plugin is here: its process starts. */
void worker_spawn(struct supervisor *s, struct worker *w);
void worker_send(struct supervisor *s, const struct worker *w, struct weir_bytes bytes);
void worker_cancel(struct supervisor *s, struct worker *w, struct weir_bytes bytes);
/* Tells all that have a process, of which new ones are told at their start. */
void workers_tell_log_level(struct supervisor *s);
/* Ends a worker whatever it does. One without a process is finished at once: `w` may be gone afterwards. */
void worker_kill(struct supervisor *s, struct worker *w, enum wire_outcome outcome, weir_err code, const char *reason);
void workers_kill(struct supervisor *s, weir_err code, const char *reason);
/* The JobManager has gone: a worker whose plugin was on its way will not get it. */
void workers_end_fetching(struct supervisor *s);
/* Tells how those that are GONE have ended, and forgets them. */
void workers_tell_gone(struct supervisor *s);
/* One that has no process: tells the JobManager how it ended, and forgets it. */
void worker_finish_now(struct supervisor *s, struct worker *w, enum wire_outcome outcome, weir_err code, const char *reason);
/* Tells the JobManager of a deployment that did not come to a worker. */
void worker_refuse(struct supervisor *s, const struct wire_msg *deploy, weir_err code, const char *reason);
void worker_said(struct supervisor *s, const struct supervisor_event *ev);
void worker_exited(struct supervisor *s, const struct supervisor_event *ev);
/* When the next watch on it runs out; workers_watch then ends it. */
int64_t worker_deadline(const struct supervisor *s, const struct worker *w);
void workers_watch(struct supervisor *s);
/* The TaskManager itself was away for so long: what workers said meanwhile has not been read yet, and is not silence of theirs. */
void workers_forgive(struct supervisor *s, int64_t away_ms);

/* ---- supervisor_report.c ---- */

/* From a DEPLOY message, and from what passes by afterwards. */
void report_init(struct worker *w, const struct wire_msg *deploy);
void report_said(struct worker *w, const struct wire_msg *msg);
void report_ordered(struct worker *w, const struct wire_msg *msg);
void report_close(struct worker *w);
/* What is remembered of it when it has ended. */
struct ended_attempt report_ended(const struct worker *w, enum wire_outcome outcome);
/* The rows of a REGISTER: workers that are here, and those that have committed lately. `out`: room for WIRE_REPORTS_MAX. Gives how many. */
uint32_t report_fill(const struct supervisor *s, struct wire_worker *out);

/* ---- supervisor_artifact.c ---- */

/* The plugin for a new worker: from the cache, or on its way. */
void artifact_provide(struct supervisor *s, struct worker *w);
void artifact_chunk(struct supervisor *s, const struct wire_msg *msg);
void artifact_ready(struct supervisor *s, struct weir_digest digest);
void artifact_failed(struct supervisor *s, const struct supervisor_event *ev);
/* A worker has waited too long for it: it is on its way, but does not come. */
void artifact_expire(struct supervisor *s, struct weir_digest digest);
/* Gives up the fetches that are under way: the link that carried them is dead. */
void artifact_drop_fetches(struct supervisor *s);

/* ---- supervisor_copies.c ---- */

/* A worker of a job with checkpoints, or of one that begins from one, is here; it has ended. */
void copies_use(struct supervisor *s, struct weir_id job);
void copies_rest(struct supervisor *s, struct weir_id job);
/* Nobody will restore the job here any more. */
void copies_forget(struct supervisor *s, struct weir_id job);
/* When copies_expire has something to do: nobody has come back to a job for WEIR_LOCAL_COPIES_MS. */
int64_t copies_deadline(const struct supervisor *s);
void copies_expire(struct supervisor *s);

#endif
