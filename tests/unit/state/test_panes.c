/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/state/panes.h"
#include "tests/unit/state/home.h"

struct acc {
    uint64_t key;
    uint64_t pane;
    uint64_t edits;
};

static struct weir_panes *open_panes(struct home *h, const char *dir, uint64_t budget)
{
    struct weir_panes *panes;
    home_open(h, dir, budget, sizeof(struct acc));
    assert_int_equal(panes_new(&panes, h->family, sizeof(struct acc)), WEIR_OK);
    return panes;
}

static void close_panes(struct home *h, struct weir_panes **panes)
{
    panes_destroy(panes);
    home_close(h);
}

static struct weir_table *table_of(struct weir_panes *panes, int64_t pane)
{
    struct weir_table *table;
    assert_int_equal(keyed_panes_table(panes, pane, &table), WEIR_OK);
    return table;
}

/* Keys of 8 bytes, every eighth of 100, which do not lie in entries. */
static struct weir_key number_key(uint64_t i, unsigned char bytes[100])
{
    uint32_t length = i % 8 ? 8 : 100;
    memset(bytes, (int)(i % 251), length);
    memcpy(bytes, &i, 8);
    return (struct weir_key){.data = bytes, .length = length, .hash = hash64(bytes, length)};
}

static struct acc *edit(struct weir_table *table, uint64_t i)
{
    unsigned char bytes[100];
    void *value;
    struct weir_key key = number_key(i, bytes);
    assert_int_equal(keyed_table_probe(table, &key, NULL, 1, &value), WEIR_OK);
    return value;
}

static void fill(struct home *h, struct weir_table *table, uint64_t pane, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        struct acc *acc = edit(table, i);
        CHECK((uintptr_t)acc % 8 == 0);
        *acc = (struct acc){i, pane, acc->edits + 1};
        if (i % 64 == 0) slot_safe_point(h->slot, 0);
    }
    home_ok(h);
}

/* Scans, once each below n but those with i % left_out == 0 (0: none is left out), with safe points in between; removes all on the way if
 * asked. */
static void expect_scan(struct home *h, struct weir_table *table, uint64_t pane, uint64_t n, uint64_t left_out, bool remove)
{
    unsigned char *seen = calloc(n + 1, 1), bytes[100];
    uint64_t cursor = 0, count = 0, expected = 0;
    struct weir_key key;
    void *value;
    assert_non_null(seen);
    while (keyed_table_next(table, &cursor, &key, &value)) {
        const struct acc *acc = value;
        CHECK((uintptr_t)acc % 8 == 0);
        struct weir_key is = number_key(acc->key, bytes);
        CHECK(acc->key < n && acc->pane == pane && acc->edits == 1);
        CHECK(!seen[acc->key]);
        CHECK(is.length == key.length && is.hash == key.hash && !memcmp(is.data, key.data, key.length));
        seen[acc->key] = 1;
        count++;
        if (remove) keyed_table_remove(table, &is);
        if (count % 16 == 0) slot_safe_point(h->slot, 0);
    }
    home_ok(h);
    CHECK(!keyed_table_next(table, &cursor, &key, &value)); /* the end stays the end */
    for (uint64_t i = 0; i < n; i++) {
        bool there = !left_out || i % left_out;
        CHECK(seen[i] == there);
        expected += there;
    }
    CHECK(count == expected);
    free(seen);
}

/* ---- numbers ----------------------------------------------------------------------------------------------------------------------- */

static void panes_are_given_in_order(void **state)
{
    (void)state;
    struct home h;
    struct weir_panes *panes = open_panes(&h, NULL, 0);
    const int64_t numbers[] = {7, -3, INT64_MAX, 0, INT64_MIN + 1, 256, -60000, 5, 1, 2, 3},
                  sorted[] = {INT64_MIN + 1, -60000, -3, 0, 1, 2, 3, 5, 7, 256, INT64_MAX};
    struct weir_table *tables[11], *table;
    int64_t pane = INT64_MIN;
    assert_false(keyed_panes_next(panes, INT64_MIN, &pane));
    assert_int_equal(keyed_panes_table(panes, INT64_MIN, &table), WEIR_E_ARGUMENT);
    for (int i = 0; i < 11; i++) tables[i] = table_of(panes, numbers[i]);
    for (int i = 0; i < 11; i++) assert_ptr_equal(table_of(panes, numbers[i]), tables[i]); /* the same one when asked again */
    for (int i = 0; i < 11; i++) {
        assert_true(keyed_panes_next(panes, pane, &pane));
        assert_int_equal(pane, sorted[i]);
    }
    assert_false(keyed_panes_next(panes, pane, &pane));
    keyed_table_drop(&tables[0]);
    assert_null(tables[0]);
    keyed_table_drop(&tables[0]); /* nothing is dropped, and that is no error */
    assert_true(keyed_panes_next(panes, 5, &pane));
    assert_int_equal(pane, 256);
    close_panes(&h, &panes);
}

/* ---- entries ----------------------------------------------------------------------------------------------------------------------- */

static void tables_do_not_see_each_other(void **state)
{
    (void)state;
    struct home h;
    struct weir_panes *panes = open_panes(&h, NULL, 0);
    struct weir_table *a = table_of(panes, 1), *b = table_of(panes, 2);
    unsigned char bytes[100];
    struct weir_key key = number_key(3, bytes);
    fill(&h, a, 1, 100);
    fill(&h, b, 2, 50);
    assert_int_equal(((struct acc *)keyed_table_find(a, &key))->pane, 1);
    assert_int_equal(((struct acc *)keyed_table_find(b, &key))->pane, 2);
    keyed_table_remove(a, &key);
    assert_null(keyed_table_find(a, &key));
    assert_non_null(keyed_table_find(b, &key));
    *edit(a, 3) = (struct acc){3, 1, 1};
    expect_scan(&h, a, 1, 100, 0, false);
    expect_scan(&h, b, 2, 50, 0, true);
    expect_scan(&h, b, 2, 0, 0, false);
    close_panes(&h, &panes);
}

static void a_dropped_pane_leaves_no_memory(void **state)
{
    (void)state;
    struct home h;
    struct weir_panes *panes = open_panes(&h, NULL, 0);
    uint64_t empty = home_memory(&h)->bytes;
    for (int64_t i = 0; i < 20; i++) {
        struct weir_table *table = table_of(panes, i);
        fill(&h, table, (uint64_t)i, 1000);
        keyed_table_drop(&table);
        assert_int_equal(home_memory(&h)->bytes, empty);
    }
    close_panes(&h, &panes);
    current_seed = 0;
}

/* ---- more than memory holds ---------------------------------------------------------------------------------------------------------- */

#define PANES 9u
#define MANY 2500u

static void a_scan_gives_each_entry_once_wherever_it_lies(void **state)
{
    (void)state;
    struct temp_dir scratch;
    struct home h;
    struct slot_stats stats;
    temp_dir_make(&scratch);
    struct weir_panes *panes = open_panes(&h, temp_path(&scratch, "slot"), 1u << 20);
    unsigned char bytes[100];
    for (uint64_t p = 0; p < PANES; p++) fill(&h, table_of(panes, (int64_t)p), p, MANY);
    slot_stats(h.slot, &stats);
    assert_true(stats.evictions > MANY);
    for (uint64_t i = 0; i < MANY; i += 7) { /* some of what was evicted goes */
        struct weir_key key = number_key(i, bytes);
        keyed_table_remove(table_of(panes, 0), &key);
    }
    expect_scan(&h, table_of(panes, 0), 0, MANY, 7, false);
    for (uint64_t p = 1; p < PANES; p++) {
        struct weir_table *table = table_of(panes, (int64_t)p);
        uint64_t cursor = 0;
        struct weir_key key;
        void *value;
        for (int i = 0; i < 100; i++) assert_true(keyed_table_next(table, &cursor, &key, &value)); /* given up half-way */
        expect_scan(&h, table, p, MANY, 0, p % 2);
        if (p % 2) expect_scan(&h, table, p, 0, 0, false);
        slot_safe_point(h.slot, 0);
    }
    close_panes(&h, &panes);
    temp_dir_remove(&scratch);
}

/* What was removed before a scan stays away from it, although snapshots make the keeper forget it meanwhile. */
static void snapshots_in_the_midst_of_a_scan_do_not_show(void **state)
{
    (void)state;
    struct temp_dir scratch;
    struct saved saved;
    struct home h;
    temp_dir_make(&scratch);
    saved_init(&saved);
    struct weir_panes *panes = open_panes(&h, temp_path(&scratch, "slot"), 512u << 10);
    for (uint64_t p = 0; p < 4; p++) fill(&h, table_of(panes, (int64_t)p), p, MANY);
    struct weir_table *table = table_of(panes, 0);
    unsigned char bytes[100];
    uint64_t cursor = 0, n = 0;
    struct weir_key key;
    void *value;
    for (uint64_t i = 0; i < MANY; i += 7) {
        key = number_key(i, bytes);
        keyed_table_remove(table, &key);
    }
    while (keyed_table_next(table, &cursor, &key, &value)) {
        const struct acc *acc = value;
        CHECK(acc->key % 7 != 0 && acc->pane == 0);
        n++;
        if (n % 200 == 0) home_save(&h, &saved);
        if (n % 20 == 0) slot_safe_point(h.slot, 0);
    }
    home_ok(&h);
    CHECK(n == MANY - (MANY + 6) / 7);
    expect_scan(&h, table, 0, MANY, 7, false);
    close_panes(&h, &panes);
    saved_close(&saved);
    temp_dir_remove(&scratch);
}

static void a_dropped_pane_is_forgotten_by_the_keeper(void **state)
{
    (void)state;
    struct temp_dir scratch;
    struct home h;
    int64_t pane = INT64_MIN;
    temp_dir_make(&scratch);
    struct weir_panes *panes = open_panes(&h, temp_path(&scratch, "slot"), 768u << 10);
    for (uint64_t p = 0; p < PANES; p++) fill(&h, table_of(panes, (int64_t)p), p, MANY);
    for (int64_t p = 0; p < PANES; p += 2) {
        struct weir_table *table = table_of(panes, p);
        uint64_t cursor = 0;
        struct weir_key key;
        void *value;
        assert_true(keyed_table_next(table, &cursor, &key, &value)); /* in the midst of a scan, too */
        keyed_table_drop(&table);
    }
    for (int64_t p = 1; p < PANES; p += 2) {
        assert_true(keyed_panes_next(panes, pane, &pane));
        assert_int_equal(pane, p);
        expect_scan(&h, table_of(panes, p), (uint64_t)p, MANY, 0, false);
    }
    assert_false(keyed_panes_next(panes, pane, &pane));
    expect_scan(&h, table_of(panes, 2), 2, 0, 0, false); /* a new one of that number is empty */
    fill(&h, table_of(panes, 2), 2, 10);
    expect_scan(&h, table_of(panes, 2), 2, 10, 0, false);
    close_panes(&h, &panes);
    temp_dir_remove(&scratch);
}

/* ---- restored ---------------------------------------------------------------------------------------------------------------------- */

static void restored_panes_are_found(void **state)
{
    (void)state;
    struct temp_dir scratch;
    struct saved saved;
    struct home h;
    temp_dir_make(&scratch);
    saved_init(&saved);
    struct weir_panes *panes = open_panes(&h, temp_path(&scratch, "a"), 0);
    const int64_t numbers[] = {-300, -1, 0, 60000};
    for (int i = 0; i < 4; i++) fill(&h, table_of(panes, numbers[i]), (uint64_t)numbers[i], 500);
    home_save(&h, &saved);
    struct weir_table *table = table_of(panes, -1);
    keyed_table_drop(&table);
    home_save(&h, &saved);
    close_panes(&h, &panes);

    for (int tiny = 0; tiny < 2; tiny++) {
        home_open(&h, temp_path(&scratch, tiny ? "b" : "c"), tiny ? 64u << 10 : 0, sizeof(struct acc));
        home_restore(&h, (const struct saved *const[]){&saved}, 1);
        assert_int_equal(panes_new(&panes, h.family, sizeof(struct acc)), WEIR_OK);
        fill(&h, table_of(panes, 7), 7, 500); /* a new one, among those not touched yet */
        const int64_t expected[] = {-300, 0, 7, 60000};
        int64_t pane = INT64_MIN;
        for (int i = 0; i < 4; i++) {
            assert_true(keyed_panes_next(panes, pane, &pane));
            assert_int_equal(pane, expected[i]);
        }
        assert_false(keyed_panes_next(panes, pane, &pane));
        for (int i = 0; i < 4; i++) expect_scan(&h, table_of(panes, expected[i]), (uint64_t)expected[i], 500, 0, false);
        table = table_of(panes, 0);
        keyed_table_drop(&table);
        home_save(&h, &saved);
        close_panes(&h, &panes);
        home_open(&h, temp_path(&scratch, "d"), 0, sizeof(struct acc));
        home_restore(&h, (const struct saved *const[]){&saved}, 1);
        assert_int_equal(panes_new(&panes, h.family, sizeof(struct acc)), WEIR_OK);
        assert_true(keyed_panes_next(panes, -300, &pane));
        assert_int_equal(pane, 7); /* the dropped one stays away */
        expect_scan(&h, table_of(panes, 0), 0, 0, 0, false);
        fill(&h, table_of(panes, 0), 0, 500); /* for the second round */
        home_save(&h, &saved);
        close_panes(&h, &panes);
        if (!tiny) { /* and 7 goes: the second round finds what the first one found */
            home_open(&h, temp_path(&scratch, "e"), 0, sizeof(struct acc));
            home_restore(&h, (const struct saved *const[]){&saved}, 1);
            assert_int_equal(panes_new(&panes, h.family, sizeof(struct acc)), WEIR_OK);
            table = table_of(panes, 7);
            keyed_table_drop(&table);
            home_save(&h, &saved);
            close_panes(&h, &panes);
        }
    }
    saved_close(&saved);
    temp_dir_remove(&scratch);
}

/* ---- memory ------------------------------------------------------------------------------------------------------------------------ */

static void running_out_of_memory_is_reported(void **state)
{
    (void)state;
    bool failed = true;
    for (uint64_t n = 1; failed; n++) {
        struct home h;
        struct weir_panes *panes = NULL;
        home_open(&h, NULL, 0, sizeof(struct acc));
        home_memory(&h)->fail_in = n;
        weir_err err = panes_new(&panes, h.family, sizeof(struct acc));
        for (int64_t p = 0; p < 20 && !err; p++) {
            struct weir_table *table;
            unsigned char bytes[100];
            void *value;
            struct weir_key key = number_key((uint64_t)p, bytes);
            err = keyed_panes_table(panes, p, &table);
            if (!err) err = keyed_table_probe(table, &key, NULL, 1, &value);
        }
        failed = err != WEIR_OK;
        if (failed) assert_int_equal(err, WEIR_E_NOMEM);
        assert_int_equal(slot_error(h.slot, NULL), err);
        panes_destroy(&panes);
        assert_int_equal(home_memory(&h)->bytes, 0);
        home_close(&h);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(panes_are_given_in_order),
        cmocka_unit_test(tables_do_not_see_each_other),
        cmocka_unit_test(a_dropped_pane_leaves_no_memory),
        cmocka_unit_test(a_scan_gives_each_entry_once_wherever_it_lies),
        cmocka_unit_test(snapshots_in_the_midst_of_a_scan_do_not_show),
        cmocka_unit_test(a_dropped_pane_is_forgotten_by_the_keeper),
        cmocka_unit_test(restored_panes_are_found),
        cmocka_unit_test(running_out_of_memory_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, home_end);
}
