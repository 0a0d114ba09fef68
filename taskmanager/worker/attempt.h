/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of one job attempt inside its worker. A core: no I/O; the driver is worker.c.
 *
 *     NEW ──deployed──▶ READY ──START──▶ RUNNING ──all threads prepared──▶ PREPARED ──COMMIT──▶ COMMITTING ──all committed──▶
 * ENDED(committed) any ──first failure, or CANCEL──▶ STOPPING ──all threads closed──▶ ENDED(failed | canceled)
 *
 * Orders that do not fit the state (a COMMIT before PREPARED, a second START) are late or doubled: ignored.
 */
#ifndef WEIR_TASKMANAGER_WORKER_ATTEMPT_H
#define WEIR_TASKMANAGER_WORKER_ATTEMPT_H

#include "runtime/wire/message.h"

enum attempt_state { ATTEMPT_NEW, ATTEMPT_READY, ATTEMPT_RUNNING, ATTEMPT_PREPARED, ATTEMPT_COMMITTING, ATTEMPT_STOPPING, ATTEMPT_ENDED };

enum attempt_event_type {
    ATTEMPT_EV_DEPLOYED, /* plugin loaded, subtasks made, data socket bound */
    ATTEMPT_EV_START,
    ATTEMPT_EV_COMMIT,
    ATTEMPT_EV_CANCEL,
    ATTEMPT_EV_FAILED,  /* something failed; the driver has noted the reason */
    ATTEMPT_EV_THREADS, /* the counts below */
};

struct attempt_event {
    enum attempt_event_type type;
    uint32_t n_threads, n_prepared, n_committed, n_closed; /* started threads and how many of them are where */
};

/* Set of things to do, in this order. */
enum attempt_action {
    ATTEMPT_DO_SAY_READY = 1,
    ATTEMPT_DO_RUN = 2, /* connect to the peers, start the threads, say RUNNING; a failure of it comes back as FAILED */
    ATTEMPT_DO_SAY_PREPARED = 4,
    ATTEMPT_DO_COMMIT = 8,     /* tell the threads */
    ATTEMPT_DO_STOP = 16,      /* tell the threads */
    ATTEMPT_DO_SAY_ENDED = 32, /* with `outcome`; then end the process */
};

struct attempt {
    enum attempt_state state;
    enum wire_outcome outcome; /* once STOPPING or ENDED */
};

/* Returns a set of enum attempt_action. */
uint32_t attempt_step(struct attempt *a, const struct attempt_event *ev);

#endif
