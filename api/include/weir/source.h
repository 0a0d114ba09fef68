/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sources: how a connector brings records in. A source divides its input into splits once, when the job is submitted; the splits are dealt
 * out to the subtasks of the step; each split is read by a reader of its own, which can say where it stands and start from there again. (A
 * sink is an operator with WEIR_OPERATOR_SINK: see weir/operator.h, `finish`, `commit`, `close`.)
 */
#ifndef WEIR_SOURCE_H
#define WEIR_SOURCE_H

#include "weir/operator.h"

#ifdef __cplusplus
extern "C" {
#endif

#define WEIR_SPLITS_MAX 65536        /* splits of one source */
#define WEIR_SPLIT_BYTES_MAX 8192    /* bytes of one split's description */
#define WEIR_POSITION_BYTES_MAX 1024 /* bytes of a reader's position */

struct weir_splits; /* where discover puts them; owner: the runtime */

/* Adds a split: any bytes, copied. Errors: WEIR_E_LIMIT. */
WEIR_EXPORT weir_err weir_splits_add(struct weir_splits *splits, const void *data, uint32_t length);

enum weir_source_flags {
    WEIR_SOURCE_ONE_BY_ONE = 1, /* read a subtask's splits one after the other (files); else all at once, a batch from each in turn */
};

struct weir_source {
    size_t struct_size;
    const char *name; /* "file", "generator" */
    size_t self_size; /* of a reader: one split's */
    const struct weir_schema *schema;
    uint32_t flags;

    /* Finds the splits. `parallelism` is a hint: fewer splits leave subtasks idle. Runs once, in a process of its own; may block. */
    weir_err (*discover)(const void *config, uint32_t parallelism, struct weir_splits *splits, struct weir_diag *diag);

    /* Opens a reader on a split. position: what `position` gave once, or length 0 to start at the beginning. */
    weir_err (*open)(void *self, struct weir_ctx *ctx, struct weir_bytes split, struct weir_bytes position);

    /*
     * Emits some records to ctx->out[0] or a side output: returns soon, at the latest when weir_should_yield. WEIR_OK: there may be more at
     * once. WEIR_AGAIN: nothing at present. WEIR_DONE: the split has ended. Reading a local file is not blocking in this sense.
     */
    weir_err (*read)(void *self, struct weir_ctx *ctx);

    /* Writes where the reader stands, after the records emitted so far, in at most WEIR_POSITION_BYTES_MAX bytes. */
    weir_err (*position)(void *self, struct weir_ctx *ctx, void *data, uint32_t *length);

    /* Always called once after open, also when open failed. */
    void (*close)(void *self, struct weir_ctx *ctx);

    /* Row types of side outputs ctx->out[1 ... n_sides], for a source that reads several kinds of rows at once (weir_side_output). */
    const struct weir_schema *const *sides;
    uint32_t n_sides; /* at most WEIR_SIDES_MAX */
};

/*
 * For sources that know event time themselves (generators): no later record of this split has a time <= watermark_ms. The subtask's
 * watermark is the minimum over its splits. Not needed when weir_assign_watermarks follows.
 */
WEIR_EXPORT weir_err weir_source_watermark(struct weir_ctx *ctx, weir_time watermark_ms);

#ifdef __cplusplus
}
#endif
#endif
