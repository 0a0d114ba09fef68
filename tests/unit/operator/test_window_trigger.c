/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/operator/windows.h"

/* ---- the oracle: every key of every window by itself, a record at a time
 * ------------------------------------------------------------------ */

struct open_window {
    uint32_t key;
    wide start, end;
    struct acc acc;
    int64_t since;
    bool has_timer, ended;
    weir_time timer;
};

struct world {
    const struct weir_window *w;
    struct open_window windows[EVENTS_MAX * 4];
    uint32_t n;
    weir_time passed;
    struct results *out;
};

static wide floor_to(wide t, int64_t size, int64_t offset)
{
    wide phase = (t - offset) % size;
    return t - (phase < 0 ? phase + size : phase);
}

static weir_time last_of(const struct open_window *o)
{
    return clamp(o->end - 1);
}

static bool over(const struct world *x, wide end)
{
    return clamp((wide)clamp(end - 1) + x->w->allowed_lateness_ms) <= x->passed;
}

static void show(struct world *x, struct open_window *o, uint32_t step)
{
    if (o->acc.count == 0) return;
    x->out->items[x->out->n++] = (struct result){o->key, step, clamp(o->start), clamp(o->end), o->acc};
    o->since = 0;
    if (x->w->trigger && x->w->trigger->purge) o->acc = (struct acc){0};
}

static struct open_window *find_window(struct world *x, uint32_t key, wide start, wide end)
{
    for (uint32_t k = x->n; k-- > 0;)
        if (x->windows[k].key == key && x->windows[k].start == start && x->windows[k].end == end) return &x->windows[k];
    assert_true(x->n < EVENTS_MAX * 4);
    x->windows[x->n] = (struct open_window){.key = key, .start = start, .end = end, .ended = clamp(end - 1) <= x->passed};
    return &x->windows[x->n++];
}

static bool add_to(struct world *x, const struct event *e, wide start, wide end)
{
    static const struct weir_trigger none;
    const struct weir_trigger *t = x->w->trigger ? x->w->trigger : &none;
    if (over(x, end)) return false;
    struct open_window *o = find_window(x, e->key, start, end);
    totals_add1(&o->acc, &(struct hit){.value = e->value}, e->time_ms);
    o->since++;
    bool late = o->ended && !t->early_only;
    if (late ? o->since >= (t->late_count ? (int64_t)t->late_count : 1) : t->early_count && o->since >= (int64_t)t->early_count) {
        show(x, o, BY_RECORD);
    } else if (t->early_ms && !o->has_timer) {
        wide from = e->time_ms > x->passed ? e->time_ms : x->passed;
        wide at = floor_to(from, t->early_ms, 0) + t->early_ms;
        o->has_timer = at < last_of(o);
        o->timer = clamp(at);
    }
    return true;
}

static void advance(struct world *x, weir_time passed, uint32_t step)
{
    x->passed = passed;
    for (uint32_t k = 0; k < x->n; k++) {
        struct open_window *o = &x->windows[k];
        if (!o->has_timer || o->timer > passed) continue;
        o->has_timer = false;
        if (o->since) show(x, o, step);
    }
    for (uint32_t k = 0; k < x->n;) {
        struct open_window *o = &x->windows[k];
        if (!o->ended && last_of(o) <= passed) {
            o->ended = true;
            if (!x->w->trigger || !x->w->trigger->early_only) show(x, o, step);
        }
        if (over(x, o->end))
            *o = x->windows[--x->n];
        else
            k++;
    }
}

static void oracle(const struct history *h, const struct weir_window *w, struct results *out)
{
    static struct world x;
    x.w = w;
    x.n = 0;
    x.passed = WEIR_TIME_MIN;
    x.out = out;
    out->n = out->n_late = 0;
    for (uint32_t i = 0; i < h->n; i++) {
        const struct event *e = &h->events[i];
        bool taken = false, any = false;
        if (e->is_watermark) {
            advance(&x, e->time_ms, i);
            continue;
        }
        if (w->kind == WEIR_GLOBAL) {
            taken = add_to(&x, e, WEIR_TIME_MIN, (wide)WEIR_TIME_MAX + 1);
            any = true;
        } else if (w->kind == WEIR_CUMULATING) {
            wide start = floor_to(e->time_ms, w->size_ms, w->offset_ms);
            for (wide end = start + w->step_ms; end <= start + w->size_ms; end += w->step_ms)
                if (end > e->time_ms) any = true, taken |= add_to(&x, e, start, end);
        } else {
            int64_t slide = w->kind == WEIR_SLIDING ? w->slide_ms : w->size_ms;
            for (wide start = floor_to(e->time_ms, slide, w->offset_ms); start + w->size_ms > e->time_ms; start -= slide)
                any = true, taken |= add_to(&x, e, start, start + w->size_ms);
        }
        if (any && !taken) out->late[out->n_late++] = i;
    }
}

static struct weir_window draw_window(struct rng *r, struct weir_trigger *t)
{
    const enum weir_window_kind kinds[] = {WEIR_TUMBLING, WEIR_SLIDING, WEIR_CUMULATING, WEIR_GLOBAL};
    struct weir_window w = {.kind = kinds[below(r, 4)], .trigger = t};
    int64_t unit = 2 * (1 + below(r, 300));
    *t = (struct weir_trigger){.early_count = below(r, 2) ? 1 + below(r, 5) : 0,
                               .early_ms = below(r, 2) ? 1 + below(r, 400) : 0,
                               .purge = below(r, 2),
                               .late_count = below(r, 3)};
    t->early_only = (t->early_count || t->early_ms) && below(r, 2);
    if (w.kind == WEIR_GLOBAL) return w;
    w.size_ms = w.kind == WEIR_TUMBLING ? unit : unit * (1 + below(r, 4));
    if (w.kind == WEIR_SLIDING) w.slide_ms = unit * (1 + below(r, 3));
    if (w.kind == WEIR_CUMULATING) w.step_ms = unit;
    w.offset_ms = 2 * below(r, (uint32_t)unit / 2);
    if (below(r, 2)) w.allowed_lateness_ms = below(r, 2000);
    return w;
}

static void compare_with_search(uint64_t seeds, uint32_t n_cuts, uint32_t restart_of, uint64_t budget, uint64_t *by_record)
{
    static struct history h;
    static struct results expected, got;
    struct rocks_shared *shared;
    assert_int_equal(rocks_shared_new(&shared, 1u << 20, 1, NULL), WEIR_OK);
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        struct temp_dir dir;
        struct rng r = {seed + budget};
        struct weir_trigger trigger;
        current_seed = seed;
        struct weir_window w = draw_window(&r, &trigger);
        draw_history(&h, &r, 1 + below(&r, 1000));
        oracle(&h, &w, &expected);
        for (uint32_t i = 0; i < expected.n; i++) *by_record += expected.items[i].step == BY_RECORD;
        temp_dir_make(&dir);
        for (uint64_t cuts = 0; cuts < n_cuts; cuts++) {
            const struct play_options o = {.op = &window_trigger_operator,
                                           .config = config_of(&w, &totals, n_cuts == 1 ? seed : cuts),
                                           .cuts = seed * 100 + cuts,
                                           .any_order = true,
                                           .restart_every = restart_of ? h.n / restart_of + 1 : 0,
                                           .budget = budget,
                                           .dir = restart_of || budget ? &dir : NULL,
                                           .shared = shared};
            play(&h, &o, &got);
            compare(&expected, &got);
        }
        temp_dir_remove(&dir);
    }
    rocks_shared_destroy(&shared);
}

static void results_are_those_of_a_search(void **state)
{
    (void)state;
    uint64_t by_record = 0;
    compare_with_search(150, 3, 0, 0, &by_record);
    assert_true(by_record > 5000);
}

static void results_survive_restarts_and_little_memory(void **state)
{
    (void)state;
    uint64_t by_record = 0;
    compare_with_search(6, 1, 6, 0, &by_record);
    compare_with_search(6, 1, 0, 200000, &by_record);
}

/* ---- single properties ------------------------------------------------------------------------------------------------------------- */

static const struct sum *row_of(const struct fake *f, uint32_t i)
{
    return fake_row(f, 0, i);
}

/* countWindow(3): an incomplete one is never shown. */
static void a_count_window_is_a_global_one_that_purges(void **state)
{
    (void)state;
    const struct weir_trigger count3 = {.early_count = 3, .early_only = true, .purge = true};
    const struct window_config config = {.window = {.kind = WEIR_GLOBAL, .trigger = &count3}, .aggregate = &totals};
    struct fake *f = open_window(&window_trigger_operator, &config);
    for (int i = 0; i < 8; i++) assert_ok(f, send_one(f, "k", i));
    assert_ok(f, send_one(f, "l", 0));
    assert_int_equal(fake_count(f, 0), 2);
    assert_int_equal(row_of(f, 1)->count, 3);
    assert_ok(f, fake_op_watermark(f, WEIR_TIME_MAX));
    assert_int_equal(fake_count(f, 0), 2);
    fake_close(f);
}

static void a_global_window_fires_at_the_end_of_the_input(void **state)
{
    (void)state;
    const struct window_config config = {.window = {.kind = WEIR_GLOBAL}, .aggregate = &totals};
    struct fake *f = open_window(&window_trigger_operator, &config);
    for (int i = 0; i < 8; i++) assert_ok(f, send_one(f, i % 2 ? "k" : "l", i * 1000));
    assert_ok(f, fake_op_watermark(f, 1000000));
    assert_int_equal(fake_count(f, 0), 0);
    assert_ok(f, fake_op_watermark(f, WEIR_TIME_MAX));
    assert_int_equal(fake_count(f, 0), 2);
    assert_int_equal(row_of(f, 0)->count, 4);
    assert_ok(f, send_one(f, "k", 1));
    assert_int_equal(fake_counter(f, "late"), 1);
    fake_close(f);
}

/* By the clock: at its multiples, and only when something has come. */
static void early_results_come_by_the_clock(void **state)
{
    (void)state;
    const struct weir_trigger every100 = {.early_ms = 100, .early_domain = WEIR_PROCESSING_TIME};
    const struct window_config config = {.window = {.kind = WEIR_TUMBLING, .size_ms = 60000, .trigger = &every100}, .aggregate = &totals};
    struct fake *f = open_window(&window_trigger_operator, &config);
    f->now_ms = 1030;
    assert_ok(f, send_one(f, "k", 5));
    assert_ok(f, send_one(f, "k", 6));
    assert_ok(f, fake_op_clock(f, 1099));
    assert_int_equal(fake_count(f, 0), 0);
    assert_ok(f, fake_op_clock(f, 1100));
    assert_int_equal(fake_count(f, 0), 1);
    assert_int_equal(row_of(f, 0)->count, 2);
    assert_ok(f, fake_op_clock(f, 5000));
    assert_int_equal(fake_count(f, 0), 1);
    assert_ok(f, send_one(f, "k", 7));
    assert_ok(f, fake_op_clock(f, 5100));
    assert_int_equal(row_of(f, 1)->count, 3);
    assert_ok(f, fake_op_watermark(f, 59999));
    assert_int_equal(fake_count(f, 0), 3);
    assert_ok(f, send_one(f, "l", 60001));
    assert_ok(f, fake_op_watermark(f, 119999));
    assert_int_equal(fake_count(f, 0), 4);
    assert_ok(f, fake_op_clock(f, 9000)); /* the timer finds its window gone */
    assert_int_equal(fake_count(f, 0), 4);
    fake_close(f);
}

/* Windows of the clock: by count, at its multiples, and at their ends what has not been shown. */
static void by_the_clock_early_results_come_too(void **state)
{
    (void)state;
    const struct weir_trigger often = {.early_count = 3, .early_ms = 100, .early_domain = WEIR_PROCESSING_TIME, .purge = true};
    const struct window_config config = {
        .window = {.kind = WEIR_TUMBLING, .size_ms = 1000, .domain = WEIR_PROCESSING_TIME, .trigger = &often}, .aggregate = &totals};
    struct fake *f = open_window(&window_trigger_operator, &config);
    f->now_ms = 1930;
    for (int i = 0; i < 4; i++) assert_ok(f, send_one(f, "k", 1u << 20));
    assert_int_equal(fake_count(f, 0), 1);
    assert_int_equal(row_of(f, 0)->count, 3);
    assert_ok(f, send_one(f, "l", WEIR_TIME_MIN));
    assert_ok(f, fake_op_clock(f, 1999)); /* the multiple is the end */
    assert_int_equal(fake_count(f, 0), 1);
    assert_ok(f, fake_op_clock(f, 2000));
    assert_int_equal(fake_count(f, 0), 3);
    assert_int_equal(row_of(f, 1)->count, 1);
    assert_int_equal(row_of(f, 1)->start, 1000);
    assert_int_equal(row_of(f, 2)->count, 1);
    assert_ok(f, send_one(f, "k", 0));
    assert_ok(f, fake_op_clock(f, 2100));
    assert_int_equal(fake_count(f, 0), 4);
    assert_int_equal(row_of(f, 3)->start, 2000);
    assert_ok(f, fake_op_clock(f, 3000)); /* it has been shown, and purged */
    assert_int_equal(fake_count(f, 0), 4);
    fake_close(f);
}

/* A window that does not fire at its end is over then all the same. */
static void by_the_clock_what_is_early_only_is_dropped_at_the_end(void **state)
{
    (void)state;
    const struct weir_trigger count2 = {.early_count = 2, .early_only = true};
    const struct window_config config = {
        .window = {.kind = WEIR_TUMBLING, .size_ms = 10, .domain = WEIR_PROCESSING_TIME, .trigger = &count2}, .aggregate = &totals};
    struct fake *f = open_window(&window_trigger_operator, &config);
    f->now_ms = 1000;
    assert_ok(f, send_one(f, "k", 0));
    assert_ok(f, fake_op_clock(f, 1010));
    assert_ok(f, send_one(f, "k", 0));
    assert_int_equal(fake_count(f, 0), 0);
    assert_ok(f, send_one(f, "k", 0));
    assert_int_equal(fake_count(f, 0), 1);
    assert_int_equal(row_of(f, 0)->start, 1010);
    fake_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_are_those_of_a_search),
        cmocka_unit_test(results_survive_restarts_and_little_memory),
        cmocka_unit_test(a_count_window_is_a_global_one_that_purges),
        cmocka_unit_test(a_global_window_fires_at_the_end_of_the_input),
        cmocka_unit_test(early_results_come_by_the_clock),
        cmocka_unit_test(by_the_clock_early_results_come_too),
        cmocka_unit_test(by_the_clock_what_is_early_only_is_dropped_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
