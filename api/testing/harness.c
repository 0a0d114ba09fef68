/* SPDX-License-Identifier: Apache-2.0 */
/* Life of a harness: the graph between its ends is built, planned and deployed as a worker does it, then opened. */
#include "api/testing/harness.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/folder.h"
#include "runtime/base/log.h"
#include "taskmanager/worker/describe.h"

/* ---- for build ------------------------------------------------------------------------------------------------------------------- */

struct weir_env *weir_harness_env(struct weir_harness *h)
{
    return h->env;
}

static struct weir_stream *add_input(struct weir_harness *h, const struct weir_schema *schema, bool changes)
{
    if (!h->env) return NULL; /* the graph is built already */
    if (h->n_inputs == WEIR_HARNESS_INPUTS_MAX)
        return env_mistake(h->env, WEIR_E_LIMIT, "a harness has at most %d inputs (WEIR_HARNESS_INPUTS_MAX)", WEIR_HARNESS_INPUTS_MAX);
    uint32_t index = h->n_inputs;
    if (!schema) return env_mistake(h->env, WEIR_E_ARGUMENT, "input %u of the harness needs a row type", index);
    struct weir_source *source = weir_env_alloc(h->env, sizeof *source);
    const char *id = weir_env_printf(h->env, "harness-in-%u", index);
    if (!source || !id) return NULL;
    *source = harness_source;
    source->schema = schema;
    struct end_config config = {h, index};
    uint32_t node = weir_env_count(h->env);
    struct weir_stream *stream = weir_set_parallelism(weir_from(h->env, id, source, &config, sizeof config), 1);
    if (stream && changes) {
        id = weir_env_printf(h->env, "harness-changes-%u", index);
        stream = weir_set_parallelism(weir_apply(stream, id, &harness_changes, NULL, 0), 1);
    }
    if (!stream) return NULL;
    h->inputs[h->n_inputs++] = (struct input){.node = node, .schema = schema, .changes = changes, .watermark_ms = WEIR_TIME_MIN};
    return stream;
}

struct weir_stream *weir_harness_in(struct weir_harness *h, const struct weir_schema *schema)
{
    return add_input(h, schema, false);
}

struct weir_stream *weir_harness_in_changes(struct weir_harness *h, const struct weir_schema *schema)
{
    return add_input(h, schema, true);
}

void weir_harness_out(struct weir_harness *h, struct weir_stream *stream)
{
    if (!stream || !h->env) return;
    if (h->n_outputs == WEIR_HARNESS_OUTPUTS_MAX) {
        (void)env_mistake(h->env, WEIR_E_LIMIT, "a harness has at most %d outputs (WEIR_HARNESS_OUTPUTS_MAX)", WEIR_HARNESS_OUTPUTS_MAX);
        return;
    }
    struct end_config config = {h, h->n_outputs};
    const char *id = weir_env_printf(h->env, "harness-out-%u", h->n_outputs);
    const struct builder_node *maker = stream_maker(stream);
    uint32_t node = weir_env_count(h->env);
    struct weir_stream *sink = weir_apply(stream, id, &harness_sink, &config, sizeof config);
    if (sink && maker && maker->node.parallelism) sink = weir_set_parallelism(sink, maker->node.parallelism); /* chained, where it can be */
    if (sink) h->outputs[h->n_outputs++] = (struct output){.node = node, .watermark_ms = WEIR_TIME_MIN};
}

/* ---- one operator ---------------------------------------------------------------------------------------------------------------- */

static struct weir_stream *add_port(struct weir_harness *h, const struct weir_harness_port *port, const struct weir_schema *declared)
{
    struct weir_stream *stream = add_input(h, port->schema ? port->schema : declared, port->changes);
    if (port->keyer) return weir_key_by(stream, port->keyer);
    return port->broadcast ? weir_broadcast(stream) : stream;
}

static weir_err build_operator(struct weir_harness *h, void *arg, struct weir_diag *diag)
{
    const struct weir_harness_operator *one = arg;
    const struct weir_operator *op = one->op;
    const char *id = one->id ? one->id : "test";
    if (!op) return weir_fail(diag, WEIR_E_ARGUMENT, "the harness was given no operator");
    struct weir_stream *in = add_port(h, &one->in[0], op->in), *out;
    if (op->flags & WEIR_OPERATOR_TWO_INPUTS)
        out = weir_co_apply(in, add_port(h, &one->in[1], op->second), id, op, one->config, one->config_size);
    else
        out = weir_apply(in, id, op, one->config, one->config_size);
    if (op->flags & WEIR_OPERATOR_SINK) return WEIR_OK;
    weir_harness_out(h, out);
    for (uint32_t i = 0; i < op->n_sides; i++) weir_harness_out(h, weir_side_output(out, i));
    return WEIR_OK;
}

weir_err weir_harness_new_operator(struct weir_harness **out, const struct weir_harness_operator *op,
                                   const struct weir_harness_options *options, struct weir_diag *diag)
{
    return weir_harness_new(out, build_operator, (void *)(uintptr_t)op, options, diag);
}

/* ---- from the graph to subtasks ---------------------------------------------------------------------------------------------------- */

static weir_err check_graph(const struct weir_harness *h, struct weir_diag *diag)
{
    if (h->n_inputs == 0) return weir_fail(diag, WEIR_E_GRAPH, "the harness has no input: call weir_harness_in in the build function");
    for (uint32_t i = 0; i < weir_env_count(h->env); i++) {
        const struct env_node *node = weir_env_node(h->env, i);
        if (node->kind == ENV_SOURCE && node->source->discover != harness_source.discover)
            return weir_fail(diag, WEIR_E_GRAPH, "operator %s is a source of its own: in a harness take weir_harness_in in its place",
                             node->id);
    }
    return WEIR_OK;
}

/* Types are settled once the whole graph is known. */
static void note_types(struct weir_harness *h)
{
    for (uint32_t i = 0; i < h->n_outputs; i++) h->outputs[i].schema = weir_env_node(h->env, h->outputs[i].node)->input[0];
}

static uint32_t widest(const struct weir_harness *h)
{
    uint32_t most = 1;
    for (uint32_t i = 0; i < weir_env_count(h->env); i++) {
        uint32_t own = weir_env_node(h->env, i)->parallelism, p = own ? own : h->options.parallelism;
        if (p > most) most = p;
    }
    return most;
}

static weir_err deploy(struct weir_harness *h, struct weir_diag *diag)
{
    char dir[PATH_MAX];
    struct graph graph;
    struct wire_msg msg = {.type = WIRE_DEPLOY, .attempt = h->home->n_harnesses + 1};
    if (describe_graph(&graph, h->env, "harness")) return weir_fail(diag, WEIR_E_NOMEM, "no memory for a harness");
    msg.deploy.fingerprint = graph.fingerprint;
    describe_graph_close(&graph);
    for (uint32_t i = 0; i < h->n_inputs; i++) h->splits[i] = (struct wire_split){.node = h->inputs[i].node, .data = {"", 0}};
    msg.deploy.name = "harness";
    msg.deploy.parallelism = h->options.parallelism;
    msg.deploy.n_workers = 1;
    msg.deploy.n_slots = widest(h);
    msg.deploy.slot_worker = calloc(msg.deploy.n_slots, sizeof *msg.deploy.slot_worker);
    msg.deploy.splits = h->splits;
    msg.deploy.n_splits = h->n_inputs;
    h->blackbox = calloc(1, sizeof *h->blackbox);
    if (!msg.deploy.slot_worker || !h->blackbox) return weir_fail(diag, WEIR_E_NOMEM, "no memory for a harness");
    (void)snprintf(dir, sizeof dir, "%s/state-%" PRIu32, h->home->path, h->home->n_harnesses++);
    const struct deployment_state state = {
        .dir = dir, .slot_memory = h->options.state_bytes, .segment = h->options.batch == WEIR_HARNESS_ONE ? 1 : 0, .snapshots = true};
    weir_err err = deployment_new(&h->d, &msg, h->env, &state, h->blackbox, diag);
    if (!err) h->env = NULL; /* the deployment's now */
    free(msg.deploy.slot_worker);
    return err;
}

static weir_err build_env(struct weir_harness *h, weir_harness_build build, void *arg, struct weir_diag *diag)
{
    if (weir_env_new(&h->env, "harness", "/", h->options.parallelism))
        return weir_fail(diag, WEIR_E_ARGUMENT, "parallelism %u is outside 1 ... %d", h->options.parallelism, WEIR_PARALLELISM_MAX);
    weir_err err = build(h, arg, diag);
    if (!err) err = weir_env_finish(h->env, diag);
    if (!err) err = check_graph(h, diag);
    if (!err) note_types(h);
    return err;
}

/* ---- opening --------------------------------------------------------------------------------------------------------------------- */

weir_err harness_each(struct weir_harness *h, weir_err (*visit)(struct weir_harness *h, struct subtask *s, void *arg), void *arg)
{
    weir_err err = WEIR_OK;
    for (uint32_t t = 0; !err && t < h->d->n_threads; t++)
        for (uint32_t i = 0; !err && i < h->d->threads[t].n_subtasks; i++) err = visit(h, &h->d->threads[t].subtasks[i], arg);
    return err;
}

weir_err harness_fail(struct weir_harness *h, const struct subtask *s)
{
    if (h->failed) return h->failed;
    h->failure = s->diag;
    h->failed = s->diag.code;
    h->failed_id = s->failed_id;
    return weir_wrap(&h->failure, h->failed, "operator %s", h->failed_id ? h->failed_id : "?");
}

static weir_err open_subtask(struct weir_harness *h, struct subtask *s, void *arg)
{
    (void)arg;
    if (h->options.batch == WEIR_HARNESS_ONE) s->yield_flushes = 1;
    s->ahead_max = UINT64_MAX; /* the test says in which order events come, however far apart */
    harness_watch_snapshots(h, s);
    return subtask_open(s, h->now_ms) ? harness_fail(h, s) : WEIR_OK;
}

static weir_err make(struct weir_harness *h, weir_harness_build build, void *arg, struct weir_diag *diag)
{
    const struct weir_harness_snapshot *from = h->options.restore;
    weir_err err = WEIR_OK;
    if (from) {
        h->home = harness_snapshot_home(from);
        h->home->n_keepers++;
    } else {
        err = home_new(&h->home, diag);
    }
    if (!err) err = build_env(h, build, arg, diag);
    if (!err) err = deploy(h, diag);
    if (!err && from) {
        err = harness_restore(h, from);
        if (err) *diag = h->diag;
    }
    if (!err) {
        err = harness_each(h, open_subtask, NULL);
        if (err) *diag = h->failure;
    }
    return err;
}

weir_err weir_harness_new(struct weir_harness **out, weir_harness_build build, void *arg, const struct weir_harness_options *options,
                          struct weir_diag *diag)
{
    struct weir_diag own = {0};
    struct weir_harness *h = calloc(1, sizeof *h);
    if (!h) return weir_fail(diag, WEIR_E_NOMEM, "no memory for a harness");
    log_init("weir-harness", LOG_LEVEL_WARN);
    if (options) h->options = *options;
    if (h->options.parallelism == 0) h->options.parallelism = 1;
    if (h->options.rows_max == 0) h->options.rows_max = WEIR_HARNESS_ROWS_MAX;
    h->now_ms = h->clock_ms = h->options.now_ms ? h->options.now_ms : WEIR_HARNESS_NOW_MS;
    h->rng = h->options.seed;
    weir_err err = make(h, build, arg, &own);
    if (err) {
        if (diag) *diag = own;
        weir_harness_destroy(&h);
        return err;
    }
    h->options.restore = NULL; /* was borrowed */
    *out = h;
    return WEIR_OK;
}

void weir_harness_destroy(struct weir_harness **h_)
{
    struct weir_harness *h = *h_;
    if (!h) return;
    deployment_destroy(&h->d);
    weir_env_destroy(&h->env);
    for (uint32_t i = 0; i < h->n_inputs; i++) {
        events_close(&h->inputs[i].ready);
        free(h->inputs[i].building);
    }
    for (uint32_t i = 0; i < h->n_outputs; i++) output_close(&h->outputs[i]);
    events_close(&h->queue);
    home_release(&h->home);
    free(h->blackbox);
    free(h);
    *h_ = NULL;
}

/* ---- errors ---------------------------------------------------------------------------------------------------------------------- */

const struct weir_diag *weir_harness_diag(const struct weir_harness *h)
{
    return &h->diag;
}

const char *weir_harness_failed_id(const struct weir_harness *h)
{
    return h->failed_id;
}

void weir_harness_must(const struct weir_harness *h, weir_err err, const char *call, const char *file, int line)
{
    if (!err) return;
    (void)fprintf(stderr, "%s:%d: %s: %s: %s\n", file, line, call, weir_err_name(err), h ? h->diag.text : "");
    if (h) (void)folder_remove(h->home->path, NULL); /* nobody will do it later */
    abort();
}
