/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens while a write-out is under way. The writer thread is held where it would write its file: this program is linked with
 * --wrap=family_write_run.
 */
#include <pthread.h>
#include <setjmp.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "runtime/base/gate.h"
#include "runtime/base/hash.h"
#include "runtime/state/internal.h"
#include "tests/support/temp_dir.h"

/* ---- the hold ------------------------------------------------------------------------------------------------------------------------ */

static struct hold {
    struct gate begun, go_on;
    bool fails;
} hold;

weir_err __real_family_write_run(struct family *f, struct run *run, const struct run_range *ranges, uint32_t n_ranges, const char *dir,
                                 const char *stem, uint64_t epoch, struct file_list *out, struct weir_diag *diag);
weir_err __wrap_family_write_run(struct family *f, struct run *run, const struct run_range *ranges, uint32_t n_ranges, const char *dir,
                                 const char *stem, uint64_t epoch, struct file_list *out, struct weir_diag *diag);

/* A snapshot's run has an epoch. */
weir_err __wrap_family_write_run(struct family *f, struct run *run, const struct run_range *ranges, uint32_t n_ranges, const char *dir,
                                 const char *stem, uint64_t epoch, struct file_list *out, struct weir_diag *diag)
{
    if (epoch == 0) {
        gate_open(&hold.begun);
        gate_wait(&hold.go_on);
        if (hold.fails) return weir_fail(diag, WEIR_E_IO, "write %s/%s: broken on purpose", dir, stem);
    }
    return __real_family_write_run(f, run, ranges, n_ranges, dir, stem, epoch, out, diag);
}

static void *let_go(void *arg)
{
    (void)arg;
    gate_open(&hold.go_on);
    return NULL;
}

/* ---- a state and what it should hold ------------------------------------------------------------------------------------------------- */

#define NUMBERS_MAX 150000u
#define SMALL ((uint64_t)128 << 10) /* budgets */
#define ROOMY ((uint64_t)64 << 20)
#define GONE UINT64_MAX

struct fixture {
    struct temp_dir dir;
    struct rocks_shared *shared;
    struct state_slot *slot;
    struct keyed *keyed;
    struct weir_state *state;
    struct keyed_snapshot *snapshot;
    struct keyed_files files;
    struct weir_diag diag, persist_diag;
    weir_err persisted;
    uint64_t n; /* numbers below have been put */
    uint64_t want[NUMBERS_MAX];
};

#define OK(call)                                                                   \
    do {                                                                           \
        weir_err err_ = (call);                                                    \
        if (err_) fail_msg("%s: %s %s", #call, weir_err_name(err_), f->diag.text); \
    } while (0)

static void open_slot(struct fixture *f, const struct keyed_files *from, uint64_t budget)
{
    struct state_slot_config config = {.dir = temp_path(&f->dir, "slot"), .budget = budget, .shared = f->shared, .snapshots = true};
    struct keyed_restore_from part = {.dir = temp_path(&f->dir, "epochs"), .files = from};
    struct weir_state_desc desc = {.struct_size = sizeof desc, .name = "numbers", .value_size = 8};
    OK(state_slot_new(&f->slot, &config, &f->diag));
    OK(keyed_new(&f->keyed, f->slot, "op", 0, WEIR_KEY_GROUPS - 1));
    if (from) OK(keyed_restore(f->keyed, &part, 1, 0, 1, &f->diag));
    OK(keyed_open(f->keyed, KEYED_VALUE, &desc, &f->state, &f->diag));
}

static void close_slot(struct fixture *f)
{
    keyed_snapshot_destroy(&f->snapshot);
    keyed_destroy(&f->keyed);
    state_slot_destroy(&f->slot);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    memset(&hold, 0, sizeof hold);
    gate_init(&hold.begun);
    gate_init(&hold.go_on);
    temp_dir_make(&f->dir);
    assert_int_equal(mkdir(temp_path(&f->dir, "epochs"), 0755), 0);
    OK(rocks_shared_new(&f->shared, 1u << 20, 1, &f->diag));
    open_slot(f, NULL, SMALL);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    gate_open(&hold.go_on);
    close_slot(f);
    keyed_files_close(&f->files);
    rocks_shared_destroy(&f->shared);
    gate_close(&hold.begun);
    gate_close(&hold.go_on);
    temp_dir_remove(&f->dir);
    free(f);
    return 0;
}

static struct weir_key key_of(const uint64_t *number)
{
    return (struct weir_key){.data = number, .length = 8, .hash = hash64(number, 8)};
}

static void put(struct fixture *f, uint64_t number, uint64_t value)
{
    struct weir_key key = key_of(&number);
    uint64_t *at = keyed_value(f->state, &key);
    assert_non_null(at);
    *at = f->want[number] = value;
}

static void clear(struct fixture *f, uint64_t number)
{
    struct weir_key key = key_of(&number);
    keyed_value_clear(f->state, &key);
    f->want[number] = GONE;
}

static weir_err put_more(struct fixture *f, uint64_t n)
{
    weir_err err = WEIR_OK;
    for (uint64_t end = f->n + n; f->n < end && !err; f->n++) {
        assert_true(f->n < NUMBERS_MAX);
        put(f, f->n, f->n * 7);
        if (f->n % 64 == 63 && keyed_safe_point(f->keyed, 1)) err = slot_error(f->slot, &f->diag);
    }
    return err;
}

/* Gives the writer a part of the state while all of it is still in memory. */
static void begin_write_out(struct fixture *f)
{
    OK(put_more(f, 1000));
    assert_null(f->slot->writing);
    write_out_begin(f->slot, f->slot->families->stores, true);
    assert_non_null(f->slot->writing);
    gate_wait(&hold.begun);
}

/* So many new numbers that none of the old ones is left in memory. */
static void drive_out(struct fixture *f)
{
    OK(put_more(f, f->n + 20000));
    assert_true(f->slot->stats.evictions > 0);
}

static void check_all(struct fixture *f, const uint64_t *want, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        struct weir_key key = key_of(&i);
        struct weir_bytes value = keyed_value_read(f->state, &key);
        OK(slot_error(f->slot, &f->diag));
        uint64_t got = GONE;
        if (value.data) memcpy(&got, value.data, 8);
        if (got != want[i]) fail_msg("number %" PRIu64 " is %" PRIu64 " instead of %" PRIu64, i, got, want[i]);
        if (i % 64 == 63) OK(keyed_safe_point(f->keyed, 1));
    }
}

static void *persist(void *arg)
{
    struct fixture *f = arg;
    f->persisted = keyed_persist(f->snapshot, temp_path(&f->dir, "epochs"), &f->files, &f->persist_diag);
    return NULL;
}

static uint64_t count_in_flight(const struct store *s)
{
    uint64_t cursor = 0, n = 0;
    for (struct table_entry *e; (e = table_next(&s->table, &cursor)) != NULL;) n += store_in_flight(s, e);
    return n;
}

/* The write-out goes on while the snapshot is persisted: the state is as it should be, and what the snapshot holds is `frozen`. */
static void check_snapshot(struct fixture *f, const uint64_t *frozen, uint64_t n)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, persist, f), 0);
    gate_open(&hold.go_on);
    drive_out(f);
    (void)slot_copy(f->slot, UINT64_MAX);
    (void)pthread_join(thread, NULL);
    OK(f->persisted);
    check_all(f, f->want, f->n);
    close_slot(f);

    open_slot(f, &f->files, SMALL);
    check_all(f, frozen, n);
}

/* ---- stories ------------------------------------------------------------------------------------------------------------------------- */

/* Changed, removed, and made again: what is under way is older, and must not come back. */
static void what_changes_meanwhile_is_not_lost(void **state)
{
    struct fixture *f = *state;
    begin_write_out(f);
    uint64_t n = f->n;
    for (uint64_t i = 0; i < n; i += 2) put(f, i, i * 11);
    for (uint64_t i = 0; i < n; i += 3) clear(f, i);
    for (uint64_t i = 0; i < n; i += 9) put(f, i, i * 13);
    gate_open(&hold.go_on);
    drive_out(f);
    check_all(f, f->want, f->n);
}

/* Entries of both runs, and the removals that a snapshot has taken: without them a reader would find the older values in the keeper. */
static void what_is_under_way_stays_in_memory(void **state)
{
    struct fixture *f = *state;
    begin_write_out(f);
    struct store *s = f->slot->families->stores;
    uint64_t written = f->slot->writing->run.n;
    assert_int_equal(count_in_flight(s), written);
    for (uint64_t i = 0; i < f->n; i++) clear(f, i);
    OK(keyed_freeze(f->keyed, 1, &f->snapshot, &f->diag));
    assert_false(slot_copy(f->slot, UINT64_MAX));
    assert_true(count_in_flight(s) >= written);
    assert_true(s->dead.n >= written);
    uint64_t n_dead = s->dead.n;
    store_bury(s);
    assert_int_equal(s->dead.n, n_dead);
    gate_open(&hold.go_on);
    (void)persist(f);
    OK(f->persisted);
    store_bury(s);
    assert_int_equal(s->dead.n, 0);
}

/* A removal is written out, too: until that is over, a reader must not find the older value in the keeper. */
static void what_was_removed_before_stays_away_meanwhile(void **state)
{
    struct fixture *f = *state;
    gate_open(&hold.go_on);
    OK(put_more(f, 8000));
    for (uint64_t i = 0; i < 8000; i += 2) {
        clear(f, i);
        if (i % 64 == 0) OK(keyed_safe_point(f->keyed, 1));
    }
    check_all(f, f->want, f->n);
    drive_out(f);
    check_all(f, f->want, f->n);
}

/* The snapshot holds what was there at the freeze, the part that was under way and the part that had changed. */
static void a_snapshot_frozen_meanwhile_is_whole(void **state)
{
    struct fixture *f = *state;
    uint64_t *frozen = malloc(sizeof f->want);
    assert_non_null(frozen);
    begin_write_out(f);
    uint64_t n = f->n;
    for (uint64_t i = 0; i < n; i += 2) put(f, i, i * 11);
    for (uint64_t i = 0; i < n; i += 3) clear(f, i);
    memcpy(frozen, f->want, sizeof f->want);
    OK(keyed_freeze(f->keyed, 1, &f->snapshot, &f->diag));
    for (uint64_t i = 0; i < n; i += 5) put(f, i, i * 17);
    check_snapshot(f, frozen, n);
    free(frozen);
}

/* As many as it takes itself, about, have another turn for having been used; else it would go over all of a large state in vain. */
static void what_was_used_has_another_turn_but_not_all_of_it(void **state)
{
    struct fixture *f = *state;
    close_slot(f);
    open_slot(f, NULL, ROOMY);
    OK(put_more(f, 120000));
    struct store *s = f->slot->families->stores;
    write_out_begin(f->slot, s, false);
    assert_non_null(f->slot->writing);
    uint64_t cursor = 0, had_turn = 0, taken = f->slot->writing->run.n;
    for (struct table_entry *e; (e = table_next(&s->table, &cursor)) != NULL;) had_turn += !(e->stamp & STAMP_REF);
    assert_in_range(taken, 1, f->n - 1);
    assert_in_range(had_turn, 1, f->n - taken);
    gate_open(&hold.go_on);
    assert_true(write_out_end(f->slot, true));
    write_out_begin(f->slot, s, false);
    assert_true(f->slot->writing->run.n >= had_turn);
    assert_true(write_out_end(f->slot, true));
    check_all(f, f->want, f->n);
}

/* A write-out copies for a freeze only what it takes, and what the freeze holds is of the barrier all the same. */
static void a_freeze_under_way_is_not_copied_as_a_whole(void **state)
{
    struct fixture *f = *state;
    uint64_t *frozen = malloc(sizeof f->want);
    assert_non_null(frozen);
    close_slot(f);
    open_slot(f, NULL, ROOMY / 8);
    OK(put_more(f, 60000));
    uint64_t n = f->n;
    memcpy(frozen, f->want, sizeof f->want);
    OK(keyed_freeze(f->keyed, 1, &f->snapshot, &f->diag));
    for (uint64_t i = 0; i < n; i += 4) clear(f, i);
    write_out_begin(f->slot, f->slot->families->stores, false);
    assert_non_null(f->slot->writing);
    assert_true(slot_copy(f->slot, 1)); /* there is more */
    for (uint64_t i = 0; i < n; i += 3) put(f, i, i * 19);
    check_snapshot(f, frozen, n);
    free(frozen);
}

/* The task hears of it at once, in the writer's words, and nothing succeeds any more. */
static void a_failure_fails_the_slot(void **state)
{
    struct fixture *f = *state;
    struct weir_diag diag;
    begin_write_out(f);
    OK(slot_error(f->slot, &f->diag));
    hold.fails = true;
    gate_open(&hold.go_on);
    gate_wait(&f->slot->writing->written);
    assert_int_equal(slot_error(f->slot, &diag), WEIR_E_IO);
    assert_non_null(strstr(diag.text, "broken on purpose"));
    assert_int_not_equal(keyed_safe_point(f->keyed, 2), WEIR_OK);
    assert_int_equal(keyed_freeze(f->keyed, 1, &f->snapshot, &diag), WEIR_E_IO);
}

/* A snapshot cannot be whole without the files of the write-out. */
static void a_failure_fails_the_snapshot_frozen_before(void **state)
{
    struct fixture *f = *state;
    begin_write_out(f);
    OK(keyed_freeze(f->keyed, 1, &f->snapshot, &f->diag));
    hold.fails = true;
    gate_open(&hold.go_on);
    (void)slot_copy(f->slot, UINT64_MAX);
    (void)persist(f);
    assert_int_equal(f->persisted, WEIR_E_IO);
    assert_non_null(strstr(f->persist_diag.text, "broken on purpose"));
    assert_int_equal(f->files.n, 0);
}

static void closing_waits_for_the_writer(void **state)
{
    struct fixture *f = *state;
    pthread_t thread;
    begin_write_out(f);
    assert_int_equal(pthread_create(&thread, NULL, let_go, NULL), 0);
    close_slot(f);
    (void)pthread_join(thread, NULL);
}

/* As a job that is cancelled does: the snapshot is given up, too. */
static void closing_with_a_snapshot_waits_for_the_writer(void **state)
{
    struct fixture *f = *state;
    pthread_t thread;
    begin_write_out(f);
    OK(keyed_freeze(f->keyed, 1, &f->snapshot, &f->diag));
    assert_int_equal(pthread_create(&thread, NULL, let_go, NULL), 0);
    close_slot(f);
    (void)pthread_join(thread, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_changes_meanwhile_is_not_lost, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_under_way_stays_in_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_removed_before_stays_away_meanwhile, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_snapshot_frozen_meanwhile_is_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_used_has_another_turn_but_not_all_of_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_freeze_under_way_is_not_copied_as_a_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_failure_fails_the_slot, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_failure_fails_the_snapshot_frozen_before, set_up, tear_down),
        cmocka_unit_test_setup_teardown(closing_waits_for_the_writer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(closing_with_a_snapshot_waits_for_the_writer, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
