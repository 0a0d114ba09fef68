/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plugins of a TaskManager by digest, each in a memory file: nothing is left behind when the process dies, however it dies. A plugin
 * arrives in chunks; when the last one is there its SHA-256 is checked and the file sealed, so that the bytes that were checked are the
 * bytes that are loaded.
 *
 * How many are kept is the supervisor's decision (SUPERVISOR_ARTIFACTS_MAX); this cache bounds their bytes. Where PLUGIN_CACHE_BYTES_MAX
 * would be exceeded, the complete plugin used longest ago goes; workers that run it have a descriptor of their own. Owner: one thread.
 */
#ifndef WEIR_TASKMANAGER_PLUGIN_CACHE_H
#define WEIR_TASKMANAGER_PLUGIN_CACHE_H

#include "runtime/base/id.h"
#include "weir/row.h"

#define PLUGIN_CACHE_MAX 80u /* plugins, whole or on the way; above, a new one is refused with WEIR_E_LIMIT */
#define PLUGIN_CACHE_BYTES_MAX \
    (512ull << 20) /* of all of them; a plugin that does not fit beside those on the way is refused with WEIR_E_LIMIT */

struct plugin_cache;

weir_err plugin_cache_new(struct plugin_cache **out);
void plugin_cache_destroy(struct plugin_cache **cache);

enum plugin_cache_state { PLUGIN_CACHE_MORE, PLUGIN_CACHE_COMPLETE };

/*
 * Appends a chunk. offset 0 begins (again) a plugin of `total` bytes. *evicted: a plugin that had to go for it; *n_evicted counts them (at
 * most PLUGIN_CACHE_MAX). *out: whether it is complete, checked and sealed now. Errors: WEIR_E_ARGUMENT (a gap, or beyond total),
 * WEIR_E_CORRUPT (another digest), WEIR_E_LIMIT, WEIR_E_IO, WEIR_E_NOMEM: the plugin is dropped.
 */
weir_err plugin_cache_store(struct plugin_cache *cache, struct weir_digest digest, uint64_t offset, uint64_t total, struct weir_bytes chunk,
                            enum plugin_cache_state *out, struct weir_digest evicted[static PLUGIN_CACHE_MAX], uint32_t *n_evicted,
                            struct weir_diag *diag);
/* The sealed memory file of a complete plugin, borrowed until the next call that changes the cache; -1: not there. Counts as use. */
int plugin_cache_find(struct plugin_cache *cache, struct weir_digest digest);
void plugin_cache_drop(struct plugin_cache *cache, struct weir_digest digest);

#endif
