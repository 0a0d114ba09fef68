/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table for people, by libsmartcols (its only user; the locale must be set for text beyond ASCII). Filled row by row, cell by cell,
 * without looking at errors: table_print tells. Control characters in cells are shown as \xNN. On a terminal wide cells wrap to its width;
 * elsewhere nothing is cut or wrapped, so that grep and cut work.
 */
#ifndef WEIR_JOBCTL_TABLE_H
#define WEIR_JOBCTL_TABLE_H

#include "weir/base.h"
#include <stdio.h>

enum table_flags {
    TABLE_LEFT = 0,
    TABLE_RIGHT = 1, /* numbers */
    TABLE_WRAP = 2,  /* long text */
};

struct table_column {
    const char *name; /* "" for none */
    unsigned flags;
};

struct table;

/* Gives the table; NULL when memory is short, which the other functions take. Keeps `columns`. */
struct table *table_new(const struct table_column *columns, size_t n_columns);
void table_destroy(struct table **table);

void table_row(struct table *t);
/* Puts the next cell of the present row. A row may end early, not late. */
void table_cell(struct table *t, const char *text);
void table_cellf(struct table *t, const char *fmt, ...) WEIR_PRINTF(2, 3);

/* Prints headings and rows; only the headings when there are no rows. Errors: WEIR_E_NOMEM. */
weir_err table_print(struct table *t, FILE *out);

#endif
