/* SPDX-License-Identifier: Apache-2.0 */
#include "jobmanager/routes.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/hash.h"

/* A handle is (count << PLACE_BITS | place), so that it leads to its place without a search. */
enum { PLACE_BITS = 16, N_PLACES = ROUTES_BUCKETS * ROUTES_WAYS };
static_assert(N_PLACES <= 1 << PLACE_BITS, "places fit into a handle");

struct route {
    uint64_t handle; /* 0 = free */
    uint64_t used;   /* when it was heard of last, in routes_handle calls */
    uint8_t length;
    uint8_t id[ROUTES_ID_MAX];
};

struct routes {
    uint64_t count; /* of handles given */
    uint64_t clock;
    struct route at[N_PLACES];
};

weir_err routes_new(struct routes **out)
{
    struct routes *r = calloc(1, sizeof *r);
    if (!r) return WEIR_E_NOMEM;
    *out = r;
    return WEIR_OK;
}

void routes_destroy(struct routes **routes)
{
    free(*routes);
    *routes = NULL;
}

/* The place of the id in its bucket, else the one to give to it. */
static struct route *place_of(struct routes *r, struct weir_bytes id)
{
    struct route *bucket = &r->at[hash64(id.data, id.length) % ROUTES_BUCKETS * ROUTES_WAYS];
    struct route *oldest = bucket;
    for (struct route *e = bucket; e < bucket + ROUTES_WAYS; e++) {
        if (e->handle != 0 && e->length == id.length && memcmp(e->id, id.data, id.length) == 0) return e;
        uint64_t used = e->handle == 0 ? 0 : e->used;
        if (used < (oldest->handle == 0 ? 0 : oldest->used)) oldest = e;
    }
    oldest->handle = 0;
    return oldest;
}

uint64_t routes_handle(struct routes *r, struct weir_bytes id)
{
    if (id.length == 0 || id.length > ROUTES_ID_MAX) return 0;
    struct route *e = place_of(r, id);
    e->used = ++r->clock;
    if (e->handle == 0) {
        e->handle = ++r->count << PLACE_BITS | (uint64_t)(e - r->at);
        e->length = (uint8_t)id.length;
        memcpy(e->id, id.data, id.length);
    }
    return e->handle;
}

bool routes_find(const struct routes *r, uint64_t handle, struct weir_bytes *out)
{
    const struct route *e = &r->at[(handle & ((1u << PLACE_BITS) - 1)) % N_PLACES];
    if (handle == 0 || e->handle != handle) return false;
    *out = (struct weir_bytes){e->id, e->length};
    return true;
}

void routes_forget(struct routes *r, uint64_t handle)
{
    struct route *e = &r->at[(handle & ((1u << PLACE_BITS) - 1)) % N_PLACES];
    if (handle != 0 && e->handle == handle) e->handle = 0;
}
