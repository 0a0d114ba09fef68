/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The logical graph of a job as plain data: what the plugin's entry function built, without its function pointers. A worker makes it
 * (taskmanager/worker/describe.c), its msgpack form travels to the JobManager, the plan is computed from it on both sides.
 */
#ifndef WEIR_RUNTIME_PLAN_GRAPH_H
#define WEIR_RUNTIME_PLAN_GRAPH_H

#include "runtime/base/arena.h"
#include "runtime/base/buffer.h"
#include "weir/row.h"

enum graph_partition {
    GRAPH_FORWARD = 1,
    GRAPH_KEY = 2,
    GRAPH_REBALANCE = 3,
    GRAPH_BROADCAST = 4,
    GRAPH_GLOBAL = 5,
    GRAPH_CUSTOM = 6,
};
#define GRAPH_PORTS 2 /* inputs that an operator tells apart */
enum graph_node_kind { GRAPH_SOURCE = 1, GRAPH_STEP = 2, GRAPH_SINK = 3 };

struct graph_input {
    uint32_t port;   /* 0 ... GRAPH_PORTS - 1: which input of the operator */
    uint32_t node;   /* index of the producer */
    uint32_t output; /* its output: 0 main, 1... side outputs */
    enum graph_partition partition;
    const char *way; /* GRAPH_KEY: the keyer's name; GRAPH_CUSTOM: the partitioner's; else "" */
};

struct graph_node {
    const char *id;   /* operator id */
    const char *name; /* kind of step: "map", "window" */
    enum graph_node_kind kind;
    uint32_t parallelism; /* 0 = the job's default */
    bool chain;           /* may join its producer's vertex */
    bool alone;           /* no consumer may join its vertex */
    bool keyed;           /* needs GRAPH_KEY on every input; one with two ports takes GRAPH_BROADCAST at either, not at both */
    bool updating;        /* output 0 is a changelog */
    uint32_t n_ports;     /* 0 for a source */
    uint32_t n_outputs;
    uint32_t n_inputs;
    struct graph_input *inputs;
    uint32_t n_splits; /* sources, after discover */
    struct weir_bytes *splits;
};

struct graph {
    const char *name; /* of the job */
    uint32_t n_nodes;
    struct graph_node *nodes;
    uint64_t fingerprint; /* XXH3 of everything above except splits */
    struct arena arena;   /* of a decoded graph: what graph_close frees */
};

/* Inputs of one node, and of all nodes together; a graph with more is refused. */
#define GRAPH_INPUTS_MAX 4096u
#define GRAPH_INPUTS_TOTAL_MAX (1u << 20)

/* True for [A-Za-z0-9_.-]{1,128}. */
bool graph_id_valid(const char *id);

/* "forward", "key", "rebalance", "broadcast", "global", "custom"; "?" for a number that is none. */
const char *graph_partition_name(enum graph_partition partition);

/*
 * Checks every rule that does not need the order of the nodes: ids, enums, limits, that inputs name outputs which exist, that keyed nodes
 * have keyed inputs, that there is a source and a sink. Cycles are found by plan_new. Errors: WEIR_E_GRAPH, WEIR_E_LIMIT; the sentence
 * names the operator.
 */
weir_err graph_check(const struct graph *graph, struct weir_diag *diag);

/* Computes the fingerprint: the same for the same graph on every machine. */
uint64_t graph_fingerprint(const struct graph *graph);

/*
 * msgpack form; decode is bounded by the bytes it reads, and checks every index, enum and id, and the fingerprint (encode writes the
 * computed one). Whether the graph can run is graph_check's business. Errors: WEIR_E_CORRUPT, WEIR_E_NOMEM, WEIR_E_LIMIT,
 * WEIR_E_UNSUPPORTED (format version).
 */
weir_err graph_encode(const struct graph *graph, struct buffer *out);
weir_err graph_decode(struct graph *out, const void *data, size_t len, struct weir_diag *diag);
void graph_close(struct graph *graph);

#endif
