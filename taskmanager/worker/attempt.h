/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of one job attempt inside its worker. A core: no I/O; the driver is worker.c. Checkpoints have a core of their own
 * (checkpointing.h).
 *
 *     NEW ──deployed──▶ READY ──START──▶ (RESTORING ──restored──▶) OPENING ──all threads opened──▶ RUNNING
 *     RUNNING ──all threads prepared──▶ PREPARED ──COMMIT──▶ COMMITTING ──all committed──▶ ENDED(committed)
 *     RUNNING ──all threads rest behind a checkpoint──▶ RESTING ──completed, aborted──▶ as RUNNING
 *     any ──first failure, or CANCEL──▶ STOPPING ──all threads closed──▶ ENDED(failed | canceled)
 *
 * A COMMIT that follows a completed STOP checkpoint may be faster than the threads are in coming to rest: it waits for them.
 *
 * Orders that do not fit the state (a COMMIT before PREPARED, a second START) are late or doubled: ignored.
 */
#ifndef WEIR_TASKMANAGER_WORKER_ATTEMPT_H
#define WEIR_TASKMANAGER_WORKER_ATTEMPT_H

#include "runtime/wire/message.h"

enum attempt_state {
    ATTEMPT_NEW,
    ATTEMPT_READY,
    ATTEMPT_RESTORING,
    ATTEMPT_OPENING,
    ATTEMPT_RUNNING,
    ATTEMPT_RESTING,
    ATTEMPT_PREPARED,
    ATTEMPT_COMMITTING,
    ATTEMPT_STOPPING,
    ATTEMPT_ENDED
};

enum attempt_event_type {
    ATTEMPT_EV_DEPLOYED, /* plugin loaded, subtasks made, data socket bound */
    ATTEMPT_EV_START,    /* with `restores`: from a checkpoint */
    ATTEMPT_EV_RESTORED, /* every subtask has been given what the checkpoint has of it */
    ATTEMPT_EV_COMMIT,
    ATTEMPT_EV_CANCEL,
    ATTEMPT_EV_FAILED,  /* something failed; the driver has noted the reason */
    ATTEMPT_EV_THREADS, /* the counts below */
};

struct attempt_event {
    enum attempt_event_type type;
    bool restores;
    uint32_t n_threads, n_opened, n_prepared, n_committed, n_closed; /* started threads and how many of them are where */
    bool stopped;                                                    /* COMMIT: a STOP checkpoint is complete */
    bool resting;                                                    /* who is prepared may only rest (checkpointing.h) */
};

/* Set of things to do, in this order. */
enum attempt_action {
    ATTEMPT_DO_SAY_READY = 1,
    ATTEMPT_DO_CONNECT = 2, /* to the peers; a failure of it, and of the next two, comes back as FAILED */
    ATTEMPT_DO_RESTORE = 4,
    ATTEMPT_DO_RUN = 8, /* start the threads */
    ATTEMPT_DO_SAY_RUNNING = 16,
    ATTEMPT_DO_SAY_PREPARED = 32,
    ATTEMPT_DO_COMMIT = 64,     /* tell the threads */
    ATTEMPT_DO_STOP = 128,      /* tell the threads */
    ATTEMPT_DO_SAY_ENDED = 256, /* with `outcome`; then end the process */
};

struct attempt {
    enum attempt_state state;
    enum wire_outcome outcome; /* once STOPPING or ENDED */
    bool commit_due;           /* as soon as all threads rest */
};

/* Returns a set of enum attempt_action. */
uint32_t attempt_step(struct attempt *a, const struct attempt_event *ev);

#endif
