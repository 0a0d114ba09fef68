/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transactions: what the leader made of requests (prep.h), and what every peer applies in the order of the log. A transaction holds
 * results, not requests: no condition is left to check, no clock to read, no number to draw. docs/protocol/coord.md has the bytes.
 *
 * Each is applied once: snapshots are exact (image.h), so a log is replayed from the very transaction behind its snapshot; one at or below
 * `state->last` is skipped. A transaction that does not fit the state means that this peer has not the history of the others:
 * WEIR_E_CORRUPT, and the peer must stop rather than go on with something else.
 */
#ifndef WEIR_RUNTIME_COORD_TXN_H
#define WEIR_RUNTIME_COORD_TXN_H

#include "runtime/coord/error.h"
#include "runtime/coord/op.h"
#include "runtime/coord/state.h"

enum txn_type {
    TXN_OPEN = 1,  /* a session begins */
    TXN_CLOSE = 2, /* a session ends, and its ephemerals with it: all it has when this is applied, so none can be forgotten */
    TXN_WRITE = 3, /* operations, or the error that a request got; of a session, or of the leader's cleaning (session 0) */
    TXN_MOVE = 4,  /* a session's client is at another peer now; requests that still come by way of the former one are dropped */
    TXN_DENY = 5,  /* a wish to open or move a session cannot be granted: `err` says why; nothing changes */
};

enum txn_reason { TXN_CLOSED = 1, TXN_EXPIRED = 2 };

struct txn {
    enum txn_type type;
    uint64_t order; /* which proposal of its leader this is, from 1: how the leader knows what it no longer has to expect */
    int64_t ms;     /* the leader's clock, never below that of the transaction before */
    uint64_t session;
    /* OPEN */
    uint32_t timeout_ms;
    struct weir_digest password;
    uint64_t peer, token; /* who asked, for the answer */
    /* CLOSE */
    uint8_t reason; /* enum txn_reason */
    /* WRITE */
    uint64_t xid, acked;   /* of the request; all replies up to `acked` have arrived */
    uint16_t err;          /* enum coord_err: the request failed and nothing changes */
    uint32_t failed;       /* the operation of the request that failed, from 0 */
    uint16_t n_ops;        /* 0 when it failed */
    struct weir_bytes ops; /* that many (op.h) */
};

void put_txn(struct buffer *b, const struct txn *txn);
/* What a transaction says, without its operations checked. false: the bytes are none. Borrows them. */
bool read_txn(struct weir_bytes bytes, struct txn *txn);

enum event_type { EVENT_CREATED = 1, EVENT_DELETED = 2, EVENT_CHANGED = 3, EVENT_CHILDREN = 4, EVENT_RESYNC = 5 };

/* What applying a transaction brought. Clear the buffers between two. */
struct applied {
    bool skipped;         /* it was at or below the last one; nothing else is set */
    struct txn txn;       /* points into the transaction's bytes */
    struct buffer body;   /* WRITE: the body of the reply */
    struct buffer events; /* {u8 event_type, u32 length, path} one behind the other, in order. CHILDREN is of the parent */
};

void applied_close(struct applied *a);

/* Errors: WEIR_E_CORRUPT, WEIR_E_NOMEM: the state is of no use any more. */
weir_err txn_apply(struct coord_state *s, struct zxid zxid, struct weir_bytes bytes, struct applied *out, struct weir_diag *diag);

/* How the body of a reply to a write begins: its error (COORD_OK: none), which operation it was, how many results follow. */
void put_body_head(struct buffer *b, unsigned err, uint32_t failed, uint16_t n_ops);

#endif
