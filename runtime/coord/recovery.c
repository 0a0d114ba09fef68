/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/coord/recovery.h"

#include <inttypes.h>

void recovery_init(struct zab_recovery *r, const struct zab_members *initial)
{
    *r = (struct zab_recovery){.active = *initial};
    history_init(&r->history, 0);
}

void recovery_epochs(struct zab_recovery *r, uint64_t accepted, uint64_t current)
{
    r->accepted = accepted;
    r->current = current;
}

weir_err recovery_snapshot(struct zab_recovery *r, struct zxid zxid, struct weir_bytes members, struct zxid log_floor,
                           struct weir_diag *diag)
{
    struct zab_members active;
    if (members_decode(members, &active)) return weir_fail(diag, WEIR_E_CORRUPT, "the members stored beside the snapshot cannot be read");
    r->active = active;
    r->snapshot = r->committed = zxid;
    history_reset(&r->history, zxid_min(zxid, log_floor));
    return WEIR_OK;
}

/* Members newer than the snapshot's. The list before was committed, else its leader had not proposed the next one. */
static weir_err note_members(struct zab_recovery *r, const struct zab_entry *entry, struct weir_diag *diag)
{
    if (zxid_cmp(entry->zxid, r->active.version) <= 0) return WEIR_OK;
    struct zab_members members;
    if (members_decode(entry->bytes, &members) || !zxid_eq(members.version, entry->zxid))
        return weir_fail(diag, WEIR_E_CORRUPT, "the members of log entry %" PRIu64 ".%" PRIu64 " cannot be read", entry->zxid.epoch,
                         entry->zxid.counter);
    if (!zxid_is_zero(r->pending.version)) r->active = r->pending;
    r->pending = members;
    return WEIR_OK;
}

weir_err recovery_entry(struct zab_recovery *r, const struct zab_entry *entry, struct weir_diag *diag)
{
    const struct zxid last = r->history.last;
    if (!zxid_eq(entry->prev, last) || !zxid_follows(entry->zxid, last))
        return weir_fail(diag, WEIR_E_CORRUPT, "the log has a gap: %" PRIu64 ".%" PRIu64 " behind %" PRIu64 ".%" PRIu64, entry->zxid.epoch,
                         entry->zxid.counter, last.epoch, last.counter);
    if (entry->kind == ZAB_ENTRY_MEMBERS) {
        weir_err err = note_members(r, entry, diag);
        if (err) return err;
    }
    history_note(&r->history, entry->zxid);
    return WEIR_OK;
}

static void activate_committed(struct zab_recovery *r)
{
    if (zxid_is_zero(r->pending.version) || zxid_cmp(r->pending.version, r->committed) > 0) return;
    r->active = r->pending;
    r->pending = (struct zab_members){0};
}

void recovery_committed(struct zab_recovery *r, struct zxid committed)
{
    if (zxid_cmp(committed, r->committed) <= 0 || !history_holds(&r->history, committed)) return;
    r->committed = committed;
    activate_committed(r);
}

weir_err recovery_check(const struct zab_recovery *r, struct weir_diag *diag)
{
    const struct zxid last = r->history.last;
    if (zxid_cmp(last, r->snapshot) < 0)
        return weir_fail(diag, WEIR_E_CORRUPT, "the log ends at %" PRIu64 ".%" PRIu64 ", before its snapshot", last.epoch, last.counter);
    if (last.epoch > r->accepted || r->current > r->accepted)
        return weir_fail(diag, WEIR_E_CORRUPT,
                         "the log ends in epoch %" PRIu64 ", but the epochs on disk are %" PRIu64 " (current) and %" PRIu64 " (accepted)",
                         last.epoch, r->current, r->accepted);
    return WEIR_OK;
}
