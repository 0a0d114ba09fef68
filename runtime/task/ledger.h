/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger of one end of a channel: what went over it since the attempt began. Both ends are compared at every checkpoint, each as it
 * stood when its barrier passed (or, of a channel that has ended, at its end): a frame that was lost, doubled, or has changed its place
 * on the way shows, whatever the checks of sequence numbers have seen. It is not reset at a barrier, so a checkpoint that was given up
 * leaves no gap in the proof.
 *
 * The hash chains what a frame's header says and where its first row begins: enough to tell one frame from another, and a few nanoseconds a
 * frame. It looks at nothing else in the frame, since that would be fetched from the sender's core out of turn. Damaged bytes are the frame
 * checksum's to find. Barriers are not counted: they may be sent that nobody takes.
 */
#ifndef WEIR_RUNTIME_TASK_LEDGER_H
#define WEIR_RUNTIME_TASK_LEDGER_H

#include <string.h>

#include "runtime/wire/frame.h"

struct ledger {
    uint64_t frames;
    uint64_t records;
    uint64_t bytes; /* of records */
    uint64_t hash;
};

static inline void ledger_mix(struct ledger *l, uint64_t word)
{
    l->hash = (l->hash ^ word) * 0x9e3779b97f4a7c15u;
    l->hash ^= l->hash >> 29;
}

static inline void ledger_add(struct ledger *l, const struct frame_header *head)
{
    if (head->kind == FRAME_BARRIER) return;
    l->frames++;
    l->records += head->count;
    l->bytes += head->bytes;
    ledger_mix(l, (uint64_t)head->kind << 56 ^ (uint64_t)head->count << 32 ^ head->bytes);
    ledger_mix(l, (uint64_t)head->time_ms);
    if (head->bytes < sizeof(struct weir_record) + 8) return;
    uint64_t row;
    memcpy(&row, (const unsigned char *)(head + 1) + sizeof(struct weir_record), sizeof row);
    ledger_mix(l, row);
}

static inline bool ledger_equal(const struct ledger *a, const struct ledger *b)
{
    return a->frames == b->frames && a->records == b->records && a->bytes == b->bytes && a->hash == b->hash;
}

#endif
