/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The admin endpoint: requests of docs/protocol/admin.md to answers. It reads views of the master, the store and the plans, and changes
 * things only through `step` and the latter two. Every request, whatever it is, gets exactly one answer. No sockets here: the server brings
 * the parts and sends the answer.
 */
#ifndef WEIR_JOBMANAGER_ADMIN_H
#define WEIR_JOBMANAGER_ADMIN_H

#include "jobmanager/artifacts.h"
#include "jobmanager/master.h"
#include "jobmanager/plans.h"
#include "jobmanager/store.h"
#include "runtime/net/rest.h"
#include "runtime/net/socket.h"

#define ADMIN_PART_MAX \
    (4u * WEIR_ADMIN_MAX)         /* bytes of one part; above, the sender loses its connection. Between WEIR_ADMIN_MAX and this: 413 */
#define ADMIN_REQUEST_ID_MAX 128u /* bytes of a request-id that is mirrored; a longer one is not */

#define ADMIN_LEADER_MAX 256u /* bytes of an endpoint with its NUL */

struct admin {
    struct master *master;
    struct store *store;
    struct artifacts *artifacts;
    struct plans *plans;
    const char *savepoint_dir;                 /* of jobs whose options name none; kept */
    const char *control, *endpoint, *data_dir; /* shown by GET /config; kept */
    /* Steps the master with this event (the times are filled in) and performs what it decides. Gives its answer. */
    void (*step)(void *arg, struct master_event *ev, struct weir_diag *answer);
    /* Starts to describe the graph of a job that is not submitted; `plans` hears of its end. */
    weir_err (*describe)(void *arg, const struct job_submission *sub, struct weir_diag *diag);
    void *arg;
    /* While the master does not lead every request is answered 503: the admin endpoint of who does, "" = nobody, or unknown. */
    char leader[ADMIN_LEADER_MAX];
};

struct admin_reply {
    enum rest_status status;
    char headers[ADMIN_REQUEST_ID_MAX + 64];
    char *body; /* JSON, or the bytes of a plugin; NULL = empty */
    size_t len;
    /*
     * What it waits for; zero = nothing, it is sent at once. A job: until that, or its cancel, is accepted (MASTER_DO_ACCEPTED). A plugin,
     * by admin_ticket: until the catalog names it (MASTER_DO_ARTIFACT), or it is given up.
     */
    struct weir_id awaits;
    enum job_key awaits_key; /* as there; JOB_KEYS: a plugin */
};

/*
 * Answers the request in `parts` (without the routing id; an empty part in front is skipped). roles: of whoever asks (enum net_role;
 * NET_ROLES_ALL in a process without keys); what none of them allows is answered 403.
 */
void admin_handle(struct admin *a, uint32_t roles, const struct weir_bytes *parts, uint32_t n, struct admin_reply *out);
/* What it waited for has failed: another answer takes its place. */
void admin_reply_fail(struct admin_reply *reply, weir_err err, const char *reason);
/* How `awaits` names a plugin. */
struct weir_id admin_ticket(struct weir_digest digest);
void admin_reply_close(struct admin_reply *reply);

#endif
