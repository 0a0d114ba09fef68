/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a job graph: what decodes must encode to a graph that is the same, and be planned or refused. */
#include <stdlib.h>
#include <string.h>

#include "runtime/plan/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
    if (!condition) abort();
}

static void plan_and_print(const struct graph *g)
{
    struct plan *plan = NULL;
    struct weir_diag diag;
    struct buffer text;
    buffer_init(&text, 1u << 20);
    if (plan_new(&plan, g, 3, &diag) == WEIR_OK) {
        plan_text(plan, g, &text);
        plan_dot(plan, g, &text);
        for (uint32_t e = 0; e < plan->n_edges; e++) {
            const struct plan_edge *edge = &plan->edges[e];
            uint32_t last_sender = plan->vertices[edge->from_vertex].parallelism - 1;
            must(plan_channel(plan, edge, last_sender, plan->vertices[edge->to_vertex].parallelism - 1) < plan->n_channels);
        }
    }
    plan_destroy(&plan);
    buffer_close(&text);
}

/* Chance never meets the fingerprint, so a graph refused for it alone gets the right one: the sentence says which. */
static weir_err decode(struct graph *g, unsigned char *data, size_t size)
{
    static const char told[] = "its fingerprint is ";
    struct weir_diag diag;
    weir_err err = graph_decode(g, data, size, &diag);
    const char *at = err ? strstr(diag.text, told) : NULL;
    if (!at || size < 11 || data[2] != 0xcf) return err; /* the fingerprint stands behind a one-byte version, as 64 bits */
    uint64_t fingerprint = strtoull(at + sizeof told - 1, NULL, 16);
    for (int i = 0; i < 8; i++) data[3 + i] = (unsigned char)(fingerprint >> (56 - 8 * i));
    err = graph_decode(g, data, size, &diag);
    must(err == WEIR_OK);
    return err;
}

static void roundtrip(const struct graph *g)
{
    struct graph again;
    struct weir_diag diag;
    struct buffer bytes;
    buffer_init(&bytes, 0);
    must(graph_encode(g, &bytes) == WEIR_OK);
    must(graph_decode(&again, bytes.data, bytes.len, &diag) == WEIR_OK);
    must(again.fingerprint == g->fingerprint);
    plan_and_print(&again);
    graph_close(&again);
    buffer_close(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct graph g;
    unsigned char *copy = malloc(size ? size : 1);
    must(copy != NULL);
    if (size) memcpy(copy, data, size);
    if (decode(&g, copy, size) == WEIR_OK) {
        roundtrip(&g);
        graph_close(&g);
    }
    free(copy);
    return 0;
}
