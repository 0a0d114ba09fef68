/* SPDX-License-Identifier: Apache-2.0 */
/* A real peer that is an ensemble of one, in a folder. Behind cmocka. */
#ifndef WEIR_TESTS_UNIT_JOBMANAGER_PEER_ALONE_H
#define WEIR_TESTS_UNIT_JOBMANAGER_PEER_ALONE_H

#include "jobmanager/peer/ensemble.h"
#include "jobmanager/peer/peer.h"
#include "runtime/base/clock.h"
#include "runtime/net/socket.h"
#include "tests/support/temp_dir.h"

#define WAIT_MS 10000

/* clients: where it is bound for them; "": nowhere. Does not wait until it leads. Gives the peer; net_stop comes behind its end. */
static inline struct peer *peer_alone(const struct temp_dir *dir, const char *clients)
{
    struct peer *peer;
    struct zab_members members;
    assert_int_equal(net_start(1), WEIR_OK);
    assert_int_equal(ensemble_parse("", 1, &members, NULL), WEIR_OK);
    struct peer_config config = {.id = 1,
                                 .cluster = ensemble_cluster("test"),
                                 .folder = dir->path,
                                 .members = &members,
                                 .bind = "",
                                 .client_bind = clients,
                                 .limits = COORD_LIMITS_DEFAULT};
    assert_int_equal(peer_new(&peer, &config, NULL), WEIR_OK);
    return peer;
}

#endif
