/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "Did you mean ...?": of the words offered, the one nearest to a mistyped one by Levenshtein distance.
 *
 *     struct nearest n = {.word = typed};
 *     for (...) nearest_offer(&n, candidate);
 *     if (n.best) ...
 */
#ifndef WEIR_RUNTIME_BASE_NEAREST_H
#define WEIR_RUNTIME_BASE_NEAREST_H

#include "weir/base.h"

#define NEAREST_WORD_MAX 128 /* bytes of a word; a longer one is near to nothing */

struct nearest {
    const char *word;
    const char *best;  /* borrowed from its offer; NULL while nothing offered was near: at most one edit and one more per three letters */
    unsigned distance; /* of best */
};

void nearest_offer(struct nearest *n, const char *candidate);

/* Insertions, deletions and replacements that turn a into b; UINT_MAX when one of them is longer than NEAREST_WORD_MAX. */
unsigned nearest_distance(const char *a, const char *b);

#endif
