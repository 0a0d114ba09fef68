/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Last words: on a fatal signal or an exit() inside user code the black box learns which task thread it was, then the process ends as it
 * would have. The handlers touch nothing but the black box.
 */
#ifndef WEIR_TASKMANAGER_WORKER_CRASH_H
#define WEIR_TASKMANAGER_WORKER_CRASH_H

#include "taskmanager/worker/handover.h"

/* Installs handlers for SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS, SIGTRAP, and for exit(). Once, by the main thread, before user
 * code is loaded. */
void crash_watch(struct blackbox *box);
/* Gives the calling thread a stack of its own for the handler, so that a stack overflow is told too. */
void crash_watch_thread(void);

#endif
