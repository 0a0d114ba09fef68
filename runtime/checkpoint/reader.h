/* SPDX-License-Identifier: Apache-2.0 */
/* A checkpoint or savepoint, opened: manifest and packs read and verified; and sealed: its manifest written when all is there. */
#ifndef WEIR_RUNTIME_CHECKPOINT_READER_H
#define WEIR_RUNTIME_CHECKPOINT_READER_H

#include "runtime/checkpoint/files.h"
#include "runtime/checkpoint/manifest.h"
#include "runtime/checkpoint/pack.h"

struct checkpoint {
    char dir[PATH_MAX];     /* of the manifest */
    char files[PATH_MAX];   /* where its content-named files lie */
    struct files_seal seal; /* of the manifest */
    struct manifest manifest;
    struct pack *packs; /* manifest.n_packs of them */
};

/*
 * path    the folder, or its MANIFEST; copied.
 * expect  what the manifest must be (as the pointer to it says), or NULL.
 * Packs are read and verified against the manifest. Of state files only existence and length are checked: files_fetch verifies them where
 * they are used, checkpoint_verify all of them.
 * Errors: WEIR_E_NOT_FOUND (no folder, no MANIFEST: it was never completed, a file is missing), WEIR_E_CORRUPT, WEIR_E_UNSUPPORTED,
 * WEIR_E_IO, WEIR_E_NOMEM. Each names the file.
 */
weir_err checkpoint_open(struct checkpoint **out, const char *path, const struct files_seal *expect, struct weir_diag *diag);
void checkpoint_close(struct checkpoint **checkpoint);

/* Reads every state file and compares its checksum. */
weir_err checkpoint_verify(const struct checkpoint *checkpoint, struct weir_diag *diag);

/* Where a walk over all operators of all subtasks stands; zeroed at first. */
struct checkpoint_place {
    uint32_t pack, subtask, step;
};

/* The next instance of an operator (id NULL: of any), subtask by subtask; NULL at the end. subtask may be NULL. */
const struct pack_operator *checkpoint_next(const struct checkpoint *checkpoint, const char *id, struct checkpoint_place *at,
                                            const struct pack_subtask **subtask);

/* True when an instance of it holds state, a split that was begun, or something prepared: it can't be left out without a word. */
bool checkpoint_has_state(const struct checkpoint *checkpoint, const char *operator_id);

/* Where a file of a state lies, when it is not inlined. */
weir_err checkpoint_file_path(const struct checkpoint *checkpoint, const struct pack_file *file, char out[static PATH_MAX],
                              struct weir_diag *diag);

/*
 * Makes the folders of a savepoint, PATH and PATH/files, and says in there for whose request; its parent must exist, PATH may if it is
 * empty. Errors: WEIR_E_EXISTS (something is in it), WEIR_E_NOT_FOUND, WEIR_E_IO.
 */
weir_err savepoint_begin(const char *path, struct weir_id request, struct weir_diag *diag);
/* Behind checkpoint_seal: it is nobody's any more but its user's. Errors: WEIR_E_IO. */
weir_err savepoint_finish(const char *path, struct weir_id request, struct weir_diag *diag);
/*
 * Removes it if it is still the one of this request, whose JobManager has gone: then nobody will finish it, and a path that holds anything
 * else is left alone. Errors: WEIR_E_IO.
 */
weir_err savepoint_give_up(const char *path, struct weir_id request, struct weir_diag *diag);

/*
 * Completes a checkpoint whose packs and files have been written and fsynced by their workers: opens each pack, compares it with what the
 * manifest says of it and of the checkpoint, looks that every file it names is there with its length, and writes MANIFEST, durably, into
 * `dir` (which is durable in its own folder afterwards, too). Gives its seal, and the checkpoint as checkpoint_open would, when `out` is
 * not NULL. On failure there is no MANIFEST, unless the very last fsync failed: then the folder must be removed, not used.
 */
weir_err checkpoint_seal(const char *dir, const struct manifest *manifest, struct files_seal *seal, struct checkpoint **out,
                         struct weir_diag *diag);

/* Removes a whole checkpoint or savepoint folder, the MANIFEST first, so that no half of it is ever taken for a whole. */
weir_err checkpoint_remove(const char *dir, struct weir_diag *diag);

#endif
