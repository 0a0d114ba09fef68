/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/operator/partial.h"

static const struct weir_field fields[] = {WEIR_FIELD(partial, 1, I64, count), WEIR_FIELD(partial, 2, STR, acc),
                                           WEIR_FIELD(partial, 3, STR, key)};
const struct weir_schema partial_schema = {sizeof(struct weir_schema), "partial", sizeof(struct partial), 3, fields};

static void extract_key(const struct weir_batch *batch, struct weir_key *keys, unsigned char *scratch)
{
    (void)scratch; /* keys lie in the rows */
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct partial *row = weir_record_row(weir_batch_record(batch, i));
        keys[i].data = weir_str_data(row, row->key);
        keys[i].length = row->key.length;
    }
}
const struct weir_keyer partial_key = {sizeof(struct weir_keyer), "key", 0, extract_key, NULL};

weir_err partial_emit(struct weir_out *out, const struct weir_key *key, int64_t count, struct weir_bytes acc, weir_time time_ms)
{
    struct partial row = {.count = count};
    row.acc = weir_put_str(out, sizeof row, acc.data, acc.length);
    row.key = weir_put_str(out, sizeof row, key->data, key->length);
    return weir_emit(out, &row, sizeof row, time_ms);
}

weir_err partial_read(struct weir_ctx *ctx, struct weir_record *rec, uint32_t acc_size, int64_t *count, const void **acc)
{
    const struct partial *row = weir_record_row(rec);
    *count = row->count;
    *acc = weir_str_data(row, row->acc);
    if (WEIR_LIKELY(row->acc.length == acc_size && (uintptr_t)*acc % 8 == 0)) return WEIR_OK;
    return weir_fail(ctx->diag, WEIR_E_CORRUPT, "%s: a partial accumulator has %u bytes, %u are due", ctx->operator_id, row->acc.length,
                     acc_size);
}
