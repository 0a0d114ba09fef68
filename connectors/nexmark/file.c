/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events from a file. A reader takes record after record from its range and knows the number of each, which is its arrival position. It
 * stands between two records; its own position is the byte where the next one begins and that one's number, two little-endian i64.
 */
#include "connectors/nexmark/file.h"

#include <inttypes.h>
#include <stdlib.h>

#include "connectors/nexmark/event_text.h"
#include "connectors/text/split.h"

/* One call of `read` ends after so much; between bursts it looks whether its outputs are full. */
#define CALL_BYTES (256 << 10)
#define BURST_BYTES (16 << 10)
#define BURST_RECORDS 64

#define RATE_DEFAULT 10000
#define POSITION_BYTES 16

enum { OUT_MALFORMED = EVENT_KINDS }; /* the outputs before it are the kinds' */

struct file_reader {
    const struct weir_nexmark_file *config;
    char *path;
    struct lines lines;
    struct event_reader events;
    struct text_buf original; /* of the record being read, which reading changes; for dead letters */
    struct weir_diag why;     /* it is no event */
    struct generate clock;
    int64_t next;      /* number of the next record */
    weir_time highest; /* dateTime read */
};

/* ---- life -------------------------------------------------------------------------------------------------------------------------- */

static weir_err open_at(struct file_reader *r, const struct split *split, struct weir_bytes position, struct weir_diag *diag)
{
    struct lines_range range = {
        .begin = split->begin, .end = split->end, .resume = split->begin, .multiline = r->config->format == WEIR_NEXMARK_CSV};
    r->next = split->first_line;
    if (position.length == POSITION_BYTES) {
        range.resume = split_get_i64(position.data);
        r->next = split_get_i64((const unsigned char *)position.data + 8);
    }
    if (position.length % POSITION_BYTES || range.resume < split->begin || r->next < split->first_line)
        return weir_fail(diag, WEIR_E_CORRUPT, "%s: not a position in this split", r->path);
    return lines_open(&r->lines, r->path, &split->identity, &range, diag);
}

static weir_err nexmark_file_open(void *self, struct weir_ctx *ctx, struct weir_bytes split_bytes, struct weir_bytes position)
{
    struct file_reader *r = self;
    r->config = ctx->config;
    r->highest = -1;
    generate_init(&r->clock, 0, 0, r->config->rate ? (uint64_t)r->config->rate : RATE_DEFAULT, 1);
    struct split split;
    weir_err err = split_read(&split, split_bytes, ctx->diag);
    if (err) return err;
    r->path = (char *)split.path; /* given */
    err = event_reader_init(&r->events, r->config->format, ctx->diag);
    return err ? err : open_at(r, &split, position, ctx->diag);
}

static void nexmark_file_close(void *self, struct weir_ctx *ctx)
{
    struct file_reader *r = self;
    (void)ctx;
    lines_close(&r->lines);
    event_reader_close(&r->events);
    text_close(&r->original);
    free(r->path);
    r->path = NULL;
}

static weir_err nexmark_file_position(void *self, struct weir_ctx *ctx, void *data, uint32_t *length)
{
    struct file_reader *r = self;
    (void)ctx;
    split_put_i64(data, lines_position(&r->lines));
    split_put_i64((unsigned char *)data + 8, r->next);
    *length = POSITION_BYTES;
    return WEIR_OK;
}

/* ---- records ----------------------------------------------------------------------------------------------------------------------- */

static weir_time arrival_time(const struct file_reader *r, int64_t record)
{
    return generate_time(&r->clock, (uint64_t)record);
}

static weir_err emit_event(struct file_reader *r, struct weir_ctx *ctx, enum generate_kind kind)
{
    static const size_t time_offsets[EVENT_KINDS] = {offsetof(struct nexmark_bid, date_time), offsetof(struct nexmark_auction, date_time),
                                                     offsetof(struct nexmark_person, date_time)};
    const struct row_text *row = &r->events.rows[kind];
    weir_time time;
    memcpy(&time, row->bytes + time_offsets[kind], sizeof time);
    if (time > r->highest) r->highest = time;
    if (r->config->time == WEIR_NEXMARK_ARRIVAL_TIME) time = arrival_time(r, r->next);
    return weir_emit_bytes(&ctx->out[kind], row->bytes, row->schema->row_size, time, WEIR_INSERT);
}

static weir_err emit_malformed(struct file_reader *r, struct weir_ctx *ctx, const struct line *line)
{
    struct weir_out *out = &ctx->out[OUT_MALFORMED];
    struct nexmark_malformed row = {.position = line->position, .line = r->next};
    const char *reason = r->why.text;
    row.text = weir_put_str(out, sizeof row, r->original.data, (uint32_t)r->original.len);
    row.reason = weir_put_str(out, sizeof row, reason, (uint32_t)strlen(reason));
    return weir_emit(out, &row, sizeof row, r->config->time == WEIR_NEXMARK_ARRIVAL_TIME ? arrival_time(r, r->next) : WEIR_TIME_MIN);
}

static weir_err refuse(struct file_reader *r, struct weir_ctx *ctx, const struct line *line, size_t error_at, weir_err err)
{
    if (err != WEIR_E_CORRUPT && err != WEIR_E_LIMIT) return weir_fail(ctx->diag, err, "%s: %s", r->path, r->why.text);
    if (r->config->on_malformed == WEIR_NEXMARK_DEAD_LETTER) return emit_malformed(r, ctx, line);
    return weir_fail(ctx->diag, err, "%s: line %" PRId64 " (from 0), byte %" PRId64 " (line at %" PRId64 "): %s", r->path, r->next,
                     line->position + (int64_t)error_at, line->position, r->why.text);
}

static weir_err keep_original(struct file_reader *r, struct weir_ctx *ctx, const struct line *line)
{
    if (r->config->on_malformed != WEIR_NEXMARK_DEAD_LETTER) return WEIR_OK;
    r->original.len = 0;
    if (!text_reserve(&r->original, line->len)) return weir_fail(ctx->diag, WEIR_E_NOMEM, "%s: no memory to keep a record", r->path);
    text_put(&r->original, line->text, line->len);
    return WEIR_OK;
}

static weir_err take_record(struct file_reader *r, struct weir_ctx *ctx, const struct line *line)
{
    enum generate_kind kind;
    size_t error_at = 0;
    weir_err err = keep_original(r, ctx, line);
    if (err) return err;
    err = event_read(&r->events, ctx->out, line->text, line->len, &kind, &error_at, &r->why);
    for (int k = 0; k < EVENT_KINDS; k++) {
        if (WEIR_UNLIKELY(ctx->out[k].err)) return ctx->out[k].err; /* the output's own failure has its own words */
    }
    err = err ? refuse(r, ctx, line, error_at, err) : emit_event(r, ctx, kind);
    r->next++;
    return err;
}

/* ---- read -------------------------------------------------------------------------------------------------------------------------- */

/* A run of records; *bytes is lowered by what it took. */
static weir_err read_burst(struct file_reader *r, struct weir_ctx *ctx, int64_t *bytes)
{
    int64_t enough = *bytes - BURST_BYTES;
    for (int n = 0; n<BURST_RECORDS && * bytes> enough; n++) {
        struct line line;
        weir_err err = lines_next(&r->lines, &line, ctx->diag);
        if (WEIR_UNLIKELY(err)) return err;
        err = take_record(r, ctx, &line);
        if (WEIR_UNLIKELY(err)) return err;
        *bytes -= (int64_t)line.len + 1;
    }
    return WEIR_OK;
}

static weir_err state_watermark(struct file_reader *r, struct weir_ctx *ctx, int64_t first)
{
    if (r->next == first) return WEIR_OK; /* nothing read */
    if (r->config->time == WEIR_NEXMARK_ARRIVAL_TIME) return weir_source_watermark(ctx, arrival_time(r, r->next - 1) - 1);
    if (r->config->lag_ms < 0 || r->highest < 0) return WEIR_OK;
    return weir_source_watermark(ctx, r->highest - r->config->lag_ms - 1);
}

static weir_err nexmark_file_read(void *self, struct weir_ctx *ctx)
{
    struct file_reader *r = self;
    int64_t bytes = CALL_BYTES, first = r->next;
    weir_err err = WEIR_OK;
    while (!err && bytes > 0 && !weir_should_yield(ctx)) err = read_burst(r, ctx, &bytes);
    if (err && err != WEIR_AGAIN && err != WEIR_DONE) return err;
    weir_err stated = state_watermark(r, ctx, first);
    if (stated) return stated;
    return err == WEIR_DONE ? WEIR_DONE : WEIR_OK; /* AGAIN: the buffer has been filled, enough for one call; there is more at once */
}

/* ---- the table --------------------------------------------------------------------------------------------------------------------- */

static const struct weir_schema *const sides[] = {
    [GENERATE_AUCTION - 1] = &nexmark_auction_schema,
    [GENERATE_PERSON - 1] = &nexmark_person_schema,
    [OUT_MALFORMED - 1] = &nexmark_malformed_schema,
};

static const struct weir_source file_source = {
    .struct_size = sizeof(struct weir_source),
    .name = "nexmark file",
    .self_size = sizeof(struct file_reader),
    .schema = &nexmark_bid_schema,
    .sides = sides,
    .n_sides = sizeof sides / sizeof *sides,
    .flags = WEIR_SOURCE_ONE_BY_ONE,
    .discover = file_discover_events,
    .open = nexmark_file_open,
    .read = nexmark_file_read,
    .position = nexmark_file_position,
    .close = nexmark_file_close,
};

struct weir_nexmark_streams weir_from_nexmark_file(struct weir_env *env, const char *id, const struct weir_nexmark_file *config)
{
    struct weir_nexmark_file copy = config ? *config : (struct weir_nexmark_file){0};
    if (env && copy.path) copy.path = weir_env_path(env, copy.path);
    struct weir_stream *bids = weir_from(env, id, &file_source, config ? &copy : NULL, sizeof copy);
    return (struct weir_nexmark_streams){.bids = bids,
                                         .auctions = weir_side_output(bids, GENERATE_AUCTION - 1),
                                         .persons = weir_side_output(bids, GENERATE_PERSON - 1),
                                         .malformed = weir_side_output(bids, OUT_MALFORMED - 1)};
}
