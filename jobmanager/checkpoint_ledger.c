/* SPDX-License-Identifier: Apache-2.0 */
#include "jobmanager/checkpoint_ledger.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"

void ckpt_ledger_init(struct ckpt_ledger *l, uint32_t n_channels)
{
    l->n_channels = n_channels;
    l->counts = calloc(n_channels ? n_channels : 1, sizeof *l->counts);
    WEIR_ASSERT(l->counts);
}

void ckpt_ledger_close(struct ckpt_ledger *l)
{
    free(l->counts);
    *l = (struct ckpt_ledger){0};
}

void ckpt_ledger_clear(struct ckpt_ledger *l)
{
    if (l->n_channels) memset(l->counts, 0, l->n_channels * sizeof *l->counts);
}

static const char *side_name(uint32_t side)
{
    return side == WIRE_LEDGER_SENDER ? "sender" : "receiver";
}

bool ckpt_ledger_take(struct ckpt_ledger *l, const struct wire_ledger *entries, uint32_t n, struct weir_diag *diag)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct wire_ledger *e = &entries[i];
        if (e->channel >= l->n_channels || e->side > WIRE_LEDGER_RECEIVER) {
            (void)weir_fail(diag, WEIR_E_PROTOCOL,
                            "its ledger names channel %" PRIu32 ", side %" PRIu32 "; the job has %" PRIu32 " channels", e->channel, e->side,
                            l->n_channels);
            return false;
        }
        struct ckpt_count *count = &l->counts[e->channel][e->side];
        if (count->told) {
            (void)weir_fail(diag, WEIR_E_PROTOCOL, "its ledger tells of the %s of channel %" PRIu32 ", which was told already",
                            side_name(e->side), e->channel);
            return false;
        }
        *count = (struct ckpt_count){.told = true, .records = e->records, .bytes = e->bytes, .hash = e->hash};
    }
    return true;
}

static bool agree(const struct ckpt_count *a, const struct ckpt_count *b)
{
    return a->told && b->told && a->records == b->records && a->bytes == b->bytes && a->hash == b->hash;
}

/* The edge a channel belongs to, and which of its subtasks the channel connects. */
static const struct plan_edge *edge_of(const struct plan *plan, uint32_t channel, uint32_t *sender, uint32_t *receiver)
{
    for (uint32_t i = 0; i < plan->n_edges; i++) {
        const struct plan_edge *e = &plan->edges[i];
        uint32_t senders = plan->vertices[e->from_vertex].parallelism, receivers = plan->vertices[e->to_vertex].parallelism;
        if (channel < e->channel_base || channel - e->channel_base >= plan_edge_channels(e->partition, senders, receivers)) continue;
        uint32_t at = channel - e->channel_base;
        *sender = e->partition == GRAPH_FORWARD ? at : at / receivers;
        *receiver = e->partition == GRAPH_FORWARD ? at : at % receivers;
        return e;
    }
    return NULL;
}

enum { COUNT_TEXT = 80 };

static const char *count_text(const struct ckpt_count *c, char out[static COUNT_TEXT])
{
    if (c->told)
        snprintf(out, COUNT_TEXT, "%" PRIu64 " records in %" PRIu64 " bytes, hash %016" PRIx64, c->records, c->bytes, c->hash);
    else
        snprintf(out, COUNT_TEXT, "nothing at all");
    return out;
}

static weir_err tell(const struct ckpt_ledger *l, const struct plan *plan, uint32_t channel, struct weir_diag *diag)
{
    char sent[COUNT_TEXT], received[COUNT_TEXT];
    uint32_t sender = 0, receiver = 0;
    const struct plan_edge *e = edge_of(plan, channel, &sender, &receiver);
    WEIR_ASSERT(e); /* channels are those of this plan */
    return weir_fail(diag, WEIR_E_CORRUPT,
                     "records were lost or doubled on channel %" PRIu32 " from '%s' subtask %" PRIu32 " to '%s' subtask %" PRIu32
                     ": the sender counted %s, the receiver %s",
                     channel, plan->vertices[e->from_vertex].name, sender, plan->vertices[e->to_vertex].name, receiver,
                     count_text(&l->counts[channel][WIRE_LEDGER_SENDER], sent),
                     count_text(&l->counts[channel][WIRE_LEDGER_RECEIVER], received));
}

weir_err ckpt_ledger_compare(const struct ckpt_ledger *l, const struct plan *plan, struct weir_diag *diag)
{
    for (uint32_t c = 0; c < l->n_channels; c++)
        if (!agree(&l->counts[c][WIRE_LEDGER_SENDER], &l->counts[c][WIRE_LEDGER_RECEIVER])) return tell(l, plan, c, diag);
    return WEIR_OK;
}
