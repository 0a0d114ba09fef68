/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Weir: a client of the coordination service, the replicated tree that the JobManagers keep together. ZooKeeper's model: nodes with data,
 * versions and children; ephemeral nodes that go with their session; watches; transactions of several operations.
 *
 *     struct weir_coord *coord = NULL;
 *     struct weir_coord_config config = {.servers = "tcp://127.0.0.1:2181,tcp://127.0.0.1:2182,tcp://127.0.0.1:2183"};
 *     err = weir_coord_open(&coord, &config, &diag);
 *     enum weir_coord_err e = weir_coord_create(coord, "/app", "hello", 5, WEIR_COORD_PERSISTENT, NULL);
 *     if (e) fprintf(stderr, "/app: %s: %s\n", weir_coord_err_name(e), weir_coord_err_words(e));
 *     weir_coord_close(&coord);
 *
 * A client is one session. It has a thread of its own, which keeps a connection to one of the servers and goes to the next when it breaks:
 *
 *     CONNECTING ──▶ CONNECTED ◀──▶ SUSPENDED        the connection broke; the session may live, requests wait, ephemeral nodes stay
 *                        │              │
 *                        └──────┬───────┘
 *                               ▼
 *                   EXPIRED (told once) or CLOSED    ephemeral nodes are gone; every request is answered so; open another client
 *
 * What breaks on the way is repaired: requests without an answer are sent again to the next server, in their order, and a write is carried
 * out once however often it was sent; watches come back without losing an event. So a write is answered with its outcome, or, after its
 * timeout, with OPERATION_TIMEOUT, and then alone it is unknown whether it was carried out.
 *
 * Order. Requests of one client are carried out in the order in which they were given, and answered in that order. A read sees every write
 * of this client before it, and never a state older than one seen before. It may be older than what another client was answered: `linear`
 * reads, or a weir_coord_sync before, are not. A watch's event comes before any answer that shows the change.
 *
 * Threads. Every function may be called from any thread, except weir_coord_close, which is the last one. Callbacks run on the client's
 * thread, one after another; from there asynchronous calls may be made, and synchronous ones are refused with WRONG_THREAD, for they would
 * wait for themselves. What a callback is given is borrowed until it returns. A job's operators have clients by weir_ctx_coord
 * (weir/operator.h), and wait only where they may.
 *
 * Errors have ZooKeeper's names and numbers (without the sign) where it has them. Memory: a failed allocation aborts.
 */
#ifndef WEIR_COORD_H
#define WEIR_COORD_H

#include "weir/base.h"
#include "weir/row.h"

#ifdef __cplusplus
extern "C" {
#endif

enum weir_coord_err {
    WEIR_COORD_OK = 0,
    WEIR_COORD_RUNTIME_INCONSISTENCY = 2,
    WEIR_COORD_CONNECTION_LOSS = 4, /* never given by this client itself: it repairs, or times out */
    WEIR_COORD_MARSHALLING = 5,
    WEIR_COORD_UNIMPLEMENTED = 6,
    WEIR_COORD_OPERATION_TIMEOUT = 7, /* not answered in time; a write may have been carried out, or be carried out later */
    WEIR_COORD_BAD_ARGUMENTS = 8,
    WEIR_COORD_NO_NODE = 101,
    WEIR_COORD_NO_AUTH = 102,
    WEIR_COORD_BAD_VERSION = 103,
    WEIR_COORD_NO_CHILDREN_FOR_EPHEMERALS = 108,
    WEIR_COORD_NODE_EXISTS = 110,
    WEIR_COORD_NOT_EMPTY = 111,
    WEIR_COORD_SESSION_EXPIRED = 112,
    WEIR_COORD_INVALID_ACL = 114,
    WEIR_COORD_AUTH_FAILED = 115,
    WEIR_COORD_CLOSING = 116, /* the client was closed */
    WEIR_COORD_SESSION_MOVED = 118,
    WEIR_COORD_NO_WATCHER = 121,
    WEIR_COORD_QUOTA_EXCEEDED = 125,
    WEIR_COORD_THROTTLED = 127,
    WEIR_COORD_NO_QUORUM = 200,
    WEIR_COORD_LIMIT = 201,
    WEIR_COORD_OUTCOME_FORGOTTEN = 202, /* a leader changed: this write was not carried out, one that was sent after it was */
    WEIR_COORD_CLIENT_AHEAD = 203,
    WEIR_COORD_WRONG_THREAD = 210, /* a synchronous call in a callback, or where an operator must not block */
    WEIR_COORD_KEY_REFUSED = 211,  /* every server refused the handshake: nothing was carried out */
};

/* "NO_NODE"; "UNKNOWN" for a number that is none. */
WEIR_EXPORT const char *weir_coord_err_name(enum weir_coord_err err);
/* What it means and what to do: "no such node, or no parent for a new one: create it first". */
WEIR_EXPORT const char *weir_coord_err_words(enum weir_coord_err err);

/* The number of a transaction, which is also a fencing token: a later one is greater. */
struct weir_coord_zxid {
    uint64_t epoch, counter;
};

/* Below zero, zero, above zero: a is older, the same, newer. */
static inline int weir_coord_zxid_compare(struct weir_coord_zxid a, struct weir_coord_zxid b)
{
    if (a.epoch != b.epoch) return a.epoch < b.epoch ? -1 : 1;
    return a.counter < b.counter ? -1 : a.counter > b.counter;
}

enum weir_coord_kind {
    WEIR_COORD_PERSISTENT = 0,
    WEIR_COORD_EPHEMERAL = 1,   /* goes with the session; has no children */
    WEIR_COORD_CONTAINER = 2,   /* goes some time after its last child went */
    WEIR_COORD_TTL = 3,         /* goes when it is childless and was not changed for its time */
    WEIR_COORD_SEQUENTIAL = 16, /* added to one of the above: a number that rises follows the path */
};

struct weir_coord_stat {
    struct weir_coord_zxid czxid, mzxid, pzxid; /* created it; last changed its data; last created or deleted a child */
    int64_t ctime_ms, mtime_ms;                 /* since 1970, by the leaders' clocks */
    uint64_t version, cversion, aversion;       /* changes of data, of children, of the ACL */
    uint64_t owner;                             /* session of an ephemeral node; else 0 */
    uint64_t ttl_ms;
    uint32_t data_length, n_children;
    enum weir_coord_kind kind; /* never SEQUENTIAL */
};

/* ---- the client ---- */

enum weir_coord_state {
    WEIR_COORD_CONNECTING,
    WEIR_COORD_CONNECTED,
    WEIR_COORD_SUSPENDED,
    WEIR_COORD_EXPIRED,
    WEIR_COORD_CLOSED,
};

struct weir_coord;

struct weir_coord_config {
    const char *servers;         /* endpoints of clients, separated by commas; copied. At most WEIR_COORD_SERVERS_MAX */
    uint32_t session_timeout_ms; /* 0: WEIR_COORD_SESSION_MS; the servers may raise or lower it */
    uint32_t request_timeout_ms; /* 0: WEIR_COORD_REQUEST_MS; of every request */
    void (*on_state)(void *arg, enum weir_coord_state state); /* NULL: nobody; on the client's thread */
    void *arg;                                                /* kept */
};

#define WEIR_COORD_SERVERS_MAX 16u
#define WEIR_COORD_SESSION_MS 10000u
#define WEIR_COORD_REQUEST_MS 30000u
#define WEIR_COORD_QUEUE_MAX 65536u   /* requests of a client not yet answered; a further one is answered THROTTLED */
#define WEIR_COORD_WATCHES_MAX 16384u /* watches of a client; a further one is answered LIMIT */

/*
 * Starts the client and returns at once: requests wait for the first connection. The process has started ZeroMQ (a worker has; programs of
 * their own call weir_coord_start first).
 * Gives `*out`. Errors: WEIR_E_ARGUMENT, WEIR_E_UNSUPPORTED (servers), WEIR_E_STATE (ZeroMQ is not started), WEIR_E_NOMEM, WEIR_E_IO.
 */
WEIR_EXPORT weir_err weir_coord_open(struct weir_coord **out, const struct weir_coord_config *config, struct weir_diag *diag);
/*
 * Ends the session, so that its ephemeral nodes go now, waits for that for at most a second, and frees the client. Requests under way are
 * answered CLOSING. NULL is allowed.
 */
WEIR_EXPORT void weir_coord_close(struct weir_coord **coord);

/* Starts and ends ZeroMQ for a program that uses it nowhere else. Main thread. Errors: WEIR_E_NOMEM. */
WEIR_EXPORT weir_err weir_coord_start(void);
WEIR_EXPORT void weir_coord_stop(void);
/*
 * Of a cluster with keys: this program's key pair (a file of `jobctl cert new`, mode 0600) and the keys of the servers with where they
 * answer (a file or folder). Once, behind weir_coord_start and before the first client; from then on the identity `key` of every client is
 * that key, and the program has no plain connections. Errors: WEIR_E_ARGUMENT, WEIR_E_NOT_FOUND, WEIR_E_IO, WEIR_E_UNSUPPORTED,
 * WEIR_E_STATE, each saying what to do.
 */
WEIR_EXPORT weir_err weir_coord_secure(const char *key_file, const char *known_keys, struct weir_diag *diag);

WEIR_EXPORT enum weir_coord_state weir_coord_state(struct weir_coord *coord);
/* The session's number; 0 before the first connection. */
WEIR_EXPORT uint64_t weir_coord_session(struct weir_coord *coord);
/*
 * Is it certain that the session lives? True while a server that has a leader confirmed it less than two thirds of its timeout ago, by this
 * computer's clock (of a timeout below 1.8 s: than the timeout less 0.6 s). False means
 * "perhaps": who holds a lock should stop doing what it protects, or show its fencing token wherever that is checked.
 */
WEIR_EXPORT bool weir_coord_alive(struct weir_coord *coord);

/* ---- replies ---- */

/* What one operation or read of a request brought. Fields that do not belong to it are zero. */
struct weir_coord_result {
    enum weir_coord_err err;     /* of a read; a write has one for all, in the reply */
    const char *path;            /* CREATE: of the node, with its number */
    struct weir_coord_stat stat; /* CREATE, SET, SET_ACL; GET, EXISTS, CHILDREN, GET_ACL */
    struct weir_bytes data;      /* GET; data NULL: the node has none. GET_ACL, IDENTITIES: for weir_coord_acl_next */
    uint32_t n_names;            /* CHILDREN: sorted. EPHEMERALS: paths */
    const char *const *names;
    bool more;                                       /* CHILDREN, EPHEMERALS: there are more; ask again behind the last */
    uint64_t quota_nodes, quota_bytes, nodes, bytes; /* USAGE: 0 quota: unbounded */
};

struct weir_coord_reply {
    enum weir_coord_err err;
    uint32_t failed;             /* write with an error: which operation, from 0 */
    struct weir_coord_zxid zxid; /* of the state that the answer shows */
    uint32_t n;
    struct weir_coord_result *results; /* as many as operations or reads; none after an error */
    void *memory;
};

WEIR_EXPORT void weir_coord_reply_close(struct weir_coord_reply *reply);

/* Called once for each request. `reply` is borrowed, unless it is moved: copy the struct and set *reply to zero. */
typedef void weir_coord_reply_fn(void *arg, struct weir_coord_reply *reply);

/* ---- watches ---- */

enum weir_coord_event_type {
    WEIR_COORD_CREATED = 1,
    WEIR_COORD_DELETED = 2,
    WEIR_COORD_CHANGED = 3,  /* its data */
    WEIR_COORD_CHILDREN = 4, /* one came or went */
    WEIR_COORD_RESYNC = 5,   /* of a watch's path: events may be missing, look again */
    WEIR_COORD_ENDED = 6,    /* the session is over: the watch is, too */
};

struct weir_coord_event {
    enum weir_coord_event_type type;
    const char *path;
    struct weir_coord_zxid zxid; /* the change */
};

typedef void weir_coord_event_fn(void *arg, const struct weir_coord_event *event);

/* ---- writes: one or several operations, all or none ---- */

enum weir_coord_op_type {
    WEIR_COORD_CREATE = 1,
    WEIR_COORD_DELETE = 2,
    WEIR_COORD_SET = 3,
    WEIR_COORD_SET_ACL = 4,
    WEIR_COORD_SET_QUOTA = 5,
    WEIR_COORD_CHECK = 6, /* changes nothing: the node must be there, with this version */
};

#define WEIR_COORD_ANY_VERSION (-1)

/* Everything is borrowed during the call. */
struct weir_coord_op {
    enum weir_coord_op_type type;
    const char *path;
    struct weir_bytes data;            /* CREATE, SET; data NULL: none */
    struct weir_bytes acl;             /* CREATE: length 0: everybody may do everything. SET_ACL */
    int64_t version;                   /* DELETE, SET, CHECK; SET_ACL: of the ACL */
    unsigned kind;                     /* CREATE: enum weir_coord_kind, perhaps with SEQUENTIAL */
    uint64_t ttl_ms;                   /* CREATE of a TTL node */
    uint64_t quota_nodes, quota_bytes; /* SET_QUOTA; 0: unbounded */
};

WEIR_EXPORT void weir_coord_write_async(struct weir_coord *coord, const struct weir_coord_op *ops, uint32_t n, weir_coord_reply_fn *fn,
                                        void *arg);
/* Gives `*reply` (NULL: not wanted), also after an error. */
WEIR_EXPORT enum weir_coord_err weir_coord_write(struct weir_coord *coord, const struct weir_coord_op *ops, uint32_t n,
                                                 struct weir_coord_reply *reply);

/* ---- reads: one or several, of one state ---- */

enum weir_coord_read_type {
    WEIR_COORD_GET = 1,
    WEIR_COORD_EXISTS = 2,
    WEIR_COORD_GET_CHILDREN = 3,
    WEIR_COORD_GET_ACL = 4,
    WEIR_COORD_EPHEMERALS = 5, /* of this session */
    WEIR_COORD_IDENTITIES = 6, /* of this client */
    WEIR_COORD_USAGE = 7,      /* quota and usage of a subtree */
};

struct weir_coord_read {
    enum weir_coord_read_type type;
    const char *path;  /* but for EPHEMERALS, IDENTITIES */
    const char *after; /* GET_CHILDREN: names behind this one; NULL: from the first */
    uint32_t skip;     /* EPHEMERALS */
    uint32_t max;      /* GET_CHILDREN, EPHEMERALS; 0: as many as fit */
    /* GET, EXISTS, GET_CHILDREN, of a request with one read: called once, at the first change after what this read showed. */
    weir_coord_event_fn *on_change; /* NULL: no watch */
    void *arg;                      /* kept until then */
};

WEIR_EXPORT void weir_coord_read_async(struct weir_coord *coord, const struct weir_coord_read *reads, uint32_t n, bool linear,
                                       weir_coord_reply_fn *fn, void *arg);
/* Gives `*reply`. The error is the request's, or, of a single read, that read's. */
WEIR_EXPORT enum weir_coord_err weir_coord_read(struct weir_coord *coord, const struct weir_coord_read *reads, uint32_t n, bool linear,
                                                struct weir_coord_reply *reply);

/* What was answered to anybody before this was asked is seen by what this client reads afterwards. A quorum confirms it. */
WEIR_EXPORT void weir_coord_sync_async(struct weir_coord *coord, weir_coord_reply_fn *fn, void *arg);
WEIR_EXPORT enum weir_coord_err weir_coord_sync(struct weir_coord *coord);

/*
 * A watch that stays: every event of the path, or (recursive) creations, changes and deletions of the path and everything below it.
 * `*watch` (NULL: not wanted) is its number, for weir_coord_unwatch.
 */
WEIR_EXPORT enum weir_coord_err weir_coord_watch(struct weir_coord *coord, const char *path, bool recursive, weir_coord_event_fn *fn,
                                                 void *arg, uint64_t *watch);
WEIR_EXPORT void weir_coord_watch_async(struct weir_coord *coord, const char *path, bool recursive, weir_coord_event_fn *fn, void *arg,
                                        uint64_t *watch, weir_coord_reply_fn *done, void *done_arg);
/* Ends a watch. Called elsewhere than in a callback, it returns when no callback of the watch runs or will run. NO_WATCHER: no such watch.
 */
WEIR_EXPORT enum weir_coord_err weir_coord_unwatch(struct weir_coord *coord, uint64_t watch);
/* Ends every watch, one-shot ones as well, whose callback has this `arg`. The same holds. */
WEIR_EXPORT void weir_coord_forget(struct weir_coord *coord, const void *arg);

/* Another identity for this client: digest, "user:password". It is shown again after each reconnection. */
WEIR_EXPORT enum weir_coord_err weir_coord_add_auth(struct weir_coord *coord, const char *user_password);

/* ---- the usual ones, synchronous ---- */

/* `kind`: enum weir_coord_kind, perhaps with SEQUENTIAL. The reply (NULL: not wanted) has path and stat. */
WEIR_EXPORT enum weir_coord_err weir_coord_create(struct weir_coord *coord, const char *path, const void *data, uint32_t length,
                                                  unsigned kind, struct weir_coord_reply *reply);
/* Creates the parents that are missing, as persistent nodes, then nothing more: "/a/b/c" makes /a and /a/b. */
WEIR_EXPORT enum weir_coord_err weir_coord_create_parents(struct weir_coord *coord, const char *path);
WEIR_EXPORT enum weir_coord_err weir_coord_delete(struct weir_coord *coord, const char *path, int64_t version);
WEIR_EXPORT enum weir_coord_err weir_coord_set(struct weir_coord *coord, const char *path, const void *data, uint32_t length,
                                               int64_t version, struct weir_coord_stat *stat);
/* Gives `*reply`: results[0] has data and stat. */
WEIR_EXPORT enum weir_coord_err weir_coord_get(struct weir_coord *coord, const char *path, struct weir_coord_reply *reply);
WEIR_EXPORT enum weir_coord_err weir_coord_exists(struct weir_coord *coord, const char *path, struct weir_coord_stat *stat);
/* Gives `*reply`: results[0] has the first page of names. */
WEIR_EXPORT enum weir_coord_err weir_coord_children(struct weir_coord *coord, const char *path, struct weir_coord_reply *reply);

/* ---- access control lists ---- */

enum weir_coord_permission {
    WEIR_COORD_MAY_READ = 1,
    WEIR_COORD_MAY_WRITE = 2,
    WEIR_COORD_MAY_CREATE = 4,
    WEIR_COORD_MAY_DELETE = 8,
    WEIR_COORD_MAY_ADMIN = 16,
    WEIR_COORD_MAY_ALL = 31,
};

/* An entry in words. schemes: "world" (id "anyone"), "auth" (in requests: whoever asks; id ""), "digest" ("user:" and hash), "key"
 * (a public key as in NAME.pub), "super". */
struct weir_coord_acl_entry {
    unsigned permissions;
    const char *scheme;
    char id[256];
};

/*
 * Reads a list in words, "world:anyone:r,auth::cdrwa,digest:ann:SECRET...:rw": scheme, id and permissions of c d r w a, separated by
 * commas. Of a digest the id is `user:hash`; weir_coord_acl_digest makes one from a password.
 * Appends nothing: writes at most `size` bytes to `out` and their number to `*length`. Errors: INVALID_ACL, LIMIT (more than fits).
 */
WEIR_EXPORT enum weir_coord_err weir_coord_acl_parse(const char *text, void *out, size_t size, uint32_t *length);
/* The id of "user:password": "user:" and 64 hex digits. false: no colon, or too long. */
WEIR_EXPORT bool weir_coord_acl_digest(const char *user_password, char out[static 256]);
/* The next entry of an ACL (result.data of GET_ACL); `*at` begins at 0. false: no more. */
WEIR_EXPORT bool weir_coord_acl_next(struct weir_bytes acl, uint32_t *at, struct weir_coord_acl_entry *out);

#ifdef __cplusplus
}
#endif
#endif
