/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/task/frame_pool.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "runtime/base/assert.h"

#define CHUNK_BYTES (2u << 20)
#define SLOT_ROOM_MIN 256u /* of records: what most single ones need, so that small segments do not allocate a frame a record */
#define SHELLS_PER_CHUNK 256u

/* A frame and its bytes in one piece of memory. */
struct frame_slot {
    _Alignas(64) struct frame frame;
    _Alignas(64) struct frame_header head;
    unsigned char records[];
};

static size_t slot_bytes(uint32_t room)
{
    return (sizeof(struct frame_slot) + room + 63u) & ~(size_t)63u;
}

static _Thread_local struct frame_pool *own_pool;

void frame_pool_init(struct frame_pool *pool)
{
    memset(pool, 0, sizeof *pool);
    frame_pool_set_segment(pool, WEIR_FRAME_BYTES);
}

void frame_pool_set_segment(struct frame_pool *pool, uint32_t segment)
{
    WEIR_ASSERT(segment > 0 && segment <= WEIR_FRAME_BYTES);
    WEIR_ASSERT(pool->n_chunks == 0);
    pool->room = segment > sizeof(struct frame_header) ? segment - (uint32_t)sizeof(struct frame_header) : 1;
    pool->slot_room = pool->room > SLOT_ROOM_MIN ? pool->room : SLOT_ROOM_MIN;
}

void frame_pool_adopt(struct frame_pool *pool)
{
    own_pool = pool;
}

static bool keep_chunk(struct frame_pool *pool, void *chunk)
{
    void **grown = realloc(pool->chunks, (pool->n_chunks + 1) * sizeof *grown);
    if (!grown) return false;
    pool->chunks = grown;
    pool->chunks[pool->n_chunks++] = chunk;
    return true;
}

static bool add_frames(struct frame_pool *pool)
{
    unsigned char *chunk = aligned_alloc(CHUNK_BYTES, CHUNK_BYTES);
    if (!chunk) return false;
    if (!keep_chunk(pool, chunk)) {
        free(chunk);
        return false;
    }
    (void)madvise(chunk, CHUNK_BYTES, MADV_HUGEPAGE); /* a hint: without it the pool is only slower */
    size_t step = slot_bytes(pool->slot_room);
    for (size_t at = 0; at + step <= CHUNK_BYTES; at += step) {
        struct frame_slot *slot = (struct frame_slot *)(void *)(chunk + at);
        slot->frame = (struct frame){.head = &slot->head, .next = pool->free, .home = pool, .capacity = pool->room};
        pool->free = &slot->frame;
    }
    return true;
}

static bool add_shells(struct frame_pool *pool)
{
    struct frame *chunk = calloc(SHELLS_PER_CHUNK, sizeof *chunk);
    if (!chunk) return false;
    if (!keep_chunk(pool, chunk)) {
        free(chunk);
        return false;
    }
    for (uint32_t i = 0; i < SHELLS_PER_CHUNK; i++) {
        chunk[i].home = pool;
        chunk[i].next = pool->shells;
        pool->shells = &chunk[i];
    }
    return true;
}

static void put_home(struct frame_pool *pool, struct frame *frame)
{
    struct frame **list = frame->capacity ? &pool->free : &pool->shells;
    frame->next = *list;
    *list = frame;
}

static void collect_returned(struct frame_pool *pool)
{
    struct frame *frame = atomic_exchange_explicit(&pool->returned, NULL, memory_order_acquire);
    while (frame) {
        struct frame *next = frame->next;
        put_home(pool, frame);
        frame = next;
    }
}

void frame_pool_close(struct frame_pool *pool)
{
    WEIR_ASSERT(atomic_load(&pool->n_out) == 0);
    for (uint32_t i = 0; i < pool->n_chunks; i++) free(pool->chunks[i]);
    free(pool->chunks);
    memset(pool, 0, sizeof *pool);
}

static struct frame *take_large(uint32_t bytes)
{
    struct frame_slot *slot = aligned_alloc(64, slot_bytes(bytes));
    if (!slot) return NULL;
    slot->frame = (struct frame){.head = &slot->head, .capacity = bytes};
    return &slot->frame;
}

struct frame *frame_take(struct frame_pool *pool, uint32_t bytes)
{
    struct frame *frame;
    if (bytes > pool->slot_room) {
        frame = take_large(bytes);
        if (!frame) return NULL;
    } else {
        /* Not before: a frame that has just come back still lies in the cache of the core that read it. */
        if (!pool->free) collect_returned(pool);
        if (!pool->free && !add_frames(pool)) return NULL;
        frame = pool->free;
        pool->free = frame->next;
        frame->capacity = bytes > pool->room ? bytes : pool->room;
        atomic_fetch_add_explicit(&pool->n_out, 1, memory_order_relaxed);
    }
    frame->next = NULL;
    frame->remote = false;
    *frame->head = (struct frame_header){0};
    return frame;
}

struct frame *frame_wrap(struct frame_pool *pool, void *data, void (*foreign_free)(void *), void *foreign)
{
    if (!pool->shells) collect_returned(pool);
    if (!pool->shells && !add_shells(pool)) return NULL;
    struct frame *frame = pool->shells;
    pool->shells = frame->next;
    atomic_fetch_add_explicit(&pool->n_out, 1, memory_order_relaxed);
    *frame = (struct frame){.head = data, .home = pool, .remote = true, .foreign_free = foreign_free, .foreign = foreign};
    return frame;
}

void frame_release(struct frame *frame)
{
    if (frame->foreign_free) {
        frame->foreign_free(frame->foreign);
        frame->foreign_free = NULL;
    }
    struct frame_pool *home = frame->home;
    if (!home) {
        free(frame);
        return;
    }
    if (home == own_pool) {
        put_home(home, frame);
    } else {
        struct frame *top = atomic_load_explicit(&home->returned, memory_order_relaxed);
        do {
            frame->next = top;
        } while (!atomic_compare_exchange_weak_explicit(&home->returned, &top, frame, memory_order_release, memory_order_relaxed));
    }
    atomic_fetch_sub_explicit(&home->n_out, 1, memory_order_release);
}
