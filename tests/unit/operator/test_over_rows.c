/* SPDX-License-Identifier: Apache-2.0 */
/* Rows over rows: in order of event time whatever the order of arrival, released by watermarks, paused by a full output. */
#include "runtime/operator/over_rows.h"
#include "tests/unit/operator/tables.h"

#define EVENTS 1500u
static struct event events[EVENTS];
static bool is_late[EVENTS];

struct mean {
    int64_t key, id, n, sum;
};
WEIR_ROW(mean, WEIR_FIELD(mean, 1, I64, key), WEIR_FIELD(mean, 2, I64, id), WEIR_FIELD(mean, 3, I64, n), WEIR_FIELD(mean, 4, I64, sum));

static inline uint64_t id_of(const struct fact *f)
{
    return (uint64_t)f->id;
}
static inline void mean_of(const struct fact *const *rows, uint32_t n, struct mean *row, struct weir_out *out)
{
    (void)out;
    *row = (struct mean){.key = rows[0]->key, .id = rows[n - 1]->id, .n = n};
    for (uint32_t i = 0; i < n; i++) row->sum += rows[i]->value * (int64_t)(i + 1); /* the order counts */
}
WEIR_OVER_ROWS(last_four, fact, mean, 4, id_of, mean_of);
WEIR_OVER_ROWS(alone, fact, mean, 1, id_of, mean_of);

static void render_mean(const void *row, char *line)
{
    const struct mean *m = row;
    snprintf(line, FACT_LINE_MAX, "%" PRId64 " %" PRId64 " %" PRId64 " %" PRId64, m->key, m->id, m->n, m->sum);
}

static bool before(const struct event *a, const struct event *b)
{
    return a->time_ms != b->time_ms ? a->time_ms < b->time_ms : a->id < b->id;
}

/* The row of the key that stands just before `e`, or NULL. */
static const struct event *previous(uint32_t n, const struct event *e)
{
    const struct event *best = NULL;
    for (uint32_t i = 0; i < n; i++) {
        if (is_late[i] || events[i].key != e->key || !before(&events[i], e)) continue;
        if (!best || before(best, &events[i])) best = &events[i];
    }
    return best;
}

/* Results of all rows up to the watermark. */
static void compare(struct world *w, uint32_t n, weir_time watermark, uint32_t limit)
{
    struct tallies expected;
    char line[FACT_LINE_MAX];
    tallies_init(&expected);
    for (uint32_t i = 0; i < n; i++) {
        if (is_late[i] || events[i].time_ms > watermark) continue;
        const struct event *rows[8] = {&events[i]};
        uint32_t m = 1;
        while (m < limit && (rows[m] = previous(n, rows[m - 1])) != NULL) m++;
        int64_t sum = 0;
        for (uint32_t k = 0; k < m; k++) sum += rows[k]->value * (int64_t)(m - k);
        snprintf(line, sizeof line, "%" PRId64 " %" PRId64 " %u %" PRId64, events[i].key, events[i].id, m, sum);
        tally_add(&expected, line, 1);
    }
    CHECK(tallies_same(&expected, &w->got));
    tallies_close(&expected);
}

static void pass(struct world *w, weir_time watermark)
{
    w->f->yield_at_rows = below(2) ? 1 + below(5) : 0;
    assert_ok(w->f, fake_op_watermark(w->f, watermark));
    absorb(w);
}

static void each_row_has_those_before_it(void **state)
{
    (void)state;
    for (current_seed = 1; current_seed <= 24; current_seed++) {
        const struct over_rows_config config = {.over = current_seed % 3 ? &last_four : &alone};
        struct world w;
        weir_time watermark = WEIR_TIME_MIN;
        uint32_t late = 0, n_keys = 1 + below(current_seed % 2 ? 5 : 100);
        world_open(&w, &over_rows_operator, &config, current_seed % 4 == 0, render_mean);
        for (uint32_t i = 0; i < EVENTS; i++)
            events[i] = (struct event){.key = below(n_keys), .value = below(100), .id = i, .time_ms = 1000 + i / 3 + below(40)};
        for (uint32_t at = 0, m; at < EVENTS; at += m) {
            m = draw_batch(EVENTS - at);
            for (uint32_t i = at; i < at + m; i++) late += is_late[i] = events[i].time_ms <= watermark;
            feed(&w, 0, events + at, m);
            if (below(3)) continue;
            watermark = 1000 + (at + m) / 3 - below(30) + below(30);
            if (watermark < w.f->ctx.watermark_ms) watermark = w.f->ctx.watermark_ms;
            pass(&w, watermark);
            compare(&w, at + m, watermark, config.over->n);
        }
        pass(&w, WEIR_TIME_MAX);
        compare(&w, EVENTS, WEIR_TIME_MAX, config.over->n);
        assert_int_equal(w.side_rows[1] + fake_count(w.f, 1), late);
        assert_int_equal(w.late + fake_counter(w.f, "late"), late);
        world_close(&w);
    }
}

/* Of a key there stay the n - 1 last rows, and how far it has come. */
static void rows_that_nobody_needs_go(void **state)
{
    (void)state;
    const struct over_rows_config config = {.over = &last_four};
    struct slot_stats before, after;
    struct world w;
    current_seed = 60;
    world_open(&w, &over_rows_operator, &config, false, render_mean);
    for (uint32_t i = 0; i < 100; i++) {
        events[i] = (struct event){.key = 1, .id = i, .time_ms = i};
        feed(&w, 0, &events[i], 1);
        pass(&w, i);
        if (i == 2) slot_stats(w.f->slot, &before);
    }
    slot_stats(w.f->slot, &after);
    assert_int_equal(after.entries, before.entries);
    world_close(&w);
}

static void results_come_in_order_with_the_rows_time(void **state)
{
    (void)state;
    const struct over_rows_config config = {.over = &last_four};
    const struct event some[] = {
        {.key = 1, .id = 3, .time_ms = 30}, {.key = 1, .id = 1, .time_ms = 10}, {.key = 1, .id = 2, .time_ms = 10}};
    struct world w;
    world_open(&w, &over_rows_operator, &config, false, render_mean);
    assert_ok(w.f, feed_by(&w, 0, &fact_key, some, 3));
    assert_ok(w.f, fake_op_watermark(w.f, 29));
    assert_int_equal(fake_count(w.f, 0), 2);
    assert_ok(w.f, fake_op_watermark(w.f, 30));
    assert_int_equal(fake_count(w.f, 0), 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(((struct mean *)fake_row(w.f, 0, i))->id, i + 1);
        assert_int_equal(fake_record(w.f, 0, i)->time_ms, i == 2 ? 30 : 10);
    }
    world_close(&w);
}

static void rows_that_cannot_be_told_apart_are_an_error(void **state)
{
    (void)state;
    const struct over_rows_config config = {.over = &last_four};
    const struct event twice[] = {{.key = 1, .id = 3, .time_ms = 30}, {.key = 1, .id = 3, .time_ms = 30}};
    struct world w;
    world_open(&w, &over_rows_operator, &config, false, render_mean);
    assert_int_equal(feed_by(&w, 0, &fact_key, twice, 2), WEIR_E_USER);
    assert_non_null(strstr(w.f->diag.text, "two rows of a key have the time 30 and the tie 3"));
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_row_has_those_before_it),
        cmocka_unit_test(rows_that_nobody_needs_go),
        cmocka_unit_test(results_come_in_order_with_the_rows_time),
        cmocka_unit_test(rows_that_cannot_be_told_apart_are_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, world_end);
}
