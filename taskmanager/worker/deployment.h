/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of a job that runs in this worker: channels, subtasks and task threads made from the DEPLOY message, the graph and the plan.
 * Nothing runs until the threads are started. Owner: the net thread; see runtime/task/thread.h for what the task threads own.
 */
#ifndef WEIR_TASKMANAGER_WORKER_DEPLOYMENT_H
#define WEIR_TASKMANAGER_WORKER_DEPLOYMENT_H

#include "api/src/env.h"
#include "runtime/task/thread.h"
#include "taskmanager/worker/handover.h"

enum channel_side { SIDE_NONE = 0, SIDE_LOCAL = 1, SIDE_SENDER = 2, SIDE_RECEIVER = 3 }; /* which end of a channel lives here */

struct deployed_channel {
    struct channel *channel; /* NULL with SIDE_NONE */
    enum channel_side side;
    uint32_t peer;        /* SIDE_SENDER, SIDE_RECEIVER: index of the worker at the other end */
    uint32_t n_probes;    /* SIDE_SENDER: unanswered ones; each makes the next wait twice as long ... */
    uint64_t probe_round; /* ... until this round of probes. Both the exchange's */
};

/* Where the state of the worker's slots lives, and how records travel from them. */
struct deployment_state {
    const char *dir;      /* scratch folder, made when first needed and removed at the end; NULL = in memory without limit */
    uint64_t slot_memory; /* bytes a slot may hold in memory; 0 = SLOT_BUDGET_DEFAULT */
    uint32_t segment;     /* bytes of a frame (frame_pool_set_segment); 0 = WEIR_FRAME_BYTES */
    bool snapshots;       /* snapshots will be taken; needs a dir */
};

struct deployment {
    struct weir_env *env;
    struct graph graph;
    struct plan *plan;
    struct vertex_order *order; /* of each vertex */
    uint32_t worker, n_workers;
    char job_id[WEIR_ID_TEXT];
    struct deployed_channel *channels; /* by id; plan->n_channels of them */
    struct task_thread *threads;
    uint32_t n_threads;
    struct wake wake; /* the net thread's */
    struct blackbox *blackbox;
    struct deployment_state state; /* dir is owned */
    struct rocks_shared *rocks;    /* with a dir */
    struct task_coord coord;       /* of the cluster that deploys; its servers are the message's */
};

/*
 * deploy: the DEPLOY message (borrowed during the call, except splits, args, names and coordination: they must live as long as the
 * deployment). Takes env. state: NULL = in memory without limit, frames of WEIR_FRAME_BYTES. Errors: WEIR_E_GRAPH (the graph differs from
 * the one described), WEIR_E_NOMEM, WEIR_E_CORRUPT (a message that contradicts the plan).
 */
weir_err deployment_new(struct deployment **out, const struct wire_msg *deploy, struct weir_env *env, const struct deployment_state *state,
                        struct blackbox *blackbox, struct weir_diag *diag);
/* Threads must have been joined. */
void deployment_destroy(struct deployment **deployment);

#endif
