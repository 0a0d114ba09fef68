/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ring of pointers between two threads: one puts, one takes, neither waits. libck's ring (the only includer of ck_ring.h). libck orders
 * memory by assembly, which ThreadSanitizer does not see: its builds are told that a put comes before the take of the same item, and to
 * look away from the places of the ring itself, whose turns are libck's matter.
 */
#ifndef WEIR_RUNTIME_TASK_RING_H
#define WEIR_RUNTIME_TASK_RING_H

#include <ck_ring.h>
#include <stdlib.h>

#include "weir/base.h"

#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
void AnnotateIgnoreReadsBegin(const char *file, int line);
void AnnotateIgnoreReadsEnd(const char *file, int line);
void AnnotateIgnoreWritesBegin(const char *file, int line);
void AnnotateIgnoreWritesEnd(const char *file, int line);
#define RING_RELEASE(p) __tsan_release(p)
#define RING_ACQUIRE(p) __tsan_acquire(p)
#define RING_UNSEEN_BEGIN() (AnnotateIgnoreReadsBegin(__FILE__, __LINE__), AnnotateIgnoreWritesBegin(__FILE__, __LINE__))
#define RING_UNSEEN_END() (AnnotateIgnoreWritesEnd(__FILE__, __LINE__), AnnotateIgnoreReadsEnd(__FILE__, __LINE__))
#else
#define RING_RELEASE(p) ((void)(p))
#define RING_ACQUIRE(p) ((void)(p))
#define RING_UNSEEN_BEGIN() ((void)0)
#define RING_UNSEEN_END() ((void)0)
#endif

struct ring {
    _Alignas(64) ck_ring_t ck;
    ck_ring_buffer_t *slots;
    char put_order; /* its address stands for the order of puts and takes */
};

/* size: items it holds, a power of two. Errors: WEIR_E_NOMEM. */
static inline weir_err ring_init(struct ring *r, uint32_t size)
{
    r->slots = calloc(2 * (size_t)size, sizeof *r->slots); /* libck's holds one less than its size, and wants a power of two */
    if (!r->slots) return WEIR_E_NOMEM;
    ck_ring_init(&r->ck, 2 * size);
    return WEIR_OK;
}

static inline void ring_close(struct ring *r)
{
    free(r->slots);
    r->slots = NULL;
}

/* false: full. */
static inline bool ring_put(struct ring *r, void *item)
{
    RING_RELEASE(&r->put_order);
    RING_UNSEEN_BEGIN();
    bool ok = ck_ring_enqueue_spsc(&r->ck, r->slots, item);
    RING_UNSEEN_END();
    return ok;
}

/* NULL: empty. */
static inline void *ring_take(struct ring *r)
{
    void *item = NULL;
    RING_UNSEEN_BEGIN();
    bool ok = r->slots && ck_ring_dequeue_spsc(&r->ck, r->slots, &item);
    RING_UNSEEN_END();
    if (!ok) return NULL;
    RING_ACQUIRE(&r->put_order);
    return item;
}

/* What ring_take gives next, for the one that takes; NULL: empty. */
static inline void *ring_peek(struct ring *r)
{
    RING_UNSEEN_BEGIN();
    uint32_t at = r->ck.c_head;
    bool empty = at == __atomic_load_n(&r->ck.p_tail, __ATOMIC_ACQUIRE);
    void *item = empty ? NULL : r->slots[at & r->ck.mask].value;
    RING_UNSEEN_END();
    if (item) RING_ACQUIRE(&r->put_order);
    return item;
}

/* Exact for the one that takes as far as it sees; any other thread's reading is old at once. */
static inline uint32_t ring_count(const struct ring *r)
{
    return ck_ring_size(&r->ck);
}

#endif
