/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names in a checkpoint storage.
 *
 *     DIR/JOBID/chk-N/MANIFEST        DIR: execution.checkpointing.dir
 *              /chk-N/pack-W          one a worker
 *              /shared/CONTENT        state files, immutable, named by what is in them
 *              /drop-N                a deletion that was begun (journal.h)
 *     PATH/MANIFEST  pack-W  files/CONTENT        a savepoint: self-contained, may be moved
 *         /unfinished-REQUEST                     while it is being taken: who asked for it
 *
 * A file that is being written is called .tmp-NAME-RANDOM, and nobody reads it.
 */
#ifndef WEIR_RUNTIME_CHECKPOINT_LAYOUT_H
#define WEIR_RUNTIME_CHECKPOINT_LAYOUT_H

#include <limits.h>

#include "runtime/base/hash.h"
#include "runtime/base/id.h"
#include "weir/base.h"

#define LAYOUT_MANIFEST "MANIFEST"
#define LAYOUT_SHARED "shared" /* in a job's folder */
#define LAYOUT_FILES "files"   /* in a savepoint's */
#define LAYOUT_TEMPORARY ".tmp-"
#define LAYOUT_UNFINISHED "unfinished-" /* and the id of a request */

#define CONTENT_NAME 54 /* 32 hex digits, '-', at most 20 digits, NUL */
#define PACK_NAME 16    /* "pack-", at most 10 digits, NUL */

/* The name of a file with these bytes. */
const char *content_name(struct hash128 hash, uint64_t bytes, char out[static CONTENT_NAME]);
/* False: that is no such name. */
bool content_parse(const char *name, struct hash128 *hash, uint64_t *bytes);

const char *layout_pack(uint32_t worker, char out[static PACK_NAME]);
bool layout_is_pack(const char *name);

/* Paths; WEIR_E_LIMIT when one is longer than PATH_MAX. */
weir_err layout_job(const char *storage_dir, struct weir_id job, char out[static PATH_MAX], struct weir_diag *diag);
weir_err layout_checkpoint(const char *job_dir, uint64_t id, char out[static PATH_MAX], struct weir_diag *diag);
weir_err layout_join(const char *dir, const char *name, char out[static PATH_MAX], struct weir_diag *diag);

/* The number of "chk-N" or "drop-N" (prefix "chk-", "drop-"); false for a name that is none. */
bool layout_number(const char *name, const char *prefix, uint64_t *id);

#endif
