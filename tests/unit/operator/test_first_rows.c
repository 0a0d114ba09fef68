/* SPDX-License-Identifier: Apache-2.0 */
/* First rows of a key, with ranks and without; one row of a key. */
#include "runtime/operator/first_rows.h"
#include "tests/unit/operator/tables.h"

struct ranked {
    int64_t rank, id;
    struct weir_str text;
};
WEIR_ROW(ranked, WEIR_FIELD(ranked, 1, I64, rank), WEIR_FIELD(ranked, 2, I64, id), WEIR_FIELD(ranked, 3, STR, text));

static inline bool dearer(const struct fact *a, const struct fact *b)
{
    return a->value != b->value ? a->value > b->value : a->id < b->id;
}
static inline void rank_row(const struct fact *f, uint32_t rank, struct ranked *row, struct weir_out *out)
{
    row->rank = rank;
    row->id = f->id;
    row->text = weir_put_str(out, sizeof *row, weir_str_data(f, f->text), f->text.length);
}
WEIR_TOP_N(top_five, fact, ranked, 5, dearer, rank_row);
WEIR_TOP_N(top_one, fact, ranked, 1, dearer, rank_row);
WEIR_TOP_N_ROWS(first_seven, fact, 7, dearer);

static void render_ranked(const void *row, char *line)
{
    const struct ranked *r = row;
    snprintf(line, FACT_LINE_MAX, "%" PRId64 " %" PRId64 " %.*s", r->rank, r->id, (int)r->text.length, weir_str_data(r, r->text));
}
static void render_fact(const void *row, char *line)
{
    fact_line(row, line);
}

#define EVENTS 2000u
static struct event events[EVENTS];

/* Rows of the same key that stand before this one. */
static uint32_t rank_of(const struct event *e, uint32_t n, const struct event *one)
{
    uint32_t rank = 1;
    for (uint32_t i = 0; i < n; i++) {
        if (e[i].key != one->key || e + i == one) continue;
        rank += e[i].value > one->value || (e[i].value == one->value && e[i].id < one->id);
    }
    return rank;
}

static void compare_top(struct world *w, uint32_t n, uint32_t limit, bool ranks)
{
    struct tallies expected;
    char line[FACT_LINE_MAX], text[FACT_TEXT_MAX];
    tallies_init(&expected);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t rank = rank_of(events, n, &events[i]);
        if (rank > limit) continue;
        if (ranks)
            snprintf(line, sizeof line, "%u %" PRId64 " %.*s", rank, events[i].id, (int)text_of(events[i].id, text), text);
        else
            event_line(&events[i], line);
        tally_add(&expected, line, 1);
    }
    CHECK(tallies_same(&expected, &w->got));
    tallies_close(&expected);
}

static void top_n_keeps_the_first_rows(void **state)
{
    const struct weir_top_n *const tops[] = {&top_five, &top_one, &first_seven};
    (void)state;
    for (current_seed = 1; current_seed <= 30; current_seed++) {
        const struct top_n_config config = {.top = tops[current_seed % 3]};
        bool ranks = config.top->emit;
        struct world w;
        world_open(&w, &top_n_operator, &config, current_seed % 5 == 0, ranks ? render_ranked : render_fact);
        uint32_t n = draw_changes(events, EVENTS, 1 + below(current_seed % 2 ? 3 : 400), false);
        for (uint32_t at = 0, m; at < n; at += m) {
            m = draw_batch(n - at);
            feed(&w, 0, events + at, m);
            if (below(30) == 0) compare_top(&w, at + m, config.top->n, ranks);
        }
        compare_top(&w, n, config.top->n, ranks);
        world_close(&w);
    }
}

/* What does not come among the first rows costs no change. */
static void rows_behind_the_last_one_change_nothing(void **state)
{
    (void)state;
    const struct top_n_config config = {.top = &top_one};
    struct world w;
    current_seed = 50;
    world_open(&w, &top_n_operator, &config, false, render_ranked);
    const struct event best[] = {{.key = 1, .value = 9, .id = 1}, {.key = 1, .value = 10, .id = 2}};
    const struct event worse[] = {{.key = 1, .value = 9, .id = 3}, {.key = 1, .value = 10, .id = 4}};
    assert_ok(w.f, feed_by(&w, 0, &fact_key, best, 2));
    assert_int_equal(fake_count(w.f, 0), 1);
    assert_ok(w.f, feed_by(&w, 0, &fact_key, worse, 2));
    assert_int_equal(fake_count(w.f, 0), 1);
    world_close(&w);
}

/* ---- one row --------------------------------------------------------------------------------------------------------------------------
 */

static inline bool lower_id(const struct fact *a, const struct fact *b)
{
    return a->id < b->id;
}
WEIR_DEDUPLICATE(first_of, fact, WEIR_KEEP_FIRST, lower_id);
WEIR_DEDUPLICATE(last_of, fact, WEIR_KEEP_LAST, lower_id);

static void compare_one(struct world *w, uint32_t n, bool first)
{
    struct tallies expected;
    char line[FACT_LINE_MAX];
    tallies_init(&expected);
    for (uint32_t i = 0; i < n; i++) {
        bool best = true;
        for (uint32_t k = 0; k < n && best; k++) {
            if (k == i || events[k].key != events[i].key) continue;
            bool before = events[k].time_ms != events[i].time_ms ? events[k].time_ms < events[i].time_ms : events[k].id < events[i].id;
            best = before != first;
        }
        if (!best) continue;
        event_line(&events[i], line);
        tally_add(&expected, line, 1);
    }
    CHECK(tallies_same(&expected, &w->got));
    tallies_close(&expected);
}

/* Feeds drawn events in drawn batches; told: what stands is compared now and then. Gives how many events. */
static uint32_t play_one(struct world *w, bool told, bool first)
{
    uint32_t n = draw_changes(events, EVENTS, 1 + below(current_seed % 3 ? 500 : 5), false);
    for (uint32_t at = 0, m; at < n; at += m) {
        m = draw_batch(n - at);
        feed(w, 0, events + at, m);
        if (told && below(30) == 0) compare_one(w, at + m, first);
    }
    return n;
}

static void deduplicate_keeps_one_row_a_key(void **state)
{
    (void)state;
    for (current_seed = 100; current_seed < 124; current_seed++) {
        bool first = current_seed % 2;
        const struct deduplicate_config config = {.deduplicate = first ? &first_of : &last_of};
        struct world w;
        world_open(&w, &deduplicate_operator, &config, current_seed % 5 == 0, render_fact);
        uint32_t n = play_one(&w, true, first);
        compare_one(&w, n, first);
        world_close(&w);
    }
}

/* Nothing before the end, then each row once; and nobody may come later. */
static void at_the_end_each_row_is_told_once(void **state)
{
    (void)state;
    for (current_seed = 130; current_seed < 142; current_seed++) {
        bool first = current_seed % 2;
        const struct deduplicate_config config = {.deduplicate = first ? &first_of : &last_of, .at_end = true};
        struct world w;
        world_open(&w, &end_deduplicate_operator, &config, current_seed % 5 == 0, render_fact);
        uint32_t n = play_one(&w, false, first);
        assert_ok(w.f, fake_op_watermark(w.f, WEIR_TIME_MAX - 1));
        assert_int_equal(fake_count(w.f, 0), 0);
        assert_ok(w.f, fake_op_watermark(w.f, WEIR_TIME_MAX));
        absorb(&w);
        compare_one(&w, n, first);
        assert_int_equal(feed_by(&w, 0, &fact_key, events, 1), WEIR_E_STATE);
        world_close(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(top_n_keeps_the_first_rows),
        cmocka_unit_test(rows_behind_the_last_one_change_nothing),
        cmocka_unit_test(deduplicate_keeps_one_row_a_key),
        cmocka_unit_test(at_the_end_each_row_is_told_once),
    };
    return cmocka_run_group_tests(tests, NULL, world_end);
}
