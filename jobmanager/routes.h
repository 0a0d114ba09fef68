/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handles for the peers of the control socket: the master speaks of numbers, ZeroMQ of routing ids. A bounded table, ROUTES_WAYS places for
 * each of ROUTES_BUCKETS; where they are full, the one not heard of for longest is forgotten. A peer that was forgotten gets a new handle
 * with its next packet. Handles are never reused. Owner: one thread.
 */
#ifndef WEIR_JOBMANAGER_ROUTES_H
#define WEIR_JOBMANAGER_ROUTES_H

#include "weir/row.h"

#define ROUTES_BUCKETS 1024u
#define ROUTES_WAYS 8u
#define ROUTES_ID_MAX 32u /* bytes of a routing id; a TaskManager's has 16 */

struct routes;

weir_err routes_new(struct routes **out);
void routes_destroy(struct routes **routes);

/* The handle of a routing id, a new one for an unknown id. 0: the id is empty or longer than ROUTES_ID_MAX. */
uint64_t routes_handle(struct routes *r, struct weir_bytes id);
/* The routing id of a handle, borrowed until the next routes_handle; false: forgotten. */
bool routes_find(const struct routes *r, uint64_t handle, struct weir_bytes *out);
void routes_forget(struct routes *r, uint64_t handle);

#endif
