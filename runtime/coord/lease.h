/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What only the leader knows of sessions: when each expires, at which peer its client is, how far its requests have been proposed. Made
 * anew with each leadership, and then every session has its whole timeout again: a change of leader extends sessions, it never shortens
 * them.
 *
 * Sessions lie in buckets of LEASE_GRAIN_MS by the end of their timeout, rounded up: touching one moves it, expiring looks at what is due
 * alone. When time jumps (the leader was stopped, or starved), every session gets the jump as an extension: it could not be heard
 * meanwhile.
 */
#ifndef WEIR_RUNTIME_COORD_LEASE_H
#define WEIR_RUNTIME_COORD_LEASE_H

#include <sys/queue.h>

#include "runtime/coord/state.h"

#define LEASE_GRAIN_MS 50
#define LEASE_BUCKETS 2048 /* a bucket holds all sessions whose number of grains is the same modulo this */
#define LEASE_STALL_MS 500 /* ticks further apart are a jump */

struct lease {
    struct map_item item; /* first */
    LIST_ENTRY(lease) next;
    uint64_t session;
    uint32_t timeout_ms;
    int64_t due;           /* grain in which it expires */
    uint64_t peer;         /* where its client is, when all proposals are applied */
    uint64_t xid;          /* the highest proposed */
    uint64_t n_ephemerals; /* with those under way */
    bool closing;          /* its end is proposed: nothing of it is taken any more */
};

LIST_HEAD(lease_list, lease);

struct leases {
    struct map by_session;
    struct lease_list buckets[LEASE_BUCKETS];
    int64_t grain;   /* up to here all was looked at */
    int64_t tick_ms; /* the last tick */
    int64_t jump_ms; /* all jumps: time here is the clock's less this */
};

/* Begins a leadership with a whole timeout for every session. Errors: WEIR_E_NOMEM. */
weir_err leases_init(struct leases *l, const struct coord_state *state, int64_t now_ms);
void leases_close(struct leases *l);

struct lease *lease_find(const struct leases *l, uint64_t session);
/* A session that is about to begin, of a client at `peer`. NULL: no memory. */
struct lease *lease_add(struct leases *l, uint64_t session, uint32_t timeout_ms, uint64_t peer, int64_t now_ms);
void lease_touch(struct leases *l, struct lease *lease, int64_t now_ms);
void lease_remove(struct leases *l, struct lease *lease);

/* Time passes. Then: the next session that is due, which the caller closes or removes; NULL: none. Call until NULL. */
void leases_tick(struct leases *l, int64_t now_ms);
struct lease *lease_due(struct leases *l);

#endif
