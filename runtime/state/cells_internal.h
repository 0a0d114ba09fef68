/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of cells.h do for one another:
 *
 *     cells.c        groups, hooks of the store, one cell by its key, all cells of a group
 *     cells_index.c  the order of a group's cells in memory
 *     cells_scan.c   a scan: residents merged with the keeper
 *     cells_list.c, cells_map.c, cells_ordered.c   the three kinds
 */
#ifndef WEIR_RUNTIME_STATE_CELLS_INTERNAL_H
#define WEIR_RUNTIME_STATE_CELLS_INTERNAL_H

#include "runtime/state/cell.h"
#include "runtime/state/cells.h"
#include "runtime/state/filter.h"

/* ---- groups and cells ---------------------------------------------------------------------------------------------------------------- */

/* Where a cell lies in the order of its group, and in the keeper: ordered: time (sign bit flipped) and seq; list: chunk number; map: 0. */
struct cell_place {
    uint64_t major, minor;
};

#define CELL_PLACE_BYTES 16u /* of an ordered user key; a list's has the major part only */

/* The extra bytes of an entry of the store. A map's list uses left and right only, and its entries end there. */
struct cell {
    struct table_entry *group; /* NULL: could not be made; the slot has failed */
    struct table_entry *left, *right;
    struct table_entry *up;
};

/* The value of an entry of `groups`, whose key is the prefix of its cells. */
struct cell_group {
    struct table_entry *first, *last; /* NULL: no cell in memory */
    struct table_entry *root;         /* of the treap */
    uint64_t far_from, far_to;        /* majors that may lie in the keeper only; from > to: none do */
};

struct cell_found {
    struct table_entry *entry;  /* NULL: in the keeper */
    struct weir_bytes user_key; /* good as long as the bytes of what was found */
    struct cell_place place;
};

enum scan_far {
    SCAN_FAR_NONE,  /* nothing read yet, or nothing left */
    SCAN_FAR_HELD,  /* read and not given yet */
    SCAN_FAR_GIVEN, /* given; the bytes are good until more is read */
};

struct cell_scan {
    uint64_t serial;           /* what the caller's cursor holds; never 0 in a scan */
    struct table_entry *group; /* NULL: no scan is under way. Not forgotten while it stands here */
    struct table_entry *next;  /* the resident that comes next; the hooks keep it right */
    struct cell_place last;    /* given last, if any */
    bool begun;                /* something was given */
    uint64_t from, to;         /* majors */
    bool far_wanted;           /* the keeper has not been read to its end */
    enum scan_far far;
    struct store_cursor *cursor; /* NULL: not opened yet */
    struct weir_bytes far_key, far_value;
    struct cell_place far_place;
    bool far_seen; /* far_place is that of a cell that was read */
    /* of a list: */
    struct table_entry *chunk; /* the one being read when it is in memory */
    bool in_chunk;
    uint32_t offset; /* in it, of the next element */
};

struct cells {
    struct store *store;
    struct state_slot *slot;
    struct memory *memory;
    enum cells_kind kind;
    uint32_t value_size;
    bool young_on_read;        /* the family's time to live counts from the last read */
    bool closing;              /* the hooks do nothing any more */
    struct table groups;       /* by prefix */
    struct filter evicted;     /* hashes of prefixes some of whose cells were evicted */
    struct table_entry *group; /* used last; may be without cells, and so known to be empty */
    struct cell_scan scan;
    unsigned char *bytes; /* scratch for keys: twice room for the longest so far */
    uint32_t room;        /* of one half */
    uint32_t prefix_length;
};

static inline struct cell_group *cell_group(struct table_entry *group)
{
    return table_value(group);
}

static inline struct cell *cell_of(const struct cells *c, struct table_entry *e)
{
    return store_extra(c->store, e);
}

static inline bool cell_is_before(struct cell_place a, struct cell_place b)
{
    return a.major != b.major ? a.major < b.major : a.minor < b.minor;
}

static inline uint64_t cell_major_of_time(weir_time time_ms)
{
    return (uint64_t)time_ms ^ (uint64_t)1 << 63;
}

static inline weir_time cell_time_of_major(uint64_t major)
{
    return (weir_time)(major ^ (uint64_t)1 << 63);
}

/* ---- cells.c ------------------------------------------------------------------------------------------------------------------------- */

/*
 * Turns to a key and namespace: writes their prefix to the scratch, with room behind it for a user key of that length. Everything below
 * works on what was aimed at last. Errors: WEIR_E_LIMIT, WEIR_E_NOMEM (sticky).
 */
weir_err cells_aim(struct cells *c, const struct weir_key *key, struct weir_bytes ns, uint32_t user_length);

/* The store's key of a cell, in the scratch. The user key of a place: in the scratch, too. */
struct weir_key cells_key(struct cells *c, struct weir_bytes user_key);
struct weir_key cells_place_key(struct cells *c, struct cell_place place);

/* The place that a user key stands for. False: it is none. */
bool cells_place(const struct cells *c, struct weir_bytes user_key, struct cell_place *place);
struct weir_bytes cells_user_key(const struct cells *c, struct table_entry *e);

/* The group, made when there is none; NULL: no memory (sticky). cells_some_group gives NULL, too, when the group is surely empty. */
struct table_entry *cells_make_group(struct cells *c);
struct table_entry *cells_some_group(struct cells *c);
/* Forgets a group that nobody needs. */
void cells_release_group(struct cells *c, struct table_entry *group);

/* True when cells with majors from ... to may lie in the keeper only; notes that none do. */
bool cells_may_be_far(struct table_entry *group, uint64_t from, uint64_t to);
void cells_learn_not_far(struct table_entry *group, uint64_t from, uint64_t to);
/* A cursor of the keeper over them. NULL: failed (sticky). */
struct store_cursor *cells_cursor(struct cells *c, const struct weir_key *key, uint64_t from, uint64_t to);

/* False: the resident was too old, and is gone. */
bool cells_is_live(struct cells *c, struct table_entry *e);
void cells_note_read(struct cells *c, struct table_entry *e); /* by a scan */
struct weir_bytes cells_value(const struct cells *c, struct table_entry *e);

/* One cell, aimed at: find; put, made if there is none; an address for editing; remove. cell: by cells_key. */
struct weir_bytes cells_get(struct cells *c, const struct weir_key *cell);
weir_err cells_put(struct cells *c, const struct weir_key *cell, const void *data, uint32_t length);
void *cells_edit(struct cells *c, const struct weir_key *cell);
weir_err cells_remove(struct cells *c, const struct weir_key *cell);

/* The slot's failure; WEIR_OK without one. cells_failure: for a call of the store that gave NULL. */
weir_err cells_error(struct cells *c);
weir_err cells_failure(struct cells *c);
weir_err cells_no_memory(struct cells *c); /* makes it sticky */
weir_err cells_corrupt(struct cells *c);   /* so does this, for bytes of the keeper that are no cell */

/* All cells of the key and namespace, or those with majors up to `to`, front to back. */
bool cells_is_empty(struct cells *c, const struct weir_key *key, struct weir_bytes ns);
weir_err cells_clear(struct cells *c, const struct weir_key *key, struct weir_bytes ns, uint64_t to);

/* ---- cells_index.c ------------------------------------------------------------------------------------------------------------------- */

struct cell_place index_place(const struct cells *c, struct table_entry *e);
/* Puts a cell where it belongs; a map's at the end, or at the front. */
void index_add(const struct cells *c, struct table_entry *group, struct table_entry *e, bool at_front);
void index_remove(const struct cells *c, struct table_entry *group, struct table_entry *e);
struct table_entry *index_after(const struct cells *c, struct table_entry *e);
/* The first cell at `place` or behind it; a map's first. */
struct table_entry *index_seek(const struct cells *c, struct table_entry *group, struct cell_place place);

/* ---- cells_scan.c -------------------------------------------------------------------------------------------------------------------- */

/*
 * Gives the next cell with a major from ... to: in order, a map's in any order. *cursor 0: begins. False at the end, on failure, and for a
 * cursor whose scan is over.
 */
bool scan_open(struct cells *c, const struct weir_key *key, struct weir_bytes ns, uint64_t from, uint64_t to, uint64_t *cursor);
bool scan_next(struct cells *c, const struct weir_key *key, struct weir_bytes ns, struct cell_found *found);
struct weir_bytes scan_value(const struct cells *c, const struct cell_found *found);
void scan_end(struct cells *c);

/* For the hooks: was a cell given before it came to memory? It has come, and stands in the index; it is about to go. */
bool scan_has_given(const struct cells *c, struct table_entry *group, struct table_entry *e);
void scan_entered(struct cells *c, struct table_entry *group, struct table_entry *e, bool given);
void scan_leaves(struct cells *c, struct table_entry *e);

#endif
