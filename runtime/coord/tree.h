/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree of nodes, with ZooKeeper's model. What this file does is mechanical: it finds, adds, changes, removes. Whether a request may do
 * so is decided before, at the leader (prep.h); whether a transaction fits is checked by txn.c.
 *
 * Every node also counts the nodes and bytes of its subtree, so a quota can stand anywhere and costs nothing to set.
 *
 * Owner: one thread. Where memory is missing, nothing has changed.
 */
#ifndef WEIR_RUNTIME_COORD_TREE_H
#define WEIR_RUNTIME_COORD_TREE_H

#include <sys/queue.h>

#include "runtime/coord/acl.h"
#include "runtime/coord/map.h"
#include "runtime/coord/stat.h"

enum node_kind {
    NODE_PERSISTENT = 0,
    NODE_EPHEMERAL = 1, /* goes with its session; has no children */
    NODE_CONTAINER = 2, /* the leader removes it some time after its last child went */
    NODE_TTL = 3,       /* the leader removes it when it is childless and was not changed for its time */
};
#define NODE_KINDS 4

struct quota {
    uint64_t nodes, bytes; /* most of them in a subtree, its top included; 0: unbounded */
};

/* nodes: this one and all below. bytes: their names (with the slash) and data. */
struct usage {
    uint64_t nodes, bytes;
};

struct node {
    struct node *parent;       /* NULL: the root */
    struct node *left, *right; /* siblings, children.h */
    struct node *children;     /* top of their tree */
    TAILQ_ENTRY(node) kin;     /* the session's ephemerals, all containers or all TTL nodes, in the order of their creation */
    struct acl *acl;
    uint8_t *data; /* NULL: none, which is not the same as empty */
    uint32_t data_len, n_children;
    struct zxid czxid, mzxid, pzxid;
    int64_t ctime_ms, mtime_ms;
    uint64_t version, cversion, aversion;
    uint64_t owner;    /* ephemeral: the session. TTL: milliseconds. Else 0 */
    uint64_t sequence; /* sequential children created so far */
    struct quota quota;
    struct usage usage;
    uint32_t image; /* the image (image.h) that has taken it, or that it came too late for */
    uint8_t kind, height, name_len;
    char name[];
};

TAILQ_HEAD(node_list, node);

struct image;

struct tree {
    struct node *root;
    struct map owners; /* struct owner by session: those that have ephemerals */
    struct node_list containers, ttls;
    struct map acls;
    struct image *image; /* being taken; NULL: none */
    uint32_t images;     /* taken so far */
};

/* When a change happens: part of the transaction, never a clock. */
struct moment {
    struct zxid zxid;
    int64_t ms;
};

weir_err tree_init(struct tree *t); /* with a root that everybody may do everything with */
void tree_close(struct tree *t);

static inline struct weir_bytes node_name(const struct node *n)
{
    return bytes_of(n->name, n->name_len);
}

static inline struct weir_bytes node_data(const struct node *n)
{
    return bytes_of(n->data, n->data_len);
}

struct node *tree_find(const struct tree *t, struct weir_bytes path); /* NULL: none. `path` is one (path.h) */
struct node *node_child_after(const struct node *n, struct weir_bytes name);
struct node *node_next(struct node *n);                   /* in the order parent before children, children by name; NULL behind the last */
void node_path(const struct node *n, struct buffer *out); /* appended */
struct coord_stat node_stat(const struct node *n);
const struct node_list *tree_ephemerals(const struct tree *t, uint64_t session); /* NULL: none */

/* What to create. Data and ACL (canonical) are copied. */
struct seed {
    struct weir_bytes data, acl;
    uint8_t kind;
    uint64_t owner;
};

/*
 * Adds a node; its parent exists, it does not. sequence: the parent's counter afterwards; 0: not a sequential node. NULL: no memory, and
 * nothing changed.
 */
struct node *tree_create(struct tree *t, struct weir_bytes path, const struct seed *seed, uint64_t sequence, struct moment when);
/* The same for one that existed elsewhere: the parent stays as it is. For image.h */
struct node *tree_restore(struct tree *t, struct weir_bytes path, const struct seed *seed);

void tree_delete(struct tree *t, struct node *n, struct moment when);                           /* not the root, no children */
bool tree_set_data(struct tree *t, struct node *n, struct weir_bytes data, struct moment when); /* false: no memory */
bool tree_set_acl(struct tree *t, struct node *n, struct weir_bytes acl);
void tree_set_quota(struct tree *t, struct node *n, struct quota quota);

#endif
