/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands that ask a job for something that takes its time: checkpoint, savepoint, stop, rescale. They post the request, then poll it
 * until it is done (or leave at once with --detached). Returns an exit code. Owner: the main thread.
 */
#ifndef WEIR_JOBCTL_TRIGGER_H
#define WEIR_JOBCTL_TRIGGER_H

#include "api/jobctl/session.h"

/* args->command is one of CTL_CHECKPOINT, CTL_SAVEPOINT, CTL_STOP, CTL_RESCALE. */
int trigger_command(struct session *s);

/* The path of a file or folder as any process sees it: an absolute one as it is, another one from the present folder. Errors: LIMIT, IO. */
weir_err trigger_path(const char *typed, char *out, size_t size, struct weir_diag *diag);

#endif
