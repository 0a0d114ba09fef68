/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A peer of the ensemble: Zab 1.0 as a core. One instance per process and per incarnation of that process.
 *
 *               settled: another          EPOCH, PROMISE, SYNC … NEW_LEADER, UP_TO_DATE
 *     LOOKING ─────────────────▶ FOLLOWING (or OBSERVING) ─────────────────────────────▶ established: DELIVER, FORWARD, BARRIER
 *       │  ▲                          │ leader silent, gone, or no longer leading
 *       │  └──────────────────────────┴───────────────────────────────┐
 *       │       settled: itself       a quorum promised, then joined  │ quorum silent for sync_timeout_ms
 *       └────────────────────▶ LEADING ───────────────────────────────┴▶ established: PROPOSE, BARRIER, RECONFIG too
 *
 *     DETACHED: not (or no longer) a member; waits until a leader says otherwise.
 *
 * Files: election.c (phase 0), discovery.c (1), synchronisation.c (2), broadcast.c (3), reads.c (barriers), peer.c (links, hello, time).
 *
 * No socket, file, clock, thread or chance. The driver waits until `deadline_ms` or an event, fills struct zab_event, calls zab_step, and
 * performs the actions in order.
 *
 * Links. Between two peers there is at most one link at a time; it delivers in order and whole, or breaks (then nothing that was sent on it
 * comes any more). LINK_UP and LINK_DOWN tell; a RESET_LINK breaks it without a LINK_DOWN. Both ends get a link or none: a break at one end
 * is a break at the other, in bounded time. The driver opens links to all members of MEMBERS (both lists) and takes them from anybody; the
 * first message on each is the core's HELLO.
 *
 * Disk. APPEND, TRUNCATE, SET_EPOCHS and INSTALL carry tickets 1, 2, 3 … and become durable in that order: after a crash the disk holds
 * all up to some ticket and nothing of what follows. Several may be under way; PERSISTED(t) says that all up to t are durable. READ_LOG
 * sees all writes emitted before it. A write or fsync that fails ends the process. What others count as a promise is emitted only in
 * answer to PERSISTED.
 *
 * Delivery. DELIVER comes in the order of zxids, once each per incarnation, starting behind the snapshot of the recovery; INSTALL with
 * `last` replaces the state machine, and delivery goes on behind it. A member entry is delivered, too (the state machine skips it).
 * It may run ahead of this peer's own disk (a quorum has the entry), never ahead of what it was told to append.
 * A snapshot of the state machine may be written at any delivered zxid, with the newest MEMBERS list whose version is not above it; its
 * file must not become durable before the log up to there.
 *
 * Time. TICK comes when no other event waits, so that a peer that was stopped first hears what arrived meanwhile.
 *
 * Memory: a failed allocation aborts (WEIR_ASSERT); this is control code.  Thread: one at a time.
 */
#ifndef WEIR_RUNTIME_COORD_ZAB_H
#define WEIR_RUNTIME_COORD_ZAB_H

#include "runtime/coord/members.h"
#include "runtime/coord/message.h"
#include "runtime/coord/recovery.h"

#define ZAB_PEERS_MAX (2u * ZAB_MEMBERS_MAX)   /* links at a time; a further one is reset */
#define ZAB_OUTSTANDING_MAX 16384u             /* proposals not yet committed; then PROPOSE is BUSY */
#define ZAB_OUTSTANDING_BYTES (64u << 20)      /* bytes of them; then PROPOSE is BUSY */
#define ZAB_FLIGHT_BYTES (16u << 20)           /* entries sent to a follower and not yet on its disk; then sending waits */
#define ZAB_READ_BYTES (1u << 20)              /* asked for by one READ_LOG */
#define ZAB_BARRIERS_MAX 4096u                 /* barriers under way at a peer; then BARRIER is BUSY, or refused by the leader */
#define ZAB_CHANGES_MAX (2u * ZAB_MEMBERS_MAX) /* steps of a RECONFIG */

/* Defaults. A leader that dies is noticed when its links break, one that hangs after sync_timeout_ms. */
#define ZAB_TICK_MS 50           /* pause between pings */
#define ZAB_SYNC_TIMEOUT_MS 400  /* silence of the leader, or of a quorum of followers, that ends a leadership */
#define ZAB_INIT_TIMEOUT_MS 2000 /* time without progress in discovery and synchronisation, but for the own disk; then a new election */
#define ZAB_FINALIZE_MS 20       /* wait for a better vote when a quorum agrees but somebody connected has not voted the same */
#define ZAB_RESEND_MS 200        /* a vote is told again while looking */
#define ZAB_WINDOW_BYTES (64ull << 20) /* recent entries kept in memory */

struct zab;

struct zab_config {
    uint32_t id;            /* of this peer, above zero */
    struct weir_id cluster; /* peers of another cluster are refused */
    /* zero = the default above */
    uint32_t tick_ms, sync_timeout_ms, init_timeout_ms, finalize_ms, resend_ms;
    uint64_t window_bytes;
    uint32_t read_bytes, flight_bytes;
    /* Called within zab_step; `line` borrowed. notable: for the log (roles, refusals, members); others are for debugging. NULL = nobody. */
    void (*trace)(void *arg, bool notable, const char *line);
    void *trace_arg;
};

/* ---- events ---- */

enum zab_event_type {
    ZAB_EV_TICK,           /* time passed; at the latest at deadline_ms of the last step */
    ZAB_EV_LINK_UP,        /* a link to `peer` (who it claims to be) */
    ZAB_EV_LINK_DOWN,      /* it broke */
    ZAB_EV_MESSAGE,        /* from the link of `peer` */
    ZAB_EV_PERSISTED,      /* every disk action up to `ticket` is durable */
    ZAB_EV_LOG_READ,       /* answers READ_LOG, always */
    ZAB_EV_SNAPSHOT_READ,  /* answers READ_SNAPSHOT */
    ZAB_EV_SNAPSHOT_TAKEN, /* a snapshot is durable and the log was cut: entries up to `floor` are gone */
    ZAB_EV_PROPOSE,        /* leader: an entry of the log. Outcome; its number in actions.proposed */
    ZAB_EV_FORWARD,        /* any established peer: a request for the leader, which sees FORWARDED. May get lost with the role */
    ZAB_EV_BARRIER,        /* any established peer: SYNCED(token) or BARRIER_LOST(token) follows */
    ZAB_EV_RECONFIG,       /* leader: changes the members. Outcome; its number in actions.proposed */
    ZAB_EV_TOUCH,          /* session touches for the leader, which sees TOUCHED; they travel with the next pong */
};

struct zab_event {
    enum zab_event_type type;
    int64_t now_ms; /* monotonic; never below that of the event before */
    union {
        uint32_t peer; /* LINK_UP, LINK_DOWN */
        struct {
            uint32_t peer;
            const struct zab_message *message; /* borrowed */
        } message;
        uint64_t ticket;
        struct {
            uint32_t reader;
            uint64_t read;                   /* both as in READ_LOG */
            uint32_t n;                      /* at least one, the first behind `after`; 0: the log no longer reaches back there */
            const struct zab_entry *entries; /* borrowed */
        } log_read;
        struct {
            uint32_t peer;
            uint64_t read;    /* both as in READ_SNAPSHOT */
            struct zxid zxid; /* of the snapshot; the same for all pieces of this read */
            uint64_t offset;  /* as asked */
            bool last;
            struct weir_bytes members; /* stored beside the snapshot */
            struct weir_bytes bytes;   /* at most ZAB_CHUNK_MAX */
        } snapshot_read;
        struct {
            struct zxid zxid, floor;
        } snapshot_taken;
        struct weir_bytes bytes; /* PROPOSE, FORWARD, TOUCH: copied */
        uint64_t token;          /* BARRIER */
        struct {
            uint32_t n;
            const struct zab_change *changes; /* borrowed */
            const struct zxid *version;       /* the present members must have this one; NULL = whatever */
        } reconfig;
    };
};

/* What PROPOSE, FORWARD, BARRIER, RECONFIG and TOUCH come to. ZAB_TAKEN for all other events. */
enum zab_outcome {
    ZAB_TAKEN,
    ZAB_NOT_LEADER,      /* ask the leader of the last ROLE */
    ZAB_NOT_ESTABLISHED, /* no leader yet; ask again after the next ROLE */
    ZAB_TOO_LARGE,       /* above ZAB_ENTRY_MAX (TOUCH: ZAB_TOUCH_MAX) */
    ZAB_BUSY,            /* a limit of what is under way; ask again later */
    ZAB_BAD_CHANGE,      /* RECONFIG: the changes do not apply, or leave no voter, or too many members */
    ZAB_BAD_VERSION,     /* RECONFIG: the members are of another version */
    ZAB_PENDING,         /* RECONFIG: the change before is not committed yet */
    ZAB_NO_QUORUM,       /* RECONFIG: no quorum of the new voters follows; add newcomers as observers first */
};

/* ---- actions ---- */

enum zab_action_type {
    ZAB_DO_SEND,          /* put the message on the link of `peer` */
    ZAB_DO_RESET_LINK,    /* break the link of `peer`; `reason` is for the log and, where the transport can, for the other end */
    ZAB_DO_APPEND,        /* append to the log */
    ZAB_DO_TRUNCATE,      /* drop all of the log behind `zxid` */
    ZAB_DO_SET_EPOCHS,    /* write both epochs as one record */
    ZAB_DO_INSTALL,       /* a piece of a snapshot; offset 0 begins anew. last: it replaces state machine and log at once (atomically) */
    ZAB_DO_READ_LOG,      /* entries behind `after`, up to `max` bytes but at least one: LOG_READ */
    ZAB_DO_READ_SNAPSHOT, /* of the newest snapshot, pinned from offset 0 on: SNAPSHOT_READ */
    ZAB_DO_END_SNAPSHOT,  /* `peer` needs its snapshot no more: unpin; late SNAPSHOT_READs do no harm */
    ZAB_DO_DELIVER,       /* committed: apply to the state machine */
    ZAB_DO_ROLE,          /* the role has changed */
    ZAB_DO_MEMBERS,       /* the members have changed: keep links to both lists */
    ZAB_DO_FORWARDED,     /* leader: a request from `peer` (or itself) */
    ZAB_DO_TOUCHED,       /* leader: session touches from `peer` */
    ZAB_DO_SYNCED,        /* state as delivered up to `zxid`, which it is now, serves the read of `token` */
    ZAB_DO_BARRIER_LOST,  /* the role ended first; ask again */
    ZAB_DO_FAIL,          /* this peer contradicts the ensemble: end the process, keep its files. Last action of all */
};

enum zab_role { ZAB_LOOKING, ZAB_FOLLOWING, ZAB_OBSERVING, ZAB_LEADING, ZAB_DETACHED };

struct zab_action {
    enum zab_action_type type;
    uint32_t peer;                         /* SEND, RESET_LINK, READ_SNAPSHOT, END_SNAPSHOT, FORWARDED, TOUCHED */
    uint64_t ticket;                       /* APPEND, TRUNCATE, SET_EPOCHS, INSTALL */
    struct zxid zxid;                      /* TRUNCATE, INSTALL, SYNCED */
    union {                                /* all pointers are borrowed until the next step */
        const struct zab_message *message; /* SEND */
        const char *reason;                /* RESET_LINK, FAIL */
        struct zab_entry entry;            /* APPEND, DELIVER */
        struct weir_bytes bytes;           /* FORWARDED, TOUCHED */
        uint64_t token;                    /* SYNCED, BARRIER_LOST */
        struct {
            uint64_t accepted, current;
        } epochs;
        struct {
            uint64_t offset;
            bool last;
            struct weir_bytes members, bytes;
        } install;
        struct {
            uint32_t reader; /* 0: this peer's own delivery */
            uint64_t read;   /* number of this read, for the answer */
            struct zxid after;
            uint32_t max;
        } read_log;
        struct {
            uint64_t read; /* number of this transfer; each begins at offset 0 with the newest snapshot */
            uint64_t offset;
        } read_snapshot;
        struct {
            enum zab_role role;
            uint32_t leader; /* 0 = none */
            uint64_t epoch;  /* of the leader, once established; the fencing token */
            bool established;
        } role;
        struct {
            const struct zab_members *active, *pending; /* pending: version {0,0} = none */
        } members;
    };
};

struct zab_actions {
    struct zab_action *at;
    uint32_t n, cap;
    enum zab_outcome outcome;
    struct zxid proposed; /* PROPOSE and RECONFIG that were TAKEN */
    int64_t deadline_ms;
};

/* The first step is made here: its actions are the initial ROLE, MEMBERS and, where the recovery knows of commits, deliveries. */
void zab_new(struct zab **out, const struct zab_config *config, const struct zab_recovery *recovery, int64_t now_ms,
             struct zab_actions *actions);
void zab_destroy(struct zab **zab);

/* `out` is cleared first; zero-initialise it once, zab_actions_close frees it. */
void zab_step(struct zab *zab, const struct zab_event *event, struct zab_actions *out);
void zab_actions_close(struct zab_actions *actions);

/* ---- for status pages and tests ---- */

struct zab_status {
    enum zab_role role;
    uint32_t leader;
    bool established;
    uint64_t epoch, accepted, current, round;
    struct zxid last, durable, commit, delivered;
};

struct zab_status zab_status(const struct zab *zab);
/* Leader: up to where `peer` has the log on disk; false: it does not follow. */
bool zab_follower(const struct zab *zab, uint32_t peer, struct zxid *acked);
/* A hash of everything that decides future behaviour except the clock: equal peers behave alike. For state-space exploration. */
uint64_t zab_fingerprint(const struct zab *zab);

#endif
