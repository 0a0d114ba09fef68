/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of a node beside its data, with ZooKeeper's names. Versions have 64 bits: they do not wrap. */
#ifndef WEIR_RUNTIME_COORD_STAT_H
#define WEIR_RUNTIME_COORD_STAT_H

#include "runtime/coord/bytes.h"

struct coord_stat {
    struct zxid czxid; /* the transaction that created it, */
    struct zxid mzxid; /* last changed its data, */
    struct zxid pzxid; /* last created or deleted a child; czxid before the first */
    int64_t ctime_ms;  /* when it was created, */
    int64_t mtime_ms;  /* its data last changed; clocks of the leaders, never falling */
    uint64_t version;  /* changes of its data, */
    uint64_t cversion; /* of its children, */
    uint64_t aversion; /* of its ACL */
    uint64_t owner;    /* the session an ephemeral belongs to; else 0 */
    uint64_t ttl_ms;   /* of a TTL node; else 0 */
    uint32_t data_len, n_children;
    uint8_t kind; /* enum node_kind */
};

#define COORD_STAT_BYTES 113u

void put_stat(struct buffer *b, const struct coord_stat *s);
struct coord_stat read_stat(struct reader *r);

#endif
