/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/coord/image.h"

#include <inttypes.h>
#include <stdlib.h>

#include "runtime/base/assert.h"
#include "runtime/coord/limits.h"
#include "runtime/coord/path.h"

#define MAGIC 0x474d4957u /* "WIMG" */
#define VERSION 1u

enum record { RECORD_END = 0, RECORD_NODE = 1, RECORD_SESSION = 2 };

/* Whole records, written ahead of the walk. */
struct chunk {
    TAILQ_ENTRY(chunk) next;
    struct buffer bytes;
};

TAILQ_HEAD(chunk_list, chunk);

struct image {
    struct coord_state *state;
    struct zxid zxid;
    uint32_t id;             /* nodes with this or a later one are not to be taken */
    struct node *next;       /* the walk: not yet looked at; NULL: behind the last */
    uint64_t n_nodes;        /* written */
    struct chunk_list early; /* the head and the sessions, then nodes that were about to change */
    bool no_memory;
    bool done;
};

/* ---- writing ------------------------------------------------------------------------------------------------------------------- */

static void put_node(struct buffer *b, const struct node *n)
{
    put_u8(b, RECORD_NODE);
    size_t at = b->len;
    put_u32(b, 0);
    node_path(n, b);
    patch_u32(b, at, (uint32_t)(b->len - at - 4));
    put_u8(b, n->kind);
    put_u64(b, n->owner);
    put_data(b, node_data(n));
    put_bytes(b, acl_bytes(n->acl));
    put_zxid(b, n->czxid);
    put_zxid(b, n->mzxid);
    put_zxid(b, n->pzxid);
    put_i64(b, n->ctime_ms);
    put_i64(b, n->mtime_ms);
    put_u64(b, n->version);
    put_u64(b, n->cversion);
    put_u64(b, n->aversion);
    put_u64(b, n->sequence);
    put_u64(b, n->quota.nodes);
    put_u64(b, n->quota.bytes);
}

static void take(struct image *m, struct node *n, struct buffer *b)
{
    n->image = m->id;
    m->n_nodes++;
    put_node(b, n);
}

/* Where the next record ahead of the walk goes; NULL: no memory. */
static struct buffer *early(struct image *m)
{
    struct chunk *c = TAILQ_LAST(&m->early, chunk_list);
    if (c && c->bytes.len < IMAGE_SLICE_BYTES) return &c->bytes;
    c = calloc(1, sizeof *c);
    if (!c) {
        m->no_memory = true;
        return NULL;
    }
    TAILQ_INSERT_TAIL(&m->early, c, next);
    return &c->bytes;
}

static void put_head(struct buffer *b, const struct coord_state *s)
{
    put_u32(b, MAGIC);
    put_u8(b, VERSION);
    put_zxid(b, s->last);
    put_i64(b, s->ms);
    put_u64(b, s->sessions.last_id);
}

static void put_sessions(struct image *m, const struct coord_state *s)
{
    const struct session *session;
    struct buffer *b = early(m);
    if (b) put_head(b, s);
    TAILQ_FOREACH(session, &s->sessions.list, next)
    {
        b = early(m);
        if (!b) return;
        put_u8(b, RECORD_SESSION);
        put_session(b, session);
    }
}

struct image *image_begin(struct coord_state *s)
{
    WEIR_ASSERT(s->tree.image == NULL);
    struct image *m = calloc(1, sizeof *m);
    if (!m) return NULL;
    m->state = s;
    m->zxid = s->last;
    m->next = s->tree.root;
    TAILQ_INIT(&m->early);
    put_sessions(m, s);
    m->id = ++s->tree.images;
    s->tree.image = m;
    return m;
}

static void drop_chunk(struct image *m)
{
    struct chunk *c = TAILQ_FIRST(&m->early);
    TAILQ_REMOVE(&m->early, c, next);
    buffer_close(&c->bytes);
    free(c);
}

void image_end(struct image **image)
{
    struct image *m = *image;
    if (!m) return;
    m->state->tree.image = NULL;
    while (!TAILQ_EMPTY(&m->early)) drop_chunk(m);
    free(m);
    *image = NULL;
}

struct zxid image_zxid(const struct image *image)
{
    return image->zxid;
}

void image_before_change(struct image *m, struct node *n)
{
    if (m->done || n->image >= m->id) return;
    if (n->parent) image_before_change(m, n->parent); /* a parent comes before its children */
    struct buffer *b = early(m);
    if (b) take(m, n, b);
}

void image_before_delete(struct image *m, struct node *n)
{
    if (m->next == n) m->next = node_next(n);
}

/* Writes nodes until `out` has `bytes`; false: none is left. */
static bool walk(struct image *m, size_t bytes, struct buffer *out)
{
    while (m->next && out->len < bytes) {
        struct node *n = m->next;
        m->next = node_next(n);
        if (n->image < m->id) take(m, n, out);
    }
    return m->next != NULL;
}

weir_err image_slice(struct image *m, size_t bytes, struct buffer *out, bool *last)
{
    WEIR_ASSERT(!m->done);
    size_t limit = out->len + bytes;
    for (struct chunk *c; out->len < limit && (c = TAILQ_FIRST(&m->early)) != NULL; drop_chunk(m)) {
        if (c->bytes.err) m->no_memory = true;
        buffer_add(out, c->bytes.data, c->bytes.len);
    }
    if (m->no_memory) return WEIR_E_NOMEM;
    *last = TAILQ_EMPTY(&m->early) && !walk(m, limit, out);
    if (*last) {
        put_u8(out, RECORD_END);
        put_u64(out, m->n_nodes);
        m->done = true;
    }
    return out->err;
}

/* ---- reading ------------------------------------------------------------------------------------------------------------------- */

void image_reader_init(struct image_reader *r, struct coord_state *state)
{
    *r = (struct image_reader){.state = state};
}

static weir_err broken(const struct image_reader *r, struct weir_diag *diag, const char *what)
{
    return weir_fail(diag, WEIR_E_CORRUPT, "image of the tree: %s after %" PRIu64 " nodes", what, r->n_nodes);
}

static void read_head(struct image_reader *r, struct reader *in)
{
    if (read_u32(in) != MAGIC || read_u8(in) != VERSION) in->broken = true;
    r->state->last = read_zxid(in);
    r->state->ms = read_i64(in);
    r->last_session = read_u64(in);
    r->begun = true;
}

static void read_node_rest(struct reader *in, struct node *n)
{
    n->czxid = read_zxid(in);
    n->mzxid = read_zxid(in);
    n->pzxid = read_zxid(in);
    n->ctime_ms = read_i64(in);
    n->mtime_ms = read_i64(in);
    n->version = read_u64(in);
    n->cversion = read_u64(in);
    n->aversion = read_u64(in);
    n->sequence = read_u64(in);
    n->quota.nodes = read_u64(in);
    n->quota.bytes = read_u64(in);
}

/* The node a record is about: the root, which is there from the start and comes first, or a new one below a node that came before. */
static struct node *place_node(const struct image_reader *r, struct weir_bytes path, const struct seed *seed)
{
    struct tree *t = &r->state->tree;
    struct moment never = {0};
    if (path_is_root(path) != (r->n_nodes == 0) || seed->kind >= NODE_KINDS || !acl_valid(seed->acl)) return NULL;
    if (!path_is_root(path)) {
        struct node *parent = tree_find(t, path_parent(path));
        return parent && parent->kind != NODE_EPHEMERAL && !tree_find(t, path) ? tree_restore(t, path, seed) : NULL;
    }
    bool set = seed->kind == NODE_PERSISTENT && tree_set_data(t, t->root, seed->data, never) && tree_set_acl(t, t->root, seed->acl);
    return set ? t->root : NULL;
}

static weir_err read_node(struct image_reader *r, struct reader *in, struct weir_diag *diag)
{
    struct weir_bytes path = read_bytes(in, COORD_PATH_MAX);
    struct seed seed = {.kind = read_u8(in)};
    seed.owner = read_u64(in);
    seed.data = read_data(in, COORD_DATA_MAX);
    seed.acl = read_bytes(in, UINT16_MAX);
    if (in->broken || path_check(path)) return broken(r, diag, "a malformed node");
    struct node *n = place_node(r, path, &seed);
    if (!n) return broken(r, diag, "a node out of place, or no memory for it");
    read_node_rest(in, n);
    r->n_nodes++;
    return WEIR_OK;
}

static weir_err read_end(struct image_reader *r, struct reader *in, struct weir_diag *diag)
{
    uint64_t n_nodes = read_u64(in);
    if (in->broken || n_nodes != r->n_nodes || n_nodes == 0) return broken(r, diag, "another number of nodes at its end");
    if (r->last_session < r->state->sessions.last_id) return broken(r, diag, "a session from the future");
    r->state->sessions.last_id = r->last_session;
    r->ended = true;
    return WEIR_OK;
}

static weir_err read_record(struct image_reader *r, struct reader *in, struct weir_diag *diag)
{
    switch (read_u8(in)) {
    case RECORD_NODE: return read_node(r, in, diag);
    case RECORD_SESSION: read_session(in, &r->state->sessions); return WEIR_OK;
    case RECORD_END: return read_end(r, in, diag);
    default: return broken(r, diag, "an unknown record");
    }
}

weir_err image_read(struct image_reader *r, struct weir_bytes slice, struct weir_diag *diag)
{
    struct reader in;
    reader_init(&in, slice.data, slice.length);
    if (!r->begun) read_head(r, &in);
    weir_err err = WEIR_OK;
    while (!err && !in.broken && reader_left(&in) > 0) err = r->ended ? broken(r, diag, "bytes behind the end") : read_record(r, &in, diag);
    return err ? err : in.broken ? broken(r, diag, "a cut or malformed record") : WEIR_OK;
}

weir_err image_read_end(const struct image_reader *r, struct weir_diag *diag)
{
    return r->ended ? WEIR_OK : broken(r, diag, "the end is missing");
}
