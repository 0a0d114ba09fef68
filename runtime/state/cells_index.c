/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order of a group's cells in memory, in their own extra bytes: a list for maps, a treap for what has an order (head comment of
 * cells.h).
 */
#include <endian.h>
#include <string.h>

#include "runtime/state/cells_internal.h"

static uint64_t load_be64(const unsigned char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return be64toh(v);
}

struct cell_place index_place(const struct cells *c, struct table_entry *e)
{
    struct weir_key key = table_key(e);
    const unsigned char *end = (const unsigned char *)key.data + key.length;
    switch (c->kind) {
    case CELLS_LIST: return (struct cell_place){load_be64(end - 8), 0};
    case CELLS_ORDERED: return (struct cell_place){load_be64(end - 16), load_be64(end - 8)};
    default: return (struct cell_place){0, 0};
    }
}

/* ---- list ---------------------------------------------------------------------------------------------------------------------------- */

static void list_append(const struct cells *c, struct cell_group *g, struct table_entry *e)
{
    cell_of(c, e)->left = g->last;
    cell_of(c, e)->right = NULL;
    if (g->last)
        cell_of(c, g->last)->right = e;
    else
        g->first = e;
    g->last = e;
}

static void list_prepend(const struct cells *c, struct cell_group *g, struct table_entry *e)
{
    cell_of(c, e)->left = NULL;
    cell_of(c, e)->right = g->first;
    if (g->first)
        cell_of(c, g->first)->left = e;
    else
        g->last = e;
    g->first = e;
}

static void list_remove(const struct cells *c, struct cell_group *g, struct table_entry *e)
{
    const struct cell *cell = cell_of(c, e);
    if (cell->left)
        cell_of(c, cell->left)->right = cell->right;
    else
        g->first = cell->right;
    if (cell->right)
        cell_of(c, cell->right)->left = cell->left;
    else
        g->last = cell->left;
}

/* ---- treap: by place from left to right, by priority from the root down -------------------------------------------------------------- */

/* Cells do not move, so their address may decide; well mixed, since neighbours in time are often neighbours in memory. */
static uint64_t priority(const struct table_entry *e)
{
    uint64_t x = (uint64_t)(uintptr_t)e;
    x = (x ^ (x >> 33)) * 0xff51afd7ed558ccdu;
    x = (x ^ (x >> 33)) * 0xc4ceb9fe1a85ec53u;
    return x ^ (x >> 33);
}

/* Where the tree holds e: in its parent, or in the group. */
static struct table_entry **holder(const struct cells *c, struct cell_group *g, struct table_entry *e)
{
    struct table_entry *up = cell_of(c, e)->up;
    if (!up) return &g->root;
    struct cell *parent = cell_of(c, up);
    return parent->left == e ? &parent->left : &parent->right;
}

/* Puts e above its parent. */
static void rotate_up(const struct cells *c, struct cell_group *g, struct table_entry *e)
{
    struct cell *cell = cell_of(c, e);
    struct table_entry *up = cell->up;
    struct cell *parent = cell_of(c, up);
    *holder(c, g, up) = e;
    cell->up = parent->up;
    parent->up = e;
    bool was_left = parent->left == e;
    struct table_entry *middle = was_left ? cell->right : cell->left;
    *(was_left ? &parent->left : &parent->right) = middle;
    *(was_left ? &cell->right : &cell->left) = up;
    if (middle) cell_of(c, middle)->up = up;
}

static struct table_entry *leftmost(const struct cells *c, struct table_entry *e)
{
    while (cell_of(c, e)->left) e = cell_of(c, e)->left;
    return e;
}

static struct table_entry *rightmost(const struct cells *c, struct table_entry *e)
{
    while (cell_of(c, e)->right) e = cell_of(c, e)->right;
    return e;
}

/* The next cell in order, or with `back` the one before. */
static struct table_entry *neighbour(const struct cells *c, struct table_entry *e, bool back)
{
    const struct cell *cell = cell_of(c, e);
    if (!back && cell->right) return leftmost(c, cell->right);
    if (back && cell->left) return rightmost(c, cell->left);
    struct table_entry *up = cell->up;
    while (up && (back ? cell_of(c, up)->left : cell_of(c, up)->right) == e) {
        e = up;
        up = cell_of(c, e)->up;
    }
    return up;
}

/* The cell below which e becomes a leaf, and on which side. Adding at either end is the common case. */
static struct table_entry *find_parent(const struct cells *c, const struct cell_group *g, struct table_entry *e, bool *to_right)
{
    struct cell_place place = index_place(c, e);
    *to_right = cell_is_before(index_place(c, g->last), place);
    if (*to_right) return g->last;
    if (cell_is_before(place, index_place(c, g->first))) return g->first;
    struct table_entry *at = NULL;
    for (struct table_entry *next = g->root; next; next = *to_right ? cell_of(c, at)->right : cell_of(c, at)->left) {
        at = next;
        *to_right = cell_is_before(index_place(c, at), place);
    }
    return at;
}

static void tree_add(const struct cells *c, struct cell_group *g, struct table_entry *e)
{
    struct cell *cell = cell_of(c, e);
    cell->left = cell->right = cell->up = NULL;
    if (!g->root) {
        g->root = g->first = g->last = e;
        return;
    }
    bool to_right = false;
    struct table_entry *parent = find_parent(c, g, e, &to_right);
    cell->up = parent;
    *(to_right ? &cell_of(c, parent)->right : &cell_of(c, parent)->left) = e;
    if (to_right && parent == g->last) g->last = e;
    if (!to_right && parent == g->first) g->first = e;
    while (cell->up && priority(e) > priority(cell->up)) rotate_up(c, g, e);
}

/* Rotates e down until it is a leaf. */
static void tree_remove(const struct cells *c, struct cell_group *g, struct table_entry *e)
{
    struct cell *cell = cell_of(c, e);
    if (g->first == e) g->first = neighbour(c, e, false);
    if (g->last == e) g->last = neighbour(c, e, true);
    while (cell->left || cell->right) {
        bool left = cell->left && (!cell->right || priority(cell->left) > priority(cell->right));
        rotate_up(c, g, left ? cell->left : cell->right);
    }
    *holder(c, g, e) = NULL;
}

static struct table_entry *tree_seek(const struct cells *c, const struct cell_group *g, struct cell_place place)
{
    if (!g->first || !cell_is_before(index_place(c, g->first), place)) return g->first;
    struct table_entry *found = NULL;
    for (struct table_entry *at = g->root; at;) {
        bool before = cell_is_before(index_place(c, at), place);
        if (!before) found = at;
        at = before ? cell_of(c, at)->right : cell_of(c, at)->left;
    }
    return found;
}

/* ---- either -------------------------------------------------------------------------------------------------------------------------- */

void index_add(const struct cells *c, struct table_entry *group, struct table_entry *e, bool at_front)
{
    struct cell_group *g = cell_group(group);
    if (c->kind != CELLS_MAP)
        tree_add(c, g, e);
    else if (at_front)
        list_prepend(c, g, e);
    else
        list_append(c, g, e);
}

void index_remove(const struct cells *c, struct table_entry *group, struct table_entry *e)
{
    if (c->kind == CELLS_MAP)
        list_remove(c, cell_group(group), e);
    else
        tree_remove(c, cell_group(group), e);
}

struct table_entry *index_after(const struct cells *c, struct table_entry *e)
{
    return c->kind == CELLS_MAP ? cell_of(c, e)->right : neighbour(c, e, false);
}

struct table_entry *index_seek(const struct cells *c, struct table_entry *group, struct cell_place place)
{
    const struct cell_group *g = cell_group(group);
    return c->kind == CELLS_MAP ? g->first : tree_seek(c, g, place);
}
