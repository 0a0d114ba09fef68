/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The TaskManager's core: registers with the JobManager, fetches plugins, starts, watches and ends workers, and relays what they say.
 *
 *                    REGISTERED                link dead
 *   REGISTERING ──────────────▶ REGISTERED ──────────────▶ REGISTERING (new incarnation, next address)
 *        │ link dead: new incarnation, again     │ STOP
 *        │ REFUSED (also later), STOP            ▼
 *        └──────────────────────────────▶ STOPPING ── every worker gone, JobManager told (or a second passed) ──▶ EXIT
 *
 * Workers outlive the link: REGISTER reports them, so that the next leader can adopt them (docs/protocol/control.md). One that ends while
 * there is no JobManager is GONE until one can be told. When none has answered for leader_wait_ms, all of them are killed.
 *
 * A worker (one per job and attempt; its slots are taken from DEPLOY to its end):
 *
 *   FETCHING ── plugin here ──▶ STARTED ── READY ──▶ UP ── ENDED message ──▶ LEAVING ── EXITED ──▶ WORKER_ENDED is told, worker forgotten
 *      │                           │
 *      │ CANCEL, fetch failed      └── KILL (see below) ──────▶ KILLED ── EXITED ──▶ as above, with the reason of the kill
 *      └──▶ WORKER_ENDED at once
 *
 * KILL is for a worker that is silent, stalled, not ready in time, not gone in time after CANCEL or ENDED, or that sends what it must not;
 * and for all of them when there is no JobManager for too long or the TaskManager stops.
 *
 * Local copies of checkpoints lie in a folder per job. They outlive its workers, and are dropped when the JobManager says that the job has
 * ended, or when no worker of it has come back for WEIR_LOCAL_COPIES_MS.
 *
 * A core: no socket, file, clock, thread or randomness. The driver waits until `deadline_ms` or an event, calls supervisor_step, performs
 * the actions in order. There is one peer, the JobManager. Packets may be lost, doubled, delayed and reordered; the link inside the core
 * makes up for it. A connection that breaks is nothing: the transport makes it again. When it cannot, since nobody listens there any more,
 * the link is dead at once.
 *
 * Fencing: messages of an older epoch than the newest one heard of are dropped. A DEPLOY of an attempt that runs or has ended here is not
 * started again; one of an older attempt of a job that runs here is refused with WORKER_ENDED; a newer attempt while an older one still
 * runs is refused as well (the JobManager waits for the end of the older one).
 *
 * Memory: a failed allocation aborts (WEIR_ASSERT); this is control code.  Thread: one at a time.
 */
#ifndef WEIR_TASKMANAGER_SUPERVISOR_H
#define WEIR_TASKMANAGER_SUPERVISOR_H

#include "runtime/base/limits.h"
#include "runtime/base/log.h"
#include "runtime/wire/message.h"
#include "taskmanager/slots.h"

struct supervisor;

enum { SUPERVISOR_ARTIFACTS_MAX = 64 }; /* plugins in the cache; above, the one used longest ago is dropped */
enum { SUPERVISOR_FETCH_WINDOW = 4 };   /* chunks asked for and not yet here, per plugin */

struct supervisor_config {
    const char *taskmanager;  /* its id, 1 ... WEIR_NAME_MAX bytes; kept */
    const char *host;         /* where the data sockets of its workers are reachable; kept */
    const char *version;      /* WEIR_VERSION; kept */
    uint32_t slots;           /* 1 ... WEIR_SLOTS_MAX */
    enum log_level log_level; /* as configured at the start: live, it may be another one */
    uint32_t pid;
    struct weir_id incarnation; /* random, new for each process; later incarnations are derived from it */
    /* zero = the value of limits.h. The heartbeat ones hold until REGISTERED has told those of the JobManager. */
    uint32_t heartbeat_ms, heartbeat_timeout_ms, retransmit_ms;
    uint32_t worker_silence_ms, cancel_timeout_ms, ready_timeout_ms, leader_wait_ms;
    /* As in jobmanager/master.h: called within the step; notable lines are for the log. NULL = nobody listens. */
    void (*trace)(void *arg, bool notable, const char *line);
    void *trace_arg;
};

enum supervisor_event_type {
    SUPERVISOR_EV_TICK,            /* time passed; at the latest at deadline_ms of the last step. The first event of all */
    SUPERVISOR_EV_PACKET,          /* from the JobManager */
    SUPERVISOR_EV_CONNECTED,       /* the connection of the last RECONNECT was made, or made again */
    SUPERVISOR_EV_DISCONNECTED,    /* it broke; or, when it is not there, could not be made: nobody listens */
    SUPERVISOR_EV_WORKER_MESSAGE,  /* whole message from a worker's pipe, as bytes: the core checks it */
    SUPERVISOR_EV_WORKER_EXITED,   /* once a SPAWN: its process is gone (waited for) and its pipe drained, or it could not be started */
    SUPERVISOR_EV_ARTIFACT_READY,  /* the plugin is in the cache, digest checked: after the last STORE_CHUNK, or found at the start */
    SUPERVISOR_EV_ARTIFACT_FAILED, /* a plugin could not be stored, its digest differs, or it has vanished from the cache */
    SUPERVISOR_EV_STOP,            /* shut down: no worker may stay behind */
};

struct supervisor_event {
    enum supervisor_event_type type;
    int64_t now_ms; /* monotonic */
    union {
        struct {
            struct weir_bytes data; /* borrowed */
        } packet;
        struct {
            struct weir_id job;
            uint32_t attempt;
            struct weir_bytes data; /* one struct wire_msg, encoded; borrowed */
        } worker_message;
        struct {
            struct weir_id job;
            uint32_t attempt;
            /*
             * What the exit status and the black box say, in words: code, operator, subtask, reason ("killed by SIGSEGV"). code WEIR_OK:
             * status 0. Strings borrowed. When the core has ended the worker, or the worker has said goodbye, their reason counts, not this
             * one; operator and subtask are used in any case where the other has none.
             */
            struct wire_failure failure;
        } worker_exited;
        struct {
            struct weir_digest digest;
            weir_err err;       /* ARTIFACT_FAILED */
            const char *reason; /* ARTIFACT_FAILED: a sentence; borrowed */
        } artifact;
        struct {
            const char *reason; /* "SIGTERM"; borrowed */
        } stop;
    };
};

enum supervisor_action_type {
    SUPERVISOR_DO_SEND,          /* put the packet on the transport to the JobManager */
    SUPERVISOR_DO_RECONNECT,     /* a new link begins: a fresh connection (new socket identity) to the next address; also the first one */
    SUPERVISOR_DO_SPAWN,         /* start a worker process with the plugin and write `deploy` to its pipe first; then EXITED comes once */
    SUPERVISOR_DO_KILL,          /* kill the process (SIGKILL); EXITED follows */
    SUPERVISOR_DO_TO_WORKER,     /* write a message to the worker's pipe; if it is gone, EXITED comes anyway */
    SUPERVISOR_DO_STORE_CHUNK,   /* append to a plugin; offset 0 begins (again); offset + length = total ends: check, then READY/FAILED */
    SUPERVISOR_DO_DROP_ARTIFACT, /* remove a plugin, whole or partly stored, from the cache */
    SUPERVISOR_DO_FORGET_JOB,    /* remove the job's local copies */
    SUPERVISOR_DO_LOG_LEVEL,     /* write what is at least so important; workers are told by TO_WORKER */
    SUPERVISOR_DO_EXIT,          /* end the process: with err WEIR_OK after STOP, else refused by the JobManager; last action of all */
};

struct supervisor_action {
    enum supervisor_action_type type;
    union {
        struct {
            struct weir_bytes data;
        } send;
        struct {
            struct weir_id incarnation; /* for the socket's identity */
            const char *endpoint;       /* where another JobManager says that the leader is; "" = the next address */
        } reconnect;
        struct {
            struct weir_id job;
            uint32_t attempt;
            struct weir_digest digest; /* in the cache */
            struct weir_bytes deploy;  /* encoded DEPLOY */
            uint32_t heartbeat_timeout_ms;
            enum log_level log_level;
        } spawn;
        struct {
            struct weir_id job;
            uint32_t attempt;
        } kill;
        struct {
            struct weir_id job;
            uint32_t attempt;
            struct weir_bytes data; /* encoded message */
        } to_worker;
        struct {
            struct weir_digest digest;
            uint64_t offset, total;
            struct weir_bytes data;
        } store_chunk;
        struct {
            struct weir_digest digest;
        } drop_artifact;
        struct {
            struct weir_id job;
        } forget_job;
        enum log_level log_level;
        struct {
            weir_err err;
            const char *reason;
        } exit;
    };
};

/* What a step decided. Everything in it is borrowed from it and lasts until the next step. */
struct supervisor_actions {
    uint32_t n, cap;
    struct supervisor_action *at;
    int64_t deadline_ms; /* call TICK then, at the latest */
    struct arena kept;   /* private: what the pointers point at, until the next step */
};

enum supervisor_state { SUPERVISOR_REGISTERING, SUPERVISOR_REGISTERED, SUPERVISOR_STOPPING, SUPERVISOR_EXITED };

enum supervisor_worker_state {
    SUPERVISOR_WORKER_FETCHING, /* waits for its plugin; there is no process yet */
    SUPERVISOR_WORKER_STARTED,  /* SPAWN was given */
    SUPERVISOR_WORKER_UP,       /* has said READY */
    SUPERVISOR_WORKER_LEAVING,  /* has said how it ended; the process should go */
    SUPERVISOR_WORKER_KILLED,   /* KILL was given */
    SUPERVISOR_WORKER_GONE,     /* its process has ended, and no JobManager could be told yet */
};

struct supervisor_counts {
    uint64_t packets_dropped; /* late, foreign or broken */
    uint64_t messages_stale;  /* of an older epoch; orders for attempts that have ended here; repeated DEPLOY */
    uint64_t messages_broken; /* not decodable, or not for a TaskManager */
    uint64_t workers_started, workers_killed;
};

void supervisor_new(struct supervisor **out, const struct supervisor_config *config, int64_t now_ms);
void supervisor_destroy(struct supervisor **supervisor);

/* One step: `actions` is cleared, then filled. */
void supervisor_step(struct supervisor *s, const struct supervisor_event *ev, struct supervisor_actions *actions);

void supervisor_actions_init(struct supervisor_actions *a);
void supervisor_actions_close(struct supervisor_actions *a);

/* ---- views ---- */

struct supervisor_worker_view {
    struct weir_id job;
    uint32_t attempt;
    enum supervisor_worker_state state;
    uint32_t n_slots;
    bool canceling; /* CANCEL came */
};

enum supervisor_state supervisor_state(const struct supervisor *s);
uint32_t supervisor_n_workers(const struct supervisor *s);
struct supervisor_worker_view supervisor_worker_at(const struct supervisor *s, uint32_t index);
uint32_t supervisor_free_slots(const struct supervisor *s);
struct supervisor_counts supervisor_counts(const struct supervisor *s);

#endif
