/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/coord/prep.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/base/assert.h"
#include "runtime/coord/overlay.h"
#include "runtime/coord/path.h"

struct prep {
    struct coord_state *state;
    struct leases *leases;
    const struct coord_limits *limits;
    struct overlay *overlay;
    uint64_t order, applied; /* proposals made in this leadership; of them applied */
    uint64_t last_session;   /* given, if only in a proposal */
    uint32_t n_sessions;     /* open when all is applied */
    int64_t ms;              /* of the last proposal */
};

/* A transaction being made. */
struct draft {
    struct prep *p;
    uint64_t session;
    struct weir_bytes identities;
    int64_t ms;
    struct buffer *txn; /* its operations are appended */
    size_t reply;       /* bytes its reply will have */
    bool no_memory;
};

struct prep *prep_new(struct coord_state *state, struct leases *leases, const struct coord_limits *limits)
{
    struct prep *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    p->overlay = overlay_new(&state->tree, leases);
    if (!p->overlay) {
        free(p);
        return NULL;
    }
    p->state = state;
    p->leases = leases;
    p->limits = limits;
    p->last_session = state->sessions.last_id;
    p->n_sessions = (uint32_t)state->sessions.by_id.n;
    p->ms = state->ms;
    return p;
}

void prep_destroy(struct prep **prep)
{
    if (!*prep) return;
    overlay_destroy(&(*prep)->overlay);
    free(*prep);
    *prep = NULL;
}

uint64_t prep_under_way(const struct prep *p)
{
    return p->order - p->applied;
}

size_t prep_overlay(const struct prep *p)
{
    return overlay_nodes(p->overlay);
}

static struct shape look(const struct draft *d, struct weir_bytes path)
{
    return overlay_look(d->p->overlay, path);
}

static void change(struct draft *d, struct weir_bytes path, const struct shape *shape)
{
    if (!overlay_change(d->p->overlay, path, shape, d->p->order + 1)) d->no_memory = true;
}

/* ---- limits and permissions ---------------------------------------------------------------------------------------------------- */

static enum coord_err permitted(const struct draft *d, const struct shape *s, enum acl_perm perm)
{
    if (d->session == 0) return COORD_OK; /* the leader itself */
    return acl_allows(acl_bytes(s->acl), perm, d->identities) ? COORD_OK : COORD_NO_AUTH;
}

static enum coord_err version_is(uint64_t version, int64_t wanted)
{
    return wanted == OP_ANY_VERSION || (wanted >= 0 && (uint64_t)wanted == version) ? COORD_OK : COORD_BAD_VERSION;
}

/* How much a change adds to the usage of a node and all above it. */
struct growth {
    uint64_t nodes, bytes;
};

static enum coord_err within(const struct draft *d, const struct shape *s, bool root, struct growth more)
{
    uint64_t nodes = s->usage.nodes + more.nodes, bytes = s->usage.bytes + more.bytes;
    if (root && more.nodes && nodes > d->p->limits->nodes) return COORD_LIMIT;
    if (root && more.bytes && bytes > d->p->limits->bytes) return COORD_LIMIT;
    if (s->quota.nodes && more.nodes && nodes > s->quota.nodes) return COORD_QUOTA_EXCEEDED;
    if (s->quota.bytes && more.bytes && bytes > s->quota.bytes) return COORD_QUOTA_EXCEEDED;
    return COORD_OK;
}

/* Do the quotas of a node and all above it, and the limits of the tree, leave room? */
static enum coord_err room_above(const struct draft *d, struct weir_bytes path, struct growth more)
{
    for (;; path = path_parent(path)) {
        struct shape s = look(d, path);
        enum coord_err err = within(d, &s, path_is_root(path), more);
        if (err || path_is_root(path)) return err;
    }
}

/* Adds to the usage of a node and all above it; what is added may be negative. */
static void use(struct draft *d, struct weir_bytes path, struct growth more)
{
    for (;; path = path_parent(path)) {
        struct shape s = look(d, path);
        s.usage.nodes += more.nodes;
        s.usage.bytes += more.bytes;
        change(d, path, &s);
        if (path_is_root(path)) return;
    }
}

/* ---- create -------------------------------------------------------------------------------------------------------------------- */

static uint64_t name_bytes(struct weir_bytes path)
{
    return path_name(path).length + 1;
}

static enum coord_err check_kind(const struct draft *d, const struct op *op)
{
    if ((op->kind == NODE_TTL) != (op->owner > 0) || op->owner > INT64_MAX / 2) return COORD_BAD_ARGUMENTS;
    if (op->kind != NODE_EPHEMERAL) return COORD_OK;
    const struct lease *lease = lease_find(d->p->leases, d->session);
    return lease && lease->n_ephemerals < d->p->limits->ephemerals ? COORD_OK : COORD_LIMIT;
}

/* Who could create the node could give himself the right that its ACL gives. */
static bool is_kept_for_super(const struct draft *d, const struct op *op)
{
    return bytes_equal(op->path, bytes_text(COORD_ENSEMBLE_PATH)) && !identities_are_super(d->identities);
}

static enum coord_err check_parent(const struct draft *d, const struct op *op, const struct shape *parent)
{
    if (!parent->exists) return COORD_NO_NODE;
    enum coord_err err = permitted(d, parent, ACL_CREATE);
    if (err) return err;
    if (is_kept_for_super(d, op)) return COORD_NO_AUTH;
    if (look(d, op->path).exists) return COORD_NODE_EXISTS;
    if (parent->kind == NODE_EPHEMERAL) return COORD_NO_CHILDREN_FOR_EPHEMERALS;
    if (parent->n_children >= d->p->limits->children) return COORD_LIMIT;
    return op->data.length > d->p->limits->data ? COORD_LIMIT : COORD_OK;
}

static enum coord_err add_node(struct draft *d, const struct op *op, struct shape parent)
{
    struct weir_bytes above = path_parent(op->path);
    struct growth more = {1, name_bytes(op->path) + op->data.length};
    enum coord_err err = room_above(d, above, more);
    if (err) return err;
    struct acl *acl = acl_intern(&d->p->state->tree.acls, op->acl);
    if (!acl) {
        d->no_memory = true;
        return COORD_LIMIT;
    }
    struct shape s = {.exists = true,
                      .kind = op->kind,
                      .owner = op->owner,
                      .mtime_ms = d->ms,
                      .data_len = op->data.length,
                      .usage = {1, more.bytes},
                      .acl = acl};
    change(d, op->path, &s);
    acl_release(&d->p->state->tree.acls, acl); /* the overlay has one */
    parent.n_children++;
    parent.cversion++;
    if (op->sequence) parent.sequence = op->sequence;
    change(d, above, &parent);
    use(d, above, more);
    return COORD_OK;
}

/* Room for a path with its number; the prefix has been checked with the longest. */
#define PATH_ROOM (COORD_PATH_MAX + PATH_SEQUENCE_MAX + 1)

/* Makes the whole path of a sequential node in `room`. Its prefix may end in a slash. */
static enum coord_err number_path(const struct draft *d, struct op *op, char room[static PATH_ROOM])
{
    if (path_check_sequential(op->path)) return COORD_BAD_ARGUMENTS;
    memcpy(room, op->path.data, op->path.length);
    struct weir_bytes any = bytes_of(room, op->path.length + 1); /* a prefix is a path once something stands behind it */
    room[op->path.length] = '0';
    struct shape parent = look(d, path_parent(any));
    if (parent.sequence == UINT64_MAX) return COORD_LIMIT; /* it never begins anew */
    op->sequence = parent.sequence + 1;
    int digits = snprintf(room + op->path.length, PATH_SEQUENCE_MAX + 1, "%010" PRIu64, parent.sequence);
    op->path = bytes_of(room, op->path.length + (size_t)digits);
    return COORD_OK;
}

static enum coord_err prepare_create(struct draft *d, struct op *op)
{
    char room[PATH_ROOM];
    struct buffer acl = {0};
    enum coord_err err = op->sequential ? number_path(d, op, room) : path_check(op->path) ? COORD_BAD_ARGUMENTS : COORD_OK;
    if (!err && path_is_root(op->path)) err = COORD_NODE_EXISTS;
    if (!err) err = acl_resolve(op->acl, d->identities, &acl);
    if (!err) err = check_kind(d, op);
    if (!err) {
        struct shape parent = look(d, path_parent(op->path));
        op->acl = bytes_of(acl.data, acl.len);
        if (op->kind == NODE_EPHEMERAL) op->owner = d->session;
        err = check_parent(d, op, &parent);
        if (!err) err = add_node(d, op, parent);
    }
    if (!err) {
        put_txn_op(d->txn, op);
        d->reply += 5 + op->path.length + COORD_STAT_BYTES;
    }
    buffer_close(&acl);
    return err;
}

/* ---- the others ---------------------------------------------------------------------------------------------------------------- */

static void remove_node(struct draft *d, struct weir_bytes path)
{
    struct weir_bytes above = path_parent(path);
    struct shape gone = {0}, s = look(d, path), parent = look(d, above);
    parent.n_children--;
    parent.cversion++;
    change(d, path, &gone);
    change(d, above, &parent);
    use(d, above, (struct growth){-s.usage.nodes, -s.usage.bytes});
}

static enum coord_err prepare_delete(struct draft *d, const struct op *op)
{
    if (path_is_root(op->path)) return COORD_BAD_ARGUMENTS;
    struct shape parent = look(d, path_parent(op->path)), s = look(d, op->path);
    if (!parent.exists) return COORD_NO_NODE;
    enum coord_err err = permitted(d, &parent, ACL_DELETE);
    if (!err && !s.exists) err = COORD_NO_NODE;
    if (!err) err = version_is(s.version, op->version);
    if (!err && s.n_children > 0) err = COORD_NOT_EMPTY;
    if (!err) remove_node(d, op->path);
    return err;
}

static enum coord_err prepare_set(struct draft *d, const struct op *op, struct shape s)
{
    enum coord_err err = permitted(d, &s, ACL_WRITE);
    if (!err) err = version_is(s.version, op->version);
    if (!err && op->data.length > d->p->limits->data) err = COORD_LIMIT;
    bool grows = op->data.length > s.data_len;
    struct growth more = {0, (uint64_t)op->data.length - s.data_len};
    if (!err && grows) err = room_above(d, op->path, more);
    if (err) return err;
    s.version++;
    s.data_len = op->data.length;
    s.mtime_ms = d->ms;
    change(d, op->path, &s);
    use(d, op->path, more);
    d->reply += COORD_STAT_BYTES;
    return COORD_OK;
}

static enum coord_err prepare_set_acl(struct draft *d, struct op *op, struct shape s, struct buffer *acl)
{
    enum coord_err err = permitted(d, &s, ACL_ADMIN);
    if (!err) err = version_is(s.aversion, op->version);
    if (err) return err;
    op->acl = bytes_of(acl->data, acl->len);
    struct acl *shared = acl_intern(&d->p->state->tree.acls, op->acl);
    if (!shared) {
        d->no_memory = true;
        return COORD_LIMIT;
    }
    s.acl = shared;
    s.aversion++;
    change(d, op->path, &s);
    acl_release(&d->p->state->tree.acls, shared);
    d->reply += COORD_STAT_BYTES;
    return COORD_OK;
}

/* Whoever stands above sets it: nobody lifts the quota he lives under. */
static enum coord_err prepare_quota(struct draft *d, const struct op *op, struct shape s)
{
    struct shape above = path_is_root(op->path) ? s : look(d, path_parent(op->path));
    enum coord_err err = permitted(d, &above, ACL_ADMIN);
    if (err) return err;
    s.quota = op->quota;
    change(d, op->path, &s);
    return COORD_OK;
}

static enum coord_err prepare_check(const struct draft *d, const struct op *op, const struct shape *s)
{
    enum coord_err err = permitted(d, s, ACL_READ);
    return err ? err : version_is(s->version, op->version);
}

/* An operation on a node that must be there. */
static enum coord_err prepare_existing(struct draft *d, struct op *op, struct buffer *acl)
{
    struct shape s = look(d, op->path);
    if (!s.exists) return COORD_NO_NODE;
    switch (op->type) {
    case OP_SET: return prepare_set(d, op, s);
    case OP_SET_ACL: return prepare_set_acl(d, op, s, acl);
    case OP_SET_QUOTA: return prepare_quota(d, op, s);
    default: return prepare_check(d, op, &s);
    }
}

static enum coord_err prepare_op(struct draft *d, struct op *op)
{
    d->reply++;
    if (op->type == OP_CREATE) return prepare_create(d, op);
    if (path_check(op->path)) return COORD_BAD_ARGUMENTS;
    struct buffer acl = {0};
    enum coord_err err = op->type == OP_SET_ACL ? acl_resolve(op->acl, d->identities, &acl) : COORD_OK;
    if (!err) err = op->type == OP_DELETE ? prepare_delete(d, op) : prepare_existing(d, op, &acl);
    if (!err) put_txn_op(d->txn, op);
    buffer_close(&acl);
    return err;
}

/* ---- transactions -------------------------------------------------------------------------------------------------------------- */

static int64_t moment_after(const struct prep *p, int64_t now_ms)
{
    return now_ms > p->ms ? now_ms : p->ms;
}

static void proposed(struct prep *p, int64_t ms)
{
    overlay_keep(p->overlay);
    p->order++;
    p->ms = ms;
}

/* Gives up what was drafted: `txn` is again as long as it was. */
static enum prep_outcome give_up(struct prep *p, struct buffer *txn, size_t at)
{
    overlay_undo(p->overlay);
    txn->len = at;
    return PREP_NOMEM;
}

/* Bytes of a WRITE in front of its operations. */
#define WRITE_HEAD_BYTES 64u

/* Drafts the operations of a request one by one; the first error, and which one it was. */
static enum coord_err draft_ops(struct draft *d, const struct write_request *q, uint32_t *failed)
{
    struct reader r;
    reader_init(&r, q->ops.data, q->ops.length);
    enum coord_err err = q->n_ops == 0 ? COORD_BAD_ARGUMENTS : q->n_ops > d->p->limits->multi ? COORD_LIMIT : COORD_OK;
    for (uint32_t i = 0; !err && i < q->n_ops; i++) {
        struct op op;
        *failed = i;
        read_request_op(&r, &op);
        err = r.broken ? COORD_MARSHALLING : prepare_op(d, &op);
        if (!err && (d->txn->len + WRITE_HEAD_BYTES > d->p->limits->txn || d->reply > d->p->limits->reply)) err = COORD_LIMIT;
    }
    return err;
}

/* The transaction of a request whose operations are `drafted`, or of its failure. */
static enum prep_outcome finish(struct prep *p, const struct draft *d, struct txn *t, struct buffer *txn)
{
    size_t at = txn->len;
    if (d->no_memory || d->txn->err) return give_up(p, txn, at);
    if (t->err) overlay_undo(p->overlay);
    t->order = p->order + 1;
    t->ms = d->ms;
    if (!t->err) t->ops = bytes_of(d->txn->data, d->txn->len);
    put_txn(txn, t);
    if (txn->err) return give_up(p, txn, at);
    proposed(p, d->ms);
    return PREP_PROPOSE;
}

enum prep_outcome prep_write(struct prep *p, const struct write_request *q, int64_t now_ms, struct buffer *txn)
{
    struct lease *lease = lease_find(p->leases, q->session);
    struct buffer ops = {0};
    if (!lease || lease->closing) return PREP_NOTHING;
    if (q->xid <= lease->xid) return PREP_DUPLICATE;
    struct draft d = {.p = p, .session = q->session, .identities = q->identities, .ms = moment_after(p, now_ms), .txn = &ops, .reply = 8};
    struct txn t = {.type = TXN_WRITE, .session = q->session, .xid = q->xid, .acked = q->acked, .n_ops = q->n_ops};
    t.err = (uint16_t)draft_ops(&d, q, &t.failed);
    if (t.err)
        t.n_ops = 0;
    else
        t.failed = 0;
    enum prep_outcome outcome = finish(p, &d, &t, txn);
    if (outcome == PREP_PROPOSE) lease->xid = q->xid;
    buffer_close(&ops);
    return outcome;
}

static uint32_t clamp(uint32_t v, uint32_t low, uint32_t high)
{
    return v < low ? low : v > high ? high : v;
}

/* A transaction that changes no node. */
static enum prep_outcome propose_plain(struct prep *p, struct txn *t, int64_t now_ms, struct buffer *txn)
{
    size_t at = txn->len;
    t->order = p->order + 1;
    t->ms = moment_after(p, now_ms);
    put_txn(txn, t);
    if (txn->err) return give_up(p, txn, at);
    proposed(p, t->ms);
    return PREP_PROPOSE;
}

static enum prep_outcome deny(struct prep *p, const struct txn *wish, enum coord_err err, int64_t now_ms, struct buffer *txn)
{
    struct txn t = {.type = TXN_DENY, .session = wish->session, .peer = wish->peer, .token = wish->token, .err = (uint16_t)err};
    return propose_plain(p, &t, now_ms, txn);
}

enum prep_outcome prep_open(struct prep *p, const struct txn *wish, int64_t now_ms, int64_t lease_ms, struct buffer *txn)
{
    struct txn t = *wish;
    if (p->n_sessions >= p->limits->sessions) return deny(p, wish, COORD_LIMIT, now_ms, txn);
    t.type = TXN_OPEN;
    t.session = p->last_session + 1;
    t.timeout_ms = clamp(wish->timeout_ms, p->limits->timeout_min_ms, p->limits->timeout_max_ms);
    struct lease *lease = lease_add(p->leases, t.session, t.timeout_ms, t.peer, lease_ms);
    if (!lease) return PREP_NOMEM;
    enum prep_outcome outcome = propose_plain(p, &t, now_ms, txn);
    if (outcome != PREP_PROPOSE) {
        lease_remove(p->leases, lease);
        return outcome;
    }
    p->last_session = t.session;
    p->n_sessions++;
    return PREP_PROPOSE;
}

enum prep_outcome prep_move(struct prep *p, const struct txn *wish, int64_t now_ms, int64_t lease_ms, struct buffer *txn)
{
    struct lease *lease = lease_find(p->leases, wish->session);
    if (!lease || lease->closing) return deny(p, wish, COORD_SESSION_EXPIRED, now_ms, txn);
    struct txn t = {.type = TXN_MOVE, .session = wish->session, .peer = wish->peer, .token = wish->token};
    enum prep_outcome outcome = propose_plain(p, &t, now_ms, txn);
    if (outcome != PREP_PROPOSE) return outcome;
    lease->peer = wish->peer;
    lease_touch(p->leases, lease, lease_ms);
    return PREP_PROPOSE;
}

static void draft_end_of_ephemerals(struct draft *d, uint64_t session)
{
    struct buffer paths = {0};
    struct reader r;
    overlay_ephemerals(d->p->overlay, session, &paths);
    reader_init(&r, paths.data, paths.len);
    while (reader_left(&r) > 0) remove_node(d, read_bytes(&r, COORD_PATH_MAX));
    if (paths.err) d->no_memory = true;
    buffer_close(&paths);
}

enum prep_outcome prep_close(struct prep *p, struct lease *lease, enum txn_reason reason, int64_t now_ms, struct buffer *txn)
{
    WEIR_ASSERT(!lease->closing);
    struct buffer none = {0};
    struct draft d = {.p = p, .session = lease->session, .ms = moment_after(p, now_ms), .txn = &none};
    struct txn t = {.type = TXN_CLOSE, .session = lease->session, .reason = (uint8_t)reason};
    draft_end_of_ephemerals(&d, lease->session);
    enum prep_outcome outcome = finish(p, &d, &t, txn);
    if (outcome != PREP_PROPOSE) return outcome;
    lease->closing = true;
    p->n_sessions--;
    return outcome;
}

/* ---- cleaning ------------------------------------------------------------------------------------------------------------------ */

static bool may_go(const struct shape *s, int64_t ms)
{
    if (!s->exists || s->n_children > 0) return false;
    return s->kind == NODE_CONTAINER ? s->cversion > 0 : s->kind == NODE_TTL && s->mtime_ms + (int64_t)s->owner <= ms;
}

static bool clean_one(struct draft *d, const struct node *n)
{
    struct buffer path = {0};
    node_path(n, &path);
    struct op op = {.type = OP_DELETE, .path = bytes_of(path.data, path.len), .version = OP_ANY_VERSION};
    struct shape s = path.err ? (struct shape){0} : look(d, op.path);
    bool goes = may_go(&s, d->ms);
    if (goes) {
        remove_node(d, op.path);
        put_txn_op(d->txn, &op);
    }
    buffer_close(&path);
    return goes;
}

/* Nodes looked at for each that may be removed. */
#define LOOKS 8u
#define CLEAN_BYTES (1u << 20) /* of a transaction that cleans, and one path more */

/* Looks at some nodes of a list, which go to its end for that, so that all have their turn. Adds to *n_ops up to `most`. */
static void clean_list(struct draft *d, struct node_list *list, uint16_t *n_ops, uint32_t most)
{
    struct node *first = TAILQ_FIRST(list);
    for (uint64_t looks = (uint64_t)most * LOOKS; first && looks > 0 && *n_ops < most && d->txn->len < CLEAN_BYTES; looks--) {
        struct node *n = TAILQ_FIRST(list);
        TAILQ_REMOVE(list, n, kin);
        TAILQ_INSERT_TAIL(list, n, kin);
        if (clean_one(d, n)) ++*n_ops;
        if (TAILQ_FIRST(list) == first) return;
    }
}

enum prep_outcome prep_clean(struct prep *p, int64_t now_ms, struct buffer *txn)
{
    struct buffer ops = {0};
    struct draft d = {.p = p, .ms = moment_after(p, now_ms), .txn = &ops};
    struct txn t = {.type = TXN_WRITE};
    uint32_t most = clamp(p->limits->cleanup_nodes, 1, COORD_MULTI_MAX / 2);
    clean_list(&d, &p->state->tree.containers, &t.n_ops, most);
    clean_list(&d, &p->state->tree.ttls, &t.n_ops, most);
    enum prep_outcome outcome = t.n_ops > 0 ? finish(p, &d, &t, txn) : PREP_NOTHING;
    buffer_close(&ops);
    return outcome;
}

void prep_applied(struct prep *p, const struct txn *txn)
{
    p->applied = txn->order;
    overlay_applied(p->overlay, txn->order);
    struct lease *ended = txn->type == TXN_CLOSE ? lease_find(p->leases, txn->session) : NULL;
    if (ended) lease_remove(p->leases, ended);
}
