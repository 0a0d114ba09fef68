/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a web server's access log (combined format) and writes, each in a folder of its own:
 *
 *     minute/     per minute and status: start,status,requests,bytes
 *     top/        per hour the ten most requested paths: start,rank,path,count
 *     sessions/   per client, cut where it is silent for more than 30 minutes: client,first,last,requests,bytes
 *     malformed/  the lines that are not of the format, unchanged
 *
 *     jobctl run --local --taskmanagers 2 --parallelism 2 build/jobs/accesslog.so -- --input FILE --output DIR
 */
#include <stdlib.h>
#include <string.h>

#include "weir/connector/file.h"
#include "weir/weir.h"

#define MINUTE_MS 60000
#define HOUR_MS (60 * MINUTE_MS)
#define DISORDER_MS (60 * 1000) /* lines are written when a request ends, so times go back a little */
#define TOP 10

/* ---- rows
 * ---------------------------------------------------------------------------------------------------------------------------------- */

struct hit {
    weir_time time;
    int64_t bytes;
    int32_t status;
    int32_t reserved;
    struct weir_str client;
    struct weir_str path; /* without its query */
};
WEIR_ROW(hit, WEIR_FIELD(hit, 1, TIME, time), WEIR_FIELD(hit, 2, I64, bytes), WEIR_FIELD(hit, 3, I32, status),
         WEIR_FIELD(hit, 4, STR, client), WEIR_FIELD(hit, 5, STR, path));

struct bad_line {
    struct weir_str text;
};
WEIR_ROW(bad_line, WEIR_FIELD(bad_line, 1, STR, text));

struct minute {
    weir_time start;
    int64_t requests;
    int64_t bytes;
    int32_t status;
    int32_t reserved;
};
WEIR_ROW(minute, WEIR_FIELD(minute, 1, TIME, start), WEIR_FIELD(minute, 2, I32, status), WEIR_FIELD(minute, 3, I64, requests),
         WEIR_FIELD(minute, 4, I64, bytes));

struct path_count {
    weir_time hour;
    int64_t count;
    struct weir_str path;
};
WEIR_ROW(path_count, WEIR_FIELD(path_count, 1, TIME, hour), WEIR_FIELD(path_count, 2, STR, path), WEIR_FIELD(path_count, 3, I64, count));

struct top_path {
    weir_time hour;
    int64_t rank;
    int64_t count;
    struct weir_str path;
};
WEIR_ROW(top_path, WEIR_FIELD(top_path, 1, TIME, hour), WEIR_FIELD(top_path, 2, I64, rank), WEIR_FIELD(top_path, 3, STR, path),
         WEIR_FIELD(top_path, 4, I64, count));

struct session {
    weir_time first;
    weir_time last;
    int64_t requests;
    int64_t bytes;
    struct weir_str client;
};
WEIR_ROW(session, WEIR_FIELD(session, 1, STR, client), WEIR_FIELD(session, 2, TIME, first), WEIR_FIELD(session, 3, TIME, last),
         WEIR_FIELD(session, 4, I64, requests), WEIR_FIELD(session, 5, I64, bytes));

/* ---- parsing: host ident user [time] "request" status bytes "referer" "agent"
 * --------------------------------------------------------------- */

struct text {
    const char *at, *end;
};

struct span {
    const char *data;
    uint32_t length;
};

static bool eat(struct text *t, char c)
{
    if (t->at == t->end || *t->at != c) return false;
    t->at++;
    return true;
}

/* A run of anything but spaces, not empty. */
static bool word(struct text *t, struct span *out)
{
    const char *from = t->at;
    while (t->at < t->end && *t->at != ' ') t->at++;
    *out = (struct span){from, (uint32_t)(t->at - from)};
    return t->at > from;
}

/* "..." in which a backslash protects the next character, as the server writes it. */
static bool quoted(struct text *t, struct span *out)
{
    if (!eat(t, '"')) return false;
    const char *from = t->at;
    for (; t->at < t->end && *t->at != '"'; t->at++)
        if (*t->at == '\\' && t->at + 1 < t->end) t->at++;
    *out = (struct span){from, (uint32_t)(t->at - from)};
    return eat(t, '"');
}

/* Exactly `digits` digits. */
static bool number(struct text *t, int digits, int64_t *out)
{
    int64_t n = 0;
    for (int i = 0; i < digits; i++, t->at++) {
        if (t->at == t->end || *t->at < '0' || *t->at > '9') return false;
        n = n * 10 + (*t->at - '0');
    }
    *out = n;
    return true;
}

static bool month(struct text *t, int64_t *out)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    if (t->end - t->at < 3) return false;
    for (int m = 0; m < 12; m++) {
        if (memcmp(names + m * 3, t->at, 3) != 0) continue;
        t->at += 3;
        *out = m + 1;
        return true;
    }
    return false;
}

/* Days since 1970-01-01 of a date of the Gregorian calendar, counted in years that begin in March, so that the leap day comes last. */
static int64_t days_of(int64_t year, int64_t mon, int64_t day)
{
    int64_t y = mon <= 2 ? year - 1 : year;
    int64_t era = y / 400, yoe = y % 400;
    int64_t doy = (153 * ((mon + 9) % 12) + 2) / 5 + day - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static int64_t days_in(int64_t year, int64_t mon)
{
    return days_of(mon == 12 ? year + 1 : year, mon == 12 ? 1 : mon + 1, 1) - days_of(year, mon, 1);
}

/* [17/May/2015:10:05:03 +0000] */
static bool timestamp(struct text *t, weir_time *out)
{
    int64_t day, mon, year, h, m, s, zone_h, zone_m;
    if (!eat(t, '[') || !number(t, 2, &day) || !eat(t, '/') || !month(t, &mon) || !eat(t, '/') || !number(t, 4, &year)) return false;
    if (!eat(t, ':') || !number(t, 2, &h) || !eat(t, ':') || !number(t, 2, &m) || !eat(t, ':') || !number(t, 2, &s) || !eat(t, ' '))
        return false;
    int64_t sign = t->at < t->end && *t->at == '-' ? -1 : 1;
    if (!eat(t, '+') && !eat(t, '-')) return false;
    if (!number(t, 2, &zone_h) || !number(t, 2, &zone_m) || !eat(t, ']')) return false;
    if (day < 1 || day > days_in(year, mon) || h > 23 || m > 59 || s > 60 || zone_m > 59) return false;
    *out = ((days_of(year, mon, day) * 24 + h) * 60 + m - sign * (zone_h * 60 + zone_m)) * MINUTE_MS + s * 1000;
    return true;
}

static bool size_of_reply(struct text *t, int64_t *out)
{
    if (eat(t, '-')) {
        *out = 0;
        return true;
    }
    int64_t n = 0;
    int digits = 0;
    for (; t->at < t->end && *t->at >= '0' && *t->at <= '9'; t->at++, digits++) {
        if (digits == 18) return false; /* beyond any file */
        n = n * 10 + (*t->at - '0');
    }
    *out = n;
    return digits > 0;
}

/* METHOD TARGET PROTOCOL; the path is the target up to its query. */
static bool path_of(struct span request, struct span *out)
{
    struct text t = {request.data, request.data + request.length};
    struct span method, target, protocol;
    if (!word(&t, &method) || !eat(&t, ' ') || !word(&t, &target) || !eat(&t, ' ') || !word(&t, &protocol) || t.at != t.end) return false;
    const char *query = memchr(target.data, '?', target.length);
    *out = (struct span){target.data, query ? (uint32_t)(query - target.data) : target.length};
    return true;
}

static bool parse_line(struct text t, struct hit *hit, struct span *client, struct span *path)
{
    struct span ident, user, request, referer, agent;
    int64_t status;
    if (!word(&t, client) || !eat(&t, ' ') || !word(&t, &ident) || !eat(&t, ' ') || !word(&t, &user) || !eat(&t, ' ')) return false;
    if (!timestamp(&t, &hit->time) || !eat(&t, ' ') || !quoted(&t, &request) || !eat(&t, ' ')) return false;
    if (!number(&t, 3, &status) || !eat(&t, ' ') || !size_of_reply(&t, &hit->bytes) || !eat(&t, ' ')) return false;
    if (!quoted(&t, &referer) || !eat(&t, ' ') || !quoted(&t, &agent) || t.at != t.end) return false;
    hit->status = (int32_t)status;
    return path_of(request, path);
}

static weir_err parse_one(struct weir_none *self, struct weir_ctx *ctx, const struct weir_line *line, const struct weir_record *rec)
{
    (void)self;
    const char *data = weir_str_data(line, line->text);
    struct hit hit = {0};
    struct span client, path;
    if (!parse_line((struct text){data, data + line->text.length}, &hit, &client, &path)) {
        struct bad_line bad = {.text = weir_put_str(&ctx->out[1], sizeof bad, data, line->text.length)};
        return weir_emit(&ctx->out[1], &bad, sizeof bad, rec->time_ms);
    }
    hit.client = weir_put_str(ctx->out, sizeof hit, client.data, client.length);
    hit.path = weir_put_str(ctx->out, sizeof hit, path.data, path.length);
    return weir_emit(ctx->out, &hit, sizeof hit, hit.time);
}

WEIR_PROCESS(parse, weir_none, weir_line, parse_one);
static const struct weir_schema *const parse_sides[] = {&bad_line_schema};
static const struct weir_operator parse = {.struct_size = sizeof parse,
                                           .name = "parse",
                                           .in = &weir_line_schema,
                                           .out = &hit_schema,
                                           .sides = parse_sides,
                                           .n_sides = 1,
                                           .process = parse_process};

WEIR_TIMESTAMP(hit_time, hit, time);

/* ---- per minute and status
 * ------------------------------------------------------------------------------------------------------------------ */

WEIR_KEY_FIXED(by_status, hit, status);

struct traffic {
    int64_t requests, bytes;
};

static void traffic_add(struct traffic *acc, const struct hit *hit, weir_time time)
{
    (void)time;
    acc->requests++;
    acc->bytes += hit->bytes;
}

static void traffic_merge(struct traffic *into, const struct traffic *from)
{
    into->requests += from->requests;
    into->bytes += from->bytes;
}

static weir_err minute_emit(struct weir_ctx *ctx, const struct traffic *acc, const struct weir_key *key, weir_time start, weir_time end)
{
    struct minute row = {.start = start, .requests = acc->requests, .bytes = acc->bytes};
    memcpy(&row.status, key->data, sizeof row.status);
    return weir_emit(ctx->out, &row, sizeof row, end - 1);
}
WEIR_AGGREGATE(per_minute, hit, traffic, minute, traffic_add, traffic_merge, minute_emit);

/* ---- top paths per hour: count per path, then rank per hour
 * ------------------------------------------------------------------------------------ */

WEIR_KEY_STR(by_path, hit, path);

struct tally {
    int64_t count;
};

static void tally_add(struct tally *acc, const struct hit *hit, weir_time time)
{
    (void)hit, (void)time;
    acc->count++;
}

static void tally_merge(struct tally *into, const struct tally *from)
{
    into->count += from->count;
}

static weir_err path_emit(struct weir_ctx *ctx, const struct tally *acc, const struct weir_key *key, weir_time start, weir_time end)
{
    struct path_count row = {.hour = start, .count = acc->count};
    row.path = weir_put_str(ctx->out, sizeof row, key->data, key->length);
    return weir_emit(ctx->out, &row, sizeof row, end - 1);
}
WEIR_AGGREGATE(per_path, hit, tally, path_count, tally_add, tally_merge, path_emit);

WEIR_KEY_FIXED(by_hour, path_count, hour);

/*
 * Ranks the paths of an hour. State per hour: the best so far, as bytes: n, then (count, length, path) of each, best first. The timer of
 * the hour's end fires when the watermark says that all counts of the hour have come.
 */
struct entry {
    int64_t count;
    struct span path;
};

struct ranking {
    struct weir_state *best;
    unsigned char *bytes; /* where a new value is put together */
    size_t capacity;
};

static weir_err ranking_open(void *self, struct weir_ctx *ctx)
{
    struct ranking *r = self;
    struct weir_state_desc desc = {.struct_size = sizeof desc, .name = "best"};
    return weir_value_open(ctx, &desc, &r->best);
}

static uint32_t ranking_read(struct weir_bytes value, struct entry *entries)
{
    uint32_t n = 0;
    for (uint32_t used = 0; used < value.length; n++) {
        const char *at = (const char *)value.data + used;
        memcpy(&entries[n].count, at, sizeof entries[n].count);
        memcpy(&entries[n].path.length, at + 8, sizeof entries[n].path.length);
        entries[n].path.data = at + 12;
        used += 12 + entries[n].path.length;
    }
    return n;
}

static weir_err ranking_write(struct ranking *r, struct weir_ctx *ctx, const struct entry *entries, uint32_t n)
{
    size_t need = 0;
    for (uint32_t i = 0; i < n; i++) need += 12 + (size_t)entries[i].path.length;
    if (need > r->capacity) {
        unsigned char *grown = realloc(r->bytes, need * 2);
        if (!grown) return weir_fail(ctx->diag, WEIR_E_NOMEM, "no memory for a ranking");
        r->bytes = grown;
        r->capacity = need * 2;
    }
    unsigned char *at = r->bytes;
    for (uint32_t i = 0; i < n; i++) {
        memcpy(at, &entries[i].count, 8);
        memcpy(at + 8, &entries[i].path.length, 4);
        memcpy(at + 12, entries[i].path.data, entries[i].path.length);
        at += 12 + entries[i].path.length;
    }
    return weir_value_write(ctx, r->best, r->bytes, (uint32_t)need);
}

static bool better(const struct entry *a, const struct entry *b)
{
    if (a->count != b->count) return a->count > b->count;
    uint32_t shorter = a->path.length < b->path.length ? a->path.length : b->path.length;
    int order = memcmp(a->path.data, b->path.data, shorter);
    return order ? order < 0 : a->path.length < b->path.length;
}

static weir_err ranking_one(struct ranking *r, struct weir_ctx *ctx, const struct path_count *row, const struct weir_record *rec)
{
    struct entry entries[TOP + 1];
    uint32_t n = ranking_read(weir_value_read(ctx, r->best), entries);
    struct entry entry = {row->count, {weir_str_data(row, row->path), row->path.length}};
    uint32_t at = n;
    for (; at > 0 && better(&entry, &entries[at - 1]); at--) entries[at] = entries[at - 1];
    if (at == TOP) return WEIR_OK;
    entries[at] = entry;
    weir_err err = ranking_write(r, ctx, entries, n < TOP ? n + 1 : TOP);
    return err ? err : weir_timer_set(ctx, WEIR_EVENT_TIME, rec->time_ms, 0);
}

static weir_err ranking_timer(void *self, struct weir_ctx *ctx, const struct weir_timer *timer)
{
    struct ranking *r = self;
    struct entry entries[TOP + 1];
    struct top_path row = {0};
    memcpy(&row.hour, timer->key->data, sizeof row.hour);
    uint32_t n = ranking_read(weir_value_read(ctx, r->best), entries);
    weir_err err = WEIR_OK;
    for (uint32_t i = 0; !err && i < n; i++) {
        row.rank = i + 1;
        row.count = entries[i].count;
        row.path = weir_put_str(ctx->out, sizeof row, entries[i].path.data, entries[i].path.length);
        err = weir_emit(ctx->out, &row, sizeof row, timer->time_ms);
    }
    weir_value_clear(ctx, r->best);
    return err;
}

static void ranking_close(void *self, struct weir_ctx *ctx)
{
    (void)ctx;
    free(((struct ranking *)self)->bytes);
}

WEIR_PROCESS(rank, ranking, path_count, ranking_one);
static const struct weir_operator rank = {.struct_size = sizeof rank,
                                          .name = "rank",
                                          .self_size = sizeof(struct ranking),
                                          .in = &path_count_schema,
                                          .out = &top_path_schema,
                                          .flags = WEIR_OPERATOR_KEYED,
                                          .open = ranking_open,
                                          .process = rank_process,
                                          .on_timer = ranking_timer,
                                          .close = ranking_close};

/* ---- sessions
 * ------------------------------------------------------------------------------------------------------------------------------------ */

WEIR_KEY_STR(by_client, hit, client);

struct visit {
    weir_time first, last;
    int64_t requests, bytes; /* requests = 0: new */
};

static void visit_merge(struct visit *into, const struct visit *from)
{
    if (into->requests == 0 || from->first < into->first) into->first = from->first;
    if (into->requests == 0 || from->last > into->last) into->last = from->last;
    into->requests += from->requests;
    into->bytes += from->bytes;
}

static void visit_add(struct visit *acc, const struct hit *hit, weir_time time)
{
    visit_merge(acc, &(struct visit){time, time, 1, hit->bytes});
}

static weir_err visit_emit(struct weir_ctx *ctx, const struct visit *acc, const struct weir_key *key, weir_time start, weir_time end)
{
    (void)start;
    struct session row = {.first = acc->first, .last = acc->last, .requests = acc->requests, .bytes = acc->bytes};
    row.client = weir_put_str(ctx->out, sizeof row, key->data, key->length);
    return weir_emit(ctx->out, &row, sizeof row, end - 1);
}
WEIR_AGGREGATE(per_visit, hit, visit, session, visit_add, visit_merge, visit_emit);

/* ---- the graph
 * ------------------------------------------------------------------------------------------------------------------------------------ */

/* The steps between the ends, each a function of its own so that a test can take it by itself. */
static struct weir_stream *hits_of(struct weir_stream *parsed)
{
    return weir_assign_watermarks(parsed, "event-time", hit_time, &(struct weir_watermarks){.max_out_of_orderness_ms = DISORDER_MS});
}

static struct weir_stream *minutes_of(struct weir_stream *hits)
{
    const struct weir_window minute = {.kind = WEIR_TUMBLING, .size_ms = MINUTE_MS};
    return weir_window_aggregate(weir_key_by(hits, &by_status), "per-minute", &minute, &per_minute);
}

static struct weir_stream *top_paths_of(struct weir_stream *hits)
{
    const struct weir_window hour = {.kind = WEIR_TUMBLING, .size_ms = HOUR_MS};
    struct weir_stream *counts = weir_window_aggregate(weir_key_by(hits, &by_path), "per-path", &hour, &per_path);
    return weir_apply(weir_key_by(counts, &by_hour), "rank", &rank, NULL, 0);
}

static struct weir_stream *sessions_of(struct weir_stream *hits)
{
    const struct weir_window visit = {.kind = WEIR_SESSION, .gap_ms = 30 * MINUTE_MS};
    return weir_window_aggregate(weir_key_by(hits, &by_client), "per-visit", &visit, &per_visit);
}

static void write_to(struct weir_env *env, struct weir_stream *in, const char *id, const char *output, enum weir_file_format format)
{
    struct weir_file_sink sink = {
        .dir = weir_env_printf(env, "%s/%s", output, id), .format = format, .time_format = WEIR_FILE_TIME_ISO, .replace = true};
    weir_to_file(in, weir_env_printf(env, "write-%s", id), &sink);
}

static weir_err build(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    const char *input = NULL, *output = NULL;
    const struct weir_option options[] = {
        {"input", WEIR_OPTION_PATH, &input, true, "access log: a file or a folder of files; .gz and .zst are unpacked"},
        {"output", WEIR_OPTION_PATH, &output, true, "folder for the results; those of an earlier run are replaced"},
    };
    weir_err err = weir_options(env, argc, argv, options, sizeof options / sizeof *options, diag);
    if (err) return err;

    struct weir_stream *lines = weir_from_file(env, "read", &(struct weir_file_source){.path = input, .format = WEIR_FILE_LINES});
    struct weir_stream *parsed = weir_flat_map(lines, "parse", &parse);
    struct weir_stream *hits = hits_of(parsed);

    write_to(env, minutes_of(hits), "minute", output, WEIR_FILE_CSV);
    write_to(env, top_paths_of(hits), "top", output, WEIR_FILE_CSV);
    write_to(env, sessions_of(hits), "sessions", output, WEIR_FILE_CSV);
    write_to(env, weir_side_output(parsed, 0), "malformed", output, WEIR_FILE_LINES);
    return WEIR_OK;
}

WEIR_PLUGIN("accesslog", "1.0", build);
