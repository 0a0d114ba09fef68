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
void *loop_space_grow(void *data, size_t old, size_t size);
void loop_space_free(void *data, size_t size);

/* Bytes end to end. Positions are offsets: adding may move all. */
struct loop_vec {
    char *data;
    size_t size; /* bytes in use */
    size_t room;
};

void loop_vec_make_room(struct loop_vec *v, size_t bytes);
void loop_vec_close(struct loop_vec *v);

/* Room for `bytes` more at the end, to be filled by the caller. */
static inline void *loop_vec_add(struct loop_vec *v, size_t bytes)
{
    if (__builtin_expect(v->room - v->size < bytes, 0)) loop_vec_make_room(v, bytes);
    void *added = v->data + v->size;
    v->size += bytes;
    return added;
}

static inline void *loop_vec_end(const struct loop_vec *v)
{
    return v->data ? v->data + v->size : NULL;
}

/* Items of one size, each with a number from 1 on that it keeps; 0 stands for none. Items given back are taken again first. */
struct loop_pool {
    struct loop_vec items;
    uint32_t free; /* the item given back last; each begins with the number of the next */
};

static inline void *loop_pool_item(const struct loop_pool *p, uint32_t number, size_t size)
{
    return p->items.data + (size_t)(number - 1) * size;
}

/* The number of an item with undefined contents. */
static inline uint32_t loop_pool_take(struct loop_pool *p, size_t size)
{
    uint32_t number = p->free;
    if (number) {
        p->free = *(uint32_t *)loop_pool_item(p, number, size);
        return number;
    }
    (void)loop_vec_add(&p->items, size);
    return (uint32_t)(p->items.size / size);
}

static inline void loop_pool_give(struct loop_pool *p, uint32_t number, size_t size)
{
    *(uint32_t *)loop_pool_item(p, number, size) = p->free;
    p->free = number;
}

#endif
