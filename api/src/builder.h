/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the builders of weir/stream.h share with each other and with nobody else: the environment, its streams, its first mistake.
 *
 * A stream is a view: an output of a node, a union of streams, or another stream with a way to be divided. Views are looked through only in
 * weir_env_finish, because weir_union_add may still widen a union that was consumed long before.
 */
#ifndef WEIR_API_SRC_BUILDER_H
#define WEIR_API_SRC_BUILDER_H

#include "api/src/env.h"

/* Inputs of one node after its unions are resolved; a job with more is refused. Unions of unions grow as a power, hence a bound. */
#define ENV_INPUTS_MAX 4096u
/* Unions within unions; a job with deeper ones is refused. A union that takes in itself is endlessly deep and so ends here too. */
#define ENV_UNION_DEPTH_MAX 64u

enum stream_kind { STREAM_OUTPUT, STREAM_SHAPED, STREAM_UNION };

struct weir_stream {
    struct weir_env *env;
    enum stream_kind kind;
    uint32_t node, output;          /* STREAM_OUTPUT */
    struct weir_stream *of;         /* STREAM_SHAPED: an output or a union, never shaped itself: the last way of dividing wins */
    enum env_partition partition;   /* STREAM_SHAPED */
    const struct weir_keyer *keyer; /* STREAM_SHAPED by ENV_KEY */
    const struct weir_partitioner *partitioner; /* STREAM_SHAPED by ENV_CUSTOM */
    uint32_t n, cap;
    struct weir_stream **members;   /* STREAM_UNION, in order of joining; in the environment's memory */
    const struct weir_schema *type; /* STREAM_UNION: of the first member that knows its own; NULL = unknown so far */
};

struct builder_node {
    struct env_node node;
    struct weir_stream *in[ENV_PORTS]; /* by port; NULL where there is none */
};

struct weir_env {
    const char *name, *cwd;
    uint32_t parallelism;
    uint32_t n_nodes, cap_nodes;
    struct builder_node **nodes; /* stable addresses: weir_env_node gives them out */
    struct weir_diag mistake;    /* the first one; code WEIR_OK while there is none */
    struct env_block *blocks;    /* weir_env_alloc's */
};

/* Keeps the sentence if it is the first mistake. Returns NULL, so that a builder fails in one line: `return env_mistake(...)`. */
void *env_mistake(struct weir_env *env, weir_err err, const char *fmt, ...) WEIR_PRINTF(3, 4);

/* A copy of `text` in the environment's memory, or NULL. */
const char *env_strdup(struct weir_env *env, const char *text);

/* Grows an array in the environment's memory to at least `need` elements by doubling; false when there is none (a mistake is kept). */
bool env_grow(struct weir_env *env, void **items, uint32_t n, uint32_t *cap, uint32_t need, size_t item_size);

/* Adds a node fed by `in` (NULL: a source). Checks and copies the id. NULL after a mistake. */
struct builder_node *env_add(struct weir_env *env, const char *id, enum env_node_kind kind, struct weir_stream *in);

/* The view of one output of a node. */
struct weir_stream *stream_output(struct weir_env *env, uint32_t node, uint32_t output);

/* A view of no kind yet, zeroed. */
struct weir_stream *stream_new(struct weir_env *env, enum stream_kind kind);

/* True when a step or union of environment `env` may take in `stream`: it is of this environment and not a sink's. false: mistake kept. */
bool stream_usable(struct weir_env *env, const char *taker, const struct weir_stream *stream);

/* The node that made the stream, looking through key_by and its like; NULL for a union. */
struct builder_node *stream_maker(const struct weir_stream *stream);

/* An id that stands for the stream in a sentence: of its maker, or of the first step that feeds a union. */
const char *stream_id(const struct weir_stream *stream);

/* Writes the inputs that the ports of `node` stand for, unions resolved, into node->node.inputs. false: mistake kept. */
bool stream_resolve(struct weir_env *env, struct builder_node *node);

/* A name that may stand in plans, metrics and savepoints: there, not empty, at most WEIR_NAME_MAX bytes. */
bool name_ok(const char *name);

/* Checks a row type: sizes, names, types, offsets; `owner` names the step in the sentence. NULL is allowed (unknown). false: mistake kept.
 */
bool schema_check(struct weir_env *env, const char *owner, const struct weir_schema *schema);

/* True when rows of `given` can be read as rows of `wanted`; either may be NULL, which fits everything. */
bool schema_fits(const struct weir_schema *given, const struct weir_schema *wanted);

/* As schema_fits; when not, keeps the mistake that `taker` ("operator x", "a union") wants one type and operator `from` gives another. */
bool schema_join(struct weir_env *env, const char *taker, const struct weir_schema *wanted, const char *from,
                 const struct weir_schema *given);

/* "operator ID" in the environment's memory; "operator" when there is none. */
const char *operator_text(struct weir_env *env, const char *id);

#endif
