/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One part file of the file sink: written out of sight, made durable, then shown under its name in one step.
 *
 *     part_open ── part_write ... ── part_sync ── part_commit
 *         └─────────── part_close: removes it unless committed ───┘
 *
 * While it is written the file has no name at all where the file system can do that (O_TMPFILE), so that a killed process leaves nothing
 * behind; elsewhere its name is ".part-00000.JOB.tmp" in the same folder. A failed write or fsync is final: after it the kernel may have
 * dropped the pages and a second fsync would report success (the "fsyncgate" of 2018), so every later call fails as well. Thread: one at a
 * time.
 */
#ifndef WEIR_CONNECTORS_FILE_PART_H
#define WEIR_CONNECTORS_FILE_PART_H

#include "weir/base.h"

/* Embedded. Closed: fd is -1. */
struct part {
    const char *dir;    /* borrowed */
    char name[64];      /* "part-00003" */
    char temporary[64]; /* ".part-00003.JOB.tmp" */
    int fd;
    bool named;     /* the temporary name exists */
    bool committed; /* the final name exists and is durable */
    bool failed;
    int64_t written;
};

struct part_options {
    const char *dir;
    uint32_t index;
    const char *job_id;
    bool always_named; /* do not use O_TMPFILE; for tests of what other file systems get */
};

/* Fills in the names; no file yet. */
void part_init(struct part *part, const struct part_options *options);

/* Makes the file. Errors: WEIR_E_IO, WEIR_E_NOT_FOUND (folder gone). */
weir_err part_open(struct part *part, const struct part_options *options, struct weir_diag *diag);
weir_err part_write(struct part *part, const void *data, size_t len, struct weir_diag *diag);
weir_err part_sync(struct part *part, struct weir_diag *diag);

/* Closes the descriptor of a file with a temporary name, and opens it again to write on at its end. For sinks with many files. */
void part_pause(struct part *part);
weir_err part_resume(struct part *part, struct weir_diag *diag);

/*
 * Shows the file under its name; replaces a file of that name when `replace`. Again after success: nothing happens.
 * Errors: WEIR_E_EXISTS, WEIR_E_IO.
 */
weir_err part_commit(struct part *part, bool replace, struct weir_diag *diag);

/* Removes the file unless its final name exists. Idempotent. */
void part_close(struct part *part);

/* ---- the folder ------------------------------------------------------------------------------------------------------------------ */

/* Makes the folder and its parents, and the new ones durable. Errors: WEIR_E_IO. */
weir_err part_make_folder(const char *dir, struct weir_diag *diag);

/* Is `name` one of a part file: "part-" and five digits or more? Then *index is its number. */
bool part_index(const char *name, uint32_t *index);

/* Finds a part file in the folder: *found, and its name in name[0..64). */
weir_err part_find(const char *dir, bool *found, char name[64], struct weir_diag *diag);

/* Removes part files with an index >= `from`, and the temporary files of other jobs that did not end well. Does not sync the folder. */
weir_err part_remove_from(const char *dir, uint32_t from, const char *job_id, struct weir_diag *diag);

/* Removes all part files of part->dir but this one, and the temporary files of other jobs. For folders that one subtask owns. */
weir_err part_remove_others(const struct part *part, const char *job_id, struct weir_diag *diag);

/* Removes one part file if it is there. Does not sync the folder. */
weir_err part_remove(const struct part *part, struct weir_diag *diag);

weir_err part_sync_folder(const char *dir, struct weir_diag *diag);

#endif
