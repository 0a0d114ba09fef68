/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The smallest sink: a table with one function. It keeps no state of its own; the runtime's counters hold the sums, which add up over
 * subtasks because both are sums modulo 2^64.
 */
#include "weir/connector/blackhole.h"

#define XXH_INLINE_ALL /* rows are short: the call would cost as much as the hash */
#include <xxhash.h>

WEIR_INLINE uint64_t checksum(const uint32_t *sel, uint32_t stride, const struct weir_batch *batch)
{
    uint64_t sum = 0;
    uint32_t n = batch->count;
    for (uint32_t i = 0; i < n; i++) {
        struct weir_record *rec = WEIR_RECORD_AT(batch, sel, stride, i);
        sum += XXH3_64bits_withSeed(weir_record_row(rec), rec->size, rec->kind);
    }
    return sum;
}

static weir_err blackhole_process(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *batch)
{
    (void)self, (void)input;
    weir_count(ctx, "rows", batch->count);
    weir_count(ctx, "checksum", batch->sel ? checksum(batch->sel, 0, batch) : checksum(NULL, batch->stride, batch));
    return WEIR_OK;
}

static const struct weir_operator blackhole = {
    .struct_size = sizeof(struct weir_operator),
    .name = "blackhole",
    .flags = WEIR_OPERATOR_SINK | WEIR_OPERATOR_TAKES_CHANGES,
    .process = blackhole_process,
};

struct weir_stream *weir_to_blackhole(struct weir_stream *in, const char *id)
{
    return weir_apply(in, id, &blackhole, NULL, 0);
}
