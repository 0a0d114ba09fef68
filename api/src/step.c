/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of a job: sources, operators, watermarks, windows. Each builder checks its table, adds a node and returns its output 0. */
#include "api/src/builder.h"
#include "weir/state.h"

/* The author's table and the runtime's must be the same struct, or its last members are read from whatever lies behind. */
static bool size_check(struct weir_env *env, const char *id, const char *table, size_t given, size_t ours)
{
    if (given == ours) return true;
    return env_mistake(env, WEIR_E_ABI,
                       "operator %s: its %s has struct_size %zu, this Weir's has %zu: set struct_size, or rebuild the plugin", id, table,
                       given, ours);
}

static bool copy_config(struct weir_env *env, struct env_node *node, const void *config, size_t size)
{
    if (size == 0) return true;
    if (!config) return env_mistake(env, WEIR_E_GRAPH, "operator %s: its configuration is NULL but has %zu bytes", node->id, size);
    void *copy = weir_env_alloc(env, size);
    if (!copy) return false;
    memcpy(copy, config, size);
    node->config = copy;
    return true;
}

/* Adds the node of a step with an input, whose rows must fit `wanted` (NULL: any). */
static struct builder_node *add_step(struct weir_stream *in, const char *id, enum env_node_kind kind)
{
    if (!in) return NULL;
    struct builder_node *added = env_add(in->env, id, kind, in);
    if (!added || !stream_usable(in->env, operator_text(in->env, id), in)) return NULL;
    return added;
}

/* Settles the type of an input of the node: what arrives, or where that is unknown what the step says it wants. */
static bool take_input(struct weir_env *env, struct builder_node *added, uint32_t port, const struct weir_schema *wanted)
{
    const struct weir_schema *given = weir_stream_schema(added->in[port]);
    if (!schema_check(env, added->node.id, wanted)) return false;
    if (!schema_join(env, operator_text(env, added->node.id), wanted, stream_id(added->in[port]), given)) return false;
    added->node.input[port] = given ? given : wanted;
    return true;
}

static bool sides_check(struct weir_env *env, const char *id, const struct weir_schema *const *sides, uint32_t n_sides)
{
    if (n_sides > WEIR_SIDES_MAX)
        return env_mistake(env, WEIR_E_LIMIT, "operator %s declares %u side outputs; at most %d are allowed", id, n_sides, WEIR_SIDES_MAX);
    if (n_sides && !sides) return env_mistake(env, WEIR_E_GRAPH, "operator %s: n_sides is %u but sides is NULL", id, n_sides);
    for (uint32_t i = 0; i < n_sides; i++) {
        if (!schema_check(env, id, sides[i])) return false;
    }
    return true;
}

/* Output 0 of type `main`, and the declared side outputs. */
static bool make_outputs(struct weir_env *env, struct env_node *node, const struct weir_schema *main,
                         const struct weir_schema *const *sides, uint32_t n_sides)
{
    node->outputs = weir_env_alloc(env, (1 + n_sides) * sizeof *node->outputs);
    if (!node->outputs) return false;
    node->n_outputs = 1 + n_sides;
    node->outputs[0] = main;
    for (uint32_t i = 0; i < n_sides; i++) node->outputs[1 + i] = sides[i];
    return true;
}

/* ---- sources --------------------------------------------------------------------------------------------------------------------- */

static bool source_check(struct weir_env *env, const char *id, const struct weir_source *source)
{
    if (!source) return env_mistake(env, WEIR_E_GRAPH, "operator %s: its source is NULL", id);
    if (!size_check(env, id, "weir_source", source->struct_size, sizeof *source)) return false;
    if (!name_ok(source->name)) return env_mistake(env, WEIR_E_GRAPH, "operator %s: its source has no name, or one that is too long", id);
    if (!source->discover) return env_mistake(env, WEIR_E_GRAPH, "operator %s: its source has no discover function", id);
    if (!source->read) return env_mistake(env, WEIR_E_GRAPH, "operator %s: its source has no read function", id);
    return schema_check(env, id, source->schema) && sides_check(env, id, source->sides, source->n_sides);
}

struct weir_stream *weir_from(struct weir_env *env, const char *id, const struct weir_source *source, const void *config,
                              size_t config_size)
{
    if (!env) return NULL;
    struct builder_node *added = env_add(env, id, ENV_SOURCE, NULL);
    if (!added || !source_check(env, id, source) || !copy_config(env, &added->node, config, config_size)) return NULL;
    if (!make_outputs(env, &added->node, source->schema, source->sides, source->n_sides)) return NULL;
    added->node.source = source;
    return stream_output(env, env->n_nodes - 1, 0);
}

/* ---- operators and sinks --------------------------------------------------------------------------------------------------------- */

/* What is wrong with the flags of a table for a step of so many inputs, or NULL. */
static const char *flags_fault(uint32_t flags, uint32_t n_ports)
{
    const uint32_t known = WEIR_OPERATOR_SINK | WEIR_OPERATOR_KEYED | WEIR_OPERATOR_TWO_INPUTS | WEIR_OPERATOR_TAKES_CHANGES |
                           WEIR_OPERATOR_PASSES_CHANGES | WEIR_OPERATOR_RETRACTS | WEIR_OPERATOR_UPSERTS;
    if (flags & ~known) return "has unknown flags";
    if (n_ports == 1 && flags & WEIR_OPERATOR_TWO_INPUTS) return "has two inputs: use weir_co_apply";
    if (n_ports == 2 && !(flags & WEIR_OPERATOR_TWO_INPUTS)) return "has one input: WEIR_OPERATOR_TWO_INPUTS is not among its flags";
    if (flags & WEIR_OPERATOR_UPSERTS && !(flags & WEIR_OPERATOR_KEYED))
        return "takes upserts, which go by key: it needs WEIR_OPERATOR_KEYED";
    return NULL;
}

static bool operator_check(struct weir_env *env, const char *id, const struct weir_operator *op, uint32_t n_ports)
{
    if (!op) return env_mistake(env, WEIR_E_GRAPH, "operator %s: its table (struct weir_operator) is NULL", id);
    if (!size_check(env, id, "weir_operator", op->struct_size, sizeof *op)) return false;
    if (!name_ok(op->name)) return env_mistake(env, WEIR_E_GRAPH, "operator %s: its table has no name, or one that is too long", id);
    const char *fault = flags_fault(op->flags, n_ports);
    if (fault) return env_mistake(env, WEIR_E_GRAPH, "operator %s: its table %s (flags 0x%x)", id, fault, op->flags);
    if (op->n_sides && op->flags & WEIR_OPERATOR_SINK)
        return env_mistake(env, WEIR_E_GRAPH, "operator %s is a sink and cannot have side outputs", id);
    return schema_check(env, id, op->out) && sides_check(env, id, op->sides, op->n_sides);
}

static bool operator_outputs(struct weir_env *env, struct env_node *node, const struct weir_operator *op)
{
    if (op->flags & WEIR_OPERATOR_SINK) return true;
    return make_outputs(env, node, op->out ? op->out : node->input[0], op->sides, op->n_sides);
}

/* The rest of a step whose inputs are known: types, configuration, outputs. */
static struct weir_stream *finish_step(struct weir_env *env, struct builder_node *added, const struct weir_operator *op, const void *config,
                                       size_t config_size)
{
    if (!operator_check(env, added->node.id, op, added->node.n_ports) || !take_input(env, added, 0, op->in)) return NULL;
    if (added->node.n_ports == 2 && !take_input(env, added, 1, op->second)) return NULL;
    if (!copy_config(env, &added->node, config, config_size) || !operator_outputs(env, &added->node, op)) return NULL;
    added->node.op = op;
    return stream_output(env, env->n_nodes - 1, 0);
}

struct weir_stream *weir_apply(struct weir_stream *in, const char *id, const struct weir_operator *op, const void *config,
                               size_t config_size)
{
    struct builder_node *added = add_step(in, id, ENV_OPERATOR);
    return added ? finish_step(in->env, added, op, config, config_size) : NULL;
}

struct weir_stream *weir_co_apply(struct weir_stream *first, struct weir_stream *second, const char *id, const struct weir_operator *op,
                                  const void *config, size_t config_size)
{
    if (!first || !second) return NULL;
    struct builder_node *added = add_step(first, id, ENV_OPERATOR);
    if (!added || !stream_usable(first->env, operator_text(first->env, id), second)) return NULL;
    added->in[1] = second;
    added->node.n_ports = 2;
    return finish_step(first->env, added, op, config, config_size);
}

/* ---- event time ------------------------------------------------------------------------------------------------------------------ */

static bool watermarks_check(struct weir_env *env, const char *id, weir_timestamp_fn timestamp, const struct weir_watermarks *w)
{
    if (!timestamp) return env_mistake(env, WEIR_E_GRAPH, "operator %s: its timestamp function is NULL", id);
    if (!w) return env_mistake(env, WEIR_E_GRAPH, "operator %s: its weir_watermarks are NULL", id);
    if (w->max_out_of_orderness_ms < 0) {
        return env_mistake(env, WEIR_E_GRAPH, "operator %s: max_out_of_orderness_ms %lld is negative", id,
                           (long long)w->max_out_of_orderness_ms);
    }
    if (w->idle_ms < 0) return env_mistake(env, WEIR_E_GRAPH, "operator %s: idle_ms %lld is negative", id, (long long)w->idle_ms);
    return true;
}

struct weir_stream *weir_assign_watermarks(struct weir_stream *in, const char *id, weir_timestamp_fn timestamp,
                                           const struct weir_watermarks *watermarks)
{
    struct builder_node *added = add_step(in, id, ENV_WATERMARKS);
    if (!added || !watermarks_check(in->env, id, timestamp, watermarks) || !take_input(in->env, added, 0, NULL)) return NULL;
    if (!make_outputs(in->env, &added->node, added->node.input[0], NULL, 0)) return NULL;
    added->node.timestamp = timestamp;
    added->node.watermarks = *watermarks;
    return stream_output(in->env, in->env->n_nodes - 1, 0);
}

/* ---- windows --------------------------------------------------------------------------------------------------------------------- */

static bool positive(struct weir_env *env, const char *id, const char *member, int64_t value)
{
    if (value > 0) return true;
    return env_mistake(env, WEIR_E_GRAPH, "operator %s: %s %lld of its window must be positive", id, member, (long long)value);
}

static bool offset_check(struct weir_env *env, const char *id, const struct weir_window *w, const char *of, int64_t period_ms)
{
    if (w->offset_ms >= 0 && w->offset_ms < period_ms) return true;
    return env_mistake(env, WEIR_E_GRAPH, "operator %s: offset_ms %lld of its window is outside 0 ... %s - 1 = %lld", id,
                       (long long)w->offset_ms, of, (long long)period_ms - 1);
}

static bool cumulating_check(struct weir_env *env, const char *id, const struct weir_window *w)
{
    if (!positive(env, id, "size_ms", w->size_ms) || !positive(env, id, "step_ms", w->step_ms)) return false;
    if (w->size_ms % w->step_ms == 0) return offset_check(env, id, w, "size_ms", w->size_ms);
    return env_mistake(env, WEIR_E_GRAPH, "operator %s: size_ms %lld of its window is no multiple of step_ms %lld", id,
                       (long long)w->size_ms, (long long)w->step_ms);
}

static bool kind_check(struct weir_env *env, const char *id, const struct weir_window *w)
{
    switch (w->kind) {
    case WEIR_TUMBLING: return positive(env, id, "size_ms", w->size_ms) && offset_check(env, id, w, "size_ms", w->size_ms);
    case WEIR_SLIDING:
        return positive(env, id, "size_ms", w->size_ms) && positive(env, id, "slide_ms", w->slide_ms) &&
               offset_check(env, id, w, "slide_ms", w->slide_ms);
    case WEIR_CUMULATING: return cumulating_check(env, id, w);
    case WEIR_SESSION:
        if (w->gap_ms > 0) return true;
        return env_mistake(env, WEIR_E_GRAPH, "operator %s: gap_ms %lld of its session window must be positive", id, (long long)w->gap_ms);
    case WEIR_GLOBAL: return true;
    }
    return env_mistake(env, WEIR_E_GRAPH, "operator %s: its window is of unknown kind %d", id, (int)w->kind);
}

static bool trigger_check(struct weir_env *env, const char *id, const struct weir_trigger *t)
{
    if (t->early_ms < 0)
        return env_mistake(env, WEIR_E_GRAPH, "operator %s: early_ms %lld of its trigger is negative", id, (long long)t->early_ms);
    if (t->early_only && !t->early_ms && !t->early_count)
        return env_mistake(env, WEIR_E_GRAPH, "operator %s: its trigger never fires: early_only needs early_count or early_ms", id);
    if ((unsigned)t->early_domain <= WEIR_PROCESSING_TIME) return true;
    return env_mistake(env, WEIR_E_GRAPH, "operator %s: early_domain %d of its trigger is none", id, (int)t->early_domain);
}

/* What goes with event time, and with processing time. */
static bool domain_check(struct weir_env *env, const char *id, const struct weir_window *w)
{
    bool by_clock = w->domain == WEIR_PROCESSING_TIME;
    if ((unsigned)w->domain > WEIR_PROCESSING_TIME)
        return env_mistake(env, WEIR_E_GRAPH, "operator %s: domain %d of its window is none", id, (int)w->domain);
    if (w->allowed_lateness_ms < 0)
        return env_mistake(env, WEIR_E_GRAPH, "operator %s: allowed_lateness_ms %lld of its window is negative", id,
                           (long long)w->allowed_lateness_ms);
    if (by_clock && w->allowed_lateness_ms)
        return env_mistake(env, WEIR_E_GRAPH, "operator %s: nothing is late in processing time: leave allowed_lateness_ms 0", id);
    if (by_clock && w->kind == WEIR_GLOBAL)
        return env_mistake(env, WEIR_E_GRAPH, "operator %s: a global window has no time to go by: leave domain 0", id);
    if (by_clock && w->trigger && w->trigger->early_ms && w->trigger->early_domain != WEIR_PROCESSING_TIME)
        return env_mistake(env, WEIR_E_GRAPH,
                           "operator %s: its windows go by the clock, so early_ms does: early_domain WEIR_PROCESSING_TIME", id);
    if (w->kind == WEIR_GLOBAL && w->allowed_lateness_ms)
        return env_mistake(env, WEIR_E_GRAPH, "operator %s: nothing is late in a global window: leave allowed_lateness_ms 0", id);
    return true;
}

static bool window_check(struct weir_env *env, const char *id, const struct weir_window *w)
{
    if (!w) return env_mistake(env, WEIR_E_GRAPH, "operator %s: its window is NULL", id);
    if (!kind_check(env, id, w) || !domain_check(env, id, w)) return false;
    return !w->trigger || trigger_check(env, id, w->trigger);
}

/* Why windows of this kind merge accumulators; NULL: they do not. */
static const char *merging(const struct weir_window *w)
{
    if (w->kind == WEIR_SESSION) return "sessions need";
    if (w->trigger) return NULL; /* each window has its own accumulators then */
    if (w->kind == WEIR_SLIDING && w->slide_ms != w->size_ms) return "sliding windows need";
    return w->kind == WEIR_CUMULATING ? "cumulating windows need" : NULL;
}

static bool survey_check(struct weir_env *env, const char *id, const struct weir_window *w, const struct weir_aggregate *a)
{
    if (a->summary_size == 0) return true;
    if (!a->survey || !a->emit_surveyed || a->summary_size > WEIR_VALUE_MAX)
        return env_mistake(env, WEIR_E_GRAPH, "operator %s: the survey of aggregate %s needs survey, emit_surveyed and at most %u bytes",
                           id, a->name, WEIR_VALUE_MAX);
    if (w->kind != WEIR_SESSION && w->kind != WEIR_GLOBAL && !w->trigger && !w->allowed_lateness_ms) return true;
    return env_mistake(env, WEIR_E_GRAPH,
                       "operator %s: aggregate %s surveys whole windows, which its kind, trigger or lateness fires by key", id, a->name);
}

static bool aggregate_check(struct weir_env *env, const char *id, const struct weir_aggregate *a, const struct weir_window *w)
{
    if (!a) return env_mistake(env, WEIR_E_GRAPH, "operator %s: its aggregate is NULL", id);
    if (!size_check(env, id, "weir_aggregate", a->struct_size, sizeof *a)) return false;
    if (!name_ok(a->name)) return env_mistake(env, WEIR_E_GRAPH, "operator %s: its aggregate has no name, or one that is too long", id);
    if (!a->add || (!a->emit && !a->summary_size))
        return env_mistake(env, WEIR_E_GRAPH, "operator %s: aggregate %s has no %s function", id, a->name, a->add ? "emit" : "add");
    if (merging(w) && !a->merge)
        return env_mistake(env, WEIR_E_GRAPH, "operator %s: aggregate %s has no merge function, which %s", id, a->name, merging(w));
    if (a->acc_size == 0 || a->acc_size > WEIR_VALUE_MAX) {
        return env_mistake(env, WEIR_E_GRAPH, "operator %s: acc_size %u of aggregate %s is outside 1 ... %u", id, a->acc_size, a->name,
                           WEIR_VALUE_MAX);
    }
    return survey_check(env, id, w, a) && schema_check(env, id, a->out);
}

static bool function_check(struct weir_env *env, const char *id, const struct weir_window_function *f)
{
    if (!f) return env_mistake(env, WEIR_E_GRAPH, "operator %s: its window function is NULL", id);
    if (!size_check(env, id, "weir_window_function", f->struct_size, sizeof *f)) return false;
    if (!name_ok(f->name))
        return env_mistake(env, WEIR_E_GRAPH, "operator %s: its window function has no name, or one that is too long", id);
    if (!f->process) return env_mistake(env, WEIR_E_GRAPH, "operator %s: window function %s has no process function", id, f->name);
    return schema_check(env, id, f->out);
}

/* Settles types and keeps a copy of the window with its trigger. Returns output 0; output 1 has the late rows. */
static struct weir_stream *window_outputs(struct weir_env *env, struct builder_node *added, const struct weir_window *window,
                                          const struct weir_schema *in, const struct weir_schema *out)
{
    if (!take_input(env, added, 0, in) || !make_outputs(env, &added->node, out, added->node.input, 1)) return NULL;
    added->node.window = *window;
    if (!window->trigger) return stream_output(env, env->n_nodes - 1, 0);
    struct weir_trigger *trigger = weir_env_alloc(env, sizeof *trigger);
    if (!trigger) return NULL;
    *trigger = *window->trigger;
    added->node.window.trigger = trigger;
    return stream_output(env, env->n_nodes - 1, 0);
}

struct weir_stream *weir_window_aggregate(struct weir_stream *keyed, const char *id, const struct weir_window *window,
                                          const struct weir_aggregate *aggregate)
{
    struct builder_node *added = add_step(keyed, id, ENV_WINDOW);
    if (!added || !window_check(keyed->env, id, window) || !aggregate_check(keyed->env, id, aggregate, window)) return NULL;
    added->node.aggregate = aggregate;
    return window_outputs(keyed->env, added, window, aggregate->in, aggregate->out);
}

struct weir_stream *weir_window_process(struct weir_stream *keyed, const char *id, const struct weir_window *window,
                                        const struct weir_window_function *function)
{
    struct builder_node *added = add_step(keyed, id, ENV_WINDOW);
    if (!added || !window_check(keyed->env, id, window) || !function_check(keyed->env, id, function)) return NULL;
    added->node.function = function;
    return window_outputs(keyed->env, added, window, function->in, function->out);
}
