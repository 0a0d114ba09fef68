/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a job can begin with the state of another run: pure functions of a manifest and a graph. What only the workers can see (types of
 * values and keys) is theirs to refuse, before the first record.
 */
#ifndef WEIR_JOBMANAGER_RESTORE_H
#define WEIR_JOBMANAGER_RESTORE_H

#include "runtime/checkpoint/manifest.h"
#include "runtime/plan/graph.h"

/*
 * Compares the operators by their ids.
 *
 * has_state   by operator of the manifest, in its order: does it hold state? NULL: any may. Operators without state may come and go.
 * unmatched   state of operators that the graph does not have may be left behind.
 * Errors: WEIR_E_GRAPH: the sentence names every difference, as far as it can hold them.
 */
weir_err restore_check(const struct manifest *manifest, const bool *has_state, const struct graph *graph, bool unmatched,
                       struct weir_diag *diag);

/*
 * Gives the sources of `graph` the splits that the manifest's graph has, under the same indices, since positions name them by index. Splits
 * that were found anew are put behind them, if at least one of the old ones was found again: else the source divides its input differently
 * now (a generator at another parallelism does), and reading both would double it. Replaces *graph.
 * Errors: WEIR_E_CORRUPT (the manifest's graph), WEIR_E_LIMIT (WEIR_SPLITS_MAX), WEIR_E_NOMEM.
 */
weir_err restore_splits(const struct manifest *manifest, struct graph *graph, struct weir_diag *diag);

#endif
