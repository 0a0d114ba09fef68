/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/coord/lease.h"

#include <stdlib.h>

#include "runtime/base/hash.h"

static struct lease_list *bucket(struct leases *l, int64_t grain)
{
    return &l->buckets[(uint64_t)grain % LEASE_BUCKETS];
}

/* The grain in which a timeout from now on has passed, rounded up. */
static int64_t grain_after(const struct leases *l, int64_t now_ms, uint32_t timeout_ms)
{
    return (now_ms - l->jump_ms + timeout_ms) / LEASE_GRAIN_MS + 1;
}

static uint64_t count_ephemerals(const struct tree *t, uint64_t session)
{
    const struct node_list *list = tree_ephemerals(t, session);
    const struct node *n;
    uint64_t count = 0;
    if (list) TAILQ_FOREACH(n, list, kin) count++;
    return count;
}

weir_err leases_init(struct leases *l, const struct coord_state *state, int64_t now_ms)
{
    const struct session *s;
    *l = (struct leases){.grain = now_ms / LEASE_GRAIN_MS, .tick_ms = now_ms};
    TAILQ_FOREACH(s, &state->sessions.list, next)
    {
        struct lease *lease = lease_add(l, s->id, s->timeout_ms, s->peer, now_ms);
        if (!lease) {
            leases_close(l);
            return WEIR_E_NOMEM;
        }
        lease->xid = s->last_xid;
        lease->n_ephemerals = count_ephemerals(&state->tree, s->id);
    }
    return WEIR_OK;
}

void leases_close(struct leases *l)
{
    for (struct map_item *i; (i = map_next(&l->by_session, NULL)) != NULL;) lease_remove(l, (struct lease *)i);
    map_close(&l->by_session);
}

struct lease *lease_find(const struct leases *l, uint64_t session)
{
    for (struct map_item *i = map_first(&l->by_session, hash64(&session, sizeof session)); i; i = map_same(i))
        if (((struct lease *)i)->session == session) return (struct lease *)i;
    return NULL;
}

struct lease *lease_add(struct leases *l, uint64_t session, uint32_t timeout_ms, uint64_t peer, int64_t now_ms)
{
    struct lease *n = calloc(1, sizeof *n);
    if (!n || !map_add(&l->by_session, &n->item, hash64(&session, sizeof session))) {
        free(n);
        return NULL;
    }
    n->session = session;
    n->timeout_ms = timeout_ms;
    n->peer = peer;
    n->due = grain_after(l, now_ms, timeout_ms);
    LIST_INSERT_HEAD(bucket(l, n->due), n, next);
    return n;
}

void lease_touch(struct leases *l, struct lease *lease, int64_t now_ms)
{
    int64_t due = grain_after(l, now_ms, lease->timeout_ms);
    if (lease->closing || due <= lease->due) return;
    LIST_REMOVE(lease, next);
    lease->due = due;
    LIST_INSERT_HEAD(bucket(l, due), lease, next);
}

void lease_remove(struct leases *l, struct lease *lease)
{
    LIST_REMOVE(lease, next);
    map_remove(&l->by_session, &lease->item);
    free(lease);
}

void leases_tick(struct leases *l, int64_t now_ms)
{
    int64_t passed = now_ms - l->tick_ms;
    if (passed > LEASE_STALL_MS) l->jump_ms += passed;
    if (passed > 0) l->tick_ms = now_ms;
}

struct lease *lease_due(struct leases *l)
{
    int64_t now = (l->tick_ms - l->jump_ms) / LEASE_GRAIN_MS;
    for (; l->grain <= now; l->grain++) {
        struct lease *lease;
        LIST_FOREACH(lease, bucket(l, l->grain), next)
        if (lease->due == l->grain && !lease->closing) return lease;
    }
    return NULL;
}
