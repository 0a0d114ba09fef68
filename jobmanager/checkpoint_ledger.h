/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger of a checkpoint: what went over each channel since the barrier before, as its sender and its receiver saw it. When they agree,
 * nothing was lost, doubled or changed on the way. Part of the coordinator (checkpoint.h). Owner: one thread.
 */
#ifndef WEIR_JOBMANAGER_CHECKPOINT_LEDGER_H
#define WEIR_JOBMANAGER_CHECKPOINT_LEDGER_H

#include "runtime/plan/plan.h"
#include "runtime/wire/message.h"

/* One end of a channel. */
struct ckpt_count {
    bool told;
    uint64_t records, bytes, hash;
};

struct ckpt_ledger {
    uint32_t n_channels;
    struct ckpt_count (*counts)[2]; /* by channel, then enum wire_ledger_side */
};

/* For the channels of a plan, nothing told yet. Aborts without memory. */
void ckpt_ledger_init(struct ckpt_ledger *l, uint32_t n_channels);
void ckpt_ledger_close(struct ckpt_ledger *l);
void ckpt_ledger_clear(struct ckpt_ledger *l); /* for the next checkpoint */

/* Takes what a worker tells. False: it names a channel that is none, or an end that was told already; `diag` says which. */
bool ckpt_ledger_take(struct ckpt_ledger *l, const struct wire_ledger *entries, uint32_t n, struct weir_diag *diag);

/*
 * Do both ends of every channel agree? An end that nobody has told of does not agree with anything. WEIR_OK, or WEIR_E_CORRUPT and a
 * sentence that names the first such channel, its vertices and what both ends have counted.
 */
weir_err ckpt_ledger_compare(const struct ckpt_ledger *l, const struct plan *plan, struct weir_diag *diag);

#endif
