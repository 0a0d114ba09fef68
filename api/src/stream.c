/* SPDX-License-Identifier: Apache-2.0 */
/* Streams: the views between the steps, how they are divided, joined and resolved. */
#include "api/src/builder.h"

struct weir_stream *stream_new(struct weir_env *env, enum stream_kind kind)
{
    struct weir_stream *stream = weir_env_alloc(env, sizeof *stream);
    if (!stream) return NULL;
    stream->env = env;
    stream->kind = kind;
    return stream;
}

struct weir_stream *stream_output(struct weir_env *env, uint32_t node, uint32_t output)
{
    struct weir_stream *stream = stream_new(env, STREAM_OUTPUT);
    if (!stream) return NULL;
    stream->node = node;
    stream->output = output;
    return stream;
}

/* What is divided, without the way how. */
static const struct weir_stream *bare(const struct weir_stream *stream)
{
    return stream->kind == STREAM_SHAPED ? stream->of : stream;
}

struct builder_node *stream_maker(const struct weir_stream *stream)
{
    stream = bare(stream);
    return stream->kind == STREAM_OUTPUT ? stream->env->nodes[stream->node] : NULL;
}

const char *stream_id(const struct weir_stream *stream)
{
    stream = bare(stream);
    /* A union may have been made to take in itself; weir_env_finish refuses that, here it must only not turn for ever. */
    for (uint32_t depth = 0; stream->kind == STREAM_UNION; stream = bare(stream->members[0])) {
        if (depth++ == ENV_UNION_DEPTH_MAX) return "?";
    }
    return stream->env->nodes[stream->node]->node.id;
}

const struct weir_schema *weir_stream_schema(const struct weir_stream *stream)
{
    if (!stream) return NULL;
    stream = bare(stream);
    if (stream->kind == STREAM_UNION) return stream->type;
    const struct env_node *node = &stream->env->nodes[stream->node]->node;
    return stream->output < node->n_outputs ? node->outputs[stream->output] : NULL;
}

struct weir_env *weir_stream_env(const struct weir_stream *stream)
{
    return stream ? stream->env : NULL;
}

bool stream_usable(struct weir_env *env, const char *taker, const struct weir_stream *stream)
{
    if (stream->env != env) {
        return env_mistake(env, WEIR_E_GRAPH, "%s takes in operator %s of another environment", taker, stream_id(stream));
    }
    const struct builder_node *maker = stream_maker(stream);
    if (!maker || maker->node.n_outputs) return true;
    return env_mistake(env, WEIR_E_GRAPH, "%s takes its input from operator %s, a sink, which has no output", taker, maker->node.id);
}

struct weir_stream *weir_side_output(struct weir_stream *stream, uint32_t index)
{
    if (!stream) return NULL;
    struct builder_node *maker = stream_maker(stream);
    if (!maker) {
        return env_mistake(stream->env, WEIR_E_GRAPH, "a union (of %s ...) has no side outputs; take them from its members",
                           stream_id(stream));
    }
    uint32_t n_sides = maker->node.n_outputs ? maker->node.n_outputs - 1 : 0;
    if (index >= n_sides) {
        return env_mistake(stream->env, WEIR_E_GRAPH, "operator %s has %u side outputs, so side output %u (counted from 0) does not exist",
                           maker->node.id, n_sides, index);
    }
    return stream_output(stream->env, bare(stream)->node, index + 1);
}

/* ---- unions ---------------------------------------------------------------------------------------------------------------------- */

static bool join(struct weir_stream *to, struct weir_stream *stream)
{
    struct weir_env *env = to->env;
    if (!stream_usable(env, "a union", stream)) return false;
    const struct weir_schema *type = weir_stream_schema(stream);
    if (!schema_join(env, "a union", to->type, stream_id(stream), type)) return false;
    void *members = to->members;
    if (!env_grow(env, &members, to->n, &to->cap, to->n + 1, sizeof *to->members)) return false;
    to->members = members;
    to->members[to->n++] = stream;
    if (!to->type) to->type = type;
    return true;
}

struct weir_stream *weir_union(struct weir_stream *const *streams, uint32_t n)
{
    if (!streams || n == 0 || !streams[0]) return NULL;
    if (n > ENV_INPUTS_MAX) {
        return env_mistake(streams[0]->env, WEIR_E_LIMIT, "a union takes in at most %u streams, not %u", ENV_INPUTS_MAX, n);
    }
    struct weir_stream *all = stream_new(streams[0]->env, STREAM_UNION);
    for (uint32_t i = 0; all && i < n; i++) {
        if (!streams[i]) return env_mistake(all->env, WEIR_E_GRAPH, "stream %u of a union (of %s ...) is NULL", i, stream_id(streams[0]));
        if (!join(all, streams[i])) return NULL;
    }
    return all;
}

struct weir_stream *weir_union_add(struct weir_stream *union_stream, struct weir_stream *stream)
{
    if (!union_stream) return NULL;
    if (union_stream->kind != STREAM_UNION) {
        return env_mistake(union_stream->env, WEIR_E_GRAPH, "weir_union_add: the stream of operator %s is not a union",
                           stream_id(union_stream));
    }
    if (!stream) return env_mistake(union_stream->env, WEIR_E_GRAPH, "weir_union_add: the stream to add is NULL");
    if (union_stream->n == ENV_INPUTS_MAX) {
        return env_mistake(union_stream->env, WEIR_E_LIMIT, "a union takes in at most %u streams", ENV_INPUTS_MAX);
    }
    return join(union_stream, stream) ? union_stream : NULL;
}

static bool add_input(struct weir_env *env, struct env_node *node, uint32_t *cap, struct env_input input)
{
    if (node->n_inputs == ENV_INPUTS_MAX) {
        return env_mistake(env, WEIR_E_LIMIT, "operator %s has more than %u inputs", node->id, ENV_INPUTS_MAX);
    }
    void *inputs = node->inputs;
    if (!env_grow(env, &inputs, node->n_inputs, cap, node->n_inputs + 1, sizeof *node->inputs)) return false;
    node->inputs = inputs;
    node->inputs[node->n_inputs++] = input;
    return true;
}

/* Adds what `stream` stands for. The way of dividing nearest to the consumer wins, so `way` passes into a union and hides its members' own.
 */
static bool resolve(struct weir_env *env, struct env_node *node, uint32_t port, uint32_t *cap, const struct weir_stream *stream,
                    const struct weir_stream *way, uint32_t depth)
{
    if (stream->kind == STREAM_SHAPED && !way) way = stream;
    stream = bare(stream);
    if (stream->kind == STREAM_OUTPUT) {
        struct env_input input = {.port = port, .node = stream->node, .output = stream->output, .partition = ENV_FORWARD};
        if (way) input.partition = way->partition, input.keyer = way->keyer, input.partitioner = way->partitioner;
        return add_input(env, node, cap, input);
    }
    if (depth == ENV_UNION_DEPTH_MAX) {
        return env_mistake(env, WEIR_E_GRAPH, "operator %s: its union takes in itself, or unions are nested deeper than %u", node->id,
                           ENV_UNION_DEPTH_MAX);
    }
    for (uint32_t i = 0; i < stream->n; i++) {
        if (!resolve(env, node, port, cap, stream->members[i], way, depth + 1)) return false;
    }
    return true;
}

bool stream_resolve(struct weir_env *env, struct builder_node *node)
{
    uint32_t cap = 0;
    node->node.n_inputs = 0;
    for (uint32_t port = 0; port < node->node.n_ports; port++) {
        if (!resolve(env, &node->node, port, &cap, node->in[port], NULL, 0)) return false;
    }
    return true;
}

/* ---- how records reach the next step --------------------------------------------------------------------------------------------- */

static struct weir_stream *shape(struct weir_stream *in, enum env_partition partition, const char *what)
{
    if (!in || !stream_usable(in->env, what, in)) return NULL;
    struct weir_stream *stream = stream_new(in->env, STREAM_SHAPED);
    if (!stream) return NULL;
    stream->of = in->kind == STREAM_SHAPED ? in->of : in;
    stream->partition = partition;
    return stream;
}

/* What is wrong with the table, or NULL. */
static const char *keyer_fault(const struct weir_keyer *keyer)
{
    if (!keyer) return "is NULL";
    if (keyer->struct_size != sizeof *keyer) return "was declared with other headers: rebuild the plugin";
    if (!name_ok(keyer->name)) return "has no name, or one that is too long";
    if (!keyer->extract) return "has no extract function";
    if (keyer->key_size > WEIR_KEY_MAX) return "has a key_size above WEIR_KEY_MAX";
    return NULL;
}

struct weir_stream *weir_key_by(struct weir_stream *in, const struct weir_keyer *keyer)
{
    if (!in) return NULL;
    const char *fault = keyer_fault(keyer);
    if (fault) return env_mistake(in->env, WEIR_E_GRAPH, "key_by of operator %s: the keyer %s", stream_id(in), fault);
    struct weir_stream *stream = shape(in, ENV_KEY, "key_by");
    if (stream) stream->keyer = keyer;
    return stream;
}

static const char *partitioner_fault(const struct weir_partitioner *partitioner)
{
    if (!partitioner) return "is NULL";
    if (partitioner->struct_size != sizeof *partitioner) return "was declared with other headers: rebuild the plugin";
    if (!name_ok(partitioner->name)) return "has no name, or one that is too long";
    return partitioner->choose ? NULL : "has no choose function";
}

struct weir_stream *weir_partition(struct weir_stream *in, const struct weir_partitioner *partitioner)
{
    if (!in) return NULL;
    const char *fault = partitioner_fault(partitioner);
    if (fault) return env_mistake(in->env, WEIR_E_GRAPH, "partition of operator %s: the partitioner %s", stream_id(in), fault);
    struct weir_stream *stream = shape(in, ENV_CUSTOM, "partition");
    if (stream) stream->partitioner = partitioner;
    return stream;
}

struct weir_stream *weir_rebalance(struct weir_stream *in)
{
    return shape(in, ENV_REBALANCE, "rebalance");
}

struct weir_stream *weir_broadcast(struct weir_stream *in)
{
    return shape(in, ENV_BROADCAST, "broadcast");
}

struct weir_stream *weir_global(struct weir_stream *in)
{
    return shape(in, ENV_GLOBAL, "global");
}

/* ---- settings of the step -------------------------------------------------------------------------------------------------------- */

/* The step whose setting `what` is changed, or NULL with a mistake kept. */
static struct env_node *setting(struct weir_stream *stream, const char *what)
{
    if (!stream) return NULL;
    struct builder_node *maker = stream_maker(stream);
    if (maker) return &maker->node;
    return env_mistake(stream->env, WEIR_E_GRAPH, "%s: a union (of %s ...) is not a step and has no settings", what, stream_id(stream));
}

struct weir_stream *weir_set_parallelism(struct weir_stream *stream, uint32_t parallelism)
{
    struct env_node *node = setting(stream, "weir_set_parallelism");
    if (!node) return NULL;
    if (parallelism == 0 || parallelism > WEIR_PARALLELISM_MAX) {
        return env_mistake(stream->env, WEIR_E_GRAPH, "operator %s: parallelism %u is outside 1 ... %d", node->id, parallelism,
                           WEIR_PARALLELISM_MAX);
    }
    node->parallelism = parallelism;
    return stream;
}

struct weir_stream *weir_start_new_chain(struct weir_stream *stream)
{
    struct env_node *node = setting(stream, "weir_start_new_chain");
    if (!node) return NULL;
    node->chain = false;
    return stream;
}

struct weir_stream *weir_disable_chaining(struct weir_stream *stream)
{
    struct env_node *node = setting(stream, "weir_disable_chaining");
    if (!node) return NULL;
    node->chain = false;
    node->alone = true;
    return stream;
}
