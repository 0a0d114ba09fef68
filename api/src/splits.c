/* SPDX-License-Identifier: Apache-2.0 */
/* The list that a source's discover fills. */
#include "api/src/env.h"

#include <stdlib.h>

static bool widen(struct weir_splits *splits)
{
    if (splits->n < splits->cap) return true;
    uint32_t cap = splits->cap ? splits->cap * 2 : 16;
    struct weir_bytes *items = reallocarray(splits->items, cap, sizeof *items);
    if (!items) return false;
    splits->items = items;
    splits->cap = cap;
    return true;
}

weir_err weir_splits_add(struct weir_splits *splits, const void *data, uint32_t length)
{
    if (splits->n == WEIR_SPLITS_MAX || length > WEIR_SPLIT_BYTES_MAX) return WEIR_E_LIMIT;
    if (length && !data) return WEIR_E_ARGUMENT;
    if (!widen(splits)) return WEIR_E_NOMEM;
    void *copy = malloc(length ? length : 1);
    if (!copy) return WEIR_E_NOMEM;
    if (length) memcpy(copy, data, length);
    splits->items[splits->n++] = (struct weir_bytes){copy, length};
    return WEIR_OK;
}

void weir_splits_close(struct weir_splits *splits)
{
    for (uint32_t i = 0; i < splits->n; i++) free((void *)(uintptr_t)splits->items[i].data);
    free(splits->items);
    *splits = (struct weir_splits){0};
}
