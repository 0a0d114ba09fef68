/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether this JobManager leads. A core: what the peer says of its role goes in, messages of the catalog go through (catalog_tree.h), and
 * which master there has to be comes out.
 *
 *     FOLLOWS ── the peer leads an epoch ──▶ CLAIMS ── the catalog serves ──▶ LEADS
 *        ▲                                     │                                │   the peer leads no more, or another epoch;
 *        └─────────────── ENDS ◀───────────────┴────────────────────────────────┘   the catalog is lost; the master asks for it
 *
 * The peer ends its leadership before another one can be established; what is under way then is fenced by its epoch, at TaskManagers, and
 * by the claim, in the catalog.
 *
 * Thread: one at a time.
 */
#ifndef WEIR_JOBMANAGER_LEADERSHIP_H
#define WEIR_JOBMANAGER_LEADERSHIP_H

#include "jobmanager/catalog_tree.h"
#include "jobmanager/peer/peer.h"

enum leadership_turn {
    LEADERSHIP_STAYS,   /* nothing is to be done */
    LEADERSHIP_FOLLOWS, /* role.leader leads, or nobody (0): a master with epoch 0 */
    LEADERSHIP_CLAIMS,  /* `catalog` is new: connect it to the peer. The master stays as it is, with epoch 0 */
    LEADERSHIP_LEADS,   /* a master with `epoch`, which takes up what the catalog lists */
    LEADERSHIP_ENDS,    /* `catalog` is gone: close its connection, forget what is under way; a master with epoch 0. See `why` */
};

/* All fields are for reading. */
struct leadership {
    struct peer_role role;        /* as told last */
    struct catalog_tree *catalog; /* NULL: the peer does not lead */
    uint32_t node_bytes;          /* a larger value of the catalog lies in parts; may be changed before the first turn */
    uint64_t epoch;               /* that the catalog is claimed for */
    bool leads;                   /* the catalog serves */
    bool news;                    /* the role has changed since the last turn */
    bool anew;                    /* the catalog is to be claimed again */
    char why[WEIR_DIAG_MAX];      /* of ENDS: a sentence */
};

void leadership_init(struct leadership *l); /* of a peer that looks for a leader */
void leadership_close(struct leadership *l);

void leadership_role(struct leadership *l, const struct peer_role *role);
/* The master asks for its end (MASTER_DO_LEAD_ANEW): ENDS, then a claim in the same epoch, if the peer leads still. */
void leadership_anew(struct leadership *l);
/* Call it until it says STAYS, whenever the role or the catalog has heard anything. */
enum leadership_turn leadership_turn(struct leadership *l);

#endif
