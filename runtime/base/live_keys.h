/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys of the daemons themselves that may be changed while they run (docs/reference/configuration.md, "While it runs"), with the rules of
 * their start. Those of jobs: jobmanager/live.h.
 */
#ifndef WEIR_RUNTIME_BASE_LIVE_KEYS_H
#define WEIR_RUNTIME_BASE_LIVE_KEYS_H

#include "runtime/base/config.h"
#include "runtime/base/log.h"

#define LIVE_LOG_LEVEL "log.level"
#define LIVE_LEADER_WAIT "taskmanager.leader-wait"

/* For the table of weir-taskmanager. */
#define LIVE_LEADER_WAIT_KEY                                                                                                   \
    {                                                                                                                          \
        LIVE_LEADER_WAIT, CONFIG_DURATION, "5m", .min = 1, .max = INT32_MAX,                                                   \
                                                 .help = "workers go on for so long without a JobManager; then they are ended" \
    }

/*
 * Reads a value: of log.level an enum log_level, else a number in the key's unit.
 * Errors: WEIR_E_NOT_FOUND: the key is none of these; WEIR_E_ARGUMENT: the value, with what would be right.
 */
weir_err live_key_parse(const char *key, const char *text, int64_t *out, struct weir_diag *diag);

/* The process writes what is at least so important from now on, and says so when one of the two levels lets it. Thread: any. */
void live_log_level(enum log_level lowest);

#endif
