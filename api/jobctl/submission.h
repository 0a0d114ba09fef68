/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A job plugin on its way to a JobManager, as `run` and `plan` send it: look at the file, upload it, post what shall be done with it.
 * Functions that return int return an exit code (exit.h), having said what went wrong. Owner: the main thread.
 */
#ifndef WEIR_JOBCTL_SUBMISSION_H
#define WEIR_JOBCTL_SUBMISSION_H

#include "api/jobctl/session.h"

/* Whether the file can be uploaded, found out before a cluster is started for it; the upload looks again. */
int submission_check(const char *file);

/* Uploads args->subject; fills the id the JobManager keeps it under. */
int submission_upload(struct session *s, char plugin[static WEIR_DIGEST_TEXT]);

/* POST /plugins/PLUGIN/WHAT with the arguments' job as its body. Gives the answer (json_decref). */
int submission_post(struct session *s, const char *plugin, const char *what, json_t **answer);

/* That body, as JSON text that the caller frees; NULL: out of memory, or an argument is not UTF-8 (diag says). */
char *submission_body(const struct ctl_arguments *args, const char *cwd, struct weir_diag *diag);

#endif
