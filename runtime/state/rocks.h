/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper: RocksDB, of which nothing else in Weir knows. One database a slot, a column family (here: family) a state.
 *
 * The one way in is a sorted file (rocks_writer) that is ingested whole: no write-ahead log, no memtable, so that what is written is
 * sorted and written once, and the very file serves a checkpoint too. A database is scratch: rocks_open wipes its folder, and after any
 * failure it is thrown away and restored from a checkpoint.
 *
 * A database and a checkpoint, or two databases, share an ingested file by hard links (ROCKS_INGEST_SHARED), so it must stay as it is.
 * RocksDB 7.8 writes the number it gives a file that overlaps what is there (global_seqno) into the file itself, and the C interface has
 * no setter against that; a file with such a number is refused everywhere else (WEIR_E_CORRUPT), an empty family included. Here it is
 * turned off behind the C interface's back, and the first database of a process tries whether that holds (rocks_ingest.c). If not, a shared
 * file that overlaps is refused, and its owner copies it.
 *
 * Errors: every function that touches the disk gives WEIR_E_IO with RocksDB's words (WEIR_E_CORRUPT when RocksDB says "Corruption",
 * WEIR_E_ARGUMENT for "Invalid argument"). The sentence names the file, or the family and its database. None is retried: the task fails.
 * Threads: a database and its families may be used by several threads; a writer or cursor by one at a time.
 *
 * Memory outside the block cache: a few KiB a file, a memtable of at most ROCKS_MEMTABLE_BYTES (twice that while it is flushed) a family
 * with range deletions, and while a compaction runs a few MiB a thread. Indexes and filters are cut into partitions of 4 KiB, which the
 * cache holds and drops one by one: a whole filter of a file of 64 MiB is larger than a shard of a small cache.
 */
#ifndef WEIR_RUNTIME_STATE_ROCKS_H
#define WEIR_RUNTIME_STATE_ROCKS_H

#include "weir/base.h"
#include "weir/row.h"

/* ---- what all databases of a process share: block cache and background threads ------------------------------------------------------- */

struct rocks_shared;

#define ROCKS_CACHE_BYTES (16u << 20)     /* default block cache of a worker: data blocks of all its databases */
#define ROCKS_THREADS 2u                  /* default number of compaction threads of a worker; one that flushes is added */
#define ROCKS_MEMTABLE_BYTES (128u << 10) /* range deletions of a family kept in memory; then they are flushed to a file */

/* n_threads: at least 1. They are RocksDB's threads of the process; the last caller's number counts. Errors: WEIR_E_NOMEM. */
weir_err rocks_shared_new(struct rocks_shared **out, uint64_t cache_bytes, uint32_t n_threads, struct weir_diag *diag);
void rocks_shared_destroy(struct rocks_shared **shared); /* after all databases */
/* For tests: databases opened from now on are as by a RocksDB that cannot be kept from writing numbers into files. */
void rocks_shared_number_files(struct rocks_shared *shared);

/* ---- databases ------------------------------------------------------------------------------------------------------------------- */

struct rocks;

/*
 * Removes `dir` with all it holds and makes an empty database there. Links in it are removed, not followed. Its parent must exist. shared
 * is kept. Errors: WEIR_E_IO, WEIR_E_NOT_FOUND (no parent), WEIR_E_NOMEM.
 */
weir_err rocks_open(struct rocks **out, struct rocks_shared *shared, const char *dir, struct weir_diag *diag);

/* Closes the database and removes its folder. All families, cursors and values go before; a running compaction is broken off. */
void rocks_destroy(struct rocks **r);

/*
 * What has gone wrong behind the scenes: a failed compaction or flush, a write stop. WEIR_OK when all is well. Cheap enough to ask once a
 * second. What failed once stays failed. That compaction lags behind is no failure and stops no write: see level0_files.
 */
weir_err rocks_health(struct rocks *r, struct weir_diag *diag);

/* Gauges and counters for metrics, all from RocksDB's properties and statistics. */
struct rocks_stats {
    uint64_t files, bytes; /* live table files and their size */
    uint64_t level0_files; /* files that every read must ask: how far compaction lags behind (the greatest of a family) */
    uint64_t cache_bytes;  /* block cache in use (of the worker) */
    uint64_t reader_bytes; /* memory of table readers outside the cache */
    uint64_t compactions_running;
    uint64_t compaction_bytes_pending;
    uint64_t compaction_read_bytes, compaction_write_bytes;
    uint64_t gets, gets_found; /* counted here */
    uint64_t bloom_useful;     /* reads that a filter spared */
    uint64_t ingested_files, ingested_bytes;
};
void rocks_stats(struct rocks *r, struct rocks_stats *out); /* thread: any; some 0.2 ms */

/* ---- families -------------------------------------------------------------------------------------------------------------------- */

struct rocks_family;

/* Values begin with 8 bytes of little-endian time_ms (signed); with ttl_ms > 0 compaction drops those with time_ms + ttl_ms <= now. */
struct rocks_family_options {
    bool runs;                 /* files will come one by one and overlap all others, as write-outs do; false: many at once, side by side */
    int64_t ttl_ms;            /* 0 = values live for ever */
    int64_t (*now_ms)(void *); /* wall clock for the TTL; called by background threads */
    void *now_arg;
};

/*
 * name: 1 to ROCKS_NAME_MAX bytes, any but NUL, unique in the database as long as it lives (also after rocks_family_destroy), not
 * "default". options: copied; NULL = live for ever. Its clock is read once a compaction. Gives *out. Errors: WEIR_E_LIMIT (the name's
 * length), WEIR_E_EXISTS, WEIR_E_IO, WEIR_E_NOMEM.
 */
#define ROCKS_NAME_MAX 255u
weir_err rocks_family_new(struct rocks *r, const char *name, const struct rocks_family_options *options, struct rocks_family **out,
                          struct weir_diag *diag);
void rocks_family_destroy(struct rocks_family **family); /* the handle; its data goes with the database */

/* A value found, pinned where it lies; data is NULL when there is none. */
struct rocks_value {
    const void *data;
    size_t length;
    void *pin;
};
weir_err rocks_get(struct rocks_family *family, const void *key, size_t length, struct rocks_value *out, struct weir_diag *diag);

/* As rocks_get for n <= ROCKS_MULTI_MAX keys, which should be in ascending order (they are read faster then); equal ones are allowed. */
#define ROCKS_MULTI_MAX 256u
weir_err rocks_multi_get(struct rocks_family *family, uint32_t n, const struct weir_bytes *keys, struct rocks_value *out,
                         struct weir_diag *diag);
void rocks_value_release(struct rocks_value *value); /* accepts one without data */

/*
 * Adds n sorted files to the family, over those added before and each over the ones in front of it, all or none: at once for the price of
 * one fsync a file instead of four. Files that overlap each other are better added one by one. On success a file is moved (a link, then the
 * old name goes), or copied when it lies on another file system; on failure it stays, and may have been changed unless it is SHARED. Fsyncs
 * the files and the database's log of files. Cursors that are open do not see it. Errors: WEIR_E_NOT_FOUND (no such file), WEIR_E_EXISTS
 * (SHARED only), WEIR_E_CORRUPT, WEIR_E_IO.
 */
enum rocks_ingest_flags {
    ROCKS_INGEST_SHARED = 1, /* the file has other names in use and is not changed; WEIR_E_EXISTS: it would be, nothing has happened */
};
weir_err rocks_ingest_all(struct rocks_family *family, const char *const *paths, uint32_t n, uint32_t flags, struct weir_diag *diag);
static inline weir_err rocks_ingest(struct rocks_family *family, const char *path, uint32_t flags, struct weir_diag *diag)
{
    return rocks_ingest_all(family, &path, 1, flags, diag);
}

/* As rocks_stats.level0_files, of one family. Thread: any. */
uint64_t rocks_level0_files(const struct rocks_family *family);

/* Compacts the whole family into one sorted level and waits for it. For tests and benchmarks. */
weir_err rocks_compact(struct rocks_family *family, struct weir_diag *diag);

/* ---- cursors: a consistent view of a range --------------------------------------------------------------------------------------------
 */

struct rocks_cursor;

/*
 * A view of keys in [from, to) as of now; `to` empty = no upper bound. Bounds are copied. ROCKS_SCAN: for long scans, keeps blocks out of
 * the cache and reads ahead.
 */
enum rocks_cursor_flags { ROCKS_SCAN = 1 };
weir_err rocks_cursor_new(struct rocks_family *family, struct weir_bytes from, struct weir_bytes to, uint32_t flags,
                          struct rocks_cursor **out, struct weir_diag *diag);
void rocks_cursor_destroy(struct rocks_cursor **cursor);
/* Gives the next entry (the first at the first call); key and value stay valid until the next call. *more false: at the end. */
weir_err rocks_cursor_next(struct rocks_cursor *cursor, bool *more, struct weir_bytes *key, struct weir_bytes *value,
                           struct weir_diag *diag);
/* The next call of rocks_cursor_next gives the first entry with a key >= `key`; the next one of rocks_cursor_last the last entry of all. */
void rocks_cursor_seek(struct rocks_cursor *cursor, struct weir_bytes key);
/* As rocks_cursor_next from the end, backwards; do not mix both without a seek. */
weir_err rocks_cursor_last(struct rocks_cursor *cursor, bool *more, struct weir_bytes *key, struct weir_bytes *value,
                           struct weir_diag *diag);

/* ---- writers: one sorted file ----------------------------------------------------------------------------------------------------------
 */

struct rocks_writer;

/* A file at `path` (which must not exist: WEIR_E_EXISTS), for any family of any database. shared is kept. */
weir_err rocks_writer_new(struct rocks_writer **out, struct rocks_shared *shared, const char *path, struct weir_diag *diag);
/* Keys of puts and deletes ascend strictly, else WEIR_E_ARGUMENT; bytes are copied. */
weir_err rocks_writer_put(struct rocks_writer *w, const void *key, size_t key_length, const void *value, size_t length,
                          struct weir_diag *diag);
weir_err rocks_writer_delete(struct rocks_writer *w, const void *key, size_t key_length, struct weir_diag *diag);
/* Deletes [from, to) of what older files hold; points of this same file are not touched. In any order, any time before finish. */
weir_err rocks_writer_delete_range(struct rocks_writer *w, struct weir_bytes from, struct weir_bytes to, struct weir_diag *diag);
uint64_t rocks_writer_size(const struct rocks_writer *w); /* bytes so far, about */
/*
 * Completes and fsyncs the file (not its folder). At least one entry, or range, must have been added, else WEIR_E_ARGUMENT. RocksDB takes
 * the finished file out of the page cache. After a failure only rocks_writer_destroy is allowed.
 */
weir_err rocks_writer_finish(struct rocks_writer *w, struct weir_diag *diag);
void rocks_writer_destroy(struct rocks_writer **w); /* removes the file unless it was finished */

#endif
