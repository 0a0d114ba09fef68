/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `jobctl plan`: how a job's steps are chained and connected, of a job the JobManager knows or, before anything runs, of a plugin.
 *
 *     plugin:  (start a JobManager) ─▶ upload ─▶ ask for the plan ─▶ poll ─▶ print ─▶ (end the JobManager)
 *
 * A plugin's JobManager is the one that --jobmanager or the environment names, else one of its own without TaskManagers. Ctrl-C ends the
 * command. Prints a tree, with --dot a Graphviz digraph, with -o json {"plan": {jid, name, nodes}}.
 */
#ifndef WEIR_JOBCTL_PLAN_H
#define WEIR_JOBCTL_PLAN_H

#include "api/jobctl/arguments.h"

/* Runs the command; returns the exit code (exit.h), having said what went wrong. */
int plan_command(const struct ctl_arguments *args);

#endif
