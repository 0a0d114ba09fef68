/* SPDX-License-Identifier: Apache-2.0 */
/* Safe points: what a write-out does when compaction lags behind. Everything else about them is the conformance suite's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "runtime/base/gate.h"
#include "runtime/base/hash.h"
#include "runtime/state/keyed.h"
#include "runtime/state/rocks.h"
#include "tests/support/temp_dir.h"

struct fixture {
    struct temp_dir dir;
    struct rocks_shared *shared;
    struct rocks *other; /* a database whose compaction keeps the only thread */
    struct gate begun, go_on;
    struct state_slot *slot;
    struct keyed *keyed;
    struct weir_state *state;
    struct weir_diag diag;
};

#define OK(call)                                                                   \
    do {                                                                           \
        weir_err err_ = (call);                                                    \
        if (err_) fail_msg("%s: %s %s", #call, weir_err_name(err_), f->diag.text); \
    } while (0)

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    temp_dir_make(&f->dir);
    gate_init(&f->begun);
    gate_init(&f->go_on);
    OK(rocks_shared_new(&f->shared, 1u << 20, 1, &f->diag));
    OK(rocks_open(&f->other, f->shared, temp_path(&f->dir, "other"), &f->diag));
    struct state_slot_config config = {.dir = temp_path(&f->dir, "slot"), .budget = 128u << 10, .shared = f->shared};
    OK(state_slot_new(&f->slot, &config, &f->diag));
    OK(keyed_new(&f->keyed, f->slot, "op", 0, WEIR_KEY_GROUPS - 1));
    struct weir_state_desc desc = {.struct_size = sizeof desc, .name = "numbers", .value_size = 8};
    OK(keyed_open(f->keyed, KEYED_VALUE, &desc, &f->state, &f->diag));
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    gate_open(&f->go_on);
    keyed_destroy(&f->keyed);
    state_slot_destroy(&f->slot);
    rocks_destroy(&f->other);
    rocks_shared_destroy(&f->shared);
    gate_close(&f->begun);
    gate_close(&f->go_on);
    temp_dir_remove(&f->dir);
    free(f);
    return 0;
}

/* A compaction reads the clock once, when it begins. */
static int64_t clock_of_a_compaction(void *arg)
{
    struct fixture *f = arg;
    gate_open(&f->begun);
    gate_wait(&f->go_on);
    return 0;
}

/* Files over each other until RocksDB begins to compact them. */
static void occupy_the_compaction_thread(struct fixture *f)
{
    const struct rocks_family_options options = {.ttl_ms = 1, .now_ms = clock_of_a_compaction, .now_arg = f};
    const char *path = temp_path(&f->dir, "file.sst");
    struct rocks_family *family = NULL;
    OK(rocks_family_new(f->other, "ttl", &options, &family, &f->diag));
    for (int i = 0; i < 5; i++) { /* the first goes to the bottom; four of level 0 are RocksDB's own trigger */
        struct rocks_writer *w = NULL;
        OK(rocks_writer_new(&w, f->shared, path, &f->diag));
        OK(rocks_writer_put(w, "key", 3, "\0\0\0\0\0\0\0\0", 8, &f->diag));
        OK(rocks_writer_finish(w, &f->diag));
        rocks_writer_destroy(&w);
        OK(rocks_ingest(family, path, 0, &f->diag));
    }
    gate_wait(&f->begun);
}

static struct weir_key key_of(const uint64_t *number)
{
    return (struct weir_key){.data = number, .length = 8, .hash = hash64(number, 8)};
}

static struct slot_stats stats_of(const struct fixture *f)
{
    struct slot_stats stats;
    slot_stats(f->slot, &stats);
    return stats;
}

/* New keys until the slot has written out so many times. */
static void write_out(struct fixture *f, uint64_t *next, uint64_t times)
{
    while (stats_of(f).write_outs < times) {
        for (int i = 0; i < 100; i++, ++*next) {
            struct weir_key key = key_of(next);
            uint64_t *value = keyed_value(f->state, &key);
            assert_non_null(value);
            *value = *next * 7;
        }
        OK(keyed_safe_point(f->keyed, 1));
    }
}

static void check_values(struct fixture *f, uint64_t n)
{
    for (uint64_t i = 0; i < n; i += 97) {
        struct weir_key key = key_of(&i);
        struct weir_bytes value = keyed_value_read(f->state, &key);
        assert_int_equal(value.length, 8);
        assert_int_equal(*(const uint64_t *)value.data, i * 7);
        OK(keyed_safe_point(f->keyed, 1));
    }
}

/* Files pile up to the limit without a wait; from there on each write-out waits its time and goes on. */
static void a_write_out_waits_for_compaction_but_not_for_ever(void **state)
{
    struct fixture *f = *state;
    struct rocks_stats keeper;
    uint64_t next = 0;
    assert_false(slot_keeper_stats(f->slot, &keeper));
    occupy_the_compaction_thread(f);
    write_out(f, &next, SLOT_LEVEL0_MAX);
    assert_int_equal(stats_of(f).stalls, 0);
    write_out(f, &next, SLOT_LEVEL0_MAX + 2);
    assert_int_equal(stats_of(f).stalls, 2);
    assert_int_equal(stats_of(f).stalled_ms, 2 * SLOT_STALL_MS);
    assert_true(slot_keeper_stats(f->slot, &keeper));
    assert_in_range(keeper.level0_files, SLOT_LEVEL0_MAX + 2, SLOT_LEVEL0_MAX + 3); /* the next one is under way */
    check_values(f, next);
}

/* Once compaction comes forward the input goes on as before. */
static void a_write_out_that_waits_goes_on_with_compaction(void **state)
{
    struct fixture *f = *state;
    struct rocks_stats keeper;
    uint64_t next = 0;
    occupy_the_compaction_thread(f);
    write_out(f, &next, SLOT_LEVEL0_MAX);
    gate_open(&f->go_on);
    write_out(f, &next, 2 * SLOT_LEVEL0_MAX);

    assert_true(slot_keeper_stats(f->slot, &keeper));
    assert_in_range(keeper.level0_files, 0, SLOT_LEVEL0_MAX);
    assert_true(keeper.compaction_write_bytes > 0);
    check_values(f, next);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_write_out_waits_for_compaction_but_not_for_ever, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_write_out_that_waits_goes_on_with_compaction, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
