/* SPDX-License-Identifier: Apache-2.0 */
/* From what the plugin built to the graph that travels, and the describing process itself. */
#ifndef WEIR_TASKMANAGER_WORKER_DESCRIBE_H
#define WEIR_TASKMANAGER_WORKER_DESCRIBE_H

#include "api/src/env.h"
#include "runtime/plan/graph.h"

/*
 * The graph of `env`, without splits, with its fingerprint. Strings are borrowed from the environment; arrays belong to the graph:
 * describe_graph_close frees them. Errors: WEIR_E_NOMEM.
 */
weir_err describe_graph(struct graph *out, const struct weir_env *env, const char *name);
void describe_graph_close(struct graph *graph);

/* The describing process: argv of handover.h behind --describe's own flags. Returns the exit status. */
int describe_run(uint32_t parallelism, const char *cwd, int argc, char **argv);

#endif
