/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the functions of weir/state.h (state.c) must know of the host that a context belongs to. context.c says it for operators of a
 * subtask, and the fake runtime of the tests for its own.
 */
#ifndef WEIR_RUNTIME_TASK_STATE_H
#define WEIR_RUNTIME_TASK_STATE_H

#include "runtime/state/keyed.h"
#include "weir/operator.h"

enum state_need {
    STATE_ANY,   /* state without key: of any operator; made when there is none */
    STATE_KEYED, /* the operator must have a key */
};

/* The state of the context's operator; NULL: it has none, and ctx->diag says why. */
struct keyed *host_state(struct weir_ctx *ctx, enum state_need need);

/* The slot of that state, which must be there. */
struct state_slot *host_slot(struct weir_ctx *ctx);

#endif
