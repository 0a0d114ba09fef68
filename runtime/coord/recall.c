/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/coord/recall.h"

#include <stdlib.h>

bool recall_init(struct recall *r, uint32_t cap, struct zxid floor)
{
    *r = (struct recall){.cap = cap > 0 ? cap : 1, .floor = floor};
    r->ring = calloc(r->cap, sizeof *r->ring);
    return r->ring != NULL;
}

static void drop_oldest(struct recall *r)
{
    struct recalled *e = &r->ring[r->first];
    r->floor = e->zxid;
    free(e->path);
    e->path = NULL;
    r->first = (r->first + 1) % r->cap;
    r->n--;
}

void recall_close(struct recall *r)
{
    while (r->n > 0) drop_oldest(r);
    free(r->ring);
    *r = (struct recall){0};
}

void recall_add(struct recall *r, struct zxid zxid, enum event_type type, struct weir_bytes path)
{
    char *copy = malloc(path.length);
    if (!copy) {
        while (r->n > 0) drop_oldest(r);
        r->floor = zxid;
        return;
    }
    memcpy(copy, path.data, path.length);
    if (r->n == r->cap) drop_oldest(r);
    r->ring[(r->first + r->n++) % r->cap] = (struct recalled){zxid, type, path.length, copy};
}

const struct recalled *recall_at(const struct recall *r, uint32_t i)
{
    return &r->ring[(r->first + i) % r->cap];
}

uint32_t recall_behind(const struct recall *r, struct zxid zxid)
{
    uint32_t low = 0, high = r->n;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (zxid_cmp(recall_at(r, middle)->zxid, zxid) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}
