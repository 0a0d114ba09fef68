/* SPDX-License-Identifier: Apache-2.0 */
/* What is committed: applied, told to watches, and then answered. */
#include "runtime/coord/server_internal.h"

/* ---- events -------------------------------------------------------------------------------------------------------------------- */

struct happening {
    struct coord_server *s;
    struct zxid zxid;
    enum event_type type;
    struct weir_bytes path;
};

static void tell(void *arg, struct watcher *who)
{
    const struct happening *h = arg;
    const struct connection *c = connection_find(h->s, who->id);
    say_to(h->s, c, &(struct say){.type = SAY_EVENT, .zxid = h->zxid, .event = (uint8_t)h->type, .path = h->path});
}

static void tell_watches(struct coord_server *s, struct zxid zxid)
{
    struct reader r;
    reader_init(&r, s->applied.events.data, s->applied.events.len);
    while (reader_left(&r) > 0) {
        struct happening h = {.s = s, .zxid = zxid, .type = read_u8(&r)};
        h.path = read_bytes(&r, UINT32_MAX);
        recall_add(&s->recall, zxid, h.type, h.path);
        watches_fire(&s->watches, h.type, h.path, tell, &h);
    }
}

/* ---- answers ------------------------------------------------------------------------------------------------------------------- */

/* The connection that waits here for what `txn` says about its wish; NULL: none. */
static struct connection *who_wished(const struct coord_server *s, const struct txn *txn)
{
    struct connection *c;
    if (txn->peer != s->config.id) return NULL;
    TAILQ_FOREACH(c, &s->list, next)
    if (c->state == CONNECTION_FRESH && c->token == txn->token) return c;
    return NULL;
}

static void answer_wish(struct coord_server *s, const struct txn *txn)
{
    struct connection *c = who_wished(s, txn), *here = txn->session ? connection_of_session(s, txn->session) : NULL;
    if (txn->type == TXN_MOVE && here && txn->peer != s->config.id)
        refuse(s, here, COORD_SESSION_MOVED, "the session is at another peer now");
    if (!c) return;
    if (txn->type == TXN_DENY)
        refuse(s, c, txn->err, txn->err == COORD_LIMIT ? "the cluster has as many sessions as it may have" : "the session has ended");
    else
        connection_ready(s, c, session_find(&s->state->sessions, txn->session));
}

static void answer_close(struct coord_server *s, const struct txn *txn)
{
    struct connection *c = connection_of_session(s, txn->session);
    struct request *q;
    if (!c) return;
    if (!c->closing) {
        refuse(s, c, COORD_SESSION_EXPIRED, "the session was silent for longer than its timeout");
        return;
    }
    STAILQ_FOREACH(q, &c->requests, next)
    if (q->type == ASK_CLOSE) request_answer(q, COORD_OK, bytes_of("", 0));
    connection_run(s, c);
}

static void answer_write(struct coord_server *s, const struct txn *txn)
{
    struct connection *c = txn->session ? connection_of_session(s, txn->session) : NULL;
    struct request *q;
    if (!c) return;
    STAILQ_FOREACH(q, &c->requests, next)
    {
        if (q->state != REQUEST_FLIGHT || q->type != ASK_WRITE || q->xid > txn->xid) continue;
        if (q->xid == txn->xid)
            request_answer(q, txn->err, bytes_of(s->applied.body.data, s->applied.body.len));
        else /* a later one was proposed before it could be: it never will be */
            request_answer(q, COORD_OUTCOME_FORGOTTEN, bytes_of("", 0));
    }
    connection_run(s, c);
}

static void answer(struct coord_server *s, const struct txn *txn)
{
    switch (txn->type) {
    case TXN_WRITE: answer_write(s, txn); break;
    case TXN_CLOSE: answer_close(s, txn); break;
    case TXN_OPEN:
    case TXN_MOVE:
    case TXN_DENY: answer_wish(s, txn); break;
    }
}

weir_err on_deliver(struct coord_server *s, const struct coord_server_event *ev, struct weir_diag *diag)
{
    if (!ev->bytes.data) {
        if (zxid_cmp(ev->zxid, s->state->last) > 0) s->state->last = ev->zxid;
        return WEIR_OK;
    }
    weir_err err = txn_apply(s->state, ev->zxid, ev->bytes, &s->applied, diag);
    if (err || s->applied.skipped) return err;
    if (s->leader) lead_applied(s, &s->applied.txn, ev->bytes.length);
    tell_watches(s, ev->zxid);
    answer(s, &s->applied.txn);
    return WEIR_OK;
}
