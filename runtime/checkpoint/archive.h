/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The archive: a job's folder in the checkpoint storage, as the JobManager keeps it. Knows which retained checkpoint names which shared
 * file, and deletes what no retained one names.
 *
 *     archive_open ─▶ archive_keep (each retained one) ─▶ archive_clean ─▶ begin ─▶ complete ─┬▶ drop (older ones)
 *                                                                            └──────▶ drop ◀─────┘ (given up)
 *
 * Why a shared file is never missed by a checkpoint that was completed:
 *   - complete looks whether every file of the new checkpoint is there, and counts it, before the pointer is committed; deletions are made
 *     by the same thread, and spare what is counted. A worker that relied on a file which went meanwhile makes its checkpoint fail, and
 *     puts the file anew for the next one.
 *   - a deletion is first written down (drop-N, durable), then made; after a crash it is made again, without what is named by then.
 *   - what no checkpoint ever named (its own was given up) goes by archive_clean, when it has not been touched for a grace time.
 *   - while a retained checkpoint could not be read, no shared file is deleted at all.
 *
 * No failure here ends anything: what could not be deleted is left for the next call. Owner: one thread at a time; all may block on disk.
 */
#ifndef WEIR_RUNTIME_CHECKPOINT_ARCHIVE_H
#define WEIR_RUNTIME_CHECKPOINT_ARCHIVE_H

#include "runtime/checkpoint/reader.h"

#define ARCHIVE_GRACE_MS 600000 /* a shared file that nobody names is kept for so long after its last use */

struct archive;

/* job_dir: copied. Looks at nothing: a storage that is away now is no reason to forget what it holds. Gives *out. Errors: WEIR_E_LIMIT,
 * WEIR_E_NOMEM. */
weir_err archive_open(struct archive **out, const char *job_dir, struct weir_diag *diag);
void archive_destroy(struct archive **archive);
const char *archive_dir(const struct archive *archive);

/*
 * Opens a checkpoint that the catalog names, and counts its files. Gives it in *out unless that is NULL. After a failure it is kept all the
 * same, and no shared file is deleted until it has been dropped. Errors: of checkpoint_open.
 */
weir_err archive_keep(struct archive *archive, uint64_t id, const struct files_seal *expect, struct checkpoint **out,
                      struct weir_diag *diag);

/*
 * Makes deletions that were begun again, removes checkpoint folders which are neither kept nor `under_way` (0 = none), and shared and
 * temporary files that are not kept and older than grace_ms (0, when no worker of the job runs). *deleted: files and folders; may be NULL.
 * Errors: the first one met, after all else has been tried.
 */
weir_err archive_clean(struct archive *archive, uint64_t under_way, int64_t grace_ms, uint64_t *deleted, struct weir_diag *diag);

/* Makes chk-ID for the packs, and the job's folder if it is the first; the one above must be there. Errors: WEIR_E_EXISTS (an id is never
 * used twice), WEIR_E_NOT_FOUND, WEIR_E_IO. */
weir_err archive_begin(struct archive *archive, uint64_t id, struct weir_diag *diag);

/* checkpoint_seal in chk-ID, and counts its files. The caller then commits the pointer; if that fails for certain, archive_drop. */
weir_err archive_complete(struct archive *archive, const struct manifest *manifest, struct files_seal *seal, struct weir_diag *diag);

/*
 * Deletes a checkpoint, kept or begun, with the shared files that only it names; nothing may point to it any more (the catalog forgot it
 * first). One that is not there is no error. After a failure it is not kept any more, and archive_clean takes what is left of it.
 */
weir_err archive_drop(struct archive *archive, uint64_t id, struct weir_diag *diag);

uint32_t archive_kept(const struct archive *archive); /* number of checkpoints */

#endif
