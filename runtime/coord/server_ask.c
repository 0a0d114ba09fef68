/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of clients: what is refused at once, what goes to the leader, what waits here. */
#include "runtime/coord/server_internal.h"

#include "runtime/base/assert.h"

static void forward(struct coord_server *s, const struct relay *relay)
{
    if (!s->established) return; /* goes with the next leader */
    size_t at = act_begin(s);
    put_relay(&s->out->bytes, relay);
    if (!s->leader) {
        act_end(s, COORD_DO_FORWARD, 0, at);
        return;
    }
    struct buffer own = {0}; /* the leader's answer goes to the same bytes */
    buffer_add(&own, s->out->bytes.data + at, s->out->bytes.len - at);
    WEIR_ASSERT(!own.err);
    s->out->bytes.len = at;
    lead_forwarded(s, s->config.id, bytes_of(own.data, own.len));
    buffer_close(&own);
}

/* ---- connecting ---------------------------------------------------------------------------------------------------------------- */

static struct weir_bytes key_of(const struct connection *c)
{
    return bytes_of(c->key.data, c->key.len);
}

void wish_again(struct coord_server *s, const struct connection *c)
{
    struct relay relay = {
        .type = c->session ? RELAY_MOVE : RELAY_OPEN, .session = c->session, .token = c->token, .timeout_ms = c->timeout_ms};
    relay.password = session_digest(c->password, key_of(c));
    forward(s, &relay);
}

static void go_on(struct coord_server *s, struct connection *c, const struct ask *ask)
{
    const struct session *session = session_find(&s->state->sessions, ask->session);
    if (!session) {
        refuse(s, c, COORD_SESSION_EXPIRED, "no such session, or no longer: begin a new one");
        return;
    }
    if (!session_admits(session, ask->password, key_of(c))) {
        refuse(s, c, COORD_AUTH_FAILED, "wrong password for this session, or it belongs to another key");
        return;
    }
    memcpy(c->password, ask->password, sizeof c->password);
    if (session->peer == s->config.id) { /* it has not been elsewhere */
        connection_ready(s, c, session);
        return;
    }
    c->session = ask->session;
    c->state = CONNECTION_FRESH;
    wish_again(s, c);
}

static void on_connect(struct coord_server *s, struct connection *c, const struct ask *ask)
{
    if (c->state != CONNECTION_OPENED) {
        refuse(s, c, COORD_MARSHALLING, "a second CONNECT on one connection");
        return;
    }
    c->timeout_ms = ask->timeout_ms;
    c->since_ms = s->now_ms;
    if (zxid_cmp(ask->seen, s->state->last) > 0) {
        refuse(s, c, COORD_CLIENT_AHEAD, "the client has seen a later state than this peer has: try another peer");
    } else if (ask->session) {
        go_on(s, c, ask);
    } else {
        c->state = CONNECTION_FRESH;
        wish_again(s, c);
    }
}

/* ---- writes -------------------------------------------------------------------------------------------------------------------- */

static void forward_write(struct coord_server *s, const struct connection *c, const struct ask *ask)
{
    struct relay relay = {
        .type = RELAY_WRITE, .session = c->session, .xid = ask->xid, .acked = ask->acked, .n_ops = (uint16_t)ask->n, .ops = ask->ops};
    relay.identities = bytes_of(c->identities.data, c->identities.len);
    forward(s, &relay);
}

static void forward_close(struct coord_server *s, const struct connection *c)
{
    struct relay relay = {.type = RELAY_CLOSE, .session = c->session};
    forward(s, &relay);
}

static uint16_t body_err(struct weir_bytes body)
{
    struct reader r;
    reader_init(&r, body.data, body.length);
    return read_u16(&r);
}

/* A write whose xid is not above all that have an outcome: it is a repetition, and is answered with that. */
void request_repeat(struct request *q, const struct session *session)
{
    const struct outcome *o = session_outcome(session, q->xid);
    struct weir_bytes body = o ? bytes_of(o->bytes, o->length) : bytes_of("", 0);
    request_answer(q, o ? body_err(body) : COORD_OUTCOME_FORGOTTEN, body);
}

static void on_write(struct coord_server *s, struct connection *c, const struct ask *ask, struct request *q)
{
    const struct session *session = session_find(&s->state->sessions, c->session);
    WEIR_ASSERT(session);
    q->state = REQUEST_FLIGHT;
    if (ask->xid <= session->last_xid)
        request_repeat(q, session);
    else
        forward_write(s, c, ask);
}

/* ---- the others ---------------------------------------------------------------------------------------------------------------- */

static void begin_barrier(struct coord_server *s, struct request *q)
{
    q->state = REQUEST_BARRIER;
    q->token = ++s->barrier;
    if (s->established) act_plain(s, COORD_DO_BARRIER, 0, q->token);
}

static void begin_round_of_confirm(struct coord_server *s, struct connection *c)
{
    c->confirm.token = ++s->barrier;
    if (s->established) act_plain(s, COORD_DO_BARRIER, 0, c->confirm.token);
}

static void on_confirm(struct coord_server *s, struct connection *c, const struct ask *ask)
{
    if (c->state != CONNECTION_READY) {
        refuse(s, c, COORD_MARSHALLING, "a request before CONNECTED");
        return;
    }
    c->confirm = (struct confirm){.xid = ask->xid, .since_ms = s->now_ms}; /* one that was under way is not answered any more */
    begin_round_of_confirm(s, c);
}

void confirm_answer(struct coord_server *s, struct connection *c, enum coord_err err)
{
    c->confirm.token = 0;
    say_to(s, c, &(struct say){.type = SAY_CONFIRMED, .zxid = s->state->last, .xid = c->confirm.xid, .err = (uint16_t)err});
}

/* At once, so that it holds for all that follows. */
static void on_auth(struct connection *c, const struct ask *ask, struct request *q)
{
    struct buffer id = {0};
    enum coord_err err = ask->scheme == ACL_DIGEST ? identity_of_password(ask->credentials, &id) : COORD_AUTH_FAILED;
    if (!err) err = identities_add(&c->identities, ACL_DIGEST, bytes_of(id.data, id.len));
    buffer_close(&id);
    request_answer(q, err, bytes_of("", 0));
}

/* Too much under way? Then the request is answered so, in its turn. */
static bool throttled(const struct coord_server *s, const struct connection *c, struct request *q)
{
    if (c->n_requests <= COORD_OUTCOMES_MAX && s->waiting <= s->config.limits.outstanding) return false;
    request_answer(q, COORD_THROTTLED, bytes_of("", 0));
    return true;
}

static void take(struct coord_server *s, struct connection *c, const struct ask *ask, struct request *q)
{
    switch (ask->type) {
    case ASK_WRITE: on_write(s, c, ask, q); break;
    case ASK_CLOSE:
        q->state = REQUEST_FLIGHT;
        c->closing = true;
        forward_close(s, c);
        break;
    case ASK_AUTH: on_auth(c, ask, q); break;
    case ASK_SYNC: begin_barrier(s, q); break;
    case ASK_READ:
        if (ask->linear) begin_barrier(s, q);
        break;
    default: break; /* waits for its turn */
    }
}

static void on_request(struct coord_server *s, struct connection *c, const struct ask *ask, struct weir_bytes bytes)
{
    if (c->state != CONNECTION_READY) {
        refuse(s, c, COORD_MARSHALLING, "a request before CONNECTED");
        return;
    }
    if (ask->xid <= c->xid || c->closing) {
        refuse(s, c, COORD_MARSHALLING, "xids must rise on a connection, and nothing may follow CLOSE");
        return;
    }
    struct request *q = request_add(s, c, ask, bytes);
    if (!throttled(s, c, q)) take(s, c, ask, q);
    connection_run(s, c);
}

void on_message(struct coord_server *s, struct connection *c, struct weir_bytes bytes)
{
    struct ask ask;
    c->touched = true;
    if (!read_ask(bytes, &ask)) {
        refuse(s, c, COORD_MARSHALLING, "these bytes are no message of this protocol");
    } else if (ask.type == ASK_PING) {
        say_to(s, c, &(struct say){.type = SAY_PONG, .zxid = s->state->last, .led = s->established});
    } else if (ask.type == ASK_CONNECT) {
        on_connect(s, c, &ask);
    } else if (ask.type == ASK_CONFIRM) {
        on_confirm(s, c, &ask);
    } else {
        on_request(s, c, &ask, bytes);
    }
}

void ask_again(struct coord_server *s, struct connection *c)
{
    struct request *q;
    struct ask ask;
    if (c->confirm.token) begin_round_of_confirm(s, c);
    STAILQ_FOREACH(q, &c->requests, next)
    {
        bool valid = read_ask(bytes_of(q->bytes, q->length), &ask);
        WEIR_ASSERT(valid);
        if (q->state == REQUEST_FLIGHT && q->type == ASK_WRITE) forward_write(s, c, &ask);
        if (q->state == REQUEST_FLIGHT && q->type == ASK_CLOSE) forward_close(s, c);
        if (q->state == REQUEST_BARRIER) begin_barrier(s, q);
    }
}
