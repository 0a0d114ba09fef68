/* SPDX-License-Identifier: Apache-2.0 */
/* Graphs for the tests of this folder: small ones written down, and random ones drawn from a seed. Header only; included by one test each.
 */
#ifndef WEIR_TESTS_UNIT_PLAN_GRAPHS_H
#define WEIR_TESTS_UNIT_PLAN_GRAPHS_H

#include <stdio.h>
#include <stdlib.h>

#include "runtime/plan/plan.h"

enum { NODES_MAX = 40, INPUTS_MAX = 4, SPLITS_MAX = 5 };

/* A graph with its memory. Filled by `node` and `input`, or by `draw_graph`. */
struct sketch {
    struct graph g;
    struct graph_node nodes[NODES_MAX];
    struct graph_input inputs[NODES_MAX][INPUTS_MAX];
    struct weir_bytes splits[NODES_MAX][SPLITS_MAX];
    char ids[NODES_MAX][16];
};

static void sketch_init(struct sketch *s)
{
    memset(s, 0, sizeof *s);
    s->g.name = "sketch";
    s->g.nodes = s->nodes;
}

/* Adds a node; returns its index. */
static uint32_t node(struct sketch *s, const char *id, enum graph_node_kind kind, uint32_t parallelism)
{
    uint32_t i = s->g.n_nodes++;
    (void)snprintf(s->ids[i], sizeof s->ids[i], "%s", id);
    s->nodes[i] = (struct graph_node){.id = s->ids[i],
                                      .name = kind == GRAPH_SOURCE ? "file"
                                              : kind == GRAPH_SINK ? "print"
                                                                   : "map",
                                      .kind = kind,
                                      .parallelism = parallelism,
                                      .chain = true,
                                      .n_ports = kind == GRAPH_SOURCE ? 0 : 1,
                                      .n_outputs = kind == GRAPH_SINK ? 0 : 1,
                                      .inputs = s->inputs[i],
                                      .splits = s->splits[i]};
    return i;
}

/* Feeds `to` from output `output` of `from`. */
static void input(struct sketch *s, uint32_t to, uint32_t from, uint32_t output, enum graph_partition partition)
{
    s->inputs[to][s->nodes[to].n_inputs++] = (struct graph_input){.port = s->nodes[to].n_ports > 1,
                                                                  .node = from,
                                                                  .output = output,
                                                                  .partition = partition,
                                                                  .way = partition == GRAPH_KEY ? "path" : ""};
}

static inline uint32_t draw(uint64_t *seed, uint32_t below)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33) % below;
}

/* Any graph that can run: inputs come from earlier nodes only, so there is no cycle. With `shuffle` the nodes then change places. */
static inline void draw_graph(struct sketch *s, uint64_t *seed)
{
    static const char *const parts[] = {"a", "bc", "", "\x01\xff"};
    sketch_init(s);
    uint32_t n = 2 + draw(seed, NODES_MAX - 2);
    for (uint32_t i = 0; i < n; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "n%u", i);
        uint32_t dice = draw(seed, 8);
        enum graph_node_kind kind = dice == 0 ? GRAPH_SOURCE : dice == 1 ? GRAPH_SINK : GRAPH_STEP;
        if (i == 0) kind = GRAPH_SOURCE;
        if (i == n - 1) kind = GRAPH_SINK;
        (void)node(s, id, kind, draw(seed, 3) ? 0 : 1 + draw(seed, 5));
        struct graph_node *made = &s->nodes[i];
        made->chain = draw(seed, 6) != 0;
        made->alone = draw(seed, 8) == 0;
        if (kind != GRAPH_SINK) made->n_outputs = 1 + (draw(seed, 4) ? 0 : draw(seed, 3));
        uint32_t n_inputs = kind == GRAPH_SOURCE ? 0 : 1 + (draw(seed, 4) ? 0 : draw(seed, INPUTS_MAX));
        made->keyed = n_inputs && draw(seed, 5) == 0;
        for (uint32_t k = 0; k < n_inputs; k++) {
            uint32_t from = draw(seed, i);
            while (s->nodes[from].kind == GRAPH_SINK) from--; /* node 0 is a source */
            enum graph_partition partition = draw(seed, 2) ? GRAPH_FORWARD : (enum graph_partition)(1 + draw(seed, GRAPH_CUSTOM));
            input(s, i, from, draw(seed, s->nodes[from].n_outputs), made->keyed ? GRAPH_KEY : partition);
        }
        made->updating = draw(seed, 4) == 0;
        made->n_ports = n_inputs > 1 && draw(seed, 3) == 0 ? 2 : n_inputs ? 1 : 0;
        for (uint32_t k = n_inputs - n_inputs / 2; made->n_ports == 2 && k < n_inputs; k++) s->inputs[i][k].port = 1;
        made->n_splits = kind == GRAPH_SOURCE ? draw(seed, SPLITS_MAX + 1) : 0;
        for (uint32_t k = 0; k < made->n_splits; k++) {
            const char *part = parts[draw(seed, 4)];
            s->splits[i][k] = (struct weir_bytes){part, (uint32_t)strlen(part)};
        }
    }
}

/* Moves the nodes of a drawn graph to other indices, so that producers may stand behind their consumers. */
static inline void shuffle(struct sketch *s, uint64_t *seed)
{
    uint32_t to[NODES_MAX], n = s->g.n_nodes;
    struct graph_node old[NODES_MAX];
    memcpy(old, s->nodes, sizeof old);
    for (uint32_t i = 0; i < n; i++) to[i] = i;
    for (uint32_t i = n; i > 1; i--) {
        uint32_t k = draw(seed, i), other = to[k];
        to[k] = to[i - 1];
        to[i - 1] = other;
    }
    for (uint32_t i = 0; i < n; i++) {
        s->nodes[to[i]] = old[i];
        for (uint32_t k = 0; k < old[i].n_inputs; k++) old[i].inputs[k].node = to[old[i].inputs[k].node];
    }
}

#endif
