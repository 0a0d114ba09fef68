/* SPDX-License-Identifier: Apache-2.0 */
/* Plugins between the store, the catalog and other JobManagers. */
#include <inttypes.h>
#include <stdio.h>

#include "jobmanager/server_internal.h"
#include "runtime/base/clock.h"

static void remove_artifact(struct jobmanager *s, const struct store_artifact *about)
{
    char hex[WEIR_DIGEST_TEXT];
    struct weir_diag diag = {0};
    weir_err err = store_remove(s->store, about->digest, &diag);
    if (err && err != WEIR_E_NOT_FOUND) log_warn("cannot remove a plugin", "reason=\"%s\"", diag.text);
    if (!err) log_info("plugin removed", "plugin=%s name=\"%s\"", digest_text(about->digest, hex), about->name);
}

static void refuse_artifact(struct jobmanager *s, const struct artifacts_order *o)
{
    char reason[WEIR_DIAG_MAX];
    (void)snprintf(reason, sizeof reason,
                   "%" PRIu32 " of %" PRIu32 " JobManagers hold the plugin, which is no majority: look at the logs of the others, and "
                   "whether coordination.peers names their admin endpoints",
                   o->n_holders, o->n_members);
    server_answer_upload(s, o->about.digest, WEIR_E_UNREACHABLE, reason);
}

void server_work_artifacts(struct jobmanager *s)
{
    struct artifacts_order o;
    int64_t now = clock_mono_ms();
    struct master_event keep = {.type = MASTER_EV_ARTIFACT, .artifact = {.about = &o.about}};
    if (artifact_links_receive(s->links, now)) server_resume_waiting(s);
    while (artifacts_next(s->artifacts, now, &o)) {
        switch (o.type) {
        case ARTIFACTS_SYNC:
        case ARTIFACTS_FETCH: artifact_links_send(s->links, &o, peer_id(s->config.peer), now); break;
        case ARTIFACTS_REMOVE: remove_artifact(s, &o.about); break;
        case ARTIFACTS_KEEP: server_step(s, &keep); break;
        case ARTIFACTS_GIVE_UP: refuse_artifact(s, &o); break;
        }
    }
}
