/* SPDX-License-Identifier: Apache-2.0 */
#include "jobmanager/restore.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "weir/source.h"

static const struct graph_node *find_node(const struct graph *graph, const char *id)
{
    for (uint32_t i = 0; i < graph->n_nodes; i++)
        if (!strcmp(graph->nodes[i].id, id)) return &graph->nodes[i];
    return NULL;
}

/* ---- operators ---- */

/* Appends what is wrong with one operator; nothing, if nothing is. */
static void compare(const struct manifest_operator *op, const struct graph *graph, bool unmatched, struct buffer *out)
{
    const struct graph_node *node = find_node(graph, op->id);
    if (!node && !unmatched)
        buffer_printf(out, "%sits operator '%s' (%s) is not in the job (--allow-unmatched leaves its state behind)", out->len ? "; " : "",
                      op->id, op->name);
    if (node && (strcmp(node->name, op->name) != 0 || (uint32_t)node->kind != op->kind))
        buffer_printf(out, "%sits operator '%s' is a %s, in the job it is a %s", out->len ? "; " : "", op->id, op->name, node->name);
}

weir_err restore_check(const struct manifest *manifest, const bool *has_state, const struct graph *graph, bool unmatched,
                       struct weir_diag *diag)
{
    struct buffer words = {0};
    uint32_t at = 0;
    for (uint32_t v = 0; v < manifest->n_vertices; v++)
        for (uint32_t i = 0; i < manifest->vertices[v].n_operators; i++, at++)
            if (!has_state || has_state[at]) compare(&manifest->vertices[v].operators[i], graph, unmatched, &words);
    weir_err err = WEIR_OK;
    if (words.len) err = weir_fail(diag, WEIR_E_GRAPH, "the job does not fit the savepoint: %s", buffer_cstr(&words));
    buffer_close(&words);
    return err;
}

/* ---- splits ---- */

static bool same(struct weir_bytes a, struct weir_bytes b)
{
    return a.length == b.length && (a.length == 0 || !memcmp(a.data, b.data, a.length));
}

static bool holds(const struct graph_node *node, struct weir_bytes split)
{
    for (uint32_t i = 0; i < node->n_splits; i++)
        if (same(node->splits[i], split)) return true;
    return false;
}

static bool any_found_again(const struct graph_node *old, const struct graph_node *found)
{
    for (uint32_t i = 0; i < old->n_splits; i++)
        if (holds(found, old->splits[i])) return true;
    return false;
}

/* The old splits, then those that are new. `out`: room for both. */
static uint32_t merge(const struct graph_node *old, const struct graph_node *found, struct weir_bytes *out)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < old->n_splits; i++) out[n++] = old->splits[i];
    if (!any_found_again(old, found)) return n;
    for (uint32_t i = 0; i < found->n_splits; i++)
        if (!holds(old, found->splits[i])) out[n++] = found->splits[i];
    return n;
}

/* A copy of the graph through its encoded form, so that it owns all it points at. */
static weir_err own(const struct graph *graph, struct graph *out, struct weir_diag *diag)
{
    struct buffer bytes = {0};
    weir_err err = graph_encode(graph, &bytes);
    if (!err) err = graph_decode(out, bytes.data, bytes.len, diag);
    buffer_close(&bytes);
    return err;
}

/* nodes: a copy of the graph's, whose splits are replaced by what merge gives. lists: one for each node, to be freed. */
static weir_err replace(const struct graph *old, const struct graph *graph, struct graph_node *nodes, struct weir_bytes **lists,
                        struct weir_diag *diag)
{
    for (uint32_t i = 0; i < graph->n_nodes; i++) {
        const struct graph_node *before = find_node(old, nodes[i].id);
        if (nodes[i].kind != GRAPH_SOURCE || !before || !before->n_splits) continue;
        lists[i] = calloc((size_t)before->n_splits + nodes[i].n_splits, sizeof **lists);
        if (!lists[i]) return weir_fail(diag, WEIR_E_NOMEM, "no memory for the splits");
        uint32_t n = merge(before, &graph->nodes[i], lists[i]);
        if (n > WEIR_SPLITS_MAX)
            return weir_fail(diag, WEIR_E_LIMIT, "source '%s' has %" PRIu32 " splits with those of the savepoint, more than %d",
                             nodes[i].id, n, WEIR_SPLITS_MAX);
        nodes[i].splits = lists[i];
        nodes[i].n_splits = n;
    }
    return WEIR_OK;
}

weir_err restore_splits(const struct manifest *manifest, struct graph *graph, struct weir_diag *diag)
{
    struct graph old = {0}, merged = *graph, owned = {0};
    weir_err err = graph_decode(&old, manifest->graph.data, manifest->graph.length, diag);
    if (err) return err;
    merged.nodes = calloc(graph->n_nodes, sizeof *merged.nodes);
    struct weir_bytes **lists = calloc(graph->n_nodes, sizeof *lists);
    if (!merged.nodes || !lists) err = weir_fail(diag, WEIR_E_NOMEM, "no memory for the splits");
    if (!err) {
        memcpy(merged.nodes, graph->nodes, graph->n_nodes * sizeof *merged.nodes);
        err = replace(&old, graph, merged.nodes, lists, diag);
    }
    if (!err) err = own(&merged, &owned, diag);
    for (uint32_t i = 0; lists && i < graph->n_nodes; i++) free(lists[i]);
    free(lists);
    free(merged.nodes);
    graph_close(&old);
    if (err) return err;
    graph_close(graph);
    *graph = owned;
    return WEIR_OK;
}
