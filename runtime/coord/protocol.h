/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages between a client and the peer it is connected to, both ends. docs/protocol/coord.md has the bytes, and what must be said when.
 *
 * What a message holds is borrowed from its bytes. Reading checks forms, not meaning: a bad path is refused by whoever carries the request
 * out.
 */
#ifndef WEIR_RUNTIME_COORD_PROTOCOL_H
#define WEIR_RUNTIME_COORD_PROTOCOL_H

#include "runtime/coord/error.h"
#include "runtime/coord/op.h"
#include "runtime/coord/session.h"

#define COORD_PROTOCOL_VERSION 1u

/* ---- from the client ---- */

enum ask_type {
    ASK_CONNECT = 1, /* first on a connection: a new session, or one to go on with */
    ASK_AUTH = 2,    /* another identity for this connection */
    ASK_PING = 3,    /* the session lives; answered by PONG at once */
    ASK_CLOSE = 4,   /* ends the session */
    ASK_WRITE = 5,   /* operations, all or none */
    ASK_READ = 6,    /* reads, each with its own error, all of one state */
    ASK_SYNC = 7,    /* a quorum has confirmed: what follows sees everything that was answered anywhere before this was asked */
    ASK_WATCHES = 8, /* after a reconnection: watches, and up to which zxid the client has seen everything */
    ASK_UNWATCH = 9,
    ASK_CONFIRM = 10, /* is this peer's leader still followed? Not in the order of requests: it waits for no other, nor for a disk */
};

struct ask {
    enum ask_type type;
    uint64_t xid;   /* all but CONNECT, PING: rising on a connection; of writes rising in the session, but for repetitions.
                       CONFIRM: any number */
    uint64_t acked; /* WRITE: replies to all requests up to this one have arrived */
    /* CONNECT */
    struct zxid seen; /* the newest zxid in any message from any peer; WATCHES: the one up to which all events have arrived */
    uint32_t timeout_ms;
    uint64_t session; /* 0: a new one */
    uint8_t password[SESSION_PASSWORD_BYTES];
    /* AUTH */
    uint8_t scheme;                /* enum acl_scheme */
    struct weir_bytes credentials; /* digest: user:password */
    /* WRITE, READ, WATCHES */
    bool linear; /* READ: not older than any answer before it was asked; a quorum round */
    uint32_t n;
    struct weir_bytes ops; /* n request operations (op.h), reads, or watches */
    /* UNWATCH */
    uint8_t kinds; /* enum watch_kind, several */
    struct weir_bytes path;
};

void put_ask(struct buffer *b, const struct ask *ask);
bool read_ask(struct weir_bytes bytes, struct ask *ask); /* false: the bytes are none */

enum get_type {
    GET_DATA = 1,       /* data and stat */
    GET_EXISTS = 2,     /* stat */
    GET_CHILDREN = 3,   /* stat and a page of names, sorted */
    GET_ACL = 4,        /* ACL and stat */
    GET_EPHEMERALS = 5, /* paths of the session's own */
    GET_IDENTITIES = 6, /* the connection's */
    GET_USAGE = 7,      /* quota and usage of a subtree */
    GET_WATCH = 8,      /* adds a persistent or recursive watch */
};

struct get {
    enum get_type type;
    struct weir_bytes path;  /* empty where the type needs none */
    bool watch;              /* DATA, EXISTS, CHILDREN: a one-shot watch */
    struct weir_bytes after; /* CHILDREN: names behind this one; empty: from the first */
    uint32_t max;            /* CHILDREN, EPHEMERALS: at most so many; 0: as many as fit */
    uint32_t skip;           /* EPHEMERALS */
    uint8_t kind;            /* WATCH: WATCH_PERSISTENT or WATCH_RECURSIVE */
};

void put_get(struct buffer *b, const struct get *get);
void read_get(struct reader *r, struct get *get);

/* A watch that comes back. */
struct rewatch {
    uint8_t kind; /* enum watch_kind, one */
    struct weir_bytes path;
};

void put_rewatch(struct buffer *b, const struct rewatch *w);
void read_rewatch(struct reader *r, struct rewatch *w);

/* ---- from the peer ---- */

enum say_type {
    SAY_CONNECTED = 1,
    SAY_REFUSED = 2, /* the connection ends here */
    SAY_REPLY = 3,   /* to a request; in the order of requests */
    SAY_EVENT = 4,   /* of a watch; before any reply that shows the change */
    SAY_PONG = 5,
    SAY_CONFIRMED = 6, /* to the newest CONFIRM: a quorum has followed this peer's leader since it was asked; or NO_QUORUM */
};

struct say {
    enum say_type type;
    struct zxid zxid; /* CONNECTED, REPLY, PONG, CONFIRMED: the state of this peer; EVENT: the change */
    /* CONNECTED */
    uint64_t session, last_xid; /* of the session's writes the highest with an outcome */
    uint8_t password[SESSION_PASSWORD_BYTES];
    uint32_t timeout_ms;
    /* PONG */
    bool led; /* this peer has a leader with a quorum, so the session's life is being prolonged */
    /* REFUSED, REPLY, CONFIRMED */
    uint16_t err; /* enum coord_err */
    struct weir_bytes reason;
    uint64_t xid;           /* REPLY, CONFIRMED */
    struct weir_bytes body; /* by the request */
    /* EVENT */
    uint8_t event; /* enum event_type */
    struct weir_bytes path;
};

void put_say(struct buffer *b, const struct say *say);
bool read_say(struct weir_bytes bytes, struct say *say);

/* ---- between peers ---- */

/* What a peer passes on to the leader for its clients. */
enum relay_type { RELAY_OPEN = 1, RELAY_MOVE = 2, RELAY_CLOSE = 3, RELAY_WRITE = 4 };

struct relay {
    enum relay_type type;
    uint64_t session; /* all but OPEN */
    /* OPEN, MOVE */
    uint64_t token;
    uint32_t timeout_ms;
    struct weir_digest password;
    /* WRITE */
    uint64_t xid, acked;
    struct weir_bytes identities;
    uint16_t n_ops;
    struct weir_bytes ops;
};

void put_relay(struct buffer *b, const struct relay *relay);
bool read_relay(struct weir_bytes bytes, struct relay *relay);

#endif
