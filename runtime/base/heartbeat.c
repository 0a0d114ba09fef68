/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/base/heartbeat.h"

#include <inttypes.h>

weir_err heartbeat_from_config(struct heartbeat *out, const struct config *config, struct weir_diag *diag)
{
    int64_t interval_ms = config_int(config, "heartbeat.interval"), timeout_ms = config_int(config, "heartbeat.timeout");
    if (timeout_ms < HEARTBEAT_INTERVALS_MIN * interval_ms)
        return weir_fail(diag, WEIR_E_ARGUMENT,
                         "heartbeat.timeout is %" PRId64 " ms, but must be at least %d times heartbeat.interval, which is %" PRId64
                         " ms: one lost packet must not look like an end",
                         timeout_ms, HEARTBEAT_INTERVALS_MIN, interval_ms);
    *out = (struct heartbeat){(uint32_t)interval_ms, (uint32_t)timeout_ms};
    return WEIR_OK;
}
