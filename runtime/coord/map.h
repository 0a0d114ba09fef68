/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hash table of things that bring their own links: no allocation per entry, and none that can fail when something is taken out.
 * Several entries may have one hash: the caller compares. Embedded value; zero-initialised it is empty.
 *
 *     for (struct map_item *i = map_first(&map, hash); i; i = map_same(i)) if (is_it(i)) return i;
 */
#ifndef WEIR_RUNTIME_COORD_MAP_H
#define WEIR_RUNTIME_COORD_MAP_H

#include "weir/base.h"

struct map_item {
    struct map_item *next;
    uint64_t hash;
};

struct map {
    struct map_item **slots; /* a power of two of them, or none */
    size_t cap, n;
};

void map_close(struct map *m);                                     /* frees the slots; the entries are the caller's */
bool map_add(struct map *m, struct map_item *item, uint64_t hash); /* false: no memory, and nothing changed */
void map_remove(struct map *m, struct map_item *item);             /* one that is in it */
struct map_item *map_first(const struct map *m, uint64_t hash);    /* NULL: none has this hash */
struct map_item *map_same(const struct map_item *item);            /* the next with the same hash */
struct map_item *map_next(const struct map *m,
                          const struct map_item *at); /* all, from NULL to NULL, in no order; nothing added meanwhile */

#endif
