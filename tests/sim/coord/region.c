/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/coord/region.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "runtime/base/assert.h"

#define REGION_BYTES (16u << 20)
#define SAVED_MAX 16
#define CLASSES 24u /* powers of two from 16 bytes on */

/* Freed blocks are kept by size, their links inside; all of it lies in the region. */
struct region {
    size_t used;
    void *free[CLASSES];
    _Alignas(16) unsigned char bytes[REGION_BYTES];
};

struct block {
    size_t class;
    size_t size;
};

static struct region region;
static struct {
    unsigned char *copy;
    size_t used;
} saved[SAVED_MAX];
static int n_saved;

void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t n);
void __wrap_free(void *p);

void region_begin(void)
{
    memset(&region, 0, offsetof(struct region, bytes));
}

void region_push(void)
{
    WEIR_ASSERT(n_saved < SAVED_MAX);
    if (!saved[n_saved].copy) {
        saved[n_saved].copy = mmap(NULL, sizeof region, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        WEIR_ASSERT(saved[n_saved].copy != MAP_FAILED);
    }
    saved[n_saved].used = offsetof(struct region, bytes) + region.used;
    memcpy(saved[n_saved].copy, &region, saved[n_saved].used);
    n_saved++;
}

void region_restore(void)
{
    memcpy(&region, saved[n_saved - 1].copy, saved[n_saved - 1].used);
}

void region_pop(void)
{
    n_saved--;
}

/* ---- malloc ---- */

static size_t class_of(size_t n)
{
    size_t class = 0;
    while ((16u << class) < n) class ++;
    WEIR_ASSERT(class < CLASSES);
    return class;
}

void *__wrap_malloc(size_t n)
{
    size_t class = class_of(n);
    void *at = region.free[class];
    if (at) {
        memcpy(&region.free[class], at, sizeof(void *));
        ((struct block *)at - 1)->size = n;
        return at;
    }
    size_t size = sizeof(struct block) + (16u << class);
    WEIR_ASSERT(region.used + size <= REGION_BYTES);
    struct block *block = (struct block *)(void *)&region.bytes[region.used];
    region.used += size;
    *block = (struct block){class, n};
    return block + 1;
}

void *__wrap_calloc(size_t n, size_t size)
{
    void *at = __wrap_malloc(n * size);
    return memset(at, 0, n * size);
}

void __wrap_free(void *p)
{
    if (!p) return;
    struct block *block = (struct block *)p - 1;
    memcpy(p, &region.free[block->class], sizeof(void *));
    region.free[block->class] = p;
}

void *__wrap_realloc(void *old, size_t n)
{
    void *at = __wrap_malloc(n);
    if (!old) return at;
    size_t had = ((struct block *)old - 1)->size;
    memcpy(at, old, had < n ? had : n);
    __wrap_free(old);
    return at;
}
