/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/coord/server_internal.h"

#include <stdlib.h>

#include "runtime/base/assert.h"
#include "runtime/base/hash.h"

static uint64_t hash_id(uint64_t id)
{
    return hash64(&id, sizeof id);
}

struct connection *connection_find(const struct coord_server *s, uint64_t id)
{
    for (struct map_item *i = map_first(&s->connections, hash_id(id)); i; i = map_same(i))
        if (((struct connection *)i)->id == id) return (struct connection *)i;
    return NULL;
}

static struct connection *with_session(struct map_item *i)
{
    return (struct connection *)((char *)i - offsetof(struct connection, by_session));
}

struct connection *connection_of_session(const struct coord_server *s, uint64_t session)
{
    for (struct map_item *i = map_first(&s->by_session, hash_id(session)); i; i = map_same(i))
        if (with_session(i)->session == session) return with_session(i);
    return NULL;
}

void connection_open(struct coord_server *s, const struct coord_server_event *ev)
{
    WEIR_ASSERT(!connection_find(s, ev->connection));
    struct connection *c = calloc(1, sizeof *c);
    WEIR_ASSERT(c);
    c->id = c->watcher.id = ev->connection;
    c->since_ms = s->now_ms;
    memcpy(c->password, ev->random, sizeof c->password);
    memcpy(&c->token, ev->random + sizeof c->password, sizeof c->token);
    STAILQ_INIT(&c->requests);
    LIST_INIT(&c->watcher.watches);
    put_u16(&c->identities, 0);
    buffer_add(&c->key, ev->key.data, ev->key.length);
    if (ev->key.length > 0) identities_add(&c->identities, ACL_KEY, ev->key);
    if (ev->key.length > 0 && ev->super) identities_add(&c->identities, ACL_SUPER, ev->key);
    WEIR_ASSERT(!c->identities.err && !c->key.err);
    bool added = map_add(&s->connections, &c->item, hash_id(c->id));
    WEIR_ASSERT(added);
    TAILQ_INSERT_TAIL(&s->list, c, next);
    if (s->connections.n > s->config.limits.connections) refuse(s, c, COORD_THROTTLED, "this peer has as many connections as it may have");
}

static void request_free(struct coord_server *s, struct connection *c)
{
    struct request *q = STAILQ_FIRST(&c->requests);
    STAILQ_REMOVE_HEAD(&c->requests, next);
    c->n_requests--;
    s->waiting--;
    buffer_close(&q->body);
    free(q);
}

void connection_free(struct coord_server *s, struct connection *c)
{
    while (c->n_requests > 0) request_free(s, c);
    watcher_leave(&s->watches, &c->watcher);
    if (c->state == CONNECTION_READY) map_remove(&s->by_session, &c->by_session);
    map_remove(&s->connections, &c->item);
    TAILQ_REMOVE(&s->list, c, next);
    buffer_close(&c->identities);
    buffer_close(&c->key);
    free(c);
}

void connection_ready(struct coord_server *s, struct connection *c, const struct session *session)
{
    struct connection *former = connection_of_session(s, session->id);
    if (former) refuse(s, former, COORD_SESSION_MOVED, "the session has another connection now");
    c->state = CONNECTION_READY;
    c->session = session->id;
    c->touched = true;
    bool added = map_add(&s->by_session, &c->by_session, hash_id(c->session));
    WEIR_ASSERT(added);
    struct say say = {.type = SAY_CONNECTED,
                      .zxid = s->state->last,
                      .session = session->id,
                      .timeout_ms = session->timeout_ms,
                      .last_xid = session->last_xid};
    memcpy(say.password, c->password, sizeof say.password);
    say_to(s, c, &say);
}

/* ---- requests ------------------------------------------------------------------------------------------------------------------ */

struct request *request_add(struct coord_server *s, struct connection *c, const struct ask *ask, struct weir_bytes bytes)
{
    struct request *q = calloc(1, sizeof *q + bytes.length);
    WEIR_ASSERT(q);
    q->type = ask->type;
    q->xid = c->xid = ask->xid;
    q->since_ms = s->now_ms;
    q->length = bytes.length;
    memcpy(q->bytes, bytes.data, bytes.length);
    STAILQ_INSERT_TAIL(&c->requests, q, next);
    c->n_requests++;
    s->waiting++;
    return q;
}

void request_answer(struct request *q, enum coord_err err, struct weir_bytes body)
{
    q->state = REQUEST_ANSWERED;
    q->err = (uint16_t)err;
    buffer_clear(&q->body);
    buffer_add(&q->body, body.data, body.length);
    WEIR_ASSERT(!q->body.err);
}

static void serve(struct coord_server *s, struct connection *c, struct request *q)
{
    switch (q->type) {
    case ASK_READ: serve_read(s, c, q); break;
    case ASK_WATCHES: serve_watches(s, c, q); break;
    case ASK_UNWATCH: serve_unwatch(s, c, q); break;
    default: request_answer(q, COORD_OK, bytes_of("", 0)); break; /* a sync whose round is over */
    }
}

void connection_run(struct coord_server *s, struct connection *c)
{
    struct request *q;
    while ((q = STAILQ_FIRST(&c->requests)) != NULL) {
        if (q->state == REQUEST_WAITING) serve(s, c, q);
        if (q->state != REQUEST_ANSWERED) return;
        struct say say = {
            .type = SAY_REPLY, .zxid = s->state->last, .xid = q->xid, .err = q->err, .body = bytes_of(q->body.data, q->body.len)};
        say_to(s, c, &say);
        bool last = q->type == ASK_CLOSE && q->err == COORD_OK;
        bool broken = q->type == ASK_AUTH && q->err != COORD_OK;
        request_free(s, c);
        if (!last && !broken) continue;
        act_plain(s, COORD_DO_CLOSE, c->id, 0);
        connection_free(s, c);
        return;
    }
}
