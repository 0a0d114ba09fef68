/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker's checkpoints as files. Parts come one by one (checkpoint_store_add); when all of a checkpoint are there, its files are put
 * into the checkpoint storage, then one pack that names them (checkpoint_store_write). What a checkpoint named stays on the local disk
 * under its content's name, until a newer one is complete. All of it blocks on disk.
 *
 *     LOCAL/NAME ──link or copy──▶ JOB/shared/CONTENT (a savepoint: DIR/files/CONTENT)      JOB/chk-N/pack-W (DIR/pack-W)
 *           └───────link─────────▶ LOCAL/CONTENT
 *
 * A failure of the storage is the checkpoint's, a failure of the local folder the attempt's: add fails with the one, write with the other.
 *
 * Owner: the snapshot thread.
 */
#ifndef WEIR_TASKMANAGER_WORKER_CHECKPOINT_STORE_H
#define WEIR_TASKMANAGER_WORKER_CHECKPOINT_STORE_H

#include "runtime/checkpoint/files.h"
#include "taskmanager/worker/checkpoint_part.h"

struct checkpoint_store_config {
    const char *job_dir; /* in the checkpoint storage; copied */
    struct weir_id job;
    uint32_t attempt, worker;
    struct local_files *local; /* kept */
};

/* What a worker acknowledges. */
struct checkpoint_written {
    char pack[PACK_NAME];
    struct files_seal seal;          /* of the pack */
    uint64_t state_bytes, new_bytes; /* of all files it names; of those that the storage did not have */
    uint64_t sync_us_max, align_us_max;
    uint32_t n_ledger;
    struct snapshot_ledger *ledger; /* owned: free */
};

struct checkpoint_store;

/* Errors: WEIR_E_NOMEM. */
weir_err checkpoint_store_new(struct checkpoint_store **out, const struct checkpoint_store_config *config, struct weir_diag *diag);
void checkpoint_store_destroy(struct checkpoint_store **store);

/* As checkpoint_part_new; the part is kept for checkpoint_store_write. */
weir_err checkpoint_store_add(struct checkpoint_store *store, const struct subtask_snapshot *snapshot, struct weir_diag *diag);

/*
 * Makes checkpoint `id` of the parts that came for it durable in the storage, and drops them, whatever comes of it.
 * dir: of a savepoint, its folder; "" = the job's. Errors: of files_put, files_write, pack_encode: each names the file.
 */
weir_err checkpoint_store_write(struct checkpoint_store *store, uint64_t id, const char *dir, struct checkpoint_written *out,
                                struct weir_diag *diag);

/* The checkpoints up to `id` will not be written any more. */
void checkpoint_store_drop(struct checkpoint_store *store, uint64_t id);

#endif
