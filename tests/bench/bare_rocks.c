/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/bare_rocks.h"

#include <rocksdb/c.h>

#include "tests/bench/bench.h"

#define MIB ((uint64_t)1 << 20)

struct bare_rocks {
    rocksdb_cache_t *cache;
    rocksdb_options_t *options;
    rocksdb_t *db;
    rocksdb_readoptions_t *read;
    rocksdb_writeoptions_t *write;
};

static void must(char *words)
{
    if (words) bench_die(words);
}

static uint64_t memtable_bytes(uint64_t budget)
{
    uint64_t bytes = budget / 4;
    return bytes < MIB ? MIB : bytes > 64 * MIB ? 64 * MIB : bytes;
}

static void set_table(struct bare_rocks *r)
{
    rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_block_cache(table, r->cache);
    rocksdb_block_based_options_set_format_version(table, 5);
    rocksdb_block_based_options_set_data_block_index_type(table, rocksdb_block_based_table_data_block_index_type_binary_search_and_hash);
    rocksdb_block_based_options_set_data_block_hash_ratio(table, 0.75);
    rocksdb_block_based_options_set_filter_policy(table, rocksdb_filterpolicy_create_bloom_full(10));
    rocksdb_options_set_block_based_table_factory(r->options, table);
    rocksdb_block_based_options_destroy(table);
}

struct bare_rocks *bare_rocks_new(const char *dir, uint64_t budget)
{
    struct bare_rocks *r = calloc(1, sizeof *r);
    char *words = NULL;
    if (!r) bench_die("out of memory");
    r->cache = rocksdb_cache_create_lru(budget);
    r->options = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(r->options, 1);
    rocksdb_options_set_compression(r->options, rocksdb_no_compression);
    rocksdb_options_set_write_buffer_size(r->options, memtable_bytes(budget));
    rocksdb_options_set_max_background_jobs(r->options, 2);
    rocksdb_options_set_level_compaction_dynamic_level_bytes(r->options, 1);
    set_table(r);
    r->read = rocksdb_readoptions_create();
    r->write = rocksdb_writeoptions_create();
    rocksdb_writeoptions_disable_WAL(r->write, 1);
    r->db = rocksdb_open(r->options, dir, &words);
    must(words);
    return r;
}

void bare_rocks_destroy(struct bare_rocks *r)
{
    if (!r) return;
    rocksdb_cancel_all_background_work(r->db, 1);
    rocksdb_close(r->db);
    rocksdb_writeoptions_destroy(r->write);
    rocksdb_readoptions_destroy(r->read);
    rocksdb_options_destroy(r->options);
    rocksdb_cache_destroy(r->cache);
    free(r);
}

void bare_rocks_budget(struct bare_rocks *r, uint64_t budget)
{
    char bytes[32], *words = NULL;
    const char *key = "write_buffer_size", *value = bytes;
    (void)snprintf(bytes, sizeof bytes, "%llu", (unsigned long long)memtable_bytes(budget));
    rocksdb_cache_set_capacity(r->cache, budget);
    rocksdb_set_options(r->db, 1, &key, &value, &words);
    must(words);
}

void bare_rocks_get(struct bare_rocks *r, const void *key, uint32_t length, void *value, uint32_t size)
{
    char *words = NULL;
    size_t n;
    rocksdb_pinnableslice_t *pin = rocksdb_get_pinned(r->db, r->read, key, length, &words);
    must(words);
    memset(value, 0, size);
    if (!pin) return;
    const char *data = rocksdb_pinnableslice_value(pin, &n);
    memcpy(value, data, n < size ? n : size);
    rocksdb_pinnableslice_destroy(pin);
}

void bare_rocks_put(struct bare_rocks *r, const void *key, uint32_t length, const void *value, uint32_t size)
{
    char *words = NULL;
    rocksdb_put(r->db, r->write, key, length, value, size, &words);
    must(words);
}

void bare_rocks_compact(struct bare_rocks *r)
{
    char *words = NULL;
    rocksdb_flushoptions_t *flush = rocksdb_flushoptions_create();
    rocksdb_flush(r->db, flush, &words);
    rocksdb_flushoptions_destroy(flush);
    must(words);
    rocksdb_compact_range(r->db, NULL, 0, NULL, 0);
}

void bare_rocks_each(struct bare_rocks *r, void (*f)(void *arg, const void *value), void *arg)
{
    rocksdb_iterator_t *it = rocksdb_create_iterator(r->db, r->read);
    size_t n;
    for (rocksdb_iter_seek_to_first(it); rocksdb_iter_valid(it); rocksdb_iter_next(it)) f(arg, rocksdb_iter_value(it, &n));
    rocksdb_iter_destroy(it);
}
