/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/coord/path.h"

#include "runtime/coord/limits.h"

/* ---- characters ---------------------------------------------------------------------------------------------------------------- */

#define NO_CHARACTER UINT32_MAX

/* The bytes of a character by its first one; 0: none begins so. */
static unsigned character_bytes(uint8_t first)
{
    if (first < 0x80) return 1;
    if (first < 0xc2) return 0; /* in the middle of one, or a longer form of ASCII */
    return first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
}

/* The character at *at, which moves behind it; NO_CHARACTER for what is no UTF-8. */
static uint32_t take_character(const uint8_t **at, const uint8_t *end)
{
    static const uint32_t lowest[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned n = character_bytes(**at);
    if (n == 0 || (size_t)(end - *at) < n) return NO_CHARACTER;
    uint32_t c = n == 1 ? **at : **at & (0x7fu >> n);
    for (unsigned i = 1; i < n; i++) {
        if (((*at)[i] & 0xc0) != 0x80) return NO_CHARACTER;
        c = c << 6 | ((*at)[i] & 0x3fu);
    }
    *at += n;
    return c < lowest[n] || c > 0x10ffff ? NO_CHARACTER : c;
}

static const char *check_characters(struct weir_bytes text)
{
    const uint8_t *at = text.data, *end = at + text.length;
    while (at < end) {
        uint32_t c = take_character(&at, end);
        if (c == NO_CHARACTER) return "is not UTF-8";
        if (c < 0x20 || (c >= 0x7f && c <= 0x9f)) return "holds a control character";
        if ((c >= 0xd800 && c <= 0xf8ff) || (c >= 0xfff0 && c <= 0xffff)) return "holds a surrogate, a private or a special character";
    }
    return NULL;
}

/* ---- elements ------------------------------------------------------------------------------------------------------------------ */

static const char *check_element(struct weir_bytes e)
{
    const char *text = e.data;
    if (e.length == 0) return "has an empty element";
    if (e.length > COORD_NAME_MAX) return "has an element of more than 255 bytes";
    if (text[0] == '.' && (e.length == 1 || (e.length == 2 && text[1] == '.'))) return "has an element . or ..";
    return check_characters(e);
}

bool path_element(struct weir_bytes *rest, struct weir_bytes *element)
{
    const char *text = rest->data;
    if (rest->length <= 1) return false; /* nothing, or the root's own slash */
    const char *slash = memchr(text + 1, '/', rest->length - 1);
    uint32_t taken = slash ? (uint32_t)(slash - text) : rest->length;
    *element = bytes_of(text + 1, taken - 1);
    *rest = bytes_of(text + taken, rest->length - taken);
    return true;
}

const char *path_check(struct weir_bytes path)
{
    const char *text = path.data;
    if (path.length == 0 || text[0] != '/') return "does not begin with a slash";
    if (path.length > COORD_PATH_MAX) return "is longer than 1024 bytes";
    if (path.length > 1 && text[path.length - 1] == '/') return "ends in a slash";
    struct weir_bytes rest = path, element;
    for (uint32_t depth = 1; path_element(&rest, &element); depth++) {
        const char *wrong = depth > COORD_DEPTH_MAX ? "is deeper than 64 elements" : check_element(element);
        if (wrong) return wrong;
    }
    return NULL;
}

const char *path_check_sequential(struct weir_bytes prefix)
{
    char whole[COORD_PATH_MAX + PATH_SEQUENCE_MAX];
    if (prefix.length > COORD_PATH_MAX) return "is longer than 1024 bytes";
    if (prefix.length > 0) memcpy(whole, prefix.data, prefix.length);
    memset(whole + prefix.length, '0', PATH_SEQUENCE_MAX);
    return path_check(bytes_of(whole, prefix.length + PATH_SEQUENCE_MAX));
}

bool path_is_root(struct weir_bytes path)
{
    return path.length == 1;
}

struct weir_bytes path_name(struct weir_bytes path)
{
    const char *text = path.data;
    uint32_t at = path.length;
    while (at > 0 && text[at - 1] != '/') at--;
    return bytes_of(text + at, path.length - at);
}

struct weir_bytes path_parent(struct weir_bytes path)
{
    uint32_t above = path.length - path_name(path).length;
    return bytes_of(path.data, above > 1 ? above - 1 : 1);
}

bool path_within(struct weir_bytes path, struct weir_bytes above)
{
    if (path_is_root(above)) return true;
    if (path.length < above.length || memcmp(path.data, above.data, above.length) != 0) return false;
    return path.length == above.length || ((const char *)path.data)[above.length] == '/';
}
