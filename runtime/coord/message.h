/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages peers exchange, and their bytes (docs/protocol/zab.md). One flat struct: which fields a type has is a table in message.c;
 * the others are zero. Everything between a follower's FOLLOW and the end of that following carries the follower's session number, so that
 * what belongs to an earlier one is recognised and dropped.
 */
#ifndef WEIR_RUNTIME_COORD_MESSAGE_H
#define WEIR_RUNTIME_COORD_MESSAGE_H

#include "runtime/base/buffer.h"
#include "runtime/base/id.h"
#include "runtime/coord/history.h"

#define ZAB_PROTOCOL 1u
#define ZAB_ENTRY_MAX (4u << 20)   /* bytes of an entry and of a forwarded request; larger ones are refused */
#define ZAB_CHUNK_MAX (256u << 10) /* bytes of a snapshot in one message */
#define ZAB_TOUCH_MAX (64u << 10)  /* bytes of session touches in one pong; more wait for the next one */
#define ZAB_SPANS_SENT 16u         /* newest epochs of a log that a follower tells; with nothing in common there it gets a snapshot */
#define ZAB_MESSAGE_MAX (ZAB_ENTRY_MAX + 4096u) /* bytes of any message; the transport refuses longer ones */

enum zab_type {
    ZAB_HELLO = 1,  /* first on every link, both ways: who speaks, of which cluster */
    ZAB_MEMBERS,    /* committed members: when they come into force, and to a peer whose hello was older */
    ZAB_VOTE,       /* election: whom the sender votes for, follows, or that it leads */
    ZAB_FOLLOW,     /* follower → leader: discovery begins (FOLLOWERINFO) */
    ZAB_EPOCH,      /* leader → follower: the epoch to be promised (LEADERINFO) */
    ZAB_PROMISE,    /* follower → leader: promised and on disk; what its log looks like (ACKEPOCH) */
    ZAB_SYNC,       /* leader → follower: keep your log up to here (DIFF, TRUNC) */
    ZAB_SNAPSHOT,   /* leader → follower: a piece of a snapshot (SNAP) */
    ZAB_CHUNK_ACK,  /* follower → leader: that piece is on disk */
    ZAB_ENTRY,      /* leader → follower: the next entry of the log, old or new (PROPOSAL) */
    ZAB_NEW_LEADER, /* leader → follower: you have all that this epoch begins with */
    ZAB_JOINED,     /* follower → leader: it is on disk, and so is the epoch (ACK of NEWLEADER) */
    ZAB_UP_TO_DATE, /* leader → follower: serve */
    ZAB_ACK,        /* follower → leader: on disk up to here */
    ZAB_COMMIT,     /* leader → follower: committed up to here */
    ZAB_PING,       /* leader → follower */
    ZAB_PONG,       /* follower → leader; carries session touches */
    ZAB_FORWARD,    /* follower → leader: a client's request */
    ZAB_BARRIER,    /* follower → leader: asks up to where a linearizable read must wait */
    ZAB_BARRIER_OK, /* leader → follower: up to here, as a quorum confirmed */
    ZAB_TYPES
};

enum zab_vote_state { ZAB_VOTE_LOOKING, ZAB_VOTE_FOLLOWING, ZAB_VOTE_LEADING, ZAB_VOTE_STATES };

struct zab_message {
    enum zab_type type;
    uint32_t protocol;
    struct weir_id cluster;
    uint32_t peer;             /* HELLO: the sender; VOTE: the candidate or leader, 0 = nobody */
    enum zab_vote_state state; /* VOTE */
    enum zab_entry_kind kind;  /* ENTRY */
    bool flag;                 /* PROMISE: the promise counts; SYNC: truncate; SNAPSHOT: last piece */
    uint64_t session;          /* the follower's number of this following */
    uint64_t round;            /* VOTE: election round */
    uint64_t epoch;            /* EPOCH, NEW_LEADER, JOINED: the new one; VOTE, PROMISE: current epoch of the candidate, of the sender */
    uint64_t accepted;         /* FOLLOW: last epoch promised */
    uint64_t nonce;            /* PING, PONG; BARRIER: token; ACK: bytes of entries of this session on disk */
    uint64_t offset;           /* SNAPSHOT, CHUNK_ACK */
    struct zxid zxid;          /* of the entry, snapshot, last log entry, common point, members (HELLO), read (BARRIER_OK) */
    struct zxid prev;          /* ENTRY */
    struct zxid commit;        /* committed as far as the receiver has been sent the log */
    uint32_t n_spans;          /* PROMISE */
    struct zab_span spans[ZAB_SPANS_SENT];
    struct weir_bytes members; /* SNAPSHOT: at offset 0, the members stored beside it */
    struct weir_bytes bytes;   /* borrowed */
};

void message_encode(const struct zab_message *m, struct buffer *out); /* appended; sticky error in `out` */

/* Reads one whole message. `out` borrows from the input. WEIR_E_CORRUPT: not a message; `diag` says which field. `out` is then undefined.
 */
weir_err message_decode(const void *data, size_t len, struct zab_message *out, struct weir_diag *diag);

const char *message_name(enum zab_type type); /* "NEW_LEADER"; "?" for a number that is none */

#endif
