/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other side of the state benchmark: RocksDB asked and written once a record, as an engine does that keeps its state there. Tuned as
 * one would: no write-ahead log, no compression, whole-key Bloom filters of 10 bits, hash index in data blocks, pinned reads. A block cache
 * as large as the budget, and memtables of half of it besides (two of a quarter, each 1 to 64 MiB).
 */
#ifndef WEIR_TESTS_BENCH_BARE_ROCKS_H
#define WEIR_TESTS_BENCH_BARE_ROCKS_H

#include <stdint.h>

struct bare_rocks;

/* dir must not exist. Whatever fails ends the program. */
struct bare_rocks *bare_rocks_new(const char *dir, uint64_t budget);
void bare_rocks_destroy(struct bare_rocks *r);
void bare_rocks_budget(struct bare_rocks *r, uint64_t budget);

/* The value of a key into `value` (zeros when there is none). */
void bare_rocks_get(struct bare_rocks *r, const void *key, uint32_t length, void *value, uint32_t size);
void bare_rocks_put(struct bare_rocks *r, const void *key, uint32_t length, const void *value, uint32_t size);

/* Writes the memtable out and compacts everything: where measuring begins. */
void bare_rocks_compact(struct bare_rocks *r);

/* All values, in order of the keys. */
void bare_rocks_each(struct bare_rocks *r, void (*f)(void *arg, const void *value), void *arg);

#endif
