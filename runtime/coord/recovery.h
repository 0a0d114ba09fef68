/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a peer finds on its disk when it starts, gathered while the driver reads its files:
 *
 *     recovery_init(&r, initial members)  ─▶  recovery_epochs  ─▶  recovery_snapshot?  ─▶  recovery_entry …  ─▶  ZAB_EV_START
 *
 * A torn tail is the driver's to cut before. What contradicts itself is refused: a gap, epochs that lag behind the log.
 */
#ifndef WEIR_RUNTIME_COORD_RECOVERY_H
#define WEIR_RUNTIME_COORD_RECOVERY_H

#include "runtime/coord/history.h"
#include "runtime/coord/members.h"

struct zab_recovery {
    uint64_t accepted, current;         /* epochs: last one promised; last one whose leader's history was adopted */
    struct zxid snapshot;               /* what the state machine holds at the start */
    struct zxid committed;              /* known to be committed; at least `snapshot`. A hint: delivery begins with it */
    struct history history;             /* shape only */
    struct zab_members active, pending; /* pending: version {0,0} = none */
};

/* `initial`: the members an ensemble begins with; version {0, 0}. */
void recovery_init(struct zab_recovery *r, const struct zab_members *initial);
void recovery_epochs(struct zab_recovery *r, uint64_t accepted, uint64_t current);
/*
 * The snapshot the state machine was loaded from, with the members bytes stored beside it. WEIR_E_CORRUPT: they cannot be read.
 * Entries up to `log_floor` are no longer in the log (at most the snapshot's zxid; the log may reach further back than the snapshot).
 */
weir_err recovery_snapshot(struct zab_recovery *r, struct zxid zxid, struct weir_bytes members, struct zxid log_floor,
                           struct weir_diag *diag);
/* The next entry of the log, from its oldest. WEIR_E_CORRUPT: a gap, or members that cannot be read. */
weir_err recovery_entry(struct zab_recovery *r, const struct zab_entry *entry, struct weir_diag *diag);
void recovery_committed(struct zab_recovery *r, struct zxid committed); /* ignored unless the log holds it */
/* The last check. WEIR_E_CORRUPT: the log is newer than the epochs, or ends before its snapshot began. */
weir_err recovery_check(const struct zab_recovery *r, struct weir_diag *diag);

#endif
