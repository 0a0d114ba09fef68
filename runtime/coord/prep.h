/* SPDX-License-Identifier: Apache-2.0 */
/*
 * At the leader: turns requests into transactions (ZooKeeper's PrepRequestProcessor). A request is judged against the state it will meet
 * when its turn comes: what is committed, overlaid with what is proposed and not yet committed. So many requests can be under way at once,
 * and what peers apply holds no condition any more.
 *
 * A request that fails makes a transaction, too: its failure may rest on changes not yet committed, and its answer is then as durable as
 * theirs. Every limit is checked here, against the state and the transaction that the request would make.
 *
 * The overlay holds only nodes that transactions under way change; an entry goes when the last of these is applied. It belongs to one
 * leadership: after a change of leader a new one begins, with everything committed applied and nothing under way.
 */
#ifndef WEIR_RUNTIME_COORD_PREP_H
#define WEIR_RUNTIME_COORD_PREP_H

#include "runtime/coord/lease.h"
#include "runtime/coord/limits.h"
#include "runtime/coord/txn.h"

struct prep;

/* state, leases and limits are kept. NULL: no memory. */
struct prep *prep_new(struct coord_state *state, struct leases *leases, const struct coord_limits *limits);
void prep_destroy(struct prep **prep);

struct write_request {
    uint64_t session, xid, acked;
    struct weir_bytes identities;
    uint16_t n_ops;
    struct weir_bytes ops; /* request form; checked by the reader that made this */
};

enum prep_outcome {
    PREP_PROPOSE,   /* the transaction was appended */
    PREP_DUPLICATE, /* this xid was proposed before: its transaction has brought the answer, or will */
    PREP_NOTHING,   /* no transaction: the session has ended, or its end is proposed; or there is nothing to clean */
    PREP_NOMEM,     /* nothing has changed */
};

/* Appends the transaction of a request to `txn`. now_ms: wall clock. */
enum prep_outcome prep_write(struct prep *p, const struct write_request *request, int64_t now_ms, struct buffer *txn);

/*
 * A new session for whoever asks (peer, token, password, timeout of `wish`); lease_ms: the clock of the leases. The timeout is clamped. A
 * cluster that is full proposes a DENY.
 */
enum prep_outcome prep_open(struct prep *p, const struct txn *wish, int64_t now_ms, int64_t lease_ms, struct buffer *txn);

/* A session's client is at wish->peer from now on; for one that has ended a DENY. */
enum prep_outcome prep_move(struct prep *p, const struct txn *wish, int64_t now_ms, int64_t lease_ms, struct buffer *txn);

/* The end of a session that has a lease. */
enum prep_outcome prep_close(struct prep *p, struct lease *lease, enum txn_reason reason, int64_t now_ms, struct buffer *txn);

/*
 * Removes containers that have had children and TTL nodes whose time has passed, at most cleanup_nodes of them, where nobody has come
 * between. PREP_NOTHING: there are none.
 */
enum prep_outcome prep_clean(struct prep *p, int64_t now_ms, struct buffer *txn);

/* A transaction of this leadership was applied. */
void prep_applied(struct prep *p, const struct txn *txn);

uint64_t prep_under_way(const struct prep *p); /* transactions proposed and not yet applied */
size_t prep_overlay(const struct prep *p);     /* nodes in the overlay: none when nothing is under way */

#endif
