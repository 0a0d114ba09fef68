/* SPDX-License-Identifier: Apache-2.0 */
#include "api/jobctl/table.h"

#include "runtime/base/assert.h"
#include <libsmartcols.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

struct table {
    struct libscols_table *scols;
    struct libscols_line *line;
    const struct table_column *columns;
    size_t n_columns, next; /* next: the cell that table_cell fills */
    bool named;             /* some column has a name */
    weir_err err;
};

static bool add_columns(struct table *t)
{
    for (size_t i = 0; i < t->n_columns; i++) {
        int flags = (t->columns[i].flags & TABLE_RIGHT ? SCOLS_FL_RIGHT : 0) | (t->columns[i].flags & TABLE_WRAP ? SCOLS_FL_WRAP : 0);
        if (!scols_table_new_column(t->scols, t->columns[i].name, 0, flags)) return false;
        if (t->columns[i].name[0]) t->named = true;
    }
    return true;
}

struct table *table_new(const struct table_column *columns, size_t n_columns)
{
    struct table *t = calloc(1, sizeof *t);
    if (!t) return NULL;
    t->columns = columns;
    t->n_columns = n_columns;
    t->scols = scols_new_table();
    if (t->scols && add_columns(t)) return t;
    table_destroy(&t);
    return NULL;
}

void table_destroy(struct table **table)
{
    struct table *t = *table;
    *table = NULL;
    if (!t) return;
    if (t->scols) scols_unref_table(t->scols);
    free(t);
}

void table_row(struct table *t)
{
    if (!t || t->err) return;
    t->next = 0;
    t->line = scols_table_new_line(t->scols, NULL);
    if (!t->line) t->err = WEIR_E_NOMEM;
}

void table_cell(struct table *t, const char *text)
{
    if (!t || t->err) return;
    WEIR_ASSERT(t->next < t->n_columns);
    if (scols_line_set_data(t->line, t->next++, text) != 0) t->err = WEIR_E_NOMEM;
}

void table_cellf(struct table *t, const char *fmt, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, fmt);
    int n = vasprintf(&text, fmt, args);
    va_end(args);
    if (n >= 0) {
        table_cell(t, text);
        free(text);
    } else if (t) {
        t->err = WEIR_E_NOMEM;
    }
}

/* libsmartcols prints nothing when there are no rows; the headings say what is empty. */
static weir_err print_headings(struct table *t, FILE *out)
{
    for (size_t i = 0; i < t->n_columns; i++) fprintf(out, "%s%s", i ? " " : "", t->columns[i].name);
    fputc('\n', out);
    return WEIR_OK;
}

weir_err table_print(struct table *t, FILE *out)
{
    if (!t) return WEIR_E_NOMEM;
    if (t->err) return t->err;
    if (!isatty(fileno(out))) scols_table_set_termforce(t->scols, SCOLS_TERMFORCE_NEVER);
    if (!t->named) scols_table_enable_noheadings(t->scols, 1);
    if (scols_table_get_nlines(t->scols) == 0) return print_headings(t, out);
    scols_table_set_stream(t->scols, out);
    return scols_print_table(t->scols) == 0 ? WEIR_OK : WEIR_E_NOMEM;
}
