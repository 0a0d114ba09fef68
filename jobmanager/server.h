/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver of the JobManager: one thread that waits for sockets, processes, signals and the master's deadline, hands what came to the
 * master (master.h) or the admin endpoint (admin.h), and performs what they decide. It decides nothing itself.
 */
#ifndef WEIR_JOBMANAGER_SERVER_H
#define WEIR_JOBMANAGER_SERVER_H

#include "jobmanager/job_options.h"
#include "jobmanager/peer/peer.h"
#include "runtime/base/heartbeat.h"

struct jobmanager;

struct jobmanager_config {             /* strings are kept by the caller as long as the server lives */
    const char *bind;                  /* endpoint for TaskManagers */
    const char *admin;                 /* endpoint for clients */
    const char *data_dir;              /* of the artifact store */
    const char *worker_path;           /* program that describes graphs */
    const struct job_options *options; /* of jobs that say nothing else */
    struct heartbeat heartbeat;
    struct peer *peer; /* of the coordination, whose leader leads the cluster; borrowed */
    int signals;       /* process_signals_open; borrowed */
};

/*
 * Opens the store and binds the sockets. "listening", with the real endpoints, is logged when it leads: before, and when it leads no more,
 * TaskManagers and clients are told who does. Errors: of store_open, net_socket_bind; WEIR_E_NOMEM.
 */
weir_err jobmanager_new(struct jobmanager **out, const struct jobmanager_config *config, struct weir_diag *diag);
/* Runs until SIGTERM, SIGINT or SIGHUP. Errors: of master_step with LISTED (the catalog holds what cannot be read). */
weir_err jobmanager_run(struct jobmanager *jobmanager, struct weir_diag *diag);
void jobmanager_destroy(struct jobmanager **jobmanager);

#endif
