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
/* The moment in so many milliseconds, for waits by the monotonic clock. */
struct timespec coord_moment(int64_t timeout_ms);

#endif
