/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/loop/slices.h"

#include <string.h>

#define SLICES_MIN 8

void loop_slices_grow(struct loop_slices *s, int64_t number, size_t size)
{
    int64_t n = s->n ? s->n : SLICES_MIN;
    while (number - s->first >= n) n *= 2;
    char *items = loop_space_grow(NULL, 0, (size_t)n * size);
    for (int64_t i = s->first; i < s->first + s->n; i++) {
        memcpy(items + (size_t)(i & (n - 1)) * size, s->items + (size_t)(i & (s->n - 1)) * size, size);
    }
    loop_space_free(s->items, (size_t)s->n * size);
    s->items = items;
    s->n = n;
}

void loop_slices_close(struct loop_slices *s, size_t size)
{
    loop_space_free(s->items, (size_t)s->n * size);
    *s = (struct loop_slices){0};
}
