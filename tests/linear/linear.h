/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is a history of reads and writes of registers linearizable? Wing and Gong's search with Lowe's memory of what was seen before: an order
 * of all operations is looked for in which each read returns the value of the last write before it, and no operation stands before one
 * that returned before it was invoked. Keys are independent, so each is searched alone.
 *
 * A write whose answer never came may have taken effect at any time after its invocation, or never. A read without an answer says nothing
 * and is left out by the caller.
 *
 *     struct linear *l = linear_new();
 *     linear_add(l, (struct linear_op){LINEAR_WRITE, key, value, invoked, returned});
 *     struct linear_verdict v = linear_check(l, 1 << 20);
 *     linear_destroy(&l);
 *
 * Moments are numbers of any clock that all clients share; an operation that returns at the moment another is invoked is not before it.
 */
#ifndef WEIR_TESTS_LINEAR_LINEAR_H
#define WEIR_TESTS_LINEAR_LINEAR_H

#include <stdbool.h>
#include <stdint.h>

#define LINEAR_NEVER UINT64_MAX /* returned: the answer never came */

enum linear_kind { LINEAR_WRITE, LINEAR_READ, LINEAR_CAS };

struct linear_op {
    enum linear_kind kind;
    uint64_t key;
    uint64_t value; /* written, or read; a register begins as 0 */
    uint64_t invoked, returned;
    uint64_t expected; /* CAS: succeeded, so this was the value before. A CAS that failed is a read of what it saw */
};

enum linear_result { LINEAR_YES, LINEAR_NO, LINEAR_UNKNOWN /* the search was too long */ };

struct linear_verdict {
    enum linear_result result;
    uint64_t key;   /* NO, UNKNOWN: of the first register that is not */
    uint64_t steps; /* of the search */
};

struct linear;

struct linear *linear_new(void);
void linear_destroy(struct linear **linear);
void linear_add(struct linear *linear, struct linear_op op);
/* The history is used up. max_states: configurations remembered per key, about 32 bytes and an eighth per operation each; beyond, UNKNOWN.
 */
struct linear_verdict linear_check(struct linear *linear, uint64_t max_states);

#endif
