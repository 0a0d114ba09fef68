/* SPDX-License-Identifier: Apache-2.0 */
/* The children of a node: a balanced (AVL) tree by name through the nodes' own links, at most 1.44 log2 n deep. Names sort by their bytes.
 */
#ifndef WEIR_RUNTIME_COORD_CHILDREN_H
#define WEIR_RUNTIME_COORD_CHILDREN_H

#include "runtime/coord/tree.h"

struct node *children_find(struct node *root, struct weir_bytes name); /* NULL: none */
struct node *children_after(struct node *root,
                            struct weir_bytes name);          /* the first whose name sorts behind `name`; "": the first; NULL: none */
void children_insert(struct node **root, struct node *child); /* one whose name is not there */
void children_remove(struct node **root, struct node *child); /* one that is there */

#endif
