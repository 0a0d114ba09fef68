/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/coord/tree.h"

#include <stdlib.h>

#include "runtime/base/assert.h"
#include "runtime/base/hash.h"
#include "runtime/coord/children.h"
#include "runtime/coord/image.h"
#include "runtime/coord/limits.h"
#include "runtime/coord/path.h"

/* ---- who owns ephemerals ------------------------------------------------------------------------------------------------------- */

struct owner {
    struct map_item item; /* first */
    uint64_t session;
    struct node_list nodes; /* never empty between calls */
};

static struct owner *find_owner(const struct tree *t, uint64_t session)
{
    for (struct map_item *i = map_first(&t->owners, hash64(&session, sizeof session)); i; i = map_same(i))
        if (((struct owner *)i)->session == session) return (struct owner *)i;
    return NULL;
}

static struct owner *make_owner(struct tree *t, uint64_t session)
{
    struct owner *o = find_owner(t, session);
    if (o) return o;
    o = calloc(1, sizeof *o);
    if (!o || !map_add(&t->owners, &o->item, hash64(&session, sizeof session))) {
        free(o);
        return NULL;
    }
    o->session = session;
    TAILQ_INIT(&o->nodes);
    return o;
}

const struct node_list *tree_ephemerals(const struct tree *t, uint64_t session)
{
    struct owner *o = find_owner(t, session);
    return o ? &o->nodes : NULL;
}

/* The list that a node of this kind is in; NULL for persistent ones, and when there is no memory. */
static struct node_list *kin_list(struct tree *t, uint8_t kind, uint64_t owner)
{
    if (kind == NODE_CONTAINER) return &t->containers;
    if (kind == NODE_TTL) return &t->ttls;
    if (kind != NODE_EPHEMERAL) return NULL;
    struct owner *o = make_owner(t, owner);
    return o ? &o->nodes : NULL;
}

static void leave_kin(struct tree *t, struct node *n)
{
    if (n->kind == NODE_PERSISTENT) return;
    struct node_list *list = kin_list(t, n->kind, n->owner);
    WEIR_ASSERT(list != NULL);
    TAILQ_REMOVE(list, n, kin);
    if (n->kind != NODE_EPHEMERAL || !TAILQ_EMPTY(list)) return;
    struct owner *o = find_owner(t, n->owner);
    map_remove(&t->owners, &o->item);
    free(o);
}

/* ---- nodes --------------------------------------------------------------------------------------------------------------------- */

static uint8_t *copy_data(struct weir_bytes data)
{
    uint8_t *copy = malloc(data.length > 0 ? data.length : 1);
    if (copy && data.length > 0) memcpy(copy, data.data, data.length);
    return copy;
}

static void free_node(struct tree *t, struct node *n)
{
    if (!n) return;
    acl_release(&t->acls, n->acl);
    free(n->data);
    free(n);
}

static struct node *make_node(struct tree *t, struct weir_bytes name, const struct seed *seed)
{
    struct node *n = calloc(1, sizeof *n + name.length);
    if (!n) return NULL;
    n->acl = acl_intern(&t->acls, seed->acl);
    n->data = seed->data.data ? copy_data(seed->data) : NULL;
    if (!n->acl || (seed->data.data && !n->data)) {
        free_node(t, n);
        return NULL;
    }
    n->data_len = seed->data.length;
    n->kind = seed->kind;
    n->owner = seed->owner;
    n->image = t->images;
    n->name_len = (uint8_t)name.length;
    if (name.length > 0) memcpy(n->name, name.data, name.length);
    n->usage = (struct usage){1, name.length + 1 + n->data_len};
    return n;
}

/* Adds to the usage of n and all above; the differences may be negative. */
static void account(struct node *n, uint64_t nodes, uint64_t bytes)
{
    for (; n; n = n->parent) {
        n->usage.nodes += nodes;
        n->usage.bytes += bytes;
    }
}

struct coord_stat node_stat(const struct node *n)
{
    return (struct coord_stat){
        .czxid = n->czxid,
        .mzxid = n->mzxid,
        .pzxid = n->pzxid,
        .ctime_ms = n->ctime_ms,
        .mtime_ms = n->mtime_ms,
        .version = n->version,
        .cversion = n->cversion,
        .aversion = n->aversion,
        .owner = n->kind == NODE_EPHEMERAL ? n->owner : 0,
        .ttl_ms = n->kind == NODE_TTL ? n->owner : 0,
        .data_len = n->data_len,
        .n_children = n->n_children,
        .kind = n->kind,
    };
}

void node_path(const struct node *n, struct buffer *out)
{
    const struct node *line[COORD_DEPTH_MAX];
    unsigned depth = 0;
    for (; n->parent; n = n->parent) line[depth++] = n;
    if (depth == 0) buffer_str(out, "/");
    while (depth-- > 0) {
        buffer_str(out, "/");
        buffer_add(out, line[depth]->name, line[depth]->name_len);
    }
}

struct node *node_child_after(const struct node *n, struct weir_bytes name)
{
    return children_after(n->children, name);
}

struct node *node_next(struct node *n)
{
    struct node *child = children_after(n->children, bytes_of("", 0));
    if (child) return child;
    for (; n->parent; n = n->parent) {
        struct node *sibling = children_after(n->parent->children, node_name(n));
        if (sibling) return sibling;
    }
    return NULL;
}

/* ---- the tree ------------------------------------------------------------------------------------------------------------------ */

weir_err tree_init(struct tree *t)
{
    struct seed seed = {.data = bytes_of("", 0), .acl = acl_open()};
    *t = (struct tree){0};
    TAILQ_INIT(&t->containers);
    TAILQ_INIT(&t->ttls);
    t->root = make_node(t, bytes_of("", 0), &seed);
    return t->root ? WEIR_OK : WEIR_E_NOMEM;
}

static void free_below(struct tree *t, struct node *n)
{
    while (n->children) {
        struct node *child = n->children;
        free_below(t, child);
        children_remove(&n->children, child);
        leave_kin(t, child);
        free_node(t, child);
    }
}

void tree_close(struct tree *t)
{
    if (!t->root) return;
    free_below(t, t->root);
    free_node(t, t->root);
    for (struct map_item *i; (i = map_next(&t->owners, NULL)) != NULL; free(i)) map_remove(&t->owners, i);
    map_close(&t->owners);
    map_close(&t->acls);
    *t = (struct tree){0};
}

struct node *tree_find(const struct tree *t, struct weir_bytes path)
{
    struct weir_bytes element;
    struct node *n = t->root;
    while (n && path_element(&path, &element)) n = children_find(n->children, element);
    return n;
}

static void before_change(struct tree *t, struct node *n)
{
    if (t->image) image_before_change(t->image, n);
}

struct node *tree_restore(struct tree *t, struct weir_bytes path, const struct seed *seed)
{
    struct node *parent = tree_find(t, path_parent(path));
    WEIR_ASSERT(parent != NULL);
    struct node_list *list = kin_list(t, seed->kind, seed->owner);
    struct node *n = list || seed->kind == NODE_PERSISTENT ? make_node(t, path_name(path), seed) : NULL;
    if (!n) return NULL; /* an owner without nodes may stay: it is found again, and freed with its first node */
    n->parent = parent;
    children_insert(&parent->children, n);
    parent->n_children++;
    account(parent, n->usage.nodes, n->usage.bytes);
    if (list) TAILQ_INSERT_TAIL(list, n, kin);
    return n;
}

struct node *tree_create(struct tree *t, struct weir_bytes path, const struct seed *seed, uint64_t sequence, struct moment when)
{
    struct node *parent = tree_find(t, path_parent(path));
    WEIR_ASSERT(parent != NULL);
    before_change(t, parent);
    struct node *n = tree_restore(t, path, seed);
    if (!n) return NULL;
    n->czxid = n->mzxid = n->pzxid = when.zxid;
    n->ctime_ms = n->mtime_ms = when.ms;
    parent->pzxid = when.zxid;
    parent->cversion++;
    if (sequence > 0) parent->sequence = sequence;
    return n;
}

void tree_delete(struct tree *t, struct node *n, struct moment when)
{
    struct node *parent = n->parent;
    WEIR_ASSERT(parent != NULL);
    WEIR_ASSERT(n->children == NULL);
    before_change(t, parent);
    before_change(t, n);
    if (t->image) image_before_delete(t->image, n);
    account(parent, -n->usage.nodes, -n->usage.bytes);
    children_remove(&parent->children, n);
    parent->n_children--;
    parent->cversion++;
    parent->pzxid = when.zxid;
    leave_kin(t, n);
    free_node(t, n);
}

bool tree_set_data(struct tree *t, struct node *n, struct weir_bytes data, struct moment when)
{
    uint8_t *copy = data.data ? copy_data(data) : NULL;
    if (data.data && !copy) return false;
    before_change(t, n);
    account(n, 0, (uint64_t)data.length - n->data_len);
    free(n->data);
    n->data = copy;
    n->data_len = data.length;
    n->mzxid = when.zxid;
    n->mtime_ms = when.ms;
    n->version++;
    return true;
}

bool tree_set_acl(struct tree *t, struct node *n, struct weir_bytes acl)
{
    struct acl *shared = acl_intern(&t->acls, acl);
    if (!shared) return false;
    before_change(t, n);
    acl_release(&t->acls, n->acl);
    n->acl = shared;
    n->aversion++;
    return true;
}

void tree_set_quota(struct tree *t, struct node *n, struct quota quota)
{
    before_change(t, n);
    n->quota = quota;
}
