/* SPDX-License-Identifier: Apache-2.0 */
#include "jobmanager/leadership.h"

#include <stdio.h>

void leadership_init(struct leadership *l)
{
    *l = (struct leadership){.role = {.role = ZAB_LOOKING}, .node_bytes = CATALOG_TREE_NODE_BYTES};
}

void leadership_close(struct leadership *l)
{
    catalog_tree_destroy(&l->catalog);
}

void leadership_role(struct leadership *l, const struct peer_role *role)
{
    l->role = *role;
    l->news = true;
}

void leadership_anew(struct leadership *l)
{
    l->anew = true;
}

/* Why what the catalog was claimed for is over; NULL: it is not. An epoch has one leader, and where there is none it is 0. */
static const char *why_over(const struct leadership *l)
{
    if (l->role.epoch != l->epoch) return "the peer has lost its quorum, or another one leads";
    if (catalog_tree_state(l->catalog) == CATALOG_TREE_LOST) return catalog_tree_reason(l->catalog);
    return l->anew ? "it was stopped for so long that TaskManagers have given it up; it begins anew" : NULL;
}

static enum leadership_turn end(struct leadership *l, const char *why)
{
    (void)snprintf(l->why, sizeof l->why, "%s", why);
    catalog_tree_destroy(&l->catalog);
    l->leads = l->news = false;
    return LEADERSHIP_ENDS;
}

static enum leadership_turn turn_with_catalog(struct leadership *l)
{
    const char *why = why_over(l);
    if (why) return end(l, why);
    if (l->leads || catalog_tree_state(l->catalog) != CATALOG_TREE_SERVING) return LEADERSHIP_STAYS;
    l->leads = true;
    return LEADERSHIP_LEADS;
}

enum leadership_turn leadership_turn(struct leadership *l)
{
    if (l->catalog) return turn_with_catalog(l);
    if (l->role.leads) { /* also when the last claim was lost: the peer says so, it is claimed anew */
        l->epoch = l->role.epoch;
        l->anew = false;
        catalog_tree_new(&l->catalog, l->epoch, l->node_bytes);
        return LEADERSHIP_CLAIMS;
    }
    if (!l->news) return LEADERSHIP_STAYS;
    l->news = false;
    return LEADERSHIP_FOLLOWS;
}
