/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/base/nearest.h"

#include <limits.h>
#include <string.h>

static unsigned least(unsigned a, unsigned b, unsigned c)
{
    unsigned m = a < b ? a : b;
    return m < c ? m : c;
}

/* Wagner and Fischer, one row at a time: before its turn row[j] is the distance of a[0..i) and b[0..j). */
unsigned nearest_distance(const char *a, const char *b)
{
    unsigned row[NEAREST_WORD_MAX + 1];
    size_t n = strnlen(a, NEAREST_WORD_MAX + 1), m = strnlen(b, NEAREST_WORD_MAX + 1);
    if (n > NEAREST_WORD_MAX || m > NEAREST_WORD_MAX) return UINT_MAX;
    for (unsigned j = 0; j <= m; j++) row[j] = j;
    for (unsigned i = 1; i <= n; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= m; j++) {
            unsigned above = row[j];
            row[j] = least(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[m];
}

void nearest_offer(struct nearest *n, const char *candidate)
{
    unsigned distance = nearest_distance(n->word, candidate);
    if (distance > 1 + strnlen(n->word, NEAREST_WORD_MAX) / 3) return;
    if (n->best && distance >= n->distance) return;
    n->best = candidate;
    n->distance = distance;
}
