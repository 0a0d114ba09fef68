/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The smallest sink that keeps something: two sums, shown as counters, which add up over subtasks because both are sums modulo 2^64. State:
 * operator list "sums", of each subtask its own; written when a checkpoint asks.
 */
#include "weir/connector/blackhole.h"

#include "weir/state.h"

#define XXH_INLINE_ALL /* rows are short: the call would cost as much as the hash */
#include <xxhash.h>

struct sums {
    uint64_t rows, checksum;
};

struct blackhole {
    struct sums sums;
    uint64_t prepared; /* rows that the last checkpoint knew of */
    struct weir_operator_list *kept;
};

static void add(struct blackhole *b, struct weir_ctx *ctx, uint64_t rows, uint64_t checksum)
{
    b->sums.rows += rows;
    b->sums.checksum += checksum;
    weir_count(ctx, "rows", rows);
    weir_count(ctx, "checksum", checksum);
}

static weir_err blackhole_open(void *self, struct weir_ctx *ctx)
{
    struct blackhole *b = self;
    const struct weir_state_desc desc = {.struct_size = sizeof desc, .name = "sums", .value_size = sizeof(struct sums)};
    weir_err err = weir_operator_list_open(ctx, &desc, WEIR_SPLIT, &b->kept);
    if (err) return err;
    for (uint32_t i = 0; i < weir_operator_list_count(b->kept); i++) {
        struct sums sums;
        memcpy(&sums, weir_operator_list_at(b->kept, i).data, sizeof sums);
        add(b, ctx, sums.rows, sums.checksum);
    }
    b->prepared = b->sums.rows;
    return WEIR_OK;
}

WEIR_INLINE uint64_t checksum_of(const uint32_t *sel, uint32_t stride, const struct weir_batch *batch)
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
    (void)input;
    add(self, ctx, batch->count, batch->sel ? checksum_of(batch->sel, 0, batch) : checksum_of(NULL, batch->stride, batch));
    return WEIR_OK;
}

/* Nothing is to be shown later: what is in the checkpoint is the sums. */
static weir_err blackhole_prepare(void *self, struct weir_ctx *ctx, uint64_t checkpoint_id, struct weir_committables *out)
{
    struct blackhole *b = self;
    (void)checkpoint_id;
    weir_committables_records(out, b->sums.rows - b->prepared);
    b->prepared = b->sums.rows;
    weir_operator_list_clear(ctx, b->kept);
    return weir_operator_list_add(ctx, b->kept, &b->sums, sizeof b->sums);
}

static const struct weir_operator blackhole = {
    .struct_size = sizeof(struct weir_operator),
    .name = "blackhole",
    .self_size = sizeof(struct blackhole),
    .flags = WEIR_OPERATOR_SINK | WEIR_OPERATOR_TAKES_CHANGES,
    .open = blackhole_open,
    .process = blackhole_process,
    .prepare = blackhole_prepare,
};

struct weir_stream *weir_to_blackhole(struct weir_stream *in, const char *id)
{
    return weir_apply(in, id, &blackhole, NULL, 0);
}
