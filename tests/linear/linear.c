/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/linear/linear.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"
#include "runtime/base/hash.h"

struct linear {
    struct linear_op *ops;
    uint32_t n, cap;
};

/* Configurations seen before: which operations are placed, and the register's value then. Open addressing, kept whole, not as hashes. */
struct memory {
    uint64_t *slots; /* words + 2 each: taken, value, bits */
    uint64_t cap, n, max;
    uint32_t words;
};

/* The history as a list of calls and returns by time, from which placed operations are taken out (and put back). */
struct node {
    struct node *prev, *next, *match; /* match of a call: its return */
    uint32_t op;
    bool call;
    uint64_t at;
};

struct search {
    const struct linear_op *ops;
    uint32_t n;
    struct node head, *nodes;
    uint64_t value;
    uint64_t *placed; /* bit set */
    struct memory memory;
    struct {
        struct node *call;
        uint64_t value;
    } * stack;
    uint32_t depth;
    uint64_t steps;
};

struct linear *linear_new(void)
{
    struct linear *l = calloc(1, sizeof *l);
    WEIR_ASSERT(l);
    return l;
}

void linear_destroy(struct linear **linear)
{
    if (!*linear) return;
    free((*linear)->ops);
    free(*linear);
    *linear = NULL;
}

void linear_add(struct linear *l, struct linear_op op)
{
    WEIR_ASSERT(op.returned >= op.invoked);
    if (l->n == l->cap) {
        l->cap = l->cap ? 2 * l->cap : 64;
        l->ops = realloc(l->ops, l->cap * sizeof *l->ops);
        WEIR_ASSERT(l->ops);
    }
    l->ops[l->n++] = op;
}

/* ---- memory ---- */

static uint64_t *find(const struct memory *m, uint64_t value, const uint64_t *bits)
{
    uint64_t i = hash64_seed(bits, m->words * sizeof *bits, value);
    for (;; i++) {
        uint64_t *slot = &m->slots[(i & (m->cap - 1)) * (m->words + 2)];
        if (!slot[0] || (slot[1] == value && !memcmp(slot + 2, bits, m->words * sizeof *bits))) return slot;
    }
}

static void grow(struct memory *m)
{
    struct memory old = *m;
    m->cap = old.cap ? 2 * old.cap : 256;
    m->slots = calloc(m->cap * (m->words + 2), sizeof *m->slots);
    WEIR_ASSERT(m->slots);
    for (uint64_t i = 0; i < old.cap; i++) {
        const uint64_t *from = &old.slots[i * (m->words + 2)];
        if (from[0]) memcpy(find(m, from[1], from + 2), from, (m->words + 2) * sizeof *from);
    }
    free(old.slots);
}

/* false: seen before. */
static bool remember(struct memory *m, uint64_t value, const uint64_t *bits)
{
    if (2 * m->n >= m->cap) grow(m);
    uint64_t *slot = find(m, value, bits);
    if (slot[0]) return false;
    slot[0] = 1;
    slot[1] = value;
    memcpy(slot + 2, bits, m->words * sizeof *bits);
    m->n++;
    return true;
}

/* ---- the list ---- */

static int by_time(const void *a, const void *b)
{
    const struct node *x = a, *y = b;
    if (x->at != y->at) return x->at < y->at ? -1 : 1;
    return (int)y->call - (int)x->call; /* at one moment calls come first: both orders are allowed */
}

static void make_list(struct search *s)
{
    s->nodes = calloc(2 * (size_t)s->n + 1, sizeof *s->nodes);
    WEIR_ASSERT(s->nodes);
    for (uint32_t i = 0; i < s->n; i++) {
        s->nodes[2 * i] = (struct node){.op = i, .call = true, .at = s->ops[i].invoked};
        s->nodes[2 * i + 1] = (struct node){.op = i, .at = s->ops[i].returned};
    }
    qsort(s->nodes, 2 * (size_t)s->n, sizeof *s->nodes, by_time);
    struct node **calls = calloc(s->n + 1u, sizeof(struct node *)), *last = &s->head;
    WEIR_ASSERT(calls);
    for (uint32_t i = 0; i < 2 * s->n; i++) {
        struct node *node = &s->nodes[i];
        node->prev = last;
        last->next = node;
        last = node;
        if (node->call)
            calls[node->op] = node;
        else
            calls[node->op]->match = node;
    }
    free(calls);
}

static void lift_one(struct node *node)
{
    node->prev->next = node->next;
    if (node->next) node->next->prev = node->prev;
}

static void lower_one(struct node *node)
{
    node->prev->next = node;
    if (node->next) node->next->prev = node;
}

static void place(struct search *s, struct node *call)
{
    s->stack[s->depth].call = call;
    s->stack[s->depth++].value = s->value;
    lift_one(call);
    lift_one(call->match);
}

/* Takes the last placed operation back; returns its call. */
static struct node *take_back(struct search *s)
{
    struct node *call = s->stack[--s->depth].call;
    s->value = s->stack[s->depth].value;
    s->placed[call->op / 64] &= ~(1ull << call->op % 64);
    lower_one(call->match);
    lower_one(call);
    return call;
}

/* ---- the search ---- */

/* May the operation stand next? Then `value` becomes the register's. */
static bool applies(const struct linear_op *op, uint64_t *value)
{
    if (op->kind == LINEAR_READ) return op->value == *value;
    if (op->kind == LINEAR_CAS && op->expected != *value) return false;
    *value = op->value;
    return true;
}

/* What is left are writes that never returned: they may simply not have happened. */
static bool done(const struct search *s)
{
    const struct node *first = s->head.next;
    while (first && first->call) first = first->next;
    return !first || first->at == LINEAR_NEVER;
}

static bool try_place(struct search *s, struct node *call)
{
    uint64_t value = s->value;
    if (!applies(&s->ops[call->op], &value)) return false;
    s->placed[call->op / 64] |= 1ull << call->op % 64;
    if (!remember(&s->memory, value, s->placed)) {
        s->placed[call->op / 64] &= ~(1ull << call->op % 64);
        return false;
    }
    place(s, call);
    s->value = value;
    return true;
}

/* Reads that see the present value and have been invoked are placed at once: never does a later place serve better. */
static void place_reads(struct search *s)
{
    for (struct node *at = s->head.next; at && at->call;) {
        struct node *next = at->next;
        if (s->ops[at->op].kind == LINEAR_READ && s->ops[at->op].value == s->value) {
            s->placed[at->op / 64] |= 1ull << at->op % 64;
            place(s, at);
            at = s->head.next; /* its return may have stood before other calls */
        } else {
            at = next;
        }
    }
}

/* Takes back reads, which had no alternative, and the write before them. Where to go on; NULL: there is nothing to take back. */
static struct node *retreat(struct search *s)
{
    while (s->depth > 0) {
        struct node *call = take_back(s);
        if (s->ops[call->op].kind != LINEAR_READ) return call->next;
    }
    return NULL;
}

static enum linear_result search(struct search *s)
{
    place_reads(s);
    struct node *at = s->head.next;
    while (!done(s)) {
        s->steps++;
        if (s->memory.n > s->memory.max) return LINEAR_UNKNOWN;
        if (at && at->call) {
            bool placed = try_place(s, at);
            if (placed) place_reads(s);
            at = placed ? s->head.next : at->next;
        } else { /* a return: what returned must have been placed */
            at = retreat(s);
            if (!at) return LINEAR_NO;
        }
    }
    return LINEAR_YES;
}

static enum linear_result check_key(const struct linear_op *ops, uint32_t n, uint64_t max_states, uint64_t *steps)
{
    struct search s = {.ops = ops, .n = n, .memory = {.max = max_states, .words = (n + 63) / 64}};
    s.placed = calloc(s.memory.words + 1u, sizeof *s.placed);
    s.stack = calloc(n + 1u, sizeof *s.stack);
    WEIR_ASSERT(s.placed);
    WEIR_ASSERT(s.stack);
    make_list(&s);
    enum linear_result result = search(&s);
    *steps += s.steps;
    free(s.nodes);
    free(s.stack);
    free(s.placed);
    free(s.memory.slots);
    return result;
}

static int by_key(const void *a, const void *b)
{
    const struct linear_op *x = a, *y = b;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return x->invoked < y->invoked ? -1 : x->invoked > y->invoked;
}

static bool seen(const struct linear_op *op, const struct linear_op *ops, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (ops[i].kind == LINEAR_READ && ops[i].value == op->value) return true;
        if (ops[i].kind == LINEAR_CAS && ops[i].expected == op->value) return true;
    }
    return false;
}

/* Writes without an answer whose value nobody saw need not have happened. Each would double the search. */
static uint32_t drop_unseen(struct linear_op *ops, uint32_t n)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < n; i++)
        if (ops[i].returned != LINEAR_NEVER || seen(&ops[i], ops, n)) ops[kept++] = ops[i];
    return kept;
}

struct linear_verdict linear_check(struct linear *l, uint64_t max_states)
{
    struct linear_verdict verdict = {.result = LINEAR_YES};
    if (l->n) qsort(l->ops, l->n, sizeof *l->ops, by_key);
    for (uint32_t from = 0, to; from < l->n; from = to) {
        verdict.key = l->ops[from].key;
        for (to = from; to < l->n && l->ops[to].key == l->ops[from].key;) to++;
        verdict.result = check_key(l->ops + from, drop_unseen(l->ops + from, to - from), max_states, &verdict.steps);

        if (verdict.result != LINEAR_YES) return verdict;
    }
    return verdict;
}
