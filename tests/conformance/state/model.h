/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The oracle: all states of an operator as sorted arrays in memory, one instance or many being the same to it. Meant to be obviously right,
 * not fast. A snapshot is a copy.
 *
 * Where the contract leaves room (which elements of a list share an expiry, whether a pane without entries is remembered, who gets which
 * share of an operator list) it takes a hint: what the system did, which it follows if that is allowed.
 */
#ifndef WEIR_TESTS_CONFORMANCE_STATE_MODEL_H
#define WEIR_TESTS_CONFORMANCE_STATE_MODEL_H

#include "tests/conformance/state/ops.h"

struct model;

struct model *model_new(const struct config *config);
void model_destroy(struct model **m);
void model_apply(struct model *m, const struct op *op, const struct answer *hint, struct answer *out);

void model_freeze(struct model *m);
void model_join(struct model *m, bool keep);
void model_restore(struct model *m, const struct config *config);
bool model_has_snapshot(const struct model *m);

/* Bytes that the system may hold in memory whatever its budget: timers, broadcast, operator lists, and a table for each pane. */
uint64_t model_pinned(const struct model *m);

/* All elements of an operator list, instance by instance, as OPERATOR_LIST_READ says them. */
void model_operator_list_all(const struct model *m, uint32_t state, struct answer *out);
/* Follows a redistribution that has been checked: the elements of one instance. */
void model_operator_list_deal(struct model *m, uint32_t state, uint32_t instance, const struct answer *elements);

/* Entries in all states, for the runner's totals. */
uint64_t model_entries(const struct model *m);

#endif
