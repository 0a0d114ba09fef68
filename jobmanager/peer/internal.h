/* SPDX-License-Identifier: Apache-2.0 */
/* The state of a peer's thread, shared by the files of this folder. Each function lives in the file that heads it. */
#ifndef WEIR_JOBMANAGER_PEER_INTERNAL_H
#define WEIR_JOBMANAGER_PEER_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "jobmanager/peer/disk_thread.h"
#include "jobmanager/peer/peer.h"
#include "runtime/base/gate.h"
#include "runtime/coord/image.h"
#include "runtime/coord/lane.h"
#include "runtime/coord/map.h"
#include "runtime/coord/server.h"
#include "runtime/net/security.h"

enum {
    LINK_SEND_HWM = 16384,        /* packets queued to a peer; then its link is broken (zab bounds their bytes) */
    LINK_RECEIVE_HWM = 256,       /* packets queued from a peer; then it is held */
    LINK_BATCH = 256,             /* packets of peers taken in one turn */
    DIAL_MS = 1000,               /* a dial that is not answered for so long is given up */
    DIAL_PAUSE_MS = 20,           /* before the next dial; doubles ... */
    DIAL_PAUSE_MAX_MS = 500,      /* ... up to this */
    DIAL_LOWER_MS = 1000,         /* a peer dials those with a higher id when they have not dialed it for so long: they may not know it */
    CLIENT_SEND_HWM = 1024,       /* packets queued to a client; then its connection is closed */
    CLIENT_RECEIVE_HWM = 32,      /* packets queued from a client; then it is held */
    CLIENT_BATCH = 256,           /* packets of clients taken in one turn */
    GOODBYE_MS = 100,             /* how long the last packets of a link outlive it */
    SLICES_MAX = 4,               /* of a snapshot on their way to the disk */
    SLICE_BUSY_BYTES = 32u << 10, /* of a slice, in a turn that has other work */
    OVERDUE_MS = 10,              /* ticks wait for a turn without events, but no longer than this */
    STATUS_MS = 50,               /* the status is as old as this at most, while there are turns */
    CARRY_READS = 64,             /* reads of the disk taken in one turn */
    MEMBERS_KEPT = 8,             /* lists of members committed but not yet delivered; a further one replaces the newest */
};

/* ---- links.c ---- */

/* To another peer: none, dialed (a socket of its own), or accepted (a route of the ROUTER). One for each peer at most. */
enum link_state { LINK_NONE, LINK_DIALING, LINK_UP };

struct link {
    uint32_t id; /* of the peer; 0: free */
    enum link_state state;
    bool member; /* to be dialed; else it came by itself */
    char endpoint[ZAB_ADDRESS_MAX];
    struct net_socket *socket, *monitor; /* dialed */
    struct weir_id route;                /* accepted */
    int connection;                      /* accepted: its descriptor */
    char key[NET_KEY_TEXT];              /* whose: accepted, by the transport; dialed, the expected one. "" without CURVE */
    struct lane lane;
    bool broken;                       /* something could not be sent: told at the end of the turn */
    char refused[LANE_REASON_MAX + 1]; /* the last reason for which the other end left */
    int64_t since_ms;                  /* of the state */
    int64_t dial_at_ms;                /* NONE: not before */
    uint32_t pause_ms;
};

struct links {
    struct net_socket *router, *monitor; /* NULL: nobody can come */
    struct link at[ZAB_PEERS_MAX];
};

weir_err links_open(struct peer *p, struct weir_diag *diag);
void links_close(struct peer *p);
void links_members(struct peer *p, const struct zab_members *active, const struct zab_members *pending);
void links_send(struct peer *p, uint32_t to, const struct zab_message *message);
void links_reset(struct peer *p, uint32_t to, const char *reason); /* RESET_LINK: zab knows */
void links_receive(struct peer *p);                                /* everything that waits, up to a batch */
void links_flush(struct peer *p);
void links_tick(struct peer *p); /* dials; at links_deadline */
int64_t links_deadline(const struct peer *p);
uint32_t links_waits(const struct peer *p, struct net_wait *out); /* adds what to wait for; at most LINKS_WAITS */
bool links_is_up(const struct peer *p, uint32_t id);
#define LINKS_WAITS (2u + 2u * ZAB_PEERS_MAX)

/* ---- clients.c ---- */

struct client {
    struct map_item by_route, by_id; /* by_route first */
    uint64_t id;                     /* the connection, for the server */
    bool local;                      /* the owner's: no route, no lane */
    uint8_t n_route;
    uint8_t route[NET_ROUTING_ID_MAX];
    int connection;         /* its descriptor */
    char key[NET_KEY_TEXT]; /* as the transport has it; "" without CURVE */
    enum net_role role;     /* of the key when the connection was opened */
    struct lane lane;
    bool broken; /* nothing can be sent any more: lost at the end of the turn */
    bool queued; /* in `dirty` */
    bool gone;   /* out of the table; freed when it leaves `dirty` */
    struct client *next_dirty;
};

struct clients {
    struct net_socket *router, *monitor; /* NULL: none can come */
    struct map by_route, by_id;
    struct client *dirty; /* with packets to be sent */
    atomic_uint_fast64_t last_id;
};

weir_err clients_open(struct peer *p, struct weir_diag *diag);
void clients_close(struct peer *p);
void clients_receive(struct peer *p);
void clients_flush(struct peer *p);
void clients_send(struct peer *p, uint64_t connection, struct weir_bytes message);
void clients_end(struct peer *p, uint64_t connection);              /* the server closes it */
uint32_t clients_waits(const struct peer *p, struct net_wait *out); /* at most CLIENTS_WAITS */
#define CLIENTS_WAITS 2u
/* The owner's. */
void clients_add_local(struct peer *p, uint64_t connection);
void clients_from_local(struct peer *p, uint64_t connection, struct weir_bytes message);
void clients_local_gone(struct peer *p, uint64_t connection);

/* ---- quorum.c ---- */

/* Answers a message about the ensemble on a client's connection. false: the bytes are none. */
bool quorum_answer(struct peer *p, uint64_t connection, struct weir_bytes message);

/* ---- owner.c ---- */

enum order_type { ORDER_CONNECT, ORDER_SEND, ORDER_DISCONNECT, ORDER_RECONFIG };

struct order {
    struct order *next;
    enum order_type type;
    uint64_t connection; /* RECONFIG: token */
    uint32_t n_changes;
    bool versioned;
    struct zxid version;
    uint32_t length;
    _Alignas(8) uint8_t bytes[]; /* a message; RECONFIG: struct zab_change */
};

struct news {
    struct news *next;
    struct peer_news news;
    size_t length;
    _Alignas(8) uint8_t bytes[]; /* what it borrows */
};

struct owner {
    pthread_mutex_t mutex; /* of what follows, up to the thread's */
    struct order *first_order, **last_order;
    struct news *first_news, **last_news;
    atomic_uint_fast64_t news_bytes; /* of all news not taken; thread: any */
    struct peer_status status;
    int order_fd, news_fd;      /* eventfds */
    struct news *told;          /* the owner's: whose message it reads */
    struct news *first, **last; /* the thread's: news of this turn */
    int64_t status_ms;          /* the thread's: when the status was last written */
};

weir_err owner_open(struct owner *o, struct weir_diag *diag);
void owner_close(struct owner *o);
void owner_orders(struct peer *p); /* performs what the owner asked for */
void owner_tell(struct peer *p, const struct peer_news *news);
bool owner_is_full(const struct peer *p); /* PEER_NEWS_BYTES: it takes too little */
void owner_flush(struct peer *p);         /* end of a turn */
void owner_wake(struct peer *p);          /* thread: any */

/* ---- snapshots.c ---- */

struct snapshot_read {
    uint32_t peer; /* 0: free */
    uint64_t read;
};

struct snapshots {
    uint64_t entries, bytes; /* delivered since the last one began */
    struct image *image;     /* being taken */
    struct zxid zxid;        /* of it */
    uint32_t slices;         /* on their way */
    bool finishing;
    uint64_t generation; /* counts installed ones: what was finished before is of no interest */
    struct zxid newest;
    struct snapshot_read reads[ZAB_PEERS_MAX]; /* waiting for the first snapshot */
    struct zab_members members[MEMBERS_KEPT];  /* committed; the first is that of the delivered state */
    uint32_t n_members;
};

void snapshots_members(struct peer *p, const struct zab_members *active);
void snapshots_delivered(struct peer *p, const struct zab_entry *entry);
void snapshots_read(struct peer *p, uint32_t peer, uint64_t read, uint64_t offset);
void snapshots_end_read(struct peer *p, uint32_t peer);
void snapshots_give_up(struct peer *p);    /* before the state is replaced */
bool snapshots_busy(const struct peer *p); /* a slice can be made now */
void snapshots_slice(struct peer *p, size_t bytes);
void snapshots_done(struct peer *p, struct disk_task *task); /* READ_SNAPSHOT, ADD, FINISH */

/* ---- carry.c: between zab and the server ---- */

/* What the server asks of zab while zab's actions are still being performed. */
struct wish {
    enum coord_server_action_type type;
    uint64_t token;
    size_t at, length;
};

struct wishes {
    struct buffer list; /* struct wish */
    struct buffer bytes;
};

void carry_zab(struct peer *p, struct zab_event *event);             /* steps zab, performs everything that follows */
void carry_server(struct peer *p, struct coord_server_event *event); /* the same for the server */
void carry_tick(struct peer *p);                                     /* whoever is due */
int64_t carry_deadline(const struct peer *p);
void carry_start(struct peer *p);
enum zab_outcome carry_reconfig(struct peer *p, const struct order *order);
void carry_disk(struct peer *p); /* what the disk has done */

/* ---- peer.c ---- */

struct peer {
    uint32_t id;
    struct weir_id cluster;
    char bind[NET_ENDPOINT_MAX], client_bind[NET_ENDPOINT_MAX];
    uint64_t snapshot_entries, snapshot_bytes;

    struct zab *zab;
    struct coord_server *server;
    struct coord_state state;
    bool state_open;
    struct disk_thread *disk;
    bool disk_ready; /* something may have been taken from the disk already */
    struct zab_actions zab_actions;
    struct coord_server_actions server_actions;
    int64_t zab_deadline_ms, server_deadline_ms, now_ms;
    int64_t wall_ms;
    struct coord_limits limits;
    uint64_t persisted, installed; /* newest ticket zab was told of; of the newest snapshot installed */
    struct wishes wishes, spare;   /* noted in this step; memory for the next ones */
    struct wishes late;            /* barriers that zab had no room for */
    struct peer_role role;
    struct zab_members members;
    struct buffer scratch; /* a message being encoded */

    struct links links;
    struct clients clients;
    struct owner owner;
    struct snapshots snapshots;

    struct net_parts parts;
    pthread_t thread;
    bool started;
    atomic_bool stopping;
    struct gate ready;
    weir_err err; /* of the start */
    struct weir_diag diag;
    struct zab_config zab_config;
    struct zab_recovery recovery;
};

#endif
