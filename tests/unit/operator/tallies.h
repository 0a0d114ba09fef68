/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Facts, the rows that the tests of tables and joins are fed, and tallies: the table that a changelog has come to, as lines of text with
 * counts. A test compares the operator's tally with that of a model that knows nothing of state, batches or order.
 */
#ifndef WEIR_TESTS_UNIT_OPERATOR_TALLIES_H
#define WEIR_TESTS_UNIT_OPERATOR_TALLIES_H

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "weir/weir.h"

static uint64_t current_seed;

static inline void check_that(bool holds, const char *condition, const char *file, int line)
{
    if (holds) return;
    print_error("seed %" PRIu64 ": not true: %s\n", current_seed, condition);
    _fail(file, line);
}
#define CHECK(cond) check_that((cond), #cond, __FILE__, __LINE__)

static inline uint64_t draw(void)
{
    static uint64_t state, seed = UINT64_MAX;
    if (seed != current_seed) state = seed = current_seed;
    uint64_t x = state += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static inline uint32_t below(uint32_t n)
{
    return (uint32_t)(draw() % n);
}

/* ---- facts -----------------------------------------------------------------------------------------------------------------------------
 */

struct fact {
    bool flag; /* padding behind it: two equal rows need not have equal bytes */
    int64_t key, value, id;
    weir_time time;
    struct weir_str text;
};
WEIR_ROW(fact, WEIR_FIELD(fact, 1, I64, key), WEIR_FIELD(fact, 2, I64, value), WEIR_FIELD(fact, 3, I64, id),
         WEIR_FIELD(fact, 4, TIME, time), WEIR_FIELD(fact, 5, STR, text), WEIR_FIELD(fact, 6, BOOL, flag));
WEIR_KEY_FIXED(fact_key, fact, key);

#define FACT_TEXT_MAX 40u

/* One record to come. The text follows from the id, so that the same fact can be given again. */
struct event {
    int64_t key, value, id;
    weir_time time_ms;
    uint8_t kind;
};

static inline uint32_t text_of(int64_t id, char text[FACT_TEXT_MAX])
{
    uint32_t n = (uint32_t)((uint64_t)id * 7919 % (FACT_TEXT_MAX - 8));
    for (uint32_t i = 0; i < n; i++) text[i] = (char)('a' + ((uint64_t)id + i) % 26);
    return n;
}

#define FACT_LINE_MAX 160

static inline void fact_line(const struct fact *f, char line[FACT_LINE_MAX])
{
    snprintf(line, FACT_LINE_MAX, "%" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %.*s %d", f->key, f->value, f->id, f->time,
             (int)f->text.length, weir_str_data(f, f->text), f->flag);
}

static inline void event_line(const struct event *e, char line[FACT_LINE_MAX])
{
    char text[FACT_TEXT_MAX];
    uint32_t n = text_of(e->id, text);
    snprintf(line, FACT_LINE_MAX, "%" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %.*s %d", e->key, e->value, e->id, e->time_ms, (int)n,
             text, (int)(e->id & 1));
}

/* ---- tallies ---------------------------------------------------------------------------------------------------------------------------
 */

struct tally {
    char *line; /* NULL = free */
    int64_t count;
};

#define TALLY_SLOTS 65536u

struct tallies {
    struct tally *slots;
    uint32_t used;
};

static inline void tallies_init(struct tallies *t)
{
    *t = (struct tallies){.slots = calloc(TALLY_SLOTS, sizeof *t->slots)};
    assert_non_null(t->slots);
}

static inline void tallies_close(struct tallies *t)
{
    for (uint32_t i = 0; i < TALLY_SLOTS; i++) free(t->slots[i].line);
    free(t->slots);
}

static inline struct tally *tally_of(struct tallies *t, const char *line)
{
    uint64_t h = 14695981039346656037u;
    for (const char *c = line; *c; c++) h = (h ^ (unsigned char)*c) * 1099511628211u;
    uint32_t at = (uint32_t)(h >> 20) % TALLY_SLOTS;
    while (t->slots[at].line && strcmp(t->slots[at].line, line) != 0) at = (at + 1) % TALLY_SLOTS;
    if (!t->slots[at].line) {
        CHECK(++t->used < TALLY_SLOTS / 2);
        t->slots[at].line = strdup(line);
        assert_non_null(t->slots[at].line);
    }
    return &t->slots[at];
}

static inline void tally_add(struct tallies *t, const char *line, int64_t by)
{
    tally_of(t, line)->count += by;
}

static inline bool tallies_within(struct tallies *a, struct tallies *b, const char *who)
{
    for (uint32_t i = 0; i < TALLY_SLOTS; i++) {
        if (!a->slots[i].line || a->slots[i].count == tally_of(b, a->slots[i].line)->count) continue;
        print_error("seed %" PRIu64 ": %s has \"%s\" %" PRId64 " times, the other %" PRId64 "\n", current_seed, who, a->slots[i].line,
                    a->slots[i].count, tally_of(b, a->slots[i].line)->count);
        return false;
    }
    return true;
}

static inline bool tallies_same(struct tallies *model, struct tallies *got)
{
    return tallies_within(model, got, "the model") && tallies_within(got, model, "the operator");
}

#endif
