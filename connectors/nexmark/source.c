/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The generator as a source. An event follows from its number and its number from its arrival position, so a reader's whole position is the
 * arrival position of its next event, and any division into splits makes the same events.
 */
#include <stdlib.h>

#include "connectors/generator/pace.h"
#include "connectors/nexmark/event_text.h"
#include "weir/source.h"

#define CALL_EVENTS 4096 /* one call of `read` makes at most so many ... */
#define BURST_EVENTS 256 /* ... and looks after so many whether its outputs are full */
#define DRAFTS 32        /* events begun before the first of them is made */

#define RATE_DEFAULT 10000
#define RATE_MAX 1000000000000

/* A split makes the arrival positions first, first + step, first + 2 * step ... */
struct nexmark_split {
    int64_t first;
    int64_t step;
};

struct text_config {
    struct weir_nexmark events; /* first: discover and open see it alone */
    enum weir_nexmark_format format;
};

struct reader {
    struct weir_nexmark config; /* with its defaults */
    struct generate generate;
    struct nexmark_split split;
    int64_t next; /* arrival position of the next event */
    struct pace pace;

    /* Text only. */
    enum weir_nexmark_format format;
    struct text_buf line;
    uint64_t row[GENERATE_AUCTION_ROOM / 8]; /* the widest kind's */
};

/* ---- events ------------------------------------------------------------------------------------------------------------------------ */

WEIR_INLINE uint32_t make_row(struct reader *r, enum generate_kind kind, const struct generate_draft *draft, weir_time time, void *row)
{
    const struct weir_nexmark_fields *fields = &r->config.project;
    switch (kind) {
    case GENERATE_BID: return generate_bid(&r->generate, draft, time, fields->bid, row);
    case GENERATE_AUCTION: return generate_auction(&r->generate, draft, time, fields->auction, row);
    case GENERATE_PERSON: return generate_person(&r->generate, draft, time, fields->person, row);
    }
    return 0;
}

WEIR_INLINE weir_time record_time(const struct reader *r, uint64_t p, weir_time time)
{
    return r->config.time == WEIR_NEXMARK_ARRIVAL_TIME ? generate_time(&r->generate, p) : time;
}

/* The event, at arrival position p, into the output of its kind. */
WEIR_INLINE weir_err emit_event(struct reader *r, struct weir_ctx *ctx, const struct generate_draft *draft, uint64_t p)
{
    static const uint32_t rooms[EVENT_KINDS] = {GENERATE_BID_ROOM, GENERATE_AUCTION_ROOM, GENERATE_PERSON_ROOM};
    weir_time time = generate_time(&r->generate, draft->n);
    enum generate_kind kind = generate_kind(draft->n);
    struct weir_out *out = &ctx->out[kind];
    void *row = weir_row_begin(out, rooms[kind]);
    if (WEIR_UNLIKELY(!row)) return out->err;
    uint32_t size = make_row(r, kind, draft, time, row);
    weir_row_end(out, size, record_time(r, p, time), WEIR_INSERT);
    return WEIR_OK;
}

/* The same as a line of text, without its LF. */
WEIR_INLINE weir_err emit_line(struct reader *r, struct weir_ctx *ctx, const struct generate_draft *draft, uint64_t p)
{
    weir_time time = generate_time(&r->generate, draft->n);
    enum generate_kind kind = generate_kind(draft->n);
    (void)make_row(r, kind, draft, time, r->row);
    r->line.len = 0;
    if (!event_write(&r->line, r->format, kind, r->row)) return weir_fail(ctx->diag, WEIR_E_NOMEM, "no memory for a line of text");
    struct nexmark_line line = {weir_put_str(ctx->out, sizeof line, r->line.data, (uint32_t)r->line.len - 1)};
    return weir_emit(ctx->out, &line, sizeof line, record_time(r, p, time));
}

/* ---- how many ---------------------------------------------------------------------------------------------------------------------- */

/* Events of this split at positions below p, from `next` on. */
static int64_t events_below(const struct reader *r, int64_t p)
{
    return p <= r->next ? 0 : (p - r->next - 1) / r->split.step + 1;
}

static int64_t events_now(struct reader *r, struct weir_ctx *ctx)
{
    int64_t left = events_below(r, r->config.events);
    int64_t n = left < CALL_EVENTS ? left : CALL_EVENTS;
    if (r->config.pace && n) {
        int64_t due = events_below(r, pace_due_below(&r->pace, r->next, r->config.pace, weir_now_ms(ctx)));
        if (due < n) n = due;
    }
    return n;
}

/* ---- read -------------------------------------------------------------------------------------------------------------------------- */

/* What is promised once position p has been emitted. */
static weir_time watermark(const struct reader *r, uint64_t p)
{
    if (r->config.time == WEIR_NEXMARK_ARRIVAL_TIME) return generate_time(&r->generate, p) - 1;
    return generate_watermark(&r->generate, p);
}

typedef weir_err (*emit_fn)(struct reader *, struct weir_ctx *, const struct generate_draft *, uint64_t p);

/* The next n <= DRAFTS events. */
WEIR_INLINE weir_err emit_events(struct reader *r, struct weir_ctx *ctx, emit_fn emit, int64_t n)
{
    struct generate_draft drafts[DRAFTS];
    int64_t step = r->split.step;
    for (int64_t i = 0; i < n; i++)
        drafts[i] = generate_begin(&r->generate, generate_event_at(&r->generate, (uint64_t)(r->next + i * step)), r->config.project.bid);
    for (int64_t i = 0; i < n; i++, r->next += step) {
        weir_err err = emit(r, ctx, &drafts[i], (uint64_t)r->next);
        if (WEIR_UNLIKELY(err)) return err;
    }
    return WEIR_OK;
}

WEIR_INLINE weir_err read_events(struct reader *r, struct weir_ctx *ctx, emit_fn emit)
{
    int64_t n = events_now(r, ctx), left = n, step = r->split.step;
    while (left > 0 && !weir_should_yield(ctx)) {
        int64_t burst = left < BURST_EVENTS ? left : BURST_EVENTS;
        left -= burst;
        for (int64_t n_drafts; burst > 0; burst -= n_drafts) {
            n_drafts = burst < DRAFTS ? burst : DRAFTS;
            weir_err err = emit_events(r, ctx, emit, n_drafts);
            if (WEIR_UNLIKELY(err)) return err;
        }
    }
    weir_err err = left < n ? weir_source_watermark(ctx, watermark(r, (uint64_t)(r->next - step))) : WEIR_OK;
    if (err) return err;
    if (r->next >= r->config.events) return WEIR_DONE;
    return n ? WEIR_OK : WEIR_AGAIN;
}

static weir_err nexmark_read(void *self, struct weir_ctx *ctx)
{
    return read_events(self, ctx, emit_event);
}

static weir_err text_read(void *self, struct weir_ctx *ctx)
{
    return read_events(self, ctx, emit_line);
}

/* ---- configuration ----------------------------------------------------------------------------------------------------------------- */

static struct weir_nexmark with_defaults(const struct weir_nexmark *config)
{
    struct weir_nexmark c = *config;
    if (c.events < 0) c.events = WEIR_NEXMARK_EVENTS_MAX;
    if (c.rate == 0) c.rate = RATE_DEFAULT;
    if (c.group == 0) c.group = 1;
    if (c.project.bid == 0) c.project.bid = GENERATE_BID_FIELDS;
    if (c.project.auction == 0) c.project.auction = GENERATE_AUCTION_FIELDS;
    if (c.project.person == 0) c.project.person = GENERATE_PERSON_FIELDS;
    return c;
}

static weir_err outside(struct weir_diag *diag, const char *name, int64_t value, int64_t least, int64_t most)
{
    if (value >= least && value <= most) return WEIR_OK;
    return weir_fail(diag, WEIR_E_ARGUMENT, "nexmark: %s %lld is outside %lld ... %lld", name, (long long)value, (long long)least,
                     (long long)most);
}

static weir_err check_project(const struct weir_nexmark_fields *f, struct weir_diag *diag)
{
    if (!(f->bid & ~GENERATE_BID_FIELDS) && !(f->auction & ~GENERATE_AUCTION_FIELDS) && !(f->person & ~GENERATE_PERSON_FIELDS))
        return WEIR_OK;
    return weir_fail(diag, WEIR_E_ARGUMENT, "nexmark: project names a field that a bid (8), auction (11) or person (9) does not have");
}

static weir_err check_config(const struct weir_nexmark *c, struct weir_diag *diag)
{
    weir_err err = outside(diag, "events", c->events, 0, WEIR_NEXMARK_EVENTS_MAX);
    if (!err) err = outside(diag, "rate", c->rate, 1, RATE_MAX);
    if (!err) err = outside(diag, "group", c->group, 1, WEIR_NEXMARK_GROUP_MAX);
    if (!err && c->group % GENERATE_SHUFFLE == 0) {
        err = weir_fail(diag, WEIR_E_ARGUMENT, "nexmark: group %lld is a multiple of %u, which would repeat events", (long long)c->group,
                        GENERATE_SHUFFLE);
    }
    if (!err) err = outside(diag, "pace", c->pace, 0, PACE_MAX);
    if (!err) err = outside(diag, "pace_start", c->pace_start, 0, INT64_MAX);
    if (!err) err = outside(diag, "time", c->time, WEIR_NEXMARK_EVENT_TIME, WEIR_NEXMARK_ARRIVAL_TIME);
    if (!err) err = outside(diag, "splits", c->splits, 0, WEIR_SPLITS_MAX);
    return err ? err : check_project(&c->project, diag);
}

static weir_err nexmark_discover(const void *config, uint32_t parallelism, struct weir_splits *splits, struct weir_diag *diag)
{
    struct weir_nexmark c = with_defaults(config);
    weir_err err = check_config(&c, diag);
    uint32_t n = c.splits ? c.splits : parallelism;
    for (uint32_t i = 0; i < n && !err; i++) {
        struct nexmark_split split = {.first = i, .step = n};
        err = weir_splits_add(splits, &split, sizeof split);
        if (err) return weir_fail(diag, err, "nexmark: split %u", i);
    }
    return err;
}

static weir_err text_discover(const void *config, uint32_t parallelism, struct weir_splits *splits, struct weir_diag *diag)
{
    const struct text_config *c = config;
    const struct weir_nexmark_fields *f = &c->events.project;
    weir_err err = outside(diag, "format", c->format, WEIR_NEXMARK_CSV, WEIR_NEXMARK_JSON);
    if (!err && (f->bid || f->auction || f->person))
        err = weir_fail(diag, WEIR_E_ARGUMENT, "nexmark: text has all fields; project must be zero");
    return err ? err : nexmark_discover(&c->events, parallelism, splits, diag);
}

/* ---- life -------------------------------------------------------------------------------------------------------------------------- */

static weir_err nexmark_open(void *self, struct weir_ctx *ctx, struct weir_bytes split, struct weir_bytes position)
{
    struct reader *r = self;
    if (split.length != sizeof r->split) return weir_fail(ctx->diag, WEIR_E_CORRUPT, "not a split of nexmark");
    memcpy(&r->split, split.data, sizeof r->split);
    int64_t next = r->split.first;
    if (position.length == sizeof next) memcpy(&next, position.data, sizeof next);
    if (r->split.step <= 0 || position.length % sizeof next || next < r->split.first || (next - r->split.first) % r->split.step)
        return weir_fail(ctx->diag, WEIR_E_CORRUPT, "not a position of nexmark");
    r->next = next;
    r->config = with_defaults(ctx->config);
    if (r->config.pace_start) pace_begin_at(&r->pace, r->config.pace_start);
    generate_init(&r->generate, r->config.seed, (uint64_t)r->config.events, (uint64_t)r->config.rate, (uint64_t)r->config.group);
    return WEIR_OK;
}

static weir_err text_open(void *self, struct weir_ctx *ctx, struct weir_bytes split, struct weir_bytes position)
{
    struct reader *r = self;
    r->format = ((const struct text_config *)ctx->config)->format;
    return nexmark_open(self, ctx, split, position);
}

/* Splits and positions: numbers in the byte order of all machines Weir runs on, little-endian. */
static weir_err nexmark_position(void *self, struct weir_ctx *ctx, void *data, uint32_t *length)
{
    struct reader *r = self;
    (void)ctx;
    memcpy(data, &r->next, sizeof r->next);
    *length = sizeof r->next;
    return WEIR_OK;
}

static void text_reader_close(void *self, struct weir_ctx *ctx)
{
    struct reader *r = self;
    (void)ctx;
    text_close(&r->line);
}

/* ---- the tables -------------------------------------------------------------------------------------------------------------------- */

static const struct weir_schema *const sides[] = {
    [GENERATE_AUCTION - 1] = &nexmark_auction_schema,
    [GENERATE_PERSON - 1] = &nexmark_person_schema,
};

static const struct weir_source nexmark_source = {
    .struct_size = sizeof(struct weir_source),
    .name = "nexmark",
    .self_size = sizeof(struct reader),
    .schema = &nexmark_bid_schema,
    .sides = sides,
    .n_sides = sizeof sides / sizeof *sides,
    .discover = nexmark_discover,
    .open = nexmark_open,
    .read = nexmark_read,
    .position = nexmark_position,
};

static const struct weir_source text_source = {
    .struct_size = sizeof(struct weir_source),
    .name = "nexmark text",
    .self_size = sizeof(struct reader),
    .schema = &nexmark_line_schema,
    .discover = text_discover,
    .open = text_open,
    .read = text_read,
    .position = nexmark_position,
    .close = text_reader_close,
};

struct weir_nexmark_streams weir_from_nexmark(struct weir_env *env, const char *id, const struct weir_nexmark *config)
{
    struct weir_stream *bids = weir_from(env, id, &nexmark_source, config, sizeof *config);
    return (struct weir_nexmark_streams){
        .bids = bids, .auctions = weir_side_output(bids, GENERATE_AUCTION - 1), .persons = weir_side_output(bids, GENERATE_PERSON - 1)};
}

struct weir_stream *weir_from_nexmark_text(struct weir_env *env, const char *id, const struct weir_nexmark *config,
                                           enum weir_nexmark_format format)
{
    if (!config) return weir_from(env, id, &text_source, NULL, sizeof(struct text_config)); /* which keeps the mistake */
    struct text_config c = {.events = *config, .format = format};
    return weir_from(env, id, &text_source, &c, sizeof c);
}
