/* SPDX-License-Identifier: Apache-2.0 */
/* What the tree holds when the catalog is claimed: keys and their values, depth first, so that they come in order; then parts of no value.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobmanager/catalog_tree_internal.h"
#include "runtime/base/assert.h"
#include "runtime/coord/limits.h"

#define KEY_DEPTH 2    /* elements of a key below CATALOG_JOBS: the job, the name; below CATALOG_ARTIFACTS there is one */
#define NAMES_MAX 1000 /* folders of parts in one page */

static void list_parts(struct catalog_tree *t, struct weir_bytes after)
{
    struct get get = {.type = GET_CHILDREN, .path = bytes_text(CATALOG_PARTS), .after = after, .max = NAMES_MAX};
    (void)catalog_ask_read(t, LISTED_PARTS, &get, false);
}

static void visit_next(struct catalog_tree *t)
{
    const struct visit *v = t->visits;
    if (!v) {
        list_parts(t, bytes_text(""));
        return;
    }
    struct get get = {.type = v->depth < KEY_DEPTH ? GET_CHILDREN : GET_DATA, .path = bytes_text(v->path)};
    (void)catalog_ask_read(t, v->depth < KEY_DEPTH ? LISTED_CHILDREN : LISTED_DATA, &get, false);
}

static void add_visit(struct visit **at, const char *parent, struct weir_bytes name, uint32_t depth)
{
    struct visit *v = calloc(1, sizeof *v);
    WEIR_ASSERT(v);
    v->depth = depth;
    snprintf(v->path, sizeof v->path, "%s%s%.*s", parent, name.length ? "/" : "", (int)name.length, (const char *)name.data);
    v->next = *at;
    *at = v;
}

void catalog_begin_listing(struct catalog_tree *t)
{
    t->state = CATALOG_TREE_LISTING;
    add_visit(&t->visits, CATALOG_JOBS, bytes_text(""), 0);
    add_visit(&t->visits, CATALOG_ARTIFACTS, bytes_text(""), KEY_DEPTH - 1); /* put in front */
    visit_next(t);
}

static struct visit *leave_visit(struct catalog_tree *t)
{
    struct visit *v = t->visits;
    WEIR_ASSERT(v);
    t->visits = v->next;
    return v;
}

void catalog_skip_visit(struct catalog_tree *t)
{
    free(leave_visit(t));
    visit_next(t);
}

/* A page of names; the next one is asked for behind its last. */
void catalog_take_children(struct catalog_tree *t, struct reader *r)
{
    struct visit *v = t->visits, **at = &v->next;
    struct weir_bytes name = {0};
    (void)read_stat(r);
    bool more = read_bool(r);
    uint32_t n = read_u32(r);
    for (uint32_t i = 0; i < n && !r->broken; i++) {
        name = read_bytes(r, COORD_NAME_MAX);
        while (*at && (*at)->depth > v->depth) at = &(*at)->next; /* behind those of the page before */
        if (!r->broken && strlen(v->path) + 1 + name.length < CATALOG_PATH_BYTES) add_visit(at, v->path, name, v->depth + 1);
    }
    if (r->broken) return;
    if (more && n) {
        struct get get = {.type = GET_CHILDREN, .path = bytes_text(v->path), .after = name};
        (void)catalog_ask_read(t, LISTED_CHILDREN, &get, false);
        return;
    }
    catalog_skip_visit(t);
}

/* ---- values ---- */

static void add_listed(struct catalog_tree *t, const char *name, uint64_t version, struct weir_bytes data, const char *damage)
{
    if (t->n_listed == t->cap_listed) {
        t->cap_listed = t->cap_listed ? 2 * t->cap_listed : 64;
        t->listed = realloc(t->listed, t->cap_listed * sizeof *t->listed);
        WEIR_ASSERT(t->listed);
    }
    char *key = strdup(name);
    void *copy = malloc(data.length + 1u);
    WEIR_ASSERT(key);
    WEIR_ASSERT(copy);
    if (data.length) memcpy(copy, data.data, data.length);
    t->listed[t->n_listed++] = (struct master_listed){key, version, {copy, data.length}, damage};
}

void catalog_take_data(struct catalog_tree *t, struct reader *r)
{
    struct weir_bytes data = read_data(r, COORD_DATA_MAX);
    struct coord_stat stat = read_stat(r);
    if (r->broken) return;
    struct visit *v = leave_visit(t);
    const char *key = v->path + sizeof CATALOG_TREE_ROOT; /* behind the slash */
    struct catalog_note note;
    if (catalog_note_read(data, &note)) {
        catalog_parts_are(t, key, &note);
        catalog_parts_get(t, NULL, key, stat.version + 1, &note); /* the listing goes on behind it */
    } else {
        add_listed(t, key, stat.version + 1, data, catalog_note_begins(data) ? "its note of parts makes no sense" : NULL);
        visit_next(t);
    }
    free(v);
}

void catalog_listed_large(struct catalog_tree *t, const struct large_get *get, const char *damage)
{
    add_listed(t, get->key, get->version, bytes_of(get->value.data, get->value.len), damage);
    visit_next(t);
}

/* ---- parts of no value: whoever was writing them has gone, or has lost the catalog ---- */

static bool read_folder(struct weir_bytes name, struct catalog_note *out)
{
    char text[COORD_NAME_MAX + 1], path[CATALOG_PART_PATH];
    *out = (struct catalog_note){0};
    (void)snprintf(text, sizeof text, "%.*s", (int)name.length, (const char *)name.data);
    if (sscanf(text, "%" SCNu64 "-%" SCNu64, &out->claim, &out->number) != 2) return false;
    return !strcmp(catalog_note_folder(out, path) + sizeof CATALOG_PARTS, text); /* what we would have made, and nothing else */
}

void catalog_take_parts(struct catalog_tree *t, struct reader *r)
{
    struct weir_bytes name = {0};
    struct catalog_note note;
    (void)read_stat(r);
    bool more = read_bool(r);
    uint32_t n = read_u32(r);
    for (uint32_t i = 0; i < n && !r->broken; i++) {
        name = read_bytes(r, COORD_NAME_MAX);
        if (!r->broken && read_folder(name, &note) && !catalog_parts_known(t, &note)) catalog_parts_remove(t, &note);
    }
    if (r->broken) return;
    if (more && n)
        list_parts(t, name);
    else
        t->state = CATALOG_TREE_SERVING;
}

/* ---- life ---- */

void catalog_drop_listed(struct catalog_tree *t)
{
    for (uint32_t i = 0; i < t->n_listed; i++) {
        free((char *)(uintptr_t)t->listed[i].key);
        free((void *)(uintptr_t)t->listed[i].value.data);
    }
    free(t->listed);
    t->listed = NULL;
    t->n_listed = t->cap_listed = 0;
}

void catalog_drop_visits(struct catalog_tree *t)
{
    while (t->visits) free(leave_visit(t));
}
