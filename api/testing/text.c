/* SPDX-License-Identifier: Apache-2.0 */
/* Rows as lines: "+I 1,abc", both ways, and the comparison of what came out with what was expected. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/testing/harness.h"
#include "connectors/text/csv.h"

#define LINE_SHOWN_MAX 300 /* bytes of a line in a sentence */

static const char *const kinds[] = {"+I", "-U", "+U", "-D"}; /* by enum weir_kind */

static enum weir_file_time time_format(const struct weir_harness *h)
{
    return h->options.show & WEIR_HARNESS_ISO ? WEIR_FILE_TIME_ISO : WEIR_FILE_TIME_MS;
}

/* ---- rows in --------------------------------------------------------------------------------------------------------------------- */

/* An output over the row that is being built, with room for `more` bytes of strings. False: none; in->failed is set. */
static bool building_room(struct input *in, uint32_t more, struct weir_out *out)
{
    uint32_t at = in->tail ? in->tail : in->schema->row_size;
    if (more > WEIR_ROW_MAX || at + more > WEIR_ROW_MAX) {
        in->failed = WEIR_E_LIMIT;
        return false;
    }
    uint32_t need = weir_record_span(at + more);
    unsigned char *grown = need > in->capacity ? realloc(in->building, need) : in->building;
    if (!grown) {
        in->failed = WEIR_E_NOMEM;
        return false;
    }
    in->building = grown;
    if (need > in->capacity) in->capacity = need;
    *out = (struct weir_out){.cursor = grown, .end = grown + in->capacity, .base = grown, .tail = in->tail};
    return true;
}

struct weir_str weir_harness_bytes(struct weir_harness *h, uint32_t input, const void *data, uint32_t length)
{
    struct weir_out out;
    if (input >= h->n_inputs || !building_room(&h->inputs[input], length, &out)) return (struct weir_str){0, 0};
    struct weir_str str = weir_put_str(&out, h->inputs[input].schema->row_size, data, length);
    h->inputs[input].tail = out.tail;
    return str;
}

struct weir_str weir_harness_str(struct weir_harness *h, uint32_t input, const char *text)
{
    size_t length = strlen(text);
    return weir_harness_bytes(h, input, text, length > UINT32_MAX ? UINT32_MAX : (uint32_t)length);
}

static bool kind_of(const char *line, enum weir_kind *kind)
{
    for (uint32_t i = 0; i < 4; i++) {
        if (strncmp(line, kinds[i], 2) != 0 || line[2] != ' ') continue;
        *kind = (enum weir_kind)i;
        return true;
    }
    return false;
}

/* Reads the fields into row->bytes, their strings into the row being built. `fields` is changed. */
static weir_err read_fields(struct weir_harness *h, struct input *in, struct row_text *row, char *fields)
{
    struct weir_out out;
    size_t length = strlen(fields), at;
    in->tail = 0; /* strings put before belong to no row */
    if (!building_room(in, length > WEIR_ROW_MAX ? WEIR_ROW_MAX : (uint32_t)length, &out))
        return weir_fail(&h->diag, in->failed, "no room for a row of %zu bytes (WEIR_ROW_MAX is %u)", length, WEIR_ROW_MAX);
    weir_err err = csv_read_row(row, &out, fields, length, &at, &h->diag);
    in->tail = err ? 0 : out.tail;
    return err;
}

weir_err weir_harness_line(struct weir_harness *h, uint32_t input, const char *line, weir_time time_ms)
{
    enum weir_kind kind = WEIR_INSERT;
    struct row_text row = {0};
    if (input >= h->n_inputs) return weir_harness_push(h, input, NULL, 0, time_ms, kind); /* says so */
    struct input *in = &h->inputs[input];
    if (!kind_of(line, &kind))
        return weir_fail(&h->diag, WEIR_E_CORRUPT, "a line begins with +I, -U, +U or -D and a space, not with \"%.40s\"", line);
    weir_err err = row_text_init(&row, in->schema, time_format(h), &h->diag);
    char *fields = strdup(line + 3);
    if (!err && !fields) err = weir_fail(&h->diag, WEIR_E_NOMEM, "no memory for a line");
    if (!err) err = read_fields(h, in, &row, fields);
    in->failed = WEIR_OK;
    if (!err) err = weir_harness_push(h, input, row.bytes, in->schema->row_size, time_ms, kind);
    free(fields);
    row_text_close(&row);
    return err;
}

/* ---- rows out -------------------------------------------------------------------------------------------------------------------- */

bool weir_harness_next(struct weir_harness *h, uint32_t output, struct weir_harness_record *record)
{
    if (output >= h->n_outputs) return false;
    harness_catch_up(h);
    const struct item *item = output_take(&h->outputs[output]);
    if (!item) return false;
    *record = (struct weir_harness_record){.is_watermark = item->is_watermark,
                                           .kind = (enum weir_kind)item->kind,
                                           .time_ms = item->time_ms,
                                           .subtask = item->subtask,
                                           .size = item->size,
                                           .row = item->row};
    return true;
}

uint64_t weir_harness_count(struct weir_harness *h, uint32_t output)
{
    if (output >= h->n_outputs) return 0;
    harness_catch_up(h);
    return h->outputs[output].n_rows;
}

static bool put_format(struct text_buf *text, const char *fmt, ...) WEIR_PRINTF(2, 3);
static bool put_format(struct text_buf *text, const char *fmt, ...)
{
    char few[64];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(few, sizeof few, fmt, args);
    va_end(args);
    if (!text_reserve(text, (size_t)n)) return false;
    text_put(text, few, (size_t)n);
    return true;
}

static bool put_watermark(struct text_buf *text, weir_time time_ms)
{
    return time_ms == WEIR_TIME_MAX ? put_format(text, "W end\n") : put_format(text, "W %" PRId64 "\n", time_ms);
}

static bool put_row(struct text_buf *text, const struct weir_harness *h, const struct output *o, const struct item *item)
{
    if (!put_format(text, "%s ", kinds[item->kind & 3])) return false;
    if (!csv_write_row(text, o->schema, item->row, time_format(h))) return false;
    if (!(h->options.show & WEIR_HARNESS_TIMES) || item->time_ms == WEIR_TIME_MIN) return true;
    text->len--; /* the time goes before the line's end */
    return put_format(text, " @%" PRId64 "\n", item->time_ms);
}

static weir_err take_text(struct weir_harness *h, struct output *o)
{
    bool room = true;
    o->text.len = 0;
    for (const struct item *item; room && (item = output_take(o));) {
        if (item->is_watermark) {
            room = put_watermark(&o->text, item->time_ms);
            continue;
        }
        if (item->size < o->schema->row_size || !weir_row_valid(o->schema, item->row, item->size))
            return weir_fail(&h->diag, WEIR_E_CORRUPT, "output %d gave a row of %u bytes that is none of %s", (int)(o - h->outputs),
                             item->size, o->schema->name);
        room = put_row(&o->text, h, o, item);
    }
    if (!room || !text_reserve(&o->text, 1)) return weir_fail(&h->diag, WEIR_E_NOMEM, "no memory for the lines of an output");
    o->text.data[o->text.len] = '\0';
    return WEIR_OK;
}

/* The unread records as lines. With nothing to read, a failure of user code. */
static weir_err read_lines(struct weir_harness *h, uint32_t output, const char **lines)
{
    if (output >= h->n_outputs)
        return weir_fail(&h->diag, WEIR_E_ARGUMENT, "the harness has %u outputs, counted from 0; there is no output %u", h->n_outputs,
                         output);
    struct output *o = &h->outputs[output];
    if (!o->schema)
        return weir_fail(&h->diag, WEIR_E_ARGUMENT, "the row type of output %u is not known: the operator's table does not say it", output);
    harness_catch_up(h);
    if (h->failed && !o->first) {
        h->diag = h->failure;
        return h->failed;
    }
    weir_err err = take_text(h, o);
    *lines = o->text.data;
    return err;
}

const char *weir_harness_text(struct weir_harness *h, uint32_t output)
{
    const char *lines = NULL;
    return read_lines(h, output, &lines) ? NULL : lines;
}

/* ---- comparison ------------------------------------------------------------------------------------------------------------------ */

/* The line at *at, without its end; moves *at behind it. False: there is none. */
static bool next_line(const char **at, const char **line, size_t *length)
{
    if (!**at) return false;
    const char *end = strchr(*at, '\n');
    *line = *at;
    *length = end ? (size_t)(end - *at) : strlen(*at);
    *at += *length + (end != NULL);
    return true;
}

/* A line as it stands in a sentence. */
static const char *shown(char to[LINE_SHOWN_MAX + 3], bool is, const char *line, size_t length)
{
    if (!is) return "no more lines";
    (void)snprintf(to, LINE_SHOWN_MAX + 3, "\"%.*s\"", (int)(length < LINE_SHOWN_MAX ? length : LINE_SHOWN_MAX), line);
    return to;
}

static uint32_t count_lines(const char *lines)
{
    const char *line;
    size_t length;
    uint32_t n = 0;
    while (next_line(&lines, &line, &length)) n++;
    return n;
}

static weir_err compare(struct weir_harness *h, uint32_t output, const char *expected, const char *got)
{
    char few[2][LINE_SHOWN_MAX + 3];
    const char *e_at = expected, *g_at = got, *e = "", *g = "";
    size_t e_length = 0, g_length = 0;
    for (uint32_t n = 1;; n++) {
        bool e_is = next_line(&e_at, &e, &e_length), g_is = next_line(&g_at, &g, &g_length);
        if (!e_is && !g_is) return WEIR_OK;
        if (e_is && g_is && e_length == g_length && memcmp(e, g, e_length) == 0) continue;
        return weir_fail(&h->diag, WEIR_E_NOT_FOUND, "output %u, line %u of %u: expected %s, got %s (%u lines)", output, n,
                         count_lines(expected), shown(few[0], e_is, e, e_length), shown(few[1], g_is, g, g_length), count_lines(got));
    }
}

weir_err weir_harness_expect(struct weir_harness *h, uint32_t output, const char *lines)
{
    const char *got;
    weir_err err = read_lines(h, output, &got);
    return err ? err : compare(h, output, lines, got);
}

struct line {
    const char *at;
    size_t length;
};

static int compare_lines(const void *a_, const void *b_)
{
    const struct line *a = a_, *b = b_;
    int order = memcmp(a->at, b->at, a->length < b->length ? a->length : b->length);
    return order ? order : (a->length > b->length) - (a->length < b->length);
}

/* The same lines in ascending order; the caller frees them. NULL: no memory. */
static char *sorted(const char *lines)
{
    uint32_t n = count_lines(lines), k = 0;
    struct line *items = calloc((size_t)n + 1, sizeof *items);
    char *out = malloc(strlen(lines) + 2), *to = out;
    if (items && out) {
        while (next_line(&lines, &items[k].at, &items[k].length)) k++;
        qsort(items, n, sizeof *items, compare_lines);
        for (uint32_t i = 0; i < n; i++) {
            to = mempcpy(to, items[i].at, items[i].length);
            *to++ = '\n';
        }
        *to = '\0';
    } else {
        free(out);
        out = NULL;
    }
    free(items);
    return out;
}

weir_err weir_harness_expect_any_order(struct weir_harness *h, uint32_t output, const char *lines)
{
    const char *got;
    weir_err err = read_lines(h, output, &got);
    if (err) return err;
    char *e = sorted(lines), *g = sorted(got);
    err = e && g ? compare(h, output, e, g) : weir_fail(&h->diag, WEIR_E_NOMEM, "no memory for the lines of an output");
    free(e);
    free(g);
    return err;
}
