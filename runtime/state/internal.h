/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The structures behind slot.h, family.h and store.h, and what their parts do for one another:
 *
 *     slot.c     error, keys of the keeper, statistics        store.c    entries: find, make, change, remove
 *     evict.c    safe points: eviction                        scan.c     all of a store, or a range
 *     write_out.c  and what goes to the keeper before
 *     snapshot.c freeze, persist, settle                      freeze.c   copies of what a freeze has found
 *     family.c   files and the keeper's family                restore.c  files of earlier snapshots
 *
 * Nobody else includes this, but cells.c, panes.c and timers.c for the slot's failure and the stamps.
 */
#ifndef WEIR_RUNTIME_STATE_INTERNAL_H
#define WEIR_RUNTIME_STATE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "runtime/base/background.h"
#include "runtime/base/gate.h"
#include "runtime/state/entry_list.h"
#include "runtime/state/filter.h"
#include "runtime/state/keyed.h"
#include "runtime/state/rocks.h"
#include "runtime/state/run.h"
#include "runtime/state/store.h"
#include "runtime/state/supply.h"

/* ---- the stamp of an entry: time of the last write in its upper 48 bits, and these ----------------------------------------------------
 */

#define STAMP_DIRTY 33u  /* changed since it was copied or written out: one of two bits, in turn from freeze to freeze (family.dirty) */
#define STAMP_DELETED 2u /* a tombstone */
#define STAMP_STORED 4u  /* a file may hold the key: its removal must be written, too */
#define STAMP_KEPT 8u    /* the keeper holds this value, or will once the run with this STAMP_RUN has been ingested */
#define STAMP_REF 16u    /* used since CLOCK's hand passed */
#define STAMP_FLAGS 0xffffu
#define STAMP_RUN_SHIFT 8
#define STAMP_RUN 0xff00u       /* which run the entry went into last, a frozen one's epoch or a number of a write-out, both modulo 128 */
#define STAMP_WRITE_OUT 0x8000u /* of STAMP_RUN: a write-out */

static inline int64_t stamp_time(uint64_t stamp)
{
    return (int64_t)stamp >> 16;
}

static inline uint64_t stamp_of(int64_t time_ms, uint64_t flags)
{
    return (uint64_t)time_ms << 16 | flags;
}

#define RUN_ENTRY_BYTES 40u /* what an entry costs a run beside its bytes, about */

/* ---- slot ------------------------------------------------------------------------------------------------------------------------- */

struct state_slot {
    struct memory memory;
    struct supply supply; /* of the memory, for copies */
    struct filter_share filters;
    uint64_t budget;   /* UINT64_MAX without a folder */
    uint64_t reserved; /* what a freeze of all families would copy */
    uint64_t now_bits; /* stamp of an entry written now, with STAMP_REF */
    atomic_llong now_ms;
    char *dir;
    bool snapshots;
    struct rocks_shared *shared;
    struct rocks *_Atomic rocks; /* opened when first needed, by the slot's thread; others only look */
    int64_t checked_ms;          /* when its health was looked at */
    struct family *families;
    bool copying;                    /* a family may have something for slot_copy to do */
    uint64_t n_stores;               /* of all families */
    struct family *hand;             /* the family that evicts next; its own hand is valid */
    uint64_t incarnation, next_file; /* names of files */
    unsigned char *scratch;          /* for keys of the keeper */
    size_t scratch_cap;
    struct slot_stats stats;
    struct background *writer; /* its thread; started when first needed */
    struct write_out *writing; /* what it has in hand; NULL = nothing */
    uint64_t n_write_outs;
    pthread_mutex_t mutex; /* of `diag` */
    atomic_int error;
    struct weir_diag diag;
};

/* As slot_fail, with a failure that has its words. */
weir_err slot_fail_diag(struct state_slot *slot, const struct weir_diag *diag);
static inline bool slot_failed(struct state_slot *slot)
{
    return atomic_load_explicit(&slot->error, memory_order_relaxed) != WEIR_OK;
}
/* A name without ending for a new file, unique for all time. Thread: the slot's. */
void slot_stem(struct state_slot *slot, char stem[48]);
void slot_path(const struct state_slot *slot, char path[4096], const char *name); /* in the scratch folder */
weir_err slot_rocks(struct state_slot *slot); /* opens the database unless it is open; failure is sticky */

static inline uint64_t slot_used(const struct state_slot *slot)
{
    return slot->memory.bytes - slot->memory.free + slot->reserved;
}

/* ---- family ------------------------------------------------------------------------------------------------------------------------ */

/* Files in the order in which they apply. */
struct file_list {
    struct keyed_file *items;
    uint32_t n, cap;
};
weir_err file_list_add(struct file_list *list, const struct keyed_file *file);
weir_err file_list_append(struct file_list *list, const struct file_list *from);
void file_list_close(struct file_list *list);
uint64_t file_list_bytes(const struct file_list *list);

/*
 * A turn over all entries, after which no file older than its first epoch is needed. Over memory it makes entries dirty, which the next
 * freeze copies with all others; over the keeper it copies them into a file. The task thread's; over the keeper the persisting one's while
 * that is under way.
 */
struct turn {
    bool active;
    bool spilled;        /* what the family was when it began */
    uint64_t epoch;      /* at which it began */
    struct store *store; /* next in memory, while `residents` */
    uint64_t cursor;     /* in that store */
    uint64_t quota;      /* bytes to look at before the next freeze, while `residents` */
    bool residents;      /* it goes over memory; else over the keeper, from `key` */
    unsigned char *key;  /* the last one taken */
    uint32_t key_length;
    uint64_t bytes_after_last; /* of all files when the last turn ended */
    uint32_t files_after_last; /* and how many they were */
};

struct family {
    struct state_slot *slot;
    char *name;
    struct family_options options;
    struct rocks_family *keeper; /* NULL: not opened yet */
    struct store *stores;        /* by ascending prefix */
    struct family *next, *prev;
    bool restored;            /* files of an earlier instance are behind it */
    bool spilled;             /* runs are ingested from now on; some entries may lie in the keeper only */
    bool all_kept;            /* every live entry is in the keeper, or dirty, or in a frozen run */
    uint64_t dirty;           /* the bit of STAMP_DIRTY that entries get now; with the other one they wait to be copied into `frozen` */
    uint64_t entries, clean;  /* of all stores: in memory; and those of them that may be evicted, or may once a frozen run is ingested */
    struct file_list files;   /* of the last snapshot */
    struct file_list spills;  /* written out since, in the scratch folder */
    struct run_range *ranges; /* deleted since the last file */
    uint32_t n_ranges, ranges_cap;
    struct frozen *frozen; /* being persisted, NULL = none */
    struct turn turn;
    struct store *hand; /* evicts next */
};

weir_err family_open_keeper(struct family *f);
/* True when a key of the keeper belongs to a key group of the family's that is first ... last, too. */
bool family_holds(const struct family *f, struct weir_bytes key, uint16_t first, uint16_t last);
/* True when restored files may hold keys with this prefix. */
bool family_restored(struct family *f, struct weir_bytes prefix);
/* True while a frozen run has not been ingested. */
bool family_in_flight(const struct family *f);
void family_wait(struct family *f); /* for it */
/* A step of what slot_copy does; *bytes says how much, and is what is left of it. True: there is more. */
bool family_copy(struct family *f, uint64_t *bytes);
/* Notes that [from, to), all keys of a prefix that are the family's, must be deleted from what files and keeper hold: with the next run,
 * since RocksDB sorts all ranges it has in memory once more for the first read after each. Until then no reader may ask for them. */
weir_err family_forget_range(struct family *f, struct weir_bytes from, struct weir_bytes to);
/* Puts up to FAMILY_SHARE_MAX files that others may name, too, into a keeper of the slot's, each over the ones in front of it: by links,
 * or, where RocksDB would change them (rocks.h), by copies. */
#define FAMILY_SHARE_MAX 16u
weir_err family_share(struct family *f, struct rocks_family *keeper, const char *const *paths, uint32_t n, struct weir_diag *diag);
/* Puts a file that this slot has written into the family's keeper; it is shared with snapshots, and gone where there are none. Thread: any.
 */
weir_err family_ingest(struct family *f, const char *path, struct weir_diag *diag);
/* Sorts a run and writes it as a sequence of files. Thread: any. */
weir_err family_write_run(struct family *f, struct run *run, const struct run_range *ranges, uint32_t n_ranges, const char *dir,
                          const char *stem, uint64_t epoch, struct file_list *out, struct weir_diag *diag);

/* Entries on their way to the keeper. The run belongs to the writer until `written` is open. */
struct write_out {
    struct background_task task; /* first */
    struct family *family;
    uint64_t tag;         /* STAMP_RUN of its entries */
    struct memory memory; /* of the run: beside the slot's account, since it goes by itself */
    struct run run;
    struct run_range *ranges;
    uint32_t n_ranges;
    struct file_list files;
    char stem[48];
    bool of_frozen; /* the task thread's: a snapshot that was frozen meanwhile takes the files, and destroys this */
    bool failed;    /* the slot has the words */
    uint32_t stalled_ms;
    struct gate written;
};

/* One family's part of a snapshot. */
struct frozen {
    struct family *family;
    uint64_t epoch;
    uint64_t tag; /* STAMP_RUN of its entries */
    /* What is left to copy: of this store from `at` on, and of those behind it. NULL: nothing, `copied` is open. */
    struct store *store;
    uint64_t at; /* in its table, when it is `dense`; else the list gets shorter */
    bool dense;
    int64_t step_ns; /* what the longest step took */
    pthread_t owner; /* the task thread */
    struct run run;  /* the task thread's until `copied` is open */
    struct run_range *ranges;
    uint32_t n_ranges;
    struct file_list files;   /* of the snapshot before, then of this one */
    struct file_list spills;  /* moved from the family */
    struct write_out *before; /* was under way at the freeze: its files come between the spills and the run; NULL = none */
    bool ingest, persisted;
    bool turn_keeper; /* this snapshot carries a piece of a turn over the keeper */
    bool turn_ended;  /* files before turn.epoch may go */
    char stem[48];
    struct gate copied, ingested;
};

/* ---- store ------------------------------------------------------------------------------------------------------------------------- */

/* A value of any length, in its entry. The bytes are allocated apart; a value that fits its old room is written in place. */
struct blob {
    unsigned char *data;
    uint32_t length;
    uint32_t cap;
};

struct store {
    struct table table; /* first: the record path goes through it */
    const uint64_t *now_bits;
    uint64_t fast_expect; /* of stamp & (DIRTY | DELETED): an entry that may be edited as it is; 0xff where each must be looked at */
    uint32_t value_at;    /* extra_size */
    uint32_t value_size;  /* 0 = any length */
    struct family *family;
    struct store *prev, *next; /* by ascending prefix */
    struct store_spec spec;
    unsigned char prefix[FAMILY_PREFIX_MAX];
    bool complete;             /* nothing of it lies in the keeper only */
    bool stored;               /* a file may hold something of it */
    bool scanned;              /* a scan is under way: nothing may be evicted */
    uint64_t live;             /* entries without tombstones */
    uint64_t clean;            /* as in the family */
    struct entry_list dirty;   /* perhaps gone, or there twice; only with snapshots */
    struct entry_list frozen;  /* what the freeze has found dirty and nobody has looked at since */
    struct entry_list dead;    /* tombstones that were frozen */
    struct filter filter;      /* of keys that were evicted */
    uint64_t hand, write_hand; /* table_next cursors */
    uint32_t loads_alone;      /* entries read one by one since the last batch of keys was announced */
    uint32_t load_ahead;       /* batches whose keys will be read together, until one is watched again */
};

static inline bool store_is_fast(const struct store *s, const struct table_entry *e)
{
    return (e->stamp & (STAMP_DIRTY | STAMP_DELETED)) == s->fast_expect;
}

static inline void store_stamp_now(const struct store *s, struct table_entry *e)
{
    e->stamp = (e->stamp & STAMP_FLAGS) | *s->now_bits;
}

/* The commonest of store_edit, inlined: the value of a key of eight bytes that is where the guess says and needs nothing but its time. Else
 * NULL: store_edit. No call in it, so that its caller saves no registers. */
static inline void *store_hit(const struct store *s, const struct weir_key *key, struct table_entry *guess)
{
    if (WEIR_UNLIKELY(!guess || key->length != 8 || !table_same_word(guess, key) || !store_is_fast(s, guess))) return NULL;
    store_stamp_now(s, guess);
    return (unsigned char *)(guess + 1) + 8;
}

uint16_t store_key_group(const struct store *s, struct weir_bytes key);
/* The keeper's key, in the slot's scratch: valid until the next call. NULL: no memory (sticky). */
struct weir_bytes store_keeper_key(struct store *s, struct weir_bytes key);
bool store_expired(const struct store *s, int64_t time_ms);
/* What a copy of the entry costs a run. */
uint64_t store_cost(const struct store *s, struct table_entry *e);
struct weir_bytes store_entry_bytes(const struct store *s, struct table_entry *e); /* its value */
/* An entry that has just been written or frozen: not dirty any more. */
void store_set_clean(struct store *s, struct table_entry *e, uint64_t flags);
/* Takes an entry out of memory without a trace. */
void store_discard(struct store *s, struct table_entry *e);
weir_err store_mark_dirty(struct store *s, struct table_entry *e);
/* Puts a value that the keeper gave into memory. NULL: failed (sticky). */
struct table_entry *store_admit(struct store *s, const struct weir_key *key, struct weir_bytes stored);

/* ---- freeze.c ------------------------------------------------------------------------------------------------------------------------ */

/* Adds an entry to a run that has the store's prefix: its value, or its deletion. */
weir_err store_gather(struct store *s, struct table_entry *e, struct run *run);
/* Dirty since before the barrier of a freeze that has not copied it yet. */
static inline bool store_waits(const struct store *s, const struct table_entry *e)
{
    return e->stamp & STAMP_DIRTY & ~s->family->dirty;
}
/* Copies an entry that waits, which is about to change. Errors are sticky. */
weir_err store_copy_first(struct store *s, struct table_entry *e);
void store_copy_waiting(struct store *s);          /* and all of a store that is about to go */
void store_freeze(struct store *s);                /* what is dirty now waits to be copied; the family has turned its bit */
bool store_copy(struct store *s, uint64_t *bytes); /* what waits, into the frozen run. True: all has been copied. Errors are sticky */
void store_bury(struct store *s);                  /* removes written tombstones that the keeper knows of */

/* A step of work ends when its bytes are used up. */
static inline void spend(uint64_t *bytes, uint64_t n)
{
    *bytes = *bytes > n ? *bytes - n : 0;
}

/* In a run that has not been ingested yet. */
bool store_in_flight(const struct store *s, const struct table_entry *e);
bool store_may_leave(const struct store *s);     /* or some of it */
uint64_t store_unwritten(const struct store *s); /* entries that may leave once they have been written */

/* ---- safe points -------------------------------------------------------------------------------------------------------------------- */

void slot_safe_point(struct state_slot *slot, int64_t now_ms);
void slot_relieve(struct state_slot *slot);
/*
 * Gives the writer a part of what the keeper does not hold, beginning with a store's (NULL: nothing is), unless it has one in hand. `wait`:
 * for a snapshot on its way to the keeper; else nothing begins meanwhile. Errors are sticky.
 */
void write_out_begin(struct state_slot *slot, struct store *first, bool wait);
/* Takes over what the writer has written; `wait`: once it has. False: nothing was given to it, or it is not through. */
bool write_out_end(struct state_slot *slot, bool wait);
void write_out_destroy(struct write_out **write_out); /* one that is over */

#endif
