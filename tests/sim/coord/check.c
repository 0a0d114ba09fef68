/* SPDX-License-Identifier: Apache-2.0 */
/* The invariants, checked as things happen. */
#include "tests/sim/coord/ensemble.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"

static void choose(struct ens *e, const struct zab_entry *entry)
{
    if (e->n_chosen == e->cap_chosen) {
        e->cap_chosen = e->cap_chosen ? 2 * e->cap_chosen : 128;
        e->chosen = realloc(e->chosen, e->cap_chosen * sizeof *e->chosen);
        WEIR_ASSERT(e->chosen);
    }
    struct zab_entry *at = &e->chosen[e->n_chosen++];
    *at = *entry;
    at->bytes.data = ens_keep(e, entry->bytes.data, entry->bytes.length);
}

static bool same(const struct zab_entry *a, const struct zab_entry *b)
{
    return zxid_eq(a->zxid, b->zxid) && zxid_eq(a->prev, b->prev) && a->kind == b->kind && a->bytes.length == b->bytes.length &&
           (a->bytes.length == 0 || memcmp(a->bytes.data, b->bytes.data, a->bytes.length) == 0);
}

/* Agreement, total order, integrity, no gap, no doubling: every peer gets the one sequence, in its order. */
void check_delivered(struct ens *e, struct ens_peer *p, const struct zab_entry *entry)
{
    if (zxid_cmp(entry->zxid, p->applied) <= 0 || !zxid_eq(entry->prev, p->applied))
        ens_violate(e, "peer %u delivers %llu.%llu behind %llu.%llu", p->id, (unsigned long long)entry->zxid.epoch,
                    (unsigned long long)entry->zxid.counter, (unsigned long long)p->applied.epoch, (unsigned long long)p->applied.counter);
    if (p->place == e->n_chosen)
        choose(e, entry);
    else if (!same(&e->chosen[p->place], entry))
        ens_violate(e, "peer %u delivers %llu.%llu where another delivered %llu.%llu", p->id, (unsigned long long)entry->zxid.epoch,
                    (unsigned long long)entry->zxid.counter, (unsigned long long)e->chosen[p->place].zxid.epoch,
                    (unsigned long long)e->chosen[p->place].zxid.counter);
    p->place++;
    p->applied = entry->zxid;
}

static void note_epoch(struct ens *e, struct ens_peer *p)
{
    if (p->epoch >= e->n_epochs) {
        uint32_t n = (uint32_t)p->epoch + 16;
        e->epochs = realloc(e->epochs, n * sizeof *e->epochs);
        WEIR_ASSERT(e->epochs);
        memset(e->epochs + e->n_epochs, 0, (n - e->n_epochs) * sizeof *e->epochs);
        e->n_epochs = n;
    }
    uint32_t who = p->life << 8 | p->id;
    if (e->epochs[p->epoch] && e->epochs[p->epoch] != who)
        ens_violate(e, "epoch %llu has two leaders: %u and %u", (unsigned long long)p->epoch, e->epochs[p->epoch] & 255, p->id);
    if (!e->epochs[p->epoch]) e->n_elections++;
    e->epochs[p->epoch] = who;
}

/*
 * An established leader is the only one of its epoch and has all that was ever delivered in earlier ones. Later ones may have begun
 * already: a leader that was stopped hears of its quorum long after that has left it, and then commits nothing.
 */
void check_role(struct ens *e, struct ens_peer *p)
{
    if (p->role != ZAB_LEADING || !p->established) return;
    note_epoch(e, p);
    uint32_t n = e->n_chosen;
    while (n > 0 && e->chosen[n - 1].zxid.epoch >= p->epoch) n--;
    if (p->place < n)
        ens_violate(e, "leader %u of epoch %llu has %u entries of %u that were committed", p->id, (unsigned long long)p->epoch, p->place,
                    n);
}

/* A read sees all that had been delivered anywhere when it was asked. */
void check_read(struct ens *e, struct ens_peer *p, const struct ens_op *op)
{
    if (op->peer != p->id || op->life != p->life) ens_violate(e, "peer %u answers a read it was not asked", p->id);
    if (p->place < op->chosen_before)
        ens_violate(e, "a read at peer %u sees %u entries, but %u were committed when it was asked", p->id, p->place, op->chosen_before);
}

void check_history(struct ens *e)
{
    struct linear *l = linear_new();
    for (uint32_t i = 0; i < e->n_ops; i++) {
        const struct ens_op *op = &e->ops[i];
        if (op->refused || (op->kind == ENS_READ && !op->answered)) continue;
        linear_add(l, (struct linear_op){.kind = op->kind == ENS_WRITE ? LINEAR_WRITE : LINEAR_READ,
                                         .key = op->key,
                                         .value = op->value,
                                         .invoked = op->asked,
                                         .returned = op->answered ? op->answered : LINEAR_NEVER});
    }
    struct linear_verdict verdict = linear_check(l, 1u << 20);
    if (verdict.result == LINEAR_NO) ens_violate(e, "the history of key %llu is not linearizable", (unsigned long long)verdict.key);
    linear_destroy(&l);
}

/* Healed: one leader, all its members follow it, and everybody has delivered everything. */
bool check_settled(struct ens *e, const char **why)
{
    const struct ens_peer *leader = ens_leader(e);
    *why = "there is no established leader";
    if (!leader) return false;
    *why = "a change of members is pending";
    if (leader->changing) return false;
    for (uint32_t i = 0; i < leader->members.n; i++) {
        const struct ens_peer *p = &e->peers[leader->members.at[i].id];
        *why = "a member does not follow";
        if (!p->core || !p->established || p->epoch != leader->epoch) return false;
        *why = "a member has not delivered everything";
        if (p->place != e->n_chosen) return false;
    }
    return true;
}
