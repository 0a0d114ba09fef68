/* SPDX-License-Identifier: Apache-2.0 */
#include "connectors/text/split.h"

#include <stdlib.h>

#define SPLIT_VERSION 2
#define SPLIT_HEAD 41 /* bytes in front of the path */

void split_put_i64(unsigned char *to, int64_t value)
{
    uint64_t bits = (uint64_t)value;
    for (int i = 0; i < 8; i++) to[i] = (unsigned char)(bits >> (8 * i));
}

int64_t split_get_i64(const unsigned char *from)
{
    uint64_t bits = 0;
    for (int i = 0; i < 8; i++) bits |= (uint64_t)from[i] << (8 * i);
    return (int64_t)bits;
}

weir_err split_add(struct weir_splits *splits, const struct split *split, struct weir_diag *diag)
{
    unsigned char bytes[WEIR_SPLIT_BYTES_MAX] = {SPLIT_VERSION};
    size_t len = strlen(split->path);
    if (len > sizeof bytes - SPLIT_HEAD) return weir_fail(diag, WEIR_E_LIMIT, "read %.200s...: path too long", split->path);
    split_put_i64(bytes + 1, split->begin);
    split_put_i64(bytes + 9, split->end);
    split_put_i64(bytes + 17, split->first_line);
    split_put_i64(bytes + 25, split->identity.size);
    split_put_i64(bytes + 33, split->identity.mtime_ns);
    memcpy(bytes + SPLIT_HEAD, split->path, len);
    weir_err err = weir_splits_add(splits, bytes, (uint32_t)(SPLIT_HEAD + len));
    return err ? weir_fail(diag, err, "read %s: more than %d splits (WEIR_SPLITS_MAX)", split->path, WEIR_SPLITS_MAX) : WEIR_OK;
}

weir_err split_read(struct split *split, struct weir_bytes bytes, struct weir_diag *diag)
{
    const unsigned char *from = bytes.data;
    if (bytes.length <= SPLIT_HEAD || from[0] != SPLIT_VERSION) return weir_fail(diag, WEIR_E_CORRUPT, "not a split of a file");
    char *path = strndup((const char *)from + SPLIT_HEAD, bytes.length - SPLIT_HEAD);
    if (!path) return weir_fail(diag, WEIR_E_NOMEM, "no memory for a path");
    *split = (struct split){
        .begin = split_get_i64(from + 1),
        .end = split_get_i64(from + 9),
        .first_line = split_get_i64(from + 17),
        .identity = {.size = split_get_i64(from + 25), .mtime_ns = split_get_i64(from + 33)},
        .path = path,
    };
    if (split->begin >= 0 && split->begin < split->end && split->first_line >= 0) return WEIR_OK;
    free(path);
    return weir_fail(diag, WEIR_E_CORRUPT, "not a split of a file");
}
