/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a subtask hands over at a barrier, and what it is given back when its job is restored. Plain memory, apart from the frozen state,
 * which keyed_persist (runtime/state/keyed.h) writes.
 *
 *     task thread: subtask_snapshot made ──▶ net thread ──▶ whoever persists it ──▶ net thread ──▶ task thread: settled, freed
 *
 * The parts: snapshot.c (memory), checkpoint.c (taking one), restore.c (going back).
 */
#ifndef WEIR_RUNTIME_TASK_SNAPSHOT_H
#define WEIR_RUNTIME_TASK_SNAPSHOT_H

#include "runtime/state/keyed.h"
#include "runtime/task/ledger.h"
#include "runtime/task/watermark.h"
#include "weir/weir.h"

struct subtask;

/* ---- committables -------------------------------------------------------------------------------------------------------------------- */

/* What a sink prepared: enough to make its output visible, later, elsewhere. */
struct committable {
    uint64_t checkpoint_id; /* that it was prepared for; 0 = at the end of a job without checkpoints */
    struct weir_bytes data; /* owned */
};

/* Opaque to sinks (weir/operator.h): where prepare puts what it has to say; and what an operator has prepared and not committed yet. */
struct weir_committables {
    struct committable *items; /* in the order of prepare */
    uint32_t n, cap;
    uint64_t checkpoint_id; /* of what is added now */
    uint64_t records;       /* that prepare said it holds ... */
    bool counted;           /* ... if it said so */
    struct weir_diag *diag;
};

/* Appends a copy. Errors: WEIR_E_LIMIT (WEIR_COMMITTABLE_MAX), WEIR_E_NOMEM, told in list->diag if there is one. */
weir_err committables_add(struct weir_committables *list, uint64_t checkpoint_id, struct weir_bytes data);
/* Frees the first n and moves the rest up. */
void committables_drop(struct weir_committables *list, uint32_t n);
void committables_close(struct weir_committables *list);

/* ---- taken -----------------------------------------------------------------------------------------------------------------------------
 */

/* Event time of a split as one assigner behind its source has seen it. */
struct snapshot_time {
    uint32_t split; /* index in the list of the source; 0 where the assigner is not chained to one: it sees all its inputs as one */
    weir_time highest;
};

struct snapshot_op {
    const char *operator_id;      /* borrowed from the graph */
    weir_time watermark;          /* passed on so far */
    struct keyed_snapshot *state; /* to be persisted; NULL: there is none */
    struct snapshot_time *times;  /* of an assigner of watermarks; else none */
    uint32_t n_times;
    struct weir_committables committables; /* of this and of earlier checkpoints that the sink was not told of yet */
};

struct snapshot_split {
    uint32_t index; /* in the list of the vertex's source */
    enum split_state state;
    weir_time stated;           /* watermark that the source stated */
    struct weir_bytes position; /* owned; of a split being read: what weir_source.open is given; empty = its beginning */
};

enum ledger_side { LEDGER_SENDER = 0, LEDGER_RECEIVER = 1 };
struct snapshot_ledger {
    uint32_t channel; /* of the plan */
    enum ledger_side side;
    struct ledger counts; /* since the attempt began, up to this barrier */
};

struct subtask_snapshot {
    struct subtask_snapshot *next; /* in a queue of its holder */
    struct subtask *subtask;       /* the task thread's */
    uint64_t id;
    uint32_t options; /* set of enum checkpoint_option */
    uint32_t vertex, index, parallelism;
    /* Why there is none: nothing below is set, and the checkpoint is to be declined. Code WEIR_OK: there is one. */
    struct weir_diag declined;
    bool finished; /* its inputs have ended and all is done: after a restore it is neither read nor finished again */
    struct snapshot_op *ops;
    uint32_t n_ops;
    struct snapshot_split *splits; /* of a source */
    uint32_t n_splits;
    struct snapshot_ledger *ledger; /* of each channel end of the subtask */
    uint32_t n_ledger;
    uint64_t align_us; /* from the first barrier to the last */
    uint64_t sync_us;  /* in which the subtask stood still at the barrier; steps of copying come later (keyed_files.step_us) */
};

/* Frees it. Task thread only, since the frozen state goes back to its owner; not before keyed_persist has returned. */
void subtask_snapshot_destroy(struct subtask_snapshot **snapshot);

/* ---- given back ------------------------------------------------------------------------------------------------------------------------
 */

/* What one former subtask left of one operator. */
struct restore_op {
    const char *operator_id;
    uint32_t index, parallelism; /* of the former subtask */
    bool finished;
    weir_time watermark;
    struct keyed_restore_from state; /* files: NULL = had none */
    const struct snapshot_time *times;
    uint32_t n_times;
    const struct committable *committables;
    uint32_t n_committables;
};

struct restore_split {
    const char *operator_id; /* of the source */
    struct snapshot_split split;
};

/* All that a checkpoint has of the job. Borrowed while subtask_restore runs. */
struct restore {
    uint64_t id; /* of the checkpoint */
    const struct restore_op *ops;
    uint32_t n_ops;
    const struct restore_split *splits;
    uint32_t n_splits;
};

/* Is the file of former instances needed by an instance with these key groups? Files of others need not be brought. */
bool restore_needs(const struct keyed_file *file, uint16_t first_group, uint16_t last_group);

/*
 * Before subtask_open: gives the subtask what the checkpoint has of its operators and splits, at any parallelism. State files are read
 * and verified now; committables wait for subtask_open, which commits them and lets sinks recover.
 * Errors: of keyed_restore; WEIR_E_NOMEM.
 */
weir_err subtask_restore(struct subtask *s, const struct restore *from, weir_time now_ms, struct weir_diag *diag);

#endif
