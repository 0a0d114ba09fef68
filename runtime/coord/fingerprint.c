/* SPDX-License-Identifier: Apache-2.0 */
/* zab_fingerprint: two peers of the same fingerprint behave alike from here on. Moments count relative to the peer's clock. */
#include <string.h>

#include "runtime/base/hash.h"
#include "runtime/coord/internal.h"

static void fold(uint64_t *hash, const void *data, size_t n)
{
    *hash = hash64_seed(data, n, *hash);
}

static void fold_moment(uint64_t *hash, const struct zab *z, int64_t at_ms)
{
    int64_t distance = at_ms == INT64_MAX ? at_ms : at_ms - z->now_ms;
    fold(hash, &distance, sizeof distance);
}

static void fold_members(uint64_t *hash, const struct zab_members *m)
{
    fold(hash, &m->version, sizeof m->version);
    for (uint32_t i = 0; i < m->n; i++) fold(hash, (uint32_t[]){m->at[i].id, m->at[i].observer}, 2 * sizeof(uint32_t));
}

static void fold_vote(uint64_t *hash, const struct vote *v)
{
    fold(hash, (uint64_t[]){v->state, v->round, v->leader, v->epoch, v->zxid.epoch, v->zxid.counter}, 6 * sizeof(uint64_t));
}

static void fold_learner(uint64_t *hash, const struct zab *z, const struct learner *l)
{
    fold(hash,
         (uint64_t[]){l->stage, l->session - z->session, l->accepted, l->counts, l->offset, l->whole, l->read != 0, z->ping - l->pong},
         8 * sizeof(uint64_t));
    fold(hash, (struct zxid[]){l->last, l->target, l->sent, l->acked}, 4 * sizeof(struct zxid));
    fold(hash, (uint64_t[]){l->sent_bytes, l->acked_bytes}, 2 * sizeof(uint64_t));
    fold(hash, l->spans, l->n_spans * sizeof l->spans[0]);
    fold_moment(hash, z, l->heard_ms);
}

/* Slots are taken in any order: peers are summed up. */
static void fold_peers(uint64_t *hash, const struct zab *z)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < ZAB_PEERS_MAX; i++) {
        const struct peer *p = &z->peers[i];
        if (!p->id) continue;
        uint64_t one = p->id;
        fold(&one, (bool[]){p->greeted, p->voted}, 2 * sizeof(bool));
        if (p->voted) fold_vote(&one, &p->vote);
        if (p->learner.stage != LEARNER_NONE) fold_learner(&one, z, &p->learner);
        sum += one;
    }
    fold(hash, &sum, sizeof sum);
}

static void fold_writes(uint64_t *hash, const struct zab *z)
{
    for (uint32_t i = 0; i < z->n_writes; i++) {
        const struct disk_write *w = &z->writes[(z->writes_head + i) & (z->writes_cap - 1)];
        fold(hash, (uint64_t[]){w->what, w->generation == z->generation, w->zxid.epoch, w->zxid.counter, w->size, w->last},
             6 * sizeof(uint64_t));
    }
}

static void fold_barriers(uint64_t *hash, const struct zab *z)
{
    for (uint32_t i = 0; i < z->n_barriers; i++) {
        const struct barrier *b = &z->barriers[i];
        fold(hash, (uint64_t[]){b->from, b->token, b->nonce ? b->nonce - z->ping : 0, b->zxid.epoch, b->zxid.counter},
             5 * sizeof(uint64_t));
    }
}

static void fold_history(uint64_t *hash, const struct history *h)
{
    fold(hash, &h->floor, sizeof h->floor);
    fold(hash, h->spans, h->n_spans * sizeof h->spans[0]);
    fold(hash, &h->count, sizeof h->count);
    fold(hash, &h->bytes, sizeof h->bytes);
}

uint64_t zab_fingerprint(const struct zab *z)
{
    uint64_t hash = 0;
    fold(&hash, (uint64_t[]){z->accepted, z->current, z->role, z->phase, z->leader, z->epoch, z->round, z->counter, z->install_next},
         9 * sizeof(uint64_t));
    fold(&hash, (bool[]){z->synced, z->adopted, z->another_ping, z->read != 0, z->failed}, 5 * sizeof(bool));
    fold(&hash, (uint64_t[]){z->ping - z->confirmed, z->session_bytes, z->outstanding_bytes, z->touches.len}, 4 * sizeof(uint64_t));
    fold(&hash, (struct zxid[]){z->durable, z->commit, z->delivered, z->serve_from}, 4 * sizeof(struct zxid));
    const int64_t moments[] = {z->progress_ms, z->finalize_ms, z->resend_ms, z->voted_ms, z->heard_ms, z->quorum_ms, z->ping_ms};
    for (size_t i = 0; i < sizeof moments / sizeof moments[0]; i++) fold_moment(&hash, z, moments[i]);
    fold_vote(&hash, &z->vote);
    fold_members(&hash, &z->active);
    fold_members(&hash, &z->pending);
    fold_history(&hash, &z->history);
    fold_peers(&hash, z);
    fold_writes(&hash, z);
    fold_barriers(&hash, z);
    return hash;
}
