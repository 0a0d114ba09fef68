/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Performs the orders of artifacts.h that go to other JobManagers: requests to their admin endpoints, and the bytes that come back into the
 * store. Part of the server; decides nothing. Owner: the main thread.
 */
#ifndef WEIR_JOBMANAGER_ARTIFACT_LINKS_H
#define WEIR_JOBMANAGER_ARTIFACT_LINKS_H

#include "jobmanager/artifacts.h"
#include "runtime/net/socket.h"

struct artifact_links;

/* Both are kept. */
void artifact_links_new(struct artifact_links **out, struct artifacts *artifacts, struct store *store);
void artifact_links_destroy(struct artifact_links **links);

/* Where the members are; one without an admin endpoint cannot be asked. */
void artifact_links_members(struct artifact_links *l, const struct zab_members *members, uint32_t self);
/* SYNC, FETCH. What cannot be sent is not answered, and so asked again. */
void artifact_links_send(struct artifact_links *l, const struct artifacts_order *order, uint32_t self, int64_t now_ms);
/* What has come. true: something is in the store now that was not. */
bool artifact_links_receive(struct artifact_links *l, int64_t now_ms);
/* Adds what to wait for; gives how many, at most ARTIFACT_LINKS_WAITS. */
uint32_t artifact_links_waits(const struct artifact_links *l, struct net_wait *out);
#define ARTIFACT_LINKS_WAITS ZAB_MEMBERS_MAX

#endif
