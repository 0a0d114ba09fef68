/* SPDX-License-Identifier: Apache-2.0 */
/* What is served from this peer's own state, when its turn has come: reads, watches, identities. */
#include "runtime/base/assert.h"
#include "runtime/coord/path.h"
#include "runtime/coord/server_internal.h"

static struct weir_bytes identities(const struct connection *c)
{
    return bytes_of(c->identities.data, c->identities.len);
}

/* A read in progress. */
struct reading {
    struct coord_server *s;
    struct connection *c;
    struct buffer *body;
    size_t limit; /* of the body: a page ends there */
};

static enum coord_err watch(const struct reading *r, struct weir_bytes path, uint8_t kind)
{
    bool new = watch_kinds(&r->s->watches, &r->c->watcher, path) == 0;
    if (new && r->c->watcher.n >= r->s->config.limits.watches) return COORD_LIMIT;
    bool added = watch_add(&r->s->watches, &r->c->watcher, path, kind);
    WEIR_ASSERT(added);
    return COORD_OK;
}

/* ---- bodies -------------------------------------------------------------------------------------------------------------------- */

static void put_node_stat(struct buffer *b, const struct node *n)
{
    struct coord_stat stat = node_stat(n);
    put_stat(b, &stat);
}

static void put_data_of(const struct reading *r, const struct node *n)
{
    put_data(r->body, node_data(n));
    put_node_stat(r->body, n);
}

static void put_children(const struct reading *r, const struct node *n, const struct get *get)
{
    put_node_stat(r->body, n);
    size_t at = r->body->len;
    uint32_t count = 0, max = get->max > 0 ? get->max : UINT32_MAX;
    put_u8(r->body, 0);
    put_u32(r->body, 0);
    const struct node *child = node_child_after(n, get->after);
    for (; child && count < max && r->body->len < r->limit; child = node_child_after(n, node_name(child)), count++)
        put_bytes(r->body, node_name(child));
    WEIR_ASSERT(!r->body->err);
    r->body->data[at] = child != NULL; /* there are more */
    patch_u32(r->body, at + 1, count);
}

static void put_acl_of(const struct reading *r, const struct node *n)
{
    struct buffer masked = {0};
    struct weir_bytes acl = acl_bytes(n->acl);
    if (!acl_allows(acl, ACL_ADMIN, identities(r->c))) {
        acl_mask(acl, &masked);
        acl = bytes_of(masked.data, masked.len);
    }
    put_bytes(r->body, acl);
    put_node_stat(r->body, n);
    buffer_close(&masked);
}

static void put_ephemerals(const struct reading *r, const struct get *get)
{
    const struct node_list *mine = tree_ephemerals(&r->s->state->tree, r->c->session);
    const struct node *n = mine ? TAILQ_FIRST(mine) : NULL;
    uint32_t count = 0, max = get->max > 0 ? get->max : UINT32_MAX;
    size_t at = r->body->len;
    put_u8(r->body, 0);
    put_u32(r->body, 0);
    for (uint32_t skip = get->skip; n && skip > 0; skip--) n = TAILQ_NEXT(n, kin);
    for (; n && count < max && r->body->len < r->limit; n = TAILQ_NEXT(n, kin), count++) {
        size_t length_at = r->body->len;
        put_u32(r->body, 0);
        node_path(n, r->body);
        patch_u32(r->body, length_at, (uint32_t)(r->body->len - length_at - 4));
    }
    WEIR_ASSERT(!r->body->err);
    r->body->data[at] = n != NULL;
    patch_u32(r->body, at + 1, count);
}

static void put_usage(const struct reading *r, const struct node *n)
{
    put_u64(r->body, n->quota.nodes);
    put_u64(r->body, n->quota.bytes);
    put_u64(r->body, n->usage.nodes);
    put_u64(r->body, n->usage.bytes);
}

/* ---- reads --------------------------------------------------------------------------------------------------------------------- */

static enum coord_err permitted(const struct reading *r, const struct node *n, enum get_type type)
{
    struct weir_bytes acl = acl_bytes(n->acl), who = identities(r->c);
    if (type == GET_EXISTS || acl_allows(acl, ACL_READ, who)) return COORD_OK;
    return type == GET_ACL && acl_allows(acl, ACL_ADMIN, who) ? COORD_OK : COORD_NO_AUTH;
}

static enum coord_err get_node(const struct reading *r, const struct node *n, const struct get *get)
{
    enum coord_err err = permitted(r, n, get->type);
    if (!err && get->watch) err = watch(r, get->path, get->type == GET_CHILDREN ? WATCH_CHILD : WATCH_DATA);
    if (err) return err;
    put_u16(r->body, COORD_OK);
    switch (get->type) {
    case GET_DATA: put_data_of(r, n); break;
    case GET_CHILDREN: put_children(r, n, get); break;
    case GET_ACL: put_acl_of(r, n); break;
    case GET_USAGE: put_usage(r, n); break;
    default: put_node_stat(r->body, n); break;
    }
    return COORD_OK;
}

static enum coord_err get_path(const struct reading *r, const struct get *get)
{
    if (path_check(get->path)) return COORD_BAD_ARGUMENTS;
    if (get->type == GET_WATCH) {
        enum coord_err err = watch(r, get->path, get->kind);
        if (!err) put_u16(r->body, COORD_OK);
        return err;
    }
    const struct node *n = tree_find(&r->s->state->tree, get->path);
    if (n) return get_node(r, n, get);
    enum coord_err err = get->type == GET_EXISTS && get->watch ? watch(r, get->path, WATCH_DATA) : COORD_OK;
    return err ? err : COORD_NO_NODE;
}

/* Appends one result: its error, and without one what was read. */
static void get_one(const struct reading *r, const struct get *get)
{
    enum coord_err err = COORD_OK;
    if (r->body->len >= r->limit) {
        err = COORD_LIMIT;
    } else if (get->type == GET_EPHEMERALS) {
        put_u16(r->body, COORD_OK);
        put_ephemerals(r, get);
    } else if (get->type == GET_IDENTITIES) {
        put_u16(r->body, COORD_OK);
        put_bytes(r->body, identities(r->c));
    } else {
        err = get_path(r, get);
    }
    if (err) put_u16(r->body, (uint16_t)err);
}

static void read_request(const struct request *q, struct ask *ask)
{
    bool valid = read_ask(bytes_of(q->bytes, q->length), ask); /* it was when it came */
    WEIR_ASSERT(valid);
}

void serve_read(struct coord_server *s, struct connection *c, struct request *q)
{
    struct ask ask;
    struct reader in;
    struct reading r = {.s = s, .c = c, .body = &q->body, .limit = s->config.limits.reply};
    read_request(q, &ask);
    reader_init(&in, ask.ops.data, ask.ops.length);
    put_u32(r.body, ask.n);
    for (uint32_t i = 0; i < ask.n; i++) {
        struct get get;
        read_get(&in, &get);
        get_one(&r, &get);
    }
    WEIR_ASSERT(!q->body.err);
    q->state = REQUEST_ANSWERED;
}

/* ---- watches that come back ---------------------------------------------------------------------------------------------------- */

static void tell(struct coord_server *s, const struct connection *c, struct zxid zxid, enum event_type type, struct weir_bytes path)
{
    say_to(s, c, &(struct say){.type = SAY_EVENT, .zxid = zxid, .event = (uint8_t)type, .path = path});
}

static bool since(struct zxid change, struct zxid seen)
{
    return zxid_cmp(change, seen) > 0;
}

/* What a one-shot watch has missed; 0: nothing. */
static unsigned missed(const struct node *n, uint8_t kind, struct zxid seen)
{
    if (kind == WATCH_EXIST) return n ? EVENT_CREATED : 0;
    if (!n) return EVENT_DELETED;
    if (kind == WATCH_DATA) return since(n->mzxid, seen) ? EVENT_CHANGED : 0;
    if (since(n->czxid, seen)) return EVENT_DELETED; /* the node it watched is gone; this is another */
    return since(n->pzxid, seen) ? EVENT_CHILDREN : 0;
}

static enum coord_err rewatch_staying(const struct reading *r, const struct rewatch *w, struct zxid seen)
{
    if (!since(r->s->recall.floor, seen)) return watch(r, w->path, w->kind | WATCH_NEW);
    tell(r->s, r->c, r->s->state->last, EVENT_RESYNC, w->path);
    return watch(r, w->path, w->kind);
}

static enum coord_err rewatch_once(const struct reading *r, const struct rewatch *w, struct zxid seen)
{
    unsigned type = missed(tree_find(&r->s->state->tree, w->path), w->kind, seen);
    if (type) {
        tell(r->s, r->c, r->s->state->last, type, w->path);
        return COORD_OK;
    }
    return watch(r, w->path, w->kind == WATCH_CHILD ? WATCH_CHILD : WATCH_DATA);
}

/* The events that came between, for the persistent and recursive watches of this request, in their order. */
static void replay(struct coord_server *s, struct connection *c, struct zxid seen)
{
    for (uint32_t i = recall_behind(&s->recall, seen); i < s->recall.n; i++) {
        const struct recalled *e = recall_at(&s->recall, i);
        struct weir_bytes path = bytes_of(e->path, e->path_len);
        if (watcher_missed(&s->watches, &c->watcher, e->type, path)) tell(s, c, e->zxid, e->type, path);
    }
    watcher_forget_new(&c->watcher);
}

/* All watches of the request that stay, or all that fire once. */
static enum coord_err rewatch_all(const struct reading *r, const struct ask *ask, bool staying)
{
    struct reader in;
    enum coord_err err = COORD_OK;
    reader_init(&in, ask->ops.data, ask->ops.length);
    for (uint32_t i = 0; i < ask->n && !err; i++) {
        struct rewatch w;
        read_rewatch(&in, &w);
        if (path_check(w.path))
            err = COORD_BAD_ARGUMENTS;
        else if (((w.kind & (WATCH_PERSISTENT | WATCH_RECURSIVE)) != 0) == staying)
            err = staying ? rewatch_staying(r, &w, ask->seen) : rewatch_once(r, &w, ask->seen);
    }
    return err;
}

/* What is told again comes in the order of transactions; what fires once says no more than that there was a change, so it comes last. */
void serve_watches(struct coord_server *s, struct connection *c, struct request *q)
{
    struct ask ask;
    struct reading r = {.s = s, .c = c};
    read_request(q, &ask);
    enum coord_err err = rewatch_all(&r, &ask, true);
    replay(s, c, ask.seen);
    if (!err) err = rewatch_all(&r, &ask, false);
    request_answer(q, err, bytes_of("", 0));
}

void serve_unwatch(struct coord_server *s, struct connection *c, struct request *q)
{
    struct ask ask;
    read_request(q, &ask);
    uint8_t kinds = ask.kinds & (WATCH_DATA | WATCH_CHILD | WATCH_PERSISTENT | WATCH_RECURSIVE);
    bool was = !path_check(ask.path) && watch_remove(&s->watches, &c->watcher, ask.path, kinds);
    request_answer(q, was ? COORD_OK : COORD_NO_WATCHER, bytes_of("", 0));
}
