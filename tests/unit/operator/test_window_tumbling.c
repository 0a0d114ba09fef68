/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/state/keyed.h"
#include "runtime/state/memory.h"
#include "runtime/state/rocks.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/operator/windows.h"

/* ---- the oracle: a list of windows that is searched ---------------------------------------------------------------------------------- */

struct open_window {
    uint32_t key;
    wide start;
    struct acc acc;
    bool fired;
};

static wide floor_to(wide t, int64_t size, int64_t offset)
{
    wide phase = (t - offset) % size;
    return t - offset - (phase < 0 ? phase + size : phase) + offset;
}

static void oracle(const struct history *h, const struct weir_window *w, struct results *out)
{
    static struct open_window windows[EVENTS_MAX];
    uint32_t n = 0;
    weir_time passed = WEIR_TIME_MIN;
    *out = (struct results){0};
    for (uint32_t i = 0; i < h->n; i++) {
        const struct event *e = &h->events[i];
        if (e->is_watermark) {
            passed = e->time_ms;
            for (uint32_t k = 0; k < n; k++) {
                wide end = windows[k].start + w->size_ms;
                if (windows[k].fired || clamp(end - 1) > passed) continue;
                windows[k].fired = true;
                out->items[out->n++] = (struct result){windows[k].key, i, clamp(windows[k].start), clamp(end), windows[k].acc};
            }
            continue;
        }
        wide start = floor_to(e->time_ms, w->size_ms, w->offset_ms);
        if (clamp(start + w->size_ms - 1) <= passed) {
            out->late[out->n_late++] = i;
            continue;
        }
        uint32_t k = 0;
        while (k < n && !(windows[k].key == e->key && windows[k].start == start)) k++;
        if (k == n) windows[n++] = (struct open_window){.key = e->key, .start = start};
        totals_add1(&windows[k].acc, &(struct hit){.value = e->value}, e->time_ms);
    }
}

/* Any cut into batches, any place to yield: always what the oracle says, fired by the same watermarks. */
static void results_are_those_of_a_search(void **state)
{
    (void)state;
    static struct history h;
    static struct results expected, got;
    uint64_t late = 0;
    for (uint64_t seed = 1; seed <= 150; seed++) {
        current_seed = seed;
        struct rng r = {seed};
        int64_t size = 1 + below(&r, below(&r, 2) ? 10 : 1000);
        struct weir_window w = {.kind = WEIR_TUMBLING, .size_ms = size, .offset_ms = below(&r, (uint32_t)size)};
        draw_history(&h, &r, 1 + below(&r, 1000));
        oracle(&h, &w, &expected);
        late += expected.n_late;
        for (uint64_t cuts = 0; cuts < 3; cuts++) {
            play(&h, &window_tumbling_operator, &w, seed * 100 + cuts, &got);
            compare(&expected, &got);
        }
    }
    assert_in_range(late, 1000, 100000); /* the histories do show the case */
}

/* ---- single properties ------------------------------------------------------------------------------------------------------------- */

static const struct window_config minute = {{.kind = WEIR_TUMBLING, .size_ms = 60000}, &totals};

static void windows_before_1970_begin_at_their_floor(void **state)
{
    (void)state;
    struct fake *f = open_window(&window_tumbling_operator, &minute);
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
    struct fake *f = open_window(&window_tumbling_operator, &minute);
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
        struct fake *f = open_window(&window_tumbling_operator, &minute);
        if (first) assert_ok(f, send_one(f, "k", WEIR_TIME_MIN + 1));
        assert_int_equal(send_one(f, "k", WEIR_TIME_MIN), WEIR_E_USER);
        assert_string_equal(f->diag.text, "minute: record without event time: assign timestamps before the window");
        fake_close(f);
    }
}

static void a_closed_window_gives_its_memory_back(void **state)
{
    (void)state;
    struct fake *f = open_window(&window_tumbling_operator, &minute);
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
        struct fake *f = open_window(&window_tumbling_operator, &minute);
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
        struct window_config config = {bad[i], &totals};
        struct fake *f = fake_new(&(struct fake_options){.config = &config, .n_outs = 2});
        fake_state_open(f);
        assert_int_equal(fake_op_open(f, &window_tumbling_operator), WEIR_E_ARGUMENT);
        fake_close(f);
    }
}

/* ---- restored ---------------------------------------------------------------------------------------------------------------------- */

static struct fake *open_on_disk(const struct window_config *config, const char *dir, struct rocks_shared *shared,
                                 const struct keyed_restore_from *from, weir_err expected)
{
    struct fake *f = fake_new(&(struct fake_options){.config = config, .n_outs = 2, .operator_id = "minute"});
    fake_state_open_with(f, &(struct state_slot_config){.dir = dir, .shared = shared, .snapshots = true});
    if (from) assert_ok(f, keyed_restore(f->keyed, from, 1, 0, 1, &f->diag));
    assert_int_equal(fake_op_open(f, &window_tumbling_operator), expected);
    return f;
}

static void snapshot(struct fake *f, const char *dir, struct keyed_files *files)
{
    struct keyed_snapshot *snap;
    assert_ok(f, keyed_freeze(f->keyed, 1, &snap, &f->diag));
    assert_ok(f, keyed_persist(snap, dir, files, &f->diag));
    keyed_snapshot_destroy(&snap);
}

static void expect_sum(const struct fake *f, uint32_t i, weir_time start, weir_time end, int64_t count)
{
    const struct sum *row = fake_row(f, 0, i);
    assert_int_equal(row->start, start);
    assert_int_equal(row->end, end);
    assert_int_equal(row->count, count);
}

/* The first and the last window of all time among them, whose numbers are not their starts. */
static void open_windows_survive_a_restore(void **state)
{
    (void)state;
    struct temp_dir dir, scratch;
    struct rocks_shared *shared;
    struct keyed_files files = {0};
    assert_int_equal(rocks_shared_new(&shared, 1u << 20, 1, NULL), WEIR_OK);
    temp_dir_make(&dir);
    temp_dir_make(&scratch);
    struct fake *f = open_on_disk(&minute, temp_path(&scratch, "a"), shared, NULL, WEIR_OK);
    const weir_time times[] = {WEIR_TIME_MIN + 1, -1, 0, 59999, 60000, 120000, WEIR_TIME_MAX};
    for (int i = 0; i < 7; i++) assert_ok(f, send_one(f, "k", times[i]));
    assert_ok(f, fake_op_watermark(f, -1)); /* two have fired before the snapshot */
    assert_int_equal(fake_count(f, 0), 2);
    snapshot(f, dir.path, &files);
    fake_close(f);

    const struct keyed_restore_from from = {dir.path, &files};
    f = open_on_disk(&minute, temp_path(&scratch, "b"), shared, &from, WEIR_OK);
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
    f = open_on_disk(&other, temp_path(&scratch, "c"), shared, &from, WEIR_E_STATE);
    assert_string_equal(f->diag.text, "minute: the restored windows have another size or offset than 45000 and 0 ms");
    fake_close(f);
    keyed_files_close(&files);
    temp_dir_remove(&scratch);
    temp_dir_remove(&dir);
    rocks_shared_destroy(&shared);
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
    assert_ok(f, fake_op_open(f, &window_tumbling_operator));
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
        struct fake *f = open_window(&window_tumbling_operator, &minute);
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
        cmocka_unit_test(windows_before_1970_begin_at_their_floor),
        cmocka_unit_test(the_first_and_the_last_window_are_cut_off),
        cmocka_unit_test(a_record_without_time_fails_in_words),
        cmocka_unit_test(a_closed_window_gives_its_memory_back),
        cmocka_unit_test(a_window_that_is_firing_takes_nothing_in),
        cmocka_unit_test(a_bad_window_is_refused),
        cmocka_unit_test(open_windows_survive_a_restore),
        cmocka_unit_test(windows_larger_than_memory_fire_whole),
        cmocka_unit_test(running_out_of_memory_fails_the_operator_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
