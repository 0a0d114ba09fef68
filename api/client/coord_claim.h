/* SPDX-License-Identifier: Apache-2.0 */
/* What recipes take from the client beyond weir/coord.h. */
#ifndef WEIR_API_CLIENT_COORD_CLAIM_H
#define WEIR_API_CLIENT_COORD_CLAIM_H

#include <time.h>

#include "api/client/coord_thread.h"
#include "weir/coord_recipes.h"

/* Asks without a time limit: the answer is the outcome, or the session's end. Takes the request. */
void coord_ask_patiently(struct weir_coord *coord, struct request *request);
uint64_t coord_next_watch(struct weir_coord *coord); /* a number for a watch */
bool coord_is_own_thread(const struct weir_coord *coord);
/* False where a synchronous call is answered WRONG_THREAD: in a callback, and on a task's thread while that must not wait. */
bool coord_may_wait(const struct weir_coord *coord);
/* How long the caller may wait: what he asked for (below zero: for ever), on a task's thread COORD_TASK_MS at most. */
int64_t coord_wait_ms(const struct weir_coord *coord, int64_t timeout_ms);
/* The moment in so many milliseconds, for waits by the monotonic clock. */
struct timespec coord_moment(int64_t timeout_ms);

#endif
