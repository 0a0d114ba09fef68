/* SPDX-License-Identifier: Apache-2.0 */
/* The two cores of event time against a second, slow way to compute the same, over random sequences of all that can happen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runtime/task/watermark.h"

#define INPUTS_MAX 6
#define SEEDS 300

static uint64_t draw(uint64_t *state, uint64_t below)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (z ^ (z >> 31)) % below;
}

/* Mostly near the others, sometimes at an end of the range of times. */
static weir_time draw_time(uint64_t *r)
{
    switch (draw(r, 12)) {
    case 0: return WEIR_TIME_MIN + (weir_time)draw(r, 3);
    case 1: return WEIR_TIME_MAX - 1 - (weir_time)draw(r, 3);
    case 2: return draw(r, 8) ? 0 : WEIR_TIME_MAX;
    default: return (weir_time)draw(r, 200) - 100;
    }
}

/* ---- the valve
 * -------------------------------------------------------------------------------------------------------------------------------- */

/* What each input said last, and what follows from it by the words of watermark.h. */
struct oracle {
    struct {
        weir_time highest; /* below WEIR_TIME_MAX */
        bool idle, over, ended;
    } in[INPUTS_MAX];
    uint32_t n;
    weir_time watermark;
    bool idle;
};

static void conclude(struct oracle *o)
{
    weir_time lowest = WEIR_TIME_MAX, highest = WEIR_TIME_MIN;
    uint32_t n_over = 0, n_active = 0;
    for (uint32_t i = 0; i < o->n; i++) {
        bool active = !o->in[i].over && !o->in[i].idle;
        n_over += o->in[i].over;
        n_active += active;
        if (active && o->in[i].highest < lowest) lowest = o->in[i].highest;
        if (o->in[i].highest > highest) highest = o->in[i].highest;
    }
    o->idle = n_active == 0 && n_over < o->n;
    weir_time now = n_over == o->n ? WEIR_TIME_MAX : o->idle ? highest : lowest;
    if (now > o->watermark) o->watermark = now;
}

static void tell_watermark(struct oracle *o, uint32_t i, weir_time time)
{
    if (o->in[i].over || time <= o->in[i].highest) return;
    o->in[i].idle = false;
    if (time == WEIR_TIME_MAX)
        o->in[i].over = true;
    else
        o->in[i].highest = time;
}

static void the_valve_agrees_with_its_description(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        uint64_t r = seed;
        struct valve v;
        struct oracle o = {.n = 1 + (uint32_t)draw(&r, INPUTS_MAX), .watermark = WEIR_TIME_MIN};
        for (uint32_t i = 0; i < o.n; i++) o.in[i].highest = WEIR_TIME_MIN;
        assert_int_equal(valve_init(&v, o.n), WEIR_OK);
        for (int step = 0; step < 400 && !valve_ended(&v); step++) {
            struct oracle before = o;
            uint32_t i = (uint32_t)draw(&r, o.n);
            uint64_t what = draw(&r, 30);
            bool moved;
            if (what < 18) {
                weir_time time = draw_time(&r);
                moved = valve_watermark(&v, i, time);
                tell_watermark(&o, i, time);
            } else if (what < 29) {
                moved = valve_idle(&v, i, what < 24);
                if (!o.in[i].over) o.in[i].idle = what < 24;
            } else {
                moved = valve_end(&v, i);
                o.in[i].over = o.in[i].ended = true;
            }
            conclude(&o);
            if (v.watermark != o.watermark || v.idle != o.idle) print_error("seed %llu, step %d\n", (unsigned long long)seed, step);
            assert_true(v.watermark == o.watermark);
            assert_int_equal(v.idle, o.idle);
            assert_int_equal(moved, o.watermark != before.watermark || o.idle != before.idle);
            assert_true(v.watermark >= before.watermark);
        }
        valve_close(&v);
    }
}

static void all_idle_then_ended_is_the_end_of_time(void **state)
{
    (void)state;
    struct valve v;
    assert_int_equal(valve_init(&v, 2), WEIR_OK);
    assert_true(valve_watermark(&v, 0, 10) == false); /* the other has said nothing yet */
    assert_true(valve_idle(&v, 1, true));             /* and now does not hold it back */
    assert_true(v.watermark == 10 && !v.idle);
    assert_true(valve_idle(&v, 0, true));
    assert_true(v.watermark == 10 && v.idle);
    assert_false(valve_end(&v, 0)); /* the other is still idle: it may come back */
    assert_true(v.watermark == 10 && v.idle && !valve_ended(&v));
    assert_true(valve_end(&v, 1));
    assert_true(v.watermark == WEIR_TIME_MAX && !v.idle && valve_ended(&v));
    assert_false(valve_end(&v, 1)); /* twice is once */
    assert_false(valve_watermark(&v, 1, 20));
    valve_close(&v);
}

/* It does not matter which input fell silent or ended first: the time told is the same. */
static void the_order_of_silence_and_end_does_not_matter(void **state)
{
    (void)state;
    for (int order = 0; order < 2; order++) {
        struct valve v;
        assert_int_equal(valve_init(&v, 2), WEIR_OK);
        (void)valve_watermark(&v, 0, 5);
        (void)valve_watermark(&v, 1, 900);
        if (order) (void)valve_idle(&v, 0, true);
        (void)valve_watermark(&v, 1, WEIR_TIME_MAX);
        (void)valve_end(&v, 1);
        if (!order) (void)valve_idle(&v, 0, true);
        assert_true(v.watermark == 900 && v.idle);
        (void)valve_watermark(&v, 0, 950); /* it speaks again: what it brings is not late */
        assert_true(v.watermark == 950 && !v.idle);
        valve_close(&v);
    }
}

/* ---- splits
 * ----------------------------------------------------------------------------------------------------------------------------------- */

__extension__ typedef __int128 wide_time;

/* highest - bound - 1 in wide arithmetic. */
static weir_time behind(weir_time highest, int64_t bound)
{
    wide_time wide = (wide_time)highest - bound - 1;
    return wide < WEIR_TIME_MIN ? WEIR_TIME_MIN : (weir_time)wide;
}

/* A channel is ahead by what it brought beyond the time of the slowest one of its stream; other streams do not matter. */
static void ahead_is_what_came_beyond_the_slowest(void **state)
{
    (void)state;
    struct valve v;
    assert_int_equal(valve_init(&v, 3), WEIR_OK);
    v.inputs[2].stream = 1;
    valve_brought(&v, 0, 5 * VALVE_MARK_BYTES);
    assert_int_equal(valve_ahead(&v, 0), 0); /* it has not said how late it is */
    (void)valve_watermark(&v, 0, 10);
    assert_int_equal(valve_ahead(&v, 0), 5 * VALVE_MARK_BYTES); /* the other has said nothing */
    valve_brought(&v, 0, 2 * VALVE_MARK_BYTES);
    (void)valve_watermark(&v, 0, 20);
    (void)valve_watermark(&v, 2, 1);
    (void)valve_watermark(&v, 1, 9);
    assert_int_equal(valve_ahead(&v, 0), 7 * VALVE_MARK_BYTES);
    (void)valve_watermark(&v, 1, 10);
    assert_int_equal(valve_ahead(&v, 0), 2 * VALVE_MARK_BYTES);
    (void)valve_watermark(&v, 1, 21);
    assert_int_equal(valve_ahead(&v, 0), 0);
    assert_int_equal(valve_ahead(&v, 1), 0); /* it brought nothing */
    valve_brought(&v, 0, VALVE_MARK_BYTES);
    (void)valve_watermark(&v, 0, 30);
    assert_int_equal(valve_ahead(&v, 0), VALVE_MARK_BYTES);
    (void)valve_idle(&v, 1, true); /* one that is silent holds nobody back */
    assert_int_equal(valve_ahead(&v, 0), 0);
    valve_close(&v);
}

/* With many watermarks, more than there are marks, too much may be counted, never too little, and at last nothing. */
static void ahead_forgets_no_byte(void **state)
{
    (void)state;
    struct valve v;
    const uint64_t step = VALVE_MARK_BYTES / 3;
    const weir_time times = 12 * VALVE_MARKS;
    assert_int_equal(valve_init(&v, 2), WEIR_OK);
    for (weir_time t = 1; t <= times; t++) {
        valve_brought(&v, 0, step);
        (void)valve_watermark(&v, 0, t);
    }
    for (weir_time t = 1; t <= times; t++) {
        (void)valve_watermark(&v, 1, t);
        uint64_t exact = (uint64_t)(times - t) * step, told = valve_ahead(&v, 0);
        assert_true(told >= exact);
        if (t <= 2 * VALVE_MARKS) assert_true(told <= exact + VALVE_MARK_BYTES + step);
    }
    assert_int_equal(valve_ahead(&v, 0), 0);
    valve_close(&v);
}

static void splits_agree_with_their_description(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        uint64_t r = seed;
        struct splits s;
        uint32_t n = (uint32_t)draw(&r, INPUTS_MAX + 1);
        int64_t bound = draw(&r, 4) ? (int64_t)draw(&r, 50) : INT64_MAX - (int64_t)draw(&r, 2), idle_ms = draw(&r, 2) ? 20 : 0;
        weir_time now = 1000, silent_since[INPUTS_MAX] = {0};
        bool idle_split[INPUTS_MAX] = {false};
        assert_int_equal(splits_init(&s, n), WEIR_OK);
        for (int step = 0; n > 0 && step < 300; step++) {
            uint32_t i = (uint32_t)draw(&r, n);
            struct split_progress *p = &s.items[i];
            now += (weir_time)draw(&r, 15);
            if (p->state == SPLIT_WAITING) {
                p->state = SPLIT_READING;
                silent_since[i] = now;
            }
            if (p->state == SPLIT_READING) { /* asked: gives records, or none */
                bool gave = draw(&r, 2);
                weir_time time = draw_time(&r);
                if (gave && time > p->highest) p->highest = time;
                if (gave) p->last_seen_ms = silent_since[i] = now;
                split_asked(p, now);
                idle_split[i] = idle_ms > 0 && now - silent_since[i] >= idle_ms;
                if (draw(&r, 40) == 0) p->state = SPLIT_DONE;
            }
            weir_time lowest = WEIR_TIME_MAX, highest = WEIR_TIME_MIN;
            uint32_t n_left = 0, n_active = 0;
            for (uint32_t k = 0; k < n; k++) {
                weir_time own = behind(s.items[k].highest, bound);
                if (own > highest) highest = own;
                if (s.items[k].state == SPLIT_DONE) continue;
                n_left++;
                if (s.items[k].state == SPLIT_READING && idle_split[k]) continue;
                n_active++;
                if (s.items[k].state == SPLIT_WAITING) own = WEIR_TIME_MIN;
                if (own < lowest) lowest = own;
            }
            bool idle = false;
            weir_time got = splits_bounded(&s, bound, idle_ms, &idle);
            if (got != (n_active ? lowest : highest)) print_error("seed %llu, step %d\n", (unsigned long long)seed, step);
            assert_true(got == (n_active ? lowest : highest));
            assert_int_equal(idle, n_left > 0 && n_active == 0);
        }
        splits_close(&s);
    }
}

/* Silence is counted between questions: a split that nobody asks is not silent. */
static void a_split_that_is_not_asked_is_not_idle(void **state)
{
    (void)state;
    struct splits s;
    bool idle = true;
    assert_int_equal(splits_init(&s, 1), WEIR_OK);
    s.items[0].state = SPLIT_READING;
    (void)splits_bounded(&s, 0, 10, &idle); /* not asked yet, whatever the clock says */
    assert_false(idle);
    split_asked(&s.items[0], 5000);
    (void)splits_bounded(&s, 0, 10, &idle); /* asked for the first time: waiting begins */
    assert_false(idle);
    s.items[0].last_seen_ms = 5004; /* a record; then the subtask is without credit until 9000 */
    s.items[0].highest = 1;
    (void)splits_bounded(&s, 0, 10, &idle);
    assert_false(idle);
    split_asked(&s.items[0], 9000); /* asked again, and nothing was there */
    (void)splits_bounded(&s, 0, 10, &idle);
    assert_true(idle);
    split_asked(&s.items[0], 100); /* the clock was set back: waiting begins anew */
    (void)splits_bounded(&s, 0, 10, &idle);
    assert_false(idle);
    split_asked(&s.items[0], 110);
    (void)splits_bounded(&s, 0, 10, &idle);
    assert_true(idle);
    splits_close(&s);
}

static void stated_watermarks_are_the_lowest_of_what_is_left(void **state)
{
    (void)state;
    struct splits s;
    assert_int_equal(splits_init(&s, 3), WEIR_OK);
    assert_true(splits_stated(&s) == WEIR_TIME_MIN);
    for (uint32_t i = 0; i < 3; i++) s.items[i].state = SPLIT_READING;
    s.items[0].stated = 5;
    s.items[1].stated = 7;
    assert_true(splits_stated(&s) == WEIR_TIME_MIN); /* one has said nothing yet */
    s.items[2].stated = 9;
    assert_true(splits_stated(&s) == 5);
    s.items[0].state = SPLIT_DONE;
    assert_true(splits_stated(&s) == 7);
    s.items[1].state = s.items[2].state = SPLIT_DONE;
    assert_true(splits_stated(&s) == WEIR_TIME_MIN);
    splits_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_valve_agrees_with_its_description),        cmocka_unit_test(all_idle_then_ended_is_the_end_of_time),
        cmocka_unit_test(ahead_is_what_came_beyond_the_slowest),        cmocka_unit_test(ahead_forgets_no_byte),
        cmocka_unit_test(the_order_of_silence_and_end_does_not_matter), cmocka_unit_test(splits_agree_with_their_description),
        cmocka_unit_test(a_split_that_is_not_asked_is_not_idle),        cmocka_unit_test(stated_watermarks_are_the_lowest_of_what_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
