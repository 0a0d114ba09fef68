/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/state/entry_list.h"

#define CHUNK_FIRST 14u   /* entries of the first chunk: 128 bytes with its header */
#define CHUNK_MOST 8190u  /* and of the largest: 64 KiB */
#define PREFETCH_AHEAD 8u /* entries that are asked for before their turn */

struct entry_chunk {
    struct entry_chunk *next;
    uint16_t from, to, cap; /* of items: those that are in it, and how many fit */
    struct table_entry *items[];
};

static size_t chunk_bytes(uint32_t cap)
{
    return sizeof(struct entry_chunk) + cap * sizeof(struct table_entry *);
}

static bool add_chunk(struct entry_list *list, struct memory *memory)
{
    uint32_t cap = list->last ? list->last->cap * 2u + 2u : CHUNK_FIRST; /* with the header, powers of two */
    if (cap > CHUNK_MOST) cap = CHUNK_MOST;
    struct entry_chunk *c = memory_alloc(memory, chunk_bytes(cap));
    if (!c) return false;
    c->cap = (uint16_t)cap;
    *(list->last ? &list->last->next : &list->first) = c;
    list->last = c;
    return true;
}

static void drop_first(struct entry_list *list, struct memory *memory)
{
    struct entry_chunk *c = list->first;
    list->first = c->next;
    if (!c->next) list->last = NULL;
    memory_free(memory, c, chunk_bytes(c->cap));
}

void entry_list_close(struct entry_list *list, struct memory *memory)
{
    while (list->first) drop_first(list, memory);
    list->n = 0;
}

bool entry_list_is_full(const struct entry_list *list)
{
    return !list->last || list->last->to == list->last->cap;
}

bool entry_list_put(struct entry_list *list, struct memory *memory, struct table_entry *e)
{
    if (entry_list_is_full(list) && !add_chunk(list, memory)) return false;
    list->last->items[list->last->to++] = e;
    list->n++;
    return true;
}

struct table_entry *entry_list_take(struct entry_list *list, struct memory *memory)
{
    if (list->n == 0) return NULL;
    struct entry_chunk *c = list->first;
    struct table_entry *e = c->items[c->from++];
    if (c->from + PREFETCH_AHEAD < c->to) __builtin_prefetch(c->items[c->from + PREFETCH_AHEAD], 1);
    list->n--;
    if (c->from == c->to) drop_first(list, memory);
    return e;
}

static void cut_behind(struct entry_list *list, struct memory *memory, struct entry_chunk *last)
{
    while (last->next) {
        struct entry_chunk *c = last->next;
        last->next = c->next;
        memory_free(memory, c, chunk_bytes(c->cap));
    }
    list->last = last;
    if (last->to == 0) entry_list_close(list, memory); /* it is the first, too: the ones before are full */
}

/* What stays moves up to the front: never further than what has been read. */
void entry_list_keep(struct entry_list *list, struct memory *memory, bool (*stays)(struct table_entry *e, void *arg), void *arg)
{
    struct entry_chunk *to = list->first;
    uint16_t at = 0;
    list->n = 0;
    for (const struct entry_chunk *c = list->first; c; c = c->next) {
        for (uint32_t i = c->from; i < c->to; i++) {
            struct table_entry *e = c->items[i];
            if (!stays(e, arg)) continue;
            if (at == to->cap) {
                to = to->next;
                at = 0;
            }
            to->items[at++] = e;
            list->n++;
        }
    }
    for (struct entry_chunk *c = list->first; c != to; c = c->next) {
        c->from = 0;
        c->to = c->cap;
    }
    if (!to) return;
    to->from = 0;
    to->to = at;
    cut_behind(list, memory, to);
}
