/* SPDX-License-Identifier: Apache-2.0 */
/* The leader's part: requests become proposals, silent sessions end, empty containers and old TTL nodes go. */
#include "runtime/coord/server_internal.h"

#include <stdlib.h>

#include "runtime/base/assert.h"

void lead_begin(struct coord_server *s)
{
    struct leader *l = calloc(1, sizeof *l);
    WEIR_ASSERT(l);
    weir_err err = leases_init(&l->leases, s->state, s->now_ms);
    WEIR_ASSERT(!err);
    l->prep = prep_new(s->state, &l->leases, &s->config.limits);
    WEIR_ASSERT(l->prep);
    STAILQ_INIT(&l->queue);
    l->cleaned_ms = s->now_ms;
    s->leader = l;
}

void lead_end(struct coord_server *s)
{
    struct leader *l = s->leader;
    if (!l) return;
    while (!STAILQ_EMPTY(&l->queue)) {
        struct queued *q = STAILQ_FIRST(&l->queue);
        STAILQ_REMOVE_HEAD(&l->queue, next);
        free(q);
    }
    prep_destroy(&l->prep);
    leases_close(&l->leases);
    free(l);
    s->leader = NULL;
}

/* ---- requests ------------------------------------------------------------------------------------------------------------------ */

/* Sends the proposal that was prepared from `at` on, if one was. */
static void propose(struct coord_server *s, enum prep_outcome outcome, size_t at)
{
    WEIR_ASSERT(outcome != PREP_NOMEM);
    if (outcome != PREP_PROPOSE) return;
    s->leader->bytes += s->out->bytes.len - at;
    act_end(s, COORD_DO_PROPOSE, 0, at);
}

static enum prep_outcome prepare_write(struct coord_server *s, struct lease *lease, const struct relay *relay)
{
    lease_touch(&s->leader->leases, lease, s->now_ms);
    struct write_request q = {.session = relay->session,
                              .xid = relay->xid,
                              .acked = relay->acked,
                              .identities = relay->identities,
                              .n_ops = relay->n_ops,
                              .ops = relay->ops};
    return prep_write(s->leader->prep, &q, s->wall_ms, &s->out->bytes);
}

/* Of a session: dropped when it has ended, or when its client is at another peer by now. */
static enum prep_outcome prepare_of_session(struct coord_server *s, uint64_t peer, const struct relay *relay)
{
    struct lease *lease = lease_find(&s->leader->leases, relay->session);
    if (!lease || lease->closing || lease->peer != peer) return PREP_NOTHING;
    if (relay->type == RELAY_WRITE) return prepare_write(s, lease, relay);
    return prep_close(s->leader->prep, lease, TXN_CLOSED, s->wall_ms, &s->out->bytes);
}

static enum prep_outcome prepare(struct coord_server *s, uint64_t peer, const struct relay *relay)
{
    struct txn wish = {.session = relay->session, .peer = peer, .token = relay->token, .timeout_ms = relay->timeout_ms};
    wish.password = relay->password;
    if (relay->type == RELAY_OPEN) return prep_open(s->leader->prep, &wish, s->wall_ms, s->now_ms, &s->out->bytes);
    if (relay->type == RELAY_MOVE) return prep_move(s->leader->prep, &wish, s->wall_ms, s->now_ms, &s->out->bytes);
    return prepare_of_session(s, peer, relay);
}

static void carry_out(struct coord_server *s, uint64_t peer, struct weir_bytes bytes)
{
    struct relay relay;
    if (!read_relay(bytes, &relay)) return; /* the peer has another version; its client's request times out there */
    size_t at = act_begin(s);
    propose(s, prepare(s, peer, &relay), at);
}

static bool room(const struct coord_server *s)
{
    const struct leader *l = s->leader;
    return prep_under_way(l->prep) < s->config.limits.proposals && l->bytes < s->config.limits.proposal_bytes;
}

void lead_forwarded(struct coord_server *s, uint64_t peer, struct weir_bytes bytes)
{
    if (STAILQ_EMPTY(&s->leader->queue) && room(s)) {
        carry_out(s, peer, bytes);
        return;
    }
    struct queued *q = malloc(sizeof *q + bytes.length);
    WEIR_ASSERT(q);
    q->peer = peer;
    q->length = bytes.length;
    memcpy(q->bytes, bytes.data, bytes.length);
    STAILQ_INSERT_TAIL(&s->leader->queue, q, next);
}

void lead_applied(struct coord_server *s, const struct txn *txn, uint32_t length)
{
    struct leader *l = s->leader;
    prep_applied(l->prep, txn);
    l->bytes -= length;
    while (!STAILQ_EMPTY(&l->queue) && room(s)) {
        struct queued *q = STAILQ_FIRST(&l->queue);
        STAILQ_REMOVE_HEAD(&l->queue, next);
        carry_out(s, q->peer, bytes_of(q->bytes, q->length));
        free(q);
    }
}

/* ---- time ---------------------------------------------------------------------------------------------------------------------- */

void lead_touched(struct coord_server *s, uint64_t peer, struct weir_bytes bytes)
{
    struct reader r;
    reader_init(&r, bytes.data, bytes.length);
    while (reader_left(&r) >= 8) {
        struct lease *lease = lease_find(&s->leader->leases, read_u64(&r));
        if (lease && lease->peer == peer) lease_touch(&s->leader->leases, lease, s->now_ms);
    }
}

static void end_silent_sessions(struct coord_server *s)
{
    struct lease *lease;
    leases_tick(&s->leader->leases, s->now_ms);
    while (room(s) && (lease = lease_due(&s->leader->leases)) != NULL) {
        size_t at = act_begin(s);
        propose(s, prep_close(s->leader->prep, lease, TXN_EXPIRED, s->wall_ms, &s->out->bytes), at);
    }
}

void lead_tick(struct coord_server *s)
{
    struct leader *l = s->leader;
    end_silent_sessions(s);
    if (s->now_ms - l->cleaned_ms < s->config.limits.cleanup_ms || !room(s)) return;
    l->cleaned_ms = s->now_ms;
    size_t at = act_begin(s);
    propose(s, prep_clean(l->prep, s->wall_ms, &s->out->bytes), at);
}
