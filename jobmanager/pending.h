/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of the admin endpoint that wait until what they promise is in the catalog: a job is told to be submitted or canceled, a savepoint
 * or the like to be taken, and a plugin to be uploaded, when that survives the JobManager's death. Part of the server. Owner: the main
 * thread.
 */
#ifndef WEIR_JOBMANAGER_PENDING_H
#define WEIR_JOBMANAGER_PENDING_H

#include "jobmanager/admin.h"
#include "runtime/base/limits.h"

/* A submission, a cancel and two requests of each job that has not ended, and uploads; more are refused with LIMIT. */
#define PENDING_MAX (4 * WEIR_JOBS_ACTIVE_MAX + STORE_UPLOADS_MAX)
#define PENDING_ROUTE_MAX 255 /* bytes of a routing id of ZeroMQ */

struct pending_answer {
    struct weir_id awaited; /* as in the reply */
    enum job_key key;
    uint8_t route_len;
    unsigned char route[PENDING_ROUTE_MAX]; /* to whom it goes */
    bool delimited;                         /* an empty part stands in front */
    struct admin_reply reply;
};

/* Embedded value; zero-initialised it is empty. */
struct pending {
    uint32_t n;
    struct pending_answer at[PENDING_MAX];
};

/* Takes the reply, which waits for reply->awaits. False: there is no room; the reply is still the caller's. */
bool pending_add(struct pending *p, struct weir_bytes route, bool delimited, struct admin_reply *reply);
/* Gives one of the answers that wait for it; the caller sends and closes it. False: none does. */
bool pending_take(struct pending *p, struct weir_id awaited, enum job_key key, struct pending_answer *out);
void pending_close(struct pending *p);

#endif
