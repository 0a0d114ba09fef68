/* SPDX-License-Identifier: Apache-2.0 */
/* What crosses between the two stages of an aggregate: a key and its accumulator over some records. */
#ifndef WEIR_RUNTIME_OPERATOR_PARTIAL_H
#define WEIR_RUNTIME_OPERATOR_PARTIAL_H

#include "weir/weir.h"

struct partial {
    int64_t count;       /* records added less records taken back */
    struct weir_str acc; /* first of the strings, so that it lies at a multiple of 8 bytes */
    struct weir_str key;
};

extern const struct weir_schema partial_schema;
extern const struct weir_keyer partial_key;

weir_err partial_emit(struct weir_out *out, const struct weir_key *key, int64_t count, struct weir_bytes acc, weir_time time_ms);

/* Gives a partial's count and accumulator. Errors: WEIR_E_CORRUPT: it has not acc_size bytes or lies askew (rows may come from others). */
weir_err partial_read(struct weir_ctx *ctx, struct weir_record *rec, uint32_t acc_size, int64_t *count, const void **acc);

/*
 * weir_group_aggregate, or the one at the end, for partials: merges them by key. Of the aggregate `add`, `subtract` and `in` are not used.
 * in  Keyed by partial_key.
 */
struct weir_stream *partial_merge(struct weir_stream *in, const char *id, const struct weir_group_aggregate *aggregate, bool at_end);

#endif
