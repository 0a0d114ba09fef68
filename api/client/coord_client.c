/* SPDX-License-Identifier: Apache-2.0 */
#include "api/client/coord_client.h"

#include <stdlib.h>

#include "runtime/base/assert.h"
#include "runtime/coord/limits.h"
#include "runtime/coord/path.h"
#include "runtime/coord/watch.h"

struct kept_watch {
    TAILQ_ENTRY(kept_watch) next;
    uint8_t kind; /* enum watch_kind, one */
    struct client_event_to to;
    uint32_t length;
    uint8_t path[];
};

TAILQ_HEAD(kept_list, kept_watch);

enum phase { APART, DIALING, GREETING, READY, OVER };

struct coord_client {
    struct coord_client_config config;
    struct coord_client_actions *out; /* of the present step */
    int64_t now_ms;

    enum phase phase;
    enum weir_coord_state told; /* to the user */
    uint32_t server, tries;     /* tries: since the last CONNECTED */
    uint64_t connection;
    int64_t since_ms, dial_at_ms;
    uint32_t pause_ms;
    uint32_t n_refused; /* handshakes, since a server took the last one */

    uint64_t session;
    uint8_t password[SESSION_PASSWORD_BYTES];
    uint32_t timeout_ms;
    int64_t heard_ms, sent_ms; /* on the present connection */
    int64_t ping_ms;           /* when the PING under way was sent; 0: none is */
    int64_t ping_at_ms;        /* when the next one is due */
    int64_t proven_ms;         /* sent then, and a server has heard it; INT64_MIN: nothing yet */

    uint64_t xid;
    struct request_list requests; /* in order; those sent come first */
    uint32_t n_requests, n_sent;
    int64_t progress_ms;  /* since then the oldest one sent waits for its answer */
    int64_t late_ms;      /* no request is late before */
    uint64_t greeting;    /* the last number used below CLIENT_GREETINGS on this connection */
    uint32_t n_greetings; /* of them unanswered */
    uint32_t n_credentials;
    struct buffer credentials[CLIENT_CREDENTIALS_MAX];

    struct kept_list watches;
    uint32_t n_watches;
    size_t watch_bytes;
    struct zxid newest;   /* in any message */
    struct zxid seen;     /* all events up to it were heard */
    struct zxid heard;    /* of the newest event that met one that stays */
    uint32_t n_heard;     /* events of that transaction that met watches that stay */
    struct zxid repeated; /* what is told again on this connection, up to here ... */
    uint32_t n_repeated;  /* ... and so many of that transaction, was heard before */
};

/* ---- actions ------------------------------------------------------------------------------------------------------------------- */

static struct coord_client_action *act(struct coord_client *c, enum coord_client_action_type type)
{
    struct coord_client_actions *out = c->out;
    if (out->n == out->cap) {
        out->cap = out->cap ? 2 * out->cap : 16;
        out->at = realloc(out->at, out->cap * sizeof *out->at);
        WEIR_ASSERT(out->at);
    }
    struct coord_client_action *a = &out->at[out->n++];
    *a = (struct coord_client_action){.type = type, .connection = c->connection, .at = out->bytes.len};
    return a;
}

static void carry(struct coord_client *c, struct coord_client_action *a, struct weir_bytes bytes)
{
    a->at = c->out->bytes.len;
    a->length = bytes.length;
    buffer_add(&c->out->bytes, bytes.data, bytes.length);
    WEIR_ASSERT(!c->out->bytes.err);
}

static void say(struct coord_client *c, const struct ask *ask)
{
    struct coord_client_action *a = act(c, CLIENT_DO_SEND);
    put_ask(&c->out->bytes, ask);
    WEIR_ASSERT(!c->out->bytes.err);
    a->length = c->out->bytes.len - a->at;
    c->sent_ms = c->now_ms;
}

static void tell_state(struct coord_client *c, enum weir_coord_state state)
{
    if (c->told == state) return;
    c->told = state;
    act(c, CLIENT_DO_STATE)->state = state;
}

static void answer(struct coord_client *c, const struct request *q, enum weir_coord_err err, struct zxid zxid, struct weir_bytes body)
{
    struct coord_client_action *a = act(c, CLIENT_DO_ANSWER);
    a->reply = q->reply;
    a->ask = q->type;
    a->n = q->n;
    a->err = err;
    a->zxid = zxid;
    carry(c, a, body);
    if (q->type != ASK_READ) return;
    a->requests_at = c->out->bytes.len;
    a->requests_len = q->ops.len;
    buffer_add(&c->out->bytes, q->ops.data, q->ops.len);
    WEIR_ASSERT(!c->out->bytes.err);
}

void coord_client_actions_close(struct coord_client_actions *actions)
{
    free(actions->at);
    buffer_close(&actions->bytes);
    *actions = (struct coord_client_actions){0};
}

/* ---- watches ------------------------------------------------------------------------------------------------------------------- */

static struct weir_bytes path_of(const struct kept_watch *w)
{
    return bytes_of(w->path, w->length);
}

static bool stays(const struct kept_watch *w)
{
    return w->kind == WATCH_PERSISTENT || w->kind == WATCH_RECURSIVE;
}

static void keep_watch(struct coord_client *c, const struct request *q, bool there)
{
    struct kept_watch *w = calloc(1, sizeof *w + q->path.len);
    WEIR_ASSERT(w);
    w->kind = q->watch_kind == WATCH_DATA && !there ? WATCH_EXIST : q->watch_kind;
    w->to = q->watch;
    w->length = (uint32_t)q->path.len;
    memcpy(w->path, q->path.data, q->path.len);
    TAILQ_INSERT_TAIL(&c->watches, w, next);
    c->n_watches++;
    c->watch_bytes += w->length + 8;
}

static void drop_watch(struct coord_client *c, struct kept_watch *w)
{
    TAILQ_REMOVE(&c->watches, w, next);
    c->n_watches--;
    c->watch_bytes -= w->length + 8;
    free(w);
}

/* The table of runtime/coord/watch.h, from the other side. */
static bool meets(const struct kept_watch *w, uint8_t event, struct weir_bytes path)
{
    if (w->kind == WATCH_RECURSIVE)
        return event != EVENT_CHILDREN && (event == EVENT_RESYNC ? bytes_equal(path, path_of(w)) : path_within(path, path_of(w)));
    if (!bytes_equal(path, path_of(w))) return false;
    if (w->kind == WATCH_CHILD) return event == EVENT_CHILDREN || event == EVENT_DELETED || event == EVENT_RESYNC;
    return w->kind == WATCH_PERSISTENT || event != EVENT_CHILDREN;
}

static void tell_watch(struct coord_client *c, const struct kept_watch *w, uint8_t event, struct zxid zxid, struct weir_bytes path)
{
    struct coord_client_action *a = act(c, CLIENT_DO_EVENT);
    a->watch = w->to;
    a->event = event;
    a->zxid = zxid;
    carry(c, a, path);
}

/* Was this told before the connection broke? Only what stays is told again; what fires once was used up then. */
static bool told_before(struct coord_client *c, struct zxid zxid)
{
    int order = zxid_cmp(zxid, c->repeated);
    if (order < 0) return true;
    if (order > 0 || c->n_repeated == 0) return false;
    c->n_repeated--;
    return true;
}

static void on_event(struct coord_client *c, const struct say *s)
{
    bool some = false, before = false;
    struct kept_watch *w, *next;
    TAILQ_FOREACH(w, &c->watches, next) some |= stays(w) && meets(w, s->event, s->path);
    if (some && s->event != EVENT_RESYNC) {
        before = told_before(c, s->zxid);
        if (zxid_cmp(s->zxid, c->heard) > 0) c->n_heard = 0;
        if (!before) c->n_heard++;
        c->heard = zxid_max(c->heard, s->zxid);
    }
    for (w = TAILQ_FIRST(&c->watches); w; w = next) {
        next = TAILQ_NEXT(w, next);
        if (!meets(w, s->event, s->path) || (before && stays(w))) continue;
        tell_watch(c, w, s->event, s->zxid, s->path);
        if (!stays(w)) drop_watch(c, w);
    }
}

static void end_watches(struct coord_client *c)
{
    struct kept_watch *w;
    while ((w = TAILQ_FIRST(&c->watches)) != NULL) {
        tell_watch(c, w, WEIR_COORD_ENDED, c->newest, path_of(w));
        drop_watch(c, w);
    }
}

/* ---- requests ------------------------------------------------------------------------------------------------------------------ */

struct request *request_new(enum ask_type type, weir_coord_reply_fn *fn, void *arg)
{
    struct request *q = calloc(1, sizeof *q);
    WEIR_ASSERT(q);
    q->type = type;
    q->reply = (struct client_reply_to){fn, arg};
    return q;
}

void request_destroy(struct request **request)
{
    struct request *q = *request;
    *request = NULL;
    if (!q) return;
    buffer_close(&q->path);
    buffer_close(&q->ops);
    free(q);
}

static void enqueue(struct coord_client *c, struct request *q)
{
    q->xid = ++c->xid;
    if (q->deadline_ms < c->late_ms) c->late_ms = q->deadline_ms;
    TAILQ_INSERT_TAIL(&c->requests, q, next);
    c->n_requests++;
}

static void drop_request(struct coord_client *c, struct request *q)
{
    TAILQ_REMOVE(&c->requests, q, next);
    c->n_requests--;
    c->n_sent -= q->sent;
    request_destroy(&q);
}

static void answer_all(struct coord_client *c, enum weir_coord_err err)
{
    struct request *q;
    while ((q = TAILQ_FIRST(&c->requests)) != NULL) {
        if (!q->mute) answer(c, q, err, c->newest, bytes_of("", 0));
        drop_request(c, q);
    }
}

/* The oldest that is still wanted; all below has arrived or is given up. */
static uint64_t acked(const struct coord_client *c)
{
    const struct request *q;
    TAILQ_FOREACH(q, &c->requests, next)
    if (!q->mute) return q->xid - 1;
    return c->xid;
}

static void send_request(struct coord_client *c, struct request *q)
{
    struct ask ask = {.type = q->type, .xid = q->xid, .linear = q->linear, .n = q->n, .kinds = q->kinds, .scheme = ACL_DIGEST};
    ask.ops = ask.credentials = bytes_of(q->ops.data, q->ops.len);
    ask.path = bytes_of(q->path.data, q->path.len);
    if (q->type == ASK_WRITE) ask.acked = acked(c);
    say(c, &ask);
    if (c->n_sent == 0) c->progress_ms = c->now_ms;
    q->sent = true;
    c->n_sent++;
}

static void send_waiting(struct coord_client *c)
{
    struct request *q;
    if (c->phase != READY) return;
    TAILQ_FOREACH(q, &c->requests, next)
    {
        if (c->n_sent >= CLIENT_WINDOW) return;
        if (!q->sent) send_request(c, q);
    }
}

/* ---- connections --------------------------------------------------------------------------------------------------------------- */

static int64_t ping_every(const struct coord_client *c)
{
    return c->timeout_ms / 4;
}

static int64_t dial_ms(const struct coord_client *c)
{
    int64_t ms = c->timeout_ms / 3;
    return ms < CLIENT_DIAL_MIN_MS ? CLIENT_DIAL_MIN_MS : ms > CLIENT_DIAL_MAX_MS ? CLIENT_DIAL_MAX_MS : ms;
}

/* What is sent again on the next connection: everything but what nobody waits for. */
static void unsend(struct coord_client *c)
{
    for (struct request *q = TAILQ_FIRST(&c->requests), *next; q; q = next) {
        next = TAILQ_NEXT(q, next);
        if (q->mute) {
            drop_request(c, q);
            continue;
        }
        q->sent = false;
    }
    c->n_sent = 0;
}

/* The next server, at once or, when all were tried, after a pause. */
static void leave(struct coord_client *c)
{
    if (c->phase == APART || c->phase == OVER) return;
    act(c, CLIENT_DO_HANG_UP);
    unsend(c);
    c->phase = APART;
    c->server = (c->server + 1) % c->config.n_servers;
    c->tries++;
    c->dial_at_ms = c->now_ms;
    if (c->tries % c->config.n_servers == 0) {
        c->dial_at_ms += c->pause_ms;
        c->pause_ms = 2 * c->pause_ms > CLIENT_PAUSE_MAX_MS ? CLIENT_PAUSE_MAX_MS : 2 * c->pause_ms;
    }
    if (c->session) tell_state(c, WEIR_COORD_SUSPENDED);
}

static void dial(struct coord_client *c)
{
    c->connection++;
    c->phase = DIALING;
    c->since_ms = c->now_ms;
    act(c, CLIENT_DO_DIAL)->index = c->server;
}

static void expire(struct coord_client *c)
{
    act(c, CLIENT_DO_HANG_UP);
    c->phase = OVER;
    answer_all(c, WEIR_COORD_SESSION_EXPIRED);
    tell_state(c, WEIR_COORD_EXPIRED);
    end_watches(c);
}

static void greet(struct coord_client *c)
{
    struct ask ask = {.type = ASK_CONNECT, .seen = c->newest, .timeout_ms = c->config.session_timeout_ms, .session = c->session};
    memcpy(ask.password, c->password, sizeof ask.password);
    c->phase = GREETING;
    say(c, &ask);
}

static void show_credentials(struct coord_client *c)
{
    for (uint32_t i = 0; i < c->n_credentials; i++) {
        say(c, &(struct ask){.type = ASK_AUTH,
                             .xid = ++c->greeting,
                             .scheme = ACL_DIGEST,
                             .credentials = bytes_of(c->credentials[i].data, c->credentials[i].len)});
        c->n_greetings++;
    }
}

static void bring_watches_back(struct coord_client *c)
{
    struct buffer list = {0};
    struct kept_watch *w;
    if (c->n_watches == 0) return;
    TAILQ_FOREACH(w, &c->watches, next)
    put_rewatch(&list, &(struct rewatch){.kind = w->kind, .path = path_of(w)});
    WEIR_ASSERT(!list.err);
    say(c,
        &(struct ask){.type = ASK_WATCHES, .xid = ++c->greeting, .seen = c->seen, .n = c->n_watches, .ops = bytes_of(list.data, list.len)});
    c->n_greetings++;
    buffer_close(&list);
}

static void on_connected(struct coord_client *c, const struct say *s)
{
    if (c->phase != GREETING) return;
    bool resumed = c->session != 0;
    if (c->xid < s->last_xid) c->xid = s->last_xid;
    if (c->xid < CLIENT_GREETINGS) c->xid = CLIENT_GREETINGS;
    c->session = s->session;
    memcpy(c->password, s->password, sizeof c->password);
    c->timeout_ms = s->timeout_ms;
    if (!resumed) c->proven_ms = c->sent_ms; /* of CONNECT. A session that goes on may do so without a leader */
    c->phase = READY;
    c->tries = 0;
    c->pause_ms = CLIENT_PAUSE_MS;
    c->greeting = 0;
    c->n_greetings = 0;
    c->ping_ms = 0;
    c->ping_at_ms = resumed ? c->now_ms : c->now_ms + ping_every(c);
    c->repeated = c->heard;
    c->n_repeated = c->n_heard;
    show_credentials(c);
    bring_watches_back(c);
    tell_state(c, WEIR_COORD_CONNECTED);
    send_waiting(c);
}

static void on_refused(struct coord_client *c, const struct say *s)
{
    if (s->err == COORD_SESSION_EXPIRED || (s->err == COORD_AUTH_FAILED && c->session)) {
        expire(c);
        return;
    }
    if (s->err == COORD_MARSHALLING) answer_all(c, WEIR_COORD_MARSHALLING); /* again it would not be better */
    leave(c);
}

/* ---- replies ------------------------------------------------------------------------------------------------------------------- */

static void end(struct coord_client *c)
{
    if (c->phase == OVER) return;
    act(c, CLIENT_DO_HANG_UP);
    c->phase = OVER;
    tell_state(c, WEIR_COORD_CLOSED);
    answer_all(c, WEIR_COORD_CLOSING);
    end_watches(c);
}

/* Up to `zxid` everything was heard, when no watch is still on its way back. */
static void heard_up_to(struct coord_client *c, struct zxid zxid)
{
    if (c->n_greetings == 0) c->seen = zxid_max(c->seen, zxid);
}

static void keep_credentials(struct coord_client *c, const struct request *q)
{
    if (c->n_credentials == CLIENT_CREDENTIALS_MAX) return; /* the server has refused it */
    struct buffer *b = &c->credentials[c->n_credentials++];
    buffer_add(b, q->ops.data, q->ops.len);
    WEIR_ASSERT(!b->err);
}

/* The error of a read that stands alone. */
static uint16_t read_error(struct weir_bytes body)
{
    struct reader r;
    reader_init(&r, body.data, body.length);
    (void)read_u32(&r);
    uint16_t err = read_u16(&r);
    return r.broken ? COORD_MARSHALLING : err;
}

static void watch_from(struct coord_client *c, const struct request *q, struct weir_bytes body)
{
    uint16_t err = read_error(body);
    struct reader r;
    struct get get;
    reader_init(&r, q->ops.data, q->ops.len);
    read_get(&r, &get);
    if (err == COORD_OK || (err == COORD_NO_NODE && get.type == GET_EXISTS)) keep_watch(c, q, err == COORD_OK);
}

static bool is_greeting(struct coord_client *c, const struct say *s)
{
    if (s->xid > CLIENT_GREETINGS) return false;
    if (c->n_greetings > 0) c->n_greetings--;
    heard_up_to(c, s->zxid);
    return true;
}

static void on_reply(struct coord_client *c, const struct say *s)
{
    struct request *q = TAILQ_FIRST(&c->requests);
    if (c->phase != READY || is_greeting(c, s)) return;
    if (!q || !q->sent || q->xid != s->xid ||
        s->err == COORD_NO_QUORUM) { /* no answer, or one to something else: another server may do better */
        leave(c);
        return;
    }
    heard_up_to(c, s->zxid);
    c->progress_ms = c->now_ms;
    if (q->type == ASK_AUTH && s->err == COORD_OK) keep_credentials(c, q);
    if (q->type == ASK_READ && q->watch.fn && s->err == COORD_OK && !q->mute) watch_from(c, q, s->body);
    if (!q->mute) answer(c, q, (enum weir_coord_err)s->err, s->zxid, s->body);
    bool last = q->type == ASK_CLOSE && s->err == COORD_OK;
    drop_request(c, q);
    if (last) end(c);
    send_waiting(c);
}

static void on_message(struct coord_client *c, struct weir_bytes bytes)
{
    struct say s;
    if (!read_say(bytes, &s)) {
        leave(c);
        return;
    }
    c->heard_ms = c->now_ms;
    if (s.type != SAY_REFUSED) c->newest = zxid_max(c->newest, s.zxid);
    switch (s.type) {
    case SAY_CONNECTED: on_connected(c, &s); break;
    case SAY_REFUSED: on_refused(c, &s); break;
    case SAY_REPLY: on_reply(c, &s); break;
    case SAY_EVENT:
        if (c->phase == READY) on_event(c, &s);
        break;
    case SAY_PONG:
        if (c->ping_ms && s.led) c->proven_ms = c->ping_ms;
        c->ping_ms = 0;
        heard_up_to(c, s.zxid);
        break;
    case SAY_CONFIRMED: break; /* nobody here asks for it */
    }
}

/* ---- time ---------------------------------------------------------------------------------------------------------------------- */

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void give_up_late(struct coord_client *c)
{
    if (c->now_ms < c->late_ms) return;
    c->late_ms = INT64_MAX;
    for (struct request *q = TAILQ_FIRST(&c->requests), *next; q; q = next) {
        next = TAILQ_NEXT(q, next);
        if (q->mute) continue;
        if (q->deadline_ms > c->now_ms) {
            c->late_ms = earlier(c->late_ms, q->deadline_ms);
            continue;
        }
        answer(c, q, WEIR_COORD_OPERATION_TIMEOUT, c->newest, bytes_of("", 0));
        q->mute = true;
        if (!q->sent) drop_request(c, q);
    }
}

static void ping(struct coord_client *c)
{
    if (c->phase != READY || c->ping_ms || c->now_ms < c->ping_at_ms) return;
    c->ping_ms = c->now_ms;
    c->ping_at_ms = c->now_ms + ping_every(c);
    say(c, &(struct ask){.type = ASK_PING});
}

static int64_t silence_until(const struct coord_client *c)
{
    return c->heard_ms + c->timeout_ms * 2 / 3;
}

/* INT64_MAX: nothing is waited for. */
static int64_t stalled_at(const struct coord_client *c)
{
    return c->phase == READY && c->n_sent > 0 ? c->progress_ms + CLIENT_STALL_MS : INT64_MAX;
}

static void take_time(struct coord_client *c)
{
    give_up_late(c);
    if (c->phase == APART && c->now_ms >= c->dial_at_ms) dial(c);
    if ((c->phase == DIALING || c->phase == GREETING) && c->now_ms - c->since_ms >= dial_ms(c)) leave(c);
    if (c->phase == READY && (c->now_ms >= silence_until(c) || c->now_ms >= stalled_at(c))) leave(c);
    ping(c);
}

static int64_t deadline(const struct coord_client *c)
{
    int64_t at = c->late_ms;
    if (c->phase == APART) at = earlier(at, c->dial_at_ms);
    if (c->phase == DIALING || c->phase == GREETING) at = earlier(at, c->since_ms + dial_ms(c));
    if (c->phase == READY) at = earlier(at, silence_until(c));
    at = earlier(at, stalled_at(c));
    if (c->phase == READY && !c->ping_ms) at = earlier(at, c->ping_at_ms);
    return at;
}

/* ---- the outside --------------------------------------------------------------------------------------------------------------- */

static void begin(struct coord_client *c, int64_t now_ms, struct coord_client_actions *out)
{
    out->n = 0;
    buffer_clear(&out->bytes);
    c->out = out;
    c->now_ms = now_ms;
}

static void finish(struct coord_client *c)
{
    c->out->deadline_ms = deadline(c);
}

void coord_client_new(struct coord_client **out, const struct coord_client_config *config)
{
    struct coord_client *c = calloc(1, sizeof *c);
    WEIR_ASSERT(c);
    WEIR_ASSERT(config->n_servers > 0);
    c->config = *config;
    c->server = config->first % config->n_servers;
    c->timeout_ms = config->session_timeout_ms;
    c->pause_ms = CLIENT_PAUSE_MS;
    c->proven_ms = INT64_MIN;
    c->xid = CLIENT_GREETINGS;
    c->dial_at_ms = INT64_MIN;
    c->late_ms = INT64_MAX;
    TAILQ_INIT(&c->requests);
    TAILQ_INIT(&c->watches);
    *out = c;
}

void coord_client_destroy(struct coord_client **client)
{
    struct coord_client *c = *client;
    *client = NULL;
    if (!c) return;
    while (!TAILQ_EMPTY(&c->requests)) drop_request(c, TAILQ_FIRST(&c->requests));
    while (!TAILQ_EMPTY(&c->watches)) drop_watch(c, TAILQ_FIRST(&c->watches));
    for (uint32_t i = 0; i < c->n_credentials; i++) buffer_close(&c->credentials[i]);
    free(c);
}

void coord_client_tick(struct coord_client *c, int64_t now_ms, struct coord_client_actions *out)
{
    begin(c, now_ms, out);
    take_time(c);
    finish(c);
}

void coord_client_up(struct coord_client *c, uint64_t connection, int64_t now_ms, struct coord_client_actions *out)
{
    begin(c, now_ms, out);
    if (connection == c->connection) c->n_refused = 0;
    if (connection == c->connection && c->phase == DIALING) greet(c);
    finish(c);
}

void coord_client_down(struct coord_client *c, uint64_t connection, int64_t now_ms, struct coord_client_actions *out)
{
    begin(c, now_ms, out);
    if (connection == c->connection) leave(c);
    take_time(c);
    finish(c);
}

void coord_client_refused(struct coord_client *c, uint64_t connection, int64_t now_ms, struct coord_client_actions *out)
{
    begin(c, now_ms, out);
    if (connection == c->connection) {
        c->n_refused++;
        if (c->n_refused >= c->config.n_servers && !c->session) answer_all(c, WEIR_COORD_KEY_REFUSED);
        leave(c);
    }
    take_time(c);
    finish(c);
}

void coord_client_message(struct coord_client *c, uint64_t connection, struct weir_bytes bytes, int64_t now_ms,
                          struct coord_client_actions *out)
{
    begin(c, now_ms, out);
    if (connection == c->connection && (c->phase == GREETING || c->phase == READY)) on_message(c, bytes);
    take_time(c);
    finish(c);
}

static enum weir_coord_err refusal(const struct coord_client *c, const struct request *q)
{
    if (q->refused) return q->refused;
    if (c->phase == OVER) return c->told == WEIR_COORD_EXPIRED ? WEIR_COORD_SESSION_EXPIRED : WEIR_COORD_CLOSING;
    if (c->n_requests >= WEIR_COORD_QUEUE_MAX) return WEIR_COORD_THROTTLED;
    if (q->ops.len + q->path.len + 64 > COORD_REQUEST_MAX) return WEIR_COORD_LIMIT;
    bool full = c->n_watches >= WEIR_COORD_WATCHES_MAX || c->watch_bytes + q->path.len > CLIENT_WATCH_BYTES;
    return q->watch.fn && full ? WEIR_COORD_LIMIT : WEIR_COORD_OK;
}

void coord_client_ask(struct coord_client *c, struct request **request, int64_t now_ms, struct coord_client_actions *out)
{
    struct request *q = *request;
    *request = NULL;
    begin(c, now_ms, out);
    enum weir_coord_err err = refusal(c, q);
    if (err) {
        answer(c, q, err, c->newest, bytes_of("", 0));
        request_destroy(&q);
    } else {
        enqueue(c, q);
        if (c->phase == READY && c->n_sent < CLIENT_WINDOW) send_request(c, q); /* if one before it were unsent, the window would be full */
    }
    finish(c);
}

static bool is_same_watch(const struct kept_watch *w, uint8_t kind, struct weir_bytes path)
{
    const uint8_t data = WATCH_DATA | WATCH_EXIST;
    return (w->kind == kind || (w->kind & data && kind & data)) && bytes_equal(path_of(w), path);
}

/* A server has one watch of a kind for each path: it is that of others, too, and of those whose read is under way. */
static bool watched_otherwise(const struct coord_client *c, const struct kept_watch *than)
{
    const struct kept_watch *w;
    const struct request *q;
    TAILQ_FOREACH(w, &c->watches, next)
    if (w != than && is_same_watch(than, w->kind, path_of(w))) return true;
    TAILQ_FOREACH(q, &c->requests, next)
    if (q->watch.fn && is_same_watch(than, q->watch_kind, bytes_of(q->path.data, q->path.len))) return true;
    return false;
}

static void nobody(void *arg, struct weir_coord_reply *reply)
{
    (void)arg;
    (void)reply;
}

static void unwatch(struct coord_client *c, struct kept_watch *w)
{
    if (!watched_otherwise(c, w)) {
        struct request *q = request_new(ASK_UNWATCH, nobody, NULL);
        q->kinds = w->kind == WATCH_EXIST ? WATCH_DATA : w->kind;
        q->deadline_ms = INT64_MAX;
        buffer_add(&q->path, w->path, w->length);
        WEIR_ASSERT(!q->path.err);
        enqueue(c, q);
    }
    drop_watch(c, w);
}

bool coord_client_unwatch(struct coord_client *c, uint64_t id, const void *arg, int64_t now_ms, struct coord_client_actions *out)
{
    bool found = false;
    struct request *q;
    begin(c, now_ms, out);
    TAILQ_FOREACH(q, &c->requests, next) /* those that are not yet set never will be */
    if (q->watch.fn && (id ? q->watch.id == id : q->watch.arg == arg)) q->watch.fn = NULL;
    for (struct kept_watch *w = TAILQ_FIRST(&c->watches), *next; w; w = next) {
        next = TAILQ_NEXT(w, next);
        if (id ? w->to.id != id : w->to.arg != arg) continue;
        found = true;
        unwatch(c, w);
    }
    send_waiting(c);
    finish(c);
    return found;
}

void coord_client_end(struct coord_client *c, struct coord_client_actions *out)
{
    begin(c, c->now_ms, out);
    end(c);
    finish(c);
}

enum weir_coord_state coord_client_state(const struct coord_client *c)
{
    return c->told;
}

uint64_t coord_client_session(const struct coord_client *c)
{
    return c->session;
}

int64_t coord_client_alive_until(const struct coord_client *c)
{
    int64_t margin = c->timeout_ms / 3 > CLIENT_MARGIN_MS ? c->timeout_ms / 3 : CLIENT_MARGIN_MS;
    return c->phase == OVER || c->proven_ms == INT64_MIN ? INT64_MIN : c->proven_ms + c->timeout_ms - margin;
}
