/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Coordination peers as processes (peer_host), and a client that speaks the protocol itself. All waits have an end: WAIT_MS, then the
 * program dies with words. For tests and benchmarks. Thread: one.
 */
#ifndef WEIR_TESTS_SUPPORT_PEER_HOSTS_H
#define WEIR_TESTS_SUPPORT_PEER_HOSTS_H

#include <sys/types.h>

#include "runtime/coord/lane.h"
#include "runtime/coord/limits.h"
#include "runtime/coord/protocol.h"
#include "runtime/net/socket.h"

#define HOSTS_MAX 8
#define HOSTS_WAIT_MS 20000

struct host {
    pid_t pid; /* 0: does not run */
    int in, out, err;
    char folder[256], client[256];
    char role[16];
    uint32_t leader;
    uint64_t epoch;
    bool ready, established;
    char line[512]; /* being read */
    size_t length;
    char log[65536]; /* its stderr so far */
    size_t log_length;
};

struct hosts {
    char folder[128];
    uint32_t n; /* ids 1 to n */
    char peers[2048];
    uint64_t snapshot_entries, segment_bytes; /* of hosts started from now on; 0: the defaults */
    const char *preload, *cluster;            /* of hosts started from now on; NULL: none, "test" */
    struct host at[HOSTS_MAX + 1];            /* by id */
};

/* folder: exists. Endpoints are abstract ipc names made from it. */
void hosts_init(struct hosts *h, const char *folder, uint32_t n);
void hosts_close(struct hosts *h); /* ends all */
void host_start(struct hosts *h, uint32_t id);
void host_kill(struct hosts *h, uint32_t id); /* SIGKILL, and waits for it */
void host_stop(struct hosts *h, uint32_t id); /* in order */
int host_wait(struct hosts *h, uint32_t id);  /* until it ends by itself; its status as of waitpid */
/* Reads what hosts say, waiting at most so long for something. */
void hosts_read(struct hosts *h, int64_t timeout_ms);
/* Waits for a leader that a majority of the hosts that run follows, and that says so itself; gives its id. */
uint32_t hosts_leader(struct hosts *h);
/* Waits until `id` serves (with a leader). */
void host_serves(struct hosts *h, uint32_t id);
/* Waits until the log of `id` holds this text. */
void host_said(struct hosts *h, uint32_t id, const char *text);

/* ---- a client ---- */

struct raw {
    struct net_socket *socket, *monitor;
    struct lane lane;
    struct net_parts parts;
    struct reader messages;
    bool reading, broken;
    uint16_t refused; /* why raw_hello failed; 0: the connection broke */
    uint64_t session, xid, acked;
    uint8_t password[SESSION_PASSWORD_BYTES];
    struct zxid seen;
    struct buffer ops, message;
};

/* Connects without a word; raw_hello opens or resumes a session and waits for the answer. false: refused, or the connection broke. */
void raw_open(struct raw *r, const char *endpoint);
/* The same with another key than this program's. */
void raw_open_as(struct raw *r, const char *endpoint, const struct net_key_pair *who);
void raw_close(struct raw *r); /* the session stays as it is */
bool raw_hello(struct raw *r, uint32_t timeout_ms);
/* Adds to the packet under way; raw_flush sends it. */
void raw_ask(struct raw *r, const struct ask *ask);
void raw_flush(struct raw *r);
/* The next message, waiting at most so long; borrowed until the next call. false: none, or broken. */
bool raw_next(struct raw *r, struct say *out, int64_t timeout_ms);
/* Whole requests: xids are given. What they return is the error of the reply; NO_QUORUM when the connection broke. */
uint64_t raw_write(struct raw *r, const struct op *op);                              /* without waiting; gives its xid */
uint64_t raw_read(struct raw *r, enum get_type type, const char *path, bool linear); /* the same */
bool raw_reply(struct raw *r, uint64_t xid, struct say *out);                        /* waits for it; false: broken */
struct weir_bytes raw_open_acl(void);                                                /* everybody may do everything */
uint16_t raw_create(struct raw *r, const char *path, const char *data);
uint16_t raw_set(struct raw *r, const char *path, const char *data);
/* The data of a node as text, in a static place; NULL: there is no such node, or no answer. */
const char *raw_get(struct raw *r, const char *path, bool linear);

_Noreturn void hosts_die(const char *what);

#endif
