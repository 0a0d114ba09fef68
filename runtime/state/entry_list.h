/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries to come back to, in the order in which they were put there. A list is made of chunks, which double up to 64 KiB: growing copies
 * nothing, whatever has been taken is given back at once, and a list of millions is passed on by its two ends. Embedded value; zeroed it is
 * empty. The entries are not looked at. Memory is from the account given; it must be the same one every time.
 */
#ifndef WEIR_RUNTIME_STATE_ENTRY_LIST_H
#define WEIR_RUNTIME_STATE_ENTRY_LIST_H

#include <stdbool.h>

#include "runtime/state/memory.h"

struct table_entry;
struct entry_chunk;

struct entry_list {
    struct entry_chunk *first, *last; /* taken from the first, put into the last */
    uint64_t n;
};

void entry_list_close(struct entry_list *list, struct memory *memory);                      /* leaves an empty one */
bool entry_list_put(struct entry_list *list, struct memory *memory, struct table_entry *e); /* at the end; false: no memory, as before */
struct table_entry *entry_list_take(struct entry_list *list, struct memory *memory);        /* from the front; NULL: it is empty */

/* Whether the next put asks for memory: a good moment for tidying up. */
bool entry_list_is_full(const struct entry_list *list);

/* Asks of each, in order, whether it stays; the others go. */
void entry_list_keep(struct entry_list *list, struct memory *memory, bool (*stays)(struct table_entry *e, void *arg), void *arg);

#endif
