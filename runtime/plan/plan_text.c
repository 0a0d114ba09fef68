/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plan for people:
 *
 *     job accesslog: 2 vertices, 1 edge, 16 channels, 4 slots
 *     0: read -> parse x4
 *        read [file], 12 splits
 *          parse [map]
 *        => 1 from parse, by key path, 16 channels
 *     1: count x4
 *        count [process], updating
 *          out [print]
 */
#include <inttypes.h>

#include "runtime/plan/plan.h"

static void amount(struct buffer *out, uint64_t n, const char *one, const char *many)
{
    buffer_printf(out, "%" PRIu64 " %s", n, n == 1 ? one : many);
}

static uint64_t channels(const struct plan *plan, const struct plan_edge *edge)
{
    return plan_edge_channels(edge->partition, plan->vertices[edge->from_vertex].parallelism, plan->vertices[edge->to_vertex].parallelism);
}

static const struct graph_node *node_of(const struct graph *graph, const struct plan_vertex *vertex, uint32_t op)
{
    return &graph->nodes[vertex->ops[op].node];
}

/* "by key path", "rebalance": how the edge divides its records; ", updating" when they are changes. */
static void way(const struct plan *plan, const struct graph *graph, const struct plan_edge *edge, struct buffer *out)
{
    const struct graph_node *head = node_of(graph, &plan->vertices[edge->to_vertex], 0);
    const struct graph_input *input = &head->inputs[edge->to_input];
    if (edge->partition == GRAPH_KEY)
        buffer_printf(out, "by key %s", input->way);
    else if (edge->partition == GRAPH_CUSTOM)
        buffer_printf(out, "by %s", input->way);
    else
        buffer_str(out, graph_partition_name(edge->partition));
    bool updating = edge->from_output == 0 && node_of(graph, &plan->vertices[edge->from_vertex], edge->from_op)->updating;
    if (updating) buffer_str(out, ", updating");
}

/* "parse", "parse side 0": the output an edge or a chained operator takes. */
static void output(const char *id, uint32_t index, struct buffer *out)
{
    buffer_str(out, id);
    if (index) buffer_printf(out, " side %" PRIu32, index - 1);
}

static uint32_t depth(const struct plan_vertex *vertex, uint32_t op)
{
    uint32_t n = 0;
    for (int32_t at = vertex->ops[op].parent; at >= 0; at = vertex->ops[at].parent) n++;
    return n;
}

/* One line, indented as deep as the operator stands in its tree. A consumer of a side output says so, the main output goes without saying.
 */
static void op_line(const struct graph *graph, const struct plan_vertex *vertex, uint32_t op, struct buffer *out)
{
    const struct graph_node *node = node_of(graph, vertex, op);
    const struct plan_op *o = &vertex->ops[op];
    buffer_printf(out, "   %*s%s [%s]", (int)(2 * depth(vertex, op)), "", node->id, node->name);
    if (o->parent_output) {
        buffer_str(out, " of ");
        output(node_of(graph, vertex, (uint32_t)o->parent)->id, o->parent_output, out);
    }
    if (node->kind == GRAPH_SOURCE) {
        buffer_str(out, ", ");
        amount(out, node->n_splits, "split", "splits");
    }
    if (node->updating) buffer_str(out, ", updating");
    if (node->alone)
        buffer_str(out, ", not chained");
    else if (!node->chain)
        buffer_str(out, ", begins a chain");
    buffer_str(out, "\n");
}

/* The tree below `op`, children in plan order. A chain may be a thousand operators deep, so this climbs instead of recursing. */
static void tree(const struct graph *graph, const struct plan_vertex *vertex, struct buffer *out)
{
    uint32_t op = 0;
    op_line(graph, vertex, op, out);
    for (uint32_t next = 1;;) {
        while (next < vertex->n_ops && vertex->ops[next].parent != (int32_t)op) next++;
        if (next < vertex->n_ops) {
            op = next;
            op_line(graph, vertex, op, out);
            next = op + 1; /* children stand behind their parent */
        } else if (op == 0) {
            return;
        } else {
            next = op + 1; /* siblings stand behind each other */
            op = (uint32_t)vertex->ops[op].parent;
        }
    }
}

static void edge_line(const struct plan *plan, const struct graph *graph, const struct plan_edge *edge, struct buffer *out)
{
    buffer_printf(out, "   => %" PRIu32 " from ", edge->to_vertex);
    output(node_of(graph, &plan->vertices[edge->from_vertex], edge->from_op)->id, edge->from_output, out);
    buffer_str(out, ", ");
    way(plan, graph, edge, out);
    buffer_str(out, ", ");
    amount(out, channels(plan, edge), "channel", "channels");
    buffer_str(out, "\n");
}

void plan_text(const struct plan *plan, const struct graph *graph, struct buffer *out)
{
    buffer_printf(out, "job %s: ", graph->name);
    amount(out, plan->n_vertices, "vertex, ", "vertices, ");
    amount(out, plan->n_edges, "edge, ", "edges, ");
    amount(out, plan->n_channels, "channel, ", "channels, ");
    amount(out, plan->n_slots, "slot\n", "slots\n");
    for (uint32_t v = 0; v < plan->n_vertices; v++) {
        const struct plan_vertex *vertex = &plan->vertices[v];
        buffer_printf(out, "%" PRIu32 ": %s x%" PRIu32 "\n", v, vertex->name, vertex->parallelism);
        tree(graph, vertex, out);
        for (uint32_t i = 0; i < vertex->n_out; i++) edge_line(plan, graph, &plan->edges[vertex->out[i]], out);
    }
}

/* A quoted Graphviz string. Ids and names of the graph hold no control characters worth keeping. */
static void quoted(struct buffer *out, const char *text)
{
    buffer_str(out, "\"");
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') buffer_str(out, "\\");
        buffer_add(out, (unsigned char)*text < ' ' ? " " : text, 1);
    }
    buffer_str(out, "\"");
}

/* Ids need no quoting. */
static void dot_vertex(const struct plan *plan, const struct graph *graph, uint32_t v, struct buffer *out)
{
    const struct plan_vertex *vertex = &plan->vertices[v];
    const struct graph_node *head = node_of(graph, vertex, 0);
    buffer_printf(out, "    v%" PRIu32 " [label=\"%s\\nx%" PRIu32, v, vertex->name, vertex->parallelism);
    if (head->kind == GRAPH_SOURCE) {
        buffer_str(out, ", ");
        amount(out, head->n_splits, "split", "splits");
    }
    buffer_str(out, "\"];\n");
}

void plan_dot(const struct plan *plan, const struct graph *graph, struct buffer *out)
{
    buffer_str(out, "digraph ");
    quoted(out, graph->name);
    buffer_str(out, " {\n    rankdir=LR;\n    node [shape=box];\n");
    for (uint32_t v = 0; v < plan->n_vertices; v++) dot_vertex(plan, graph, v, out);
    for (uint32_t e = 0; e < plan->n_edges; e++) {
        const struct plan_edge *edge = &plan->edges[e];
        struct buffer label;
        buffer_init(&label, 0);
        way(plan, graph, edge, &label);
        buffer_printf(out, "    v%" PRIu32 " -> v%" PRIu32 " [label=", edge->from_vertex, edge->to_vertex);
        quoted(out, buffer_cstr(&label));
        buffer_str(out, "];\n");
        buffer_close(&label);
    }
    buffer_str(out, "}\n");
}
