/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plans without jobs: what POST /plugins/:id/plan asked for, until its answer has been fetched or nobody wants it.
 *
 *     begin ──▶ DESCRIBING ──described──▶ READY, or FAILED: no graph, or none that can run
 *                   └── WEIR_DESCRIBE_TIMEOUT_MS ──▶ FAILED, and the describing process is to be stopped
 *     READY, FAILED: forgotten after PLANS_KEPT_MS, or when their place is needed
 *
 * A core: no process, clock or randomness of its own. Owner: one thread.
 */
#ifndef WEIR_JOBMANAGER_PLANS_H
#define WEIR_JOBMANAGER_PLANS_H

#include "jobmanager/job.h"

#define PLANS_MAX 16        /* kept at once; when all are being described, a further request is answered 429 */
#define PLANS_KEPT_MS 60000 /* how long an answer waits to be fetched */

enum plans_state { PLANS_DESCRIBING = 1, PLANS_READY, PLANS_FAILED };

/* One that was asked for. */
struct planned {
    struct weir_id id;         /* of the request */
    struct weir_digest digest; /* of the plugin */
    enum plans_state state;
    char name[WEIR_NAME_MAX + 1]; /* as asked; "" = the graph's */
    uint32_t parallelism;         /* default of the job's steps, at least 1 */
    struct graph graph;           /* READY */
    struct plan *plan;
    struct weir_diag diag; /* FAILED: why */
    int64_t until_ms;      /* DESCRIBING: time limit; else when it is forgotten */
};

struct plans {
    uint32_t n;
    struct planned at[PLANS_MAX]; /* oldest first */
};

/* sub: the job that would be submitted; its id is the request's. Errors: of job_submission_check; WEIR_E_LIMIT (PLANS_MAX are being made).
 */
weir_err plans_begin(struct plans *p, const struct job_submission *sub, int64_t now_ms, struct weir_diag *diag);
/*
 * The describing process has ended, or could not start: with `err` and its sentence, or with a graph, which is taken. False: no plan of
 * this id is being described, and nothing happens.
 */
bool plans_described(struct plans *p, struct weir_id id, weir_err err, const char *reason, struct graph *graph, int64_t now_ms);
/* What was asked for under this id, or NULL: never, or forgotten. Borrowed until the next call. */
const struct planned *plans_find(const struct plans *p, struct weir_id id);
/* Name of a READY one. */
const char *plans_name(const struct planned *planned);
/*
 * Time passes. True: the description of *stop has taken too long, its process is to be stopped; call again. False: nothing more to do.
 */
bool plans_expire(struct plans *p, int64_t now_ms, struct weir_id *stop);
void plans_close(struct plans *p);

#endif
