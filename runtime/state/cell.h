/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys of cells: one entry of a list, map or ordered state, or a value with a namespace, is a store entry of its own under a key made of
 *
 *     length of the key (2 bytes, big-endian) · key · length of the namespace (1 byte) · namespace · user key
 *
 * so that all cells of one (key, namespace) have a prefix of their own and lie together in the keeper, in the order of their user keys.
 */
#ifndef WEIR_RUNTIME_STATE_CELL_H
#define WEIR_RUNTIME_STATE_CELL_H

#include "weir/operator.h"
#include "weir/state.h"

/* What is in front of the user key. */
static inline uint32_t cell_prefix_length(uint32_t key_length, uint32_t ns_length)
{
    return 2 + key_length + 1 + ns_length;
}

#define CELL_KEY_MAX (2u + WEIR_KEY_MAX + 1u + WEIR_NAMESPACE_MAX + WEIR_USER_KEY_MAX)

/* Writes the prefix to `out` and returns its length. */
static inline uint32_t cell_put_prefix(unsigned char *out, const struct weir_key *key, struct weir_bytes ns)
{
    out[0] = (unsigned char)(key->length >> 8);
    out[1] = (unsigned char)key->length;
    if (key->length) memcpy(out + 2, key->data, key->length);
    out[2 + key->length] = (unsigned char)ns.length;
    if (ns.length) memcpy(out + 3 + key->length, ns.data, ns.length);
    return cell_prefix_length(key->length, ns.length);
}

/* Takes a cell's key apart. False for bytes that are none. */
static inline bool cell_parse(struct weir_bytes cell, struct weir_bytes *key, struct weir_bytes *ns, struct weir_bytes *user_key)
{
    const unsigned char *p = cell.data;
    if (cell.length < 3) return false;
    uint32_t key_length = (uint32_t)p[0] << 8 | p[1];
    if (cell.length < key_length + 3) return false;
    uint32_t ns_length = p[2 + key_length], length = cell_prefix_length(key_length, ns_length);
    if (cell.length < length) return false;
    *key = (struct weir_bytes){p + 2, key_length};
    *ns = (struct weir_bytes){p + 3 + key_length, ns_length};
    *user_key = (struct weir_bytes){p + length, cell.length - length};
    return true;
}

#endif
