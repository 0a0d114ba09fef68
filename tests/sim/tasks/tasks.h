/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Real workers in the simulated cluster: whatever a worker process runs (taskmanager/worker, runtime/task, operators, state) is the real
 * thing, on leaves that the world provides instead of the operating system. The linker takes them for the real ones:
 *
 *     host.c      clock, random bytes, message pipe, task threads that are stepped, plugin
 *     network.c   sockets (runtime/net/socket.h): delays, resets that lose what is under way
 *     keeper.c    what state leaves memory to (runtime/state/rocks.h), in memory
 *     storage.c   the snapshot thread (taskmanager/worker/snapshot_thread.h) with its storage: takes its time, fails
 *     job.c       the job that runs: sources with gapless numbers, operators with state, windows, timers and two inputs
 *     outside.c   what the two-phase sinks write to, which survives everything; and what must be in it
 *     engine.c    how the world (tests/sim/world.h) drives it; worlds from a seed
 *
 * One world at a time, one thread.
 */
#ifndef WEIR_TESTS_SIM_TASKS_H
#define WEIR_TESTS_SIM_TASKS_H

#include "api/testing/kept.h"
#include "runtime/plan/graph.h"
#include "runtime/task/thread.h"
#include "taskmanager/worker/worker.h"
#include "tests/sim/world.h"
#include "weir/weir.h"

/* ---- chance in these worlds ---------------------------------------------------------------------------------------------------------- */

struct tasks_config {
    uint32_t crashes;    /* of 10000 pauses between two steps of a worker: it is killed there */
    uint32_t resets;     /* of 10000 messages: the connection breaks, and all that is under way on it is lost */
    uint32_t faults;     /* of 1000 task threads: a frame is lost or doubled where no sequence number shows it */
    uint32_t disk_fails; /* of 1000 snapshots: the local disk */
    uint32_t net_ms;     /* longest delay of a frame */
    uint32_t step_ms;    /* longest pause between two steps of a worker */
    uint32_t segment;    /* bytes of a frame; 0 = the default */
};

/* What the job reads: split `s` of source a has `rows` items, that of b a quarter. */
struct tasks_input {
    uint64_t seed;
    uint32_t splits, rows, keys;
    uint32_t burst, pause; /* most rows of one call to a reader; of so many calls more than one, all but one bring nothing */
};

#define TASKS_SOURCES 2u
#define TASKS_SPLITS_MAX 4u
#define TASKS_ROWS_MAX 64u
#define TASKS_KEYS_MAX 16u
#define TASKS_WINDOW_MS 100
#define TASKS_ALARM_MS 50

struct host;
struct tasks {
    struct sim *sim;
    struct tasks_config config;
    struct tasks_input input;
    char dir[64];                                 /* scratch folder of state files */
    struct host *current;                         /* the process that runs; NULL: none does */
    uint64_t n_resets, n_faults, n_disk_failures; /* that have happened */
    uint64_t n_aborted;                           /* transactions, by workers that were stopped */
};
extern struct tasks tasks;

/* ---- job.c --------------------------------------------------------------------------------------------------------------------------- */

weir_err job_build(struct weir_env *env, int argc, char **argv, struct weir_diag *diag);

struct item {
    int64_t source, split, seq, key, id; /* id: of split and seq, the same in both sources */
    weir_time time;
};
struct item job_item(uint32_t source, uint32_t split, uint32_t seq);
uint32_t job_rows(uint32_t source);                /* of each of its splits */
uint32_t job_position(struct weir_bytes position); /* items read, as a reader's position says; 0 bytes: none */
uint32_t job_source_of(const char *operator_id);   /* TASKS_SOURCES: it is no source */

/* ---- outside.c: the outside world ---------------------------------------------------------------------------------------------------- */

/* What reaches the sinks. Of each (sink, a, b) there is one. */
enum fact_sink { FACT_ITEMS, FACT_COUNTS, FACT_PANES, FACT_ALARMS, FACT_PAIRS, FACT_SINKS };
struct fact {
    int64_t sink, a, b, value;
};

void outside_begin(void);
void outside_end(void);
/* Of a sink: opens a transaction with these facts; gives its number. */
uint64_t outside_prepare(uint32_t sink, uint32_t attempt, const struct fact *facts, uint32_t n);
void outside_commit(uint64_t number);
/* Of a sink that begins again: what earlier attempts prepared and is not among the kept is aborted. */
void outside_abort(uint64_t number);
void outside_recover(uint32_t sink, uint32_t attempt, const uint64_t *kept, uint32_t n);
/* A checkpoint is complete, `parts` is what its workers put into it: its output is exactly what follows from what its sources had read. */
void outside_complete(const struct kept *const *parts, uint32_t n);
/* The job has finished: everything that is due is visible, and, unless it was stopped, everything is due. */
void outside_finished(bool stopped);

/* ---- storage.c ----------------------------------------------------------------------------------------------------------------------- */

#define TASKS_PARTS_MAX 64u
uint32_t storage_parts(const char *path, const struct kept *out[static TASKS_PARTS_MAX]);
void storage_end(void); /* of the world */
/* The process is killed: what it was writing is lost, its snapshots go back to their threads. */
void storage_kill(struct host *host);

/* ---- network.c ----------------------------------------------------------------------------------------------------------------------- */

void network_end(void);

/* ---- host.c: one worker process ------------------------------------------------------------------------------------------------------ */

struct host_fault {
    struct channel_fault fault;
    struct channel *channel;
    uint64_t frames_before, frames_after; /* sent before the turn in which it happened, and after it; before: none has */
    bool happened;
};

struct host_message {
    struct host_message *next;
    size_t len;
    unsigned char data[];
};

struct host_queue {
    struct host_message *first, **last;
};

struct snapshot_thread;
struct host {
    uint32_t process; /* index in the world */
    uint32_t n_slots;
    struct worker *worker;
    struct blackbox *box;
    char state_dir[96];
    struct task_thread *threads[SIM_SLOTS];
    bool last_turn[SIM_SLOTS];
    uint32_t n_threads;
    struct host_queue in, out; /* messages of the pipe */
    struct host_message *read; /* the one that pipe_next gave */
    struct snapshot_thread *storage;
    struct host_fault fault;
    bool dead; /* killed, and nobody has noticed yet */
};

void host_new(struct host **out, uint32_t process, uint32_t n_slots);
void host_kill(struct host **host);
void host_give(struct host *h, const void *data, size_t len); /* into its pipe */
/* One pause between two pauses: the net thread, then some of the task threads. True: something moved. */
bool host_step(struct host *h);
struct task_thread *host_thread_of(const struct host *h, const struct subtask *s);

#endif
