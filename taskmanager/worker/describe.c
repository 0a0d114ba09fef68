/* SPDX-License-Identifier: Apache-2.0 */
#include "taskmanager/worker/describe.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/limits.h"
#include "runtime/net/pipe.h"
#include "runtime/operator/window.h"
#include "taskmanager/worker/handover.h"
#include "taskmanager/worker/plugin.h"

static const char *step_name(const struct env_node *n)
{
    switch (n->kind) {
    case ENV_SOURCE: return n->source->name;
    case ENV_OPERATOR: return n->op->name;
    case ENV_WATERMARKS: return "watermarks";
    case ENV_WINDOW: return window_kind_name(n->window.kind);
    }
    return "";
}

static enum graph_node_kind graph_kind(const struct env_node *n)
{
    if (n->kind == ENV_SOURCE) return GRAPH_SOURCE;
    return n->kind == ENV_OPERATOR && (n->op->flags & WEIR_OPERATOR_SINK) ? GRAPH_SINK : GRAPH_STEP;
}

static weir_err describe_node(struct graph_node *out, const struct env_node *n)
{
    *out = (struct graph_node){.id = n->id,
                               .name = step_name(n),
                               .kind = graph_kind(n),
                               .parallelism = n->parallelism,
                               .chain = n->chain,
                               .alone = n->alone,
                               .keyed = n->kind == ENV_WINDOW || (n->kind == ENV_OPERATOR && (n->op->flags & WEIR_OPERATOR_KEYED)),
                               .updating = n->updating,
                               .n_ports = n->n_ports,
                               .n_outputs = n->n_outputs,
                               .n_inputs = n->n_inputs};
    out->inputs = calloc(n->n_inputs ? n->n_inputs : 1, sizeof *out->inputs);
    if (!out->inputs) return WEIR_E_NOMEM;
    for (uint32_t i = 0; i < n->n_inputs; i++) {
        const struct env_input *in = &n->inputs[i];
        out->inputs[i] = (struct graph_input){.port = in->port,
                                              .node = in->node,
                                              .output = in->output,
                                              .partition = (enum graph_partition)in->partition,
                                              .way = in->keyer         ? in->keyer->name
                                                     : in->partitioner ? in->partitioner->name
                                                                       : ""};
    }
    return WEIR_OK;
}

weir_err describe_graph(struct graph *out, const struct weir_env *env, const char *name)
{
    uint32_t n = weir_env_count(env);
    *out = (struct graph){.name = name, .n_nodes = n, .nodes = calloc(n ? n : 1, sizeof *out->nodes)};
    if (!out->nodes) return WEIR_E_NOMEM;
    for (uint32_t i = 0; i < n; i++) {
        if (describe_node(&out->nodes[i], weir_env_node(env, i))) {
            describe_graph_close(out);
            return WEIR_E_NOMEM;
        }
    }
    out->fingerprint = graph_fingerprint(out);
    return WEIR_OK;
}

void describe_graph_close(struct graph *graph)
{
    for (uint32_t i = 0; graph->nodes && i < graph->n_nodes; i++) free(graph->nodes[i].inputs);
    free(graph->nodes);
    *graph = (struct graph){0};
}

/* Asks each source for its splits; `found` has an entry a node and keeps them for the graph. */
static weir_err discover(struct graph *graph, const struct weir_env *env, uint32_t parallelism, struct weir_splits *found,
                         struct weir_diag *diag)
{
    for (uint32_t i = 0; i < graph->n_nodes; i++) {
        const struct env_node *n = weir_env_node(env, i);
        if (n->kind != ENV_SOURCE) continue;
        weir_err err = n->source->discover(n->config, n->parallelism ? n->parallelism : parallelism, &found[i], diag);
        if (err) return weir_wrap(diag, err, "source %s", n->id);
        graph->nodes[i].n_splits = found[i].n;
        graph->nodes[i].splits = found[i].items;
    }
    return WEIR_OK;
}

static weir_err describe(struct buffer *out, uint32_t parallelism, const char *cwd, int argc, char **argv, struct weir_diag *diag)
{
    const struct weir_plugin *plugin = NULL;
    weir_err err = plugin_load(&plugin, WORKER_FD_PLUGIN, diag);
    if (err) return err;
    if (argv[0][0] == '\0') argv[0] = (char *)(uintptr_t)plugin->name; /* no name was given: the author's */
    struct weir_env *env = NULL;
    err = plugin_build(&env, plugin, cwd, parallelism, argc, argv, diag);
    if (err) return err;
    struct graph graph;
    err = describe_graph(&graph, env, argv[0]);
    struct weir_splits *found = calloc(graph.n_nodes + 1, sizeof *found);
    if (err || !found) return weir_fail(diag, WEIR_E_NOMEM, "no memory to describe the graph");
    err = discover(&graph, env, parallelism, found, diag);
    if (!err) {
        buffer_add(out, "G", 1);
        err = graph_encode(&graph, out);
        if (err) (void)weir_fail(diag, err, "the description exceeds %u bytes (WEIR_DESCRIBE_MAX)", WEIR_DESCRIBE_MAX);
    }
    return err; /* the process ends now: its memory goes with it */
}

static bool send_whole(const struct buffer *message)
{
    struct pipe_end pipe;
    pipe_init(&pipe, WORKER_FD_PIPE, WEIR_DESCRIBE_MAX);
    weir_err err = pipe_send(&pipe, message->data, message->len);
    while (!err && pipe_wants_write(&pipe)) {
        struct pollfd p = {.fd = pipe.fd, .events = POLLOUT};
        if (poll(&p, 1, WEIR_DESCRIBE_TIMEOUT_MS) <= 0 && errno != EINTR) break;
        err = pipe_flush(&pipe);
    }
    bool sent = !err && !pipe_wants_write(&pipe);
    pipe_close(&pipe);
    return sent;
}

int describe_run(uint32_t parallelism, const char *cwd, int argc, char **argv)
{
    struct weir_diag diag = {0};
    struct buffer out;
    buffer_init(&out, WEIR_DESCRIBE_MAX);
    weir_err err = describe(&out, parallelism, cwd, argc, argv, &diag);
    if (err) {
        unsigned char head[2] = {'E', (unsigned char)err};
        buffer_clear(&out);
        buffer_add(&out, head, sizeof head);
        buffer_str(&out, diag.text);
    }
    /* _exit: destructors of the plugin have nothing to say in a process that only describes. */
    _exit(send_whole(&out) ? 0 : 1);
}
