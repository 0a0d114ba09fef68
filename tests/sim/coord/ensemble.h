/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An ensemble of Zab peers (runtime/coord/zab.h) in one thread, in a world drawn from a seed.
 *
 *     clients ──▶ core ◀── network: FIFO links that delay, break and lose their tail, cuts one way or both ──▶ core ◀── clients
 *                  │▲                                                                                          │▲
 *                  ▼│ a disk each: writes become durable in order, a crash keeps some prefix of what was not   ▼│
 *
 * The state machine of a peer is the sequence of entries it was given, and all peers must be given the same one. So the world keeps one
 * sequence, `chosen`, and a peer's state is a place in it; that is prefix agreement, checked at every delivery (check.c).
 *
 *     ensemble.c  chance, lines, the heap of events        network.c  links and cuts        disk.c  what survives a crash
 *     driver.c    starts cores, performs their actions     clients.c  writes, reads, changes of members, and their histories
 *     faults.c    what a seed draws, and the healing       check.c    the invariants
 */
#ifndef WEIR_TESTS_SIM_COORD_ENSEMBLE_H
#define WEIR_TESTS_SIM_COORD_ENSEMBLE_H

#include "runtime/coord/zab.h"
#include "tests/linear/linear.h"

#define ENS_PEERS 7u /* most peers of a world; ids 1 ... */
#define ENS_KEYS 4u  /* registers that clients read and write */
#define ENS_OPS_MAX 512u
#define ENS_SNAPSHOT_BYTES 40u /* of a snapshot as it travels, in pieces of ENS_PIECE_BYTES */
#define ENS_PIECE_BYTES 16u

struct ens_snapshot {
    struct zxid zxid;
    uint32_t place; /* in `chosen` */
    uint32_t n_members;
    unsigned char members[ZAB_MEMBERS_BYTES];
};

/* What a disk holds. Entries' bytes lie in the world's arena. */
struct ens_image {
    struct zab_entry *log;
    uint32_t n, cap;
    struct zxid floor; /* the log begins behind it */
    uint64_t accepted, current;
    struct ens_snapshot snapshot;
};

struct ens_write {
    uint64_t ticket;
    enum zab_action_type type;
    struct zab_entry entry;
    struct zxid zxid;
    uint64_t accepted, current;
    struct ens_snapshot *snapshot; /* INSTALL, last piece; in the arena */
};

struct ens_disk {
    struct ens_image seen, durable; /* with all writes; with those that would survive any crash */
    struct ens_write *writes;       /* the difference, oldest first */
    uint32_t n, cap;
    uint64_t syncing; /* ticket up to which an fsync is under way; 0 = none */
    uint32_t filled;  /* bytes of `incoming` */
    unsigned char incoming[ENS_SNAPSHOT_BYTES];
    struct ens_snapshot arriving;
    struct ens_snapshot *pinned[ENS_PEERS + 1]; /* for a reader; in the arena */
};

struct ens;
struct ens_peer;

/*
 * What stands above the peers: clients.c in this world, JobManagers in that of tests/sim. Each call may be NULL. Within them no peer may be
 * stepped, for its actions are being performed; that is what `settled` is for, at the end of each step, if the peer has not crashed in it.
 */
struct ens_above {
    void (*started)(struct ens *e, struct ens_peer *p); /* `place` is that of its snapshot; its first step follows */
    void (*crashed)(struct ens *e, struct ens_peer *p);
    void (*role)(struct ens *e, struct ens_peer *p);
    void (*delivered)(struct ens *e, struct ens_peer *p, const struct zab_entry *entry);
    void (*replaced)(struct ens *e, struct ens_peer *p); /* by a snapshot: `place` is its */
    void (*forwarded)(struct ens *e, struct ens_peer *p, uint32_t from, struct weir_bytes bytes);
    void (*touched)(struct ens *e, struct ens_peer *p, uint32_t from, struct weir_bytes bytes);
    void (*synced)(struct ens *e, struct ens_peer *p, uint64_t token);
    void (*barrier_lost)(struct ens *e, struct ens_peer *p, uint64_t token);
    void (*settled)(struct ens *e, struct ens_peer *p);
};

struct ens_peer {
    struct ens *world;
    uint32_t id;
    struct zab *core; /* NULL: crashed */
    uint32_t life;    /* grows with each start */
    int64_t paused_ms;
    int64_t tick_ms;            /* of the pending tick; INT64_MAX: none */
    int64_t wake_ms;            /* the core's deadline */
    int32_t crash_in;           /* crashes after so many actions; negative: does not */
    uint32_t wants;             /* bit set of ids it wants links to */
    struct zab_members members; /* active ones, as told */
    bool changing;              /* others are pending */
    enum zab_role role;
    uint32_t leader;
    uint64_t epoch;
    bool established;
    uint32_t place; /* applied so many of `chosen` */
    struct zxid applied;
    struct zxid hint;  /* committed, as known before the last crash */
    uint64_t fsync_ms; /* longest */
    struct ens_disk disk;
};

struct ens_link {
    bool connected, end_up[2]; /* end 0: the lower id */
    uint32_t number;           /* of connections */
    int64_t last_ms[2];        /* arrival of the last message towards that end */
    bool lost[2];              /* something towards that end was: nothing more gets there ... */
    bool doomed;               /* ... and the link will break */
};

enum ens_op_kind { ENS_WRITE, ENS_READ };

struct ens_op {
    enum ens_op_kind kind;
    uint32_t key, value;
    uint32_t peer, life;
    bool refused;
    uint32_t chosen_before;   /* entries chosen when it was asked */
    uint64_t asked, answered; /* event numbers; answered 0: never */
};

struct ens_config {
    uint32_t n_peers, n_voters; /* at the beginning: ids 1 ... n_voters vote, up to n_members observe, the rest are strangers */
    uint32_t n_members;
    uint32_t delay_ms, slow_per_mille, slow_ms; /* of a message */
    uint32_t break_ms;                          /* longest time until a broken link is noticed */
    uint32_t detect_ms;                         /* until a link breaks on which something was lost */
    uint32_t retry_ms;                          /* between attempts to connect */
    uint32_t fsync_ms;
    uint32_t ops, reconfigs, faults; /* how many */
    uint32_t lies;                   /* per mille of votes: with another epoch and zxid. Safety must not rest on votes */
    uint32_t strikes;                /* per mille of changes of role at which something happens to that peer */
    int64_t rage_ms;
    uint64_t window_bytes;
    uint32_t read_bytes, flight_bytes;
    uint32_t snapshot_every;                                         /* entries; 0 = never */
    uint32_t tick_ms, sync_timeout_ms, init_timeout_ms, finalize_ms; /* of the cores; 0 = their defaults */
};

enum ens_kind {
    ENS_EV_MESSAGE,
    ENS_EV_LINK_UP,
    ENS_EV_LINK_DOWN,
    ENS_EV_BREAK,
    ENS_EV_CONNECT,
    ENS_EV_TICK,
    ENS_EV_FSYNC,
    ENS_EV_LOG_READ,
    ENS_EV_SNAPSHOT_READ,
    ENS_EV_ASKED,
    ENS_EV_FORWARDED,
    ENS_EV_START,
    ENS_EV_OP,
    ENS_EV_RECONFIG,
    ENS_EV_FAULT,
    ENS_EV_POWER,
};

struct ens_event {
    int64_t at_ms;
    uint64_t order;
    enum ens_kind kind;
    uint32_t peer, life; /* whom it concerns, in which life; life 0: any */
    uint32_t other;      /* the sender, the other end, the reader */
    uint32_t link;       /* number of the connection */
    uint64_t read, offset;
    struct zxid zxid;
    uint32_t len;
    unsigned char *data; /* in the arena */
};

struct ens {
    uint64_t seed, random;
    bool calm;  /* no chance: every delay is its longest */
    bool print; /* lines go to stdout */
    struct ens_config config;
    const struct ens_above *above; /* ens_new: the clients */
    void *owner;                   /* for it */
    int64_t now_ms;
    uint64_t order, n_events_done;
    uint32_t spin; /* events at this moment */
    uint32_t n_events, cap_events;
    struct ens_event *events; /* a binary heap */
    unsigned char *arena;     /* never freed before the world ends */
    size_t arena_used, arena_cap;
    struct ens_block *blocks;

    struct ens_peer peers[ENS_PEERS + 1];                /* by id */
    struct ens_link links[ENS_PEERS + 1][ENS_PEERS + 1]; /* [lower][higher] */
    bool cut[ENS_PEERS + 1][ENS_PEERS + 1];              /* from, to */
    struct zab_actions actions;
    struct buffer scratch;

    struct zab_entry *chosen; /* delivered anywhere */
    uint32_t n_chosen, cap_chosen;
    uint32_t *epochs; /* by epoch: its established leader */
    uint32_t n_epochs;
    struct ens_op ops[ENS_OPS_MAX];
    uint32_t n_ops, n_acknowledged, n_reads, n_reconfigured, n_elections, n_snapshots;
    bool healed;
    uint64_t hash;
    bool violated;
    char violation[512];
};

/* ---- a whole run ---- */

/* Draws a world from the seed, lets it rage, heals it, and demands that it ends well. */
void ens_run_seed(struct ens **out, uint64_t seed, bool print);
/* A calm world of three voters (or as configured), not yet started. */
void ens_new(struct ens **out, const struct ens_config *config, uint64_t seed, bool calm, bool print);
void ens_destroy(struct ens **ens);
bool ens_step(struct ens *e);             /* the next event; false: violated */
void ens_run(struct ens *e, int64_t ms);  /* stops early when an invariant breaks */
bool ens_heal(struct ens *e, int64_t ms); /* ends all faults; everything must be well within `ms` */

/* ---- ensemble.c ---- */

uint64_t ens_random(struct ens *e, uint64_t below);
int64_t ens_delay(struct ens *e, uint32_t longest_ms); /* 0 ... longest; in a calm world the longest */
bool ens_chance(struct ens *e, uint32_t per_mille);
void ens_trace(struct ens *e, const char *fmt, ...) WEIR_PRINTF(2, 3);
void ens_violate(struct ens *e, const char *fmt, ...) WEIR_PRINTF(2, 3);
void ens_push(struct ens *e, struct ens_event ev, int64_t at_ms);
void *ens_keep(struct ens *e, const void *data, size_t len); /* a copy in the arena */

/* ---- network.c ---- */

void network_send(struct ens *e, uint32_t from, uint32_t to, const struct zab_message *m);
void net_reset(struct ens *e, uint32_t from, uint32_t to); /* by the core of `from` */
void net_break(struct ens *e, uint32_t a, uint32_t b);
void net_crash(struct ens *e, uint32_t id);
void net_mend(struct ens *e); /* what is doomed breaks now */
void net_cut(struct ens *e, uint32_t from, uint32_t to, bool cut);
void net_on_event(struct ens *e, const struct ens_event *ev);
void net_begin(struct ens *e);

/* ---- disk.c ---- */

void disk_begin(struct ens_disk *d, const struct zab_members *initial);
void disk_write(struct ens *e, struct ens_peer *p, const struct zab_action *a);
uint64_t disk_synced(struct ens *e, struct ens_peer *p);           /* an fsync returns: what is durable now */
void disk_crash(struct ens *e, struct ens_disk *d, uint32_t keep); /* the first `keep` writes survive */
bool disk_recover(struct ens *e, struct ens_peer *p, const struct zab_members *initial, struct zab_recovery *out);
void disk_take_snapshot(struct ens *e, struct ens_peer *p);
void disk_close(struct ens_disk *d);
void disk_answer_log(struct ens *e, struct ens_peer *p, const struct ens_event *ev);
void disk_answer_snapshot(struct ens *e, struct ens_peer *p, const struct ens_event *ev);

/* ---- driver.c ---- */

void peer_start(struct ens *e, uint32_t id);
void peer_crash(struct ens *e, uint32_t id, uint32_t keep);
/* Steps the core and performs what it orders. The outcome is in e->actions, unless the peer crashed. */
void peer_step(struct ens *e, struct ens_peer *p, struct zab_event *ev);
struct ens_peer *ens_leader(struct ens *e); /* an established one with the highest epoch, or NULL */

/* ---- clients.c ---- */

void client_op(struct ens *e, uint32_t peer, enum ens_op_kind kind, uint32_t key);
void client_asked(struct ens *e, struct ens_peer *p, uint32_t op);
void client_reconfig(struct ens *e);
void client_forwarded(struct ens *e, struct ens_peer *p, struct weir_bytes bytes);
extern const struct ens_above clients_above;

/* ---- check.c ---- */

void check_delivered(struct ens *e, struct ens_peer *p, const struct zab_entry *entry);
void check_role(struct ens *e, struct ens_peer *p);
void check_read(struct ens *e, struct ens_peer *p, const struct ens_op *op);
void check_history(struct ens *e); /* of the clients: linearizable? */
bool check_settled(struct ens *e, const char **why);

/* ---- faults.c ---- */

struct ens_config fault_draw(struct ens *e);
void fault_schedule(struct ens *e, enum ens_kind kind, uint32_t n, int64_t from_ms, int64_t to_ms);
void fault_strike(struct ens *e);
void fault_snapshot(struct ens *e);                    /* some peer takes one */
int64_t fault_end(struct ens *e);                      /* of all of them; gives how long what is under way still goes on */
void fault_power(struct ens *e);                       /* everybody crashes */
void fault_at_role(struct ens *e, struct ens_peer *p); /* elections are short: faults are sent there */

#endif
