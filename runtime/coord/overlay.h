/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree as it will be when all transactions under way are applied: the committed tree, and over it the nodes that they change. A
 * transaction that is being made can be undone. For prep.c.
 */
#ifndef WEIR_RUNTIME_COORD_OVERLAY_H
#define WEIR_RUNTIME_COORD_OVERLAY_H

#include "runtime/coord/lease.h"
#include "runtime/coord/tree.h"

/* What judging a request needs to know of a node. */
struct shape {
    bool exists;
    uint8_t kind;
    uint64_t owner, version, cversion, aversion, sequence;
    int64_t mtime_ms;
    uint32_t n_children, data_len;
    struct quota quota;
    struct usage usage;
    struct acl *acl; /* borrowed from the node or the overlay; NULL when the node does not exist */
};

struct overlay;

struct overlay *overlay_new(struct tree *tree, struct leases *leases); /* both are kept; NULL: no memory */
void overlay_destroy(struct overlay **overlay);

struct shape overlay_look(const struct overlay *o, struct weir_bytes path);

/* Changes a node in transaction `order`, which is the newest; shape->acl is shared, not taken. false: no memory. */
bool overlay_change(struct overlay *o, struct weir_bytes path, const struct shape *shape, uint64_t order);

void overlay_keep(struct overlay *o);                    /* the transaction being made is proposed */
void overlay_undo(struct overlay *o);                    /* it is given up */
void overlay_applied(struct overlay *o, uint64_t order); /* all up to this one are in the tree */
size_t overlay_nodes(const struct overlay *o);

/* Appends the paths of the ephemerals that a session will have, each behind its 32-bit length. */
void overlay_ephemerals(const struct overlay *o, uint64_t session, struct buffer *paths);

#endif
