/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/state/keyed.h"
#include "runtime/state/memory.h"
#include "runtime/state/rocks.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/operator/windows.h"

/* ---- the oracle: every window that holds a record, a list that is searched ------------------------------------------------------------
 */

struct open_window {
    uint32_t key;
    wide start, end;
    struct acc acc;
    bool fired;
};

#define PLACES 262144u /* above RESULTS_MAX */

static struct open_window windows[RESULTS_MAX];
static uint32_t n_windows;
static uint32_t live[RESULTS_MAX], n_live; /* those that are not over for good */
static uint32_t places[PLACES];            /* index + 1 by hash, open addressing */

static wide floor_to(wide t, int64_t size, int64_t offset)
{
    wide phase = (t - offset) % size;
    return t - offset - (phase < 0 ? phase + size : phase) + offset;
}

static struct open_window *find_window(uint32_t key, wide start, wide end)
{
    struct rng hash = {(uint64_t)start * 31 + (uint64_t)end * 7 + key};
    uint32_t at = (uint32_t)draw(&hash) % PLACES;
    for (; places[at]; at = (at + 1) % PLACES) {
        struct open_window *w = &windows[places[at] - 1];
        if (w->key == key && w->start == start && w->end == end) return w;
    }
    assert_true(n_windows < RESULTS_MAX);
    live[n_live++] = n_windows;
    windows[n_windows] = (struct open_window){.key = key, .start = start, .end = end};
    places[at] = ++n_windows;
    return &windows[n_windows - 1];
}

static struct result result_of(const struct open_window *w, uint32_t step)
{
    return (struct result){w->key, step, clamp(w->start), clamp(w->end), w->acc};
}

/* Adds the record to one window, unless that is over for good. true: it was taken. */
static bool add_to(const struct event *e, const struct weir_window *w, const struct weir_aggregate *agg, wide start, wide end,
                   weir_time passed, struct results *out)
{
    if (clamp((wide)clamp(end - 1) + w->allowed_lateness_ms) <= passed) return false;
    struct open_window *win = find_window(e->key, start, end);
    (agg == &totals ? totals_add1 : sums_add1)(&win->acc, &(struct hit){.value = e->value}, e->time_ms);
    win->fired = clamp(end - 1) <= passed;
    if (win->fired) out->items[out->n++] = result_of(win, BY_RECORD);
    return true;
}

/* The windows of a record, and whether any takes it; *any: there are windows at all. */
static bool add_record(const struct event *e, const struct weir_window *w, const struct weir_aggregate *agg, weir_time passed,
                       struct results *out, bool *any)
{
    bool taken = false;
    *any = false;
    if (w->kind == WEIR_CUMULATING) {
        wide start = floor_to(e->time_ms, w->size_ms, w->offset_ms);
        for (wide end = start + w->step_ms; end <= start + w->size_ms; end += w->step_ms) {
            if (end <= e->time_ms) continue;
            *any = true;
            taken |= add_to(e, w, agg, start, end, passed, out);
        }
        return taken;
    }
    int64_t slide = w->kind == WEIR_SLIDING ? w->slide_ms : w->size_ms;
    for (wide start = floor_to(e->time_ms, slide, w->offset_ms); start + w->size_ms > e->time_ms; start -= slide) {
        *any = true;
        taken |= add_to(e, w, agg, start, start + w->size_ms, passed, out);
    }
    return taken;
}

static void fire_over(const struct weir_window *w, weir_time passed, uint32_t step, struct results *out)
{
    uint32_t kept = 0;
    for (uint32_t k = 0; k < n_live; k++) {
        struct open_window *win = &windows[live[k]];
        weir_time last = clamp(win->end - 1);
        if (!win->fired && last <= passed) {
            win->fired = true;
            out->items[out->n++] = result_of(win, step);
        }
        if (clamp((wide)last + w->allowed_lateness_ms) > passed) live[kept++] = live[k];
    }
    n_live = kept;
}

static void oracle(const struct history *h, const struct weir_window *w, const struct weir_aggregate *agg, struct results *out)
{
    weir_time passed = WEIR_TIME_MIN;
    out->n = out->n_late = n_windows = n_live = 0;
    memset(places, 0, sizeof places);
    for (uint32_t i = 0; i < h->n; i++) {
        const struct event *e = &h->events[i];
        if (e->is_watermark) {
            passed = e->time_ms;
            fire_over(w, passed, i, out);
            continue;
        }
        bool any;
        if (!add_record(e, w, agg, passed, out, &any) && any) out->late[out->n_late++] = i;
    }
}

static struct weir_window draw_window(struct rng *r, enum weir_window_kind kind, bool lateness)
{
    struct weir_window w = {.kind = kind};
    int64_t unit = 1 + below(r, below(r, 2) ? 10 : 300);
    w.size_ms = kind == WEIR_TUMBLING ? unit : unit * (1 + below(r, 12));
    int64_t every = w.size_ms;
    if (kind == WEIR_SLIDING) every = w.slide_ms = below(r, 4) ? unit * (1 + below(r, 8)) : 1 + below(r, (uint32_t)unit * 4);
    if (kind == WEIR_SLIDING && w.size_ms / w.slide_ms > 20) every = w.slide_ms = w.size_ms / 20 + 1;
    if (kind == WEIR_CUMULATING) w.step_ms = unit;
    w.offset_ms = below(r, 2) ? below(r, (uint32_t)every) : 0;
    if (lateness) w.allowed_lateness_ms = below(r, 4) ? below(r, (uint32_t)unit * 20) + below(r, 2) * 500 : INT64_MAX;
    return w;
}

/* Any cut into batches, any place to yield: always what the oracle says, fired by the same watermarks. */
static void compare_with_search(enum weir_window_kind kind, bool lateness, const struct weir_aggregate *agg, uint64_t *late,
                                uint64_t *again)
{
    static struct history h;
    static struct results expected, got;
    for (uint64_t seed = 1; seed <= 25; seed++) {
        current_seed = seed;
        struct rng r = {seed};
        struct weir_window w = draw_window(&r, kind, lateness);
        draw_history(&h, &r, 1 + below(&r, 1000));
        oracle(&h, &w, agg, &expected);
        *late += expected.n_late;
        for (uint32_t i = 0; i < expected.n; i++) *again += expected.items[i].step == BY_RECORD;
        for (uint64_t cuts = 0; cuts < 3; cuts++) {
            const struct play_options o = {.op = &window_slice_operator, .config = config_of(&w, agg, cuts), .cuts = seed * 100 + cuts};
            play(&h, &o, &got);
            compare(&expected, &got);
        }
    }
}

static void results_are_those_of_a_search(void **state)
{
    (void)state;
    const enum weir_window_kind kinds[] = {WEIR_TUMBLING, WEIR_SLIDING, WEIR_CUMULATING};
    for (int k = 0; k < 3; k++) {
        uint64_t late = 0, again = 0;
        compare_with_search(kinds[k], false, &totals, &late, &again);
        compare_with_search(kinds[k], false, &sums, &late, &again);
        assert_true(late > 200 && again == 0); /* the histories do show the case */
        compare_with_search(kinds[k], true, &totals, &late, &again);
        compare_with_search(kinds[k], true, &sums, &late, &again);
        assert_true(again > 50);
    }
}

/* The same when the operator is restored now and then, with little memory, or both. */
static void results_survive_restarts_and_little_memory(void **state)
{
    (void)state;
    static struct history h;
    static struct results expected, got;
    struct rocks_shared *shared;
    const enum weir_window_kind kinds[] = {WEIR_TUMBLING, WEIR_SLIDING, WEIR_SLIDING, WEIR_CUMULATING};
    assert_int_equal(rocks_shared_new(&shared, 1u << 20, 1, NULL), WEIR_OK);
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct temp_dir dir;
        struct rng r = {seed + 1000};
        current_seed = seed;
        temp_dir_make(&dir);
        const struct weir_aggregate *agg = below(&r, 2) ? &totals : &sums;
        struct weir_window w = draw_window(&r, kinds[seed % 4], below(&r, 2));
        draw_history(&h, &r, 1 + below(&r, 1000));
        oracle(&h, &w, agg, &expected);
        const struct play_options o = {.op = &window_slice_operator,
                                       .config = config_of(&w, agg, seed),
                                       .cuts = seed,
                                       .budget = seed % 3 ? 0 : 16384,
                                       .restart_every = seed % 3 == 0 ? 0 : h.n / 6 + 1,
                                       .dir = &dir,
                                       .shared = shared};
        play(&h, &o, &got);
        compare(&expected, &got);
        temp_dir_remove(&dir);
    }
    rocks_shared_destroy(&shared);
}

/* ---- single properties ------------------------------------------------------------------------------------------------------------- */

static const struct window_config minute = {.window = {.kind = WEIR_TUMBLING, .size_ms = 60000}, .aggregate = &totals};

static void windows_before_1970_begin_at_their_floor(void **state)
{
    (void)state;
    struct fake *f = open_window(&window_slice_operator, &minute);
    assert_ok(f, send_one(f, "k", -1));
    assert_ok(f, send_one(f, "k", -60000));
    assert_ok(f, send_one(f, "k", -60001));
    assert_ok(f, send_one(f, "k", 0));
    assert_ok(f, fake_op_watermark(f, -2));
    assert_int_equal(fake_count(f, 0), 1);
    assert_int_equal(((struct sum *)fake_row(f, 0, 0))->start, -120000);
    assert_ok(f, fake_op_watermark(f, -1));
    assert_int_equal(fake_count(f, 0), 2);
    assert_int_equal(((struct sum *)fake_row(f, 0, 1))->start, -60000);
    assert_int_equal(((struct sum *)fake_row(f, 0, 1))->end, 0);
    assert_int_equal(((struct sum *)fake_row(f, 0, 1))->count, 2);
    assert_ok(f, fake_op_watermark(f, WEIR_TIME_MAX));
    assert_int_equal(fake_count(f, 0), 3);
    fake_close(f);
}

static void the_first_and_the_last_window_are_cut_off(void **state)
{
    (void)state;
    struct fake *f = open_window(&window_slice_operator, &minute);
    assert_ok(f, send_one(f, "k", WEIR_TIME_MIN + 1));
    assert_ok(f, send_one(f, "k", WEIR_TIME_MAX));
    assert_ok(f, fake_op_watermark(f, 0));
    assert_int_equal(fake_count(f, 0), 1);
    assert_int_equal(((struct sum *)fake_row(f, 0, 0))->start, WEIR_TIME_MIN);
    assert_ok(f, fake_op_watermark(f, WEIR_TIME_MAX - 1));
    assert_int_equal(fake_count(f, 0), 1);
    assert_ok(f, fake_op_watermark(f, WEIR_TIME_MAX));
    assert_int_equal(fake_count(f, 0), 2);
    assert_int_equal(((struct sum *)fake_row(f, 0, 1))->end, WEIR_TIME_MAX);
    fake_close(f);
}

/* Also when the window that begins before all time is open, and would hold the value that means "none". */
static void a_record_without_time_fails_in_words(void **state)
{
    (void)state;
    for (int first = 0; first < 2; first++) {
        struct fake *f = open_window(&window_slice_operator, &minute);
        if (first) assert_ok(f, send_one(f, "k", WEIR_TIME_MIN + 1));
        assert_int_equal(send_one(f, "k", WEIR_TIME_MIN), WEIR_E_USER);
        assert_string_equal(f->diag.text, "minute: record without event time: assign timestamps before the window");
        fake_close(f);
    }
}

static void a_closed_window_gives_its_memory_back(void **state)
{
    (void)state;
    struct fake *f = open_window(&window_slice_operator, &minute);
    assert_ok(f, fake_op_watermark(f, -1)); /* room for a note of it */
    uint64_t empty = slot_memory(f->slot)->bytes;
    for (int i = 0; i < 1000; i++) {
        assert_ok(f, send_one(f, "k", i * 60000));
        assert_ok(f, send_one(f, "l", i * 60000 + 1));
        assert_ok(f, fake_op_watermark(f, i * 60000 + 59998));
        assert_true(slot_memory(f->slot)->bytes > empty);
        assert_ok(f, fake_op_watermark(f, i * 60000 + 59999));
        assert_int_equal(slot_memory(f->slot)->bytes, empty);
    }
    assert_int_equal(fake_count(f, 0), 2000);
    fake_close(f);
}

/* The window is closed from the moment it begins to fire, wherever its results wait to be taken. */
static void a_window_that_is_firing_takes_nothing_in(void **state)
{
    (void)state;
    for (int other = 0; other < 2; other++) {
        struct fake *f = open_window(&window_slice_operator, &minute);
        assert_ok(f, send_one(f, "k", 1));
        assert_ok(f, send_one(f, "l", 2));
        if (other) assert_ok(f, send_one(f, "k", 70000)); /* so that the firing one is not the last looked at */
        f->yield_at_rows = 1;
        assert_int_equal(f->op->on_watermark(f->self, &f->ctx, 59999), WEIR_AGAIN);
        assert_ok(f, send_one(f, "m", 3));
        assert_int_equal(fake_counter(f, "late"), 1);
        assert_ok(f, fake_op_watermark(f, 59999));
        assert_int_equal(fake_count(f, 0), 2);
        fake_close(f);
    }
}

static void a_bad_window_is_refused(void **state)
{
    (void)state;
    const struct weir_window bad[] = {{.size_ms = 0}, {.size_ms = -5}, {.size_ms = 10, .offset_ms = 10}, {.size_ms = 10, .offset_ms = -1}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct window_config config = {.window = bad[i], .aggregate = &totals};
        struct fake *f = fake_new(&(struct fake_options){.config = &config, .n_outs = 2});
        fake_state_open(f);
        assert_int_equal(fake_op_open(f, &window_slice_operator), WEIR_E_ARGUMENT);
        fake_close(f);
    }
}

/* ---- sliding and cumulating -------------------------------------------------------------------------------------------------------- */

static const struct window_config ten_by_four = {.window = {.kind = WEIR_SLIDING, .size_ms = 10, .slide_ms = 4, .offset_ms = 1},
                                                 .aggregate = &totals};

/* Windows begin at 1 + 4 k. The first begins before the record, the last ends behind it; the slices between two records are empty. */
static void every_window_that_holds_a_record_fires(void **state)
{
    (void)state;
    struct fake *f = open_window(&window_slice_operator, &ten_by_four);
    assert_ok(f, send_one(f, "k", 9));
    assert_ok(f, send_one(f, "k", 100));
    assert_ok(f, fake_op_watermark(f, 50));
    assert_int_equal(fake_count(f, 0), 3);
    expect_sum(f, 0, 1, 11, 1);
    expect_sum(f, 1, 5, 15, 1);
    expect_sum(f, 2, 9, 19, 1);
    assert_ok(f, fake_op_watermark(f, WEIR_TIME_MAX));
    assert_int_equal(fake_count(f, 0), 5); /* 100 lies in [93, 103) and [97, 107) */
    expect_sum(f, 3, 93, 103, 1);
    expect_sum(f, 4, 97, 107, 1);
    fake_close(f);
}

/* A slide above the size leaves records out: they are in no window, so they are not late either. */
static void what_lies_between_two_windows_is_left_out(void **state)
{
    (void)state;
    const struct window_config config = {.window = {.kind = WEIR_SLIDING, .size_ms = 4, .slide_ms = 10}, .aggregate = &totals};
    struct fake *f = open_window(&window_slice_operator, &config);
    for (int t = 0; t < 20; t++) assert_ok(f, send_one(f, "k", t));
    assert_ok(f, fake_op_watermark(f, WEIR_TIME_MAX));
    assert_int_equal(fake_count(f, 0), 2);
    expect_sum(f, 0, 0, 4, 4);
    expect_sum(f, 1, 10, 14, 4);
    assert_int_equal(fake_counter(f, "late"), 0);
    fake_close(f);
}

/* Only where it is too late for all of its windows. */
static void a_record_late_for_some_windows_counts_in_the_others(void **state)
{
    (void)state;
    struct fake *f = open_window(&window_slice_operator, &ten_by_four);
    assert_ok(f, send_one(f, "l", 20));
    assert_ok(f, fake_op_watermark(f, 12)); /* [1, 11) is over, [5, 15) and [9, 19) are not */
    assert_ok(f, send_one(f, "k", 9));
    assert_ok(f, send_one(f, "k", 4)); /* in [1, 11) and before */
    assert_int_equal(fake_counter(f, "late"), 1);
    assert_ok(f, fake_op_watermark(f, 18));
    assert_int_equal(fake_count(f, 0), 2);
    expect_sum(f, 0, 5, 15, 1);
    fake_close(f);
}

/* A key that has left costs nothing, whatever way accumulators are taken out. */
static void keys_that_have_left_emit_nothing(void **state)
{
    (void)state;
    const struct weir_aggregate *const aggregates[] = {&totals, &sums};
    for (int a = 0; a < 2; a++) {
        const struct window_config config = {.window = {.kind = WEIR_SLIDING, .size_ms = 100, .slide_ms = 1}, .aggregate = aggregates[a]};
        struct fake *f = open_window(&window_slice_operator, &config);
        char name[32];
        uint64_t memory = 0;
        for (int t = 0; t < 2000; t++) {
            snprintf(name, sizeof name, "visitor %d", t);
            assert_ok(f, send_one(f, name, t));
            assert_ok(f, fake_op_watermark(f, t));
            assert_int_equal(fake_count(f, 0), t < 100 ? t + 1 : 100);
            fake_clear(f, 0);
            if (t == 1000) memory = slot_memory(f->slot)->bytes;
        }
        assert_in_range(slot_memory(f->slot)->bytes, memory * 9 / 10, memory * 11 / 10);
        fake_close(f);
    }
}

static void cumulating_windows_grow_and_begin_again(void **state)
{
    (void)state;
    const struct window_config config = {.window = {.kind = WEIR_CUMULATING, .size_ms = 30, .step_ms = 10}, .aggregate = &totals};
    struct fake *f = open_window(&window_slice_operator, &config);
    assert_ok(f, send_one(f, "k", 0));
    assert_ok(f, send_one(f, "k", 25));
    assert_ok(f, send_one(f, "k", 45));
    assert_ok(f, fake_op_watermark(f, WEIR_TIME_MAX));
    assert_int_equal(fake_count(f, 0), 5);
    expect_sum(f, 0, 0, 10, 1);
    expect_sum(f, 1, 0, 20, 1);
    expect_sum(f, 2, 0, 30, 2);
    expect_sum(f, 3, 30, 50, 1);
    expect_sum(f, 4, 30, 60, 1);
    fake_close(f);
}

/* ---- processing time ----------------------------------------------------------------------------------------------------------------- */

static const struct window_config ten_by_the_clock = {
    .window = {.kind = WEIR_SLIDING, .size_ms = 10, .slide_ms = 5, .domain = WEIR_PROCESSING_TIME}, .aggregate = &totals};

/* A trigger of zeros is none: the same by the other operator. */
static const struct window_config ten_triggered = {
    .window = {.kind = WEIR_SLIDING, .size_ms = 10, .slide_ms = 5, .domain = WEIR_PROCESSING_TIME, .trigger = &(struct weir_trigger){0}},
    .aggregate = &totals};

/* Whatever time records have, or none; a window fires when the clock reaches its end. */
static void fire_by_the_clock(const struct window_config *config)
{
    struct fake *f = open_window(window_operator(&config->window), config);
    f->now_ms = 1003;
    assert_ok(f, send_one(f, "k", WEIR_TIME_MIN));
    assert_ok(f, send_one(f, "k", 5));
    assert_ok(f, fake_op_watermark(f, 1u << 20)); /* event time is nothing to it */
    assert_ok(f, fake_op_clock(f, 1004));
    assert_int_equal(fake_count(f, 0), 0);
    assert_ok(f, fake_op_clock(f, 1005));
    assert_int_equal(fake_count(f, 0), 1);
    expect_sum(f, 0, 995, 1005, 2);
    f->now_ms = 990; /* a clock that was set back */
    assert_ok(f, send_one(f, "k", 5));
    assert_ok(f, fake_op_clock(f, 1010));
    assert_int_equal(fake_count(f, 0), 2);
    expect_sum(f, 1, 1000, 1010, 3);
    assert_ok(f, fake_op_watermark(f, WEIR_TIME_MAX)); /* the end of the input */
    assert_int_equal(fake_count(f, 0), 3);
    expect_sum(f, 2, 1005, 1015, 1);
    assert_int_equal(fake_counter(f, "late"), 0);
    fake_close(f);
}

static void by_the_clock_windows_fire_when_they_end(void **state)
{
    (void)state;
    fire_by_the_clock(&ten_by_the_clock);
    fire_by_the_clock(&ten_triggered);
}

/* However long results wait: a timer goes on with them. */
static void wait_by_the_clock(const struct window_config *config)
{
    struct fake *f = open_window(window_operator(&config->window), config);
    char name[32];
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "key %d", i);
        f->now_ms = 1000;
        assert_ok(f, send_one(f, name, 1));
    }
    f->yield_at_rows = 1; /* after every result */
    assert_ok(f, fake_op_clock(f, 1005));
    assert_int_equal(fake_count(f, 0), 1);
    assert_ok(f, send_one(f, "late comer", 1)); /* while they wait; belongs to later windows */
    for (int i = 1006; i < 1400; i++) assert_ok(f, fake_op_clock(f, i));
    assert_int_equal(fake_count(f, 0), 202);
    fake_close(f);
}

static void by_the_clock_results_may_wait(void **state)
{
    (void)state;
    wait_by_the_clock(&ten_by_the_clock);
    wait_by_the_clock(&ten_triggered);
}

/* ---- surveys, reductions ------------------------------------------------------------------------------------------------------------- */

/* The keys with the most records of a window, all of them when several have as many. */
static void survey_max(void *summary, const void *acc)
{
    int64_t *most = summary;
    const struct acc *a = acc;
    if (a->count > *most) *most = a->count;
}

static weir_err emit_max(struct weir_ctx *ctx, const void *acc, const void *summary, weir_time start, weir_time end)
{
    const struct acc *a = acc;
    return a->count == *(const int64_t *)summary ? totals_emit1(ctx, a, &ctx->keys[ctx->key_index], start, end) : WEIR_OK;
}

static void a_survey_sees_the_whole_window_first(void **state)
{
    (void)state;
    struct weir_aggregate most = totals;
    most.summary_size = sizeof(int64_t);
    most.survey = survey_max;
    most.emit_surveyed = emit_max;
    for (int sliding = 0; sliding < 2; sliding++) {
        const struct window_config config = {.window = {.kind = WEIR_SLIDING, .size_ms = 10, .slide_ms = sliding ? 5 : 10},
                                             .aggregate = &most};
        struct fake *f = open_window(&window_slice_operator, &config);
        const char *const keys[] = {"a", "b", "b", "c", "c", "d"};
        for (int i = 0; i < 6; i++) assert_ok(f, send_one(f, keys[i], i));
        assert_ok(f, fake_op_watermark(f, 4)); /* sliding: [-5, 5) */
        assert_int_equal(fake_count(f, 0), sliding ? 2 : 0);
        assert_ok(f, fake_op_watermark(f, 9));
        assert_int_equal(fake_count(f, 0), sliding ? 4 : 2);
        for (uint32_t i = 0; i < fake_count(f, 0); i++) assert_int_equal(((struct sum *)fake_row(f, 0, i))->count, 2);
        fake_close(f);
    }
}

struct pair {
    int64_t low, high;
};
WEIR_ROW(pair, WEIR_FIELD(pair, 1, I64, low), WEIR_FIELD(pair, 2, I64, high));

static void widen(struct pair *sum, const struct pair *more)
{
    if (more->low < sum->low) sum->low = more->low;
    if (more->high > sum->high) sum->high = more->high;
}
WEIR_REDUCE(range, pair, widen);

static void send_pair(struct fake *f, int64_t value, weir_time time)
{
    struct {
        struct weir_record rec;
        struct pair row;
    } r = {{.size = sizeof(struct pair), .time_ms = time}, {value, value}};
    struct weir_key key = {.data = "k", .length = 1};
    struct weir_batch batch = {.data = (unsigned char *)&r, .count = 1, .stride = sizeof r};
    assert_ok(f, fake_op_process_keyed(f, &batch, &key));
}

static void rows_are_reduced_to_one(void **state)
{
    (void)state;
    const struct window_config config = {.window = {.kind = WEIR_SLIDING, .size_ms = 20, .slide_ms = 10}, .aggregate = &range};
    struct fake *f = open_window(&window_slice_operator, &config);
    const int64_t values[] = {5, 7, -3, 6};
    for (int i = 0; i < 4; i++) send_pair(f, values[i], i * 10);
    assert_ok(f, fake_op_watermark(f, WEIR_TIME_MAX));
    const struct pair expected[] = {{5, 5}, {5, 7}, {-3, 7}, {-3, 6}, {6, 6}};
    assert_int_equal(fake_count(f, 0), 5);
    for (uint32_t i = 0; i < 5; i++) assert_memory_equal(fake_row(f, 0, i), &expected[i], sizeof expected[i]);
    fake_close(f);
}

/* ---- restored ---------------------------------------------------------------------------------------------------------------------- */

/* The first and the last window of all time among them, whose numbers are not their starts. */
static void open_windows_survive_a_restore(void **state)
{
    (void)state;
    struct shelf shelf;
    shelf_open(&shelf);
    struct fake *f = shelf_take(&shelf, &window_slice_operator, &minute, WEIR_OK);
    const weir_time times[] = {WEIR_TIME_MIN + 1, -1, 0, 59999, 60000, 120000, WEIR_TIME_MAX};
    for (int i = 0; i < 7; i++) assert_ok(f, send_one(f, "k", times[i]));
    assert_ok(f, fake_op_watermark(f, -1)); /* two have fired before the snapshot */
    assert_int_equal(fake_count(f, 0), 2);
    shelf_put(&shelf, f);

    f = shelf_take(&shelf, &window_slice_operator, &minute, WEIR_OK);
    assert_ok(f, send_one(f, "k", -1)); /* late before the restore, and late after it, though no watermark has come yet */
    assert_int_equal(fake_counter(f, "late"), 1);
    assert_ok(f, send_one(f, "k", 119999));
    assert_ok(f, fake_op_watermark(f, WEIR_TIME_MAX));
    assert_int_equal(fake_count(f, 0), 4);
    expect_sum(f, 0, 0, 60000, 2);
    expect_sum(f, 1, 60000, 120000, 2);
    expect_sum(f, 2, 120000, 180000, 1);
    const struct sum *last = fake_row(f, 0, 3);
    assert_int_equal(last->end, WEIR_TIME_MAX);
    fake_close(f);

    struct window_config other = minute;
    other.window.size_ms = 45000;
    f = shelf_take(&shelf, &window_slice_operator, &other, WEIR_E_STATE);
    assert_string_equal(f->diag.text, "minute: the restored windows have another size or offset: their slices are not of 45000 ms");
    fake_close(f);
    shelf_close(&shelf);
}

/* Without a record since: the timer is there, or made anew. */
static void restore_by_the_clock(const struct window_config *config)
{
    const struct weir_operator *op = window_operator(&config->window);
    struct shelf shelf;
    shelf_open(&shelf);
    struct fake *f = shelf_take(&shelf, op, config, WEIR_OK);
    f->now_ms = 1003;
    assert_ok(f, send_one(f, "k", 1));
    assert_ok(f, fake_op_clock(f, 1005));
    assert_int_equal(fake_count(f, 0), 1);
    shelf_put(&shelf, f);
    f = shelf_take(&shelf, op, config, WEIR_OK);
    assert_ok(f, fake_op_clock(f, 9999));
    assert_int_equal(fake_count(f, 0), 1);
    expect_sum(f, 0, 1000, 1010, 1);
    fake_close(f);
    shelf_close(&shelf);
}

static void by_the_clock_windows_survive_a_restore(void **state)
{
    (void)state;
    restore_by_the_clock(&ten_by_the_clock);
    restore_by_the_clock(&ten_triggered);
}

/* Results are those of a search with next to no memory, too. */
static void windows_larger_than_memory_fire_whole(void **state)
{
    (void)state;
    struct temp_dir scratch;
    struct rocks_shared *shared;
    char name[32];
    assert_int_equal(rocks_shared_new(&shared, 1u << 20, 1, NULL), WEIR_OK);
    temp_dir_make(&scratch);
    struct fake *f = fake_new(&(struct fake_options){.config = &minute, .n_outs = 2, .operator_id = "minute"});
    fake_state_open_with(f, &(struct state_slot_config){.dir = temp_path(&scratch, "slot"), .budget = 160u << 10, .shared = shared});
    assert_ok(f, fake_op_open(f, &window_slice_operator));
    f->yield_at_rows = 500;
    for (int i = 0; i < 12000; i++) {
        snprintf(name, sizeof name, "key %d", i % 4000);
        assert_ok(f, send_one(f, name, i % 2 * 60000));
    }
    struct slot_stats stats;
    slot_stats(f->slot, &stats);
    assert_true(stats.evictions > 1000);
    assert_ok(f, fake_op_watermark(f, 59999));
    assert_int_equal(fake_count(f, 0), 2000);
    for (uint32_t i = 0; i < 2000; i++) expect_sum(f, i, 0, 60000, 3);
    assert_ok(f, fake_op_watermark(f, WEIR_TIME_MAX));
    assert_int_equal(fake_count(f, 0), 4000);
    for (uint32_t i = 2000; i < 4000; i++) expect_sum(f, i, 60000, 120000, 3);
    fake_close(f);
    temp_dir_remove(&scratch);
    rocks_shared_destroy(&shared);
}

static void running_out_of_memory_fails_the_operator_and_nothing_else(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        struct fake *f = open_window(&window_slice_operator, &minute);
        slot_memory(f->slot)->fail_in = n;
        weir_err err = WEIR_OK;
        for (int i = 0; i < 50 && !err; i++) err = send_one(f, "k", i * 20000);
        slot_memory(f->slot)->fail_in = 0;
        fake_close(f);
        if (!err) break;
        assert_int_equal(err, WEIR_E_NOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_are_those_of_a_search),
        cmocka_unit_test(results_survive_restarts_and_little_memory),
        cmocka_unit_test(windows_before_1970_begin_at_their_floor),
        cmocka_unit_test(the_first_and_the_last_window_are_cut_off),
        cmocka_unit_test(a_record_without_time_fails_in_words),
        cmocka_unit_test(a_closed_window_gives_its_memory_back),
        cmocka_unit_test(a_window_that_is_firing_takes_nothing_in),
        cmocka_unit_test(a_bad_window_is_refused),
        cmocka_unit_test(every_window_that_holds_a_record_fires),
        cmocka_unit_test(what_lies_between_two_windows_is_left_out),
        cmocka_unit_test(a_record_late_for_some_windows_counts_in_the_others),
        cmocka_unit_test(keys_that_have_left_emit_nothing),
        cmocka_unit_test(cumulating_windows_grow_and_begin_again),
        cmocka_unit_test(by_the_clock_windows_fire_when_they_end),
        cmocka_unit_test(by_the_clock_results_may_wait),
        cmocka_unit_test(a_survey_sees_the_whole_window_first),
        cmocka_unit_test(rows_are_reduced_to_one),
        cmocka_unit_test(open_windows_survive_a_restore),
        cmocka_unit_test(by_the_clock_windows_survive_a_restore),
        cmocka_unit_test(windows_larger_than_memory_fire_whole),
        cmocka_unit_test(running_out_of_memory_fails_the_operator_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
