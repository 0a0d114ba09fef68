/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The TaskManagers of a cluster: their links, registration, slots and loss. Part of the master core: no socket, no clock.
 *
 *   packet of an unknown incarnation ──▶ GREETING ──(REGISTER accepted)──▶ REGISTERED ──(link dead | replaced)──▶ lost
 *                                           └───────────(REGISTER refused)──▶ CLOSING ◀──(replaced)──┘
 *
 * A session is one link to one incarnation of a TaskManager.
 * - A session begins only with a packet that does not know our incarnation yet. Any other one of an unknown incarnation is late, or its
 * sender talks to a leader that is no more: it is dropped, and answered in the name of an incarnation that its sender does not know, which
 * ends the sender's link at once.
 * - Our own incarnation is new for every session, so a session that was given up can never be mistaken for one that is open.
 * - A link hands out messages only after a round trip, so a late copy of an old greeting cannot displace who is registered now.
 * - The same TaskManager id with a new incarnation replaces the old one, which is lost with all that ran on it.
 * - CLOSING sessions live until REFUSED has arrived there; what they say is dropped.
 */
#ifndef WEIR_JOBMANAGER_CLUSTER_H
#define WEIR_JOBMANAGER_CLUSTER_H

#include "runtime/base/limits.h"
#include "runtime/wire/link.h"
#include "runtime/wire/message.h"

enum { CLUSTER_SESSIONS_MAX = 2 * WEIR_TASKMANAGERS_MAX }; /* open links; a packet that would begin another is dropped and counted */

/* A slot of a TaskManager. */
struct cluster_slot {
    bool used;
    struct weir_id job; /* what it is used for */
    uint32_t attempt;
    uint32_t slot; /* the slot of the job */
};

struct cluster_session;

/* A registered TaskManager. Read-only for the admin endpoint; pointers last until the next step of the master. */
struct cluster_member {
    uint64_t number; /* names this registration for ever; never reused, never 0 */
    char id[WEIR_NAME_MAX + 1];
    char *host; /* where its data sockets are reachable */
    char *version;
    uint32_t pid;
    struct weir_id incarnation;
    uint32_t n_slots, n_free;
    struct cluster_slot *slots;
    int64_t registered_wall_ms;
    int64_t heard_wall_ms; /* last packet */
    int64_t heard_ms;
    struct cluster_session *session;
};

enum cluster_session_state { CLUSTER_GREETING, CLUSTER_REGISTERED, CLUSTER_CLOSING };

struct cluster_session {
    uint64_t number;     /* never reused */
    uint64_t route;      /* the driver's handle; follows the newest packet */
    struct weir_id self; /* our incarnation on this link */
    struct weir_id peer;
    enum cluster_session_state state;
    bool touched; /* may have packets to send */
    struct link *link;
    struct cluster_member *member; /* REGISTERED only */
};

struct cluster_config {
    struct weir_id incarnation; /* random, of this process */
    uint64_t epoch;
    const char *version; /* kept; a TaskManager of another version is refused; NULL = not checked */
    uint32_t heartbeat_ms, timeout_ms, retransmit_ms;
};

struct cluster {
    struct cluster_config config;
    uint64_t last_session, last_member;
    uint32_t n_sessions, cap_sessions;
    struct cluster_session **sessions; /* in order of number */
    uint32_t n_members, cap_members;
    struct cluster_member **members; /* in order of id */
    uint64_t packets_dropped;        /* late, foreign, broken, or over the limit */
};

void cluster_init(struct cluster *c, const struct cluster_config *config);
void cluster_close(struct cluster *c);

/*
 * Takes a packet. Returns the session that it belongs to, whose messages may now be read with link_next; NULL: dropped. `answer` is filled
 * with a packet to send back when it belongs to another leader, else cleared.
 */
struct cluster_session *cluster_receive(struct cluster *c, uint64_t route, struct weir_bytes packet, int64_t now_ms, int64_t wall_ms,
                                        struct buffer *answer);

enum cluster_outcome {
    CLUSTER_ACCEPTED,
    CLUSTER_REFUSED, /* diag says why; the caller sends REFUSED and the session is CLOSING */
};

/*
 * A REGISTER on a session in GREETING. ACCEPTED: the session has a member, whose slots are taken by the workers that it reports.
 * `*replaced` is the former member of the same id, NULL if none; the caller deals with what ran there, then calls cluster_forget.
 */
enum cluster_outcome cluster_register(struct cluster *c, struct cluster_session *s, const struct wire_msg *msg, int64_t now_ms,
                                      int64_t wall_ms, struct cluster_member **replaced, struct weir_diag *diag);
/* Forgets a member, its slots with it. Its session (if it is still there) is CLOSING. */
void cluster_forget(struct cluster *c, struct cluster_member *member);
/* Ends a session at once. It must have no member. */
void cluster_drop(struct cluster *c, struct cluster_session *s);

struct cluster_member *cluster_find(const struct cluster *c, uint64_t number);
struct cluster_member *cluster_find_id(const struct cluster *c, const char *id);
struct cluster_session *cluster_session_find(const struct cluster *c, uint64_t number);

/* Does the job hold a slot of the member for another attempt? Then its worker still runs there. */
bool cluster_holds_other(const struct cluster_member *m, struct weir_id job, uint32_t attempt);
/* Marks the lowest free slot of a member as used; there must be one. */
void cluster_take(struct cluster_member *m, struct weir_id job, uint32_t attempt, uint32_t slot);
/* Frees every slot of the member used for the attempt. Returns how many. */
uint32_t cluster_release(struct cluster_member *m, struct weir_id job, uint32_t attempt);
void cluster_slots(const struct cluster *c, uint32_t *total, uint32_t *free_slots);

#endif
