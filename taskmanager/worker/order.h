/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the frames of parallel senders are kept in the order of event time, and the fast ones made to wait (runtime/task/subtask.h;
 * docs/decision/0005-a-fast-sender-waits.md): found from the plan, the same in every worker.
 *
 * Only senders that do not depend on each other may be made to wait. Two subtasks of a source do not. Those behind an exchange do: each
 * takes from all sources, so what is missing from one may be held up by what the other one may not send.
 */
#ifndef WEIR_TASKMANAGER_WORKER_ORDER_H
#define WEIR_TASKMANAGER_WORKER_ORDER_H

#include "api/src/env.h"
#include "runtime/plan/plan.h"

struct vertex_order {
    bool apart; /* none of its subtasks depends on what another one takes: a source, or only forward edges from such vertices */
    bool kept;  /* it, or a vertex that it feeds, has an operator that keeps what comes early */
};

/* of: plan->n_vertices entries, filled. env: the job's. */
void order_find(struct vertex_order *of, const struct plan *plan, const struct weir_env *env);

#endif
