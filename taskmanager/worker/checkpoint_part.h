/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A subtask's part of a checkpoint, on the way from its snapshot to the pack: persists what was frozen, and copies all else, so that the
 * snapshot can go back to its task thread at once. Thread: the snapshot thread.
 */
#ifndef WEIR_TASKMANAGER_WORKER_CHECKPOINT_PART_H
#define WEIR_TASKMANAGER_WORKER_CHECKPOINT_PART_H

#include "runtime/base/arena.h"
#include "runtime/checkpoint/pack.h"
#include "runtime/task/snapshot.h"
#include "taskmanager/worker/local_files.h"

/* A file that the part names, and where it lies. */
struct part_file {
    struct pack_file *file;
    char name[LOCAL_NAME];
};

struct checkpoint_part {
    struct checkpoint_part *next; /* in a list of its holder */
    struct arena arena;           /* of all below */
    uint64_t id;                  /* of the checkpoint */
    struct pack_subtask subtask;
    uint32_t n_files;
    struct part_file *files;
    uint32_t n_ledger;
    struct snapshot_ledger *ledger;
    uint64_t sync_us, align_us;
};

/*
 * Persists the snapshot's frozen state into the folder of `local`, where its files are noted, and gives the part. The snapshot must not
 * be a declined one, and belongs to its task thread as before. A failure is one of the local disk or of memory: the attempt has failed.
 * Errors: of keyed_persist; WEIR_E_NOMEM.
 */
weir_err checkpoint_part_new(struct checkpoint_part **out, const struct subtask_snapshot *snapshot, struct local_files *local,
                             struct weir_diag *diag);
void checkpoint_part_destroy(struct checkpoint_part **part);

#endif
