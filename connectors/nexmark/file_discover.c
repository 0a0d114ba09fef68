/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file is read once to cut it: where a record begins and which number it has depends on all quotes and line feeds before it. The readers
 * cut records with the same code (lines.h), from where this one has seen one begin.
 */
#include "connectors/nexmark/file.h"
#include "connectors/text/split.h"

/* The file is cut into `n` ranges at the records that begin at or behind i / n of its bytes. */
struct cutter {
    struct split next; /* the range that is not yet complete */
    uint32_t n, i;     /* cuts 1 ... i - 1 are made, or fell together with another */
    int64_t records;
    struct weir_splits *splits;
};

static int64_t wanted_cut(const struct cutter *c)
{
    int64_t size = c->next.identity.size;
    return size / c->n * c->i + size % c->n * c->i / c->n; /* = size * i / n without overflow */
}

static weir_err end_range(struct cutter *c, int64_t end, struct weir_diag *diag)
{
    c->next.end = end;
    weir_err err = split_add(c->splits, &c->next, diag);
    c->next.begin = end;
    c->next.first_line = c->records;
    return err;
}

/* A record begins at `position`. */
static weir_err take_record(struct cutter *c, int64_t position, struct weir_diag *diag)
{
    bool cut = false;
    for (; c->i < c->n && position >= wanted_cut(c); c->i++) cut = true;
    weir_err err = cut && position > c->next.begin ? end_range(c, position, diag) : WEIR_OK;
    c->records++;
    return err;
}

static weir_err take_records(struct cutter *c, struct lines *lines, struct weir_diag *diag)
{
    for (;;) {
        struct line line;
        weir_err err = lines_next(lines, &line, diag);
        if (err == WEIR_AGAIN) continue;
        if (!err) err = take_record(c, line.position, diag);
        if (err) return err == WEIR_DONE ? WEIR_OK : err;
    }
}

static weir_err cut_file(const struct weir_nexmark_file *config, struct cutter *c, struct weir_diag *diag)
{
    struct lines lines = {0};
    struct lines_range range = {.end = INT64_MAX, .resume = -1, .multiline = config->format == WEIR_NEXMARK_CSV};
    weir_err err = lines_open(&lines, c->next.path, &c->next.identity, &range, diag);
    if (!err) err = take_records(c, &lines, diag);
    lines_close(&lines);
    int64_t size = c->next.identity.size;
    return err || c->next.begin == size ? err : end_range(c, size, diag);
}

static weir_err check_config(const struct weir_nexmark_file *c, struct weir_diag *diag)
{
    if (!c->path || !*c->path) return weir_fail(diag, WEIR_E_ARGUMENT, "nexmark file: no path");
    if (c->format > WEIR_NEXMARK_JSON) return weir_fail(diag, WEIR_E_ARGUMENT, "nexmark file: %d is no format", (int)c->format);
    if (c->time > WEIR_NEXMARK_ARRIVAL_TIME) return weir_fail(diag, WEIR_E_ARGUMENT, "nexmark file: %d is no time", (int)c->time);
    if (c->rate < 0) return weir_fail(diag, WEIR_E_ARGUMENT, "nexmark file: rate %lld is negative", (long long)c->rate);
    if (c->on_malformed > WEIR_NEXMARK_DEAD_LETTER)
        return weir_fail(diag, WEIR_E_ARGUMENT, "nexmark file: on_malformed %d is neither FAIL nor DEAD_LETTER", (int)c->on_malformed);
    if (c->splits > WEIR_SPLITS_MAX)
        return weir_fail(diag, WEIR_E_ARGUMENT, "nexmark file: splits %u is above %d", c->splits, WEIR_SPLITS_MAX);
    return WEIR_OK;
}

weir_err file_discover_events(const void *config, uint32_t parallelism, struct weir_splits *splits, struct weir_diag *diag)
{
    const struct weir_nexmark_file *c = config;
    weir_err err = check_config(c, diag);
    if (err) return err;
    struct cutter cutter = {.next = {.path = c->path}, .n = c->splits ? c->splits : parallelism, .i = 1, .splits = splits};
    err = input_identify(c->path, &cutter.next.identity, diag);
    if (err) return err;
    if (input_codec_of(c->path) != INPUT_PLAIN) return end_range(&cutter, INT64_MAX, diag);
    return cut_file(c, &cutter, diag);
}
