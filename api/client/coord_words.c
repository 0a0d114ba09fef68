/* SPDX-License-Identifier: Apache-2.0 */
/* Errors and ACLs in words. */
#include <stdio.h>
#include <string.h>

#include "runtime/coord/acl.h"
#include "runtime/coord/error.h"
#include "runtime/coord/limits.h"
#include "weir/coord.h"

/* ---- errors -------------------------------------------------------------------------------------------------------------------- */

const char *weir_coord_err_name(enum weir_coord_err err)
{
    switch (err) {
    case WEIR_COORD_CONNECTION_LOSS: return "CONNECTION_LOSS";
    case WEIR_COORD_OPERATION_TIMEOUT: return "OPERATION_TIMEOUT";
    case WEIR_COORD_CLOSING: return "CLOSING";
    case WEIR_COORD_WRONG_THREAD: return "WRONG_THREAD";
    case WEIR_COORD_KEY_REFUSED: return "KEY_REFUSED";
    default: return coord_err_name((unsigned)err);
    }
}

const char *weir_coord_err_words(enum weir_coord_err err)
{
    switch (err) {
    case WEIR_COORD_OK: return "done";
    case WEIR_COORD_RUNTIME_INCONSISTENCY: return "an operation before this one failed, so none was carried out";
    case WEIR_COORD_CONNECTION_LOSS: return "the connection broke: ask again";
    case WEIR_COORD_MARSHALLING: return "bytes that do not fit the protocol: client and server are of different versions";
    case WEIR_COORD_UNIMPLEMENTED: return "the server does not know this operation: it is older than the client";
    case WEIR_COORD_OPERATION_TIMEOUT:
        return "no server answered in time; a write may have been carried out: read to find out, check the servers' addresses and quorum";
    case WEIR_COORD_BAD_ARGUMENTS: return "a path or an argument outside its range: paths begin with a slash and do not end with one";
    case WEIR_COORD_NO_NODE: return "no such node, or no parent for a new one: create it first";
    case WEIR_COORD_NO_AUTH: return "the node's ACL does not allow it: show another identity, or have its ACL changed";
    case WEIR_COORD_BAD_VERSION: return "the node was changed meanwhile: read it again and repeat with the new version";
    case WEIR_COORD_NO_CHILDREN_FOR_EPHEMERALS: return "an ephemeral node has no children: put them elsewhere";
    case WEIR_COORD_NODE_EXISTS: return "there is a node of this name: choose another, or set its data";
    case WEIR_COORD_NOT_EMPTY: return "the node has children: delete them first";
    case WEIR_COORD_SESSION_EXPIRED:
        return "the servers have not heard of this session for its timeout: its ephemeral nodes are gone, open another";
    case WEIR_COORD_INVALID_ACL: return "an ACL that is empty, too long, or names nobody: `auth` needs an identity shown before";
    case WEIR_COORD_AUTH_FAILED: return "credentials that are none: digest wants user:password";
    case WEIR_COORD_CLOSING: return "the client was closed";
    case WEIR_COORD_SESSION_MOVED: return "the session lives at another server now";
    case WEIR_COORD_NO_WATCHER: return "no such watch; it may have fired";
    case WEIR_COORD_QUOTA_EXCEEDED: return "the quota of a node above does not allow it: delete something, or raise the quota";
    case WEIR_COORD_THROTTLED: return "too many requests under way, this one was not carried out: ask again later, and fewer at once";
    case WEIR_COORD_NO_QUORUM: return "the server has no leader with a quorum: start the missing peers";
    case WEIR_COORD_LIMIT: return "larger than a limit of the tree or of the protocol: make it smaller";
    case WEIR_COORD_OUTCOME_FORGOTTEN: return "a leader changed and this write was left out, one sent after it was not: send it again";
    case WEIR_COORD_CLIENT_AHEAD: return "this server has not yet seen what this client has: another one has";
    case WEIR_COORD_KEY_REFUSED:
        return "no server lets this client in: have its key added to the known keys there, or give a key and the known keys if it has none";
    case WEIR_COORD_WRONG_THREAD:
        return "a synchronous call would wait for itself in a callback, and hold up its task where an operator must not block: use the "
               "asynchronous one";
    }
    return "an error this client does not know: it is older than the server";
}

/* ---- ACLs ---------------------------------------------------------------------------------------------------------------------- */

static const char *const schemes[] = {
    [ACL_WORLD] = "world", [ACL_AUTH] = "auth", [ACL_DIGEST] = "digest", [ACL_KEY] = "key", [ACL_SUPER] = "super"};

static uint8_t scheme_of(const char *text, size_t length)
{
    for (uint8_t i = ACL_WORLD; i <= ACL_KEY; i++)
        if (strlen(schemes[i]) == length && memcmp(schemes[i], text, length) == 0) return i;
    return 0;
}

/* "crw" as bits; 0: something else is in it, or nothing. */
static uint8_t permissions_of(const char *text, size_t length)
{
    static const char letters[] = "rwcda";
    uint8_t bits = 0;
    for (size_t i = 0; i < length; i++) {
        const char *letter = text[i] ? strchr(letters, text[i]) : NULL;
        if (!letter) return 0;
        bits |= (uint8_t)(1u << (letter - letters));
    }
    return bits;
}

static bool put_entry(struct buffer *b, const char *text, size_t length)
{
    const char *first = memchr(text, ':', length), *last = memrchr(text, ':', length);
    if (!first || first == last) return false;
    uint8_t scheme = scheme_of(text, (size_t)(first - text));
    uint8_t permissions = permissions_of(last + 1, (size_t)(text + length - last - 1));
    size_t n = (size_t)(last - first - 1);
    if (!scheme || !permissions || n > COORD_ID_MAX || (n == 0) != (scheme == ACL_AUTH)) return false;
    put_u8(b, permissions);
    put_u8(b, scheme);
    put_u16(b, (uint16_t)n);
    buffer_add(b, first + 1, n);
    return true;
}

enum weir_coord_err weir_coord_acl_parse(const char *text, void *out, size_t size, uint32_t *length)
{
    struct buffer list = {0};
    uint16_t n = 0;
    enum weir_coord_err err = WEIR_COORD_OK;
    put_u16(&list, 0);
    for (const char *at = text; !err; at++) {
        size_t part = strcspn(at, ",");
        if (n == COORD_ACL_MAX || !put_entry(&list, at, part)) err = WEIR_COORD_INVALID_ACL;
        n++;
        at += part;
        if (*at == '\0') break;
    }
    if (!err && (list.err || list.len > size)) err = WEIR_COORD_LIMIT;
    if (!err) {
        list.data[0] = (uint8_t)n;
        list.data[1] = (uint8_t)(n >> 8);
        memcpy(out, list.data, list.len);
        *length = (uint32_t)list.len;
    }
    buffer_close(&list);
    return err;
}

bool weir_coord_acl_digest(const char *user_password, char out[static 256])
{
    struct buffer id = {0};
    bool made = strlen(user_password) <= COORD_ID_MAX && identity_of_password(bytes_text(user_password), &id) == COORD_OK && id.len < 256;
    if (made) {
        memcpy(out, id.data, id.len);
        out[id.len] = '\0';
    }
    buffer_close(&id);
    return made;
}

bool weir_coord_acl_next(struct weir_bytes acl, uint32_t *at, struct weir_coord_acl_entry *out)
{
    struct reader r;
    uint32_t from = *at < 2 ? 2 : *at; /* behind the number of entries */
    if (acl.length <= from) return false;
    reader_init(&r, acl.data + from, acl.length - from);
    uint8_t permissions = read_u8(&r), scheme = read_u8(&r);
    struct weir_bytes id = read_slice(&r, read_u16(&r));
    if (r.broken || id.length > COORD_ID_MAX || scheme < ACL_WORLD || scheme > ACL_SUPER) return false;
    *out = (struct weir_coord_acl_entry){.permissions = permissions, .scheme = schemes[scheme]};
    memcpy(out->id, id.data, id.length);
    *at = (uint32_t)(r.at - (const uint8_t *)acl.data);
    return true;
}
