/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of a weir_env: what the builders of weir/stream.h leave behind, for the worker, which turns it into a plan_graph (describe)
 * and instantiates its operators (run).
 */
#ifndef WEIR_API_SRC_ENV_H
#define WEIR_API_SRC_ENV_H

#include "weir/weir.h"

enum env_partition { /* = enum graph_partition */
                     ENV_FORWARD = 1,
                     ENV_KEY = 2,
                     ENV_REBALANCE = 3,
                     ENV_BROADCAST = 4,
                     ENV_GLOBAL = 5,
                     ENV_CUSTOM = 6,
};

#define ENV_PORTS 2 /* inputs an operator can tell apart: process's `input` */

struct env_input {
    uint32_t port;
    uint32_t node, output;
    enum env_partition partition;
    const struct weir_keyer *keyer;             /* ENV_KEY */
    const struct weir_partitioner *partitioner; /* ENV_CUSTOM */
};

enum env_node_kind {
    ENV_SOURCE = 1,
    ENV_OPERATOR = 2,   /* step or sink: `op` */
    ENV_WATERMARKS = 3, /* weir_assign_watermarks: `timestamp`, `watermarks` */
    ENV_WINDOW = 4, /* weir_window_*: `window`, `aggregate` or `function`; output 0 = its out, output 1 = late rows of the input's type */
};

struct env_node {
    const char *id;
    enum env_node_kind kind;
    uint32_t parallelism; /* 0 = default */
    bool chain;           /* may join its producer's vertex */
    bool alone;           /* no consumer may join its vertex */
    uint32_t n_ports;     /* 0 for a source, 2 for weir_co_apply */
    uint32_t n_inputs;
    struct env_input *inputs; /* unions resolved, those of port 0 first */
    const struct weir_source *source;
    const struct weir_operator *op;
    const void *config; /* copy */
    weir_timestamp_fn timestamp;
    struct weir_watermarks watermarks;
    struct weir_window window;
    const struct weir_aggregate *aggregate;
    const struct weir_window_function *function;
    uint32_t n_outputs;
    const struct weir_schema **outputs;         /* row type of each output; NULL = unknown */
    const struct weir_schema *input[ENV_PORTS]; /* row type that arrives; NULL = unknown */
    bool updating;                              /* output 0 is a changelog, and the others too if the operator passes changes */
};

/* `cwd` and `name` are borrowed for the environment's life. */
weir_err weir_env_new(struct weir_env **out, const char *name, const char *cwd, uint32_t parallelism);
void weir_env_destroy(struct weir_env **env);

/* First mistake of the builders: its code (WEIR_OK: none), sentence in *diag. Also resolves unions. Call once after the entry function. */
weir_err weir_env_finish(struct weir_env *env, struct weir_diag *diag);

uint32_t weir_env_count(const struct weir_env *env);
const struct env_node *weir_env_node(const struct weir_env *env, uint32_t index);

/* The splits discover collected. */
struct weir_splits {
    uint32_t n, cap;
    struct weir_bytes *items; /* each malloc'ed */
};
void weir_splits_close(struct weir_splits *splits);

#endif
