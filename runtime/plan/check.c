/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Can this graph run? The rules that look at one node and its inputs. The builders of weir/stream.h refuse most of this earlier and nearer
 * to the author's line; here it is checked again because a graph may come from any plugin's process.
 */
#include <inttypes.h>
#include <string.h>

#include "runtime/plan/graph.h"
#include "weir/stream.h"

static weir_err check_id(const struct graph *graph, uint32_t index, struct weir_diag *diag)
{
    const char *id = graph->nodes[index].id;
    if (!id || !graph_id_valid(id)) {
        return weir_fail(diag, WEIR_E_GRAPH, "operator %" PRIu32 " has a bad id \"%.128s\"", index, id ? id : "");
    }
    for (uint32_t i = 0; i < index; i++) {
        if (!strcmp(graph->nodes[i].id, id)) return weir_fail(diag, WEIR_E_GRAPH, "two operators have the id %s", id);
    }
    return WEIR_OK;
}

static weir_err check_shape(const struct graph_node *node, struct weir_diag *diag)
{
    switch (node->kind) {
    case GRAPH_SOURCE:
        if (node->n_inputs) return weir_fail(diag, WEIR_E_GRAPH, "operator %s is a source and cannot have an input", node->id);
        break;
    case GRAPH_STEP:
    case GRAPH_SINK:
        if (node->n_inputs == 0) return weir_fail(diag, WEIR_E_GRAPH, "operator %s is fed by nothing", node->id);
        break;
    default: return weir_fail(diag, WEIR_E_GRAPH, "operator %s is of unknown kind %d", node->id, (int)node->kind);
    }
    if (node->kind == GRAPH_SINK && node->n_outputs)
        return weir_fail(diag, WEIR_E_GRAPH, "operator %s is a sink and cannot have outputs", node->id);
    if (node->kind != GRAPH_SINK && node->n_outputs == 0)
        return weir_fail(diag, WEIR_E_GRAPH, "operator %s is no sink but has no output", node->id);
    if (node->n_outputs > WEIR_SIDES_MAX + 1) {
        return weir_fail(diag, WEIR_E_LIMIT, "operator %s has %" PRIu32 " outputs; at most %d are allowed", node->id, node->n_outputs,
                         WEIR_SIDES_MAX + 1);
    }
    if (node->n_inputs > GRAPH_INPUTS_MAX) {
        return weir_fail(diag, WEIR_E_LIMIT, "operator %s has %" PRIu32 " inputs; at most %u are allowed", node->id, node->n_inputs,
                         GRAPH_INPUTS_MAX);
    }
    if (node->parallelism > WEIR_PARALLELISM_MAX) {
        return weir_fail(diag, WEIR_E_LIMIT, "operator %s: parallelism %" PRIu32 " is outside 1 ... %d", node->id, node->parallelism,
                         WEIR_PARALLELISM_MAX);
    }
    return WEIR_OK;
}

static weir_err check_input(const struct graph *graph, const struct graph_node *node, const struct graph_input *input,
                            struct weir_diag *diag)
{
    if (input->node >= graph->n_nodes)
        return weir_fail(diag, WEIR_E_GRAPH, "operator %s is fed by an operator that does not exist", node->id);
    const struct graph_node *from = &graph->nodes[input->node];
    if (from->kind == GRAPH_SINK) {
        return weir_fail(diag, WEIR_E_GRAPH, "operator %s takes its input from operator %s, a sink, which has no output", node->id,
                         from->id);
    }
    if (input->output >= from->n_outputs) {
        return weir_fail(diag, WEIR_E_GRAPH, "operator %s takes output %" PRIu32 " of operator %s, which has only %" PRIu32, node->id,
                         input->output, from->id, from->n_outputs);
    }
    if ((int)input->partition < GRAPH_FORWARD || input->partition > GRAPH_CUSTOM) {
        return weir_fail(diag, WEIR_E_GRAPH, "operator %s: its input from %s is divided in an unknown way %d", node->id, from->id,
                         (int)input->partition);
    }
    bool rules = node->n_ports == 2 && input->partition == GRAPH_BROADCAST; /* beside a keyed stream */
    if (node->keyed && input->partition != GRAPH_KEY && !rules) {
        return weir_fail(diag, WEIR_E_GRAPH,
                         "operator %s keeps state by key, but its input from %s is not keyed: put weir_key_by between them", node->id,
                         from->id);
    }
    return WEIR_OK;
}

/* Every port is fed, ports stand in order, and a keyed operator has a key at one of them. */
static weir_err check_ports(const struct graph_node *node, struct weir_diag *diag)
{
    uint32_t port = 0;
    bool keyed = false;
    for (uint32_t k = 0; k < node->n_inputs; k++) {
        uint32_t next = node->inputs[k].port;
        bool in_order = k == 0 ? next == 0 : next == port || next == port + 1;
        if (!in_order || next >= node->n_ports) return weir_fail(diag, WEIR_E_GRAPH, "operator %s: its inputs are out of order", node->id);
        port = next;
        keyed |= node->inputs[k].partition == GRAPH_KEY;
    }
    if (node->n_inputs && port + 1 != node->n_ports)
        return weir_fail(diag, WEIR_E_GRAPH, "operator %s: one of its inputs is fed by nothing", node->id);
    if (node->keyed && !keyed)
        return weir_fail(diag, WEIR_E_GRAPH,
                         "operator %s keeps state by key, but both of its inputs are broadcast: put weir_key_by before one", node->id);
    return WEIR_OK;
}

static weir_err check_inputs(const struct graph *graph, struct weir_diag *diag)
{
    uint64_t total = 0;
    weir_err err = WEIR_OK;
    for (uint32_t i = 0; i < graph->n_nodes && !err; i++) {
        const struct graph_node *node = &graph->nodes[i];
        total += node->n_inputs;
        if (total > GRAPH_INPUTS_TOTAL_MAX) {
            return weir_fail(diag, WEIR_E_LIMIT, "operator %s is one too many: the inputs of all operators exceed %u", node->id,
                             GRAPH_INPUTS_TOTAL_MAX);
        }
        for (uint32_t k = 0; k < node->n_inputs && !err; k++) err = check_input(graph, node, &node->inputs[k], diag);
        if (!err) err = check_ports(node, diag);
    }
    return err;
}

static bool has(const struct graph *graph, enum graph_node_kind kind)
{
    for (uint32_t i = 0; i < graph->n_nodes; i++) {
        if (graph->nodes[i].kind == kind) return true;
    }
    return false;
}

/*
 * A stream that nobody takes is allowed as long as some sink exists: its records are made, counted and dropped. That is what a side output
 * nobody asked for is, and what remains when an author comments a sink out.
 */
weir_err graph_check(const struct graph *graph, struct weir_diag *diag)
{
    if (graph->n_nodes > WEIR_OPERATORS_MAX) {
        return weir_fail(diag, WEIR_E_LIMIT, "the job has %" PRIu32 " operators; at most %d are allowed", graph->n_nodes,
                         WEIR_OPERATORS_MAX);
    }
    weir_err err = WEIR_OK;
    for (uint32_t i = 0; i < graph->n_nodes && !err; i++) {
        err = check_id(graph, i, diag);
        if (!err) err = check_shape(&graph->nodes[i], diag);
    }
    if (err) return err;
    if (!has(graph, GRAPH_SOURCE)) return weir_fail(diag, WEIR_E_GRAPH, "the job has no source");
    if (!has(graph, GRAPH_SINK)) {
        const char *last = graph->nodes[graph->n_nodes - 1].id;
        return weir_fail(diag, WEIR_E_GRAPH, "the job has no sink: nothing takes what its last operator, %s, gives", last);
    }
    return check_inputs(graph, diag);
}
