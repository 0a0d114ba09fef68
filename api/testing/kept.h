/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A checkpoint of a job inside one process: what its subtasks handed over, state files persisted in a folder, all else copied. What a
 * worker, a storage and a coordinator do together, without their processes.
 */
#ifndef WEIR_API_TESTING_KEPT_H
#define WEIR_API_TESTING_KEPT_H

#include "runtime/task/subtask.h"

struct kept; /* heap */

/* dir: copied; exists, and holds the files of all checkpoints of the job. */
weir_err kept_new(struct kept **out, uint64_t id, const char *dir, struct weir_diag *diag);
void kept_destroy(struct kept **kept);

/* Persists the snapshot and copies it; the caller settles it afterwards. Errors: keyed_persist's, WEIR_E_NOMEM; of a declined one its own.
 */
weir_err kept_add(struct kept *kept, const struct subtask_snapshot *snapshot, struct weir_diag *diag);

uint32_t kept_count(const struct kept *kept); /* subtasks so far */
uint64_t kept_id(const struct kept *kept);

/* Do both ends of every channel tell the same? Else *channel is one where they do not. */
bool kept_ledgers_agree(const struct kept *kept, uint32_t *channel);

/* For subtask_restore; borrowed from the checkpoint. */
struct restore kept_restore(const struct kept *kept);

#endif
