/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/state/keyed.h"
#include "runtime/state/memory.h"
#include "runtime/state/rocks.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/operator/windows.h"

/* ---- the oracle: a list of sessions that is searched --------------------------------------------------------------------------------- */

struct open_session {
    uint32_t key;
    wide first, last;
    struct acc acc;
    bool fired;
    uint64_t since; /* records after the last firing */
    bool has_timer;
    weir_time timer;
};

static const struct weir_trigger no_trigger;

static const struct weir_trigger *trigger_of(const struct weir_window *w)
{
    return w->trigger ? w->trigger : &no_trigger;
}

static weir_time due_of(const struct open_session *s, const struct weir_window *w)
{
    return clamp(s->last + w->gap_ms);
}

static weir_time over_at(const struct open_session *s, const struct weir_window *w)
{
    return clamp((wide)due_of(s, w) + w->allowed_lateness_ms);
}

static void show(struct open_session *s, const struct weir_window *w, uint32_t step, struct results *out)
{
    if (s->acc.count == 0) return;
    out->items[out->n++] = (struct result){s->key, step, clamp(s->first), clamp(s->last + w->gap_ms + 1), s->acc};
    s->since = 0;
    if (trigger_of(w)->purge) s->acc = (struct acc){0};
}

static void fire_early(struct open_session *sessions, uint32_t n, const struct weir_window *w, weir_time passed, uint32_t step,
                       struct results *out)
{
    for (struct open_session *s = sessions; s < sessions + n; s++) {
        if (!s->has_timer || s->timer > passed) continue;
        s->has_timer = false;
        if (s->since && due_of(s, w) > s->timer) show(s, w, step, out);
    }
}

static void fire_due(struct open_session *sessions, uint32_t *n, const struct weir_window *w, weir_time passed, uint32_t step,
                     struct results *out)
{
    for (uint32_t k = 0; k < *n;) {
        struct open_session *s = &sessions[k];
        if (!s->fired && due_of(s, w) <= passed) {
            if (!trigger_of(w)->early_only) show(s, w, step, out);
            s->fired = true;
        }
        if (over_at(s, w) <= passed)
            *s = sessions[--*n];
        else
            k++;
    }
}

/* What a record does that has come to a session. */
static void fire_by_record(struct open_session *s, const struct weir_window *w, weir_time passed, weir_time time, struct results *out)
{
    const struct weir_trigger *t = trigger_of(w);
    bool ended = due_of(s, w) <= passed, late = ended && !t->early_only;
    s->fired = ended;
    s->since++;
    if (late ? s->since >= (t->late_count ? t->late_count : 1) : t->early_count && s->since >= t->early_count) {
        show(s, w, BY_RECORD, out);
    } else if (t->early_ms && !s->has_timer && !ended) {
        wide from = time > passed ? time : passed, phase = from % t->early_ms;
        s->has_timer = true;
        s->timer = clamp(from - (phase < 0 ? phase + t->early_ms : phase) + t->early_ms);
    }
}

/* Makes one session of the record and all it touches; as long as that touches more, of those, too. */
static bool add_record(struct open_session *sessions, uint32_t *n, const struct weir_window *w, weir_time passed, const struct event *e,
                       struct results *out)
{
    struct open_session s = {.key = e->key, .first = e->time_ms, .last = e->time_ms};
    wide timer_of = (wide)WEIR_TIME_MAX + 1; /* beginning of the earliest of them, whose timer stays */
    totals_add1(&s.acc, &(struct hit){.value = e->value}, e->time_ms);
    for (uint32_t k = 0; k < *n;) {
        const struct open_session *o = &sessions[k];
        if (o->key != s.key || o->first - s.last > w->gap_ms || s.first - o->last > w->gap_ms) {
            k++;
            continue;
        }
        if (o->first < timer_of) {
            timer_of = o->first;
            s.has_timer = o->has_timer;
            s.timer = o->timer;
        }
        s.since += o->since;
        if (o->first < s.first) s.first = o->first;
        if (o->last > s.last) s.last = o->last;
        totals_merge1(&s.acc, &o->acc);
        sessions[k] = sessions[--*n];
        k = 0;
    }
    if (over_at(&s, w) <= passed) return false; /* then it touched none: open ones are not over */
    fire_by_record(&s, w, passed, e->time_ms, out);
    sessions[(*n)++] = s;
    return true;
}

static void oracle(const struct history *h, const struct weir_window *w, struct results *out)
{
    static struct open_session sessions[EVENTS_MAX];
    uint32_t n = 0;
    weir_time passed = WEIR_TIME_MIN;
    out->n = out->n_late = 0;
    for (uint32_t i = 0; i < h->n; i++) {
        const struct event *e = &h->events[i];
        if (e->is_watermark) {
            passed = e->time_ms;
            fire_early(sessions, n, w, passed, i, out);
            fire_due(sessions, &n, w, passed, i, out);
        } else if (!add_record(sessions, &n, w, passed, e, out)) {
            out->late[out->n_late++] = i;
        }
    }
}

/* Half of them with a trigger, which goes to *t. */
static struct weir_window draw_window(struct rng *r, bool lateness, struct weir_trigger *t)
{
    struct weir_window w = {.kind = WEIR_SESSION, .gap_ms = 1 + below(r, below(r, 2) ? 20 : 3000)};
    *t = (struct weir_trigger){.early_count = below(r, 2) ? 1 + below(r, 5) : 0,
                               .early_ms = below(r, 2) ? 1 + below(r, 400) : 0,
                               .purge = below(r, 2),
                               .late_count = below(r, 3)};
    t->early_only = (t->early_count || t->early_ms) && below(r, 2);
    if (below(r, 2)) w.trigger = t;
    if (lateness) w.allowed_lateness_ms = below(r, 8) ? 1 + below(r, 3000) : INT64_MAX;
    return w;
}

static void results_are_those_of_a_search(void **state)
{
    (void)state;
    static struct history h;
    static struct results expected, got;
    uint64_t late = 0, merged = 0, again = 0;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        current_seed = seed;
        struct rng r = {seed};
        struct weir_trigger trigger;
        struct weir_window w = draw_window(&r, seed % 2, &trigger);
        draw_history(&h, &r, 1 + below(&r, 1000));
        oracle(&h, &w, &expected);
        late += expected.n_late;
        for (uint32_t i = 0; i < expected.n; i++) {
            merged += expected.items[i].acc.count > 2;
            again += expected.items[i].step == BY_RECORD;
        }
        for (uint64_t cuts = 0; cuts < 3; cuts++) {
            const struct play_options o = {
                .op = &window_session_operator, .config = config_of(&w, &totals, cuts), .cuts = seed * 100 + cuts, .any_order = w.trigger};
            play(&h, &o, &got);
            compare(&expected, &got);
        }
    }
    assert_in_range(late, 500, 100000); /* the histories do show the cases */
    assert_in_range(merged, 1000, 1000000);
    assert_in_range(again, 500, 1000000);
}

/* The same when the operator is restored now and then, with little memory, or both. */
static void results_survive_restarts_and_little_memory(void **state)
{
    (void)state;
    static struct history h;
    static struct results expected, got;
    struct rocks_shared *shared;
    assert_int_equal(rocks_shared_new(&shared, 1u << 20, 1, NULL), WEIR_OK);
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct temp_dir dir;
        struct rng r = {seed + 1000};
        current_seed = seed;
        temp_dir_make(&dir);
        struct weir_trigger trigger;
        struct weir_window w = draw_window(&r, seed % 2, &trigger);
        draw_history(&h, &r, 1 + below(&r, 1000));
        oracle(&h, &w, &expected);
        const struct play_options o = {.op = &window_session_operator,
                                       .config = config_of(&w, &totals, seed / 3 + 2 * (seed % 2)),
                                       .cuts = seed,
                                       .any_order = w.trigger,
                                       .budget = seed % 3 ? 0 : 131072,
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

static const struct window_config gap10 = {.window = {.kind = WEIR_SESSION, .gap_ms = 10}, .aggregate = &totals};

static const struct sum *row_of(const struct fake *f, uint32_t i)
{
    return fake_row(f, 0, i);
}

static void a_distance_of_exactly_the_gap_joins(void **state)
{
    (void)state;
    struct fake *f = open_window(&window_session_operator, &gap10);
    assert_ok(f, send_one(f, "joined", 100));
    assert_ok(f, send_one(f, "joined", 110));
    assert_ok(f, send_one(f, "apart", 100));
    assert_ok(f, send_one(f, "apart", 111));
    assert_ok(f, fake_op_watermark(f, 109));
    assert_int_equal(fake_count(f, 0), 0);
    assert_ok(f, fake_op_watermark(f, 110));
    assert_int_equal(fake_count(f, 0), 1);
    assert_int_equal(row_of(f, 0)->start, 100);
    assert_int_equal(row_of(f, 0)->end, 111);
    assert_ok(f, fake_op_watermark(f, 120));
    assert_int_equal(row_of(f, 1)->count, 2);
    assert_int_equal(row_of(f, 1)->end, 121);
    assert_int_equal(fake_record(f, 0, 1)->time_ms, 120);
    assert_ok(f, fake_op_watermark(f, 121));
    assert_int_equal(fake_count(f, 0), 3);
    assert_int_equal(row_of(f, 2)->start, 111);
    fake_close(f);
}

static void a_record_between_two_sessions_makes_them_one(void **state)
{
    (void)state;
    struct fake *f = open_window(&window_session_operator, &gap10);
    for (int t = 200; t > 0; t -= 20) assert_ok(f, send_one(f, "k", t)); /* ten sessions, the newest first */
    for (int t = 10; t < 200; t += 20) assert_ok(f, send_one(f, "k", t));
    assert_ok(f, fake_op_watermark(f, 209));
    assert_int_equal(fake_count(f, 0), 0);
    assert_ok(f, fake_op_watermark(f, 210));
    assert_int_equal(fake_count(f, 0), 1);
    assert_int_equal(row_of(f, 0)->count, 20);
    assert_int_equal(row_of(f, 0)->start, 10);
    fake_close(f);
}

/* A record below the watermark is in time when an open session takes it in, and late when it would stand alone. */
static void late_is_what_no_open_session_takes_in(void **state)
{
    (void)state;
    struct fake *f = open_window(&window_session_operator, &gap10);
    for (int t = 100; t <= 150; t += 10) assert_ok(f, send_one(f, "k", t));
    assert_ok(f, fake_op_watermark(f, 155));
    assert_ok(f, send_one(f, "k", 90));  /* joins 100 ... 150 */
    assert_ok(f, send_one(f, "k", 79));  /* alone: due at 89 */
    assert_ok(f, send_one(f, "l", 145)); /* alone: due at 155 */
    assert_ok(f, send_one(f, "l", 146)); /* alone, but due at 156 */
    assert_int_equal(fake_counter(f, "late"), 2);
    assert_int_equal(fake_count(f, 1), 2);
    assert_ok(f, fake_op_watermark(f, WEIR_TIME_MAX));
    assert_int_equal(fake_count(f, 0), 2);
    assert_int_equal(row_of(f, 1)->count, 7);
    assert_int_equal(row_of(f, 1)->start, 90);
    fake_close(f);
}

/* Sessions that are due are closed, also while their results wait to be taken. */
static void a_session_that_is_due_takes_nothing_in(void **state)
{
    (void)state;
    struct fake *f = open_window(&window_session_operator, &gap10);
    assert_ok(f, send_one(f, "k", 1));
    assert_ok(f, send_one(f, "l", 5));
    f->ctx.watermark_ms = 15;          /* both are due and wait for their watermark */
    assert_ok(f, send_one(f, "l", 4)); /* late */
    assert_ok(f, send_one(f, "l", 6)); /* a session of its own */
    assert_int_equal(fake_counter(f, "late"), 1);
    assert_ok(f, fake_op_watermark(f, 15));
    assert_int_equal(fake_count(f, 0), 2);
    assert_int_equal(row_of(f, 1)->count, 1);
    assert_ok(f, fake_op_watermark(f, 16));
    assert_int_equal(row_of(f, 2)->start, 6);
    fake_close(f);
}

static void the_ends_of_time_hold(void **state)
{
    (void)state;
    struct fake *f = open_window(&window_session_operator, &gap10);
    assert_ok(f, send_one(f, "k", WEIR_TIME_MAX));
    assert_ok(f, send_one(f, "k", WEIR_TIME_MAX - 10));
    assert_ok(f, send_one(f, "k", WEIR_TIME_MIN + 1));
    assert_ok(f, fake_op_watermark(f, WEIR_TIME_MAX - 1));
    assert_int_equal(fake_count(f, 0), 1);
    assert_int_equal(row_of(f, 0)->end, WEIR_TIME_MIN + 12);
    assert_ok(f, fake_op_watermark(f, WEIR_TIME_MAX));
    assert_int_equal(fake_count(f, 0), 2);
    assert_int_equal(row_of(f, 1)->end, WEIR_TIME_MAX);
    assert_int_equal(row_of(f, 1)->count, 2);
    assert_int_equal(send_one(f, "k", WEIR_TIME_MIN), WEIR_E_USER);
    assert_string_equal(f->diag.text, "minute: record without event time: assign timestamps before the window");
    fake_close(f);
}

/* A key costs nothing once its sessions have fired: keys come and go for ever in the memory of those that are there. */
static void memory_is_that_of_the_open_sessions(void **state)
{
    (void)state;
    struct fake *f = open_window(&window_session_operator, &gap10);
    char name[32];
    uint64_t bytes = 0;
    for (int i = 0; i < 20000; i++) {
        snprintf(name, sizeof name, "a client of many, number %d", i % 9000);
        assert_ok(f, send_one(f, name, i));
        assert_ok(f, fake_op_watermark(f, i - 1));
        fake_clear(f, 0);
        if (i == 1000) bytes = slot_memory(f->slot)->bytes;
    }
    assert_int_equal(slot_memory(f->slot)->bytes, bytes);
    fake_close(f);
}

/* Open sessions go on; what was late before is late after it, though no watermark has come yet. */
static void open_sessions_survive_a_restore(void **state)
{
    (void)state;
    struct shelf shelf;
    shelf_open(&shelf);
    struct fake *f = shelf_take(&shelf, &window_session_operator, &gap10, WEIR_OK);
    const weir_time times[] = {10, 100, 105, 200, 220};
    for (int i = 0; i < 5; i++) assert_ok(f, send_one(f, "k", times[i]));
    assert_ok(f, fake_op_watermark(f, 90));
    assert_int_equal(fake_count(f, 0), 1);
    shelf_put(&shelf, f);
    f = shelf_take(&shelf, &window_session_operator, &gap10, WEIR_OK);
    assert_ok(f, send_one(f, "k", 15)); /* its session has fired */
    assert_int_equal(fake_counter(f, "late"), 1);
    assert_ok(f, send_one(f, "k", 210)); /* makes two of the restored ones one */
    assert_ok(f, fake_op_watermark(f, 1000));
    assert_int_equal(fake_count(f, 0), 2);
    assert_int_equal(row_of(f, 0)->count, 2);
    assert_int_equal(row_of(f, 1)->start, 200);
    assert_int_equal(row_of(f, 1)->end, 231);
    assert_int_equal(row_of(f, 1)->count, 3);
    fake_close(f);
    shelf_close(&shelf);
}

/* ---- processing time ----------------------------------------------------------------------------------------------------------------- */

static const struct window_config gap10_by_the_clock = {.window = {.kind = WEIR_SESSION, .gap_ms = 10, .domain = WEIR_PROCESSING_TIME},
                                                        .aggregate = &totals};

static void by_the_clock_sessions_end_without_a_watermark(void **state)
{
    (void)state;
    struct fake *f = open_window(&window_session_operator, &gap10_by_the_clock);
    f->now_ms = 1000;
    assert_ok(f, send_one(f, "k", WEIR_TIME_MIN));
    assert_ok(f, fake_op_watermark(f, 1u << 20)); /* event time is nothing to it */
    f->now_ms = 1010;
    assert_ok(f, send_one(f, "k", 5));
    assert_ok(f, fake_op_clock(f, 1020));
    assert_int_equal(fake_count(f, 0), 0);
    assert_ok(f, fake_op_clock(f, 1021));
    assert_int_equal(fake_count(f, 0), 1);
    expect_sum(f, 0, 1000, 1021, 2);
    assert_ok(f, send_one(f, "k", 5));
    assert_ok(f, fake_op_watermark(f, WEIR_TIME_MAX)); /* the end of the input */
    assert_int_equal(fake_count(f, 0), 2);
    expect_sum(f, 1, 1021, 1032, 1);
    assert_int_equal(fake_counter(f, "late"), 0);
    fake_close(f);
}

static void by_the_clock_early_results_of_sessions_come_too(void **state)
{
    (void)state;
    const struct weir_trigger often = {.early_count = 3, .early_ms = 100, .early_domain = WEIR_PROCESSING_TIME};
    const struct window_config config = {.window = {.kind = WEIR_SESSION, .gap_ms = 150, .domain = WEIR_PROCESSING_TIME, .trigger = &often},
                                         .aggregate = &totals};
    struct fake *f = open_window(&window_session_operator, &config);
    f->now_ms = 1030;
    for (int i = 0; i < 4; i++) assert_ok(f, send_one(f, "k", 7));
    assert_int_equal(fake_count(f, 0), 1);
    assert_ok(f, fake_op_clock(f, 1100));
    assert_int_equal(fake_count(f, 0), 2);
    assert_int_equal(row_of(f, 1)->count, 4);
    assert_ok(f, fake_op_clock(f, 1181));
    assert_int_equal(fake_count(f, 0), 3);
    expect_sum(f, 2, 1030, 1181, 4);
    fake_close(f);
}

/* Rows that are the same whenever they came, in one order. */
static int compare_sums(const void *a, const void *b)
{
    const struct sum *x = a, *y = b;
    COMPARE_BY(x, y, max);
    COMPARE_BY(x, y, start);
    COMPARE_BY(x, y, end);
    return 0;
}

/* Moves the rows there are to the others; the key's number takes the place of the maximum. */
static uint32_t take_sums(struct fake *f, struct sum *to, uint32_t n)
{
    for (uint32_t i = 0; i < fake_count(f, 0); i++) {
        const struct sum *row = row_of(f, i);
        to[n] = *row;
        to[n].key = (struct weir_str){0, 0};
        to[n++].max = weir_str_data(row, row->key)[0];
    }
    fake_clear(f, 0);
    return n;
}

enum { CLOCK_STEPS = 2000 };

/* What comes at time t by the clock has the sessions of what has time t by event time, however late timers are, through restores. */
static void by_the_clock_sessions_are_those_of_event_time(void **state)
{
    (void)state;
    static struct sum expected[CLOCK_STEPS], got[CLOCK_STEPS];
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct rng r = {.state = seed};
        struct shelf shelf;
        shelf_open(&shelf);
        struct fake *by_event = open_window(&window_session_operator, &gap10);
        struct fake *by_clock = shelf_take(&shelf, &window_session_operator, &gap10_by_the_clock, WEIR_OK);
        uint32_t n_expected = 0, n_got = 0;
        weir_time t = 1000;
        for (int i = 0; i < CLOCK_STEPS; i++) {
            const char key[] = {(char)('a' + below(&r, 5)), '\0'};
            t += (weir_time)below(&r, 6);
            assert_ok(by_event, fake_op_watermark(by_event, t - 1));
            assert_ok(by_event, send_one(by_event, key, t));
            if (below(&r, 3)) assert_ok(by_clock, fake_op_clock(by_clock, t));
            by_clock->now_ms = t;
            assert_ok(by_clock, send_one(by_clock, key, (weir_time)below(&r, 100000)));
            n_expected = take_sums(by_event, expected, n_expected);
            n_got = take_sums(by_clock, got, n_got);
            if (below(&r, 300)) continue;
            shelf_put(&shelf, by_clock);
            by_clock = shelf_take(&shelf, &window_session_operator, &gap10_by_the_clock, WEIR_OK);
        }
        assert_ok(by_event, fake_op_watermark(by_event, WEIR_TIME_MAX));
        assert_ok(by_clock, fake_op_watermark(by_clock, WEIR_TIME_MAX));
        n_expected = take_sums(by_event, expected, n_expected);
        n_got = take_sums(by_clock, got, n_got);
        assert_int_equal(n_got, n_expected);
        qsort(expected, n_expected, sizeof *expected, compare_sums);
        qsort(got, n_got, sizeof *got, compare_sums);
        if (memcmp(got, expected, n_got * sizeof *got) != 0) fail_msg("sessions differ: seed %llu", (unsigned long long)seed);
        fake_close(by_event);
        fake_close(by_clock);
        shelf_close(&shelf);
    }
}

/* Entries of the table leave memory and come back elsewhere while their sessions are open. */
static void keys_may_leave_memory(void **state)
{
    (void)state;
    struct temp_dir scratch;
    struct rocks_shared *shared;
    struct slot_stats stats;
    char name[32];
    assert_int_equal(rocks_shared_new(&shared, 1u << 20, 1, NULL), WEIR_OK);
    temp_dir_make(&scratch);
    for (int fire = 0; fire < 2; fire++) {
        struct fake *f = fake_new(&(struct fake_options){.config = &gap10, .n_outs = 2, .operator_id = "minute"});
        fake_state_open_with(f, &(struct state_slot_config){.dir = temp_path(&scratch, "slot"), .budget = 128u << 10, .shared = shared});
        assert_ok(f, fake_op_open(f, &window_session_operator));
        for (int i = 0; i < 15000; i++) {
            snprintf(name, sizeof name, "key %d", i % 5000);
            assert_ok(f, send_one(f, name, i % 3));
        }
        slot_stats(f->slot, &stats);
        assert_true(stats.evictions > 1000);
        if (fire) assert_ok(f, fake_op_watermark(f, 1000));
        assert_int_equal(fake_count(f, 0), fire ? 5000 : 0);
        for (uint32_t i = 0; i < fake_count(f, 0); i++) assert_int_equal(row_of(f, i)->count, 3);
        fake_close(f);
    }
    temp_dir_remove(&scratch);
    rocks_shared_destroy(&shared);
}

static void an_aggregate_that_cannot_merge_is_refused(void **state)
{
    (void)state;
    struct weir_aggregate unmergeable = totals;
    unmergeable.merge = NULL;
    struct window_config config = {.window = {.kind = WEIR_SESSION, .gap_ms = 10}, .aggregate = &unmergeable};
    struct fake *f = fake_new(&(struct fake_options){.config = &config, .n_outs = 2, .operator_id = "visits"});
    fake_state_open(f);
    assert_int_equal(fake_op_open(f, &window_session_operator), WEIR_E_ARGUMENT);
    assert_string_equal(f->diag.text, "visits: sessions need an aggregate with a merge function, 'totals' has none");
    fake_close(f);
    config = (struct window_config){.window = {.kind = WEIR_SESSION, .gap_ms = 0}, .aggregate = &totals};
    f = fake_new(&(struct fake_options){.config = &config, .n_outs = 2});
    fake_state_open(f);
    assert_int_equal(fake_op_open(f, &window_session_operator), WEIR_E_ARGUMENT);
    fake_close(f);
}

static void running_out_of_memory_fails_the_operator_and_nothing_else(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        struct fake *f = open_window(&window_session_operator, &gap10);
        slot_memory(f->slot)->fail_in = n;
        weir_err err = WEIR_OK;
        char name[32];
        for (int i = 0; i < 100 && !err; i++) {
            snprintf(name, sizeof name, "key %d", i);
            err = send_one(f, name, i);
        }
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
        cmocka_unit_test(a_distance_of_exactly_the_gap_joins),
        cmocka_unit_test(a_record_between_two_sessions_makes_them_one),
        cmocka_unit_test(late_is_what_no_open_session_takes_in),
        cmocka_unit_test(a_session_that_is_due_takes_nothing_in),
        cmocka_unit_test(the_ends_of_time_hold),
        cmocka_unit_test(memory_is_that_of_the_open_sessions),
        cmocka_unit_test(open_sessions_survive_a_restore),
        cmocka_unit_test(by_the_clock_sessions_end_without_a_watermark),
        cmocka_unit_test(by_the_clock_early_results_of_sessions_come_too),
        cmocka_unit_test(by_the_clock_sessions_are_those_of_event_time),
        cmocka_unit_test(keys_may_leave_memory),
        cmocka_unit_test(an_aggregate_that_cannot_merge_is_refused),
        cmocka_unit_test(running_out_of_memory_fails_the_operator_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
