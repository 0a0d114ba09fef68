/* SPDX-License-Identifier: Apache-2.0 */
/* The regular join: every kind, every way to keep a side, beside a model that multiplies the rows that stand. */
#include "tests/unit/operator/pairs.h"

#define EVENTS 700u

/* The history of one side, and its rows by id with how often each stands. */
struct side_story {
    struct event events[EVENTS];
    uint32_t n, done;
};

static bool same_row(const struct event *a, const struct event *b)
{
    return a->id == b->id && a->key == b->key && a->value == b->value && a->time_ms == b->time_ms;
}

/* How often the row of event i stands after `n` events; 0 for all but the first event of that row. */
static int64_t standing(const struct event *e, uint32_t n, uint32_t i)
{
    int64_t count = 0;
    for (uint32_t k = 0; k < n; k++) {
        if (!same_row(&e[k], &e[i])) continue;
        if (k < i) return 0;
        count += is_minus(e[k].kind) ? -1 : 1;
    }
    return count;
}

static int64_t rows_of_key(const struct event *e, uint32_t n, int64_t key)
{
    int64_t count = 0;
    for (uint32_t k = 0; k < n; k++) count += e[k].key != key ? 0 : is_minus(e[k].kind) ? -1 : 1;
    return count;
}

static void model_alone(const struct side_story *own, const struct side_story *other, bool is_left, struct tallies *out)
{
    for (uint32_t i = 0; i < own->done; i++) {
        if (rows_of_key(other->events, other->done, own->events[i].key)) continue;
        int64_t count = standing(own->events, own->done, i);
        tally_couple(out, is_left ? &own->events[i] : NULL, is_left ? NULL : &own->events[i], count);
    }
}

static void compare(struct world *w, const struct side_story sides[2], enum weir_join_kind kind)
{
    struct tallies expected;
    static int64_t right_counts[EVENTS];
    tallies_init(&expected);
    for (uint32_t k = 0; k < sides[1].done; k++) right_counts[k] = standing(sides[1].events, sides[1].done, k);
    for (uint32_t i = 0; i < sides[0].done; i++) {
        int64_t count = standing(sides[0].events, sides[0].done, i);
        for (uint32_t k = 0; count && k < sides[1].done; k++) {
            if (sides[0].events[i].key == sides[1].events[k].key)
                tally_couple(&expected, &sides[0].events[i], &sides[1].events[k], count * right_counts[k]);
        }
    }
    if (kind & WEIR_LEFT_JOIN) model_alone(&sides[0], &sides[1], true, &expected);
    if (kind & WEIR_RIGHT_JOIN) model_alone(&sides[1], &sides[0], false, &expected);
    CHECK(tallies_same(&expected, &w->got));
    tallies_close(&expected);
}

/* At most one row of a key stands at any time. */
static void draw_unique(struct side_story *s, uint32_t n_keys, bool changes)
{
    static struct event now[1000];
    static bool stands[1000];
    memset(stands, 0, sizeof stands);
    s->n = 0;
    for (uint32_t tries = 0; s->n < EVENTS && tries < 4 * EVENTS; tries++) {
        uint32_t k = below(n_keys);
        if (stands[k] && !changes) continue;
        if (stands[k]) {
            s->events[s->n] = now[k];
            s->events[s->n++].kind = below(2) ? WEIR_DELETE : WEIR_UPDATE_BEFORE;
            stands[k] = false;
            continue;
        }
        now[k] = s->events[s->n] = (struct event){.key = k, .value = below(9), .id = s->n, .time_ms = s->n};
        s->n++;
        stands[k] = true;
    }
}

static void draw_side(struct side_story *s, uint32_t n_keys, const struct weir_join_side *how)
{
    s->done = 0;
    if (how->unique)
        draw_unique(s, n_keys, how->changes);
    else
        s->n = draw_changes(s->events, EVENTS, n_keys, how->changes);
}

static void every_pair_of_rows_that_stand(void **state)
{
    static struct side_story sides[2];
    (void)state;
    for (current_seed = 1; current_seed <= 96; current_seed++) {
        uint64_t s = current_seed;
        const struct join_config config = {.pairs = &couples,
                                           .options = {.kind = (enum weir_join_kind)(s % 4),
                                                       .left = {.unique = s >> 2 & 1, .changes = s >> 3 & 1},
                                                       .right = {.unique = s >> 4 & 1, .changes = s >> 5 & 1}}};
        struct world w;
        world_open(&w, &join_operator, &config, below(3) == 0, render_couple);
        uint32_t n_keys = 40 + below(300);
        draw_side(&sides[0], n_keys, &config.options.left);
        draw_side(&sides[1], n_keys, &config.options.right);
        while (sides[0].done < sides[0].n || sides[1].done < sides[1].n) {
            uint32_t input = sides[0].done == sides[0].n || (sides[1].done < sides[1].n && below(2));
            struct side_story *side = &sides[input];
            uint32_t m = draw_batch(side->n - side->done);
            feed(&w, input, side->events + side->done, m);
            side->done += m;
            if (below(60) == 0) compare(&w, sides, config.options.kind);
        }
        compare(&w, sides, config.options.kind);
        world_close(&w);
    }
}

static weir_err feed_one(struct world *w, uint32_t input, int64_t id, uint8_t kind)
{
    const struct event e = {.key = 1, .id = id, .kind = kind};
    return feed_by(w, input, &fact_key, &e, 1);
}

static void promises_that_are_broken_are_told(void **state)
{
    (void)state;
    struct join_config config = {.pairs = &couples, .options = {.left = {.unique = true}, .right = {.changes = true}}};
    struct world w;
    world_open(&w, &join_operator, &config, false, render_couple);
    assert_ok(w.f, feed_one(&w, 0, 1, WEIR_INSERT));
    assert_int_equal(feed_one(&w, 0, 2, WEIR_INSERT), WEIR_E_USER);
    assert_non_null(strstr(w.f->diag.text, "left side is declared unique, but a key has a second row"));
    assert_int_equal(feed_one(&w, 0, 1, WEIR_DELETE), WEIR_E_USER);
    assert_non_null(strstr(w.f->diag.text, "do not declare changes"));
    assert_int_equal(feed_one(&w, 1, 5, WEIR_DELETE), WEIR_E_USER);
    assert_non_null(strstr(w.f->diag.text, "right side took a row back that had not been given"));
    world_close(&w);
}

/* A row that is too old is as if it had never been there. */
static void rows_live_as_long_as_they_may(void **state)
{
    (void)state;
    const struct join_config config = {.pairs = &couples, .options = {.ttl_ms = 1000}};
    struct world w;
    world_open(&w, &join_operator, &config, false, render_couple);
    assert_ok(w.f, feed_one(&w, 0, 1, WEIR_INSERT));
    w.f->now_ms = 500;
    assert_ok(w.f, feed_one(&w, 1, 2, WEIR_INSERT));
    assert_int_equal(fake_count(w.f, 0), 1);
    w.f->now_ms = 2000;
    assert_ok(w.f, feed_one(&w, 0, 3, WEIR_INSERT));
    assert_int_equal(fake_count(w.f, 0), 1);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pair_of_rows_that_stand),
        cmocka_unit_test(promises_that_are_broken_are_told),
        cmocka_unit_test(rows_live_as_long_as_they_may),
    };
    return cmocka_run_group_tests(tests, NULL, world_end);
}
