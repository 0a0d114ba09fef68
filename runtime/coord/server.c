/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/coord/server.h"

#include <stdlib.h>

#include "runtime/base/assert.h"
#include "runtime/coord/message.h"
#include "runtime/coord/server_internal.h"

static_assert(COORD_TXN_MAX <= ZAB_ENTRY_MAX, "every transaction is an entry");
static_assert(COORD_REQUEST_MAX + (COORD_IDENTITIES_MAX + 1) * (COORD_ID_MAX + 8u) <= ZAB_ENTRY_MAX, "every request can be forwarded");
static_assert(8 * COORD_TOUCHES_MAX <= ZAB_TOUCH_MAX, "a report of touches travels whole");

/* ---- actions ------------------------------------------------------------------------------------------------------------------- */

size_t act_begin(struct coord_server *s)
{
    return s->out->bytes.len;
}

static struct coord_server_action *add_action(struct coord_server_actions *out)
{
    if (out->n == out->cap) {
        uint32_t cap = out->cap ? 2 * out->cap : 32;
        struct coord_server_action *moved = realloc(out->at, cap * sizeof *moved);
        WEIR_ASSERT(moved);
        out->at = moved;
        out->cap = cap;
    }
    return &out->at[out->n++];
}

void act_end(struct coord_server *s, enum coord_server_action_type type, uint64_t connection, size_t at)
{
    WEIR_ASSERT(!s->out->bytes.err);
    *add_action(s->out) = (struct coord_server_action){.type = type, .connection = connection, .at = at, .length = s->out->bytes.len - at};
}

void act_plain(struct coord_server *s, enum coord_server_action_type type, uint64_t connection, uint64_t token)
{
    *add_action(s->out) = (struct coord_server_action){.type = type, .connection = connection, .token = token};
}

void say_to(struct coord_server *s, const struct connection *c, const struct say *say)
{
    size_t at = act_begin(s);
    put_say(&s->out->bytes, say);
    act_end(s, COORD_DO_SEND, c->id, at);
}

void refuse(struct coord_server *s, struct connection *c, enum coord_err err, const char *reason)
{
    say_to(s, c, &(struct say){.type = SAY_REFUSED, .err = (uint16_t)err, .reason = bytes_text(reason)});
    act_plain(s, COORD_DO_CLOSE, c->id, 0);
    connection_free(s, c);
}

void coord_server_actions_close(struct coord_server_actions *actions)
{
    free(actions->at);
    buffer_close(&actions->bytes);
    *actions = (struct coord_server_actions){0};
}

/* ---- life ---------------------------------------------------------------------------------------------------------------------- */

void coord_server_new(struct coord_server **out, const struct coord_server_config *config, struct coord_state *state, int64_t now_ms)
{
    struct coord_server *s = calloc(1, sizeof *s);
    WEIR_ASSERT(s);
    WEIR_ASSERT(config->id > 0);
    WEIR_ASSERT(config->limits.txn <= COORD_TXN_MAX);
    WEIR_ASSERT(config->limits.data <= COORD_DATA_MAX);
    s->config = *config;
    s->state = state;
    s->now_ms = s->lost_ms = s->touched_ms = now_ms;
    TAILQ_INIT(&s->list);
    bool ready = recall_init(&s->recall, config->limits.events, state->last);
    WEIR_ASSERT(ready);
    *out = s;
}

void coord_server_destroy(struct coord_server **server)
{
    struct coord_server *s = *server;
    if (!s) return;
    while (!TAILQ_EMPTY(&s->list)) connection_free(s, TAILQ_FIRST(&s->list));
    lead_end(s);
    map_close(&s->connections);
    map_close(&s->by_session);
    watches_close(&s->watches);
    recall_close(&s->recall);
    applied_close(&s->applied);
    free(s);
    *server = NULL;
}

/* ---- roles --------------------------------------------------------------------------------------------------------------------- */

static void on_role(struct coord_server *s, const struct coord_server_event *ev)
{
    struct connection *c;
    if (s->established && !ev->established) s->lost_ms = s->now_ms;
    s->established = ev->established;
    lead_end(s);
    if (!ev->established) return;
    if (ev->leads) lead_begin(s);
    TAILQ_FOREACH(c, &s->list, next)
    {
        if (c->state == CONNECTION_FRESH) wish_again(s, c);
        ask_again(s, c);
    }
}

/* The request that waits for the round; NULL: none does. */
static struct request *waits_for_round(const struct connection *c, uint64_t token)
{
    struct request *q;
    STAILQ_FOREACH(q, &c->requests, next)
    if (q->state == REQUEST_BARRIER && q->token == token) return q;
    return NULL;
}

/* The round of a barrier is over, or must be begun again. */
static void on_barrier(struct coord_server *s, uint64_t token, bool passed)
{
    struct connection *c, *next;
    for (c = TAILQ_FIRST(&s->list); c; c = next) {
        struct request *q = waits_for_round(c, token);
        bool confirms = c->confirm.token == token;
        next = TAILQ_NEXT(c, next);
        if (!q && !confirms) continue;
        if (!passed) {
            if (s->established) act_plain(s, COORD_DO_BARRIER, 0, token);
        } else if (confirms) {
            confirm_answer(s, c, COORD_OK);
        } else {
            q->state = REQUEST_WAITING;
            connection_run(s, c);
        }
        return;
    }
}

/* ---- time ---------------------------------------------------------------------------------------------------------------------- */

static bool waits_for_leader(const struct request *q)
{
    return q->state == REQUEST_FLIGHT || q->state == REQUEST_BARRIER;
}

static bool too_long(const struct coord_server *s, int64_t since_ms)
{
    int64_t from = since_ms > s->lost_ms ? since_ms : s->lost_ms;
    return !s->established && s->now_ms - from >= s->config.limits.quorum_wait_ms;
}

/* A request that has waited too long for a leader is given up, and all that follow it on the connection. */
static void give_up_requests(struct coord_server *s, struct connection *c)
{
    struct request *q;
    bool given_up = false;
    STAILQ_FOREACH(q, &c->requests, next)
    {
        if (waits_for_leader(q) && too_long(s, q->since_ms)) given_up = true;
        if (!given_up || q->state == REQUEST_ANSWERED) continue;
        request_answer(q, COORD_NO_QUORUM, bytes_of("", 0));
        if (q->type == ASK_CLOSE) c->closing = false;
    }
    if (given_up) connection_run(s, c);
}

static void look_after(struct coord_server *s, struct connection *c)
{
    if (c->confirm.token && too_long(s, c->confirm.since_ms)) confirm_answer(s, c, COORD_NO_QUORUM);
    if (c->state == CONNECTION_OPENED && s->now_ms - c->since_ms >= COORD_CONNECT_MS)
        refuse(s, c, COORD_MARSHALLING, "no CONNECT within 10 s");
    else if (c->state == CONNECTION_FRESH && too_long(s, c->since_ms))
        refuse(s, c, COORD_NO_QUORUM, "no leader with a quorum: sessions are neither opened nor moved; try another peer");
    else if (c->n_requests > 0)
        give_up_requests(s, c);
}

/* Tells the leader which sessions have been heard. */
static void report_touches(struct coord_server *s)
{
    struct connection *c;
    uint32_t n = 0;
    size_t at = act_begin(s);
    TAILQ_FOREACH(c, &s->list, next)
    {
        if (c->state != CONNECTION_READY || !c->touched || n == COORD_TOUCHES_MAX) continue;
        put_u64(&s->out->bytes, c->session);
        c->touched = false;
        n++;
    }
    if (n > 0) act_end(s, COORD_DO_TOUCH, 0, at);
}

static void on_tick(struct coord_server *s)
{
    for (struct connection *c = TAILQ_FIRST(&s->list), *next; c; c = next) {
        next = TAILQ_NEXT(c, next);
        look_after(s, c);
    }
    if (s->established && s->now_ms - s->touched_ms >= s->config.limits.touch_ms) {
        s->touched_ms = s->now_ms;
        report_touches(s);
    }
    if (s->leader) lead_tick(s);
}

/* ---- steps --------------------------------------------------------------------------------------------------------------------- */

static void begin_step(struct coord_server *s, struct coord_server_actions *out)
{
    out->n = 0;
    buffer_clear(&out->bytes);
    s->out = out;
}

static void on_connection(struct coord_server *s, const struct coord_server_event *ev)
{
    struct connection *c = ev->type == COORD_EV_OPENED ? NULL : connection_find(s, ev->connection);
    if (ev->type == COORD_EV_OPENED) connection_open(s, ev);
    if (!c) return; /* closed by us; this was on its way */
    if (ev->type == COORD_EV_MESSAGE)
        on_message(s, c, ev->bytes);
    else
        connection_free(s, c);
}

weir_err coord_server_step(struct coord_server *s, const struct coord_server_event *ev, struct coord_server_actions *out,
                           struct weir_diag *diag)
{
    weir_err err = WEIR_OK;
    begin_step(s, out);
    s->now_ms = ev->now_ms;
    s->wall_ms = ev->wall_ms;
    switch (ev->type) {
    case COORD_EV_OPENED:
    case COORD_EV_MESSAGE:
    case COORD_EV_CLOSED: on_connection(s, ev); break;
    case COORD_EV_DELIVER: err = on_deliver(s, ev, diag); break;
    case COORD_EV_ROLE: on_role(s, ev); break;
    case COORD_EV_FORWARDED:
        if (s->leader) lead_forwarded(s, ev->peer, ev->bytes);
        break;
    case COORD_EV_TOUCHED:
        if (s->leader) lead_touched(s, ev->peer, ev->bytes);
        break;
    case COORD_EV_SYNCED: on_barrier(s, ev->token, true); break;
    case COORD_EV_BARRIER_LOST: on_barrier(s, ev->token, false); break;
    case COORD_EV_TICK: on_tick(s); break;
    }
    out->deadline_ms = s->now_ms + (s->leader ? LEASE_GRAIN_MS : s->config.limits.touch_ms);
    return err;
}

/* ---- a new state --------------------------------------------------------------------------------------------------------------- */

static void tell_resync(void *arg, struct watcher *who, struct weir_bytes path)
{
    struct coord_server *s = arg;
    const struct connection *c = connection_find(s, who->id);
    say_to(s, c, &(struct say){.type = SAY_EVENT, .zxid = s->state->last, .event = EVENT_RESYNC, .path = path});
}

/* What the new state says about a session with a connection here. */
static void reconcile(struct coord_server *s, struct connection *c)
{
    const struct session *session = session_find(&s->state->sessions, c->session);
    struct request *q;
    if (!session && !c->closing) {
        refuse(s, c, COORD_SESSION_EXPIRED, "the session has ended");
        return;
    }
    if (session && session->peer != s->config.id) {
        refuse(s, c, COORD_SESSION_MOVED, "the session is at another peer now");
        return;
    }
    watcher_resync(&s->watches, &c->watcher, tell_resync, s);
    STAILQ_FOREACH(q, &c->requests, next)
    {
        if (q->state != REQUEST_FLIGHT) continue;
        if (q->type == ASK_CLOSE && !session) request_answer(q, COORD_OK, bytes_of("", 0));
        if (q->type == ASK_WRITE && session && q->xid <= session->last_xid) request_repeat(q, session);
        if (q->type == ASK_WRITE && !session) request_answer(q, COORD_OUTCOME_FORGOTTEN, bytes_of("", 0));
    }
    connection_run(s, c);
}

void coord_server_replaced(struct coord_server *s, struct coord_server_actions *out)
{
    begin_step(s, out);
    recall_close(&s->recall);
    bool ready = recall_init(&s->recall, s->config.limits.events, s->state->last);
    WEIR_ASSERT(ready);
    for (struct connection *c = TAILQ_FIRST(&s->list), *next; c; c = next) {
        next = TAILQ_NEXT(c, next);
        if (c->state == CONNECTION_READY) reconcile(s, c);
    }
    out->deadline_ms = s->now_ms;
}

bool coord_server_may_reconfig(const struct coord_server *s, uint64_t connection)
{
    const struct connection *c = connection_find(s, connection);
    const struct node *node = tree_find(&s->state->tree, bytes_text(COORD_ENSEMBLE_PATH));
    if (!c) return false;
    struct weir_bytes identities = bytes_of(c->identities.data, c->identities.len);
    return node ? acl_allows_by_name(acl_bytes(node->acl), ACL_WRITE, identities) : identities_are_super(identities);
}

struct coord_server_status coord_server_status(const struct coord_server *s)
{
    const struct connection *c;
    struct coord_server_status status = {
        .connections = (uint32_t)s->connections.n,
        .waiting = s->waiting,
        .proposals = s->leader ? prep_under_way(s->leader->prep) : 0,
        .applied = s->state->last,
        .established = s->established,
        .leads = s->leader != NULL,
    };
    TAILQ_FOREACH(c, &s->list, next) status.watches += c->watcher.n;
    return status;
}
