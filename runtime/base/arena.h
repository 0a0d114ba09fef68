/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An arena: memory in pieces that is freed all at once. The first allocation that fails is remembered, so one look at the end of many is
 * enough; what was asked for after it is NULL, too. A zeroed struct is an empty arena. Owner: one thread at a time.
 */
#ifndef WEIR_RUNTIME_BASE_ARENA_H
#define WEIR_RUNTIME_BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

#include "weir/row.h"

struct arena_block;

struct arena {
    struct arena_block *blocks; /* newest first */
    bool failed;
};

/* n times size zeroed bytes, 16-byte aligned; not NULL for none. NULL: no memory. */
void *arena_alloc(struct arena *a, size_t n, size_t size);
/* Copies; a NUL stands behind bytes, too. {NULL, 0} and NULL: no memory. */
struct weir_bytes arena_bytes(struct arena *a, struct weir_bytes bytes);
const char *arena_text(struct arena *a, const char *text);
/* Frees all of it; the arena is empty afterwards. */
void arena_close(struct arena *a);

#endif
