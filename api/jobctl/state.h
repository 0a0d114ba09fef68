/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `jobctl state`: what a checkpoint or savepoint holds, read from its files. Asks no JobManager, runs nothing of the job, changes nothing.
 *
 *     ls PATH                          the states of all operators: kinds, types, sizes
 *     scan PATH OPERATOR/STATE         every entry, one JSON object a line
 *     get PATH OPERATOR/STATE KEY      the entries of one key
 */
#ifndef WEIR_JOBCTL_STATE_H
#define WEIR_JOBCTL_STATE_H

#include "api/jobctl/arguments.h"

/* Runs the command; returns the exit code (exit.h), having said what went wrong. */
int state_command(const struct ctl_arguments *args);

#endif
