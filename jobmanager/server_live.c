/* SPDX-License-Identifier: Apache-2.0 */
/* The live configuration: read in the tree, told to the master, heeded by our own log. */
#include <inttypes.h>
#include <string.h>

#include "jobmanager/server_internal.h"
#include "runtime/base/live_keys.h"

enum { LIVE_RETRY_MS = 500 }; /* pause before it is asked for again: the peer had no leader */

static void begin_live(struct jobmanager *s)
{
    live_tree_new(&s->live);
    s->live_connection = peer_connect(s->config.peer);
    s->live_seen = s->live_told = 0;
}

void server_end_live(struct jobmanager *s)
{
    if (s->live) peer_disconnect(s->config.peer, s->live_connection);
    live_tree_destroy(&s->live);
}

/* Our own share. A value that is none changes nothing; whoever leads says so. */
static void take_log_level(struct jobmanager *s, const struct live_setting *at, uint32_t n)
{
    int64_t value;
    enum log_level lowest = s->log_level;
    for (uint32_t i = 0; i < n; i++) {
        if (*at[i].job || strcmp(at[i].key, LIVE_LOG_LEVEL) != 0) continue;
        lowest = live_key_parse(at[i].key, at[i].value, &value, NULL) ? log_lowest() : (enum log_level)value;
    }
    live_log_level(lowest);
}

static void take_live(struct jobmanager *s)
{
    struct master_event ev = {.type = MASTER_EV_LIVE};
    uint64_t reading = live_tree_reading(s->live, &ev.live.at, &ev.live.n);
    if (reading && reading != s->live_seen) {
        s->live_seen = reading;
        take_log_level(s, ev.live.at, ev.live.n);
        if (live_tree_passed_over(s->live))
            log_warn("live configuration is larger than what is read", "settings_max=%u passed_over=%" PRIu32, LIVE_SETTINGS_MAX,
                     live_tree_passed_over(s->live));
    }
    if (!reading || reading == s->live_told || !master_leads(s->master)) return;
    s->live_told = reading;
    server_step(s, &ev);
}

void server_work_live(struct jobmanager *s, int64_t now_ms)
{
    struct weir_bytes message;
    if (s->live && live_tree_lost(s->live)) {
        server_end_live(s);
        s->live_retry_ms = now_ms + LIVE_RETRY_MS;
    }
    if (!s->live && now_ms >= s->live_retry_ms) begin_live(s);
    if (!s->live) return;
    take_live(s);
    while (live_tree_say(s->live, &message, now_ms)) peer_send(s->config.peer, s->live_connection, message);
}
