/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver of the checkpointing core (checkpointing.h): carries snapshots between the task threads and the snapshot thread, and says what
 * came of them. Also of the restore at the attempt's beginning. Owner: the net thread.
 */
#ifndef WEIR_TASKMANAGER_WORKER_CHECKPOINTS_H
#define WEIR_TASKMANAGER_WORKER_CHECKPOINTS_H

#include "taskmanager/worker/checkpointing.h"
#include "taskmanager/worker/deployment.h"
#include "taskmanager/worker/snapshot_thread.h"

/* What the owner does for it. */
struct checkpoints_owner {
    void *arg;
    weir_err (*say)(void *arg, struct wire_msg *msg);                                /* to the TaskManager; envelope not filled */
    void (*fail)(void *arg, weir_err err, const char *reason);                       /* the attempt */
    void (*restored)(void *arg, const struct restoring_result *result, uint64_t us); /* as ordered by checkpoints_restore */
};

struct checkpoints {
    struct checkpoints_owner owner;
    const struct wire_msg *deploy;
    struct deployment *d;
    struct checkpointing core;
    struct snapshot_thread *thread;      /* NULL: the job has no checkpoints and begins from none */
    char *dir;                           /* of the savepoint that is under way; "" = no savepoint */
    uint64_t resumed_at[WEIR_SLOTS_MAX]; /* steps of each thread when resting was called off; 0 = it never was */
};

/*
 * deploy, d: kept. local_dir: where local copies lie, kept; may be NULL when the job has no checkpoints. Errors: WEIR_E_NOMEM, WEIR_E_IO,
 * WEIR_E_CORRUPT (checkpoints without a local folder).
 */
weir_err checkpoints_init(struct checkpoints *c, const struct checkpoints_owner *owner, const struct wire_msg *deploy, struct deployment *d,
                          const char *local_dir, struct weir_diag *diag);

/* Waits for what the snapshot thread is at. The task threads must have ended. Accepts a zeroed one. */
void checkpoints_close(struct checkpoints *c);

/* Does the attempt begin from a checkpoint? Then: brings it back; the owner hears of it. */
bool checkpoints_has_restore(const struct checkpoints *c);
void checkpoints_restore(struct checkpoints *c);

/* TRIGGER, COMPLETE or ABORT of this attempt, whose threads have been started. */
void checkpoints_order(struct checkpoints *c, const struct wire_msg *msg);
/* Takes what the threads have to hand over; true when there was something. */
bool checkpoints_pump(struct checkpoints *c);

/*
 * What a thread that says PREPARED means: it rests behind a checkpoint and may go on; or has not yet heard that it may, when resting was
 * called off. false: it has finished.
 */
bool checkpoints_resting(const struct checkpoints *c);
uint64_t checkpoints_kept(const struct checkpoints *c); /* checkpointing_kept */
bool checkpoints_stopped(const struct checkpoints *c);  /* it rests behind one that is complete */
bool checkpoints_resumes(const struct checkpoints *c, uint32_t thread);

#endif
