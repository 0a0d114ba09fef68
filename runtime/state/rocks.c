/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/state/rocks.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/base/assert.h"
#include "runtime/base/folder.h"
#include "runtime/state/rocks_internal.h"

#define BLOCK_BYTES 4096u
#define TARGET_FILE_BYTES (16u << 20)
#define BLOOM_BITS 10.0
#define CACHE_SHARD_BITS 3           /* 8 shards: few threads meet there, and each holds hundreds of blocks of the smallest cache */
#define READAHEAD_BYTES (256u << 10) /* of a scan, and of each input of a compaction */
#define SIZE_RATIO 20                /* runs that differ by less, in percent, are alike */
#define NEVER (1 << 30)
#define LEVELS 7

/* ---- errors ------------------------------------------------------------------------------------------------------------------------ */

/* The C interface gives a status as a sentence; its beginning says which. */
static weir_err code_of(const char *words)
{
    static const struct {
        const char *begin;
        weir_err err;
    } codes[] = {
        {"Corruption", WEIR_E_CORRUPT},
        {"Invalid argument: Global seqno is required", WEIR_E_EXISTS}, /* an ingested file overlaps, and must not be changed */
        {"Invalid argument: Column family already exists", WEIR_E_EXISTS},
        {"Invalid argument", WEIR_E_ARGUMENT},
    };
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (strncmp(words, codes[i].begin, strlen(codes[i].begin)) == 0) return codes[i].err;
    return WEIR_E_IO;
}

weir_err rocks_fail(struct weir_diag *diag, char *words)
{
    weir_err err = code_of(words);
    size_t length = strlen(words);
    while (length && (words[length - 1] == '.' || words[length - 1] == '\n')) length--;
    (void)weir_fail(diag, err, "%.*s", (int)length, words);
    rocksdb_free(words);
    return err;
}

weir_err rocks_fail_family(struct weir_diag *diag, char *words, const char *what, const struct rocks_family *family)
{
    return weir_wrap(diag, rocks_fail(diag, words), "%s family '%s' of %s", what, family->name, family->rocks->dir);
}

/* ---- what all databases share -------------------------------------------------------------------------------------------------------- */

static rocksdb_cache_t *new_cache(uint64_t bytes)
{
    rocksdb_lru_cache_options_t *options = rocksdb_lru_cache_options_create();
    rocksdb_lru_cache_options_set_capacity(options, bytes);
    rocksdb_lru_cache_options_set_num_shard_bits(options, CACHE_SHARD_BITS);
    rocksdb_cache_t *cache = rocksdb_cache_create_lru_opts(options);
    rocksdb_lru_cache_options_destroy(options);
    return cache;
}

/*
 * Indexes and filters lie in the cache, so that it bounds them; therefore they are partitioned. RocksDB pins those of level 0 only of
 * files that are not larger than a memtable by half, which ingested ones are not: pinning cannot burst the cache.
 */
static void set_table(rocksdb_options_t *options, rocksdb_cache_t *cache)
{
    rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_block_cache(table, cache);
    rocksdb_block_based_options_set_block_size(table, BLOCK_BYTES);
    rocksdb_block_based_options_set_format_version(table, 5);
    rocksdb_block_based_options_set_data_block_index_type(table, rocksdb_block_based_table_data_block_index_type_binary_search_and_hash);
    rocksdb_block_based_options_set_data_block_hash_ratio(table, 0.75);
    rocksdb_block_based_options_set_filter_policy(table, rocksdb_filterpolicy_create_bloom_full(BLOOM_BITS)); /* takes it */
    rocksdb_block_based_options_set_whole_key_filtering(table, 1);
    /* Whole, in the cache: bounded like all else. In parts they cost a third of a get; in the readers 10 MiB at twenty million keys. */
    rocksdb_block_based_options_set_cache_index_and_filter_blocks(table, 1);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks_with_high_priority(table, 1);
    rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(table, 1);
    rocksdb_options_set_block_based_table_factory(options, table);
    rocksdb_block_based_options_destroy(table);
}

/*
 * Universal: runs of like size are merged, and all of them only once what is obsolete is as large as what is not. Keys come in any order,
 * so that a run overlaps all others: levels, of which the first may have 256 MiB, wrote a state of 40 MiB again for each four runs of 1
 * MiB. Its price: the disk holds up to three times the state for a while. And every file that is ingested counts as a run, even if it
 * overlaps none, so a family whose files are brought along has levels, to whose last these go as they are.
 */
static void set_universal(rocksdb_options_t *options)
{
    rocksdb_universal_compaction_options_t *universal = rocksdb_universal_compaction_options_create();
    rocksdb_universal_compaction_options_set_max_size_amplification_percent(universal, 100);
    rocksdb_universal_compaction_options_set_size_ratio(universal, SIZE_RATIO);
    rocksdb_options_set_compaction_style(options, rocksdb_universal_compaction);
    rocksdb_options_set_universal_compaction_options(options, universal);
    rocksdb_universal_compaction_options_destroy(universal);
}

/*
 * Compaction may lag behind, but never stops a write: the only ones are of nothing, and ask for the database's health. Ingestion does not
 * ask for these limits: who ingests looks at rocks_level0_files.
 */
static void set_compaction(rocksdb_options_t *options, uint32_t n_threads)
{
    rocksdb_options_set_max_background_jobs(options, (int)n_threads + 1);
    rocksdb_options_set_level_compaction_dynamic_level_bytes(options, 1);
    rocksdb_options_set_target_file_size_base(options, TARGET_FILE_BYTES); /* a filter being built takes 8 bytes a key */
    rocksdb_options_set_level0_slowdown_writes_trigger(options, NEVER);
    rocksdb_options_set_level0_stop_writes_trigger(options, NEVER);
    rocksdb_options_set_soft_pending_compaction_bytes_limit(options, 0);
    rocksdb_options_set_hard_pending_compaction_bytes_limit(options, 0);
    rocksdb_options_compaction_readahead_size(options, READAHEAD_BYTES);
    rocksdb_options_set_bytes_per_sync(options, 1u << 20); /* else the fsync of an output file stalls every other one */
}

/*
 * RocksDB's own log stays empty. When a write of it fails, as on a full disk, Debian's build (which has its assertions) aborts the process
 * at the next line. A log that rolls (max_log_file_size) would write its head at every level.
 */
static void set_database(rocksdb_options_t *options, rocksdb_env_t *env)
{
    rocksdb_options_set_env(options, env);
    rocksdb_options_set_create_if_missing(options, 1);
    rocksdb_options_set_write_buffer_size(options, ROCKS_MEMTABLE_BYTES);
    rocksdb_options_set_compression(options, rocksdb_no_compression);
    rocksdb_options_set_max_open_files(options, -1);
    rocksdb_options_set_optimize_filters_for_hits(options, 1); /* keys that never left memory are known by filter.h */
    rocksdb_options_set_table_cache_numshardbits(options, 2);
    rocksdb_options_set_avoid_unnecessary_blocking_io(options, 1); /* a reader that lets the last hold of a file go does not unlink it */
    rocksdb_options_set_manifest_preallocation_size(options, 64u << 10);
    rocksdb_options_set_info_log_level(options, 4 /* fatal: see above */);
    rocksdb_options_set_keep_log_file_num(options, 2);
    rocksdb_options_set_stats_dump_period_sec(options, 0);
    rocksdb_options_set_stats_persist_period_sec(options, 0);
}

weir_err rocks_shared_new(struct rocks_shared **out, uint64_t cache_bytes, uint32_t n_threads, struct weir_diag *diag)
{
    WEIR_ASSERT(n_threads > 0);
    struct rocks_shared *s = calloc(1, sizeof *s);
    if (!s) return weir_fail(diag, WEIR_E_NOMEM, "no memory for the keeper");
    s->cache = new_cache(cache_bytes);
    s->env = rocksdb_create_default_env();
    rocksdb_env_set_background_threads(s->env, (int)n_threads);
    rocksdb_env_set_high_priority_background_threads(s->env, 1);
    s->options = rocksdb_options_create();
    set_table(s->options, s->cache);
    set_compaction(s->options, n_threads);
    set_database(s->options, s->env);
    *out = s;
    return WEIR_OK;
}

void rocks_shared_number_files(struct rocks_shared *s)
{
    atomic_store(&s->numbers, NUMBERS_IN_FILE);
}

void rocks_shared_destroy(struct rocks_shared **shared)
{
    struct rocks_shared *s = *shared;
    if (!s) return;
    if (s->options) rocksdb_options_destroy(s->options);
    if (s->env) rocksdb_env_destroy(s->env);
    if (s->cache) rocksdb_cache_destroy(s->cache);
    free(s);
    *shared = NULL;
}

/* ---- databases --------------------------------------------------------------------------------------------------------------------- */

/* What the C interface has no setter for: nothing need be saved when the folder is about to be removed. */
static weir_err database_options(struct rocks *r, struct weir_diag *diag)
{
    char *words = NULL;
    rocksdb_options_t *options = rocksdb_options_create();
    rocksdb_get_options_from_string(r->shared->options, "avoid_flush_during_shutdown=true", options, &words);
    r->options = options;
    if (words) return rocks_fail(diag, words);
    rocksdb_options_enable_statistics(options);
    r->read = rocksdb_readoptions_create();
    r->write_now = rocksdb_writeoptions_create();
    rocksdb_writeoptions_disable_WAL(r->write_now, 1);
    rocksdb_writeoptions_set_no_slowdown(r->write_now, 1);
    return WEIR_OK;
}

static weir_err open_database(struct rocks *r, const char *dir, struct weir_diag *diag)
{
    r->dir = strdup(dir);
    if (!r->dir) return weir_fail(diag, WEIR_E_NOMEM, "no memory");
    weir_err err = folder_remove(r->dir, diag);
    if (err) return err;
    if (mkdir(dir, 0777)) return weir_fail_errno(diag, errno, "make folder %s", dir);
    err = database_options(r, diag);
    if (err) return err;
    char *words = NULL;
    r->db = rocksdb_open(r->options, dir, &words);
    return words ? rocks_fail(diag, words) : rocks_ingestion_open(r, diag);
}

weir_err rocks_open(struct rocks **out, struct rocks_shared *shared, const char *dir, struct weir_diag *diag)
{
    struct rocks *r = calloc(1, sizeof *r);
    if (!r) return weir_fail(diag, WEIR_E_NOMEM, "open database %s: no memory", dir);
    r->shared = shared;
    weir_err err = open_database(r, dir, diag);
    if (err) {
        rocks_destroy(&r);
        return weir_wrap(diag, err, "open database %s", dir);
    }
    *out = r;
    return WEIR_OK;
}

static void free_families(struct rocks_family *f)
{
    while (f) {
        struct rocks_family *next = f->next;
        rocksdb_column_family_handle_destroy(f->handle);
        free(f);
        f = next;
    }
}

void rocks_destroy(struct rocks **rocks)
{
    struct rocks *r = *rocks;
    if (!r) return;
    if (r->db) rocksdb_cancel_all_background_work(r->db, 1);
    free_families(atomic_load(&r->families));
    if (r->db) rocksdb_close(r->db);
    rocks_ingestion_close(r);
    if (r->write_now) rocksdb_writeoptions_destroy(r->write_now);
    if (r->read) rocksdb_readoptions_destroy(r->read);
    if (r->options) rocksdb_options_destroy(r->options);
    if (r->dir) (void)folder_remove(r->dir, NULL); /* what stays is removed by the next rocks_open */
    free(r->dir);
    free(r);
    *rocks = NULL;
}

static uint64_t number(const struct rocks *r, const char *property)
{
    uint64_t value = 0;
    return rocksdb_property_int(r->db, property, &value) ? 0 : value;
}

/* The properties only count errors. After one that stopped the database a write of nothing is answered in its words; else gives NULL. */
static char *last_words(struct rocks *r)
{
    char *words = NULL;
    rocksdb_writebatch_t *nothing = rocksdb_writebatch_create();
    rocksdb_write(r->db, r->write_now, nothing, &words);
    rocksdb_writebatch_destroy(nothing);
    return words;
}

weir_err rocks_health(struct rocks *r, struct weir_diag *diag)
{
    uint64_t errors = number(r, "rocksdb.background-errors");
    bool stopped = number(r, "rocksdb.is-write-stopped");
    if (errors == 0 && !stopped) return WEIR_OK;
    const char *what = errors ? "flush or compaction failed" : "writes are stopped";
    char *words = last_words(r);
    if (words) return weir_wrap(diag, rocks_fail(diag, words), "database %s: %s", r->dir, what);
    return weir_fail(diag, WEIR_E_IO, "database %s: %s; it would go on, as when the disk is full", r->dir, what);
}

/* ---- statistics -------------------------------------------------------------------------------------------------------------------- */

static uint64_t family_number(const struct rocks_family *f, const char *property)
{
    uint64_t value = 0;
    return rocksdb_property_int_cf(f->rocks->db, f->handle, property, &value) ? 0 : value;
}

static uint64_t files_at_level(const struct rocks_family *f, int level)
{
    char property[64];
    snprintf(property, sizeof property, "rocksdb.num-files-at-level%d", level);
    char *text = rocksdb_property_value_cf(f->rocks->db, f->handle, property);
    uint64_t n = text ? strtoull(text, NULL, 10) : 0;
    rocksdb_free(text);
    return n;
}

uint64_t rocks_level0_files(const struct rocks_family *f)
{
    return files_at_level(f, 0);
}

static void add_family(struct rocks_stats *out, const struct rocks_family *f)
{
    uint64_t level0 = files_at_level(f, 0);
    if (out->level0_files < level0) out->level0_files = level0;
    out->files += level0;
    for (int level = 1; level < LEVELS; level++) out->files += files_at_level(f, level);
    out->bytes += family_number(f, "rocksdb.live-sst-files-size");
    out->reader_bytes += family_number(f, "rocksdb.estimate-table-readers-mem");
    out->compaction_bytes_pending += family_number(f, "rocksdb.estimate-pending-compaction-bytes");
}

/* A line of the statistics: "rocksdb.bloom.filter.useful COUNT : 17". */
static uint64_t ticker(const char *statistics, const char *name)
{
    const char *at = strstr(statistics, name);
    return at ? strtoull(at + strlen(name), NULL, 10) : 0;
}

void rocks_stats(struct rocks *r, struct rocks_stats *out)
{
    *out = (struct rocks_stats){
        .cache_bytes = rocksdb_cache_get_usage(r->shared->cache),
        .compactions_running = number(r, "rocksdb.num-running-compactions"),
        .gets = atomic_load_explicit(&r->gets, memory_order_relaxed),
        .gets_found = atomic_load_explicit(&r->gets_found, memory_order_relaxed),
        .ingested_files = atomic_load_explicit(&r->ingested_files, memory_order_relaxed),
        .ingested_bytes = atomic_load_explicit(&r->ingested_bytes, memory_order_relaxed),
    };
    for (const struct rocks_family *f = atomic_load(&r->families); f; f = f->next) add_family(out, f);
    char *text = rocksdb_options_statistics_get_string(r->options);
    if (!text) return;
    out->compaction_read_bytes = ticker(text, "rocksdb.compact.read.bytes COUNT : ");
    out->compaction_write_bytes = ticker(text, "rocksdb.compact.write.bytes COUNT : ");
    out->bloom_useful = ticker(text, "rocksdb.bloom.filter.useful COUNT : ");
    rocksdb_free(text);
}

/* ---- time to live ------------------------------------------------------------------------------------------------------------------ */

struct filter_state {
    bool any;        /* false: nothing is old enough */
    int64_t dead_ms; /* values of this time or before are dropped */
};

static const char *ttl_name(void *arg)
{
    (void)arg;
    return "weir.ttl";
}

static unsigned char ttl_drops(void *arg, int level, const char *key, size_t key_length, const char *value, size_t length, char **new_value,
                               size_t *new_length, unsigned char *changed)
{
    (void)level, (void)key, (void)key_length, (void)new_value, (void)new_length, (void)changed;
    const struct filter_state *s = arg;
    uint64_t bits;
    if (!s->any || length < sizeof bits) return 0;
    memcpy(&bits, value, sizeof bits);
    return (int64_t)le64toh(bits) <= s->dead_ms;
}

/* A filter lives for one compaction, so that all of its values meet the same clock. Without memory nothing is dropped this time. */
static rocksdb_compactionfilter_t *ttl_filter(void *arg, rocksdb_compactionfiltercontext_t *context)
{
    (void)context;
    const struct rocks_family_options *options = arg;
    struct filter_state *s = malloc(sizeof *s);
    if (!s) return NULL;
    s->any = !__builtin_sub_overflow(options->now_ms(options->now_arg), options->ttl_ms, &s->dead_ms);
    return rocksdb_compactionfilter_create(s, free, ttl_drops, ttl_name);
}

/* ---- families ---------------------------------------------------------------------------------------------------------------------- */

static weir_err set_ttl(rocksdb_options_t *to, const struct rocks_family_options *options, struct weir_diag *diag)
{
    if (!options || options->ttl_ms <= 0) return WEIR_OK;
    struct rocks_family_options *kept = malloc(sizeof *kept);
    if (!kept) return weir_fail(diag, WEIR_E_NOMEM, "no memory");
    *kept = *options;
    rocksdb_options_set_compaction_filter_factory(to, rocksdb_compactionfilterfactory_create(kept, free, ttl_filter, ttl_name));
    return WEIR_OK;
}

static weir_err make_family(struct rocks_family *f, const struct rocks_family_options *options, struct weir_diag *diag)
{
    char *words = NULL;
    rocksdb_options_t *family_options = rocksdb_options_create_copy(f->rocks->shared->options);
    weir_err err = set_ttl(family_options, options, diag);
    if (options && options->runs) set_universal(family_options);
    if (!err) f->handle = rocksdb_create_column_family(f->rocks->db, family_options, f->name, &words);
    rocksdb_options_destroy(family_options);
    if (!words) return err;
    if (f->handle) rocksdb_column_family_handle_destroy(f->handle); /* an empty one is given even so */
    return rocks_fail(diag, words);
}

static void push_family(struct rocks *r, struct rocks_family *f)
{
    f->next = atomic_load(&r->families);
    while (!atomic_compare_exchange_weak(&r->families, &f->next, f)) continue;
}

weir_err rocks_family_new(struct rocks *r, const char *name, const struct rocks_family_options *options, struct rocks_family **out,
                          struct weir_diag *diag)
{
    size_t length = strlen(name);
    if (length == 0 || length > ROCKS_NAME_MAX)
        return weir_fail(diag, WEIR_E_LIMIT, "family name of %zu bytes in database %s: 1 to %u are allowed", length, r->dir,
                         ROCKS_NAME_MAX);
    struct rocks_family *f = calloc(1, sizeof *f);
    if (!f) return weir_fail(diag, WEIR_E_NOMEM, "make family '%s' of %s: no memory", name, r->dir);
    f->rocks = r;
    memcpy(f->name, name, length);
    weir_err err = make_family(f, options, diag);
    if (err) {
        free(f);
        return weir_wrap(diag, err, "make family '%s' of %s", name, r->dir);
    }
    push_family(r, f);
    *out = f;
    return WEIR_OK;
}

/* The database keeps it, for the statistics. */
void rocks_family_destroy(struct rocks_family **family)
{
    *family = NULL;
}

static struct rocks_value found_value(rocksdb_pinnableslice_t *slice)
{
    struct rocks_value value = {.pin = slice};
    if (!slice) return value;
    const char *data = rocksdb_pinnableslice_value(slice, &value.length);
    value.data = data ? data : ""; /* found, of no bytes */
    return value;
}

weir_err rocks_get(struct rocks_family *family, const void *key, size_t length, struct rocks_value *out, struct weir_diag *diag)
{
    struct rocks *r = family->rocks;
    char *words = NULL;
    rocksdb_pinnableslice_t *slice = rocksdb_get_pinned_cf(r->db, r->read, family->handle, key, length, &words);
    if (WEIR_UNLIKELY(words != NULL)) return rocks_fail_family(diag, words, "read", family);
    *out = found_value(slice);
    rocks_count(&r->gets, 1);
    if (slice) rocks_count(&r->gets_found, 1);
    return WEIR_OK;
}

static int compare(struct weir_bytes a, struct weir_bytes b)
{
    uint32_t shorter = a.length < b.length ? a.length : b.length;
    int order = shorter ? memcmp(a.data, b.data, shorter) : 0;
    return order ? order : (a.length > b.length) - (a.length < b.length);
}

static bool ascending(const struct weir_bytes *keys, uint32_t n)
{
    for (uint32_t i = 1; i < n; i++)
        if (compare(keys[i - 1], keys[i]) > 0) return false;
    return true;
}

/* The first of the errors as a failure; frees all, and the values read beside it. */
static weir_err fail_multi(struct weir_diag *diag, uint32_t n, char **words, rocksdb_pinnableslice_t **slices, const struct rocks_family *f)
{
    weir_err err = WEIR_OK;
    for (uint32_t i = 0; i < n; i++) {
        if (slices[i]) rocksdb_pinnableslice_destroy(slices[i]);
        if (words[i] && !err)
            err = rocks_fail_family(diag, words[i], "read", f);
        else
            rocksdb_free(words[i]);
    }
    return err;
}

weir_err rocks_multi_get(struct rocks_family *family, uint32_t n, const struct weir_bytes *keys, struct rocks_value *out,
                         struct weir_diag *diag)
{
    WEIR_ASSERT(n <= ROCKS_MULTI_MAX);
    if (n == 0) return WEIR_OK;
    struct rocks *r = family->rocks;
    const char *data[ROCKS_MULTI_MAX];
    size_t lengths[ROCKS_MULTI_MAX];
    rocksdb_pinnableslice_t *slices[ROCKS_MULTI_MAX];
    char *words[ROCKS_MULTI_MAX];
    for (uint32_t i = 0; i < n; i++) {
        data[i] = keys[i].data;
        lengths[i] = keys[i].length;
    }
    rocksdb_batched_multi_get_cf(r->db, r->read, family->handle, n, data, lengths, slices, words, ascending(keys, n));
    uint32_t found = 0, failed = 0;
    for (uint32_t i = 0; i < n; i++) {
        found += slices[i] != NULL;
        failed += words[i] != NULL;
    }
    if (WEIR_UNLIKELY(failed)) return fail_multi(diag, n, words, slices, family);
    for (uint32_t i = 0; i < n; i++) out[i] = found_value(slices[i]);
    rocks_count(&r->gets, n);
    rocks_count(&r->gets_found, found);
    return WEIR_OK;
}

void rocks_value_release(struct rocks_value *value)
{
    if (value->pin) rocksdb_pinnableslice_destroy(value->pin);
    *value = (struct rocks_value){0};
}

/* The C interface swallows the status of a compaction; a failed one shows in the health. */
weir_err rocks_compact(struct rocks_family *family, struct weir_diag *diag)
{
    rocksdb_compactoptions_t *options = rocksdb_compactoptions_create();
    rocksdb_compactoptions_set_bottommost_level_compaction(options, 2 /* kForce: also what is at the bottom already */);
    rocksdb_compact_range_cf_opt(family->rocks->db, family->handle, options, NULL, 0, NULL, 0);
    rocksdb_compactoptions_destroy(options);
    weir_err err = rocks_health(family->rocks, diag);
    return err ? weir_wrap(diag, err, "compact family '%s'", family->name) : WEIR_OK;
}

/* ---- cursors ------------------------------------------------------------------------------------------------------------------------- */

enum place { AT_START, SOUGHT, FORWARD, BACKWARD };

struct rocks_cursor {
    struct rocks_family *family;
    rocksdb_readoptions_t *read; /* RocksDB keeps the address of these and of the bounds */
    rocksdb_iterator_t *it;
    enum place place;
    char bounds[]; /* from, to */
};

static void set_bounds(struct rocks_cursor *c, struct weir_bytes from, struct weir_bytes to)
{
    if (from.length) {
        memcpy(c->bounds, from.data, from.length);
        rocksdb_readoptions_set_iterate_lower_bound(c->read, c->bounds, from.length);
    }
    if (to.length) {
        memcpy(c->bounds + from.length, to.data, to.length);
        rocksdb_readoptions_set_iterate_upper_bound(c->read, c->bounds + from.length, to.length);
    }
}

weir_err rocks_cursor_new(struct rocks_family *family, struct weir_bytes from, struct weir_bytes to, uint32_t flags,
                          struct rocks_cursor **out, struct weir_diag *diag)
{
    struct rocks *r = family->rocks;
    struct rocks_cursor *c = calloc(1, sizeof *c + from.length + to.length);
    if (!c) return weir_fail(diag, WEIR_E_NOMEM, "scan family '%s' of %s: no memory", family->name, r->dir);
    c->family = family;
    c->read = rocksdb_readoptions_create();
    set_bounds(c, from, to);
    rocksdb_readoptions_set_background_purge_on_iterator_cleanup(c->read, 1);
    if (flags & ROCKS_SCAN) {
        rocksdb_readoptions_set_fill_cache(c->read, 0);
        rocksdb_readoptions_set_readahead_size(c->read, READAHEAD_BYTES);
    }
    c->it = rocksdb_create_iterator_cf(r->db, c->read, family->handle);
    *out = c;
    return WEIR_OK;
}

void rocks_cursor_destroy(struct rocks_cursor **cursor)
{
    struct rocks_cursor *c = *cursor;
    if (!c) return;
    if (c->it) rocksdb_iter_destroy(c->it);
    if (c->read) rocksdb_readoptions_destroy(c->read);
    free(c);
    *cursor = NULL;
}

void rocks_cursor_seek(struct rocks_cursor *c, struct weir_bytes key)
{
    rocksdb_iter_seek(c->it, key.length ? key.data : "", key.length);
    c->place = SOUGHT;
}

static weir_err give_entry(struct rocks_cursor *c, bool *more, struct weir_bytes *key, struct weir_bytes *value, struct weir_diag *diag)
{
    if (WEIR_UNLIKELY(!rocksdb_iter_valid(c->it))) {
        char *words = NULL;
        rocksdb_iter_get_error(c->it, &words);
        if (words) return rocks_fail_family(diag, words, "scan", c->family);
        *more = false;
        return WEIR_OK;
    }
    size_t key_length, length;
    key->data = rocksdb_iter_key(c->it, &key_length);
    value->data = rocksdb_iter_value(c->it, &length);
    key->length = (uint32_t)key_length;
    value->length = (uint32_t)length;
    *more = true;
    return WEIR_OK;
}

weir_err rocks_cursor_next(struct rocks_cursor *c, bool *more, struct weir_bytes *key, struct weir_bytes *value, struct weir_diag *diag)
{
    if (c->place == AT_START)
        rocksdb_iter_seek_to_first(c->it);
    else if (c->place == FORWARD && rocksdb_iter_valid(c->it))
        rocksdb_iter_next(c->it);
    c->place = FORWARD;
    return give_entry(c, more, key, value, diag);
}

weir_err rocks_cursor_last(struct rocks_cursor *c, bool *more, struct weir_bytes *key, struct weir_bytes *value, struct weir_diag *diag)
{
    if (c->place != BACKWARD)
        rocksdb_iter_seek_to_last(c->it);
    else if (rocksdb_iter_valid(c->it))
        rocksdb_iter_prev(c->it);
    c->place = BACKWARD;
    return give_entry(c, more, key, value, diag);
}
