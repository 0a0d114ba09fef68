/* SPDX-License-Identifier: Apache-2.0 */
/* The state of a peer, shared by the files of the phases. Each function is explained where it is declared and lives in the file named. */
#ifndef WEIR_RUNTIME_COORD_INTERNAL_H
#define WEIR_RUNTIME_COORD_INTERNAL_H

#include "runtime/base/assert.h"
#include "runtime/coord/zab.h"

/* ---- what is known of another peer ---- */

struct vote {
    enum zab_vote_state state;
    uint64_t round;
    uint32_t leader; /* candidate, or who is followed; 0 = an observer's, for nobody */
    uint64_t epoch;  /* the candidate's current epoch */
    struct zxid zxid;
};

/* How far a follower has come, as its leader sees it. Kept while LOOKING, too: a follower may settle a moment before its leader. */
enum learner_stage {
    LEARNER_NONE,
    LEARNER_WAITS,     /* FOLLOW came */
    LEARNER_ASKED,     /* EPOCH sent */
    LEARNER_PROMISED,  /* PROMISE came */
    LEARNER_SNAPSHOT,  /* a snapshot is on its way */
    LEARNER_STREAMING, /* entries are, up to `target` */
    LEARNER_TOLD,      /* NEW_LEADER sent; entries go on behind it */
    LEARNER_JOINED,    /* JOINED came: it counts */
};

struct learner {
    enum learner_stage stage;
    uint64_t session;
    uint64_t accepted; /* from FOLLOW */
    bool counts;       /* its promise does */
    uint32_t n_spans;  /* from PROMISE: its log */
    struct zab_span spans[ZAB_SPANS_SENT];
    struct zxid last;
    struct zxid target; /* NEW_LEADER is due when it was sent the log up to here */
    struct zxid sent, acked;
    uint64_t sent_bytes, acked_bytes;
    uint64_t offset; /* behind the snapshot piece on its way */
    bool whole;      /* that piece was the last; `target` is the snapshot's zxid */
    uint64_t read;   /* number of the READ_LOG under way, or of the snapshot's transfer; 0 = none */
    uint64_t pong;   /* newest ping answered */
    int64_t heard_ms;
};

struct peer {
    uint32_t id;  /* 0: free */
    bool greeted; /* its HELLO was accepted */
    bool voted;
    struct vote vote; /* newest on this link */
    struct learner learner;
};

/* ---- the disk ---- */

enum disk_what { DISK_APPEND, DISK_TRUNCATE, DISK_PROMISE, DISK_ADOPT, DISK_CHUNK };

struct disk_write {
    uint64_t ticket;
    enum disk_what what;
    uint64_t generation; /* of the role that ordered it: what another role waits for is not this (ZOOKEEPER-4712) */
    struct zxid zxid;    /* what the log ends with */
    uint64_t size;       /* APPEND: bytes; CHUNK: offset behind the piece */
    bool last;           /* CHUNK */
};

/* ---- reads ---- */

struct barrier {
    uint32_t from;    /* a follower, or this peer */
    uint64_t session; /* the follower's */
    uint64_t token;
    uint64_t nonce;   /* confirmed when a quorum has answered this ping or a later one; 0 = confirmed */
    struct zxid zxid; /* then served when this is delivered */
};

/* ---- phases ---- */

enum phase {
    PHASE_NONE,
    /* following */
    PHASE_ASKING,    /* FOLLOW sent */
    PHASE_PROMISING, /* the promise goes to disk */
    PHASE_SYNCING,   /* PROMISE sent */
    PHASE_ADOPTING,  /* history and epoch go to disk */
    PHASE_JOINED,    /* JOINED sent */
    /* leading */
    PHASE_GATHERING, /* until a quorum has said FOLLOW */
    PHASE_CHOOSING,  /* its own promise goes to disk */
    PHASE_PROMISES,  /* until a quorum has promised */
    PHASE_JOINING,   /* until a quorum has joined */
    /* both */
    PHASE_ESTABLISHED,
};

struct zab {
    struct zab_config config;
    int64_t now_ms;
    struct zab_actions *out; /* of the present step */
    bool failed;

    /* durable state, as it will be when all writes under way are done */
    uint64_t accepted, current;
    struct history history;
    struct zab_members active, pending; /* pending: version {0,0} = none */
    uint64_t ticket;                    /* newest given */
    struct disk_write *writes;          /* under way: a ring */
    uint32_t writes_cap, writes_head, n_writes;
    struct zxid durable; /* what the log certainly ends with */

    enum zab_role role;
    enum phase phase;
    uint64_t generation; /* counts changes of role */
    uint32_t leader;     /* 0: none */
    uint64_t epoch;      /* the leader's new epoch; 0: not yet known */
    int64_t progress_ms; /* discovery and synchronisation came forward */

    /* election */
    uint64_t round;
    struct vote vote;
    int64_t voted_ms;               /* since then */
    int64_t finalize_ms, resend_ms; /* INT64_MAX: not waiting */

    /* following */
    uint64_t session; /* newest given */
    int64_t heard_ms;
    bool synced;                 /* SYNC or the whole snapshot came */
    uint64_t install_next;       /* offset of the next piece of a snapshot */
    struct zab_members incoming; /* stored beside it */
    uint64_t session_bytes;      /* entries of this session that are on disk */
    struct buffer touches;
    bool touches_sent; /* lent to a pong of this step */

    /* leading */
    bool adopted; /* own history and epoch are on disk: it counts itself */
    uint64_t counter;
    uint64_t outstanding_bytes;
    int64_t quorum_ms; /* a quorum was last heard then */
    int64_t ping_ms;   /* next ping */
    uint64_t ping, confirmed;
    bool another_ping; /* a barrier waits for a ping that is not sent yet */

    /* delivery */
    struct zxid commit, delivered;
    struct zxid serve_from; /* established towards the outside once this is delivered */
    bool members_changed;   /* the role may have to follow, at the end of the step */
    uint64_t reads;         /* newest number given to a read */
    uint64_t read;          /* number of the READ_LOG under way; 0 = none ... */
    struct zxid read_after; /* ... behind this */
    struct barrier *barriers;
    uint32_t n_barriers, barriers_cap;

    struct peer peers[ZAB_PEERS_MAX];
    struct zab_message **blocks; /* of messages lent to the actions of this step */
    uint32_t n_blocks, n_messages;
    struct buffer scratch;  /* bytes lent to the actions of this step */
    char reason[256];       /* same */
    struct zab_action sink; /* where actions go once the peer has failed */
    struct {
        enum zab_role role;
        uint32_t leader;
        uint64_t epoch;
        bool established, any;
    } told; /* the last ROLE */
};

/* ---- actions.c: the one place where actions are made ---- */

struct zab_action *zab_act(struct zab *z, enum zab_action_type type);
/* A message to `to`, to be filled in; its session is set. */
struct zab_message *zab_say(struct zab *z, const struct peer *to, enum zab_type type);
void zab_trace(struct zab *z, bool notable, const char *fmt, ...) WEIR_PRINTF(3, 4);
/* Appends to history and disk. Member entries become pending. */
void zab_log_append(struct zab *z, const struct zab_entry *entry);
void zab_log_truncate(struct zab *z, struct zxid to);
void zab_log_epochs(struct zab *z, enum disk_what what);
void zab_log_install(struct zab *z, const struct zab_message *piece);
void zab_disk_persisted(struct zab *z, uint64_t ticket);
void zab_fail(struct zab *z, const char *fmt, ...) WEIR_PRINTF(2, 3);
void zab_tell_role(struct zab *z);     /* ROLE, when it differs from the last one told */
void zab_tell_members(struct zab *z);  /* MEMBERS */
bool zab_serving(const struct zab *z); /* established, and the state machine has what that needs */

/* ---- peer.c ---- */

struct peer *zab_peer_find(struct zab *z, uint32_t id); /* NULL: no link */
void zab_peer_reset(struct zab *z, struct peer *p, const char *fmt, ...) WEIR_PRINTF(3, 4);
bool zab_quorum(const struct zab *z, const struct zab_set *set); /* of the active members, and of the pending ones */
bool zab_is_member(const struct zab *z, uint32_t id);            /* of either list */
bool zab_is_voter(const struct zab *z, uint32_t id);             /* of either list */
static inline bool zab_has_pending(const struct zab *z)
{
    return !zxid_is_zero(z->pending.version);
}

/* ---- election.c: phase 0 ---- */

void election_start(struct zab *z, const char *why); /* leaves any role; LOOKING or DETACHED */
void election_on_vote(struct zab *z, struct peer *p, const struct zab_message *m);
void election_on_link(struct zab *z, struct peer *p, bool up); /* greeted; or gone, and `p` a copy */
void election_on_tick(struct zab *z);
void election_tell(struct zab *z, const struct peer *p); /* the own vote */
void election_tell_all(struct zab *z);

/* ---- discovery.c: phase 1 ---- */

void discovery_lead(struct zab *z);
void discovery_follow(struct zab *z, uint32_t leader);
void discovery_on_follow(struct zab *z, struct peer *p, const struct zab_message *m);
void discovery_on_epoch(struct zab *z, struct peer *p, const struct zab_message *m);
void discovery_on_promise(struct zab *z, struct peer *p, const struct zab_message *m);
void discovery_promised(struct zab *z); /* the own promise is on disk */

/* ---- synchronisation.c: phase 2 ---- */

void sync_begin(struct zab *z, struct peer *p); /* leader: brings a follower that has promised up to date */
void sync_pump(struct zab *z, struct peer *p);  /* leader: sends what the follower may have */
void sync_on_log_read(struct zab *z, struct peer *p, const struct zab_event *ev);
void sync_on_snapshot_read(struct zab *z, struct peer *p, const struct zab_event *ev);
void sync_on_chunk_ack(struct zab *z, struct peer *p, const struct zab_message *m);
void sync_on_joined(struct zab *z, struct peer *p, const struct zab_message *m);
/* Leader: when it serves the followers may, too, whose forwards it takes from then on. */
void sync_serve(struct zab *z);
void sync_adopted(struct zab *z); /* own history and epoch are on disk */
void sync_on_sync(struct zab *z, struct peer *p, const struct zab_message *m);
void sync_on_snapshot(struct zab *z, struct peer *p, const struct zab_message *m);
void sync_on_entry(struct zab *z, struct peer *p, const struct zab_message *m);
void sync_on_new_leader(struct zab *z, struct peer *p, const struct zab_message *m);
void sync_on_up_to_date(struct zab *z, struct peer *p, const struct zab_message *m);
void learner_forget(struct zab *z, struct peer *p);

/* ---- broadcast.c: phase 3 ---- */

enum zab_outcome broadcast_propose(struct zab *z, enum zab_entry_kind kind, struct weir_bytes bytes);
enum zab_outcome broadcast_forward(struct zab *z, struct weir_bytes bytes);
void broadcast_on_forward(struct zab *z, struct peer *p, const struct zab_message *m);
void broadcast_on_ack(struct zab *z, struct peer *p, const struct zab_message *m);
void broadcast_advance(struct zab *z);                     /* leader: commits what a quorum has */
void broadcast_commit_to(struct zab *z, struct zxid zxid); /* committed up to there */
void broadcast_acknowledge(struct zab *z);                 /* follower: ACK of what is durable */
void broadcast_on_commit(struct zab *z, struct peer *p, struct zxid commit);

/* ---- delivery.c ---- */

void zab_deliver(struct zab *z);
void zab_deliver_read(struct zab *z, const struct zab_event *ev);

/* ---- reconfig.c ---- */

enum zab_outcome reconfig_propose(struct zab *z, const struct zab_event *ev);
void zab_members_propose(struct zab *z, const struct zab_members *m); /* appended: pending */
void zab_members_adopt(struct zab *z, const struct zab_members *m);   /* committed: active */
void zab_members_tell(struct zab *z, const struct peer *p);           /* the active ones */
void zab_members_settle(struct zab *z);                               /* end of step: the role follows the members */
void zab_members_on_message(struct zab *z, struct peer *p, const struct zab_message *m);

/* ---- reads.c ---- */

enum zab_outcome barrier_ask(struct zab *z, uint64_t token);
void barrier_on_ask(struct zab *z, struct peer *p, const struct zab_message *m);
void barrier_on_ok(struct zab *z, const struct zab_message *m);
void barrier_lose_all(struct zab *z);
void barrier_serve(struct zab *z); /* those whose zxid is delivered */
enum zab_outcome zab_touch(struct zab *z, struct weir_bytes bytes);
void zab_ping_all(struct zab *z);
void zab_ping_answer(struct zab *z, struct peer *p, const struct zab_message *m);
void zab_ping_on_pong(struct zab *z, struct peer *p, const struct zab_message *m);
void zab_ping_confirm(struct zab *z); /* leader: which ping has a quorum answered */

#endif
