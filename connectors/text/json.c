/* SPDX-License-Identifier: Apache-2.0 */
#include "connectors/text/json.h"

/* ---- writing --------------------------------------------------------------------------------------------------------------------- */

static void write_escaped(struct text_buf *buf, const char *text, size_t len)
{
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (WEIR_LIKELY(c >= 0x20 && c != '"' && c != '\\')) {
            text_put_char(buf, (char)c);
        } else if (c >= 0x20) {
            text_put_char(buf, '\\');
            text_put_char(buf, (char)c);
        } else {
            text_put(buf, "\\u00", 4);
            text_put_char(buf, hex[c >> 4]);
            text_put_char(buf, hex[c & 15]);
        }
    }
}

static bool write_string(struct text_buf *buf, const char *text, size_t len)
{
    if (!text_reserve(buf, 6 * len + 2)) return false; /* every byte a control character */
    text_put_char(buf, '"');
    write_escaped(buf, text, len);
    text_put_char(buf, '"');
    return true;
}

/* A number, unless what row_text_write_scalar made is not one in JSON: an ISO time, nan, inf. */
static bool write_scalar(struct text_buf *buf, const struct weir_field *field, const void *row, enum weir_file_time time_format)
{
    if (!text_reserve(buf, ROW_TEXT_SCALAR_MAX + 2)) return false;
    char *at = buf->data + buf->len;
    size_t len = row_text_write_scalar(at + 1, field, row, time_format);
    char last = at[len]; /* of the text behind the place for a quote */
    bool quoted = field->type != WEIR_TYPE_BOOL && (last < '0' || last > '9');
    if (quoted) {
        at[0] = '"';
        at[len + 1] = '"';
    } else {
        memmove(at, at + 1, len);
    }
    buf->len += len + (quoted ? 2 : 0);
    return true;
}

static bool write_field(struct text_buf *buf, const struct weir_field *field, const void *row, enum weir_file_time time_format)
{
    if (!write_string(buf, field->name, strlen(field->name)) || !text_reserve(buf, 1)) return false;
    text_put_char(buf, ':');
    if (field->type != WEIR_TYPE_STR) return write_scalar(buf, field, row, time_format);
    struct weir_str str;
    memcpy(&str, (const char *)row + field->offset, sizeof str);
    return write_string(buf, weir_str_data(row, str), str.length);
}

bool json_write_row(struct text_buf *buf, const struct weir_schema *schema, const void *row, enum weir_file_time time_format)
{
    for (uint32_t i = 0; i < schema->n_fields; i++) {
        if (!text_reserve(buf, 1)) return false;
        text_put_char(buf, i ? ',' : '{');
        if (!write_field(buf, &schema->fields[i], row, time_format)) return false;
    }
    if (!text_reserve(buf, 2)) return false;
    text_put(buf, "}\n", 2);
    return true;
}

/* ---- scanning -------------------------------------------------------------------------------------------------------------------- */

/* The text and how far it has been read. The take_ functions return false at the first thing that is not JSON, with `why` set and `p`
 * there. */
struct scan {
    char *begin, *p, *end;
    const char *why;
    weir_err err;
};

/* A string or number in the text, decoded. */
struct token {
    char *text;
    size_t len;
};

static bool refuse(struct scan *s, const char *why)
{
    s->why = why;
    s->err = WEIR_E_CORRUPT;
    return false;
}

static void skip_space(struct scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\r' || *s->p == '\n')) s->p++;
}

static bool at_char(const struct scan *s, char c)
{
    return s->p < s->end && *s->p == c;
}

static bool take_char(struct scan *s, char c, const char *why)
{
    skip_space(s);
    if (!at_char(s, c)) return refuse(s, why);
    s->p++;
    return true;
}

static bool take_word(struct scan *s, const char *word)
{
    size_t len = strlen(word);
    if ((size_t)(s->end - s->p) < len || memcmp(s->p, word, len) != 0) return refuse(s, "not a JSON value");
    s->p += len;
    return true;
}

static size_t skip_digits(struct scan *s)
{
    const char *first = s->p;
    while (s->p < s->end && *s->p >= '0' && *s->p <= '9') s->p++;
    return (size_t)(s->p - first);
}

/* RFC 8259, section 6: no leading zero, digits on both sides of the point. */
static bool take_number(struct scan *s, struct token *t)
{
    t->text = s->p;
    if (at_char(s, '-')) s->p++;
    bool zero = at_char(s, '0');
    size_t digits = skip_digits(s);
    if (digits == 0 || (zero && digits > 1)) return refuse(s, "not a JSON value");
    if (at_char(s, '.')) {
        s->p++;
        if (skip_digits(s) == 0) return refuse(s, "a digit must follow the point");
    }
    if (at_char(s, 'e') || at_char(s, 'E')) {
        s->p++;
        if (at_char(s, '+') || at_char(s, '-')) s->p++;
        if (skip_digits(s) == 0) return refuse(s, "a digit must follow the exponent's e");
    }
    t->len = (size_t)(s->p - t->text);
    return true;
}

/* ---- strings --------------------------------------------------------------------------------------------------------------------- */

/* The four digits behind "\u". */
static bool take_hex4(struct scan *s, uint32_t *unit)
{
    *unit = 0;
    if (s->end - s->p < 4) return refuse(s, "\\u needs four hex digits");
    for (int i = 0; i < 4; i++, s->p++) {
        uint32_t c = (unsigned char)*s->p, lower = c | 0x20;
        uint32_t digit = c >= '0' && c <= '9' ? c - '0' : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : 16;
        if (digit == 16) return refuse(s, "\\u needs four hex digits");
        *unit = *unit << 4 | digit;
    }
    return true;
}

static char *put_utf8(char *to, uint32_t c)
{
    if (c < 0x80) {
        *to++ = (char)c;
    } else if (c < 0x800) {
        *to++ = (char)(0xc0 | c >> 6);
        *to++ = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        *to++ = (char)(0xe0 | c >> 12);
        *to++ = (char)(0x80 | (c >> 6 & 0x3f));
        *to++ = (char)(0x80 | (c & 0x3f));
    } else {
        *to++ = (char)(0xf0 | c >> 18);
        *to++ = (char)(0x80 | (c >> 12 & 0x3f));
        *to++ = (char)(0x80 | (c >> 6 & 0x3f));
        *to++ = (char)(0x80 | (c & 0x3f));
    }
    return to;
}

/* Behind "\u": one code unit, or a surrogate pair in two. */
static bool take_unicode(struct scan *s, char **to)
{
    static const char half[] = "half a surrogate pair";
    uint32_t unit, low;
    if (!take_hex4(s, &unit)) return false;
    if (unit >= 0xdc00 && unit < 0xe000) return refuse(s, half);
    if (unit >= 0xd800 && unit < 0xdc00) {
        if (s->end - s->p < 2 || s->p[0] != '\\' || s->p[1] != 'u') return refuse(s, half);
        s->p += 2;
        if (!take_hex4(s, &low)) return false;
        if (low < 0xdc00 || low >= 0xe000) return refuse(s, half);
        unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
    }
    *to = put_utf8(*to, unit);
    return true;
}

/* At a backslash. What is written is never longer than what was read, so decoding in place cannot overtake the scan. */
static bool take_escape(struct scan *s, char **to)
{
    static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
    if (++s->p == s->end) return refuse(s, "the string does not end");
    char c = *s->p++;
    if (c == 'u') return take_unicode(s, to);
    const char *at = c ? strchr(from, c) : NULL;
    if (!at) return refuse(s, "an escape JSON does not know");
    *(*to)++ = into[at - from];
    return true;
}

static bool take_string(struct scan *s, struct token *t)
{
    if (!take_char(s, '"', "a string must begin here")) return false;
    char *to = t->text = s->p;
    for (;;) {
        char *run = s->p;
        while (s->p < s->end && (unsigned char)*s->p >= 0x20 && *s->p != '"' && *s->p != '\\') s->p++;
        size_t len = (size_t)(s->p - run);
        if (to != run) memmove(to, run, len);
        to += len;
        if (s->p == s->end) return refuse(s, "the string does not end");
        if (*s->p == '"') break;
        if (*s->p != '\\') return refuse(s, "a control character inside a string");
        if (!take_escape(s, &to)) return false;
    }
    s->p++;
    t->len = (size_t)(to - t->text);
    return true;
}

/* ---- skipping -------------------------------------------------------------------------------------------------------------------- */

static bool skip_scalar(struct scan *s)
{
    struct token ignored;
    if (s->p == s->end) return refuse(s, "a value must stand here");
    switch (*s->p) {
    case '"': return take_string(s, &ignored);
    case 't': return take_word(s, "true");
    case 'f': return take_word(s, "false");
    case 'n': return take_word(s, "null");
    default: return take_number(s, &ignored);
    }
}

static bool skip_key(struct scan *s)
{
    struct token ignored;
    return take_string(s, &ignored) && take_char(s, ':', "a ':' must follow the key");
}

/* Closes every array and object that ends here. What comes next is a value (after ',' and, in an object, a key), or all are closed. */
static bool skip_ends(struct scan *s, const bool *in_object, int *depth)
{
    while (*depth > 0) {
        bool object = in_object[*depth - 1];
        skip_space(s);
        if (at_char(s, ',')) {
            s->p++;
            return !object || skip_key(s);
        }
        if (!take_char(s, object ? '}' : ']', object ? "a ',' or '}' must stand here" : "a ',' or ']' must stand here")) return false;
        (*depth)--;
    }
    return true;
}

/* Any value, without recursion: hostile input must not choose how deep our stack grows. */
static bool skip_value(struct scan *s)
{
    bool in_object[JSON_DEPTH_MAX];
    int depth = 0;
    do {
        skip_space(s);
        bool object = at_char(s, '{');
        if (!object && !at_char(s, '[')) {
            if (!skip_scalar(s) || !skip_ends(s, in_object, &depth)) return false;
            continue;
        }
        if (depth == JSON_DEPTH_MAX) {
            refuse(s, "nested too deep");
            s->err = WEIR_E_LIMIT;
            return false;
        }
        in_object[depth++] = object;
        s->p++;
        skip_space(s);
        if (at_char(s, object ? '}' : ']')) {
            s->p++;
            depth--;
            if (!skip_ends(s, in_object, &depth)) return false;
        } else if (object && !skip_key(s)) {
            return false;
        }
    } while (depth > 0);
    return true;
}

/* ---- rows ------------------------------------------------------------------------------------------------------------------------ */

/* Most lines hold the keys in schema order: `guess` is tried first. Returns n_fields when the schema has no such field. */
static uint32_t find_field(const struct weir_schema *schema, const struct token *key, uint32_t guess)
{
    for (uint32_t tried = 0; tried < schema->n_fields; tried++, guess++) {
        if (guess >= schema->n_fields) guess = 0;
        const char *name = schema->fields[guess].name;
        if (strlen(name) == key->len && memcmp(name, key->text, key->len) == 0) return guess;
    }
    return schema->n_fields;
}

static weir_err bad_field(struct scan *s, const struct weir_field *field, const char *text, size_t len, const char *why,
                          struct weir_diag *diag)
{
    char shown[ROW_TEXT_SHOW_MAX];
    s->p = (char *)text;
    return weir_fail(diag, WEIR_E_CORRUPT, "field \"%s\": %s %s", field->name, row_text_show(shown, text, len), why);
}

static weir_err bad_json(const struct scan *s, struct weir_diag *diag)
{
    char shown[ROW_TEXT_SHOW_MAX];
    size_t rest = (size_t)(s->end - s->p);
    return weir_fail(diag, s->err, "not a JSON line: %s: %s", s->why, row_text_show(shown, s->p, rest < 40 ? rest : 40));
}

/* What a value of the type looks like in JSON: strings in quotes, numbers and words bare. A double may be either. */
static bool wants_string(const struct row_text *row, const struct weir_field *field, const struct scan *s)
{
    if (field->type == WEIR_TYPE_F64) return at_char(s, '"');
    return field->type == WEIR_TYPE_STR || (field->type == WEIR_TYPE_TIME && row->time_format == WEIR_FILE_TIME_ISO);
}

/* The doubles that JSON has no number for. */
static bool is_double_word(const struct token *t)
{
    return (t->len == 3 && (memcmp(t->text, "nan", 3) == 0 || memcmp(t->text, "inf", 3) == 0)) ||
           (t->len == 4 && memcmp(t->text, "-inf", 4) == 0);
}

static weir_err read_field(struct row_text *row, const struct weir_field *field, struct weir_out *out, struct scan *s,
                           struct weir_diag *diag)
{
    skip_space(s);
    struct token t = {.text = s->p};
    bool string = wants_string(row, field, s);
    if (string ? !at_char(s, '"') : at_char(s, '"')) {
        return bad_field(s, field, s->p, (size_t)(s->end - s->p),
                         string ? "begins with no string" : "begins with a string, not the bare value", diag);
    }
    if (!(string ? take_string(s, &t) : skip_value(s))) return bad_json(s, diag);
    if (!string) t.len = (size_t)(s->p - t.text);
    if (string && field->type == WEIR_TYPE_F64 && !is_double_word(&t)) {
        return bad_field(s, field, t.text, t.len, "is a string, not a number", diag);
    }
    const char *why = row_text_set(row, field, out, t.text, t.len);
    if (WEIR_UNLIKELY(why)) return bad_field(s, field, t.text, t.len, why, diag);
    return out->err;
}

/* Which keys have been seen: fields, a bit each, and the tag. */
struct seen {
    uint64_t words[WEIR_FIELDS_MAX / 64];
    uint32_t count;
    bool tag;
};

static bool see(struct seen *seen, uint32_t index)
{
    uint64_t bit = (uint64_t)1 << index % 64;
    if (seen->words[index / 64] & bit) return false;
    seen->words[index / 64] |= bit;
    seen->count++;
    return true;
}

static weir_err check_complete(const struct seen *seen, const struct row_text *row, struct weir_diag *diag)
{
    const struct weir_schema *schema = row->schema;
    if (row->tag && !seen->tag) return weir_fail(diag, WEIR_E_CORRUPT, "key \"%s\": missing", row->tag);
    if (seen->count == schema->n_fields) return WEIR_OK;
    uint32_t i = 0;
    while (seen->words[i / 64] >> i % 64 & 1) i++;
    return weir_fail(diag, WEIR_E_CORRUPT, "field \"%s\": missing", schema->fields[i].name);
}

static bool is_key(const struct token *key, const char *name)
{
    return name && strlen(name) == key->len && memcmp(name, key->text, key->len) == 0;
}

/* A key that is no field: skipped with its value, unless the reader is strict and does not know it. */
static weir_err read_other(const struct row_text *row, struct scan *s, const struct token *key, struct seen *seen, struct weir_diag *diag)
{
    bool tag = is_key(key, row->tag);
    if (row->strict && (!tag || seen->tag)) {
        char shown[ROW_TEXT_SHOW_MAX];
        s->p = key->text;
        return weir_fail(diag, WEIR_E_CORRUPT, "key %s %s", row_text_show(shown, key->text, key->len),
                         tag ? "stands twice" : "is none of the row's");
    }
    seen->tag |= tag;
    return skip_value(s) ? WEIR_OK : bad_json(s, diag);
}

static bool take_key(struct scan *s, struct token *key)
{
    skip_space(s);
    return take_string(s, key) && take_char(s, ':', "a ':' must follow the key");
}

static weir_err read_member(struct row_text *row, struct weir_out *out, struct scan *s, struct seen *seen, uint32_t *guess,
                            struct weir_diag *diag)
{
    struct token key;
    if (!take_key(s, &key)) return bad_json(s, diag);
    uint32_t index = find_field(row->schema, &key, *guess);
    if (index == row->schema->n_fields) return read_other(row, s, &key, seen, diag);
    const struct weir_field *field = &row->schema->fields[index];
    if (!see(seen, index)) return bad_field(s, field, key.text, key.len, "stands twice", diag);
    *guess = index + 1;
    return read_field(row, field, out, s, diag);
}

/* At the beginning of an object: *more when a member follows. */
static bool take_open(struct scan *s, bool *more)
{
    if (!take_char(s, '{', "an object must begin here")) return false;
    skip_space(s);
    *more = !at_char(s, '}');
    if (!*more) s->p++;
    return true;
}

/* Behind a member: *more when another follows. */
static bool take_next(struct scan *s, bool *more)
{
    skip_space(s);
    *more = at_char(s, ',');
    if (!*more) return take_char(s, '}', "a ',' or '}' must stand here");
    s->p++;
    return true;
}

static weir_err read_object(struct row_text *row, struct weir_out *out, struct scan *s, struct weir_diag *diag)
{
    struct seen seen = {0};
    uint32_t guess = 0;
    bool more;
    if (!take_open(s, &more)) return bad_json(s, diag);
    while (more) {
        weir_err err = read_member(row, out, s, &seen, &guess, diag);
        if (err) return err;
        if (!take_next(s, &more)) return bad_json(s, diag);
    }
    skip_space(s);
    if (s->p < s->end && !refuse(s, "text behind the object")) return bad_json(s, diag);
    return check_complete(&seen, row, diag);
}

weir_err json_read_row(struct row_text *row, struct weir_out *out, char *line, size_t len, size_t *error_at, struct weir_diag *diag)
{
    struct scan s = {.begin = line, .p = line, .end = line + len};
    weir_err err = read_object(row, out, &s, diag);
    if (err) *error_at = (size_t)(s.p - line);
    return err;
}

/* ---- one key ----------------------------------------------------------------------------------------------------------------------- */

static weir_err find_string(struct scan *s, const char *key, struct token *value, struct weir_diag *diag)
{
    struct token found;
    bool more;
    if (!take_open(s, &more)) return bad_json(s, diag);
    while (more) {
        if (!take_key(s, &found)) return bad_json(s, diag);
        bool ours = is_key(&found, key);
        if (!(ours ? take_string(s, value) : skip_value(s))) return bad_json(s, diag);
        if (ours) return WEIR_OK;
        if (!take_next(s, &more)) return bad_json(s, diag);
    }
    return weir_fail(diag, WEIR_E_CORRUPT, "key \"%s\": missing", key);
}

weir_err json_find_string(char *line, size_t len, const char *key, struct weir_bytes *value, size_t *error_at, struct weir_diag *diag)
{
    struct scan s = {.begin = line, .p = line, .end = line + len};
    struct token found;
    weir_err err = find_string(&s, key, &found, diag);
    if (err) {
        *error_at = (size_t)(s.p - line);
        return err;
    }
    *value = (struct weir_bytes){found.text, (uint32_t)found.len};
    return WEIR_OK;
}
