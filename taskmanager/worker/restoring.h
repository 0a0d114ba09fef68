/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way back from a checkpoint: opens and verifies it, brings the state files that this worker needs into the local folder (copies that
 * are there already first, if they are right), and gives every subtask its share. Blocks on disk.
 *
 * Thread: the snapshot thread, before the task threads are started.
 */
#ifndef WEIR_TASKMANAGER_WORKER_RESTORING_H
#define WEIR_TASKMANAGER_WORKER_RESTORING_H

#include "taskmanager/worker/deployment.h"
#include "taskmanager/worker/local_files.h"

struct restoring_result {
    uint64_t bytes;            /* of state files */
    uint64_t from_local_bytes; /* of them from copies that were there */
    uint32_t n_files;
};

/*
 * deploy: the DEPLOY message, which names a checkpoint. Afterwards the local folder holds what the checkpoint needs, and nothing else.
 * Errors: WEIR_E_STATE (state of operators that the job no longer has, unless allow_unmatched); WEIR_E_CORRUPT, WEIR_E_NOT_FOUND,
 * WEIR_E_IO: a file, by its name; WEIR_E_NOMEM.
 */
weir_err restoring_run(const struct wire_msg *deploy, struct deployment *d, struct local_files *local, struct restoring_result *out,
                       struct weir_diag *diag);

#endif
