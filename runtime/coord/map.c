/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/coord/map.h"

#include <stdlib.h>

#include "runtime/base/assert.h"

#define SLOTS_MIN 16u

static struct map_item **slot_of(const struct map *m, uint64_t hash)
{
    return &m->slots[hash & (m->cap - 1)];
}

static void push(struct map *m, struct map_item *item)
{
    struct map_item **slot = slot_of(m, item->hash);
    item->next = *slot;
    *slot = item;
}

static bool grow(struct map *m)
{
    if (m->n < m->cap) return true;
    struct map bigger = {.cap = m->cap ? 2 * m->cap : SLOTS_MIN, .n = m->n};
    bigger.slots = calloc(bigger.cap, sizeof(struct map_item *));
    if (!bigger.slots) return false;
    for (size_t i = 0; i < m->cap; i++) {
        for (struct map_item *item = m->slots[i], *next; item; item = next) {
            next = item->next;
            push(&bigger, item);
        }
    }
    free(m->slots);
    *m = bigger;
    return true;
}

void map_close(struct map *m)
{
    free(m->slots);
    *m = (struct map){0};
}

bool map_add(struct map *m, struct map_item *item, uint64_t hash)
{
    if (!grow(m)) return false;
    item->hash = hash;
    push(m, item);
    m->n++;
    return true;
}

void map_remove(struct map *m, struct map_item *item)
{
    struct map_item **link = slot_of(m, item->hash);
    while (*link != item) {
        WEIR_ASSERT(*link != NULL);
        link = &(*link)->next;
    }
    *link = item->next;
    m->n--;
}

static struct map_item *with_hash(struct map_item *item, uint64_t hash)
{
    while (item && item->hash != hash) item = item->next;
    return item;
}

struct map_item *map_first(const struct map *m, uint64_t hash)
{
    return m->cap ? with_hash(*slot_of(m, hash), hash) : NULL;
}

struct map_item *map_same(const struct map_item *item)
{
    return with_hash(item->next, item->hash);
}

struct map_item *map_next(const struct map *m, const struct map_item *at)
{
    if (at && at->next) return at->next;
    for (size_t i = at ? (at->hash & (m->cap - 1)) + 1 : 0; i < m->cap; i++)
        if (m->slots[i]) return m->slots[i];
    return NULL;
}
