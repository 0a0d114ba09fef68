/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that survive a crash. What has a final name is whole: it was written under a temporary name, fsynced, renamed. The folder's own
 * entry is durable only after files_sync_folder, which the owner calls once for many files.
 *
 * A failed fsync is never retried: the kernel may have dropped the pages and report success the next time. The file is removed and the
 * operation has failed. Nothing here makes a folder that is missing: a storage that is away is an error, not an empty storage.
 * Every error names the file. Thread: any.
 */
#ifndef WEIR_RUNTIME_CHECKPOINT_FILES_H
#define WEIR_RUNTIME_CHECKPOINT_FILES_H

#include "runtime/base/buffer.h"
#include "runtime/checkpoint/layout.h"

/* Writes a file whole, in place of one of that name. Afterwards either the old or the new one is there. The folder is not synced. */
weir_err files_write(const char *dir, const char *name, const void *data, size_t length, struct weir_diag *diag);

/* Makes the entries of a folder durable. */
weir_err files_sync_folder(const char *dir, struct weir_diag *diag);

/* Appends the whole file. Errors: WEIR_E_NOT_FOUND, WEIR_E_IO, WEIR_E_LIMIT (longer than `max`), WEIR_E_NOMEM. */
weir_err files_read(const char *path, size_t max, struct buffer *out, struct weir_diag *diag);

/* What a file has to be. */
struct files_seal {
    uint64_t bytes;
    uint32_t crc32c;
};

/* Reads a file and compares. Errors: WEIR_E_CORRUPT, WEIR_E_NOT_FOUND, WEIR_E_IO. */
weir_err files_verify(const char *path, const struct files_seal *seal, struct weir_diag *diag);

/*
 * Puts a file that nobody writes any more, and that its writer has fsynced, into a folder of content-named files: as a hard link where
 * that is possible (then both names share the bytes, which is safe since they never change), else as an fsynced copy. One that is there
 * is left and made young (its modification time), so that a sweep sees that it is in use.
 *
 * path, seal  of the local file. One that is not as sealed is refused (WEIR_E_CORRUPT).
 * content     in and out. "": not known, the file is read and its name given. Else what an earlier call gave: the file is read only if it
 *             has to be copied once more.
 * *added      bytes that were not there before; may be NULL.
 */
weir_err files_put(const char *path, const struct files_seal *seal, const char *to_dir, char content[static CONTENT_NAME], uint64_t *added,
                   struct weir_diag *diag);

/*
 * The way back: DIR/CONTENT becomes TO_DIR/CONTENT, as a link or a copy. A copy is compared on the way, a link or a file that is there
 * already only by its length: keyed_restore (runtime/state/keyed.h) reads every file anyway and compares its checksum. Nothing is fsynced:
 * what is local is scratch. Errors as files_verify.
 */
weir_err files_fetch(const char *dir, const char *content, const struct files_seal *seal, const char *to_dir, struct weir_diag *diag);

#endif
