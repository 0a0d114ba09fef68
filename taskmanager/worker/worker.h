/* SPDX-License-Identifier: Apache-2.0 */
/* The running worker: one attempt of one job. Its main thread is the net thread. See handover.h for what it is given. */
#ifndef WEIR_TASKMANAGER_WORKER_WORKER_H
#define WEIR_TASKMANAGER_WORKER_WORKER_H

#include "taskmanager/worker/handover.h"

/* What jemalloc is told: freed pages go back soon, so that resident memory follows the budget of state (tests/bench/state_memory.c). */
#define WORKER_MALLOC_CONF "narenas:2,dirty_decay_ms:100,muzzy_decay_ms:0"

struct worker_config {
    const char *data_endpoint; /* where to bind the data socket */
    const char *state_dir;     /* the worker's own scratch folder; NULL = state in memory only */
    const char *local_dir;     /* of the job's local copies; NULL = none are kept */
    uint64_t slot_memory;      /* bytes of state a slot may hold in memory; 0 = the default */
    uint32_t silence_ms;       /* of other workers, before their connections are given up; 0 = the default */
    uint32_t segment;          /* bytes of a frame; 0 = WEIR_FRAME_BYTES */
};

/*
 * The worker without the process around it: what the loop of worker_run does, for who gives it his own time. pipe: as pipe_init takes it;
 * box: kept. Errors: WEIR_E_NOMEM.
 */
struct worker;
weir_err worker_body_new(struct worker **out, const struct worker_config *config, int pipe, struct blackbox *box);
void worker_body_hear(struct worker *w);        /* obeys what has come through the pipe */
bool worker_body_turn(struct worker *w);        /* moves frames, snapshots, words; true: something moved */
bool worker_body_lives(const struct worker *w); /* false: its last message is on the pipe, or nobody listens */
void worker_body_destroy(struct worker **w);    /* its task threads have ended. Accepts NULL */

/* net_start comes before. Returns the exit status; the last message on the pipe says how the attempt ended. */
int worker_run(const struct worker_config *config);

#endif
