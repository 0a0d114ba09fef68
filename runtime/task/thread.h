/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A task thread: one slot's subtasks, stepped in turn until all have finished.
 *
 *     RUNNING ──(all subtasks done)──▶ PREPARED ──commit──▶ COMMITTED
 *         RUNNING, PREPARED ──(error)──▶ FAILED          any ──stop──▶ STOPPED
 *
 * It owns its subtasks, frame pool and outbox. Another thread (the net thread) starts it, gives commands, and reads its state: by atomics
 * only.
 */
#ifndef WEIR_RUNTIME_TASK_THREAD_H
#define WEIR_RUNTIME_TASK_THREAD_H

#include <pthread.h>

#include "runtime/task/snapshot.h"
#include "runtime/task/subtask.h"

/* PREPARED: every subtask has finished, or rests behind a checkpoint with STOP; an abort of that one makes it RUNNING again. */
enum thread_state { THREAD_RUNNING, THREAD_PREPARED, THREAD_COMMITTED, THREAD_FAILED, THREAD_STOPPED };
enum thread_command { THREAD_RUN, THREAD_COMMIT, THREAD_STOP };

/*
 * Checkpoints between the threads. Ids only grow, so of each kind of notice the newest says all. Taken when `waiting` says that there is
 * something, a few times a checkpoint.
 */
struct thread_mail {
    pthread_mutex_t lock;
    atomic_bool waiting;               /* for the task thread */
    uint64_t trigger, complete, abort; /* highest ids */
    uint32_t trigger_options;
    struct subtask_snapshot *settled;       /* to be freed by the task thread */
    struct subtask_snapshot *taken, **tail; /* for the net thread, in order */
    uint32_t n_out;                         /* taken by the net thread and not settled */
};

struct task_thread {
    /* set up before start */
    struct subtask *subtasks;
    uint32_t n_subtasks;
    struct frame_pool pool;
    uint32_t segment; /* of its frames: frame_pool_set_segment */
    struct outbox outbox;
    struct state_slot *slot; /* taken: the state of its subtasks, destroyed by close; may be NULL when no operator has any */
    struct wake wake;
    uint32_t index;          /* of the thread in its worker */
    struct wake *net;        /* woken when the state changes */
    void (*on_start)(void);  /* called first thing by the thread; may be NULL */
    _Atomic uint64_t *steps; /* odd while a step runs: the watchdog's */
    /* between the threads */
    _Atomic int state;                 /* enum thread_state */
    _Atomic int command;               /* enum thread_command */
    _Atomic uint64_t kept;             /* with STOP: what was prepared for later checkpoints is aborted; UINT64_MAX: nothing is */
    atomic_bool closed;                /* operators are closed; the thread is about to end */
    atomic_bool stats_wanted;          /* the net thread asks; the task thread publishes copies between two steps */
    pthread_mutex_t stats_lock;        /* of the copies below; taken about once a second */
    struct wire_subtask_stats *stats;  /* n_subtasks */
    struct wire_slot_stats slot_stats; /* without RocksDB's, whose are asked for by the reader */
    struct wire_counter *counters;     /* n_counters, at most counters_cap */
    uint32_t n_counters, counters_cap;
    struct subtask *failed; /* once FAILED */
    /* the thread's own */
    bool opened, moved, source_quiet; /* the last turn; quiet: a source may have something soon, without anybody waking us */
    int obeyed;                       /* its command */
    enum thread_state ends_as;
    int64_t since_ns; /* what it did since then is not accounted for yet */
    struct thread_mail mail;
    pthread_t thread;
    bool started;
};

/* The owner fills subtasks (heap), n_subtasks, segment, steps and net, then calls init; n_outbox as in outbox_init. Errors: WEIR_E_NOMEM,
 * WEIR_E_IO.
 */
weir_err task_thread_init(struct task_thread *t, uint64_t n_outbox, struct weir_diag *diag);
weir_err task_thread_start(struct task_thread *t, struct weir_diag *diag);

/*
 * What the started thread does; or, without task_thread_start, whoever gives it his own time: turns until the last one, then
 * task_thread_end until that says that the thread has ended (false: snapshots are out). The first turn opens the subtasks.
 */
enum thread_turn { THREAD_TURN_MOVED, THREAD_TURN_IDLE, THREAD_TURN_LAST };
enum thread_turn task_thread_turn(struct task_thread *t);
bool task_thread_has_work(const struct task_thread *t); /* another turn would find something; used before parking */
bool task_thread_end(struct task_thread *t);

void task_thread_command(struct task_thread *t, enum thread_command command);
/* STOP. What its sinks prepared for checkpoints above `kept` will never be made visible, and goes. */
void task_thread_stop(struct task_thread *t, uint64_t kept);
/* Asks for fresh counters; a thread that no longer runs has published its last. */
void task_thread_ask_stats(struct task_thread *t);
/* Appends the published counters to the STATS message, whose arrays are large enough. */
void task_thread_read_stats(struct task_thread *t, struct wire_msg *stats);
/*
 * Checkpoints. `trigger` begins one in the thread's sources and in subtasks that have finished; one that is not newer than the last is
 * ignored. `complete`: sinks commit what they prepared for `id` or before. `abort`: `id` and those before it are not waited for any more,
 * and subtasks that rest behind one of them go on. Each may be repeated, be late, or be left out when a newer one follows.
 */
void task_thread_trigger(struct task_thread *t, uint64_t id, uint32_t options);
void task_thread_complete(struct task_thread *t, uint64_t id);
void task_thread_abort(struct task_thread *t, uint64_t id);
/*
 * The next snapshot that a subtask has handed over, or NULL; the thread wakes `net` for each. The caller persists its frozen state
 * (keyed_persist), whatever became of the checkpoint, and gives it back by task_thread_settle. The thread does not end, and must not be
 * joined, before all of them are back.
 */
struct subtask_snapshot *task_thread_take_snapshot(struct task_thread *t);
void task_thread_settle(struct task_thread *t, struct subtask_snapshot *snapshot);

/* Waits for the end of the thread, which must have been told to stop, failed, or committed. */
void task_thread_join(struct task_thread *t);
/* Frees; channels of all threads must be closed first, so that every frame is home. */
void task_thread_close(struct task_thread *t);

/* Index of the task thread that calls; -1 in any other thread. For the crash handler. */
int task_thread_index(void);

#endif
