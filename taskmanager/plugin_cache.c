/* SPDX-License-Identifier: Apache-2.0 */
#include "taskmanager/plugin_cache.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "runtime/base/process.h"

struct entry {
    bool used, complete;
    struct weir_digest digest;
    int fd;
    uint64_t total, received;
    uint64_t last_use;
    struct sha256 hash;
};

struct plugin_cache {
    uint64_t clock;
    struct entry entry[PLUGIN_CACHE_MAX];
};

weir_err plugin_cache_new(struct plugin_cache **out)
{
    struct plugin_cache *c = calloc(1, sizeof *c);
    if (!c) return WEIR_E_NOMEM;
    *out = c;
    return WEIR_OK;
}

static void entry_drop(struct entry *e)
{
    if (e->used) close(e->fd);
    *e = (struct entry){.fd = -1};
}

void plugin_cache_destroy(struct plugin_cache **cache)
{
    struct plugin_cache *c = *cache;
    *cache = NULL;
    if (!c) return;
    for (uint32_t i = 0; i < PLUGIN_CACHE_MAX; i++) entry_drop(&c->entry[i]);
    free(c);
}

static struct entry *find(struct plugin_cache *c, struct weir_digest digest)
{
    for (uint32_t i = 0; i < PLUGIN_CACHE_MAX; i++)
        if (c->entry[i].used && digest_equal(c->entry[i].digest, digest)) return &c->entry[i];
    return NULL;
}

static uint64_t bytes_held(const struct plugin_cache *c)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < PLUGIN_CACHE_MAX; i++)
        if (c->entry[i].used) sum += c->entry[i].total;
    return sum;
}

static struct entry *oldest_complete(struct plugin_cache *c)
{
    struct entry *oldest = NULL;
    for (uint32_t i = 0; i < PLUGIN_CACHE_MAX; i++) {
        struct entry *e = &c->entry[i];
        if (e->used && e->complete && (!oldest || e->last_use < oldest->last_use)) oldest = e;
    }
    return oldest;
}

static bool make_room(struct plugin_cache *c, uint64_t total, struct weir_digest *evicted, uint32_t *n_evicted)
{
    while (total <= PLUGIN_CACHE_BYTES_MAX && bytes_held(c) > PLUGIN_CACHE_BYTES_MAX - total) {
        struct entry *e = oldest_complete(c);
        if (!e) return false;
        evicted[(*n_evicted)++] = e->digest;
        entry_drop(e);
    }
    return total <= PLUGIN_CACHE_BYTES_MAX;
}

static struct entry *free_entry(struct plugin_cache *c)
{
    for (uint32_t i = 0; i < PLUGIN_CACHE_MAX; i++)
        if (!c->entry[i].used) return &c->entry[i];
    return NULL;
}

static weir_err begin(struct plugin_cache *c, struct weir_digest digest, uint64_t total, struct weir_digest *evicted, uint32_t *n_evicted,
                      struct entry **out, struct weir_diag *diag)
{
    plugin_cache_drop(c, digest);
    if (!make_room(c, total, evicted, n_evicted))
        return weir_fail(diag, WEIR_E_LIMIT, "a plugin of %" PRIu64 " bytes does not fit into the cache of %llu", total,
                         PLUGIN_CACHE_BYTES_MAX);
    struct entry *e = free_entry(c);
    if (!e) return weir_fail(diag, WEIR_E_LIMIT, "the cache holds %u plugins, the most it can", PLUGIN_CACHE_MAX);
    int fd = memfd_new("plugin");
    if (fd < 0) return weir_fail_errno(diag, errno, "make a memory file for a plugin");
    *e = (struct entry){.used = true, .digest = digest, .fd = fd, .total = total, .last_use = ++c->clock};
    sha256_init(&e->hash);
    *out = e;
    return WEIR_OK;
}

static weir_err append(struct entry *e, uint64_t offset, struct weir_bytes chunk, struct weir_diag *diag)
{
    if (offset != e->received || chunk.length > e->total - e->received)
        return weir_fail(diag, WEIR_E_ARGUMENT, "a chunk of the plugin came out of order");
    weir_err err = memfd_write(e->fd, offset, chunk.data, chunk.length, diag);
    if (err) return err;
    sha256_update(&e->hash, chunk.data, chunk.length);
    e->received += chunk.length;
    if (e->received < e->total) return WEIR_OK;
    if (!digest_equal(sha256_final(&e->hash), e->digest))
        return weir_fail(diag, WEIR_E_CORRUPT, "the plugin that arrived has another digest");
    e->complete = true;
    return memfd_seal(e->fd, diag);
}

weir_err plugin_cache_store(struct plugin_cache *cache, struct weir_digest digest, uint64_t offset, uint64_t total, struct weir_bytes chunk,
                            enum plugin_cache_state *out, struct weir_digest evicted[static PLUGIN_CACHE_MAX], uint32_t *n_evicted,
                            struct weir_diag *diag)
{
    struct entry *e = find(cache, digest);
    *n_evicted = 0;
    weir_err err = WEIR_OK;
    if (offset == 0) err = begin(cache, digest, total, evicted, n_evicted, &e, diag);
    if (!err && (!e || e->total != total || e->complete)) err = weir_fail(diag, WEIR_E_ARGUMENT, "a chunk of the plugin came out of order");
    if (!err) err = append(e, offset, chunk, diag);
    if (err) {
        plugin_cache_drop(cache, digest);
        return err;
    }
    *out = e->complete ? PLUGIN_CACHE_COMPLETE : PLUGIN_CACHE_MORE;
    return WEIR_OK;
}

int plugin_cache_find(struct plugin_cache *cache, struct weir_digest digest)
{
    struct entry *e = find(cache, digest);
    if (!e || !e->complete) return -1;
    e->last_use = ++cache->clock;
    return e->fd;
}

void plugin_cache_drop(struct plugin_cache *cache, struct weir_digest digest)
{
    struct entry *e = find(cache, digest);
    if (e) entry_drop(e);
}
