/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From graph to plan: put the nodes in order, chain them into vertices, turn the other inputs into edges, number the channels. Every choice
 * between equals goes to the lower index in the graph, so the same graph gives the same plan everywhere.
 */
#include "runtime/plan/plan.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"
#include "runtime/base/limits.h"
#include "weir/stream.h"

#define CYCLE_SHOWN_MAX 8 /* operators of a cycle that the sentence names */

/* What is known of a node while its plan is made. */
struct place {
    uint32_t parallelism;
    uint32_t vertex, op; /* where it went */
    uint32_t waiting;    /* inputs whose producer has no place in the order yet */
    uint32_t first;      /* of its consumers in maker.consumers; the next node's `first` ends them */
    bool placed;         /* in the order */
};

struct maker {
    const struct graph *graph;
    struct plan *plan;
    struct place *places; /* by node; one more at the end, for `first` */
    uint32_t *order;      /* nodes, producers before consumers */
    uint32_t *consumers;  /* nodes, grouped by producer; one entry for each input */
    struct weir_diag *diag;
};

static weir_err no_memory(struct maker *m)
{
    return weir_fail(m->diag, WEIR_E_NOMEM, "no memory for the plan of job %s", m->graph->name);
}

/* calloc that does not return NULL for nothing. */
static void *zeroed(size_t n, size_t size)
{
    return calloc(n ? n : 1, size);
}

/* ---- order ----------------------------------------------------------------------------------------------------------------------- */

static weir_err index_consumers(struct maker *m)
{
    const struct graph *g = m->graph;
    uint32_t total = 0;
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        m->places[i].waiting = g->nodes[i].n_inputs;
        for (uint32_t k = 0; k < g->nodes[i].n_inputs; k++) m->places[g->nodes[i].inputs[k].node].first++;
    }
    for (uint32_t i = 0; i <= g->n_nodes; i++) { /* counts become ends; filling from the back makes them beginnings */
        total += m->places[i].first;
        m->places[i].first = total;
    }
    m->consumers = zeroed(total, sizeof *m->consumers);
    if (!m->consumers) return no_memory(m);
    for (uint32_t i = g->n_nodes; i-- > 0;) {
        for (uint32_t k = 0; k < g->nodes[i].n_inputs; k++) m->consumers[--m->places[g->nodes[i].inputs[k].node].first] = i;
    }
    return WEIR_OK;
}

/* A node that was not placed, nor was the one that feeds it; following such producers must meet a node again. */
static uint32_t unplaced_producer(const struct maker *m, uint32_t node)
{
    const struct graph_node *n = &m->graph->nodes[node];
    uint32_t k = 0;
    while (m->places[n->inputs[k].node].placed) k++;
    return n->inputs[k].node;
}

/* The lowest node of a cycle, so that the same graph is always refused in the same words. Some node must be unplaced. */
static uint32_t lowest_on_cycle(const struct maker *m)
{
    uint32_t node = 0;
    while (m->places[node].placed) node++;
    for (uint32_t i = 0; i < m->graph->n_nodes; i++) node = unplaced_producer(m, node); /* so many steps back, we are on a cycle */
    uint32_t lowest = node;
    for (uint32_t at = unplaced_producer(m, node); at != node; at = unplaced_producer(m, at)) lowest = at < lowest ? at : lowest;
    return lowest;
}

static weir_err cycle_found(struct maker *m)
{
    uint32_t ring[WEIR_OPERATORS_MAX], n = 0, lowest = lowest_on_cycle(m), node = lowest;
    do { /* against the stream: ring[0], what feeds it, what feeds that ... */
        ring[n++] = node;
        node = unplaced_producer(m, node);
    } while (node != lowest);
    const char *first = m->graph->nodes[lowest].id;
    struct buffer text;
    buffer_init(&text, WEIR_DIAG_MAX);
    buffer_str(&text, first);
    for (uint32_t i = n - 1; i > 0 && n - i < CYCLE_SHOWN_MAX; i--) buffer_printf(&text, " -> %s", m->graph->nodes[ring[i]].id);
    if (n > CYCLE_SHOWN_MAX) buffer_printf(&text, " -> (%" PRIu32 " more)", n - CYCLE_SHOWN_MAX);
    weir_err err = weir_fail(m->diag, WEIR_E_GRAPH, "operators %s -> %s form a cycle", buffer_cstr(&text), first);
    buffer_close(&text);
    return err;
}

static uint32_t lowest_ready(const struct maker *m)
{
    uint32_t i = 0;
    while (i < m->graph->n_nodes && (m->places[i].placed || m->places[i].waiting)) i++;
    return i;
}

/* Kahn's algorithm. */
static weir_err put_in_order(struct maker *m)
{
    weir_err err = index_consumers(m);
    if (err) return err;
    for (uint32_t n = 0; n < m->graph->n_nodes; n++) {
        uint32_t node = lowest_ready(m);
        if (node == m->graph->n_nodes) return cycle_found(m);
        m->places[node].placed = true;
        m->order[n] = node;
        for (uint32_t i = m->places[node].first; i < m->places[node + 1].first; i++) m->places[m->consumers[i]].waiting--;
    }
    return WEIR_OK;
}

/* ---- vertices -------------------------------------------------------------------------------------------------------------------- */

static bool chains(const struct maker *m, uint32_t node)
{
    const struct graph_node *n = &m->graph->nodes[node];
    if (!n->chain || n->n_inputs != 1 || n->inputs[0].partition != GRAPH_FORWARD) return false;
    if (m->graph->nodes[n->inputs[0].node].alone) return false;
    return m->places[n->inputs[0].node].parallelism == m->places[node].parallelism;
}

/* Gives each node its vertex and its number there; counts both. A chained node's producer has its place already, thanks to the order. */
static void assign(struct maker *m, uint32_t *n_ops)
{
    for (uint32_t i = 0; i < m->graph->n_nodes; i++) {
        uint32_t node = m->order[i];
        struct place *place = &m->places[node];
        place->vertex = chains(m, node) ? m->places[m->graph->nodes[node].inputs[0].node].vertex : m->plan->n_vertices++;
        place->op = n_ops[place->vertex]++;
    }
}

static struct plan_op op_of(const struct maker *m, uint32_t node)
{
    if (m->places[node].op == 0) return (struct plan_op){.node = node, .parent = -1};
    const struct graph_input *input = &m->graph->nodes[node].inputs[0];
    return (struct plan_op){.node = node, .parent = (int32_t)m->places[input->node].op, .parent_output = input->output};
}

static weir_err name_vertex(struct maker *m, struct plan_vertex *vertex)
{
    struct buffer name;
    buffer_init(&name, 0);
    for (uint32_t i = 0; i < vertex->n_ops; i++) buffer_printf(&name, "%s%s", i ? " -> " : "", m->graph->nodes[vertex->ops[i].node].id);
    vertex->name = strdup(buffer_cstr(&name));
    bool ok = vertex->name && !name.err;
    buffer_close(&name);
    return ok ? WEIR_OK : no_memory(m);
}

static weir_err fill_vertices(struct maker *m, const uint32_t *n_ops)
{
    struct plan *plan = m->plan;
    plan->vertices = zeroed(plan->n_vertices, sizeof *plan->vertices);
    if (!plan->vertices) return no_memory(m);
    for (uint32_t v = 0; v < plan->n_vertices; v++) {
        plan->vertices[v].ops = zeroed(n_ops[v], sizeof *plan->vertices[v].ops);
        if (!plan->vertices[v].ops) return no_memory(m);
    }
    for (uint32_t i = 0; i < m->graph->n_nodes; i++) {
        struct plan_vertex *vertex = &plan->vertices[m->places[m->order[i]].vertex];
        vertex->parallelism = m->places[m->order[i]].parallelism;
        vertex->ops[vertex->n_ops++] = op_of(m, m->order[i]);
        if (vertex->parallelism > plan->n_slots) plan->n_slots = vertex->parallelism;
    }
    weir_err err = WEIR_OK;
    for (uint32_t v = 0; v < plan->n_vertices && !err; v++) err = name_vertex(m, &plan->vertices[v]);
    return err;
}

static weir_err make_vertices(struct maker *m)
{
    uint32_t *n_ops = zeroed(m->graph->n_nodes, sizeof *n_ops);
    if (!n_ops) return no_memory(m);
    assign(m, n_ops);
    weir_err err = fill_vertices(m, n_ops);
    free(n_ops);
    return err;
}

/* ---- edges ----------------------------------------------------------------------------------------------------------------------- */

static const struct graph_node *head_of(const struct maker *m, const struct plan_vertex *vertex)
{
    return &m->graph->nodes[vertex->ops[0].node];
}

static weir_err make_edge(struct maker *m, struct plan_edge *edge, uint32_t to_vertex, uint32_t to_input)
{
    struct plan *plan = m->plan;
    const struct graph_node *head = head_of(m, &plan->vertices[to_vertex]);
    const struct graph_input *input = &head->inputs[to_input];
    const struct place *from = &m->places[input->node];
    uint32_t receivers = plan->vertices[to_vertex].parallelism;
    *edge = (struct plan_edge){.from_vertex = from->vertex,
                               .from_op = from->op,
                               .from_output = input->output,
                               .to_vertex = to_vertex,
                               .to_input = to_input,
                               .partition = input->partition,
                               .channel_base = plan->n_channels};
    if (edge->partition == GRAPH_FORWARD && from->parallelism != receivers) edge->partition = GRAPH_REBALANCE;
    uint64_t n_channels = plan->n_channels + plan_edge_channels(edge->partition, from->parallelism, receivers);
    if (n_channels > WEIR_CHANNELS_MAX) {
        return weir_fail(m->diag, WEIR_E_LIMIT,
                         "operator %s: with its input from %s the job needs more than %u channels; lower the parallelism", head->id,
                         m->graph->nodes[input->node].id, WEIR_CHANNELS_MAX);
    }
    plan->n_channels = (uint32_t)n_channels;
    plan->vertices[from->vertex].n_out++;
    return WEIR_OK;
}

/* Lists, in each vertex, the edges that touch it; n_in and n_out are known, n_out is counted up once more while filling. */
static weir_err list_edges(struct maker *m)
{
    struct plan *plan = m->plan;
    for (uint32_t v = 0; v < plan->n_vertices; v++) {
        struct plan_vertex *vertex = &plan->vertices[v];
        vertex->in = zeroed(vertex->n_in, sizeof *vertex->in);
        vertex->out = zeroed(vertex->n_out, sizeof *vertex->out);
        if (!vertex->in || !vertex->out) return no_memory(m);
        vertex->n_out = 0;
    }
    for (uint32_t e = 0; e < plan->n_edges; e++) {
        struct plan_vertex *from = &plan->vertices[plan->edges[e].from_vertex];
        from->out[from->n_out++] = e;
        plan->vertices[plan->edges[e].to_vertex].in[plan->edges[e].to_input] = e;
    }
    return WEIR_OK;
}

static weir_err make_edges(struct maker *m)
{
    struct plan *plan = m->plan;
    uint32_t n_edges = 0;
    for (uint32_t v = 0; v < plan->n_vertices; v++) n_edges += head_of(m, &plan->vertices[v])->n_inputs;
    plan->edges = zeroed(n_edges, sizeof *plan->edges);
    if (!plan->edges) return no_memory(m);
    weir_err err = WEIR_OK;
    for (uint32_t v = 0; v < plan->n_vertices && !err; v++) {
        plan->vertices[v].n_in = head_of(m, &plan->vertices[v])->n_inputs;
        for (uint32_t i = 0; i < plan->vertices[v].n_in && !err; i++) err = make_edge(m, &plan->edges[plan->n_edges++], v, i);
    }
    return err ? err : list_edges(m);
}

/* ---- the whole ------------------------------------------------------------------------------------------------------------------- */

static weir_err make(struct maker *m, uint32_t parallelism)
{
    uint32_t n = m->graph->n_nodes;
    m->plan = calloc(1, sizeof *m->plan);
    m->places = zeroed(n + 1, sizeof *m->places);
    m->order = zeroed(n, sizeof *m->order);
    if (!m->plan || !m->places || !m->order) return no_memory(m);
    for (uint32_t i = 0; i < n; i++) {
        m->places[i].parallelism = m->graph->nodes[i].parallelism ? m->graph->nodes[i].parallelism : parallelism;
    }
    weir_err err = put_in_order(m);
    if (!err) err = make_vertices(m);
    if (!err) err = make_edges(m);
    return err;
}

weir_err plan_new(struct plan **out, const struct graph *graph, uint32_t parallelism, struct weir_diag *diag)
{
    if (parallelism == 0 || parallelism > WEIR_PARALLELISM_MAX) {
        return weir_fail(diag, WEIR_E_LIMIT, "the job's parallelism %" PRIu32 " is outside 1 ... %d", parallelism, WEIR_PARALLELISM_MAX);
    }
    weir_err err = graph_check(graph, diag);
    if (err) return err;
    struct maker m = {.graph = graph, .diag = diag};
    err = make(&m, parallelism);
    free(m.places);
    free(m.order);
    free(m.consumers);
    if (err)
        plan_destroy(&m.plan);
    else
        *out = m.plan;
    return err;
}

void plan_destroy(struct plan **plan)
{
    struct plan *p = *plan;
    if (!p) return;
    for (uint32_t v = 0; p->vertices && v < p->n_vertices; v++) {
        free(p->vertices[v].name);
        free(p->vertices[v].ops);
        free(p->vertices[v].in);
        free(p->vertices[v].out);
    }
    free(p->vertices);
    free(p->edges);
    free(p);
    *plan = NULL;
}

uint32_t plan_channel(const struct plan *plan, const struct plan_edge *edge, uint32_t sender, uint32_t receiver)
{
    WEIR_ASSERT(sender < plan->vertices[edge->from_vertex].parallelism);
    uint32_t receivers = plan->vertices[edge->to_vertex].parallelism;
    WEIR_ASSERT(receiver < receivers);
    if (edge->partition != GRAPH_FORWARD) return edge->channel_base + sender * receivers + receiver;
    WEIR_ASSERT(sender == receiver);
    return edge->channel_base + sender;
}

/* The first key group of subtask i of p. */
static uint32_t first_group(uint32_t subtask, uint32_t parallelism)
{
    return (uint32_t)(((uint64_t)subtask * WEIR_KEY_GROUPS + parallelism - 1) / parallelism);
}

void plan_key_groups(uint32_t subtask, uint32_t parallelism, uint32_t *first, uint32_t *last)
{
    *first = first_group(subtask, parallelism);
    *last = first_group(subtask + 1, parallelism) - 1;
}
