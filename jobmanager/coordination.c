/* SPDX-License-Identifier: Apache-2.0 */
#include "jobmanager/coordination.h"

#include <limits.h>
#include <stdio.h>

#include "jobmanager/peer/ensemble.h"
#include "runtime/base/log.h"

#define ANY_PORT "tcp://127.0.0.1:*" /* for clients, where nothing else is said */

/* What is configured, else the member's own endpoint, else `fallback`. */
static const char *endpoint(const char *configured, const char *address, enum ensemble_address which, const char *fallback,
                            char out[static ZAB_ADDRESS_MAX])
{
    if (configured[0] != '\0') return configured;
    return *ensemble_endpoint(address, which, out) != '\0' ? out : fallback;
}

static weir_err start(struct peer **out, const struct config *config, const struct zab_members *members, const char *folder,
                      struct weir_diag *diag)
{
    char bind[ZAB_ADDRESS_MAX], client_bind[ZAB_ADDRESS_MAX];
    uint32_t id = (uint32_t)config_int(config, "coordination.id");
    const char *address = members_find(members, id)->address;
    struct peer_config c = {
        .id = id,
        .cluster = ensemble_cluster(config_str(config, "coordination.cluster")),
        .folder = folder,
        .members = members,
        .bind = endpoint(config_str(config, "coordination.bind"), address, ENSEMBLE_PEER, "", bind),
        .client_bind = endpoint(config_str(config, "coordination.client-bind"), address, ENSEMBLE_CLIENT, ANY_PORT, client_bind),
        .tick_ms = (uint32_t)config_int(config, "coordination.tick"),
        .sync_timeout_ms = (uint32_t)config_int(config, "coordination.sync-timeout"),
        .snapshot_entries = (uint64_t)config_int(config, "coordination.snapshot-entries"),
        .limits = COORD_LIMITS_DEFAULT,
    };
    if (c.sync_timeout_ms <= 3 * c.tick_ms)
        return weir_fail(diag, WEIR_E_ARGUMENT, "coordination.sync-timeout must be more than three times coordination.tick");
    weir_err err = peer_new(out, &c, diag);
    if (!err) log_info("coordinating", " peers=\"%s\" clients=\"%s\"", peer_endpoint(*out), peer_client_endpoint(*out));
    return err;
}

weir_err coordination_start(struct peer **out, const struct config *config, const char *data_dir, struct weir_diag *diag)
{
    struct zab_members members;
    char folder[PATH_MAX];
    const char *configured = config_str(config, "coordination.data-dir");
    uint32_t id = (uint32_t)config_int(config, "coordination.id");
    weir_err err = ensemble_parse(config_str(config, "coordination.peers"), id, &members, diag);
    if (err) return err;
    int length = configured[0] != '\0' ? snprintf(folder, sizeof folder, "%s", configured)
                                       : snprintf(folder, sizeof folder, "%s/coordination", data_dir);
    if (length >= (int)sizeof folder) return weir_fail(diag, WEIR_E_LIMIT, "the path of the coordination folder is too long");
    err = start(out, config, &members, folder, diag);
    return err ? weir_wrap(diag, err, "coordination peer %u in %s", id, folder) : WEIR_OK;
}
