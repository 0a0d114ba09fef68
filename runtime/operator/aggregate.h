/* SPDX-License-Identifier: Apache-2.0 */
/* The operators behind weir_group_aggregate, weir_two_stage_aggregate and weir_two_stage_window_aggregate. */
#ifndef WEIR_RUNTIME_OPERATOR_AGGREGATE_H
#define WEIR_RUNTIME_OPERATOR_AGGREGATE_H

#include "weir/weir.h"

#define AGGREGATE_SCRATCH (1u << 20) /* bytes for a batch's accumulators; larger ones make the pieces of a batch smaller */

struct aggregate_config {
    const struct weir_group_aggregate *aggregate;
    const struct weir_keyer *keyer; /* of the local stage */
    bool partials;                  /* the input is of partial.h */
    struct weir_window window;      /* local stage: each partial is of one slice of it; zeros: there is none */
};

/* A key's value: how many records it has, and their accumulator. */
struct aggregate_cell {
    int64_t count;
    unsigned char acc[];
};

weir_err aggregate_open_state(struct weir_ctx *ctx, const struct weir_group_aggregate *aggregate, struct weir_state **out);

/* The builders put row types and the flags of changes in. */
extern const struct weir_operator group_aggregate_operator;
extern const struct weir_operator end_aggregate_operator;
extern const struct weir_operator local_aggregate_operator;

/* Records of a batch that are dealt with at once. */
static inline uint32_t aggregate_piece(uint32_t acc_size)
{
    uint32_t n = AGGREGATE_SCRATCH / acc_size;
    return n == 0 ? 1 : n < WEIR_BATCH_MAX ? n : WEIR_BATCH_MAX;
}

/* A record that takes back: -U or -D. */
static inline bool takes_back(uint8_t kind)
{
    return kind == WEIR_UPDATE_BEFORE || kind == WEIR_DELETE;
}

/* The local stage `id`.local, keyed for the next one; config's keyer is checked. Of its aggregate only acc_size, add and subtract count. */
struct weir_stream *aggregate_locally(struct weir_stream *in, const char *id, const struct aggregate_config *config);

/* True when the descriptor may be used for the step; else the job is refused. */
bool aggregate_check(struct weir_stream *in, const char *id, const struct weir_group_aggregate *aggregate);

/*
 * Adds records to accumulators and takes back those of the kinds that do: records from ... from + n - 1 of the batch, accs[i] being that of
 * record from + i.
 */
struct aggregate_fold {
    uint32_t idx[2][WEIR_BATCH_MAX]; /* added, taken back */
    void *accs[2][WEIR_BATCH_MAX];
};
void aggregate_fold(struct aggregate_fold *fold, const struct weir_group_aggregate *aggregate, const struct weir_batch *batch,
                    uint32_t from, uint32_t n, void *const *accs);

#endif
