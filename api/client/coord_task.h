/* SPDX-License-Identifier: Apache-2.0 */
/* A client for the operator of a job: what weir_ctx_coord (weir/operator.h) gives. */
#ifndef WEIR_API_CLIENT_COORD_TASK_H
#define WEIR_API_CLIENT_COORD_TASK_H

#include "weir/coord.h"

/*
 * What a call may wait for an answer on the thread of a task. Starting to watch a value that nobody answers for takes three such waits,
 * which is still less than WEIR_PROGRESS_TIMEOUT_MS.
 */
#define COORD_TASK_MS 3000

/*
 * As weir_coord_open. The calling thread is the task's: it may wait while *may_wait is true, which it alone reads and writes, and otherwise
 * its synchronous calls are answered WRONG_THREAD. may_wait: kept.
 */
weir_err coord_open_for_task(struct weir_coord **out, const char *servers, const bool *may_wait, struct weir_diag *diag);

#endif
