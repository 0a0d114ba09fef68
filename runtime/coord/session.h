/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions as every peer knows them: part of the replicated state. A session has a number that is never given again, the SHA-256 of its
 * password and its client's key (so that neither log nor snapshot can be used to take it over, nor the password by another key), a timeout,
 * and the outcomes of its last writes: a client that lost its connection during a write asks again with the same xid, of whichever peer,
 * and learns what became of it. An outcome is dropped when the client says that it has it, or when COORD_OUTCOMES_MAX or
 * COORD_OUTCOME_BYTES are exceeded.
 *
 * Who is alive is the leader's business alone (lease.h).
 */
#ifndef WEIR_RUNTIME_COORD_SESSION_H
#define WEIR_RUNTIME_COORD_SESSION_H

#include <sys/queue.h>

#include "runtime/base/id.h"
#include "runtime/coord/bytes.h"
#include "runtime/coord/map.h"

#define SESSION_PASSWORD_BYTES 16u

struct outcome {
    STAILQ_ENTRY(outcome) next;
    uint64_t xid;
    struct zxid zxid;
    uint32_t length;
    uint8_t bytes[]; /* the body of the reply, docs/protocol/coord.md */
};

struct session {
    struct map_item item; /* first */
    TAILQ_ENTRY(session) next;
    uint64_t id;
    struct weir_digest password; /* session_digest of it */
    uint64_t peer;               /* where its client is, or was last */
    uint32_t timeout_ms;
    uint32_t n_outcomes;
    size_t outcome_bytes;
    uint64_t last_xid;                           /* the highest whose outcome was ever recorded */
    STAILQ_HEAD(outcome_list, outcome) outcomes; /* xids rising */
};

TAILQ_HEAD(session_list, session);

struct sessions {
    struct map by_id;
    struct session_list list; /* ids rising */
    uint64_t last_id;         /* the highest ever given */
    uint64_t outcome_bytes;   /* of all sessions */
};

void sessions_init(struct sessions *s);
void sessions_close(struct sessions *s);

struct session *session_find(const struct sessions *s, uint64_t id); /* NULL: none */

/* Opens one, whose id is above all before. NULL: no memory. */
struct session *session_begin(struct sessions *s, uint64_t id, struct weir_digest password, uint32_t timeout_ms);
void session_forget(struct sessions *s, struct session *session);

/*
 * Keeps the outcome of a write, whose xid is above all before, and drops those up to `acked`. Where all sessions together have as much as
 * they may, it is not kept. false: no memory.
 */
bool session_record(struct sessions *s, struct session *session, uint64_t xid, uint64_t acked, struct zxid zxid, struct weir_bytes body);
const struct outcome *session_outcome(const struct session *session, uint64_t xid); /* NULL: not kept */

/* key: the client's CURVE key, Z85; empty: it has none. Only who has both can go on with the session. */
struct weir_digest session_digest(const uint8_t password[static SESSION_PASSWORD_BYTES], struct weir_bytes key);
bool session_admits(const struct session *session, const uint8_t password[static SESSION_PASSWORD_BYTES], struct weir_bytes key);

/* One session as bytes, and back into a table that does not have it; the reader breaks when they are none, or without memory. */
void put_session(struct buffer *b, const struct session *session);
void read_session(struct reader *r, struct sessions *s);

#endif
