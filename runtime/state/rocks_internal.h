/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The structures behind rocks.h, and what its two parts do for one another: rocks.c has databases, families, reading and cursors,
 * rocks_ingest.c the way in: files that are written and ingested. Nobody else includes this.
 */
#ifndef WEIR_RUNTIME_STATE_ROCKS_INTERNAL_H
#define WEIR_RUNTIME_STATE_ROCKS_INTERNAL_H

#include <stdatomic.h>

#include <rocksdb/c.h>

#include "runtime/state/rocks.h"

/* Where RocksDB keeps the number of an ingested file that overlaps others. */
enum rocks_numbers { NUMBERS_UNKNOWN, NUMBERS_IN_LOG, NUMBERS_IN_FILE };

struct rocks_shared {
    rocksdb_cache_t *cache;
    rocksdb_env_t *env;
    rocksdb_options_t *options; /* of databases, families and writers; what differs is set in a copy */
    atomic_int numbers;         /* enum rocks_numbers */
};

struct rocks {
    struct rocks_shared *shared;
    char *dir;
    rocksdb_t *db;
    rocksdb_options_t *options; /* holds the statistics */
    rocksdb_readoptions_t *read;
    rocksdb_writeoptions_t *write_now;                           /* without a log, without waiting */
    rocksdb_ingestexternalfileoptions_t *ingest, *ingest_shared; /* ingest_shared: NULL where ingestion changes no file */
    struct rocks_family *_Atomic families; /* pushed by family_new, never taken out: rocks_stats may walk it at any time */
    _Atomic uint64_t gets, gets_found, ingested_files, ingested_bytes;
};

struct rocks_family {
    struct rocks *rocks;
    struct rocks_family *next;
    rocksdb_column_family_handle_t *handle;
    char name[ROCKS_NAME_MAX + 1];
};

/* Frees RocksDB's words, which become the failure's. */
weir_err rocks_fail(struct weir_diag *diag, char *words);
weir_err rocks_fail_family(struct weir_diag *diag, char *words, const char *what, const struct rocks_family *family);

/* Makes `ingest` and `ingest_shared`; needs the open database, to learn what an ingestion does to a file. */
weir_err rocks_ingestion_open(struct rocks *r, struct weir_diag *diag);
void rocks_ingestion_close(struct rocks *r); /* accepts a half-open one */

static inline void rocks_count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

#endif
