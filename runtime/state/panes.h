/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Panes: the tables of a window operator, one a pane, behind weir_panes_* and weir_table_* of weir/state.h. Their functions are declared in
 * keyed.h (keyed_panes_table, keyed_panes_next, keyed_table_*); here is what keyed.c makes and frees them with.
 *
 *     struct weir_panes  one family         sorted array of its tables, by pane
 *     struct weir_table  one store of it    prefix: the pane's number, sign bit flipped, 8 bytes big-endian
 *
 * So in the keeper the panes lie one behind the other in order of their numbers, dropping one is a range delete, and the panes that a
 * restore left there are found by the next prefix; each gets its table when it is asked for. A pane without entries is not restored.
 *
 * A scan gives a table's residents, then what only the keeper holds, without taking it into memory. It may go on after safe points, so the
 * store is pinned from the first entry until the end of the scan or the drop of the table. What is removed on the way from the keeper's
 * part costs a tombstone in memory until then: a table that is to go as a whole is dropped. Owner: the operator's task thread.
 */
#ifndef WEIR_RUNTIME_STATE_PANES_H
#define WEIR_RUNTIME_STATE_PANES_H

#include "runtime/state/keyed.h"
#include "runtime/state/store.h"

#define PANES_PREFIX 8u /* the family's prefix_length */

/* family: kept; without time to live. value_size: the family's, above 0. Errors: the slot's. */
weir_err panes_new(struct weir_panes **out, struct family *family, uint32_t value_size);

/* Frees the memory; what files and keeper hold stays. */
void panes_destroy(struct weir_panes **panes);

#endif
