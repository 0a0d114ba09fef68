/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/coord/session.h"

#include <stdlib.h>

#include "runtime/base/assert.h"
#include "runtime/base/hash.h"
#include "runtime/coord/limits.h"

void sessions_init(struct sessions *s)
{
    *s = (struct sessions){0};
    TAILQ_INIT(&s->list);
}

void sessions_close(struct sessions *s)
{
    while (!TAILQ_EMPTY(&s->list)) session_forget(s, TAILQ_FIRST(&s->list));
    map_close(&s->by_id);
}

struct session *session_find(const struct sessions *s, uint64_t id)
{
    for (struct map_item *i = map_first(&s->by_id, hash64(&id, sizeof id)); i; i = map_same(i))
        if (((struct session *)i)->id == id) return (struct session *)i;
    return NULL;
}

struct session *session_begin(struct sessions *s, uint64_t id, struct weir_digest password, uint32_t timeout_ms)
{
    WEIR_ASSERT(id > s->last_id);
    struct session *n = calloc(1, sizeof *n);
    if (!n || !map_add(&s->by_id, &n->item, hash64(&id, sizeof id))) {
        free(n);
        return NULL;
    }
    n->id = s->last_id = id;
    n->password = password;
    n->timeout_ms = timeout_ms;
    STAILQ_INIT(&n->outcomes);
    TAILQ_INSERT_TAIL(&s->list, n, next);
    return n;
}

/* ---- outcomes ------------------------------------------------------------------------------------------------------------------ */

static void drop_oldest(struct sessions *all, struct session *s)
{
    struct outcome *o = STAILQ_FIRST(&s->outcomes);
    STAILQ_REMOVE_HEAD(&s->outcomes, next);
    s->n_outcomes--;
    s->outcome_bytes -= o->length;
    all->outcome_bytes -= o->length;
    free(o);
}

void session_forget(struct sessions *s, struct session *session)
{
    while (session->n_outcomes > 0) drop_oldest(s, session);
    map_remove(&s->by_id, &session->item);
    TAILQ_REMOVE(&s->list, session, next);
    free(session);
}

static bool full(const struct session *s, uint32_t more)
{
    return s->n_outcomes == COORD_OUTCOMES_MAX || (s->n_outcomes > 0 && s->outcome_bytes + more > COORD_OUTCOME_BYTES);
}

/* Adds one as the newest. */
static bool keep(struct sessions *all, struct session *session, uint64_t xid, struct zxid zxid, struct weir_bytes body)
{
    struct outcome *o = malloc(sizeof *o + body.length);
    if (!o) return false;
    *o = (struct outcome){.xid = xid, .zxid = zxid, .length = body.length};
    if (body.length > 0) memcpy(o->bytes, body.data, body.length);
    STAILQ_INSERT_TAIL(&session->outcomes, o, next);
    session->n_outcomes++;
    session->outcome_bytes += body.length;
    all->outcome_bytes += body.length;
    return true;
}

bool session_record(struct sessions *s, struct session *session, uint64_t xid, uint64_t acked, struct zxid zxid, struct weir_bytes body)
{
    WEIR_ASSERT(xid > session->last_xid);
    while (session->n_outcomes > 0 && STAILQ_FIRST(&session->outcomes)->xid <= acked) drop_oldest(s, session);
    while (full(session, body.length)) drop_oldest(s, session);
    bool fits = s->outcome_bytes + body.length <= COORD_OUTCOMES_TOTAL;
    if (fits && !keep(s, session, xid, zxid, body)) return false;
    session->last_xid = xid;
    return true;
}

const struct outcome *session_outcome(const struct session *session, uint64_t xid)
{
    const struct outcome *o;
    STAILQ_FOREACH(o, &session->outcomes, next)
    if (o->xid == xid) return o;
    return NULL;
}

/* ---- passwords ----------------------------------------------------------------------------------------------------------------- */

struct weir_digest session_digest(const uint8_t password[static SESSION_PASSWORD_BYTES], struct weir_bytes key)
{
    struct sha256 s;
    sha256_init(&s);
    sha256_update(&s, password, SESSION_PASSWORD_BYTES);
    if (key.length > 0) sha256_update(&s, key.data, key.length);
    return sha256_final(&s);
}

bool session_admits(const struct session *session, const uint8_t password[static SESSION_PASSWORD_BYTES], struct weir_bytes key)
{
    return digest_equal(session->password, session_digest(password, key));
}

/* ---- bytes --------------------------------------------------------------------------------------------------------------------- */

void put_session(struct buffer *b, const struct session *session)
{
    const struct outcome *o;
    put_u64(b, session->id);
    buffer_add(b, session->password.bytes, sizeof session->password.bytes);
    put_u32(b, session->timeout_ms);
    put_u64(b, session->peer);
    put_u64(b, session->last_xid);
    put_u32(b, session->n_outcomes);
    STAILQ_FOREACH(o, &session->outcomes, next)
    {
        put_u64(b, o->xid);
        put_zxid(b, o->zxid);
        put_bytes(b, bytes_of(o->bytes, o->length));
    }
}

static void read_outcome(struct reader *r, struct sessions *s, struct session *session, uint64_t last_xid)
{
    uint64_t xid = read_u64(r);
    struct zxid zxid = read_zxid(r);
    struct weir_bytes body = read_bytes(r, COORD_TXN_MAX);
    if (xid <= session->last_xid || xid > last_xid) r->broken = true;
    if (!r->broken && !session_record(s, session, xid, 0, zxid, body)) r->broken = true;
}

void read_session(struct reader *r, struct sessions *s)
{
    struct weir_digest password;
    uint64_t id = read_u64(r);
    read_exactly(r, password.bytes, sizeof password.bytes);
    uint32_t timeout_ms = read_u32(r);
    uint64_t peer = read_u64(r), last_xid = read_u64(r);
    uint32_t n = read_u32(r);
    if (id <= s->last_id || n > COORD_OUTCOMES_MAX) r->broken = true;
    struct session *session = r->broken ? NULL : session_begin(s, id, password, timeout_ms);
    if (!session) {
        r->broken = true;
        return;
    }
    session->peer = peer;
    while (n-- > 0 && !r->broken) read_outcome(r, s, session, last_xid);
    session->last_xid = last_xid;
}
