/* SPDX-License-Identifier: Apache-2.0 */
/* The running worker: one attempt of one job. Its main thread is the net thread. See handover.h for what it is given. */
#ifndef WEIR_TASKMANAGER_WORKER_WORKER_H
#define WEIR_TASKMANAGER_WORKER_WORKER_H

/* data_endpoint: where to bind the data socket. Returns the exit status; the last message on the pipe says how the attempt ended. */
int worker_run(const char *data_endpoint);

#endif
