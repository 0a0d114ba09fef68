/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that grows. Large pieces are mapped in huge pages and grow by moving pages, not bytes, so that growing costs next to nothing
 * however large the state. A benchmark that has no memory has no result: it ends.
 */
#ifndef WEIR_TESTS_BENCH_LOOP_SPACE_H
#define WEIR_TESTS_BENCH_LOOP_SPACE_H

#include <stddef.h>
#include <stdint.h>

/* Makes `data` (NULL and 0 at first) `size` bytes large; those beyond `old` are zero. What it returns replaces `data`. */
void *space_grow(void *data, size_t old, size_t size);
void space_free(void *data, size_t size);

/* Bytes end to end. Positions are offsets: adding may move all. */
struct vec {
    char *data;
    size_t size; /* bytes in use */
    size_t room;
};

void vec_make_room(struct vec *v, size_t bytes);
void vec_close(struct vec *v);

/* Room for `bytes` more at the end, to be filled by the caller. */
static inline void *vec_add(struct vec *v, size_t bytes)
{
    if (__builtin_expect(v->room - v->size < bytes, 0)) vec_make_room(v, bytes);
    void *added = v->data + v->size;
    v->size += bytes;
    return added;
}

static inline void *vec_end(const struct vec *v)
{
    return v->data ? v->data + v->size : NULL;
}

/* Items of one size, each with a number from 1 on that it keeps; 0 stands for none. Items given back are taken again first. */
struct pool {
    struct vec items;
    uint32_t free; /* the item given back last; each begins with the number of the next */
};

static inline void *pool_item(const struct pool *p, uint32_t number, size_t size)
{
    return p->items.data + (size_t)(number - 1) * size;
}

/* The number of an item with undefined contents. */
static inline uint32_t pool_take(struct pool *p, size_t size)
{
    uint32_t number = p->free;
    if (number) {
        p->free = *(uint32_t *)pool_item(p, number, size);
        return number;
    }
    (void)vec_add(&p->items, size);
    return (uint32_t)(p->items.size / size);
}

static inline void pool_give(struct pool *p, uint32_t number, size_t size)
{
    *(uint32_t *)pool_item(p, number, size) = p->free;
    p->free = number;
}

#endif
