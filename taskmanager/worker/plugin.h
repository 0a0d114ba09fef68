/* SPDX-License-Identifier: Apache-2.0 */
/* Loads the job plugin of this process and runs its entry function. Once in a process; never unloaded. Thread: the main thread. */
#ifndef WEIR_TASKMANAGER_WORKER_PLUGIN_H
#define WEIR_TASKMANAGER_WORKER_PLUGIN_H

#include "api/src/env.h"

/*
 * Loads the plugin in descriptor `fd` (a memfd, read through /proc/self/fd). Its ABI note is checked before any of its code runs, its
 * descriptor after. Gives *out, which stays valid until the process ends. Errors: WEIR_E_ABI, WEIR_E_CORRUPT, WEIR_E_IO (the loader's
 * words).
 */
weir_err plugin_load(const struct weir_plugin **out, int fd, struct weir_diag *diag);

/* Builds the job's graph. argv[0] is the job's name. Gives *out. Errors: what the entry function or a builder said; WEIR_E_GRAPH,
 * WEIR_E_ARGUMENT. */
weir_err plugin_build(struct weir_env **out, const struct weir_plugin *plugin, const char *cwd, uint32_t parallelism, int argc, char **argv,
                      struct weir_diag *diag);

#endif
