/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames in memory. Each thread that makes frames owns a pool; any thread may release a frame, which then goes home: to the owner's own
 * list, or, from another thread, onto a lock-free stack that the owner empties as a whole (push by compare-and-swap, pop all by exchange:
 * no ABA). Frames come in chunks of 2 MiB of which huge pages are asked; a frame for one larger record is allocated by itself and freed on
 * release.
 *
 * How many records go into a frame is the pool's segment size: WEIR_FRAME_BYTES, or less. With one byte each record travels alone.
 */
#ifndef WEIR_RUNTIME_TASK_FRAME_POOL_H
#define WEIR_RUNTIME_TASK_FRAME_POOL_H

#include <stdatomic.h>

#include "runtime/base/limits.h"
#include "runtime/wire/frame.h"

struct frame_pool;

struct frame {
    struct frame_header *head;    /* 64 bytes, records behind it */
    struct frame *next;           /* in a free list or a queue; the holder's */
    struct frame_pool *home;      /* NULL: not pooled, freed on release */
    uint32_t capacity;            /* bytes for records, at least 1; 0 = a shell */
    bool remote;                  /* came from another process: its rows are checked against their schema before use */
    void (*foreign_free)(void *); /* the records lie in a message of the transport, given back by this */
    void *foreign;
};

static inline unsigned char *frame_records(const struct frame *frame)
{
    return (unsigned char *)(frame->head + 1);
}

struct frame_pool {
    struct frame *free;   /* owner only */
    struct frame *shells; /* owner only: frames without memory of their own, for foreign records */
    _Atomic(struct frame *) returned;
    void **chunks;
    uint32_t n_chunks;
    uint32_t room;          /* bytes for records in a frame that is not asked for more */
    uint32_t slot_room;     /* bytes for records there are in each pooled frame, at least `room` */
    _Atomic uint64_t n_out; /* frames handed out and not yet home */
};

void frame_pool_init(struct frame_pool *pool);
/*
 * segment: bytes of a frame with its header, 1 ... WEIR_FRAME_BYTES, which is what a pool begins with; so small a one that nothing is left
 * for records holds one record. Before the first frame is taken.
 */
void frame_pool_set_segment(struct frame_pool *pool, uint32_t segment);
/* All frames must be home. */
void frame_pool_close(struct frame_pool *pool);
/* The pool that releases by the calling thread put frames into without a round trip. NULL = none. */
void frame_pool_adopt(struct frame_pool *pool);

/* A frame with room for `bytes` of records, or for more where the segment size allows it; header zeroed. NULL = no memory. Thread: the
 * pool's. */
struct frame *frame_take(struct frame_pool *pool, uint32_t bytes);
/* A frame around a message of the transport: `data` is its header and records, 8-byte aligned. NULL = no memory (then nothing is taken). */
struct frame *frame_wrap(struct frame_pool *pool, void *data, void (*foreign_free)(void *), void *foreign);
void frame_release(struct frame *frame);

#endif
