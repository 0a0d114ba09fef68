/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/coord/overlay.h"

#include <stdlib.h>

#include "runtime/base/assert.h"
#include "runtime/base/hash.h"

struct view {
    struct map_item item; /* first */
    uint64_t touched;     /* the last transaction that changes it */
    struct shape shape;   /* with a reference to its ACL */
    uint32_t path_len;
    char path[];
};

/* How to undo one change of the transaction being made. */
struct undo {
    struct view *view;
    bool fresh; /* the view did not exist; else this is how it was: */
    uint64_t touched;
    struct shape shape;
};

/* A transaction changes a view: when it is the last to do so and is applied, the view goes. */
struct touch {
    uint64_t order;
    struct view *view;
};

struct overlay {
    struct tree *tree;
    struct leases *leases;
    struct map views;
    struct undo *undo;
    size_t n_undo, cap_undo;
    struct touch *touches; /* a ring, orders rising */
    size_t first, n_touches, cap_touches;
    size_t n_new; /* touches of the transaction being made */
};

struct overlay *overlay_new(struct tree *tree, struct leases *leases)
{
    struct overlay *o = calloc(1, sizeof *o);
    if (!o) return NULL;
    o->tree = tree;
    o->leases = leases;
    return o;
}

static void drop_view(struct overlay *o, struct view *v)
{
    map_remove(&o->views, &v->item);
    acl_release(&o->tree->acls, v->shape.acl);
    free(v);
}

void overlay_destroy(struct overlay **overlay)
{
    struct overlay *o = *overlay;
    if (!o) return;
    overlay_undo(o);
    for (struct map_item *i; (i = map_next(&o->views, NULL)) != NULL;) drop_view(o, (struct view *)i);
    map_close(&o->views);
    free(o->undo);
    free(o->touches);
    free(o);
    *overlay = NULL;
}

size_t overlay_nodes(const struct overlay *o)
{
    return o->views.n;
}

/* ---- looking ------------------------------------------------------------------------------------------------------------------- */

static struct view *find_view(const struct overlay *o, struct weir_bytes path)
{
    for (struct map_item *i = map_first(&o->views, hash64(path.data, path.length)); i; i = map_same(i)) {
        struct view *v = (struct view *)i;
        if (bytes_equal(bytes_of(v->path, v->path_len), path)) return v;
    }
    return NULL;
}

static struct shape shape_of(const struct node *n)
{
    if (!n) return (struct shape){0};
    return (struct shape){
        .exists = true,
        .kind = n->kind,
        .owner = n->owner,
        .version = n->version,
        .cversion = n->cversion,
        .aversion = n->aversion,
        .sequence = n->sequence,
        .mtime_ms = n->mtime_ms,
        .n_children = n->n_children,
        .data_len = n->data_len,
        .quota = n->quota,
        .usage = n->usage,
        .acl = n->acl,
    };
}

struct shape overlay_look(const struct overlay *o, struct weir_bytes path)
{
    const struct view *v = find_view(o, path);
    return v ? v->shape : shape_of(tree_find(o->tree, path));
}

static bool ephemeral_of(const struct shape *s, uint64_t session)
{
    return s->exists && s->kind == NODE_EPHEMERAL && s->owner == session;
}

void overlay_ephemerals(const struct overlay *o, uint64_t session, struct buffer *paths)
{
    const struct node_list *committed = tree_ephemerals(o->tree, session);
    const struct node *n;
    if (committed) TAILQ_FOREACH(n, committed, kin)
        {
            size_t at = paths->len;
            put_u32(paths, 0);
            node_path(n, paths);
            patch_u32(paths, at, (uint32_t)(paths->len - at - 4));
            struct weir_bytes path = bytes_of(paths->data + at + 4, paths->len - at - 4);
            if (!paths->err && find_view(o, path)) paths->len = at; /* the overlay knows better, below */
        }
    for (struct map_item *i = map_next(&o->views, NULL); i; i = map_next(&o->views, i)) {
        const struct view *v = (struct view *)i;
        if (ephemeral_of(&v->shape, session)) put_bytes(paths, bytes_of(v->path, v->path_len));
    }
}

/* ---- changing ------------------------------------------------------------------------------------------------------------------ */

/* Room for one more of `size` bytes each; false: no memory. */
static bool room(void **array, size_t *cap, size_t n, size_t size)
{
    if (n < *cap) return true;
    size_t bigger = *cap ? 2 * *cap : 64;
    void *moved = realloc(*array, bigger * size);
    if (!moved) return false;
    *array = moved;
    *cap = bigger;
    return true;
}

/* The ring grows by unrolling: its first becomes the array's first. */
static bool room_for_touch(struct overlay *o)
{
    if (o->n_touches < o->cap_touches) return true;
    size_t cap = o->cap_touches ? 2 * o->cap_touches : 64;
    struct touch *bigger = malloc(cap * sizeof *bigger);
    if (!bigger) return false;
    for (size_t i = 0; i < o->n_touches; i++) bigger[i] = o->touches[(o->first + i) % o->cap_touches];
    free(o->touches);
    o->touches = bigger;
    o->cap_touches = cap;
    o->first = 0;
    return true;
}

static struct view *add_view(struct overlay *o, struct weir_bytes path)
{
    struct view *v = calloc(1, sizeof *v + path.length);
    if (!v || !map_add(&o->views, &v->item, hash64(path.data, path.length))) {
        free(v);
        return NULL;
    }
    v->path_len = path.length;
    memcpy(v->path, path.data, path.length);
    return v;
}

static void count_ephemeral(const struct overlay *o, const struct shape *s, uint64_t by)
{
    struct lease *lease = s->exists && s->kind == NODE_EPHEMERAL ? lease_find(o->leases, s->owner) : NULL;
    if (lease) lease->n_ephemerals += by;
}

static void touch(struct overlay *o, struct view *v, uint64_t order)
{
    if (v->touched == order) return;
    v->touched = order;
    o->touches[(o->first + o->n_touches++) % o->cap_touches] = (struct touch){order, v};
    o->n_new++;
}

bool overlay_change(struct overlay *o, struct weir_bytes path, const struct shape *shape, uint64_t order)
{
    if (!room((void **)&o->undo, &o->cap_undo, o->n_undo, sizeof *o->undo) || !room_for_touch(o)) return false;
    struct view *v = find_view(o, path);
    struct shape before = v ? v->shape : shape_of(tree_find(o->tree, path));
    bool fresh = !v;
    if (fresh && !(v = add_view(o, path))) return false;
    o->undo[o->n_undo++] = (struct undo){v, fresh, v->touched, before};
    if (shape->acl) shape->acl->refs++;
    v->shape = *shape;
    touch(o, v, order);
    count_ephemeral(o, &before, (uint64_t)-1);
    count_ephemeral(o, shape, 1);
    return true;
}

void overlay_keep(struct overlay *o)
{
    while (o->n_undo > 0) {
        struct undo *u = &o->undo[--o->n_undo];
        if (!u->fresh) acl_release(&o->tree->acls, u->shape.acl); /* the view held it */
    }
    o->n_new = 0;
}

void overlay_undo(struct overlay *o)
{
    o->n_touches -= o->n_new;
    o->n_new = 0;
    while (o->n_undo > 0) {
        struct undo *u = &o->undo[--o->n_undo];
        count_ephemeral(o, &u->view->shape, (uint64_t)-1);
        count_ephemeral(o, &u->shape, 1);
        if (u->fresh) {
            drop_view(o, u->view);
            continue;
        }
        acl_release(&o->tree->acls, u->view->shape.acl);
        u->view->shape = u->shape;
        u->view->touched = u->touched;
    }
}

void overlay_applied(struct overlay *o, uint64_t order)
{
    WEIR_ASSERT(o->n_undo == 0);
    while (o->n_touches > 0 && o->touches[o->first].order <= order) {
        struct touch t = o->touches[o->first];
        o->first = (o->first + 1) % o->cap_touches;
        o->n_touches--;
        if (t.view->touched == t.order) drop_view(o, t.view);
    }
}
