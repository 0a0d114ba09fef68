/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The graph as msgpack:
 *
 *     graph = [3, fingerprint, name, [node ...]]
 *     node  = [id, name, kind, parallelism, chain, alone, keyed, updating, n_ports, n_outputs, [input ...], [split (bin) ...]]
 *     input = [port, node, output, partition, way]
 *
 * A change of the arrays gets another version number: both sides are of one release, so there is nothing to skip.
 */
#include <inttypes.h>
#include <string.h>

#include "runtime/plan/graph.h"
#include "runtime/wire/cursor.h"
#include "runtime/wire/pack.h"
#include "weir/source.h"
#include "weir/stream.h"

enum { VERSION = 3, GRAPH_ITEMS = 4, NODE_ITEMS = 12, INPUT_ITEMS = 5 };

/* ---- encode ---------------------------------------------------------------------------------------------------------------------- */

static void encode_input(const struct graph_input *input, struct buffer *out)
{
    pack_array(out, INPUT_ITEMS);
    pack_uint(out, input->port);
    pack_uint(out, input->node);
    pack_uint(out, input->output);
    pack_uint(out, (uint64_t)input->partition);
    pack_str(out, input->way);
}

static void encode_node(const struct graph_node *node, struct buffer *out)
{
    pack_array(out, NODE_ITEMS);
    pack_str(out, node->id);
    pack_str(out, node->name);
    pack_uint(out, (uint64_t)node->kind);
    pack_uint(out, node->parallelism);
    pack_bool(out, node->chain);
    pack_bool(out, node->alone);
    pack_bool(out, node->keyed);
    pack_bool(out, node->updating);
    pack_uint(out, node->n_ports);
    pack_uint(out, node->n_outputs);
    pack_array(out, node->n_inputs);
    for (uint32_t i = 0; i < node->n_inputs; i++) encode_input(&node->inputs[i], out);
    pack_array(out, node->n_splits);
    for (uint32_t i = 0; i < node->n_splits; i++) pack_bin(out, node->splits[i].data, node->splits[i].length);
}

weir_err graph_encode(const struct graph *graph, struct buffer *out)
{
    pack_array(out, GRAPH_ITEMS);
    pack_uint(out, VERSION);
    pack_uint(out, graph_fingerprint(graph));
    pack_str(out, graph->name);
    pack_array(out, graph->n_nodes);
    for (uint32_t i = 0; i < graph->n_nodes; i++) encode_node(&graph->nodes[i], out);
    return out->err;
}

/* ---- memory of a decoded graph --------------------------------------------------------------------------------------------------- */

struct decoder {
    struct cursor c;
    struct graph graph;
    /*
     * Holds every string and split: one costs at least its length and a byte of header in the input, so with its final NUL it fits in a
     * pool of the input's length.
     */
    unsigned char *pool;
    size_t pool_used;
    struct weir_diag *diag;
};

void graph_close(struct graph *graph)
{
    if (!graph->arena.blocks) return; /* one built by hand owns nothing here */
    arena_close(&graph->arena);
    *graph = (struct graph){0};
}

static weir_err no_memory(struct decoder *d)
{
    return weir_fail(d->diag, WEIR_E_NOMEM, "no memory for the job graph");
}

/* ---- decode ---------------------------------------------------------------------------------------------------------------------- */

static unsigned char *keep(struct decoder *d, struct weir_bytes bytes)
{
    unsigned char *copy = d->pool + d->pool_used;
    if (bytes.length) memcpy(copy, bytes.data, bytes.length);
    copy[bytes.length] = 0;
    d->pool_used += bytes.length + 1;
    return copy;
}

static bool get_text(struct decoder *d, size_t max, const char **out)
{
    struct weir_bytes text;
    if (!cursor_str(&d->c, &text) || text.length > max) return false;
    *out = (const char *)keep(d, text);
    return true;
}

static bool get_u32(struct decoder *d, uint32_t max, uint32_t *out)
{
    uint64_t value;
    if (!cursor_uint(&d->c, max, &value)) return false;
    *out = (uint32_t)value;
    return true;
}

/* Enters an array that must have exactly `want` elements. */
static bool enter(struct decoder *d, uint32_t want)
{
    uint32_t n;
    return cursor_array(&d->c, &n) && n == want;
}

static bool decode_input(struct decoder *d, struct graph_input *input)
{
    uint32_t partition;
    bool read = enter(d, INPUT_ITEMS) && get_u32(d, GRAPH_PORTS - 1, &input->port) && get_u32(d, d->graph.n_nodes - 1, &input->node) &&
                get_u32(d, WEIR_SIDES_MAX, &input->output) && get_u32(d, GRAPH_CUSTOM, &partition) && partition >= GRAPH_FORWARD &&
                get_text(d, WEIR_NAME_MAX, &input->way);
    if (read) input->partition = (enum graph_partition)partition;
    return read;
}

static weir_err decode_inputs(struct decoder *d, struct graph_node *node)
{
    uint32_t n;
    if (!cursor_array(&d->c, &n)) return WEIR_E_CORRUPT;
    if (n > GRAPH_INPUTS_MAX) return WEIR_E_LIMIT;
    node->inputs = arena_alloc(&d->graph.arena, n, sizeof *node->inputs);
    if (!node->inputs) return WEIR_E_NOMEM;
    node->n_inputs = n;
    for (uint32_t i = 0; i < n; i++) {
        if (!decode_input(d, &node->inputs[i])) return WEIR_E_CORRUPT;
    }
    return WEIR_OK;
}

static weir_err decode_splits(struct decoder *d, struct graph_node *node)
{
    uint32_t n;
    if (!cursor_array(&d->c, &n)) return WEIR_E_CORRUPT;
    if (n > WEIR_SPLITS_MAX) return WEIR_E_LIMIT;
    if (n && node->kind != GRAPH_SOURCE) return WEIR_E_CORRUPT;
    node->splits = arena_alloc(&d->graph.arena, n, sizeof *node->splits);
    if (!node->splits) return WEIR_E_NOMEM;
    node->n_splits = n;
    for (uint32_t i = 0; i < n; i++) {
        struct weir_bytes split;
        if (!cursor_bin(&d->c, &split)) return WEIR_E_CORRUPT;
        if (split.length > WEIR_SPLIT_BYTES_MAX) return WEIR_E_LIMIT;
        node->splits[i] = (struct weir_bytes){keep(d, split), split.length};
    }
    return WEIR_OK;
}

static bool decode_head(struct decoder *d, struct graph_node *node)
{
    uint32_t kind;
    bool read = enter(d, NODE_ITEMS) && get_text(d, WEIR_NAME_MAX, &node->id) && graph_id_valid(node->id) &&
                get_text(d, WEIR_NAME_MAX, &node->name) && get_u32(d, GRAPH_SINK, &kind) && kind >= GRAPH_SOURCE &&
                get_u32(d, WEIR_PARALLELISM_MAX, &node->parallelism) && cursor_bool(&d->c, &node->chain) &&
                cursor_bool(&d->c, &node->alone) && cursor_bool(&d->c, &node->keyed) && cursor_bool(&d->c, &node->updating) &&
                get_u32(d, GRAPH_PORTS, &node->n_ports) && get_u32(d, WEIR_SIDES_MAX + 1, &node->n_outputs);
    if (read) node->kind = (enum graph_node_kind)kind;
    return read;
}

static weir_err decode_node(struct decoder *d, uint32_t index)
{
    struct graph_node *node = &d->graph.nodes[index];
    weir_err err = decode_head(d, node) ? WEIR_OK : WEIR_E_CORRUPT;
    if (!err) err = decode_inputs(d, node);
    if (!err) err = decode_splits(d, node);
    if (err == WEIR_E_NOMEM) return no_memory(d);
    if (err == WEIR_E_LIMIT) return weir_fail(d->diag, err, "job graph: operator %s has too many inputs or splits", node->id);
    if (err) return weir_fail(d->diag, err, "job graph: the bytes of operator %" PRIu32 " are damaged", index);
    return WEIR_OK;
}

static weir_err decode_graph(struct decoder *d)
{
    uint32_t version, n;
    if (!enter(d, GRAPH_ITEMS) || !get_u32(d, UINT32_MAX, &version))
        return weir_fail(d->diag, WEIR_E_CORRUPT, "these bytes are no job graph");
    if (version != VERSION) return weir_fail(d->diag, WEIR_E_UNSUPPORTED, "job graph of format version %" PRIu32, version);
    if (!cursor_uint(&d->c, UINT64_MAX, &d->graph.fingerprint) || !get_text(d, UINT32_MAX, &d->graph.name) || !cursor_array(&d->c, &n)) {
        return weir_fail(d->diag, WEIR_E_CORRUPT, "job graph: the head is damaged");
    }
    if (n > WEIR_OPERATORS_MAX) {
        return weir_fail(d->diag, WEIR_E_LIMIT, "job graph: %" PRIu32 " operators; a job has at most %d", n, WEIR_OPERATORS_MAX);
    }
    d->graph.nodes = arena_alloc(&d->graph.arena, n, sizeof *d->graph.nodes);
    if (!d->graph.nodes) return no_memory(d);
    d->graph.n_nodes = n;
    weir_err err = WEIR_OK;
    for (uint32_t i = 0; i < n && !err; i++) err = decode_node(d, i);
    if (err) return err;
    if (!cursor_done(&d->c)) return weir_fail(d->diag, WEIR_E_CORRUPT, "job graph: bytes behind its end");
    uint64_t fingerprint = graph_fingerprint(&d->graph);
    if (fingerprint != d->graph.fingerprint) {
        return weir_fail(d->diag, WEIR_E_CORRUPT, "job graph: its fingerprint is %016" PRIx64 ", its bytes say %016" PRIx64, fingerprint,
                         d->graph.fingerprint);
    }
    return WEIR_OK;
}

weir_err graph_decode(struct graph *out, const void *data, size_t len, struct weir_diag *diag)
{
    struct decoder d = {.diag = diag};
    cursor_init(&d.c, data, len);
    d.pool = arena_alloc(&d.graph.arena, len, 1);
    weir_err err = d.pool ? decode_graph(&d) : no_memory(&d);
    if (err) {
        graph_close(&d.graph);
        return err;
    }
    *out = d.graph;
    return WEIR_OK;
}
