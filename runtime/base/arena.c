/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/base/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct arena_block {
    struct arena_block *next;
    size_t used, cap;
    _Alignas(16) unsigned char bytes[];
};

#define BLOCK_BYTES ((size_t)4000) /* with its header, less than a page */

static struct arena_block *block_for(struct arena *a, size_t n)
{
    struct arena_block *b = a->blocks;
    if (b && b->cap - b->used >= n) return b;
    size_t cap = n > BLOCK_BYTES ? n : BLOCK_BYTES;
    b = calloc(1, sizeof *b + cap);
    if (!b) return NULL;
    b->cap = cap;
    b->next = a->blocks;
    a->blocks = b;
    return b;
}

void *arena_alloc(struct arena *a, size_t n, size_t size)
{
    size_t bytes;
    bool fits = !__builtin_mul_overflow(n, size, &bytes) && bytes < SIZE_MAX / 2;
    bytes = (bytes + 15) & ~(size_t)15;
    struct arena_block *b = fits && !a->failed ? block_for(a, bytes) : NULL;
    if (!b) {
        a->failed = true;
        return NULL;
    }
    void *at = b->bytes + b->used;
    b->used += bytes;
    return at;
}

struct weir_bytes arena_bytes(struct arena *a, struct weir_bytes bytes)
{
    void *copy = arena_alloc(a, (size_t)bytes.length + 1, 1); /* zeroed */
    if (!copy) return (struct weir_bytes){NULL, 0};
    if (bytes.length) memcpy(copy, bytes.data, bytes.length);
    return (struct weir_bytes){copy, bytes.length};
}

const char *arena_text(struct arena *a, const char *text)
{
    size_t n = strlen(text) + 1;
    char *copy = arena_alloc(a, n, 1);
    return copy ? memcpy(copy, text, n) : NULL;
}

void arena_close(struct arena *a)
{
    while (a->blocks) {
        struct arena_block *next = a->blocks->next;
        free(a->blocks);
        a->blocks = next;
    }
    a->failed = false;
}
