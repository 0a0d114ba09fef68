/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a window keeps of its records, and what it shows: an aggregate's accumulator, or all rows, for a window function.
 *
 * Rows lie in a list of the state, under their key and the place they belong to (a slice, a session). In front of them stands an
 * accumulator as any other, which counts them, so that an operator need not know which of the two it has.
 *
 * The one liberty that the window operators take with the ABI is here: during an emit and for the lists, ctx->keys points at the key in
 * question.
 */
#ifndef WEIR_RUNTIME_OPERATOR_WINDOW_FOLD_H
#define WEIR_RUNTIME_OPERATOR_WINDOW_FOLD_H

#include "runtime/operator/window.h"

struct window_fold {
    const struct weir_aggregate *aggregate; /* of rows: the one that counts them */
    const struct weir_window_function *function;
    void *self; /* of the function */
    struct weir_state *rows;
    unsigned char *row; /* the last one given, aligned */
    uint32_t row_cap;
    void *summary; /* of a survey */
    bool keeps_rows;
    bool partials; /* what comes are partial.h's */
};

/* Where the rows of a window lie: a list for each place, one behind the other. Unused by aggregates. */
struct window_places {
    const int64_t *items;
    uint32_t n;
};

/* Errors: of weir_list_open; WEIR_E_ARGUMENT, WEIR_E_NOMEM. */
weir_err window_fold_open(struct window_fold *fold, struct weir_ctx *ctx, const struct window_config *config);
void window_fold_close(struct window_fold *fold);

/* Adds records idx[0 ... n - 1] (idx NULL: the first n) of the batch to accs[0 ... n - 1], all of one place. */
weir_err window_fold_add(struct window_fold *fold, struct weir_ctx *ctx, void *const *accs, const struct weir_batch *batch,
                         const uint32_t *idx, uint32_t n, int64_t place);

/* Emits the result of a key's window. */
weir_err window_fold_emit(struct window_fold *fold, struct weir_ctx *ctx, const struct weir_key *key, const void *acc, weir_time start,
                          weir_time end, struct window_places places);

/* Drops the rows that a key has in a place, or puts them behind those of another place. Nothing to do for aggregates. */
weir_err window_fold_clear(struct window_fold *fold, struct weir_ctx *ctx, const struct weir_key *key, int64_t place);
weir_err window_fold_move(struct window_fold *fold, struct weir_ctx *ctx, const struct weir_key *key, int64_t from, int64_t to);

/* Passes records idx[0 ... n - 1] of the batch on to output 1 and counts them as late. The last use of the batch. */
weir_err window_pass_late(struct weir_ctx *ctx, const struct weir_batch *batch, const uint32_t *idx, uint32_t n);

#endif
