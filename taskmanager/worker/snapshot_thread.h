/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread of a worker that may wait for disks: reads a checkpoint back at the start (restoring.h), and persists and stores snapshots
 * (checkpoint_store.h) while the task threads go on. Orders are carried out one after the other; each is answered, in order.
 *
 *     net thread ──▶ restore, persist, store, drop, release ──▶ snapshot thread ──▶ answers ──▶ net thread (woken)
 *
 * Owner: the net thread, of everything here.
 */
#ifndef WEIR_TASKMANAGER_WORKER_SNAPSHOT_THREAD_H
#define WEIR_TASKMANAGER_WORKER_SNAPSHOT_THREAD_H

#include "runtime/task/wake.h"
#include "taskmanager/worker/checkpoint_store.h"
#include "taskmanager/worker/restoring.h"

struct snapshot_thread;

struct snapshot_thread_config {
    const char *job_dir;   /* in the checkpoint storage; "" = none: nothing will be persisted or stored. Kept */
    const char *local_dir; /* kept */
    bool restores;         /* a restore will be ordered first; else what earlier attempts left in the local folder goes at once */
    struct weir_id job;
    uint32_t attempt, worker;
    struct wake *net; /* woken for each answer; kept */
};

enum snapshot_answer_type {
    SNAPSHOT_RESTORED,  /* err, diag; with WEIR_OK, restored */
    SNAPSHOT_PERSISTED, /* snapshot, to be settled; a failure is the attempt's */
    SNAPSHOT_STORED,    /* id; a failure is the checkpoint's */
};

struct snapshot_answer {
    enum snapshot_answer_type type;
    weir_err err;
    struct weir_diag diag; /* with an error: its sentence */
    struct restoring_result restored;
    struct subtask_snapshot *snapshot;
    uint64_t id;
    struct checkpoint_written written; /* its ledger is the taker's to free */
    uint64_t us;                       /* RESTORED: how long it took; STORED: since the first snapshot of it was ordered */
};

/* Errors: WEIR_E_NOMEM, WEIR_E_IO (no thread, no local folder). */
weir_err snapshot_thread_start(struct snapshot_thread **out, const struct snapshot_thread_config *config, struct weir_diag *diag);
/* Waits for what is under way, forgets the rest. Accepts NULL. */
void snapshot_thread_stop(struct snapshot_thread **thread);

/* Orders. restore: deploy and d are borrowed until it is answered, and the task threads must not run before. Errors: WEIR_E_NOMEM. */
weir_err snapshot_thread_restore(struct snapshot_thread *t, const struct wire_msg *deploy, struct deployment *d);
/* keep: for a store of its id to come. The snapshot is held until it is answered. */
weir_err snapshot_thread_persist(struct snapshot_thread *t, struct subtask_snapshot *snapshot, bool keep);
/* dir: as checkpoint_store_write; copied. */
weir_err snapshot_thread_store(struct snapshot_thread *t, uint64_t id, const char *dir);
/* Of checkpoints up to `id` nothing will be stored. Not answered. */
weir_err snapshot_thread_drop(struct snapshot_thread *t, uint64_t id);
/* Checkpoint `id` is complete: local files that only older ones need may go. Not answered. */
weir_err snapshot_thread_release(struct snapshot_thread *t, uint64_t id);

/* The next answer, in order; false: none yet. */
bool snapshot_thread_next(struct snapshot_thread *t, struct snapshot_answer *out);

#endif
