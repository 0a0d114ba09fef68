/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/coord/acl.h"

#include <stdlib.h>

#include "runtime/base/hash.h"
#include "runtime/base/id.h"
#include "runtime/coord/limits.h"

struct identity {
    uint8_t scheme;
    struct weir_bytes id;
};

struct entry {
    uint8_t perms;
    struct identity who;
};

static struct identity read_identity(struct reader *r)
{
    struct identity i = {.scheme = read_u8(r)};
    uint16_t n = read_u16(r);
    if (n > COORD_ID_MAX) r->broken = true;
    i.id = read_slice(r, n);
    return i;
}

static struct entry read_entry(struct reader *r)
{
    struct entry e = {.perms = read_u8(r)};
    e.who = read_identity(r);
    return e;
}

static void put_identity(struct buffer *b, struct identity i)
{
    put_u8(b, i.scheme);
    put_u16(b, (uint16_t)i.id.length);
    buffer_add(b, i.id.data, i.id.length);
}

static bool same(struct identity a, struct identity b)
{
    return a.scheme == b.scheme && bytes_equal(a.id, b.id);
}

/* Number of entries, with the reader behind it. */
static uint16_t begin(struct reader *r, struct weir_bytes list)
{
    reader_init(r, list.data, list.length);
    return read_u16(r);
}

/* Adds one to the count that `list` begins with, `at` bytes from its start. */
static void count_up(struct buffer *list, size_t at)
{
    if (!list->err && ++list->data[at] == 0) list->data[at + 1]++;
}

/* ---- identities ---------------------------------------------------------------------------------------------------------------- */

static bool identity_valid(struct identity i)
{
    if (i.id.length == 0 || i.id.length > COORD_ID_MAX) return false;
    return i.scheme == ACL_DIGEST || i.scheme == ACL_KEY || i.scheme == ACL_SUPER;
}

bool identities_valid(struct weir_bytes identities)
{
    struct reader r;
    uint16_t n = begin(&r, identities);
    if (n > COORD_IDENTITIES_MAX) return false;
    for (uint16_t i = 0; i < n; i++)
        if (!identity_valid(read_identity(&r))) return false;
    return reader_done(&r);
}

static bool has_identity(struct weir_bytes identities, struct identity wanted)
{
    struct reader r;
    for (uint16_t n = begin(&r, identities); n > 0; n--)
        if (same(read_identity(&r), wanted)) return true;
    return false;
}

enum coord_err identities_add(struct buffer *identities, enum acl_scheme scheme, struct weir_bytes id)
{
    struct identity i = {(uint8_t)scheme, id};
    if (!identity_valid(i)) return COORD_AUTH_FAILED;
    if (identities->len == 0) put_u16(identities, 0);
    if (has_identity(bytes_of(identities->data, identities->len), i)) return COORD_OK;
    if (identities->err || identities->data[0] == COORD_IDENTITIES_MAX) return COORD_AUTH_FAILED;
    count_up(identities, 0);
    put_identity(identities, i);
    return COORD_OK;
}

enum coord_err identity_of_password(struct weir_bytes user_password, struct buffer *out)
{
    const char *text = user_password.data, *colon = user_password.length ? memchr(text, ':', user_password.length) : NULL;
    size_t user = colon ? (size_t)(colon - text) : 0;
    if (user == 0 || user + WEIR_DIGEST_TEXT > COORD_ID_MAX) return COORD_AUTH_FAILED;
    struct sha256 s;
    char hex[WEIR_DIGEST_TEXT];
    sha256_init(&s);
    sha256_update(&s, text, user_password.length);
    digest_text(sha256_final(&s), hex);
    buffer_add(out, text, user + 1);
    buffer_str(out, hex);
    return COORD_OK;
}

/* ---- lists --------------------------------------------------------------------------------------------------------------------- */

static bool entry_valid(struct entry e)
{
    if (e.perms == 0 || e.perms > ACL_ALL) return false;
    if (e.who.scheme == ACL_WORLD) return bytes_equal(e.who.id, bytes_text("anyone"));
    if (e.who.scheme == ACL_AUTH) return true;
    return e.who.scheme != ACL_SUPER && identity_valid(e.who);
}

/* True for a list of 1 to COORD_ACL_MAX good entries, auth among them only when `request`. */
static bool list_valid(struct weir_bytes acl, bool request)
{
    struct reader r;
    uint16_t n = begin(&r, acl);
    if (n == 0 || n > COORD_ACL_MAX) return false;
    for (uint16_t i = 0; i < n; i++) {
        struct entry e = read_entry(&r);
        if (!entry_valid(e) || (e.who.scheme == ACL_AUTH && !request)) return false;
    }
    return reader_done(&r);
}

bool acl_valid(struct weir_bytes acl)
{
    return list_valid(acl, false);
}

static bool has_entry(struct weir_bytes acl, struct entry wanted)
{
    struct reader r;
    for (uint16_t n = begin(&r, acl); n > 0; n--) {
        struct entry e = read_entry(&r);
        if (e.perms == wanted.perms && same(e.who, wanted.who)) return true;
    }
    return false;
}

static void add_entry(struct buffer *out, size_t at, struct entry e)
{
    if (out->err || has_entry(bytes_of(out->data + at, out->len - at), e)) return;
    count_up(out, at);
    put_u8(out, e.perms);
    put_identity(out, e.who);
}

static void add_all_of(struct buffer *out, size_t at, uint8_t perms, struct weir_bytes identities)
{
    struct reader r;
    for (uint16_t n = begin(&r, identities); n > 0; n--) {
        struct identity i = read_identity(&r);
        if (i.scheme != ACL_SUPER) add_entry(out, at, (struct entry){perms, i});
    }
}

enum coord_err acl_resolve(struct weir_bytes request, struct weir_bytes identities, struct buffer *out)
{
    if (!list_valid(request, true)) return COORD_INVALID_ACL;
    size_t at = out->len;
    struct reader r;
    put_u16(out, 0);
    for (uint16_t n = begin(&r, request); n > 0; n--) {
        struct entry e = read_entry(&r);
        if (e.who.scheme == ACL_AUTH)
            add_all_of(out, at, e.perms, identities);
        else
            add_entry(out, at, e);
    }
    return !out->err && acl_valid(bytes_of(out->data + at, out->len - at)) ? COORD_OK : COORD_INVALID_ACL;
}

bool identities_are_super(struct weir_bytes identities)
{
    struct reader r;
    for (uint16_t n = begin(&r, identities); n > 0; n--)
        if (read_identity(&r).scheme == ACL_SUPER) return true;
    return false;
}

bool acl_allows(struct weir_bytes acl, enum acl_perm perm, struct weir_bytes identities)
{
    struct reader r;
    for (uint16_t n = begin(&r, acl); n > 0; n--) {
        struct entry e = read_entry(&r);
        if ((e.perms & perm) && (e.who.scheme == ACL_WORLD || has_identity(identities, e.who))) return true;
    }
    return identities_are_super(identities);
}

bool acl_allows_by_name(struct weir_bytes acl, enum acl_perm perm, struct weir_bytes identities)
{
    struct reader r;
    for (uint16_t n = begin(&r, acl); n > 0; n--) {
        struct entry e = read_entry(&r);
        if ((e.perms & perm) && e.who.scheme != ACL_WORLD && has_identity(identities, e.who)) return true;
    }
    return identities_are_super(identities);
}

void acl_mask(struct weir_bytes acl, struct buffer *out)
{
    struct reader r;
    uint16_t n = begin(&r, acl);
    put_u16(out, n);
    for (; n > 0; n--) {
        struct entry e = read_entry(&r);
        const char *id = e.who.id.data, *colon = e.who.id.length ? memchr(id, ':', e.who.id.length) : NULL;
        put_u8(out, e.perms);
        if (e.who.scheme != ACL_DIGEST || !colon) {
            put_identity(out, e.who);
            continue;
        }
        put_u8(out, ACL_DIGEST);
        put_u16(out, (uint16_t)(colon - id + 2));
        buffer_add(out, id, (size_t)(colon - id) + 1);
        buffer_str(out, "x");
    }
}

struct weir_bytes acl_open(void)
{
    static const uint8_t open[] = {1, 0, ACL_ALL, ACL_WORLD, 6, 0, 'a', 'n', 'y', 'o', 'n', 'e'};
    return bytes_of(open, sizeof open);
}

/* ---- interned lists ------------------------------------------------------------------------------------------------------------ */

struct acl *acl_intern(struct map *lists, struct weir_bytes acl)
{
    uint64_t hash = hash64(acl.data, acl.length);
    for (struct map_item *i = map_first(lists, hash); i; i = map_same(i)) {
        struct acl *known = (struct acl *)i;
        if (!bytes_equal(acl_bytes(known), acl)) continue;
        known->refs++;
        return known;
    }
    struct acl *a = malloc(sizeof *a + acl.length);
    if (!a || !map_add(lists, &a->item, hash)) {
        free(a);
        return NULL;
    }
    a->refs = 1;
    a->length = acl.length;
    memcpy(a->bytes, acl.data, acl.length);
    return a;
}

void acl_release(struct map *lists, struct acl *acl)
{
    if (!acl || --acl->refs > 0) return;
    map_remove(lists, &acl->item);
    free(acl);
}
