/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/base/live_keys.h"

#include <string.h>

#include "runtime/base/config_value.h"

weir_err live_key_parse(const char *key, const char *text, int64_t *out, struct weir_diag *diag)
{
    static const struct config_key leader_wait = LIVE_LEADER_WAIT_KEY;
    enum log_level level;
    char wanted[128];
    if (strcmp(key, LIVE_LOG_LEVEL) == 0) {
        if (log_level_parse(text, &level))
            return weir_fail(diag, WEIR_E_ARGUMENT, "%s = %s is not one of debug, info, warn, error", key, text);
        *out = level;
        return WEIR_OK;
    }
    if (strcmp(key, LIVE_LEADER_WAIT) != 0)
        return weir_fail(diag, WEIR_E_NOT_FOUND, "%s is no key that a daemon changes while it runs", key);
    if (config_value_parse(&leader_wait, text, out, wanted, sizeof wanted)) return WEIR_OK;
    return weir_fail(diag, WEIR_E_ARGUMENT, "%s = %s is not %s", key, text, wanted);
}

void live_log_level(enum log_level lowest)
{
    if (lowest == log_lowest()) return;
    if (lowest < log_lowest()) log_set_lowest(lowest);
    log_info("live configuration", LIVE_LOG_LEVEL "=%s", log_level_name(lowest));
    log_set_lowest(lowest);
}
