/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver of the TaskManager: one thread that waits for the JobManager's socket, the workers' pipes and ends, signals and the
 * supervisor's deadline, hands what came to the supervisor (supervisor.h), and performs what it decides. It decides nothing itself.
 */
#ifndef WEIR_TASKMANAGER_SERVER_H
#define WEIR_TASKMANAGER_SERVER_H

#include "runtime/base/heartbeat.h"

struct taskmanager;

struct taskmanager_config { /* strings are kept by the caller as long as the server lives */
    const char *jobmanager; /* its control endpoint, or several, separated by commas */
    const char *id;         /* of this TaskManager */
    const char
        *data; /* tcp://HOST:* or ipc://PATH: each worker gets PATH-HEX, or PATH/HEX if PATH is a folder; ipc://@NAME leaves no file */
    const char *worker_path;
    const char *worker_key, *known_keys; /* files, for jobs' clients of the tree; worker_key "": they have none */
    /* Base of scratch folders (runtime/base/scratch.h): its own, with local copies of checkpoints, and those of its workers. */
    const char *state_dir;
    uint64_t slot_memory; /* bytes of state a slot may hold in memory; 0 = the default */
    uint32_t segment;     /* bytes of a frame */
    uint32_t slots;
    struct heartbeat heartbeat; /* until a JobManager has told its own */
    uint32_t leader_wait_ms;    /* supervisor.h; 0 = the default */
    int signals;                /* process_signals_open; borrowed */
};

/* Errors: WEIR_E_ARGUMENT, WEIR_E_UNSUPPORTED (endpoints, id, slots); WEIR_E_NOMEM. */
weir_err taskmanager_new(struct taskmanager **out, const struct taskmanager_config *config, struct weir_diag *diag);
/* Runs until the supervisor ends: WEIR_OK after a signal, else the JobManager's refusal and its words. */
weir_err taskmanager_run(struct taskmanager *taskmanager, struct weir_diag *diag);
void taskmanager_destroy(struct taskmanager **taskmanager);

#endif
