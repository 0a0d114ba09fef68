/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/coord/txn.h"

#include <inttypes.h>

#include "runtime/coord/limits.h"
#include "runtime/coord/path.h"

#define VERSION 1u

/* ---- bytes --------------------------------------------------------------------------------------------------------------------- */

static bool by_peer(enum txn_type type)
{
    return type == TXN_OPEN || type == TXN_MOVE || type == TXN_DENY;
}

static void put_write(struct buffer *b, const struct txn *txn)
{
    put_u64(b, txn->xid);
    put_u64(b, txn->acked);
    put_u16(b, txn->err);
    put_u32(b, txn->failed);
    put_u16(b, txn->n_ops);
    buffer_add(b, txn->ops.data, txn->ops.length);
}

void put_txn(struct buffer *b, const struct txn *txn)
{
    put_u8(b, VERSION);
    put_u8(b, (uint8_t)txn->type);
    put_u64(b, txn->order);
    put_i64(b, txn->ms);
    put_u64(b, txn->session);
    if (txn->type == TXN_WRITE) put_write(b, txn);
    if (txn->type == TXN_CLOSE) put_u8(b, txn->reason);
    if (!by_peer(txn->type)) return;
    put_u64(b, txn->peer);
    put_u64(b, txn->token);
    if (txn->type == TXN_DENY) put_u16(b, txn->err);
    if (txn->type != TXN_OPEN) return;
    put_u32(b, txn->timeout_ms);
    buffer_add(b, txn->password.bytes, sizeof txn->password.bytes);
}

static void read_write(struct reader *r, struct txn *txn)
{
    txn->xid = read_u64(r);
    txn->acked = read_u64(r);
    txn->err = read_u16(r);
    txn->failed = read_u32(r);
    txn->n_ops = read_u16(r);
    txn->ops = read_slice(r, (uint32_t)reader_left(r));
    if (txn->err && txn->n_ops) r->broken = true;
}

static void read_by_peer(struct reader *r, struct txn *txn)
{
    txn->peer = read_u64(r);
    txn->token = read_u64(r);
    if (txn->type == TXN_DENY) txn->err = read_u16(r);
    if (txn->type != TXN_OPEN) return;
    txn->timeout_ms = read_u32(r);
    read_exactly(r, txn->password.bytes, sizeof txn->password.bytes);
}

bool read_txn(struct weir_bytes bytes, struct txn *txn)
{
    struct reader r;
    reader_init(&r, bytes.data, bytes.length);
    if (read_u8(&r) != VERSION) return false;
    *txn = (struct txn){.type = read_u8(&r)};
    txn->order = read_u64(&r);
    txn->ms = read_i64(&r);
    txn->session = read_u64(&r);
    if (by_peer(txn->type))
        read_by_peer(&r, txn);
    else if (txn->type == TXN_WRITE)
        read_write(&r, txn);
    else if (txn->type == TXN_CLOSE)
        txn->reason = read_u8(&r);
    else
        return false;
    return reader_done(&r);
}

void put_body_head(struct buffer *b, unsigned err, uint32_t failed, uint16_t n_ops)
{
    put_u16(b, (uint16_t)err);
    put_u32(b, failed);
    put_u16(b, n_ops);
}

/* ---- events -------------------------------------------------------------------------------------------------------------------- */

static void put_event(struct buffer *b, enum event_type type, struct weir_bytes path)
{
    put_u8(b, (uint8_t)type);
    put_bytes(b, path);
}

static void event_with_parent(struct applied *out, enum event_type type, struct weir_bytes path)
{
    put_event(&out->events, type, path);
    put_event(&out->events, EVENT_CHILDREN, path_parent(path));
}

/* ---- operations ---------------------------------------------------------------------------------------------------------------- */

struct change {
    struct tree *tree;
    struct moment when;
    struct applied *out;
    struct weir_diag *diag;
};

static weir_err misfit(const struct change *c, const char *what, struct weir_bytes path)
{
    return weir_fail(c->diag, WEIR_E_CORRUPT,
                     "transaction %" PRIu64 ".%" PRIu64 " does not fit the tree: %s %.*s; this peer's history differs", c->when.zxid.epoch,
                     c->when.zxid.counter, what, (int)path.length, (const char *)path.data);
}

static weir_err no_memory(const struct change *c)
{
    return weir_fail(c->diag, WEIR_E_NOMEM, "no memory to apply transaction %" PRIu64 ".%" PRIu64, c->when.zxid.epoch,
                     c->when.zxid.counter);
}

static weir_err apply_create(const struct change *c, const struct op *op)
{
    struct node *parent = path_is_root(op->path) ? NULL : tree_find(c->tree, path_parent(op->path));
    if (!parent || parent->kind == NODE_EPHEMERAL) return misfit(c, "no parent for", op->path);
    if (tree_find(c->tree, op->path)) return misfit(c, "there already is", op->path);
    struct seed seed = {.data = op->data, .acl = op->acl, .kind = op->kind, .owner = op->owner};
    struct node *n = tree_create(c->tree, op->path, &seed, op->sequence, c->when);
    if (!n) return no_memory(c);
    struct coord_stat stat = node_stat(n);
    put_bytes(&c->out->body, op->path);
    put_stat(&c->out->body, &stat);
    event_with_parent(c->out, EVENT_CREATED, op->path);
    return WEIR_OK;
}

static weir_err apply_delete(const struct change *c, const struct op *op, struct node *n)
{
    if (!n->parent || n->children) return misfit(c, "cannot delete", op->path);
    tree_delete(c->tree, n, c->when);
    event_with_parent(c->out, EVENT_DELETED, op->path);
    return WEIR_OK;
}

static weir_err apply_set(const struct change *c, const struct op *op, struct node *n)
{
    if (!tree_set_data(c->tree, n, op->data, c->when)) return no_memory(c);
    struct coord_stat stat = node_stat(n);
    put_stat(&c->out->body, &stat);
    put_event(&c->out->events, EVENT_CHANGED, op->path);
    return WEIR_OK;
}

static weir_err apply_set_acl(const struct change *c, const struct op *op, struct node *n)
{
    if (!tree_set_acl(c->tree, n, op->acl)) return no_memory(c);
    struct coord_stat stat = node_stat(n);
    put_stat(&c->out->body, &stat);
    return WEIR_OK;
}

static weir_err apply_op(const struct change *c, const struct op *op)
{
    put_u8(&c->out->body, (uint8_t)op->type);
    if (op->type == OP_CREATE) return apply_create(c, op);
    struct node *n = tree_find(c->tree, op->path);
    if (!n) return misfit(c, "there is no", op->path);
    switch (op->type) {
    case OP_DELETE: return apply_delete(c, op, n);
    case OP_SET: return apply_set(c, op, n);
    case OP_SET_ACL: return apply_set_acl(c, op, n);
    case OP_SET_QUOTA: tree_set_quota(c->tree, n, op->quota); return WEIR_OK;
    default: return WEIR_OK; /* a check has been answered by the leader */
    }
}

/* ---- transactions -------------------------------------------------------------------------------------------------------------- */

static weir_err apply_ops(const struct change *c, const struct txn *txn)
{
    struct reader r;
    weir_err err = WEIR_OK;
    put_body_head(&c->out->body, txn->err, txn->failed, txn->n_ops);
    reader_init(&r, txn->ops.data, txn->ops.length);
    for (uint16_t i = 0; !err && i < txn->n_ops; i++) {
        struct op op;
        read_txn_op(&r, &op);
        err = r.broken ? misfit(c, "a malformed operation", bytes_of("", 0)) : apply_op(c, &op);
    }
    if (!err && !reader_done(&r)) return misfit(c, "bytes behind the operations", bytes_of("", 0));
    return err;
}

static weir_err apply_write(struct coord_state *s, const struct change *c, const struct txn *txn)
{
    weir_err err = apply_ops(c, txn);
    if (err || txn->session == 0) return err;
    struct session *session = session_find(&s->sessions, txn->session);
    if (!session || txn->xid <= session->last_xid) return misfit(c, "a write of no session, or a repeated one", bytes_of("", 0));
    if (c->out->body.err) return no_memory(c);
    struct weir_bytes body = bytes_of(c->out->body.data, c->out->body.len);
    return session_record(&s->sessions, session, txn->xid, txn->acked, c->when.zxid, body) ? WEIR_OK : no_memory(c);
}

static weir_err apply_open(struct coord_state *s, const struct change *c, const struct txn *txn)
{
    if (txn->session <= s->sessions.last_id) return misfit(c, "a session number that was given before", bytes_of("", 0));
    struct session *session = session_begin(&s->sessions, txn->session, txn->password, txn->timeout_ms);
    if (!session) return no_memory(c);
    session->peer = txn->peer;
    return WEIR_OK;
}

static weir_err apply_move(struct coord_state *s, const struct change *c, const struct txn *txn)
{
    struct session *session = session_find(&s->sessions, txn->session);
    if (!session) return misfit(c, "a move of a session that is not there", bytes_of("", 0));
    session->peer = txn->peer;
    return WEIR_OK;
}

static weir_err delete_ephemeral(const struct change *c, struct node *n)
{
    struct buffer path = {0};
    node_path(n, &path);
    if (!path.err) event_with_parent(c->out, EVENT_DELETED, bytes_of(path.data, path.len));
    tree_delete(c->tree, n, c->when);
    weir_err err = path.err ? no_memory(c) : WEIR_OK;
    buffer_close(&path);
    return err;
}

static weir_err apply_close(struct coord_state *s, const struct change *c, const struct txn *txn)
{
    struct session *session = session_find(&s->sessions, txn->session);
    if (!session) return misfit(c, "the end of a session that is not there", bytes_of("", 0));
    session_forget(&s->sessions, session);
    weir_err err = WEIR_OK;
    const struct node_list *mine;
    while (!err && (mine = tree_ephemerals(&s->tree, txn->session)) != NULL) err = delete_ephemeral(c, TAILQ_FIRST(mine));
    return err;
}

static weir_err apply(struct coord_state *s, const struct change *c, const struct txn *txn)
{
    switch (txn->type) {
    case TXN_OPEN: return apply_open(s, c, txn);
    case TXN_CLOSE: return apply_close(s, c, txn);
    case TXN_WRITE: return apply_write(s, c, txn);
    case TXN_MOVE: return apply_move(s, c, txn);
    case TXN_DENY: break; /* a message to whoever asked */
    }
    return WEIR_OK;
}

void applied_close(struct applied *a)
{
    buffer_close(&a->body);
    buffer_close(&a->events);
}

weir_err txn_apply(struct coord_state *s, struct zxid zxid, struct weir_bytes bytes, struct applied *out, struct weir_diag *diag)
{
    struct change c = {.tree = &s->tree, .when.zxid = zxid, .out = out, .diag = diag};
    buffer_clear(&out->body);
    buffer_clear(&out->events);
    out->skipped = zxid_cmp(zxid, s->last) <= 0;
    if (out->skipped) return WEIR_OK;
    if (!read_txn(bytes, &out->txn)) return misfit(&c, "these bytes are no transaction of this version", bytes_of("", 0));
    c.when.ms = out->txn.ms;
    weir_err err = apply(s, &c, &out->txn);
    if (!err && (out->body.err || out->events.err)) err = no_memory(&c);
    if (err) return err;
    s->last = zxid;
    s->ms = out->txn.ms;
    return WEIR_OK;
}
