/* SPDX-License-Identifier: Apache-2.0 */
/* From a graph to vertices, edges and channels; and the graphs that cannot run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "runtime/base/limits.h"
#include "tests/unit/plan/graphs.h"
#include "weir/stream.h"

static struct plan *planned(const struct graph *g, uint32_t parallelism)
{
    struct plan *plan = NULL;
    struct weir_diag diag;
    if (plan_new(&plan, g, parallelism, &diag)) fail_msg("%s", diag.text);
    return plan;
}

static void refused(const struct graph *g, uint32_t parallelism, weir_err err, const char *part)
{
    struct plan *plan = NULL;
    struct weir_diag diag = {.code = WEIR_OK, .text = ""};
    assert_int_equal(plan_new(&plan, g, parallelism, &diag), err);
    if (!strstr(diag.text, part)) fail_msg("\"%s\" is not in \"%s\"", part, diag.text);
    assert_null(plan);
    assert_int_equal(plan_new(&plan, g, parallelism, NULL), err);
}

/* read -> parse -> out, all of one parallelism. */
static void line_of_three(struct sketch *s)
{
    sketch_init(s);
    uint32_t read = node(s, "read", GRAPH_SOURCE, 0), parse = node(s, "parse", GRAPH_STEP, 0), out = node(s, "out", GRAPH_SINK, 0);
    input(s, parse, read, 0, GRAPH_FORWARD);
    input(s, out, parse, 0, GRAPH_FORWARD);
}

/* ---- chaining -------------------------------------------------------------------------------------------------------------------- */

static void forward_steps_share_a_vertex(void **state)
{
    (void)state;
    struct sketch s;
    line_of_three(&s);
    struct plan *plan = planned(&s.g, 4);
    assert_int_equal(plan->n_vertices, 1);
    assert_int_equal(plan->n_edges, 0);
    assert_int_equal(plan->n_channels, 0);
    assert_int_equal(plan->n_slots, 4);
    assert_string_equal(plan->vertices[0].name, "read -> parse -> out");
    assert_int_equal(plan->vertices[0].ops[2].parent, 1);
    plan_destroy(&plan);
    assert_null(plan);
    plan_destroy(&plan);
}

static void a_key_cuts_the_chain_and_connects_everybody(void **state)
{
    (void)state;
    struct sketch s;
    line_of_three(&s);
    s.inputs[1][0].partition = GRAPH_KEY;
    s.nodes[1].keyed = true;
    s.nodes[1].parallelism = 3;
    s.nodes[2].parallelism = 3;
    struct plan *plan = planned(&s.g, 2);
    assert_int_equal(plan->n_vertices, 2);
    assert_string_equal(plan->vertices[1].name, "parse -> out");
    assert_int_equal(plan->n_channels, 6);
    assert_int_equal(plan->n_slots, 3);
    assert_int_equal(plan_channel(plan, &plan->edges[0], 1, 2), 5);
    plan_destroy(&plan);
}

static void another_parallelism_turns_forward_into_rebalance(void **state)
{
    (void)state;
    struct sketch s;
    line_of_three(&s);
    s.nodes[2].parallelism = 1;
    struct plan *plan = planned(&s.g, 2);
    assert_int_equal(plan->n_edges, 1);
    assert_int_equal(plan->edges[0].partition, GRAPH_REBALANCE);
    assert_int_equal(plan->n_channels, 2);
    plan_destroy(&plan);
}

static void a_step_that_forbids_chaining_is_fed_straight(void **state)
{
    (void)state;
    struct sketch s;
    line_of_three(&s);
    s.nodes[1].chain = false;
    struct plan *plan = planned(&s.g, 5);
    assert_int_equal(plan->n_vertices, 2);
    assert_string_equal(plan->vertices[1].name, "parse -> out"); /* it may still be joined */
    assert_int_equal(plan->edges[0].partition, GRAPH_FORWARD);
    assert_int_equal(plan->n_channels, 5);
    assert_int_equal(plan_channel(plan, &plan->edges[0], 3, 3), 3);
    plan_destroy(&plan);
}

static void a_step_that_stands_alone_is_joined_by_none(void **state)
{
    (void)state;
    struct sketch s;
    line_of_three(&s);
    s.nodes[1].chain = false;
    s.nodes[1].alone = true;
    struct plan *plan = planned(&s.g, 5);
    assert_int_equal(plan->n_vertices, 3);
    assert_string_equal(plan->vertices[1].name, "parse");
    assert_int_equal(plan->edges[0].partition, GRAPH_FORWARD);
    assert_int_equal(plan->edges[1].partition, GRAPH_FORWARD);
    plan_destroy(&plan);
}

/* Two consumers and one of a side output, all chained: the vertex is a tree, and what joins them again begins a new one. */
static void a_vertex_may_be_a_tree(void **state)
{
    (void)state;
    struct sketch s;
    sketch_init(&s);
    uint32_t read = node(&s, "read", GRAPH_SOURCE, 0), a = node(&s, "a", GRAPH_STEP, 0), b = node(&s, "b", GRAPH_STEP, 0);
    uint32_t bad = node(&s, "bad", GRAPH_SINK, 0), join = node(&s, "join", GRAPH_SINK, 0);
    s.nodes[read].n_outputs = 2;
    input(&s, a, read, 0, GRAPH_FORWARD);
    input(&s, b, read, 0, GRAPH_FORWARD);
    input(&s, bad, read, 1, GRAPH_FORWARD);
    input(&s, join, a, 0, GRAPH_FORWARD);
    input(&s, join, b, 0, GRAPH_FORWARD);
    struct plan *plan = planned(&s.g, 2);
    assert_int_equal(plan->n_vertices, 2);
    const struct plan_vertex *tree = &plan->vertices[0];
    assert_string_equal(tree->name, "read -> a -> b -> bad");
    assert_int_equal(tree->ops[1].parent, 0);
    assert_int_equal(tree->ops[2].parent, 0);
    assert_int_equal(tree->ops[3].parent_output, 1);
    assert_int_equal(tree->n_out, 2);
    assert_int_equal(plan->vertices[1].n_in, 2);
    assert_int_equal(plan->edges[1].to_input, 1);
    assert_int_equal(plan->edges[1].from_op, 2);
    plan_destroy(&plan);
}

/* The same stream twice in a union is two inputs, hence two edges. */
static void a_stream_united_with_itself_is_read_twice(void **state)
{
    (void)state;
    struct sketch s;
    line_of_three(&s);
    input(&s, 2, 1, 0, GRAPH_FORWARD);
    struct plan *plan = planned(&s.g, 2);
    assert_int_equal(plan->n_vertices, 2);
    assert_int_equal(plan->n_edges, 2);
    assert_int_equal(plan->n_channels, 4);
    plan_destroy(&plan);
}

static void a_stream_nobody_takes_is_allowed_beside_a_sink(void **state)
{
    (void)state;
    struct sketch s;
    line_of_three(&s);
    input(&s, node(&s, "unused", GRAPH_STEP, 0), 0, 0, GRAPH_FORWARD);
    struct plan *plan = planned(&s.g, 1);
    assert_int_equal(plan->n_vertices, 1);
    plan_destroy(&plan);
}

/* ---- graphs that cannot run ------------------------------------------------------------------------------------------------------ */

static void a_job_has_a_source_and_a_sink(void **state)
{
    (void)state;
    struct sketch s;
    sketch_init(&s);
    refused(&s.g, 1, WEIR_E_GRAPH, "the job has no source");
    (void)node(&s, "read", GRAPH_SOURCE, 0);
    refused(&s.g, 1, WEIR_E_GRAPH, "the job has no sink");
}

static void a_cycle_is_named(void **state)
{
    (void)state;
    struct sketch s;
    line_of_three(&s);
    uint32_t a = node(&s, "a", GRAPH_STEP, 0), b = node(&s, "b", GRAPH_STEP, 0), c = node(&s, "c", GRAPH_SINK, 0);
    input(&s, a, 0, 0, GRAPH_FORWARD);
    input(&s, a, b, 0, GRAPH_FORWARD);
    input(&s, b, a, 0, GRAPH_FORWARD);
    input(&s, c, b, 0, GRAPH_FORWARD); /* behind the cycle, not on it */
    refused(&s.g, 1, WEIR_E_GRAPH, "operators a -> b -> a form a cycle");
}

static void a_step_that_feeds_itself_is_a_cycle(void **state)
{
    (void)state;
    struct sketch s;
    line_of_three(&s);
    input(&s, 1, 1, 0, GRAPH_FORWARD);
    refused(&s.g, 1, WEIR_E_GRAPH, "operators parse -> parse form a cycle");
}

static void a_long_cycle_is_shortened(void **state)
{
    (void)state;
    struct sketch s;
    line_of_three(&s);
    for (uint32_t i = 3; i < 23; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "s%u", i);
        (void)node(&s, id, GRAPH_STEP, 0);
        input(&s, i, i == 3 ? 22 : i - 1, 0, GRAPH_FORWARD);
    }
    refused(&s.g, 1, WEIR_E_GRAPH, "operators s3 -> s4 -> s5 -> s6 -> s7 -> s8 -> s9 -> s10 -> (12 more) -> s3 form a cycle");
}

static void what_is_wrong_is_told_by_operator(void **state)
{
    (void)state;
    struct sketch s;
    line_of_three(&s);
    s.nodes[1].id = "read";
    refused(&s.g, 1, WEIR_E_GRAPH, "two operators have the id read");
    line_of_three(&s);
    s.nodes[1].id = "a b";
    refused(&s.g, 1, WEIR_E_GRAPH, "operator 1 has a bad id \"a b\"");
    line_of_three(&s);
    s.nodes[1].keyed = true;
    refused(&s.g, 1, WEIR_E_GRAPH, "operator parse keeps state by key, but its input from read is not keyed");
    line_of_three(&s);
    s.inputs[1][0].port = 1;
    refused(&s.g, 1, WEIR_E_GRAPH, "operator parse: its inputs are out of order");
    line_of_three(&s);
    s.nodes[1].n_ports = 2;
    refused(&s.g, 1, WEIR_E_GRAPH, "operator parse: one of its inputs is fed by nothing");
    line_of_three(&s);
    s.nodes[1].n_ports = 2;
    s.nodes[1].keyed = true;
    s.inputs[1][0].partition = GRAPH_BROADCAST;
    input(&s, 1, 0, 0, GRAPH_BROADCAST);
    refused(&s.g, 1, WEIR_E_GRAPH, "operator parse keeps state by key, but both of its inputs are broadcast");
    line_of_three(&s);
    s.inputs[1][0].output = 1;
    refused(&s.g, 1, WEIR_E_GRAPH, "operator parse takes output 1 of operator read, which has only 1");
    line_of_three(&s);
    s.inputs[1][0].node = 2;
    refused(&s.g, 1, WEIR_E_GRAPH, "operator parse takes its input from operator out, a sink");
    line_of_three(&s);
    s.inputs[1][0].node = 3;
    refused(&s.g, 1, WEIR_E_GRAPH, "operator parse is fed by an operator that does not exist");
    line_of_three(&s);
    s.nodes[1].n_inputs = 0;
    refused(&s.g, 1, WEIR_E_GRAPH, "operator parse is fed by nothing");
    line_of_three(&s);
    input(&s, 0, 1, 0, GRAPH_FORWARD);
    refused(&s.g, 1, WEIR_E_GRAPH, "operator read is a source and cannot have an input");
    line_of_three(&s);
    s.nodes[2].n_outputs = 1;
    refused(&s.g, 1, WEIR_E_GRAPH, "operator out is a sink and cannot have outputs");
    line_of_three(&s);
    s.nodes[1].n_outputs = 0;
    refused(&s.g, 1, WEIR_E_GRAPH, "operator parse is no sink but has no output");
    line_of_three(&s);
    s.nodes[1].kind = (enum graph_node_kind)9;
    refused(&s.g, 1, WEIR_E_GRAPH, "operator parse is of unknown kind 9");
    line_of_three(&s);
    s.inputs[2][0].partition = (enum graph_partition)0;
    refused(&s.g, 1, WEIR_E_GRAPH, "operator out: its input from parse is divided in an unknown way 0");
}

static void limits_are_told(void **state)
{
    (void)state;
    struct sketch s;
    line_of_three(&s);
    refused(&s.g, 0, WEIR_E_LIMIT, "the job's parallelism 0");
    refused(&s.g, WEIR_PARALLELISM_MAX + 1, WEIR_E_LIMIT, "parallelism 1025");
    s.nodes[1].parallelism = WEIR_PARALLELISM_MAX + 1;
    refused(&s.g, 1, WEIR_E_LIMIT, "operator parse: parallelism 1025");
    line_of_three(&s);
    s.nodes[1].n_outputs = WEIR_SIDES_MAX + 2;
    refused(&s.g, 1, WEIR_E_LIMIT, "operator parse has 17 outputs");
    line_of_three(&s);
    s.nodes[1].n_inputs = GRAPH_INPUTS_MAX + 1; /* refused before they are looked at */
    refused(&s.g, 1, WEIR_E_LIMIT, "operator parse has 4097 inputs");
    line_of_three(&s);
    s.g.n_nodes = WEIR_OPERATORS_MAX + 1;
    refused(&s.g, 1, WEIR_E_LIMIT, "the job has 1025 operators");
}

/* 1024 x 1024 channels are just allowed; the next edge is one too many. */
static void channels_are_bounded(void **state)
{
    (void)state;
    struct sketch s;
    line_of_three(&s);
    s.inputs[1][0].partition = GRAPH_REBALANCE;
    struct plan *plan = planned(&s.g, 1024);
    assert_int_equal(plan->n_channels, WEIR_CHANNELS_MAX);
    assert_int_equal(plan_channel(plan, &plan->edges[0], 1023, 1023), WEIR_CHANNELS_MAX - 1);
    plan_destroy(&plan);
    s.nodes[2].chain = false;
    refused(&s.g, 1024, WEIR_E_LIMIT, "operator out: with its input from parse the job needs more than 1048576 channels");
}

/* ---- any graph ------------------------------------------------------------------------------------------------------------------- */

/* What an edge or an operator's place must be, given the graph; fails the test with the seed otherwise. */
#define HOLDS(condition)                                                                \
    do {                                                                                \
        if (!(condition)) fail_msg("seed %llu: " #condition, (unsigned long long)seed); \
    } while (0)

static uint32_t parallelism_of(const struct graph *g, uint32_t n, uint32_t otherwise)
{
    return g->nodes[n].parallelism ? g->nodes[n].parallelism : otherwise;
}

static void check_vertices(const struct graph *g, const struct plan *plan, uint32_t p, uint64_t seed)
{
    uint32_t seen[NODES_MAX] = {0}, widest = 0;
    for (uint32_t v = 0; v < plan->n_vertices; v++) {
        const struct plan_vertex *vertex = &plan->vertices[v];
        widest = vertex->parallelism > widest ? vertex->parallelism : widest;
        HOLDS(vertex->ops[0].parent == -1);
        HOLDS(vertex->n_in == g->nodes[vertex->ops[0].node].n_inputs);
        for (uint32_t i = 0; i < vertex->n_ops; i++) {
            const struct plan_op *op = &vertex->ops[i];
            const struct graph_node *n = &g->nodes[op->node];
            seen[op->node]++;
            HOLDS(parallelism_of(g, op->node, p) == vertex->parallelism);
            if (i == 0) continue;
            HOLDS(op->parent >= 0 && op->parent < (int32_t)i);
            HOLDS(n->chain && n->n_inputs == 1 && n->inputs[0].partition == GRAPH_FORWARD);
            HOLDS(!g->nodes[n->inputs[0].node].alone);
            HOLDS(vertex->ops[op->parent].node == n->inputs[0].node && op->parent_output == n->inputs[0].output);
        }
    }
    for (uint32_t i = 0; i < g->n_nodes; i++) HOLDS(seen[i] == 1);
    HOLDS(plan->n_slots == widest);
}

static void check_edges(const struct graph *g, const struct plan *plan, uint64_t seed)
{
    uint32_t n_in = 0, n_out = 0;
    for (uint32_t e = 0; e < plan->n_edges; e++) {
        const struct plan_edge *edge = &plan->edges[e];
        HOLDS(edge->from_vertex < edge->to_vertex && edge->to_vertex < plan->n_vertices);
        const struct plan_vertex *from = &plan->vertices[edge->from_vertex], *to = &plan->vertices[edge->to_vertex];
        HOLDS(edge->from_op < from->n_ops && edge->to_input < to->n_in && to->in[edge->to_input] == e);
        const struct graph_input *in = &g->nodes[to->ops[0].node].inputs[edge->to_input];
        HOLDS(in->node == from->ops[edge->from_op].node && in->output == edge->from_output);
        bool dealt = in->partition == GRAPH_FORWARD && from->parallelism != to->parallelism;
        HOLDS(edge->partition == (dealt ? GRAPH_REBALANCE : in->partition));
    }
    for (uint32_t v = 0; v < plan->n_vertices; v++) {
        n_in += plan->vertices[v].n_in;
        for (uint32_t i = 0; i < plan->vertices[v].n_out; i++, n_out++) HOLDS(plan->edges[plan->vertices[v].out[i]].from_vertex == v);
    }
    HOLDS(n_in == plan->n_edges && n_out == plan->n_edges);
}

/* A head that could have joined its producer has not been left alone. */
static void check_chains_are_longest(const struct graph *g, const struct plan *plan, uint32_t p, uint64_t seed)
{
    for (uint32_t v = 0; v < plan->n_vertices; v++) {
        const struct graph_node *head = &g->nodes[plan->vertices[v].ops[0].node];
        if (!head->chain || head->n_inputs != 1 || head->inputs[0].partition != GRAPH_FORWARD) continue;
        if (g->nodes[head->inputs[0].node].alone) continue;
        HOLDS(parallelism_of(g, head->inputs[0].node, p) != plan->vertices[v].parallelism);
    }
}

static void check_channels(const struct plan *plan, uint64_t seed)
{
    uint32_t found = 0;
    unsigned char *used = calloc(plan->n_channels + 1, 1);
    assert_non_null(used);
    for (uint32_t e = 0; e < plan->n_edges; e++) {
        const struct plan_edge *edge = &plan->edges[e];
        uint32_t senders = plan->vertices[edge->from_vertex].parallelism, receivers = plan->vertices[edge->to_vertex].parallelism;
        for (uint32_t i = 0; i < senders; i++) {
            for (uint32_t k = 0; k < receivers; k++) {
                if (edge->partition == GRAPH_FORWARD && i != k) continue;
                uint32_t channel = plan_channel(plan, edge, i, k);
                HOLDS(channel < plan->n_channels && !used[channel]);
                used[channel] = 1;
                found++;
            }
        }
    }
    HOLDS(found == plan->n_channels);
    free(used);
}

static void same_text(const struct graph *g, const struct plan *a, const struct plan *b, uint64_t seed)
{
    struct buffer one = {0}, two = {0};
    plan_text(a, g, &one);
    plan_dot(a, g, &one);
    plan_text(b, g, &two);
    plan_dot(b, g, &two);
    HOLDS(one.err == WEIR_OK && one.len == two.len && !memcmp(one.data, two.data, one.len));
    buffer_close(&one);
    buffer_close(&two);
}

static void any_graph_is_planned_rightly_and_always_alike(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 3000; seed++) {
        struct sketch s;
        uint64_t dice = seed;
        draw_graph(&s, &dice);
        if (seed % 2) shuffle(&s, &dice);
        uint32_t p = 1 + draw(&dice, 5);
        struct plan *plan = planned(&s.g, p), *again = planned(&s.g, p);
        check_vertices(&s.g, plan, p, seed);
        check_edges(&s.g, plan, seed);
        check_chains_are_longest(&s.g, plan, p, seed);
        check_channels(plan, seed);
        same_text(&s.g, plan, again, seed);
        plan_destroy(&plan);
        plan_destroy(&again);
    }
}

/* One input more, from a node to one that can reach it or to itself: refused as a cycle, wherever it is. */
static void any_cycle_is_found(void **state)
{
    (void)state;
    uint32_t closed = 0;
    for (uint64_t seed = 0; seed < 2000; seed++) {
        struct sketch s;
        uint64_t dice = seed;
        draw_graph(&s, &dice);
        uint32_t at = 0; /* walk back from the last node: everything met feeds it */
        uint32_t bottom = s.g.n_nodes - 1;
        for (at = bottom; s.nodes[at].n_inputs && draw(&dice, 4);) at = s.inputs[at][draw(&dice, s.nodes[at].n_inputs)].node;
        uint32_t end = s.nodes[bottom].kind == GRAPH_SINK ? s.inputs[bottom][0].node : bottom;
        if (s.nodes[at].n_inputs == 0 || s.nodes[at].n_inputs == INPUTS_MAX || s.nodes[at].kind == GRAPH_SINK || at > end) continue;
        if (end != at && s.nodes[bottom].n_inputs != 1) continue; /* only then is the walk known to pass `end` */
        input(&s, at, end, 0, s.nodes[at].keyed ? GRAPH_KEY : GRAPH_FORWARD);
        if (seed % 2) shuffle(&s, &dice);
        refused(&s.g, 2, WEIR_E_GRAPH, "form a cycle");
        closed++;
    }
    assert_true(closed > 100);
}

/* ---- text ------------------------------------------------------------------------------------------------------------------------ */

static void the_text_shows_trees_and_edges(void **state)
{
    (void)state;
    struct sketch s;
    line_of_three(&s);
    uint32_t bad = node(&s, "bad", GRAPH_SINK, 0);
    s.nodes[1].n_outputs = 2;
    input(&s, bad, 1, 1, GRAPH_FORWARD);
    uint32_t count = node(&s, "count", GRAPH_STEP, 3), show = node(&s, "show", GRAPH_SINK, 1);
    input(&s, count, 1, 0, GRAPH_KEY);
    input(&s, show, count, 0, GRAPH_FORWARD);
    struct plan *plan = planned(&s.g, 2);
    struct buffer text = {0};
    plan_text(plan, &s.g, &text);
    assert_string_equal(buffer_cstr(&text), "job sketch: 3 vertices, 2 edges, 9 channels, 3 slots\n"
                                            "0: read -> parse -> out -> bad x2\n"
                                            "   read [file], 0 splits\n"
                                            "     parse [map]\n"
                                            "       out [print]\n"
                                            "       bad [print] of parse side 0\n"
                                            "   => 1 from parse, by key path, 6 channels\n"
                                            "1: count x3\n"
                                            "   count [map]\n"
                                            "   => 2 from count, rebalance, 3 channels\n"
                                            "2: show x1\n"
                                            "   show [print]\n");
    buffer_clear(&text);
    s.g.name = "a \"b\"\n";
    plan_dot(plan, &s.g, &text);
    assert_string_equal(buffer_cstr(&text), "digraph \"a \\\"b\\\" \" {\n"
                                            "    rankdir=LR;\n"
                                            "    node [shape=box];\n"
                                            "    v0 [label=\"read -> parse -> out -> bad\\nx2, 0 splits\"];\n"
                                            "    v1 [label=\"count\\nx3\"];\n"
                                            "    v2 [label=\"show\\nx1\"];\n"
                                            "    v0 -> v1 [label=\"by key path\"];\n"
                                            "    v1 -> v2 [label=\"rebalance\"];\n"
                                            "}\n");
    buffer_close(&text);
    plan_destroy(&plan);
}

/* What an operator makes of its stream, and of its neighbours. */
static void the_text_marks_operators(void **state)
{
    (void)state;
    struct sketch s;
    line_of_three(&s);
    s.nodes[0].n_splits = 1;
    s.nodes[1].chain = false;
    s.nodes[1].updating = true;
    uint32_t own = node(&s, "own", GRAPH_SINK, 0);
    s.nodes[own].chain = false;
    s.nodes[own].alone = true;
    input(&s, own, 1, 0, GRAPH_CUSTOM);
    s.inputs[own][0].way = "by_hour";
    struct plan *plan = planned(&s.g, 2);
    struct buffer text = {0};
    plan_text(plan, &s.g, &text);
    assert_string_equal(buffer_cstr(&text), "job sketch: 3 vertices, 2 edges, 6 channels, 2 slots\n"
                                            "0: read x2\n"
                                            "   read [file], 1 split\n"
                                            "   => 1 from read, forward, 2 channels\n"
                                            "1: parse -> out x2\n"
                                            "   parse [map], updating, begins a chain\n"
                                            "     out [print]\n"
                                            "   => 2 from parse, by by_hour, updating, 4 channels\n"
                                            "2: own x2\n"
                                            "   own [print], not chained\n");
    buffer_clear(&text);
    plan_dot(plan, &s.g, &text);
    assert_non_null(strstr(buffer_cstr(&text), "v0 [label=\"read\\nx2, 1 split\"];"));
    assert_non_null(strstr(buffer_cstr(&text), "v1 -> v2 [label=\"by by_hour, updating\"];"));
    buffer_close(&text);
    plan_destroy(&plan);
}

/* The children of an operator may stand apart in the vertex's order; the tree puts each under its parent. */
static void the_tree_follows_parents_not_order(void **state)
{
    (void)state;
    struct sketch s;
    sketch_init(&s);
    uint32_t r = node(&s, "r", GRAPH_SOURCE, 0), a = node(&s, "a", GRAPH_STEP, 0), b = node(&s, "b", GRAPH_STEP, 0);
    uint32_t ax = node(&s, "ax", GRAPH_SINK, 0), bx = node(&s, "bx", GRAPH_SINK, 0), ay = node(&s, "ay", GRAPH_SINK, 0);
    input(&s, a, r, 0, GRAPH_FORWARD);
    input(&s, b, r, 0, GRAPH_FORWARD);
    input(&s, ax, a, 0, GRAPH_FORWARD);
    input(&s, bx, b, 0, GRAPH_FORWARD);
    input(&s, ay, a, 0, GRAPH_FORWARD);
    struct plan *plan = planned(&s.g, 1);
    struct buffer text = {0};
    plan_text(plan, &s.g, &text);
    assert_string_equal(buffer_cstr(&text), "job sketch: 1 vertex, 0 edges, 0 channels, 1 slot\n"
                                            "0: r -> a -> b -> ax -> bx -> ay x1\n"
                                            "   r [file], 0 splits\n"
                                            "     a [map]\n"
                                            "       ax [print]\n"
                                            "       ay [print]\n"
                                            "     b [map]\n"
                                            "       bx [print]\n");
    buffer_close(&text);
    plan_destroy(&plan);
}

/* ---- key groups ------------------------------------------------------------------------------------------------------------------ */

/* Every group has exactly one owner, the ranges follow each other without gap, and nobody's is more than one group longer. */
static void key_groups_and_their_owners_agree(void **state)
{
    (void)state;
    static const uint32_t many[] = {1,  2,   3,   4,   5,   6,   7,   8,   9,   10,  12,  16,  31,  32,   33,   63,
                                    64, 100, 127, 128, 255, 256, 257, 500, 511, 512, 513, 768, 999, 1000, 1023, 1024};
    for (size_t i = 0; i < sizeof many / sizeof many[0]; i++) {
        uint32_t next = 0, p = many[i];
        for (uint32_t subtask = 0; subtask < p; subtask++) {
            uint32_t first, last;
            plan_key_groups(subtask, p, &first, &last);
            assert_int_equal(first, next);
            assert_in_range(last - first + 1, WEIR_KEY_GROUPS / p, (WEIR_KEY_GROUPS + p - 1) / p);
            for (uint32_t group = first; group <= last; group++) {
                if (plan_key_owner(group, p) != subtask) fail_msg("group %u of %u subtasks: not %u", group, p, subtask);
            }
            next = last + 1;
        }
        assert_int_equal(next, WEIR_KEY_GROUPS);
    }
}

int main(void)
{
    const struct CMUnitTest stories[] = {
        cmocka_unit_test(forward_steps_share_a_vertex),
        cmocka_unit_test(a_key_cuts_the_chain_and_connects_everybody),
        cmocka_unit_test(another_parallelism_turns_forward_into_rebalance),
        cmocka_unit_test(a_step_that_forbids_chaining_is_fed_straight),
        cmocka_unit_test(a_step_that_stands_alone_is_joined_by_none),
        cmocka_unit_test(a_vertex_may_be_a_tree),
        cmocka_unit_test(a_stream_united_with_itself_is_read_twice),
        cmocka_unit_test(a_stream_nobody_takes_is_allowed_beside_a_sink),
        cmocka_unit_test(a_job_has_a_source_and_a_sink),
        cmocka_unit_test(a_cycle_is_named),
        cmocka_unit_test(a_step_that_feeds_itself_is_a_cycle),
        cmocka_unit_test(a_long_cycle_is_shortened),
        cmocka_unit_test(what_is_wrong_is_told_by_operator),
        cmocka_unit_test(limits_are_told),
        cmocka_unit_test(channels_are_bounded),
        cmocka_unit_test(any_graph_is_planned_rightly_and_always_alike),
        cmocka_unit_test(any_cycle_is_found),
        cmocka_unit_test(the_text_shows_trees_and_edges),
        cmocka_unit_test(the_text_marks_operators),
        cmocka_unit_test(the_tree_follows_parents_not_order),
        cmocka_unit_test(key_groups_and_their_owners_agree),
    };
    return cmocka_run_group_tests(stories, NULL, NULL);
}
