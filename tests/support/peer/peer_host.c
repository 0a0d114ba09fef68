/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A coordination peer and nothing else, as a process that tests and benchmarks may kill:
 *
 *     peer_host ID PEERS FOLDER [CLUSTER [SNAPSHOT_ENTRIES [SEGMENT_BYTES]]]
 *
 * PEERS as in coordination.peers. Says on stdout "ready ENDPOINT" and "role ROLE LEADER EPOCH ESTABLISHED" whenever that changes; ends when
 * stdin does.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "jobmanager/peer/ensemble.h"
#include "jobmanager/peer/peer.h"
#include "runtime/base/log.h"
#include "runtime/net/socket.h"

static const char *const role_names[] = {"looking", "following", "observing", "leading", "detached"};

static void print_news(struct peer *peer)
{
    struct peer_news news;
    while (peer_take(peer, &news))
        if (news.type == PEER_NEWS_ROLE)
            printf("role %s %" PRIu32 " %" PRIu64 " %d\n", role_names[news.role.role], news.role.leader, news.role.epoch,
                   news.role.established);
    (void)fflush(stdout);
}

static void serve(struct peer *peer)
{
    struct net_wait waits[] = {{.fd = peer_fd(peer), .want_read = true}, {.fd = STDIN_FILENO, .want_read = true}};
    char byte;
    for (;;) {
        (void)net_poll(waits, 2, -1);
        if (waits[1].readable && read(STDIN_FILENO, &byte, 1) <= 0) return;
        print_news(peer);
    }
}

static weir_err start(struct peer **out, int argc, char **argv, struct weir_diag *diag)
{
    struct zab_members members;
    char bind[ZAB_ADDRESS_MAX], client_bind[ZAB_ADDRESS_MAX];
    uint32_t id = (uint32_t)strtoul(argv[1], NULL, 10);
    weir_err err = ensemble_parse(argv[2], id, &members, diag);
    if (err) return err;
    const char *address = members_find(&members, id)->address;
    struct peer_config config = {.id = id,
                                 .cluster = ensemble_cluster(argc > 4 ? argv[4] : "test"),
                                 .folder = argv[3],
                                 .members = &members,
                                 .bind = ensemble_endpoint(address, ENSEMBLE_PEER, bind),
                                 .client_bind = ensemble_endpoint(address, ENSEMBLE_CLIENT, client_bind),
                                 .snapshot_entries = argc > 5 ? strtoull(argv[5], NULL, 10) : 0,
                                 .segment_bytes = argc > 6 ? strtoull(argv[6], NULL, 10) : 0,
                                 .limits = COORD_LIMITS_DEFAULT};
    return peer_new(out, &config, diag);
}

int main(int argc, char **argv)
{
    struct peer *peer = NULL;
    struct weir_diag diag = {0};
    if (argc < 4) return 2;
    log_init("peer", getenv("PEER_HOST_DEBUG") ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
    if (net_start(1)) return 1;
    if (start(&peer, argc, argv, &diag)) {
        log_error("cannot start", " reason=\"%s\"", diag.text);
        return 1;
    }
    printf("ready %s\n", peer_client_endpoint(peer));
    (void)fflush(stdout);
    serve(peer);
    peer_destroy(&peer);
    net_stop();
    return 0;
}
