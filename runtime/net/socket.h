/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets between processes: a thin, honest wrapper over libzmq. runtime/net is the only includer of zmq.h.
 *
 * What it decides for everybody, because the defaults lose messages in silence or wait for ever:
 *   - nothing blocks: send and receive return at once, net_poll is the only wait;
 *   - a ROUTER refuses to send to a peer it does not know (ROUTER_MANDATORY) instead of dropping;
 *   - a newcomer with a known routing id takes the id over (ROUTER_HANDOVER). Routing ids carry a random incarnation, so a collision can
 * only be the same process coming back;
 *   - one part of a message is bounded (MAXMSGSIZE), so are the parts, the queues (HWM), the handshake, the linger at close;
 *   - dead connections are noticed (HEARTBEAT_*) well after the runtime's own links have noticed.
 * ZeroMQ still loses messages when a connection resets. Whoever needs more counts: runtime/wire/link.h for control, `seq` for frames.
 *
 * Plain, bind and connect refuse every endpoint that leaves the machine (net_endpoint_check). In a process that has keys (security.h) every
 * socket has CURVE, but for inproc, and those of which it is said that they are plain.
 *
 * Thread: a socket stays with the thread that made it. net_start and net_stop: the main thread.
 */
#ifndef WEIR_RUNTIME_NET_SOCKET_H
#define WEIR_RUNTIME_NET_SOCKET_H

#include "weir/row.h"

#define NET_PARTS_MAX 8u        /* parts of a message; the surplus of a longer one is dropped, and receive says so */
#define NET_ENDPOINT_MAX 256u   /* bytes of an endpoint with its NUL */
#define NET_ROUTING_ID_MAX 255u /* bytes of a routing id */
#define NET_POLL_MAX 1100u      /* things one net_poll can wait for */
#define NET_KEY_TEXT 41u        /* bytes of a CURVE key as Z85 with its NUL */

#define NET_HANDSHAKE_MS 3000         /* a connection that has not finished its handshake by then is closed */
#define NET_HEARTBEAT_MS 1000         /* ZeroMQ's own heartbeat ... */
#define NET_HEARTBEAT_TIMEOUT_MS 6000 /* ... gives up after so long, or later: net_socket_config.silence_ms */
#define NET_RECONNECT_MS 20           /* first pause before connecting again; doubles ... */
#define NET_RECONNECT_MAX_MS 1000     /* ... up to this */

/* ---- the process's context ---- */

/* Starts ZeroMQ with so many I/O threads. Once in a process, before any socket; never followed by a bare fork. Errors: WEIR_E_NOMEM,
 * WEIR_E_ARGUMENT. */
weir_err net_start(uint32_t io_threads);
/* Ends it: waits, at most the longest linger, for queued messages. Every socket must be closed. Without net_start: nothing. */
void net_stop(void);

/* ---- endpoints ---- */

/*
 * Whether this process may use the endpoint: ipc://PATH (or ipc://@NAME, Linux's abstract names), or tcp://HOST:PORT with HOST one of
 * 127.0.0.0/8, [::1], localhost, in a process with keys any address by number, and PORT 0 ... 65535 or *. Errors: WEIR_E_ARGUMENT, saying
 * which part is wrong; WEIR_E_UNSUPPORTED for what would leave the machine without keys, and for names.
 */
weir_err net_endpoint_check(const char *endpoint, struct weir_diag *diag);
/* Whether a process with keys, or one without, may: for endpoints that are handed to another one, or come before the keys. */
weir_err net_endpoint_check_as(const char *endpoint, bool with_keys, struct weir_diag *diag);

/* ---- messages ---- */

/* One part of a message, owned by whoever holds it. An initialised value may be moved by net_message_move only, not by assignment. */
struct net_message {
    _Alignas(8) unsigned char opaque[64];
};

/* Called when ZeroMQ no longer needs the bytes, from any thread (an I/O thread as a rule). */
typedef void (*net_free_fn)(void *data, void *hint);

void net_message_init(struct net_message *m);                                   /* empty */
weir_err net_message_copy(struct net_message *m, const void *data, size_t len); /* initialises; WEIR_E_NOMEM */
/* Initialises with the caller's bytes, not copied; ZeroMQ calls release(data, hint) when done. WEIR_E_NOMEM: release is not called. */
weir_err net_message_wrap(struct net_message *m, void *data, size_t len, net_free_fn release, void *hint);
void net_message_close(struct net_message *m); /* m is empty afterwards, so closing twice is harmless */
void net_message_move(struct net_message *to,
                      struct net_message *from); /* `to` is initialised; its old bytes go; `from` is empty afterwards */
void *net_message_data(struct net_message *m);
size_t net_message_size(const struct net_message *m);

/* A whole message. Initialise once; receive fills it again and again. */
struct net_parts {
    uint32_t n;
    struct net_message part[NET_PARTS_MAX];
};
void net_parts_init(struct net_parts *p);
void net_parts_close(struct net_parts *p);                       /* empties; may be used again */
struct weir_bytes net_part(struct net_parts *p, uint32_t index); /* borrowed */

/* ---- sockets ---- */

enum net_kind {
    NET_DEALER, /* one peer as a rule; sends and receives in any order */
    NET_ROUTER, /* many peers: first part received = sender's routing id, first part sent = receiver's */
};

/* What a key is for (security.h). */
enum net_role {
    NET_ROLE_NONE = 0,
    NET_ROLE_JOBMANAGER = 1,
    NET_ROLE_TASKMANAGER = 2,
    NET_ROLE_CLIENT = 4, /* of the coordination tree, nothing else */
    NET_ROLE_VIEWER = 8,
    NET_ROLE_OPERATOR = 16,
    NET_ROLE_DEPLOYER = 32,
    NET_ROLE_ADMIN = 64,
};
#define NET_ROLES_ALL 127u

struct net_key_pair; /* keys.h */

struct net_socket_config {
    enum net_kind kind;
    struct weir_bytes
        routing_id; /* how a ROUTER peer names this socket: 1 ... NET_ROUTING_ID_MAX bytes, copied; length 0 = the peer makes one up */
    uint64_t message_max; /* bytes of one part received; a peer that sends more is disconnected. Required. */
    uint32_t send_hwm;    /* messages queued per peer before net_send says WEIR_E_LIMIT; required */
    uint32_t receive_hwm; /* messages queued per peer before the sender is held; required */
    uint32_t linger_ms;   /* how long queued messages outlive the close */
    uint32_t silence_ms;  /* after which the owner itself gives a peer up, at most INT32_MAX: ZeroMQ waits twice as long, never less */
    bool once;            /* a connection that breaks, or cannot be made, is not tried again: net_monitor_next tells, the owner decides */
    /* In a process with keys. */
    uint32_t roles;                      /* of a socket that is bound: whose keys may come (enum net_role, several); required then */
    const struct net_key_pair *identity; /* another key than the process's; NULL: none. Borrowed until the socket is bound or connected */
    bool plain;                          /* no CURVE all the same: for loopback and ipc, as in a process without keys */
};

struct net_socket;

/* Gives `*out`. Errors: WEIR_E_ARGUMENT, WEIR_E_NOMEM, WEIR_E_LIMIT (sockets or descriptors of the process), WEIR_E_STATE (no net_start).
 */
weir_err net_socket_new(struct net_socket **out, const struct net_socket_config *config, struct weir_diag *diag);
void net_socket_destroy(struct net_socket **socket);

/*
 * Both check the endpoint as net_endpoint_check does (and accept inproc://NAME between threads). tcp://HOST:* binds to a free port; ask
 * net_socket_endpoint for it. The file of an ipc bind (one for a socket) goes with the socket. connect returns at once and keeps trying for
 * ever; it needs a port. Errors: as net_endpoint_check; WEIR_E_EXISTS (address in use), WEIR_E_IO; with keys WEIR_E_NOT_FOUND (whose key
 * answers there is not known), WEIR_E_STATE (no roles).
 */
weir_err net_socket_bind(struct net_socket *socket, const char *endpoint, struct weir_diag *diag);
weir_err net_socket_connect(struct net_socket *socket, const char *endpoint, struct weir_diag *diag);
/* The endpoint of the last bind with its real port, "" before. Borrowed until the next bind. */
const char *net_socket_endpoint(const struct net_socket *socket);

/*
 * Sends a whole message of 1 ... NET_PARTS_MAX parts, without waiting. On success every part is taken (empty afterwards).
 * Errors: WEIR_E_LIMIT        the queue to this peer is full, or (DEALER) nobody is connected and the queue is full: poll for write, send
 * again WEIR_E_UNREACHABLE  ROUTER: no such peer now; either kind: the connection went while the parts were queued WEIR_E_IO anything else
 * After WEIR_E_LIMIT all parts are untouched. After another failure the message is lost and every part is empty.
 */
weir_err net_send(struct net_socket *socket, struct net_message *parts, uint32_t n);
/* The same for borrowed bytes, copied. Also WEIR_E_NOMEM. */
weir_err net_send_bytes(struct net_socket *socket, const struct weir_bytes *parts, uint32_t n);

enum net_received {
    NET_NOTHING,
    NET_MESSAGE,
    NET_TOO_MANY_PARTS, /* out holds the first NET_PARTS_MAX, the others are gone */
};
/* The next message, without waiting. What `out` held before is closed. */
enum net_received net_receive(struct net_socket *socket, struct net_parts *out);

/* ---- connections ---- */

/*
 * What becomes of the connections below a socket, as soon as the kernel knows it: the end of a process on the other side is told at once,
 * not after a heartbeat. A connection is named by its descriptor, a number that is used again once the connection has gone; so a monitor is
 * read before the messages of its socket.
 */
enum net_change_type {
    NET_CAME,    /* a connection was accepted or made; its handshake is still to come */
    NET_WENT,    /* it broke, or (connection -1) could not be made */
    NET_REFUSED, /* a handshake failed, `why`; NET_WENT of the connection follows. connection is -1 */
};
enum net_refusal {
    NET_REFUSED_KEY,      /* told to who connects: the other end does not know its key, or not in this role */
    NET_REFUSED_PROTOCOL, /* the other end speaks no ZeroMQ, or one has CURVE and the other has not */
    NET_REFUSED_SILENTLY, /* it went without a reason, as one whose key is not the one expected there does */
};
struct net_change {
    enum net_change_type type;
    int connection;
    enum net_refusal why; /* REFUSED */
};
/* Half a sentence for who connects, with what to do. */
const char *net_refusal_words(enum net_refusal why);

/*
 * Watches a socket, before it is bound or connected. Gives a socket to be polled like any other, read by net_monitor_next alone, and
 * destroyed before the one it watches. Errors: WEIR_E_NOMEM, WEIR_E_LIMIT, WEIR_E_IO.
 */
weir_err net_monitor_new(struct net_socket **out, struct net_socket *watched, struct weir_diag *diag);
/* The next change, without waiting. false: none. */
bool net_monitor_next(struct net_socket *monitor, struct net_change *out);
/* By which connection a received message came; -1: unknown (inproc). */
int net_parts_connection(struct net_parts *p);
/* The key of whoever sent a received message, checked by the transport; "" without CURVE. Borrowed until `p` is closed or filled anew. */
const char *net_parts_key(struct net_parts *p);

/* ---- waiting ---- */

struct net_wait {
    struct net_socket *socket; /* or NULL: */
    int fd;                    /* a plain descriptor; < 0 with socket == NULL: this entry is skipped */
    bool want_read, want_write;
    bool readable, writable; /* out. An error or hang-up of a plain descriptor is both. */
};

/*
 * Waits until something is ready or timeout_ms passed (0: only looks, < 0: no limit). Returns how many are ready; 0 also after a signal.
 * n <= NET_POLL_MAX. A socket that is readable must be received from until NET_NOTHING, or polled again: it stays readable.
 */
uint32_t net_poll(struct net_wait *items, uint32_t n, int64_t timeout_ms);

#endif
