/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/coord/children.h"

#include "runtime/base/assert.h"

static int height(const struct node *n)
{
    return n ? n->height : 0;
}

static void measure(struct node *n)
{
    int left = height(n->left), right = height(n->right);
    n->height = (uint8_t)(1 + (left > right ? left : right));
}

static struct node *rotate_right(struct node *n)
{
    struct node *top = n->left;
    n->left = top->right;
    top->right = n;
    measure(n);
    measure(top);
    return top;
}

static struct node *rotate_left(struct node *n)
{
    struct node *top = n->right;
    n->right = top->left;
    top->left = n;
    measure(n);
    measure(top);
    return top;
}

/* The subtree at n, whose two sides differ by two at most, with sides that differ by one at most. */
static struct node *balance(struct node *n)
{
    int lean = height(n->left) - height(n->right);
    if (lean > 1) {
        if (height(n->left->left) < height(n->left->right)) n->left = rotate_left(n->left);
        return rotate_right(n);
    }
    if (lean < -1) {
        if (height(n->right->right) < height(n->right->left)) n->right = rotate_right(n->right);
        return rotate_left(n);
    }
    measure(n);
    return n;
}

static int order(const struct node *a, struct weir_bytes name)
{
    return bytes_compare(node_name(a), name);
}

static struct node *insert(struct node *at, struct node *child)
{
    if (!at) return child;
    int o = order(at, node_name(child));
    WEIR_ASSERT(o != 0);
    if (o > 0)
        at->left = insert(at->left, child);
    else
        at->right = insert(at->right, child);
    return balance(at);
}

/* Takes the first node off the subtree at `at`. */
static struct node *remove_first(struct node *at, struct node **first)
{
    if (!at->left) {
        *first = at;
        return at->right;
    }
    at->left = remove_first(at->left, first);
    return balance(at);
}

/* What takes the place of n, whose two sides stay. */
static struct node *join(struct node *n)
{
    struct node *top;
    if (!n->right) return n->left;
    struct node *right = remove_first(n->right, &top);
    top->left = n->left;
    top->right = right;
    return balance(top);
}

static struct node *remove_child(struct node *at, struct node *child)
{
    WEIR_ASSERT(at != NULL);
    if (at == child) return join(at);
    if (order(at, node_name(child)) > 0)
        at->left = remove_child(at->left, child);
    else
        at->right = remove_child(at->right, child);
    return balance(at);
}

void children_insert(struct node **root, struct node *child)
{
    child->left = child->right = NULL;
    child->height = 1;
    *root = insert(*root, child);
}

void children_remove(struct node **root, struct node *child)
{
    *root = remove_child(*root, child);
}

struct node *children_find(struct node *root, struct weir_bytes name)
{
    while (root) {
        int o = order(root, name);
        if (o == 0) return root;
        root = o > 0 ? root->left : root->right;
    }
    return NULL;
}

struct node *children_after(struct node *root, struct weir_bytes name)
{
    struct node *found = NULL;
    while (root) {
        if (order(root, name) > 0) {
            found = root;
            root = root->left;
        } else {
            root = root->right;
        }
    }
    return found;
}
