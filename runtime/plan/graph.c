/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/plan/graph.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/hash.h"

bool graph_id_valid(const char *id)
{
    size_t n = strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-");
    return n > 0 && n <= WEIR_NAME_MAX && id[n] == 0;
}

const char *graph_partition_name(enum graph_partition partition)
{
    switch (partition) {
    case GRAPH_FORWARD: return "forward";
    case GRAPH_KEY: return "key";
    case GRAPH_REBALANCE: return "rebalance";
    case GRAPH_BROADCAST: return "broadcast";
    case GRAPH_GLOBAL: return "global";
    case GRAPH_CUSTOM: return "custom";
    }
    return "?";
}

/* ---- fingerprint ----------------------------------------------------------------------------------------------------------------- */

/*
 * A chain: the hash of each part is seeded with the hash of all before it. A part's length goes into its hash, so parts cannot run
 * together. Numbers go in as little-endian words, so the machine does not matter.
 */
static uint64_t fold_text(uint64_t hash, const char *text)
{
    return hash64_seed(text, strlen(text), hash);
}

static uint64_t fold_words(uint64_t hash, const uint32_t *words, uint32_t n)
{
    unsigned char bytes[4 * 9];
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t k = 0; k < 4; k++) bytes[4 * i + k] = (unsigned char)(words[i] >> (8 * k));
    }
    return hash64_seed(bytes, 4 * n, hash);
}

static uint64_t fold_node(uint64_t hash, const struct graph_node *node)
{
    const uint32_t words[] = {(uint32_t)node->kind, node->parallelism, node->chain,    node->keyed, node->n_outputs,
                              node->n_inputs,       node->n_ports,     node->updating, node->alone};
    hash = fold_text(fold_text(hash, node->id), node->name);
    hash = fold_words(hash, words, sizeof words / sizeof words[0]);
    for (uint32_t i = 0; i < node->n_inputs; i++) {
        const struct graph_input *input = &node->inputs[i];
        const uint32_t from[] = {input->port, input->node, input->output, (uint32_t)input->partition};
        hash = fold_text(fold_words(hash, from, sizeof from / sizeof from[0]), input->way);
    }
    return hash;
}

uint64_t graph_fingerprint(const struct graph *graph)
{
    uint64_t hash = fold_words(fold_text(0, graph->name), &graph->n_nodes, 1);
    for (uint32_t i = 0; i < graph->n_nodes; i++) hash = fold_node(hash, &graph->nodes[i]);
    return hash;
}
