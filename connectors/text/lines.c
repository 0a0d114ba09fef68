/* SPDX-License-Identifier: Apache-2.0 */
#include "connectors/text/lines.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define READ_BYTES (256u << 10)              /* asked of the input at a time */
#define SCAN_MAX ((size_t)WEIR_LINE_MAX + 2) /* with CR and LF: no line is longer */

weir_err lines_open(struct lines *l, const char *path, const struct input_identity *identity, const struct lines_range *range,
                    struct weir_diag *diag)
{
    *l = (struct lines){.path = path, .range_end = range->end, .multiline = range->multiline};
    int64_t from = range->resume;
    if (from < 0) {
        /* The byte before the range tells whether a line begins with it: skip what ends at the first LF from there. */
        from = range->begin > 0 ? range->begin - 1 : 0;
        l->skipping = range->begin > 0;
    }
    bool seekable = input_codec_of(path) == INPUT_PLAIN;
    l->discard = seekable ? 0 : from;
    l->position = seekable ? from : 0;
    l->cap = READ_BYTES;
    l->buf = malloc(l->cap);
    if (!l->buf) return weir_fail(diag, WEIR_E_NOMEM, "%s: no memory to read it", path);
    return input_open(&l->input, path, identity, l->position, diag);
}

void lines_close(struct lines *l)
{
    input_close(&l->input);
    free(l->buf);
    *l = (struct lines){0};
}

int64_t lines_position(const struct lines *l)
{
    if (l->position < l->discard) return l->discard; /* on the way back to where we once were */
    return l->skipping ? -1 : l->position;
}

/* Throws away the first `n` bytes of the text in the buffer. */
static void drop(struct lines *l, size_t n)
{
    l->begin += n;
    l->position += (int64_t)n;
    if (l->scanned < l->begin) l->scanned = l->begin;
}

/* Brings more text into the buffer: room first (by moving the text to the front, else by growing), then one read. */
static weir_err fill(struct lines *l, struct weir_diag *diag)
{
    if (l->begin > 0) {
        memmove(l->buf, l->buf + l->begin, l->end - l->begin);
        l->end -= l->begin;
        l->scanned -= l->begin;
        l->begin = 0;
    }
    if (l->cap - l->end < READ_BYTES / 2) { /* a long line: not bounded here but by SCAN_MAX in the caller */
        char *buf = realloc(l->buf, l->cap * 2);
        if (!buf) return weir_fail(diag, WEIR_E_NOMEM, "%s: byte %" PRId64 ": no memory for a long line", l->path, l->position);
        l->buf = buf;
        l->cap *= 2;
    }
    size_t n = 0;
    weir_err err = input_read(l->input, l->buf + l->end, l->cap - l->end, &n, diag);
    if (err) return err;
    l->end += n;
    l->ended = n == 0;
    return WEIR_OK;
}

static weir_err fill_again(struct lines *l, struct weir_diag *diag)
{
    weir_err err = fill(l, diag);
    return err ? err : WEIR_AGAIN;
}

/*
 * Index of the LF that ends the line at buf[begin], or `end` when it is not in the buffer yet. How far quotes are followed must not depend
 * on what happens to be in the buffer, or two readers would cut broken records differently: as far as a line may be long.
 */
static size_t find_end(struct lines *l)
{
    if (l->multiline) {
        size_t have = l->end - l->begin, len = 0;
        if (have > SCAN_MAX) have = SCAN_MAX;
        bool last = l->ended || have == SCAN_MAX;
        return csv_record_end(&l->scan, l->buf + l->begin, have, last, &len) ? l->begin + len : l->end;
    }
    char *lf = memchr(l->buf + l->scanned, '\n', l->end - l->scanned);
    l->scanned = lf ? (size_t)(lf - l->buf) : l->end;
    return l->scanned;
}

static weir_err too_long(const struct lines *l, struct weir_diag *diag)
{
    return weir_fail(diag, WEIR_E_LIMIT, "%s: byte %" PRId64 ": a line longer than %u bytes (WEIR_LINE_MAX)", l->path, l->position,
                     WEIR_LINE_MAX);
}

/* The end of the range. What a changed file gave us up to here cannot be trusted. */
static weir_err finish(struct lines *l, struct weir_diag *diag)
{
    weir_err err = input_check_unchanged(l->input, diag);
    return err ? err : WEIR_DONE;
}

/* Gets to the first line that is ours. WEIR_OK: it begins at buf[begin]. WEIR_AGAIN: not in the buffer. */
static weir_err reach_first(struct lines *l, struct weir_diag *diag)
{
    size_t have = l->end - l->begin;
    if (l->position < l->discard) {
        int64_t missing = l->discard - l->position;
        drop(l, (int64_t)have < missing ? have : (size_t)missing);
        if (l->position < l->discard) {
            if (!l->ended) return WEIR_AGAIN;
            return weir_fail(diag, WEIR_E_CORRUPT, "%s: byte %" PRId64 ": the text ends before the position to go on from, %" PRId64,
                             l->path, l->position, l->discard);
        }
    }
    if (l->skipping) {
        char *lf = memchr(l->buf + l->begin, '\n', l->end - l->begin);
        drop(l, lf ? (size_t)(lf + 1 - (l->buf + l->begin)) : l->end - l->begin);
        l->skipping = !lf;
        if (l->skipping && l->position < l->range_end && !l->ended) return WEIR_AGAIN;
    }
    return WEIR_OK;
}

/* The line of `len` bytes and its line end of `ending` bytes are given out. */
static weir_err give(struct lines *l, struct line *line, size_t len, size_t ending, struct weir_diag *diag)
{
    *line = (struct line){l->buf + l->begin, len, l->position};
    if (ending && len && line->text[len - 1] == '\r') line->len--;
    if (WEIR_UNLIKELY(line->len > WEIR_LINE_MAX)) return too_long(l, diag);
    l->begin += len + ending;
    l->scanned = l->begin;
    l->scan = (struct csv_scan){0};
    l->position += (int64_t)(len + ending);
    return WEIR_OK;
}

weir_err lines_next(struct lines *l, struct line *line, struct weir_diag *diag)
{
    if (WEIR_UNLIKELY(l->skipping || l->position < l->discard)) {
        weir_err err = reach_first(l, diag);
        if (err == WEIR_AGAIN) return fill_again(l, diag);
        if (err) return err;
    }
    if (l->position >= l->range_end) return finish(l, diag);
    size_t at = find_end(l);
    if (WEIR_LIKELY(at < l->end)) return give(l, line, at - l->begin, 1, diag);
    if (l->end - l->begin >= SCAN_MAX) return too_long(l, diag);
    if (l->ended) return l->begin < l->end ? give(l, line, l->end - l->begin, 0, diag) : finish(l, diag);
    return fill_again(l, diag);
}
