/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/wire/cursor.h"

/*
 * What a first byte says, for the whole format (msgpack specification, "Formats"). A value is its first byte, `width` bytes of
 * big-endian number, and, for strings and extensions, a body. The small forms carry their number in the first byte: width 0.
 */
struct token {
    enum cursor_type type;
    uint8_t width;  /* bytes of the number */
    bool is_signed; /* of integers */
    int8_t ext_type;
    uint64_t number; /* value, length or count; floats: their bits */
    const unsigned char *body;
    const unsigned char *next; /* first byte behind the value; of a container: its first element */
};

void cursor_init(struct cursor *c, const void *data, size_t len)
{
    c->at = data;
    c->end = len ? c->at + len : c->at; /* data may be NULL when there are no bytes */
    c->broken = false;
    c->depth = 0;
}

size_t cursor_left(const struct cursor *c)
{
    return (size_t)(c->end - c->at);
}

bool cursor_done(const struct cursor *c)
{
    return !c->broken && c->at == c->end && c->depth == 0;
}

static void small(struct token *t, enum cursor_type type, uint64_t number)
{
    t->type = type;
    t->number = number;
}

static void wide(struct token *t, enum cursor_type type, unsigned width)
{
    t->type = type;
    t->width = (uint8_t)width;
}

/* The table of 0xc0 ... 0xdf. */
static void classify_wide(struct token *t, unsigned char byte)
{
    switch (byte) {
    case 0xc0: small(t, CURSOR_NIL, 0); return;
    case 0xc2: small(t, CURSOR_BOOL, 0); return;
    case 0xc3: small(t, CURSOR_BOOL, 1); return;
    case 0xc4:
    case 0xc5:
    case 0xc6: wide(t, CURSOR_BIN, 1u << (byte - 0xc4)); return;
    case 0xc7:
    case 0xc8:
    case 0xc9: wide(t, CURSOR_EXT, 1u << (byte - 0xc7)); return;
    case 0xca:
    case 0xcb: wide(t, CURSOR_FLOAT, 4u << (byte - 0xca)); return;
    case 0xcc:
    case 0xcd:
    case 0xce:
    case 0xcf: wide(t, CURSOR_UINT, 1u << (byte - 0xcc)); return;
    case 0xd0:
    case 0xd1:
    case 0xd2:
    case 0xd3:
        wide(t, CURSOR_INT, 1u << (byte - 0xd0));
        t->is_signed = true;
        return;
    case 0xd4:
    case 0xd5:
    case 0xd6:
    case 0xd7:
    case 0xd8: small(t, CURSOR_EXT, 1u << (byte - 0xd4)); return;
    case 0xd9:
    case 0xda:
    case 0xdb: wide(t, CURSOR_STR, 1u << (byte - 0xd9)); return;
    case 0xdc:
    case 0xdd: wide(t, CURSOR_ARRAY, 2u << (byte - 0xdc)); return;
    case 0xde:
    case 0xdf: wide(t, CURSOR_MAP, 2u << (byte - 0xde)); return;
    default: return; /* 0xc1: never used */
    }
}

static void classify(struct token *t, unsigned char byte)
{
    *t = (struct token){.type = CURSOR_NONE};
    if (byte < 0x80)
        small(t, CURSOR_UINT, byte);
    else if (byte < 0x90)
        small(t, CURSOR_MAP, byte & 0x0fu);
    else if (byte < 0xa0)
        small(t, CURSOR_ARRAY, byte & 0x0fu);
    else if (byte < 0xc0)
        small(t, CURSOR_STR, byte & 0x1fu);
    else if (byte < 0xe0)
        classify_wide(t, byte);
    else
        small(t, CURSOR_INT, (uint64_t)(int64_t)(int8_t)byte);
}

/* Reads the big-endian number behind the first byte. */
static bool read_number(struct token *t, const unsigned char **at, const unsigned char *end)
{
    if (t->width == 0) return true;
    if ((size_t)(end - *at) < t->width) return false;
    uint64_t number = 0;
    for (unsigned i = 0; i < t->width; i++) number = number << 8 | (*at)[i];
    *at += t->width;
    t->number = number;
    if (t->is_signed) {
        unsigned unused = 64u - 8u * t->width;
        t->number = (uint64_t)((int64_t)(number << unused) >> unused);
        if ((int64_t)t->number >= 0) t->type = CURSOR_UINT;
    }
    return true;
}

static bool has_body(enum cursor_type type)
{
    return type == CURSOR_STR || type == CURSOR_BIN || type == CURSOR_EXT;
}

/* Looks at the next value whole, but for the elements of a container. */
static bool scan(const struct cursor *c, struct token *t)
{
    const unsigned char *at = c->at;
    if (c->broken || at == c->end) return false;
    classify(t, *at++);
    if (t->type == CURSOR_NONE || !read_number(t, &at, c->end)) return false;
    if (t->type == CURSOR_EXT) {
        if (at == c->end) return false;
        t->ext_type = (int8_t)*at++;
    }
    if (has_body(t->type)) {
        if (t->number > (uint64_t)(c->end - at)) return false;
        t->body = at;
        at += t->number;
    }
    t->next = at;
    return true;
}

static bool fail(struct cursor *c)
{
    c->broken = true;
    return false;
}

/* Moves behind the value: it was one of those its container still owed, and so, with the last one, was the container. */
static void consume(struct cursor *c, const struct token *t)
{
    c->at = t->next;
    if (c->depth > 0) c->left[c->depth - 1]--;
}

static void leave_finished(struct cursor *c)
{
    while (c->depth > 0 && c->left[c->depth - 1] == 0) c->depth--;
}

static bool enter(struct cursor *c, const struct token *t)
{
    uint64_t values = t->type == CURSOR_MAP ? 2 * t->number : t->number;
    if (values > (uint64_t)(c->end - t->next) || c->depth == WEIR_MSGPACK_DEPTH) return fail(c);
    consume(c, t);
    c->left[c->depth++] = values;
    leave_finished(c);
    return true;
}

static bool take(struct cursor *c, const struct token *t)
{
    consume(c, t);
    leave_finished(c);
    return true;
}

enum cursor_type cursor_peek(const struct cursor *c)
{
    struct token t;
    return scan(c, &t) ? t.type : CURSOR_NONE;
}

static bool expect(struct cursor *c, struct token *t, enum cursor_type type)
{
    return (scan(c, t) && t->type == type) || fail(c);
}

bool cursor_nil(struct cursor *c)
{
    struct token t;
    return expect(c, &t, CURSOR_NIL) && take(c, &t);
}

bool cursor_bool(struct cursor *c, bool *out)
{
    struct token t;
    if (!expect(c, &t, CURSOR_BOOL)) return false;
    *out = t.number != 0;
    return take(c, &t);
}

bool cursor_uint(struct cursor *c, uint64_t max, uint64_t *out)
{
    struct token t;
    if (!expect(c, &t, CURSOR_UINT) || t.number > max) return fail(c);
    *out = t.number;
    return take(c, &t);
}

bool cursor_int(struct cursor *c, int64_t min, int64_t max, int64_t *out)
{
    struct token t;
    if (!scan(c, &t)) return fail(c);
    if (t.type != CURSOR_INT && (t.type != CURSOR_UINT || t.number > INT64_MAX)) return fail(c);
    int64_t value = (int64_t)t.number;
    if (value < min || value > max) return fail(c);
    *out = value;
    return take(c, &t);
}

bool cursor_float(struct cursor *c, double *out)
{
    struct token t;
    if (!expect(c, &t, CURSOR_FLOAT)) return false;
    if (t.width == 4) {
        uint32_t bits = (uint32_t)t.number;
        float narrow;
        memcpy(&narrow, &bits, sizeof narrow);
        *out = (double)narrow;
    } else {
        memcpy(out, &t.number, sizeof *out);
    }
    return take(c, &t);
}

static struct weir_bytes body_of(const struct token *t)
{
    return (struct weir_bytes){t->body, (uint32_t)t->number};
}

bool cursor_str(struct cursor *c, struct weir_bytes *out)
{
    struct token t;
    if (!expect(c, &t, CURSOR_STR)) return false;
    if (t.number && memchr(t.body, '\0', t.number)) return fail(c);
    *out = body_of(&t);
    return take(c, &t);
}

bool cursor_bin(struct cursor *c, struct weir_bytes *out)
{
    struct token t;
    if (!expect(c, &t, CURSOR_BIN)) return false;
    *out = body_of(&t);
    return take(c, &t);
}

bool cursor_ext(struct cursor *c, int8_t *type, struct weir_bytes *out)
{
    struct token t;
    if (!expect(c, &t, CURSOR_EXT)) return false;
    *type = t.ext_type;
    *out = body_of(&t);
    return take(c, &t);
}

bool cursor_array(struct cursor *c, uint32_t *n)
{
    struct token t;
    if (!expect(c, &t, CURSOR_ARRAY) || !enter(c, &t)) return false;
    *n = (uint32_t)t.number;
    return true;
}

bool cursor_map(struct cursor *c, uint32_t *n)
{
    struct token t;
    if (!expect(c, &t, CURSOR_MAP) || !enter(c, &t)) return false;
    *n = (uint32_t)t.number;
    return true;
}

/*
 * True while the value whose skipping began at depth `depth`, with `left` values owed there after it, is not behind us. Containers that
 * end with it are left together with it, so the depth may fall below where it began.
 */
static bool inside(const struct cursor *c, uint32_t depth, uint64_t left)
{
    if (c->depth != depth) return c->depth > depth;
    return depth > 0 && c->left[depth - 1] > left;
}

bool cursor_skip(struct cursor *c)
{
    uint32_t depth = c->depth;
    uint64_t left = depth > 0 ? c->left[depth - 1] - 1 : 0;
    do {
        struct token t;
        if (!scan(c, &t)) return fail(c);
        bool container = t.type == CURSOR_ARRAY || t.type == CURSOR_MAP;
        if (!(container ? enter(c, &t) : take(c, &t))) return false;
    } while (inside(c, depth, left));
    return true;
}
