/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The write-back store of one state: a table in memory (table.h) over a family of the slot's database (rocks.h). What every kind of state
 * is built on.
 *
 * Entries. An entry in memory is clean, or dirty: changed since the last freeze, or waiting to be copied into that one's run. A removed
 * entry that older files may hold stays as a tombstone until its deletion has been written; one born and removed between two freezes leaves
 * no trace.
 *
 * Reading. A key that is not in memory is looked for in the database, unless nothing of the store has ever left memory (`complete`), or the
 * filter of the keys that did says no. What is found enters memory.
 *
 * Writing. Dirty entries leave memory as a run (run.h): copied, sorted, written as a file, and, once the store is not complete any more,
 * ingested. A freeze makes a run for another thread to write, copied bit by bit while the state goes on (freeze.c), a budget that is full
 * one for the slot's writer thread (write_out.c). While a run has not been ingested, its entries may not leave memory, and no later run may
 * overtake it.
 *
 * Files. The files since the last full turn are the snapshot. Each freeze adds its run; to let old files go, it also writes some entries
 * again that did not change, so that after a turn over all of them nothing needs the files from before the turn (a log cleaned by copying,
 * as in Rosenblum and Ousterhout, "The design and implementation of a log-structured file system", 1992). A complete store turns over its
 * slabs; one that has spilled over a cursor of the database.
 *
 * Keys. The bytes of a store's key say to which key group they belong: see enum store_keys. Their hash is XXH3_64bits of the bytes, always.
 * Time to live. Each entry has the time of its last write; an expired one is as if absent, and is dropped when met.
 *
 * Owner: the slot's task thread, except for store_persist.
 */
#ifndef WEIR_RUNTIME_STATE_STORE_H
#define WEIR_RUNTIME_STATE_STORE_H

#include "runtime/state/family.h"
#include "runtime/state/table.h"

/* Where in a store's key the user's key lies, whose hash gives the key group. */
enum store_keys {
    STORE_KEY_RAW,   /* the whole */
    STORE_KEY_CELL,  /* as cell.h has it */
    STORE_KEY_TIMER, /* behind the first 16 bytes */
    STORE_KEY_NONE,  /* no user's key: key group 0, whatever the instance's */
};

enum store_leave { STORE_REMOVED, STORE_EVICTED };

struct store_spec {
    enum store_keys keys;
    uint32_t
        extra_size;   /* bytes per entry for the owner alone, before the value: in memory only, zero when an entry enters; multiple of 8 */
    uint32_t key_max; /* longest key; 0 = WEIR_KEY_MAX */
    bool pinned;      /* entries never leave memory */
    struct weir_bytes prefix; /* of the keeper's keys, at most FAMILY_PREFIX_MAX bytes: what tells the stores of one family apart */
    struct store *before; /* a store of the family with a lower prefix, the nearer the better: where to look for its place; NULL: none */
    /* Called when a live entry enters memory (made, or read from the keeper), and before it leaves (removed, or evicted). May be NULL. */
    void (*entered)(void *owner, struct table_entry *e);
    void (*leaves)(void *owner, struct table_entry *e, enum store_leave why);
    void *owner;
};

struct store;

/* family: kept (family.h); value size, time to live and key groups are its. Errors: WEIR_E_NOMEM. */
weir_err store_new(struct store **out, struct family *family, const struct store_spec *spec);

/* Frees the memory, without a call of `leaves`. With `forget`, what files and keeper hold of the store is deleted, too (a pane that is
 * dropped). */
void store_destroy(struct store **s, bool forget);

/* Brings all of the keeper's live entries into memory, clean, each through `entered`: for pinned stores after a restore. Errors: the
 * slot's. */
weir_err store_load_all(struct store *s);

/* ---- access by key ----------------------------------------------------------------------------------------------------------------- */

/*
 * guess: where the entry probably is (store_prefetch), NULL = no idea. NULL, {NULL, 0}, false: none, or failed, which slot_error tells.
 * Fixed size: store_edit makes an entry (zeroed) when there is none and marks it dirty; store_find_edit marks it dirty when there is one;
 * store_find does not. The address is valid until the next safe point or the entry's removal: entries do not move.
 */
struct table_entry *store_edit(struct store *s, const struct weir_key *key, struct table_entry *guess);
struct table_entry *store_find_edit(struct store *s, const struct weir_key *key, struct table_entry *guess);
struct table_entry *store_find(struct store *s, const struct weir_key *key, struct table_entry *guess);

/* store_edit for each i < n and key keys[idx[i]] (idx NULL: keys[i]); stores value addresses. Errors: the slot's, WEIR_E_LIMIT. */
weir_err store_probe(struct store *s, const struct weir_key *keys, const uint32_t *idx, uint32_t n, void **values);

/* Any length. store_value of an entry's bytes; valid until the next change of the entry or the next safe point. */
struct weir_bytes store_bytes(const struct store *s, const struct table_entry *e);
weir_err store_write(struct store *s, const struct weir_key *key, struct table_entry *guess, const void *data, uint32_t length);
/* Makes the value `length` bytes long (zeros where it grows) and dirty, and gives it for editing. NULL: failed, the value is as before. */
void *store_resize(struct store *s, const struct weir_key *key, uint32_t length);

void store_remove(struct store *s, const struct weir_key *key);
/* The same for an entry at hand, whose bytes are gone afterwards. */
void store_remove_entry(struct store *s, struct table_entry *e);
/* Marks an entry at hand as changed. */
void store_touch(struct store *s, struct table_entry *e);

/* The value of an entry (behind the owner's extra bytes), and those bytes. */
void *store_value(const struct store *s, struct table_entry *e);
void *store_extra(const struct store *s, struct table_entry *e);

/* Reads those of the keys (at most WEIR_BATCH_MAX) that the keeper alone may hold, together, if such keys were looked up lately. */
void store_load(struct store *s, const struct weir_key *keys, uint32_t n);

/* As table_prefetch. */
bool store_prefetch(const struct store *s, const struct weir_key *keys, uint32_t n, struct table_entry **guesses);

/* ---- access to all, or to a range ---------------------------------------------------------------------------------------------------- */

/* True while nothing of the store lies in the keeper only. */
bool store_is_complete(const struct store *s);

/* Live entries in memory, in any order; *cursor is 0 at first, NULL at the end. The one just given may be removed. */
struct table_entry *store_next_resident(struct store *s, uint64_t *cursor);
uint64_t store_residents(const struct store *s);

/*
 * While pinned, neither entries nor tombstones leave memory, whatever the budget says: for a scan that goes on over safe points, first over
 * the residents and then over the keeper without them. Not counted: pinning twice is pinning. A new store is not pinned.
 */
void store_pin(struct store *s, bool pinned);

/*
 * The keeper's live entries with from <= key < to (bytes of the store's keys, all of one key group; `to` empty: to the group's end), in
 * order, without those that memory knows: residents and removed ones. from and to both empty with all_groups: the whole store.
 * Bounds are copied. Key and value are valid until the next call. Entries do not enter memory. Errors: the slot's (sticky).
 */
struct store_cursor;
weir_err store_cursor_new(struct store *s, bool all_groups, uint16_t group, struct weir_bytes from, struct weir_bytes to,
                          struct store_cursor **out);
bool store_cursor_next(struct store_cursor *cursor, struct weir_bytes *key, struct weir_bytes *value);
/* The greatest such key; for the end of a list. A cursor serves either store_cursor_next or store_cursor_last. */
bool store_cursor_last(struct store_cursor *cursor, struct weir_bytes *key, struct weir_bytes *value);
void store_cursor_destroy(struct store_cursor **cursor);

#endif
