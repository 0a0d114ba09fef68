/* SPDX-License-Identifier: Apache-2.0 */
/* Joins in event time: intervals and windows, with late rows, and with nothing left behind when time has passed. */
#include "tests/unit/operator/pairs.h"

#define EVENTS 800u

struct story {
    struct event events[EVENTS];
    bool late[EVENTS];
    uint32_t done;
};
static struct story sides[2];

static void draw_story(uint32_t n_keys, uint32_t disorder)
{
    for (uint32_t s = 0; s < 2; s++) {
        sides[s].done = 0;
        for (uint32_t i = 0; i < EVENTS; i++)
            sides[s].events[i] = (struct event){.key = below(n_keys), .id = i, .time_ms = i / 2 + below(disorder)};
    }
}

/* Feeds the next batch of a side. is_late says what the operator must leave out. Returns how many were late. */
static uint32_t feed_next(struct world *w, uint32_t input, bool (*is_late)(const void *, weir_time, weir_time), const void *how)
{
    struct story *s = &sides[input];
    uint32_t m = draw_batch(EVENTS - s->done), late = 0;
    for (uint32_t i = s->done; i < s->done + m; i++) late += s->late[i] = is_late(how, s->events[i].time_ms, w->f->ctx.watermark_ms);
    feed(w, input, s->events + s->done, m);
    s->done += m;
    return late;
}

/* Plays both sides with watermarks in between; `check_at` is called after each of them. */
static void play(struct world *w, bool (*is_late)(const void *, weir_time, weir_time), const void *how,
                 void (*check_at)(struct world *, const void *, weir_time))
{
    uint32_t late[2] = {0, 0};
    while (sides[0].done < EVENTS || sides[1].done < EVENTS) {
        uint32_t input = sides[0].done == EVENTS || (sides[1].done < EVENTS && below(2));
        late[input] += feed_next(w, input, is_late, how);
        if (below(3)) continue;
        uint32_t least = sides[0].done < sides[1].done ? sides[0].done : sides[1].done; /* a watermark is the lower of both */
        weir_time t = (weir_time)(least / 2) + below(20) - 10;
        if (t < w->f->ctx.watermark_ms) continue;
        assert_ok(w->f, fake_op_watermark(w->f, t));
        absorb(w);
        check_at(w, how, t);
    }
    assert_ok(w->f, fake_op_watermark(w->f, WEIR_TIME_MAX));
    absorb(w);
    check_at(w, how, WEIR_TIME_MAX);
    for (uint32_t s = 0; s < 2; s++) assert_int_equal(w->side_rows[1 + s] + fake_count(w->f, 1 + s), late[s]);
    assert_int_equal(w->late + fake_counter(w->f, "late"), late[0] + late[1]);
}

static uint64_t entries(const struct world *w)
{
    struct slot_stats stats;
    slot_stats(w->f->slot, &stats);
    return stats.entries;
}

/* ---- intervals ------------------------------------------------------------------------------------------------------------------------
 */

static bool behind(const void *how, weir_time t, weir_time watermark)
{
    (void)how;
    return t <= watermark;
}

static void check_interval(struct world *w, const void *how, weir_time watermark)
{
    const struct weir_interval *interval = how;
    struct tallies expected;
    (void)watermark; /* pairs leave at once */
    tallies_init(&expected);
    for (uint32_t i = 0; i < sides[0].done; i++) {
        for (uint32_t k = 0; k < sides[1].done; k++) {
            const struct event *l = &sides[0].events[i], *r = &sides[1].events[k];
            if (sides[0].late[i] || sides[1].late[k] || l->key != r->key) continue;
            if (r->time_ms >= l->time_ms + interval->lower_ms && r->time_ms <= l->time_ms + interval->upper_ms)
                tally_couple(&expected, l, r, 1);
        }
    }
    CHECK(tallies_same(&expected, &w->got));
    tallies_close(&expected);
}

static void rows_within_the_interval_meet(void **state)
{
    static const struct weir_interval intervals[] = {{-5, 5}, {0, 0}, {0, 40}, {-30, -10}, {7, 9}, {-200, 300}};
    (void)state;
    for (current_seed = 1; current_seed <= 36; current_seed++) {
        const struct interval_join_config config = {.pairs = &couples, .interval = intervals[current_seed % 6]};
        struct world w;
        world_open(&w, &interval_join_operator, &config, current_seed % 9 == 0, render_couple);
        draw_story(10 + below(40), 1 + below(60));
        play(&w, behind, &config.interval, check_interval);
        if (!w.on_disk) assert_int_equal(entries(&w), 0); /* nothing of any key is left */
        world_close(&w);
    }
}

/* ---- windows --------------------------------------------------------------------------------------------------------------------------
 */

static weir_time floor_to(const struct weir_join_window *w, weir_time t)
{
    weir_time start = w->offset_ms - 1000 * w->slide_ms;
    while (start + w->slide_ms <= t) start += w->slide_ms;
    return start;
}

static bool all_fired(const void *how, weir_time t, weir_time watermark)
{
    const struct weir_join_window *w = how;
    return floor_to(w, t) + w->size_ms - 1 <= watermark;
}

/* A window takes what came before it fired. A row that came later is late, or belongs to its other windows alone. */
static weir_time fired_before[2][EVENTS];

static bool note_window(const void *how, weir_time t, weir_time watermark)
{
    return all_fired(how, t, watermark);
}

static bool in_window(uint32_t side, uint32_t i, weir_time start, const struct weir_join_window *w)
{
    const struct event *e = &sides[side].events[i];
    if (sides[side].late[i] || e->time_ms < start || e->time_ms >= start + w->size_ms) return false;
    return start + w->size_ms - 1 > fired_before[side][i];
}

static void model_window(const struct weir_join_window *w, weir_time start, struct tallies *out)
{
    for (uint32_t i = 0; i < sides[0].done; i++) {
        bool any = false;
        if (!in_window(0, i, start, w)) continue;
        for (uint32_t k = 0; k < sides[1].done; k++) {
            if (sides[0].events[i].key != sides[1].events[k].key || !in_window(1, k, start, w)) continue;
            any = true;
            if (!w->semi) tally_couple(out, &sides[0].events[i], &sides[1].events[k], 1);
        }
        if (any && w->semi) tally_couple(out, &sides[0].events[i], NULL, 1);
    }
}

static void check_windows(struct world *w, const void *how, weir_time watermark)
{
    const struct weir_join_window *window = how;
    struct tallies expected;
    tallies_init(&expected);
    for (weir_time start = floor_to(window, -window->size_ms); start < 600; start += window->slide_ms)
        if (start + window->size_ms - 1 <= watermark) model_window(window, start, &expected);
    CHECK(tallies_same(&expected, &w->got));
    tallies_close(&expected);
    for (uint32_t s = 0; s < 2; s++)
        for (uint32_t i = sides[s].done; i < EVENTS; i++) fired_before[s][i] = watermark;
}

static void rows_of_one_window_meet(void **state)
{
    static const struct weir_join_window windows[] = {{10, 10, 0, false}, {10, 10, 3, true},  {20, 5, 0, false},
                                                      {20, 5, 2, true},   {15, 10, 4, false}, {7, 7, 0, true}};
    (void)state;
    for (current_seed = 100; current_seed < 136; current_seed++) {
        const struct window_join_config config = {.pairs = &couples, .window = windows[current_seed % 6]};
        struct world w;
        memset(fired_before, 0x80, sizeof fired_before); /* long ago */
        world_open(&w, &window_join_operator, &config, current_seed % 9 == 0, render_couple);
        draw_story(3 + below(20), 1 + below(40));
        play(&w, note_window, &config.window, check_windows);
        if (!w.on_disk) assert_int_equal(entries(&w), 0);
        world_close(&w);
    }
}

static void a_result_has_the_last_time_of_its_window(void **state)
{
    (void)state;
    const struct window_join_config config = {.pairs = &couples, .window = {10, 10, 0, false}};
    const struct event left = {.key = 1, .id = 1, .time_ms = -7}, right = {.key = 1, .id = 2, .time_ms = -1};
    struct world w;
    world_open(&w, &window_join_operator, &config, false, render_couple);
    assert_ok(w.f, feed_by(&w, 0, &fact_key, &left, 1));
    assert_ok(w.f, feed_by(&w, 1, &fact_key, &right, 1));
    assert_ok(w.f, fake_op_watermark(w.f, -2));
    assert_int_equal(fake_count(w.f, 0), 0);
    assert_ok(w.f, fake_op_watermark(w.f, -1));
    assert_int_equal(fake_count(w.f, 0), 1);
    assert_int_equal(fake_record(w.f, 0, 0)->time_ms, -1);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_within_the_interval_meet),
        cmocka_unit_test(rows_of_one_window_meet),
        cmocka_unit_test(a_result_has_the_last_time_of_its_window),
    };
    return cmocka_run_group_tests(tests, NULL, world_end);
}
