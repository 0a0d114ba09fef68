/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last events of a peer, with their zxids: what a client missed while it was away. A ring; what falls out raises the floor, and who
 * was away since before the floor is told to look again (EVENT_RESYNC).
 */
#ifndef WEIR_RUNTIME_COORD_RECALL_H
#define WEIR_RUNTIME_COORD_RECALL_H

#include "runtime/coord/txn.h"

struct recalled {
    struct zxid zxid;
    enum event_type type;
    uint32_t path_len;
    char *path; /* malloc'ed */
};

struct recall {
    struct recalled *ring;
    uint32_t cap, first, n;
    struct zxid floor; /* of events behind it none is missing */
};

/* Remembers up to `cap` events, from behind `floor` on. false: no memory. */
bool recall_init(struct recall *r, uint32_t cap, struct zxid floor);
void recall_close(struct recall *r);

void recall_add(struct recall *r, struct zxid zxid, enum event_type type, struct weir_bytes path); /* without memory the floor rises */
const struct recalled *recall_at(const struct recall *r, uint32_t i);                              /* 0: the oldest, to n - 1 */
uint32_t recall_behind(const struct recall *r, struct zxid zxid); /* index of the first event behind `zxid`; n: none */

#endif
