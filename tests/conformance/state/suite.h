/* SPDX-License-Identifier: Apache-2.0 */
/* What the named cases share: a subject in a small world, and sentences about it. */
#ifndef WEIR_TESTS_CONFORMANCE_STATE_SUITE_H
#define WEIR_TESTS_CONFORMANCE_STATE_SUITE_H

#include "tests/conformance/state/ops.h"
#include "tests/conformance/state/system.h"

/* One case on one subject. */
struct story {
    const struct subject_ops *ops;
    struct config config;
    void *subject;
    weir_time now_ms;
    struct answer a;
    bool is_system;
};

typedef void (*case_fn)(struct story *s);

enum { NEEDS_SNAPSHOTS = 1, NEEDS_SYSTEM = 2, NEEDS_DISK = 4 };
struct named_case {
    const char *name;
    case_fn run;
    unsigned needs;
};

extern const struct named_case file_cases[]; /* of suite_files.c; ends with a NULL */

/* Adds a state to a story that has not begun; returns its index. */
uint32_t has(struct story *s, enum keyed_kind kind, uint32_t value_size, int64_t ttl_ms, uint32_t flags);
void begin(struct story *s);

const struct weir_key *key(uint32_t i);          /* "key <i>" */
const struct weir_key *key_of(const char *text); /* one of four static places, used in turn */
struct weir_bytes text(const char *text);        /* NULL: {NULL, 0} */

void act(struct story *s, struct op op); /* the answer is in s->a */
void write_text(struct story *s, uint32_t state, const struct weir_key *k, const char *value);
void reads(struct story *s, uint32_t state, const struct weir_key *k, const char *value); /* NULL: there is none */
void clears(struct story *s, uint32_t state, const struct weir_key *k);

void passes(struct story *s, int64_t ms); /* a safe point, so much later: what exceeds the budget goes */
void keep(struct story *s);               /* freeze, persist */
void restart(struct story *s, uint32_t n_instances);
void move_out(struct story *s); /* safe points until a small budget has sent everything away */

/*
 * The last answer in words. layout: what it is made of, over and over: 'b' bytes (their text, "-" for none), 'n' a number, 'e' an error
 * code (nothing when it is WEIR_OK), 'c' a count (not shown), then the rest over and over. Words are separated by blanks.
 */
#define SAID(s, layout, expected) said(s, layout, expected, __FILE__, __LINE__)
void said(const struct story *s, const char *layout, const char *expected, const char *file, int line);

#define CHECK(cond) ((cond) ? (void)0 : broken(__FILE__, __LINE__, "not true: %s", #cond))

#endif
