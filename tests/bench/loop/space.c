/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/loop/space.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HUGE_PAGE ((size_t)2 << 20) /* from this size on pieces are mapped */
#define VEC_ROOM_MIN 1024

_Noreturn static void no_memory(void)
{
    (void)fprintf(stderr, "nexmark loop: out of memory\n");
    exit(1);
}

static size_t whole_pages(size_t size)
{
    return (size + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);
}

/* Addresses that begin at a huge page: a reservation of one page more, cut at both ends. */
static char *map_aligned(size_t size)
{
    char *got = mmap(NULL, size + HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (got == MAP_FAILED) no_memory();
    size_t before = (HUGE_PAGE - ((uintptr_t)got & (HUGE_PAGE - 1))) & (HUGE_PAGE - 1);
    if (before) (void)munmap(got, before);
    if (before < HUGE_PAGE) (void)munmap(got + before + size, HUGE_PAGE - before);
    (void)madvise(got + before, size, MADV_HUGEPAGE);
    return got + before;
}

static void *grow_small(void *data, size_t old, size_t size)
{
    char *grown = realloc(data, size);
    if (!grown) no_memory();
    memset(grown + old, 0, size - old);
    return grown;
}

void *loop_space_grow(void *data, size_t old, size_t size)
{
    if (size < HUGE_PAGE) return grow_small(data, old, size);
    char *grown = map_aligned(whole_pages(size));
    if (old >= HUGE_PAGE) {
        if (mremap(data, whole_pages(old), whole_pages(old), MREMAP_MAYMOVE | MREMAP_FIXED, grown) == MAP_FAILED) no_memory();
    } else if (data) {
        memcpy(grown, data, old);
        free(data);
    }
    return grown;
}

void loop_space_free(void *data, size_t size)
{
    if (size < HUGE_PAGE) {
        free(data);
    } else {
        (void)munmap(data, whole_pages(size));
    }
}

void loop_vec_make_room(struct loop_vec *v, size_t bytes)
{
    size_t room = v->room ? v->room : VEC_ROOM_MIN;
    while (room - v->size < bytes) room *= 2;
    v->data = loop_space_grow(v->data, v->room, room);
    v->room = room;
}

void loop_vec_close(struct loop_vec *v)
{
    loop_space_free(v->data, v->room);
    *v = (struct loop_vec){0};
}
