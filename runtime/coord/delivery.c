/* SPDX-License-Identifier: Apache-2.0 */
/* Committed entries go to the state machine: from the window while they are there, else read back from the log. */
#include <inttypes.h>

#include "runtime/coord/internal.h"

#define DELIVER_MAX 1024u /* entries of one step; the rest in the next, which is due at once */

static void deliver_one(struct zab *z, const struct zab_entry *entry)
{
    zab_act(z, ZAB_DO_DELIVER)->entry = *entry;
    z->delivered = entry->zxid;
}

static void read_log(struct zab *z)
{
    z->read = ++z->reads;
    z->read_after = z->delivered;
    struct zab_action *a = zab_act(z, ZAB_DO_READ_LOG);
    a->read_log.read = z->read;
    a->read_log.after = z->delivered;
    a->read_log.max = z->config.read_bytes;
}

void zab_deliver(struct zab *z)
{
    for (uint32_t n = 0; n < DELIVER_MAX && !z->read && zxid_cmp(z->delivered, z->commit) < 0; n++) {
        const struct zab_entry *entry = history_after(&z->history, z->delivered);
        if (entry)
            deliver_one(z, entry);
        else
            read_log(z);
    }
}

/* What was read may since have been cut off, or replaced by a snapshot: only what the log holds counts. */
static bool is_next(const struct zab *z, const struct zab_entry *entry)
{
    return zxid_eq(entry->prev, z->delivered) && zxid_cmp(entry->zxid, z->commit) <= 0 && history_holds(&z->history, entry->zxid);
}

void zab_deliver_read(struct zab *z, const struct zab_event *ev)
{
    if (z->read != ev->log_read.read) return;
    z->read = 0;
    if (ev->log_read.n == 0 && zxid_eq(z->read_after, z->delivered))
        zab_fail(z, "the log on disk has nothing behind %" PRIu64 ".%" PRIu64 ", but more was committed", z->delivered.epoch,
                 z->delivered.counter);
    for (uint32_t i = 0; i < ev->log_read.n; i++)
        if (is_next(z, &ev->log_read.entries[i])) deliver_one(z, &ev->log_read.entries[i]);
}
