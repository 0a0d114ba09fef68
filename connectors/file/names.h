/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the file sink's files are called, and which of a folder's files are its own.
 *
 *     part-00003                      subtask 3 of a job without checkpoints; its further files: part-00003-1, -2 ...
 *     part-00003-3492ee88-17          the same subtask, first eight digits of the job's id, checkpoint that it was prepared for; -17-1,
 * -17-2 ... part-00003-3492ee88-a2-0        at least once: attempt of the job, and a number .part-00003-0.JOB.2.tmp         temporary:
 * subtask, a number, job, attempt
 *
 * A checkpoint's id is never used twice in a job, and neither is an attempt's: so no two files ever get one name.
 */
#ifndef WEIR_CONNECTORS_FILE_NAMES_H
#define WEIR_CONNECTORS_FILE_NAMES_H

#include <limits.h>

#include "weir/base.h"

#define PART_NAME_MAX 96  /* bytes of a name with its NUL */
#define PART_JOB_DIGITS 8 /* of the job's id in a name */
#define PART_LINEAGE_MAX                                                                                             \
    64 /* jobs whose files are told apart; those of a job before that many restarts from savepoints count as foreign \
        */

/* Whose: of the job and, when it began with a savepoint, of those it continues. */
struct lineage {
    uint32_t n;
    char jobs[PART_LINEAGE_MAX][PART_JOB_DIGITS + 1];
};

/* Adds the job, last; once. */
void lineage_add(struct lineage *lineage, const char *job_id);
bool lineage_has(const struct lineage *lineage, const char *job); /* job: its digits */

void name_plain(char to[PART_NAME_MAX], uint32_t subtask, uint32_t number);
void name_of_checkpoint(char to[PART_NAME_MAX], uint32_t subtask, const char *job_id, uint64_t checkpoint_id, uint32_t number);
void name_of_attempt(char to[PART_NAME_MAX], uint32_t subtask, const char *job_id, uint32_t attempt, uint32_t number);
void name_temporary(char to[PART_NAME_MAX], uint32_t subtask, uint32_t number, const char *job_id, uint32_t attempt);

/* What the name of a part file says. */
struct part_name {
    uint32_t subtask;
    uint32_t number;               /* of one without a job */
    char job[PART_JOB_DIGITS + 1]; /* "" where it has none */
};
bool name_is_part(const char *name, struct part_name *out);

/* Is it a temporary one of the job, of an attempt before `attempt`? */
bool name_is_orphan(const char *name, const char *job_id, uint32_t attempt);
/* Is it a temporary one of another job? Jobs that write to one folder at a time would be in each other's way in any case. */
bool name_is_left_over(const char *name, const char *job_id);

bool name_join(char to[PATH_MAX], const char *dir, const char *name); /* false: too long */

/* ---- folders ----------------------------------------------------------------------------------------------------------------------- */

/* Makes the folder and its parents, and the new ones durable. Errors: WEIR_E_IO. */
weir_err folder_make_all(const char *dir, struct weir_diag *diag);
weir_err folder_sync(const char *dir, struct weir_diag *diag);

/* Calls `visit` with each name in the folder, until it fails. */
typedef weir_err (*folder_visit_fn)(void *arg, const char *dir, const char *name, struct weir_diag *diag);
weir_err folder_each(const char *dir, folder_visit_fn visit, void *arg, struct weir_diag *diag);

/* Removes one file if it is there. Does not sync the folder. */
weir_err folder_remove_file(const char *dir, const char *name, struct weir_diag *diag);

/* Finds a part file that is none of the lineage's: *found, and its name. lineage: NULL = any part file. */
weir_err folder_find_foreign(const char *dir, const struct lineage *lineage, bool *found, char name[PART_NAME_MAX], struct weir_diag *diag);

/*
 * Removes the part files that are none of the lineage's, and what other jobs left over that did not end well. Of files without a job in
 * their name those of subtask `own` are foreign from number n_own on, and all of the subtasks from `from` on. Does not sync the folder.
 */
struct folder_cleaning {
    const struct lineage *lineage;
    const char *job_id;
    uint32_t from, own, n_own;
};
weir_err folder_remove_foreign(const char *dir, const struct folder_cleaning *how, struct weir_diag *diag);

#endif
