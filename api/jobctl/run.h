/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `jobctl run`: upload, submit, and, attached, follow to the end.
 *
 *                                              Ctrl-C                    ended
 *   (start cluster) ─▶ upload ─▶ submit ─▶ follow ─────▶ cancel, follow ──────▶ summary ─▶ (end cluster)
 *                                              └──────── ended ──────────────▶─┘
 *
 * SIGTERM is a Ctrl-C; a hang-up (SIGHUP) ends the command and leaves the job, unless its cluster is local. A Ctrl-C before the job is
 * submitted ends the command; the second one while following leaves without waiting. The local cluster is ended on every way out. Standard
 * output carries the job's own output with --local, the job's id when detached, and the job's document with -o json; all else goes to
 * standard error.
 */
#ifndef WEIR_JOBCTL_RUN_H
#define WEIR_JOBCTL_RUN_H

#include "api/jobctl/arguments.h"
#include "api/jobctl/local.h"
#include <jansson.h>

/* Runs the command; returns the exit code (exit.h), having said what went wrong. */
int run_command(const struct ctl_arguments *args);

/* The exit code for a job's final state. interrupted: this command had it canceled. */
int run_outcome(const char *state, bool interrupted);

/* "jobctl: job 4f2a0c81d9e3 (accesslog) FAILED after 0.3 s" and the reason, or what it moved. */
void run_summary(const json_t *job, const json_t *plan, FILE *out);

#endif
