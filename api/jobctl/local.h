/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cluster for one job: one weir-jobmanager and N weir-taskmanagers as processes of this computer, on ipc:// sockets in a private folder.
 *
 *   DIR/control, DIR/admin       sockets of the JobManager             DIR/jobmanager.log   what it wrote
 *   DIR/data                     its data                              DIR/tm-1.log         what the TaskManager and its workers wrote to
 * stderr DIR/tm-1 ...                 sockets of the workers
 *
 * The programs stand beside the running one. TaskManagers inherit standard output, for jobs that print. Each process has a process group of
 * its own, so that Ctrl-C on the terminal reaches only jobctl, and ends with its parent, whatever happens to that (--exit-with-parent).
 * Owner: one thread, the main one: the kernel ties a child's end to the thread that started it.
 */
#ifndef WEIR_JOBCTL_LOCAL_H
#define WEIR_JOBCTL_LOCAL_H

#include "api/client/client.h"
#include <stdio.h>

#define LOCAL_DIR_MAX 64      /* bytes of DIR; a longer $TMPDIR is not used but /tmp, for a socket's path has at most 107 */
#define LOCAL_START_MS 15000  /* until all TaskManagers are registered; then the start has failed */
#define LOCAL_STOP_MS 5000    /* between SIGTERM and SIGKILL */
#define LOCAL_TAIL_BYTES 2048 /* of each log shown when something went wrong */

struct local;

struct local_config {
    const char *programs;  /* folder of weir-jobmanager and weir-taskmanager; NULL: that of the running program. Kept. */
    uint32_t taskmanagers; /* 0: a JobManager alone, which can plan jobs but not run them */
    uint32_t slots;        /* of each */
    uint32_t n_definitions;
    const char *const *definitions; /* KEY=VALUE, at most CTL_DEFINITIONS_MAX: configuration of every process. Kept. */
};

/*
 * Makes the folder and starts the processes; local_wait_ready tells when they are ready.
 * Gives *out. Errors: WEIR_E_NOT_FOUND (a program is not there), WEIR_E_IO, WEIR_E_NOMEM. On failure nothing is left behind.
 */
weir_err local_new(struct local **out, const struct local_config *config, struct weir_diag *diag);

/*
 * Ends the processes (SIGTERM, after LOCAL_STOP_MS or at an interrupt SIGKILL to their groups), waits for them, removes the folder.
 */
void local_destroy(struct local **local);

/* "ipc://DIR/admin", borrowed. */
const char *local_admin(const struct local *local);

/*
 * WEIR_OK while all processes run. WEIR_E_UNREACHABLE says which one has ended and how; WEIR_E_ARGUMENT likewise, of one that refused its
 * configuration.
 */
weir_err local_check(struct local *local, struct weir_diag *diag);

/* Whether the JobManager runs still, as far as local_check has seen. */
bool local_jobmanager_runs(const struct local *local);

/*
 * Waits until the JobManager answers and all TaskManagers are registered. `client` speaks to local_admin.
 * Errors: WEIR_E_UNREACHABLE, WEIR_E_ARGUMENT (a process ended: local_check), WEIR_E_TIMEOUT (LOCAL_START_MS), WEIR_E_CANCELED (interrupt),
 * others of the client.
 */
weir_err local_wait_ready(struct local *local, struct weir_client *client, struct weir_diag *diag);

/* Prints the end of each log that is not empty. */
void local_print_logs(const struct local *local, FILE *out);

#endif
