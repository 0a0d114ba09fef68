/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run: what changed in one state since the last run, copied out of its table, sorted, and written as one sorted file, or several that do
 * not overlap. The unit in which state goes to disk: at a checkpoint, and when dirty entries must leave memory before it.
 *
 *     gather (task thread)          sort, write (any thread, one at a time)
 *     run_add, run_delete ...  -->  run_sort  -->  run_write
 *
 * Keys are the keeper's keys: a prefix, key group (2 bytes, big-endian) and the state's key bytes. Values are 8 bytes of little-endian
 * time_ms and the state's value. The order is memcmp's: in a run of one prefix a counting sort on the key group, which is nearly uniform,
 * then a radix sort on eight key bytes cached beside each entry's address; memory of entries is read again only where those are equal.
 *
 * Memory of entries comes from the account of the slot: run_init, adding and run_close belong to its thread. Sorting takes 16 bytes an
 * entry (and 256 KiB for as long as it runs) from an account of the run's own, since another thread does it; run_close gives them back.
 */
#ifndef WEIR_RUNTIME_STATE_RUN_H
#define WEIR_RUNTIME_STATE_RUN_H

#include "runtime/state/memory.h"
#include "runtime/state/rocks.h"
#include "weir/base.h"
#include "weir/row.h"

#define RUN_FILE_BYTES (64u << 20) /* a file ends at the first key behind this size */
#define RUN_PREFIX 2u              /* key group in front of a key */
#define RUN_PREFIX_MAX 16u         /* bytes of a prefix */

struct run_chunk; /* of entries: 1 KiB doubling to 2 MiB, which is one huge page; an entry above a quarter of that has one of its own */

/* An entry and eight bytes of its key as a big-endian number. */
struct run_item {
    uint64_t digits;
    const unsigned char *entry;
};

struct run {
    struct run_chunk *first, *last; /* entries go into the last */
    uint64_t n;                     /* entries, deletions among them; less than 2^32 */
    uint64_t bytes;                 /* of keys, values and their headers */
    uint64_t file_bytes;            /* a file ends at the first key behind this size; RUN_FILE_BYTES unless a test says otherwise */
    bool mixed;                     /* not all entries have the same prefix */
    uint32_t prefix_length;
    unsigned char prefix[RUN_PREFIX_MAX]; /* of entries added now, before their key group: a pane's id, or nothing */
    struct run_item *sorted;              /* n of them, by run_sort; NULL before */
    struct memory *memory;
    struct memory sorting; /* account of what run_sort takes */
};

void run_init(struct run *run, struct memory *memory); /* memory is kept */
void run_close(struct run *run);                       /* accepts a zeroed one, and leaves one */

/* True: adding so many bytes of small entries may need a fresh block, which another thread is making ready (memory_block_is_coming). */
bool run_block_is_coming(const struct run *run, uint64_t bytes);

/* What stands before the key group of keys added from now on: at most RUN_PREFIX_MAX bytes, copied; at first nothing. */
void run_set_prefix(struct run *run, struct weir_bytes prefix);

/*
 * Adds a key with its value, or its deletion. Each key at most once a run, in any order, before run_sort. key and value are copied (NULL is
 * allowed for no bytes); time_ms goes in front of the value.
 * Errors: WEIR_E_NOMEM; the run is as before.
 */
weir_err run_add(struct run *run, uint16_t key_group, const void *key, uint32_t key_length, int64_t time_ms, const void *value,
                 uint32_t length);
weir_err run_delete(struct run *run, uint16_t key_group, const void *key, uint32_t key_length);

/* Orders the entries; once more does nothing. Errors: WEIR_E_NOMEM; it may be tried again. Thread: any. */
weir_err run_sort(struct run *run);

/* The i-th entry of a sorted run (i < n), borrowed until run_close: what goes to the keeper. A deletion has a value without data. */
void run_entry(const struct run *run, uint64_t i, struct weir_bytes *key, struct weir_bytes *value);

/* A file of a run, or of any other sorted part of a state. */
struct run_file {
    char name[64];    /* in its folder */
    uint64_t bytes;   /* size */
    uint64_t entries; /* keys put or deleted; ranges are not counted */
    uint32_t crc32c;  /* of the whole file */
};

/* Keys in [from, to). */
struct run_range {
    struct weir_bytes from, to;
};
void run_ranges_close(struct run_range *ranges, uint32_t n); /* frees ranges that were malloc'ed, and their keys, which were, too */

/*
 * Writes a sorted run below `dir` as files `<stem>-<i>.sst`, i from 0, each fsynced (the folder is not), and reads each once more while it
 * grows, mostly from the page cache, for its checksum. ranges: deleted key ranges that go into the first file and are older than all keys
 * of the run (n_ranges may be 0). Files of one run do not overlap, but for the ranges: with
 * ranges they must be ingested in their order. Gives *files (free) and *n_files; an empty run without ranges gives NULL and 0. On failure
 * no file of this call is left. Errors: of rocks_writer_*, WEIR_E_EXISTS (a file of that name; it stays), WEIR_E_LIMIT (stem or path too
 * long), WEIR_E_NOMEM. Thread: any.
 */
weir_err run_write(const struct run *run, struct rocks_shared *shared, const char *dir, const char *stem, const struct run_range *ranges,
                   uint32_t n_ranges, struct run_file **files, uint32_t *n_files, struct weir_diag *diag);

/* The checksum of a whole file; *bytes: its size. Errors: WEIR_E_NOT_FOUND, WEIR_E_IO, naming the file, WEIR_E_NOMEM. Thread: any. */
weir_err run_file_checksum(const char *path, uint32_t *crc32c, uint64_t *bytes, struct weir_diag *diag);

/*
 * A private copy of a file, not fsynced: what the keeper may ingest. copy_file_range, so that a file system may share the blocks. On
 * failure there is no copy. Errors: WEIR_E_NOT_FOUND, WEIR_E_EXISTS (`to`; it stays), WEIR_E_IO (also when `from` shrinks meanwhile),
 * WEIR_E_NOMEM, naming the file. Thread: any.
 */
weir_err run_file_copy(const char *from, const char *to, struct weir_diag *diag);

#endif
