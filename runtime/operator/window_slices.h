/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The slices that hold records, in order of time. Each is a table from key to accumulator in the state; its number there is the lowest time
 * that a record in it can have, from which a restored operator finds it again. Owner: the operator.
 */
#ifndef WEIR_RUNTIME_OPERATOR_WINDOW_SLICES_H
#define WEIR_RUNTIME_OPERATOR_WINDOW_SLICES_H

#include "runtime/operator/window_grid.h"

struct slice {
    window_slice number;
    weir_time lowest; /* its pane in the state */
    weir_time last;
    struct weir_table *table;
    struct weir_table *suffix; /* window_running.h; NULL: none */
    uint32_t part;             /* window_slice.c, while a batch is split */
};

struct window_slices {
    const struct window_grid *grid;
    struct weir_panes *state;
    struct slice **items; /* items[first] ... items[n - 1], ascending */
    uint32_t first, n, cap;
};

/* grid: kept. Finds what was restored. Errors: of weir_panes_open; WEIR_E_STATE: restored slices of another size or offset. */
weir_err window_slices_open(struct window_slices *s, struct weir_ctx *ctx, const struct window_grid *grid, uint32_t acc_size);

/* Frees the memory; tables stay: what has not been dropped is the state's. */
void window_slices_close(struct window_slices *s);

/* Index in items of the first slice whose number is not below `number`; n: none. */
uint32_t window_slices_from(const struct window_slices *s, window_slice number);

/* The slice with that pane, or NULL. */
struct slice *window_slices_pane(const struct window_slices *s, weir_time lowest);

/* The slice of that number, made when there is none. Errors: WEIR_E_NOMEM, of weir_panes_table. */
weir_err window_slices_make(struct window_slices *s, struct weir_ctx *ctx, window_slice number, struct slice **out);

/* The slice of time t, or NULL: a search without arithmetic in 128 bits. */
struct slice *window_slices_at(const struct window_slices *s, weir_time t);

/* Drops the first one with its table. */
void window_slices_drop_first(struct window_slices *s, struct weir_ctx *ctx);

#endif
