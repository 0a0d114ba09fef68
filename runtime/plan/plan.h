/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parallel plan: which operators run together, how often, and which channels connect them. A pure function of (graph, parallelism),
 * computed by the JobManager to schedule and show it, and by every worker to run it.
 *
 * Chaining: a node joins its producer's vertex when it has exactly one input, by GRAPH_FORWARD, with the same parallelism, it may chain,
 * and the producer does not stand alone. A forward edge between different parallelisms becomes GRAPH_REBALANCE. So a vertex is a tree of
 * operators whose root is its head. Slots: subtask i of every vertex lives in slot i, so a job needs as many slots as its largest
 * parallelism.
 */
#ifndef WEIR_RUNTIME_PLAN_PLAN_H
#define WEIR_RUNTIME_PLAN_PLAN_H

#include "runtime/plan/graph.h"

struct plan_op {
    uint32_t node;          /* in the graph */
    int32_t parent;         /* operator of the same vertex that feeds it; -1 for the head */
    uint32_t parent_output; /* which output of the parent */
};

struct plan_vertex {
    char *name; /* "read -> parse -> assign" : operator ids in order */
    uint32_t parallelism;
    uint32_t n_ops;
    struct plan_op *ops; /* parents before children; ops[0] is the head */
    uint32_t n_in, n_out;
    uint32_t *in;  /* edges into the head, in input order */
    uint32_t *out; /* edges out of its operators */
};

struct plan_edge {
    uint32_t from_vertex, from_op, from_output; /* from_op: index in the vertex */
    uint32_t to_vertex, to_input;               /* to_input: 0 ... n_in - 1 of that vertex */
    enum graph_partition partition;
    uint32_t channel_base; /* see plan_channel */
};

struct plan {
    uint32_t n_vertices;
    struct plan_vertex *vertices; /* producers before consumers */
    uint32_t n_edges;
    struct plan_edge *edges;
    uint32_t n_channels; /* of the whole job */
    uint32_t n_slots;    /* largest parallelism */
};

/*
 * Makes the plan. `graph` is borrowed during the call. Errors, each naming the operator: WEIR_E_GRAPH (no source, no sink, cycle, doubled
 * or bad id, an operator that nothing feeds, an output that does not exist, a keyed operator on an unkeyed input), WEIR_E_LIMIT,
 * WEIR_E_NOMEM.
 */
weir_err plan_new(struct plan **out, const struct graph *graph, uint32_t parallelism, struct weir_diag *diag);
void plan_destroy(struct plan **plan);

/*
 * The plan as text for people (a tree of operators under each vertex, its edges below) and as a Graphviz digraph. Appended to `out`, whose
 * error is sticky as ever. `graph` must be the one the plan was made from. The same plan always gives the same text.
 */
void plan_text(const struct plan *plan, const struct graph *graph, struct buffer *out);
void plan_dot(const struct plan *plan, const struct graph *graph, struct buffer *out);

/* Channels of one edge between so many subtasks. */
static inline uint64_t plan_edge_channels(enum graph_partition partition, uint32_t senders, uint32_t receivers)
{
    return partition == GRAPH_FORWARD ? senders : (uint64_t)senders * receivers;
}

/*
 * Channels are numbered over the whole job. An edge with GRAPH_FORWARD has one channel per subtask, base + i; any other has one for each
 * pair, base + sender * receivers + receiver.
 */
uint32_t plan_channel(const struct plan *plan, const struct plan_edge *edge, uint32_t sender, uint32_t receiver);

/* Key groups [first, last] of subtask i of p: first = ceil(i * 32768 / p), last = ceil((i + 1) * 32768 / p) - 1. */
void plan_key_groups(uint32_t subtask, uint32_t parallelism, uint32_t *first, uint32_t *last);
/* The subtask that owns a key group: floor(group * p / 32768). */
static inline uint32_t plan_key_owner(uint32_t key_group, uint32_t parallelism)
{
    return (uint32_t)(((uint64_t)key_group * parallelism) >> 15);
}
/* Subtask that reads split `index` of a source: index mod parallelism. */
static inline uint32_t plan_split_owner(uint32_t index, uint32_t parallelism)
{
    return index % parallelism;
}

#endif
