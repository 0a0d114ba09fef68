/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/coord/protocol.h"

#include "runtime/coord/limits.h"
#include "runtime/coord/watch.h"

static struct weir_bytes read_rest(struct reader *r)
{
    return read_slice(r, (uint32_t)reader_left(r));
}

static void put_rest(struct buffer *b, struct weir_bytes v)
{
    buffer_add(b, v.data, v.length);
}

/* ---- from the client ----------------------------------------------------------------------------------------------------------- */

static bool has_xid(enum ask_type type)
{
    return type != ASK_CONNECT && type != ASK_PING;
}

static void put_connect(struct buffer *b, const struct ask *ask)
{
    put_u8(b, COORD_PROTOCOL_VERSION);
    put_zxid(b, ask->seen);
    put_u32(b, ask->timeout_ms);
    put_u64(b, ask->session);
    buffer_add(b, ask->password, sizeof ask->password);
}

static void read_connect(struct reader *r, struct ask *ask)
{
    if (read_u8(r) != COORD_PROTOCOL_VERSION) r->broken = true;
    ask->seen = read_zxid(r);
    ask->timeout_ms = read_u32(r);
    ask->session = read_u64(r);
    read_exactly(r, ask->password, sizeof ask->password);
}

static void put_list(struct buffer *b, const struct ask *ask)
{
    if (ask->type == ASK_WRITE) put_u64(b, ask->acked);
    if (ask->type == ASK_READ) put_u8(b, ask->linear);
    if (ask->type == ASK_WATCHES) put_zxid(b, ask->seen);
    put_u32(b, ask->n);
    put_rest(b, ask->ops);
}

/* Are there n forms that `element` can read, and nothing behind them? */
static bool holds(struct weir_bytes list, uint32_t n, enum ask_type type)
{
    struct reader r;
    struct op op;
    struct get get;
    struct rewatch rewatch;
    reader_init(&r, list.data, list.length);
    for (; n > 0 && !r.broken; n--) {
        if (type == ASK_WRITE)
            read_request_op(&r, &op);
        else if (type == ASK_READ)
            read_get(&r, &get);
        else
            read_rewatch(&r, &rewatch);
    }
    return reader_done(&r);
}

static void read_list(struct reader *r, struct ask *ask)
{
    if (ask->type == ASK_WRITE) ask->acked = read_u64(r);
    if (ask->type == ASK_READ) ask->linear = read_bool(r);
    if (ask->type == ASK_WATCHES) ask->seen = read_zxid(r);
    ask->n = read_u32(r);
    ask->ops = read_rest(r);
    if (ask->n == 0 || ask->n > COORD_MULTI_MAX || !holds(ask->ops, ask->n, ask->type)) r->broken = true;
}

void put_ask(struct buffer *b, const struct ask *ask)
{
    put_u8(b, (uint8_t)ask->type);
    if (has_xid(ask->type)) put_u64(b, ask->xid);
    switch (ask->type) {
    case ASK_CONNECT: put_connect(b, ask); break;
    case ASK_WRITE:
    case ASK_READ:
    case ASK_WATCHES: put_list(b, ask); break;
    case ASK_AUTH:
        put_u8(b, ask->scheme);
        put_bytes(b, ask->credentials);
        break;
    case ASK_UNWATCH:
        put_u8(b, ask->kinds);
        put_bytes(b, ask->path);
        break;
    case ASK_PING:
    case ASK_CLOSE:
    case ASK_CONFIRM:
    case ASK_SYNC: break;
    }
}

bool read_ask(struct weir_bytes bytes, struct ask *ask)
{
    struct reader r;
    if (bytes.length > COORD_REQUEST_MAX) return false;
    reader_init(&r, bytes.data, bytes.length);
    *ask = (struct ask){.type = read_u8(&r)};
    if (has_xid(ask->type)) ask->xid = read_u64(&r);
    switch (ask->type) {
    case ASK_CONNECT: read_connect(&r, ask); break;
    case ASK_WRITE:
    case ASK_READ:
    case ASK_WATCHES: read_list(&r, ask); break;
    case ASK_AUTH:
        ask->scheme = read_u8(&r);
        ask->credentials = read_bytes(&r, 4 * COORD_ID_MAX);
        break;
    case ASK_UNWATCH:
        ask->kinds = read_u8(&r);
        ask->path = read_bytes(&r, COORD_PATH_MAX);
        break;
    case ASK_PING:
    case ASK_CLOSE:
    case ASK_CONFIRM:
    case ASK_SYNC: break;
    default: return false;
    }
    return reader_done(&r);
}

/* ---- reads --------------------------------------------------------------------------------------------------------------------- */

void put_get(struct buffer *b, const struct get *get)
{
    put_u8(b, (uint8_t)get->type);
    put_bytes(b, get->path);
    if (get->type <= GET_CHILDREN) put_u8(b, get->watch);
    if (get->type == GET_CHILDREN) put_bytes(b, get->after);
    if (get->type == GET_EPHEMERALS) put_u32(b, get->skip);
    if (get->type == GET_CHILDREN || get->type == GET_EPHEMERALS) put_u32(b, get->max);
    if (get->type == GET_WATCH) put_u8(b, get->kind);
}

void read_get(struct reader *r, struct get *get)
{
    *get = (struct get){.type = read_u8(r)};
    if (get->type < GET_DATA || get->type > GET_WATCH) r->broken = true;
    get->path = read_bytes(r, COORD_PATH_MAX);
    if (get->type <= GET_CHILDREN) get->watch = read_bool(r);
    if (get->type == GET_CHILDREN) get->after = read_bytes(r, COORD_NAME_MAX);
    if (get->type == GET_EPHEMERALS) get->skip = read_u32(r);
    if (get->type == GET_CHILDREN || get->type == GET_EPHEMERALS) get->max = read_u32(r);
    if (get->type == GET_WATCH) get->kind = read_u8(r);
    if (get->type == GET_WATCH && get->kind != WATCH_PERSISTENT && get->kind != WATCH_RECURSIVE) r->broken = true;
}

void put_rewatch(struct buffer *b, const struct rewatch *w)
{
    put_u8(b, w->kind);
    put_bytes(b, w->path);
}

static bool one_kind(uint8_t kind)
{
    return kind == WATCH_DATA || kind == WATCH_EXIST || kind == WATCH_CHILD || kind == WATCH_PERSISTENT || kind == WATCH_RECURSIVE;
}

void read_rewatch(struct reader *r, struct rewatch *w)
{
    w->kind = read_u8(r);
    w->path = read_bytes(r, COORD_PATH_MAX);
    if (!one_kind(w->kind)) r->broken = true;
}

/* ---- from the peer ------------------------------------------------------------------------------------------------------------- */

void put_say(struct buffer *b, const struct say *say)
{
    put_u8(b, (uint8_t)say->type);
    if (say->type != SAY_REFUSED) put_zxid(b, say->zxid);
    if (say->type == SAY_CONNECTED) {
        put_u64(b, say->session);
        buffer_add(b, say->password, sizeof say->password);
        put_u32(b, say->timeout_ms);
        put_u64(b, say->last_xid);
    } else if (say->type == SAY_REFUSED) {
        put_u16(b, say->err);
        put_bytes(b, say->reason);
    } else if (say->type == SAY_REPLY) {
        put_u64(b, say->xid);
        put_u16(b, say->err);
        put_rest(b, say->body);
    } else if (say->type == SAY_EVENT) {
        put_u8(b, say->event);
        put_bytes(b, say->path);
    } else if (say->type == SAY_PONG) {
        put_u8(b, say->led);
    } else if (say->type == SAY_CONFIRMED) {
        put_u64(b, say->xid);
        put_u16(b, say->err);
    }
}

static void read_say_fields(struct reader *r, struct say *say)
{
    if (say->type == SAY_CONNECTED) {
        say->session = read_u64(r);
        read_exactly(r, say->password, sizeof say->password);
        say->timeout_ms = read_u32(r);
        say->last_xid = read_u64(r);
    } else if (say->type == SAY_REFUSED) {
        say->err = read_u16(r);
        say->reason = read_bytes(r, WEIR_DIAG_MAX);
    } else if (say->type == SAY_REPLY) {
        say->xid = read_u64(r);
        say->err = read_u16(r);
        say->body = read_rest(r);
    } else if (say->type == SAY_EVENT) {
        say->event = read_u8(r);
        say->path = read_bytes(r, COORD_PATH_MAX);
    } else if (say->type == SAY_PONG) {
        say->led = read_bool(r);
    } else if (say->type == SAY_CONFIRMED) {
        say->xid = read_u64(r);
        say->err = read_u16(r);
    }
}

bool read_say(struct weir_bytes bytes, struct say *say)
{
    struct reader r;
    reader_init(&r, bytes.data, bytes.length);
    *say = (struct say){.type = read_u8(&r)};
    if (say->type < SAY_CONNECTED || say->type > SAY_CONFIRMED) return false;
    if (say->type != SAY_REFUSED) say->zxid = read_zxid(&r);
    read_say_fields(&r, say);
    return reader_done(&r);
}

/* ---- between peers ------------------------------------------------------------------------------------------------------------- */

void put_relay(struct buffer *b, const struct relay *relay)
{
    put_u8(b, (uint8_t)relay->type);
    put_u64(b, relay->session);
    if (relay->type == RELAY_OPEN || relay->type == RELAY_MOVE) put_u64(b, relay->token);
    if (relay->type == RELAY_OPEN) {
        put_u32(b, relay->timeout_ms);
        buffer_add(b, relay->password.bytes, sizeof relay->password.bytes);
    }
    if (relay->type != RELAY_WRITE) return;
    put_u64(b, relay->xid);
    put_u64(b, relay->acked);
    put_bytes(b, relay->identities);
    put_u16(b, relay->n_ops);
    put_rest(b, relay->ops);
}

bool read_relay(struct weir_bytes bytes, struct relay *relay)
{
    struct reader r;
    reader_init(&r, bytes.data, bytes.length);
    *relay = (struct relay){.type = read_u8(&r)};
    relay->session = read_u64(&r);
    if (relay->type < RELAY_OPEN || relay->type > RELAY_WRITE) return false;
    if (relay->type == RELAY_OPEN || relay->type == RELAY_MOVE) relay->token = read_u64(&r);
    if (relay->type == RELAY_OPEN) {
        relay->timeout_ms = read_u32(&r);
        read_exactly(&r, relay->password.bytes, sizeof relay->password.bytes);
    }
    if (relay->type != RELAY_WRITE) return reader_done(&r);
    relay->xid = read_u64(&r);
    relay->acked = read_u64(&r);
    relay->identities = read_bytes(&r, UINT16_MAX);
    relay->n_ops = read_u16(&r);
    relay->ops = read_rest(&r);
    return reader_done(&r) && identities_valid(relay->identities) && holds(relay->ops, relay->n_ops, ASK_WRITE);
}
