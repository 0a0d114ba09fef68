/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of joins share: pairs of facts as rows, and as lines. */
#ifndef WEIR_TESTS_UNIT_OPERATOR_PAIRS_H
#define WEIR_TESTS_UNIT_OPERATOR_PAIRS_H

#include "runtime/operator/join.h"
#include "tests/unit/operator/tables.h"

/* Ids are -1 where there is no row. */
struct couple {
    int64_t left, right;
    struct weir_str left_text, right_text;
};
WEIR_ROW(couple, WEIR_FIELD(couple, 1, I64, left), WEIR_FIELD(couple, 2, I64, right), WEIR_FIELD(couple, 3, STR, left_text),
         WEIR_FIELD(couple, 4, STR, right_text));

static inline struct weir_str copy_text(const struct fact *f, struct weir_out *out)
{
    return f ? weir_put_str(out, sizeof(struct couple), weir_str_data(f, f->text), f->text.length) : (struct weir_str){0, 0};
}

/* A condition beyond the key: not both ids end in 9. */
static inline bool ids_fit(int64_t left, int64_t right)
{
    return left < 0 || right < 0 || left % 10 != 9 || right % 10 != 9;
}

static inline bool couple_of(const struct fact *left, const struct fact *right, struct couple *row, struct weir_out *out)
{
    row->left = left ? left->id : -1;
    row->right = right ? right->id : -1;
    row->left_text = copy_text(left, out);
    row->right_text = copy_text(right, out);
    return ids_fit(row->left, row->right);
}
WEIR_PAIRS(couples, fact, fact, couple, couple_of);

static inline void render_couple(const void *row, char *line)
{
    const struct couple *c = row;
    snprintf(line, 2 * FACT_LINE_MAX, "%" PRId64 " %" PRId64 " %.*s %.*s", c->left, c->right, (int)c->left_text.length,
             weir_str_data(c, c->left_text), (int)c->right_text.length, weir_str_data(c, c->right_text));
}

static inline void tally_couple(struct tallies *t, const struct event *left, const struct event *right, int64_t count)
{
    char line[2 * FACT_LINE_MAX], a[FACT_TEXT_MAX], b[FACT_TEXT_MAX];
    int64_t l = left ? left->id : -1, r = right ? right->id : -1;
    if (!ids_fit(l, r) || !count) return;
    snprintf(line, sizeof line, "%" PRId64 " %" PRId64 " %.*s %.*s", l, r, left ? (int)text_of(l, a) : 0, a, right ? (int)text_of(r, b) : 0,
             b);
    tally_add(t, line, count);
}

#endif
