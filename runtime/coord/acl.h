/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may do what with a node. An ACL is a list of (permissions, scheme, id); a connection has a list of identities (scheme, id). An
 * operation is allowed when one entry with its permission matches one identity. ACLs are not inherited.
 *
 *     world   id "anyone": everybody
 *     auth    in a request only: stands for all identities of whoever sets it
 *     digest  "user:" and 64 hex digits, the SHA-256 of "user:password"; shown by the client in an AUTH request
 *     key     the peer's CURVE public key as 40 characters Z85; the transport has checked it, no payload can claim it
 *     super   an identity only: may do everything. The driver gives it to the keys of administrators.
 *
 * Both lists travel and are kept in one canonical form (little-endian), so comparing and interning are memcmp:
 *
 *     ACL         u16 n, n times: u8 permissions, u8 scheme, u16 length, id
 *     identities  u16 n, n times:                 u8 scheme, u16 length, id
 */
#ifndef WEIR_RUNTIME_COORD_ACL_H
#define WEIR_RUNTIME_COORD_ACL_H

#include "runtime/coord/bytes.h"
#include "runtime/coord/error.h"
#include "runtime/coord/map.h"

enum acl_perm { ACL_READ = 1, ACL_WRITE = 2, ACL_CREATE = 4, ACL_DELETE = 8, ACL_ADMIN = 16, ACL_ALL = 31 };
enum acl_scheme { ACL_WORLD = 1, ACL_AUTH = 2, ACL_DIGEST = 3, ACL_KEY = 4, ACL_SUPER = 5 };

/* ---- identities ---- */

bool identities_valid(struct weir_bytes identities);
/* Appends one to a list kept in a buffer (empty: a new list); one that is there is no error. Errors: AUTH_FAILED (malformed, or too many).
 */
enum coord_err identities_add(struct buffer *identities, enum acl_scheme scheme, struct weir_bytes id);
/* Writes the digest identity of "user:password" to `out`. Errors: AUTH_FAILED (no colon, no user, too long). */
enum coord_err identity_of_password(struct weir_bytes user_password, struct buffer *out);

/* ---- lists ---- */

/* True for a canonical list that may lie in the tree: 1 to COORD_ACL_MAX entries, known permissions and schemes but auth. */
bool acl_valid(struct weir_bytes acl);

/*
 * Appends to `out` what the ACL of a request means for somebody with these identities: auth is replaced, doubled entries are dropped.
 * Errors: INVALID_ACL, and `out` may hold a part.
 */
enum coord_err acl_resolve(struct weir_bytes request, struct weir_bytes identities, struct buffer *out);

/* Is `super` among them? */
bool identities_are_super(struct weir_bytes identities);

bool acl_allows(struct weir_bytes acl, enum acl_perm perm, struct weir_bytes identities);

/* The same by name: entries for everybody do not count. */
bool acl_allows_by_name(struct weir_bytes acl, enum acl_perm perm, struct weir_bytes identities);

/* Appends the list as somebody without ADMIN may see it: the hash of a digest is "x". */
void acl_mask(struct weir_bytes acl, struct buffer *out);

/* "everybody may do everything", canonical. */
struct weir_bytes acl_open(void);

/* ---- interned lists: nodes share them ---- */

struct acl {
    struct map_item item; /* first */
    uint32_t refs, length;
    uint8_t bytes[];
};

/* The shared copy of a list, one reference more; NULL: no memory. */
struct acl *acl_intern(struct map *lists, struct weir_bytes acl);
void acl_release(struct map *lists, struct acl *acl); /* one reference less; NULL is allowed */

static inline struct weir_bytes acl_bytes(const struct acl *acl)
{
    return bytes_of(acl->bytes, acl->length);
}

#endif
