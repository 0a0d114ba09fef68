/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The coordination peer of a JobManager, by its configuration (docs/reference/configuration.md). Without any it is an ensemble of one,
 * whose log lies in the JobManager's data folder.
 */
#ifndef WEIR_JOBMANAGER_COORDINATION_H
#define WEIR_JOBMANAGER_COORDINATION_H

#include "jobmanager/peer/peer.h"
#include "runtime/base/config.h"

#define COORDINATION_KEYS                                                                                                                  \
    {"coordination.id", CONFIG_INT, "1", .min = 1, .max = UINT32_MAX, .help = "this peer's id in coordination.peers"},                     \
        {"coordination.peers", CONFIG_STR, "", .help = "members of the ensemble: ID=PEER;CLIENT;ADMIN;CONTROL,...; none: this one alone"}, \
        {"coordination.cluster", CONFIG_STR, "weir", .help = "name of the ensemble; peers of another are refused"},                        \
        {"coordination.data-dir", CONFIG_STR, "", .help = "folder of log and snapshots; by default below jobmanager.data-dir"},            \
        {"coordination.bind", CONFIG_STR, "", .help = "endpoint for other peers; by default the one in coordination.peers"},               \
        {"coordination.client-bind", CONFIG_STR, "", .help = "endpoint for clients; by default the one in coordination.peers"},            \
        {"coordination.tick", CONFIG_DURATION, "50ms", .min = 5, .max = 10000, .help = "pause between signs of life"},                     \
        {"coordination.sync-timeout",                                                                                                      \
         CONFIG_DURATION,                                                                                                                  \
         "400ms",                                                                                                                          \
         .min = 20,                                                                                                                        \
         .max = 600000,                                                                                                                    \
         .help = "silence that ends a leadership; more than three ticks"},                                                                 \
    {                                                                                                                                      \
        "coordination.snapshot-entries", CONFIG_INT, "100000", .min = 10, .max = INT64_MAX,                                                \
                                                               .help = "a snapshot is taken after so many transactions, or 64 MiB of them" \
    }

/* Starts it. data_dir: the JobManager's. Errors: of ensemble_parse, peer_new; WEIR_E_ARGUMENT. */
weir_err coordination_start(struct peer **out, const struct config *config, const char *data_dir, struct weir_diag *diag);

#endif
