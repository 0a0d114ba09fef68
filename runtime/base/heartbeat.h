/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How JobManager and TaskManagers notice that the other end has gone: Flink's two keys. What depends on them:
 * docs/reference/configuration.md, "Heartbeats".
 */
#ifndef WEIR_RUNTIME_BASE_HEARTBEAT_H
#define WEIR_RUNTIME_BASE_HEARTBEAT_H

#include "runtime/base/config.h"

/* What an answer proves is up to two intervals old when it comes; so one may be lost before a silence is taken for an end. */
#define HEARTBEAT_INTERVALS_MIN 4

#define HEARTBEAT_TIMEOUT_MAX_MS 600000 /* of any process; a TaskManager is told the JobManager's */

/* For the tables of weir-jobmanager and weir-taskmanager. Defaults: WEIR_HEARTBEAT_MS, WEIR_HEARTBEAT_TIMEOUT_MS. */
#define HEARTBEAT_KEYS                                                                                         \
    {"heartbeat.interval",                                                                                     \
     CONFIG_DURATION,                                                                                          \
     "250ms",                                                                                                  \
     .min = 20,                                                                                                \
     .max = 60000,                                                                                             \
     .help = "pause between the signs of life of JobManager and TaskManagers"},                                \
    {                                                                                                          \
        "heartbeat.timeout", CONFIG_DURATION, "3s", .min = 100, .max = HEARTBEAT_TIMEOUT_MAX_MS,               \
                                                    .help = "silence after which one takes the other for gone" \
    }

struct heartbeat {
    uint32_t interval_ms, timeout_ms;
};

/* Of a program with both keys. Errors: WEIR_E_ARGUMENT: the timeout is shorter than HEARTBEAT_INTERVALS_MIN intervals. */
weir_err heartbeat_from_config(struct heartbeat *out, const struct config *config, struct weir_diag *diag);

#endif
