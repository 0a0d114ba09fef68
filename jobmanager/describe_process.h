/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A throw-away process that describes a job's graph (taskmanager/worker/handover.h), as the JobManager sees it: foreign code runs there,
 * not here.
 *
 *     describe_start ──▶ running ──(process ended, its message read)──▶ describe_step says true: `graph` or `err` and `reason`
 *
 * Nothing here waits: the caller polls the two descriptors of describe_waits. The time limit is the master's, which orders an end by
 * MASTER_DO_STOP_DESCRIBE; describe_destroy kills. Owner: the main thread.
 */
#ifndef WEIR_JOBMANAGER_DESCRIBE_PROCESS_H
#define WEIR_JOBMANAGER_DESCRIBE_PROCESS_H

#include "runtime/base/id.h"
#include "runtime/net/socket.h"
#include "runtime/plan/graph.h"

struct describe;

struct describe_config {
    const char *worker_path;
    int plugin_fd; /* memory file with the plugin; taken, also on failure */
    struct weir_id job;
    uint32_t parallelism;
    const char *name, *cwd;
    uint32_t n_args; /* without argv[0] */
    const char *const *args;
};

/* Errors: as child_start; WEIR_E_NOMEM. */
weir_err describe_start(struct describe **out, const struct describe_config *config, struct weir_diag *diag);
/* Kills the process if it still runs. */
void describe_destroy(struct describe **describe);

struct weir_id describe_job(const struct describe *d);
/* What to poll for. */
void describe_waits(const struct describe *d, struct net_wait out[static 2]);

struct describe_result {
    weir_err err;
    struct weir_diag diag; /* when err */
    struct graph graph;    /* otherwise; the caller's to close */
};
/* Reads what there is. true: it is over, and *out is filled; then only describe_destroy may follow. */
bool describe_step(struct describe *d, struct describe_result *out);

#endif
