/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collections by key: one list, map or ordered state of an operator, on one store (store.h). Each map entry, each ordered entry and every
 * few KiB of a list is an entry of the store, a cell, under a key of its own (cell.h). So a collection of one key may be far larger than
 * memory, and a change costs what it changes.
 *
 * What they mean is said in weir/state.h, function by function (weir_list_*, weir_map_*, weir_ordered_*); here the key and the namespace
 * are parameters, and ns is empty for states without namespaces. key->hash must be the hash of the key's bytes: it gives the key group.
 *
 * Groups. The cells of one (key, namespace) that are in memory form a group, which knows them in an order that lives in the cells' own
 * extra bytes: a doubly linked list for maps, a treap with parent pointers for lists and ordered states (Seidel and Aragon, "Randomized
 * search trees", Algorithmica 16, 1996; a cell's priority is a hash of its address, so it is not stored). So a cell that enters or leaves
 * memory allocates and moves nothing, whichever place it has; adding at the end, removing at the front and stepping on are O(1), and a
 * group costs about 100 bytes however many cells it has. A group without cells is forgotten.
 *
 * What the keeper has. A group knows a range of times (ordered) or chunk numbers (lists) outside of which nothing lies in the keeper only.
 * It is empty for a group that never lost a cell, grows with evictions and shrinks by what scans find, so that looking at recent entries
 * and dropping old ones costs no read when what was evicted is neither. A group made new has an empty range if the store is complete or a
 * filter says that no cell of that prefix was ever evicted, else a range without bounds.
 *
 * Scans merge the residents with a cursor of the keeper; cells do not enter memory by being scanned. One scan at a time: a scan begun anew
 * ends the one before, whose cursor then only gives the end. A scan keeps its place whatever is added, read or removed meanwhile, also when
 * the cell just given or the next one goes.
 *
 * User keys. Map: as given. Ordered: time as 8 bytes big-endian with the sign bit flipped, then seq as 8 bytes big-endian. List: the
 * chunk's number as 8 bytes big-endian, see cells_list.c.
 *
 * Errors: all failures but WEIR_E_LIMIT and WEIR_E_ARGUMENT are sticky in the slot (slot_error), so functions that give bytes or true need
 * no error of their own. Owner: the slot's task thread.
 */
#ifndef WEIR_RUNTIME_STATE_CELLS_H
#define WEIR_RUNTIME_STATE_CELLS_H

#include "runtime/state/store.h"
#include "weir/state.h"

#define LIST_CHUNK_BYTES 4096u /* a chunk of a list ends before it grows larger; a larger element is a chunk by itself */

struct cells;

enum cells_kind { CELLS_LIST = 1, CELLS_MAP, CELLS_ORDERED };

/*
 * family      Kept; its only store is made here. The family's value size must be value_size for maps and ordered states, 0 for lists, and
 *             what was restored must lie in its keeper already.
 * value_size  Bytes of each value or element; 0 = any length.
 * Errors: WEIR_E_NOMEM.
 */
weir_err cells_new(struct cells **out, struct family *family, enum cells_kind kind, uint32_t value_size, struct weir_diag *diag);
void cells_destroy(struct cells **cells);

/*
 * For a safe point, before anything is evicted: ends a scan that was left before its end, whose cursor would hold files of the keeper, and
 * gives memory of groups back. Not needed for correctness. Cheap when nothing is to be done.
 */
void cells_rest(struct cells *cells);

/* ---- list ---------------------------------------------------------------------------------------------------------------------------- */

/* Errors: WEIR_E_ARGUMENT (not value_size bytes), WEIR_E_LIMIT, the slot's. data may be an element of this list. */
weir_err cells_list_add(struct cells *cells, const struct weir_key *key, struct weir_bytes ns, const void *data, uint32_t length);
bool cells_list_next(struct cells *cells, const struct weir_key *key, struct weir_bytes ns, uint64_t *cursor, struct weir_bytes *element);
bool cells_list_is_empty(struct cells *cells, const struct weir_key *key, struct weir_bytes ns);
weir_err cells_list_clear(struct cells *cells, const struct weir_key *key, struct weir_bytes ns);

/* ---- map ----------------------------------------------------------------------------------------------------------------------------- */

struct weir_bytes cells_map_get(struct cells *cells, const struct weir_key *key, struct weir_bytes ns, struct weir_bytes user_key);
/* Errors: as cells_list_add. data may be a value of this map. */
weir_err cells_map_put(struct cells *cells, const struct weir_key *key, struct weir_bytes ns, struct weir_bytes user_key, const void *data,
                       uint32_t length);
/* Fixed size only. NULL: failed (sticky), a key too long, or a state of any length. */
void *cells_map_value(struct cells *cells, const struct weir_key *key, struct weir_bytes ns, struct weir_bytes user_key);
weir_err cells_map_remove(struct cells *cells, const struct weir_key *key, struct weir_bytes ns, struct weir_bytes user_key);
bool cells_map_next(struct cells *cells, const struct weir_key *key, struct weir_bytes ns, uint64_t *cursor, struct weir_bytes *user_key,
                    struct weir_bytes *value);
bool cells_map_is_empty(struct cells *cells, const struct weir_key *key, struct weir_bytes ns);
weir_err cells_map_clear(struct cells *cells, const struct weir_key *key, struct weir_bytes ns);

/* ---- ordered ------------------------------------------------------------------------------------------------------------------------- */

weir_err cells_ordered_put(struct cells *cells, const struct weir_key *key, struct weir_bytes ns, weir_time time_ms, uint64_t seq,
                           const void *data, uint32_t length);
struct weir_bytes cells_ordered_get(struct cells *cells, const struct weir_key *key, struct weir_bytes ns, weir_time time_ms, uint64_t seq);
weir_err cells_ordered_remove(struct cells *cells, const struct weir_key *key, struct weir_bytes ns, weir_time time_ms, uint64_t seq);
weir_err cells_ordered_remove_before(struct cells *cells, const struct weir_key *key, struct weir_bytes ns, weir_time until);
bool cells_ordered_next(struct cells *cells, const struct weir_key *key, struct weir_bytes ns, weir_time from, weir_time to,
                        uint64_t *cursor, struct weir_ordered_entry *entry);
weir_err cells_ordered_clear(struct cells *cells, const struct weir_key *key, struct weir_bytes ns);

#endif
