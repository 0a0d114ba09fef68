/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state files of a job on this TaskManager's disk, in one folder that outlives the worker (handover.h, --local):
 *
 *     NAME     as the state layer wrote it (keyed_persist); goes when no snapshot names it any more
 *     CONTENT  the same file, linked, under the name it has in the checkpoint storage: what the next attempt looks for
 *
 * The folder is scratch: nothing in it is fsynced beyond what the state layer did, and everything is verified before it is used again.
 * Each name is noted with the newest checkpoint that needs it, so that a complete one lets all older ones go.
 *
 * Owner: one thread at a time.
 */
#ifndef WEIR_TASKMANAGER_WORKER_LOCAL_FILES_H
#define WEIR_TASKMANAGER_WORKER_LOCAL_FILES_H

#include "runtime/checkpoint/layout.h"

#define LOCAL_NAME 64 /* as struct keyed_file has it; a content name fits */

struct local_file {
    char name[LOCAL_NAME];
    char content[CONTENT_NAME]; /* "" = not known yet */
    uint64_t needed_by;         /* highest checkpoint that names it */
};

struct local_files;

/* dir is made with those above it, and copied. Errors: WEIR_E_IO, WEIR_E_LIMIT, WEIR_E_NOMEM. */
weir_err local_files_new(struct local_files **out, const char *dir, struct weir_diag *diag);
void local_files_destroy(struct local_files **files); /* forgets; the folder stays */
const char *local_files_dir(const struct local_files *files);

/* Notes that checkpoint `id` needs the file. The address lasts until the next call. NULL: no memory. */
struct local_file *local_files_need(struct local_files *files, const char *name, uint64_t id);
/* NULL: not noted. */
struct local_file *local_files_find(struct local_files *files, const char *name);
/* Removes what no checkpoint from `id` on needs: the noted files and, with `foreign`, all in the folder that were never noted. */
void local_files_release(struct local_files *files, uint64_t id, bool foreign);
uint32_t local_files_count(const struct local_files *files);

#endif
