/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ensemble as people write it, and the addresses of its members: one text for each, which the log keeps (struct zab_member).
 *
 *     coordination.peers   1=tcp://127.0.0.1:6131;tcp://127.0.0.1:6141;tcp://127.0.0.1:8081;tcp://127.0.0.1:6123, 2=…
 *                          id=PEER;CLIENT;ADMIN;CONTROL, an observer's id with "observer:" in front
 *
 * PEER: other peers dial it. CLIENT: clients of the coordination tree. ADMIN, CONTROL: of the JobManager there, for jobctl and
 * TaskManagers; endpoints at the end may be left out. Pure functions.
 */
#ifndef WEIR_JOBMANAGER_PEER_ENSEMBLE_H
#define WEIR_JOBMANAGER_PEER_ENSEMBLE_H

#include "runtime/base/id.h"
#include "runtime/coord/members.h"

enum ensemble_address { ENSEMBLE_PEER, ENSEMBLE_CLIENT, ENSEMBLE_ADMIN, ENSEMBLE_CONTROL };
#define ENSEMBLE_ADDRESSES 4u

/* The endpoint of that kind in a member's address, "" for none. Returns out. */
const char *ensemble_endpoint(const char *address, enum ensemble_address which, char out[static ZAB_ADDRESS_MAX]);

/*
 * Reads the list. "" gives one member, `id`, without address. Errors: WEIR_E_ARGUMENT: no list, an id twice or above what fits, an endpoint
 * that net_endpoint_check refuses, no voter, `id` is not in it; WEIR_E_LIMIT; saying what is wrong.
 */
weir_err ensemble_parse(const char *text, uint32_t id, struct zab_members *out, struct weir_diag *diag);

/*
 * The endpoints for clients of all members, separated by commas, `own` first: the one that was bound here. "" when there is none. Returns
 * out.
 */
#define ENSEMBLE_CLIENTS_MAX ((ZAB_MEMBERS_MAX + 1u) * ZAB_ADDRESS_MAX)
const char *ensemble_clients(const struct zab_members *members, const char *own, char out[static ENSEMBLE_CLIENTS_MAX]);

/* The cluster's id: made from its name. */
struct weir_id ensemble_cluster(const char *name);

#endif
