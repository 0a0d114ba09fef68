/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who belongs to the ensemble. A list is decided by an entry of the log and numbered by that entry's zxid: its version. The list an
 * ensemble begins with has version {0, 0}.
 *
 * Voters make quorums; observers follow and count for nothing. Between the append of a new list and its commit both lists are in force:
 * every decision needs a quorum of each (zab.h).
 *
 * Plain values, copied freely. The bytes are described in docs/protocol/zab.md.
 */
#ifndef WEIR_RUNTIME_COORD_MEMBERS_H
#define WEIR_RUNTIME_COORD_MEMBERS_H

#include "runtime/base/buffer.h"
#include "runtime/coord/zxid.h"
#include "weir/row.h"

#define ZAB_MEMBERS_MAX 16u  /* voters and observers; a change that would exceed it is refused */
#define ZAB_ADDRESS_MAX 240u /* bytes of an address with its final NUL; a longer one is refused */
#define ZAB_MEMBERS_BYTES (20u + ZAB_MEMBERS_MAX * (6u + ZAB_ADDRESS_MAX)) /* of an encoded list at most */

struct zab_member {
    uint32_t id; /* above zero, never reused for another disk */
    bool observer;
    char address[ZAB_ADDRESS_MAX]; /* for the driver; "" is allowed */
};

struct zab_members {
    struct zxid version;
    uint32_t n;
    struct zab_member at[ZAB_MEMBERS_MAX]; /* by id, ascending */
};

/* Ids of peers, each at most once: who promised, who acknowledged. */
struct zab_set {
    uint32_t n;
    uint32_t ids[ZAB_MEMBERS_MAX + 1];
};

/* One step of a change: puts `member` in (or replaces the one of that id), or takes it out. */
struct zab_change {
    bool remove;
    struct zab_member member; /* remove: only its id counts */
};

/* NULL: not a member. */
const struct zab_member *members_find(const struct zab_members *m, uint32_t id);
bool members_votes(const struct zab_members *m, uint32_t id);
uint32_t members_voters(const struct zab_members *m);

void set_add(struct zab_set *set, uint32_t id); /* ids beyond ZAB_MEMBERS_MAX + 1 are dropped */
/* Do the voters in `set` make a majority of all voters of `m`? */
bool members_quorum(const struct zab_members *m, const struct zab_set *set);

/*
 * The list after `n` changes, without a version.
 * Errors: WEIR_E_ARGUMENT   id zero, address without end, no voter left
 *         WEIR_E_LIMIT      more than ZAB_MEMBERS_MAX
 *         WEIR_E_NOT_FOUND  removes who is no member
 */
weir_err members_change(const struct zab_members *from, const struct zab_change *changes, uint32_t n, struct zab_members *out);

void members_encode(const struct zab_members *m, struct buffer *out);
/* WEIR_E_CORRUPT: not a list, or one that members_change would not have made. Nothing behind the list is allowed. */
weir_err members_decode(struct weir_bytes bytes, struct zab_members *out);

#endif
