/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker's share of the job's checkpoints. A core: no I/O; the driver is worker.c.
 *
 *        TRIGGER, SNAPSHOT           TRIGGER and a snapshot of every subtask     stored
 *     IDLE ─────────────▶ COLLECTING ─────────────────────────────▶ STORING ──────────────▶ IDLE     SAY_ACK
 *      ▲                    │     │                                  │    │ storage failed ─▶ IDLE   SAY_DECLINE
 *      │                    │     └ a subtask declines ─▶ IDLE       │    │ SAY_DECLINE
 *      └── ABORT, LOST, COMPLETE of a newer one, newer TRIGGER ──────┘
 *
 * Barriers from other workers may be faster than the order: so a snapshot begins a checkpoint, too. What the order says (the folder of a
 * savepoint) is known with the order only, and sources wait for it.
 *
 * Ids only grow: what is not newer than the newest one known is late, and nothing happens. A snapshot of a checkpoint that is not under
 * way any more is persisted all the same (the state layer demands it) and goes back. What was stored for one that was given up meanwhile
 * is not told: its files are found by nobody, and go with those that nobody names.
 *
 * Subtasks rest behind a STOP checkpoint: until it is complete that is not the end of the job, since it may be aborted (`resting`).
 */
#ifndef WEIR_TASKMANAGER_WORKER_CHECKPOINTING_H
#define WEIR_TASKMANAGER_WORKER_CHECKPOINTING_H

#include <stdbool.h>
#include <stdint.h>

enum checkpointing_state { CHECKPOINTING_IDLE, CHECKPOINTING_COLLECTING, CHECKPOINTING_STORING };

enum checkpointing_event_type {
    CHECKPOINTING_EV_TRIGGER,  /* id, options */
    CHECKPOINTING_EV_SNAPSHOT, /* id, options; of one more subtask; with `failed`, it declines */
    CHECKPOINTING_EV_LOST,     /* id: a snapshot of it could not be persisted, and its part will be missing. The attempt has failed */
    CHECKPOINTING_EV_STORED,   /* id; with `failed`, it could not be */
    CHECKPOINTING_EV_COMPLETE, /* id */
    CHECKPOINTING_EV_ABORT,    /* id */
};

struct checkpointing_event {
    enum checkpointing_event_type type;
    uint64_t id;
    uint32_t options; /* set of enum checkpoint_option */
    bool failed;
};

/* Set of things to do, in this order. */
enum checkpointing_action {
    CHECKPOINTING_DO_TRIGGER = 1,      /* tell the threads */
    CHECKPOINTING_DO_PERSIST = 2,      /* the snapshot of the event, for a checkpoint that is under way */
    CHECKPOINTING_DO_PERSIST_ONLY = 4, /* the snapshot of the event, for none */
    CHECKPOINTING_DO_STORE = 8,        /* all its snapshots were given to be persisted: store `id` behind them */
    CHECKPOINTING_DO_DROP = 16,        /* `dropped` and older ones will not be stored */
    CHECKPOINTING_DO_COMPLETE = 32,    /* tell the threads; local copies of older ones may go */
    CHECKPOINTING_DO_ABORT = 64,       /* tell the threads: `dropped` and older ones */
    CHECKPOINTING_DO_SAY_ACK = 128,
    CHECKPOINTING_DO_SAY_DECLINE = 256, /* with the failure of the event */
};

struct checkpointing {
    uint32_t n_subtasks; /* the owner's: of this worker */
    enum checkpointing_state state;
    uint64_t id;      /* under way, or the newest that was */
    uint32_t options; /* once triggered */
    bool triggered;
    uint32_t n_snapshots;
    uint64_t completed;    /* newest */
    uint64_t acknowledged; /* newest, while its end was not heard; 0: none */
    uint64_t dropped;      /* argument of DROP and ABORT */
    bool stopped;          /* a STOP checkpoint is complete, and none was begun since: what rests behind it may be committed */
    bool resting;          /* a STOP checkpoint was begun, and neither completed nor aborted */
};

/*
 * What was prepared for checkpoints up to this one may be named by a complete checkpoint; what was prepared for later ones is by none, and
 * will be by none: they were not acknowledged, and will not be, or the JobManager has said what became of them.
 */
uint64_t checkpointing_kept(const struct checkpointing *c);

/* Returns a set of enum checkpointing_action. */
uint32_t checkpointing_step(struct checkpointing *c, const struct checkpointing_event *ev);

#endif
