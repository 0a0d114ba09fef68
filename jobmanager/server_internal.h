/* SPDX-License-Identifier: Apache-2.0 */
/* The server's parts: what they share, and what each does for the others. server.h says what it is. */
#ifndef WEIR_JOBMANAGER_SERVER_INTERNAL_H
#define WEIR_JOBMANAGER_SERVER_INTERNAL_H

#include "jobmanager/server.h"

#include <limits.h>

#include "jobmanager/admin.h"
#include "jobmanager/artifact_links.h"
#include "jobmanager/describe_process.h"
#include "jobmanager/leadership.h"
#include "jobmanager/live_tree.h"
#include "jobmanager/pending.h"
#include "jobmanager/routes.h"
#include "jobmanager/storage_thread.h"
#include "runtime/base/log.h"

enum { DESCRIBES_MAX = WEIR_JOBS_ACTIVE_MAX + PLANS_MAX };

struct deferred;

struct jobmanager {
    struct jobmanager_config config;
    struct store *store;
    struct artifacts *artifacts;
    struct artifact_links *links; /* to other JobManagers */
    struct leadership leadership;
    struct zab_members members;    /* of the ensemble */
    uint64_t connection;           /* of the catalog, to the peer */
    struct live_tree *live;        /* the live configuration */
    uint64_t live_connection;      /* to the peer */
    int64_t live_retry_ms;         /* without one: when the next is made */
    uint64_t live_seen, live_told; /* readings: that the log has heeded; that the master was told */
    enum log_level log_level;      /* as configured */
    struct storage_thread *storage;
    char checkpoint_dir[PATH_MAX], savepoint_dir[PATH_MAX]; /* of jobs whose options name none */
    struct master *master;                                  /* leads when the catalog serves; else it tells TaskManagers who does */
    struct master_actions actions;
    struct net_socket *control, *admin_socket;
    struct routes *routes;
    struct admin admin;
    struct pending pending;
    struct net_parts parts;
    struct deferred *first, **last;
    struct deferred *waiting; /* for plugins; of no order */
    struct plans plans;
    struct describe *describes[DESCRIBES_MAX];
    uint32_t n_describes;
    int64_t expire_at_ms;
    bool stopping;
    struct weir_diag failure; /* why it ends, if it had to */
    unsigned char chunk[WEIR_CHUNK_BYTES];
};

/* ---- server_step.c: what the master decides, performed ---- */

/* Steps the master with this event (the times are filled in) and performs what it decides. */
void server_step(struct jobmanager *s, struct master_event *ev);
/* To one client. route: its routing id; delimited: an empty part stood in front of its request. */
void server_answer(struct jobmanager *s, struct weir_bytes route, bool delimited, const struct admin_reply *reply);
/* Whoever asked is answered. A job that was taken over from a predecessor, or found in the catalog, has nobody who waits. */
void server_answer_waiting(struct jobmanager *s, struct weir_id awaited, enum job_key key, weir_err err, const char *reason);
void server_answer_upload(struct jobmanager *s, struct weir_digest digest, weir_err err, const char *reason);

/* ---- server_deferred.c: what is read from plugins, after the step that asks for it: graphs, and chunks for TaskManagers ---- */

void server_defer_describe(struct jobmanager *s, const struct job *job);
void server_defer_chunk(struct jobmanager *s, uint64_t reader, struct weir_digest digest, uint64_t offset);
void server_do_deferred(struct jobmanager *s);
/* A plugin came: whoever waited for one looks again. */
void server_resume_waiting(struct jobmanager *s);
/* The graph of a job that is not submitted: admin.h. */
weir_err server_describe(void *server, const struct job_submission *sub, struct weir_diag *diag);
void server_stop_describe(struct jobmanager *s, struct weir_id job);
/* Hears what the processes that describe say. */
void server_take_describes(struct jobmanager *s);
/* What was under way for a master that is no more. */
void server_forget_work(struct jobmanager *s);

/* ---- server_lead.c: the peer's news, and whose turn it is to lead ---- */

/* A new master. With epoch 0 it leads nothing. */
void server_start_master(struct jobmanager *s, uint64_t epoch);
void server_take_peer(struct jobmanager *s);
/* Between the catalog's core and its two sides. */
void server_work_catalog(struct jobmanager *s);
/* It will lead in a moment: requests wait for that. Nobody is known to ask instead. */
bool server_is_about_to_lead(const struct jobmanager *s);

/* ---- server_artifacts.c, server_live.c ---- */

/* Between the artifacts' core and its three sides: the store, the catalog, other JobManagers. */
void server_work_artifacts(struct jobmanager *s);
/* Between the live configuration in the tree, this process and the master. */
void server_work_live(struct jobmanager *s, int64_t now_ms);
void server_end_live(struct jobmanager *s);

#endif
