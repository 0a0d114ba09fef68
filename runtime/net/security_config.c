/* SPDX-License-Identifier: Apache-2.0 */
/* Keys by the configuration: apart, since programs that link the client or the test harness have none, and no reader of it either. */
#include "runtime/base/config.h"
#include "runtime/net/security.h"

weir_err net_secure_from_config(const struct config *config, uint32_t roles, struct weir_diag *diag)
{
    struct net_security_config c = {
        .key = config_str(config, "security.key"), .known_keys = config_str(config, "security.known-keys"), .roles = roles};
    if (!*c.key && !*c.known_keys) return WEIR_OK;
    return net_secure(&c, diag);
}
