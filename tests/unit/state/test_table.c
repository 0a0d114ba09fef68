/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/state/table.h"
#include "tests/unit/state/oracle.h"

/* ---- against an array that holds the same ------------------------------------------------------------------------------------------ */

struct model {
    struct universe u;
    struct rng r;
    struct memory memory;
    struct table table;
    bool there[KEYS];
    uint64_t *value[KEYS]; /* where the table said it is: it must not move */
    uint64_t number[KEYS];
    struct table_entry *guesses[KEYS];
    uint64_t count;
};

/* A value is its key's index and a number that grows with each visit. */
static void visit(struct model *m, uint32_t i, uint64_t *value)
{
    if (m->there[i]) {
        CHECK(value == m->value[i]);
        CHECK(value[0] == i);
        CHECK(value[2] == m->number[i]);
    } else {
        CHECK(value[0] == 0 && value[1] == 0 && value[2] == 0);
        m->there[i] = true;
        m->value[i] = value;
        m->number[i] = 0;
        m->count++;
    }
    value[0] = i;
    value[1] = ~(uint64_t)0;
    value[2] = ++m->number[i];
}

static void forget(struct model *m, uint32_t i)
{
    m->there[i] = false;
    m->count--;
}

static void put_one(struct model *m)
{
    uint32_t i = below(&m->r, KEYS);
    struct table_entry *e = table_put(&m->table, &m->u.keys[i]);
    CHECK(e != NULL);
    visit(m, i, table_value(e));
}

static void remove_one(struct model *m)
{
    uint32_t i = below(&m->r, KEYS);
    struct table_entry *e = table_find(&m->table, &m->u.keys[i]);
    CHECK((e != NULL) == m->there[i]);
    if (!e) return;
    table_remove(&m->table, e);
    forget(m, i);
}

static void find_all(struct model *m)
{
    for (uint32_t i = 0; i < KEYS; i++) {
        struct table_entry *e = table_find(&m->table, &m->u.keys[i]);
        CHECK((e != NULL) == m->there[i]);
        if (!e) continue;
        struct weir_key key = table_key(e);
        CHECK(table_value(e) == m->value[i]);
        CHECK(key.length == m->u.keys[i].length);
        CHECK(key.length == 0 || memcmp(key.data, m->u.keys[i].data, key.length) == 0);
    }
}

/* A batch of keys, some more than once, with or without a selection. */
static void probe_batch(struct model *m)
{
    static struct weir_key keys[300];
    static uint32_t which[300], idx[300];
    static struct table_entry *entries[300];
    uint32_t n = 1 + below(&m->r, 300);
    bool selected = below(&m->r, 2);
    uint32_t range = below(&m->r, 2) ? 10 : KEYS;
    for (uint32_t i = 0; i < 300; i++) {
        which[i] = below(&m->r, range);
        keys[i] = m->u.keys[which[i]];
        idx[i] = below(&m->r, 300);
    }
    table_find_all(&m->table, keys, selected ? idx : NULL, n, entries);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t k = selected ? idx[i] : i;
        CHECK((entries[i] != NULL) == m->there[which[k]] || i > 0);
        struct table_entry *e = table_put(&m->table, &keys[k]);
        CHECK(e && (!entries[i] || entries[i] == e));
        visit(m, which[k], table_value(e));
    }
}

/* Every entry is given once, also when some are removed as they are given. */
static void scan(struct model *m)
{
    bool seen[KEYS] = {false};
    bool before[KEYS];
    memcpy(before, m->there, sizeof before);
    uint32_t removing = below(&m->r, 4);
    uint64_t cursor = 0;
    for (struct table_entry *e; (e = table_next(&m->table, &cursor)) != NULL;) {
        uint64_t *value = table_value(e);
        CHECK(value[0] < KEYS);
        uint32_t i = (uint32_t)value[0];
        CHECK(m->there[i] && !seen[i] && value == m->value[i]);
        seen[i] = true;
        if (below(&m->r, 4) >= removing) continue;
        table_remove(&m->table, e);
        forget(m, i);
    }
    CHECK(table_next(&m->table, &cursor) == NULL); /* and stays at its end */
    CHECK(memcmp(seen, before, sizeof seen) == 0);
}

static void guess(struct model *m)
{
    struct table_entry **guesses = m->guesses;
    (void)table_prefetch(&m->table, m->u.keys, KEYS, guesses);
    for (uint32_t i = 0; i < KEYS; i++) {
        /* Guesses are of any age, of other keys, of entries that are gone. */
        uint32_t which = below(&m->r, KEYS);
        struct table_entry *g = m->there[which] ? guesses[which] : guesses[i];
        struct table_entry *e = table_guessed(g, &m->u.keys[i]);
        CHECK(!e || m->there[i]);
        CHECK(!e || table_value(e) == m->value[i]);
    }
}

static void random_operations(enum hashing hashing, uint64_t seed, uint32_t steps)
{
    current_seed = seed;
    struct model *m = calloc(1, sizeof *m);
    assert_non_null(m);
    m->r.state = seed;
    make_universe(&m->u, &m->r, hashing);
    table_init(&m->table, 24, &m->memory);
    for (uint32_t i = 0; i < steps; i++) {
        uint32_t what = below(&m->r, 100);
        if (what < 50)
            put_one(m);
        else if (what < 90)
            remove_one(m);
        else if (what < 95)
            probe_batch(m);
        else if (what < 97)
            guess(m);
        else
            scan(m);
        CHECK(m->table.count == m->count);
        if (i % 50 == 0) find_all(m);
    }
    find_all(m);
    table_close(&m->table);
    CHECK(m->memory.bytes == 0);
    free(m);
}

static void holds_what_an_array_would(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) random_operations(HASH_GOOD, seed, 1500);
}

static void equal_hashes_are_told_apart_by_their_keys(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) random_operations(HASH_EQUAL, seed, 600);
    for (uint64_t seed = 1; seed <= 6; seed++) random_operations(HASH_TAG_EQUAL, seed, 600);
    for (uint64_t seed = 1; seed <= 6; seed++) random_operations(HASH_FEW, seed, 600);
}

/* ---- single properties ------------------------------------------------------------------------------------------------------------- */

static struct weir_key number_key(uint64_t *number)
{
    return (struct weir_key){.data = number, .length = 8, .hash = hash64(number, 8)};
}

static void an_empty_table_holds_no_memory(void **state)
{
    (void)state;
    struct memory memory = {0};
    struct table t;
    uint64_t number = 7, cursor = 0;
    struct weir_key key = number_key(&number);
    table_init(&t, 8, &memory);
    assert_null(table_find(&t, &key));
    assert_null(table_next(&t, &cursor));
    assert_int_equal(memory.bytes, 0);
    table_close(&t);
    table_close(&t); /* once more does no harm */
}

/* A million entries: every address given on the way is still right at the end, and the pages come from huge blocks. */
static void addresses_stay_while_the_table_grows(void **state)
{
    (void)state;
    enum { N = 1000000 };
    struct memory memory = {0};
    struct table t;
    uint64_t **where = malloc(N * sizeof *where);
    assert_non_null(where);
    table_init(&t, 8, &memory);
    for (uint64_t i = 0; i < N; i++) {
        struct weir_key key = number_key(&i);
        struct table_entry *e = table_put(&t, &key);
        assert_non_null(e);
        where[i] = table_value(e);
        *where[i] = i;
    }
    assert_int_equal(t.count, N);
    for (uint64_t i = 0; i < N; i++) {
        struct weir_key key = number_key(&i);
        struct table_entry *e = table_find(&t, &key);
        assert_non_null(e);
        assert_ptr_equal(table_value(e), where[i]);
        assert_int_equal(*where[i], i);
    }
    assert_in_range(memory.bytes, 40u * N, 64u * N);
    table_close(&t);
    assert_int_equal(memory.bytes, 0);
    free(where);
}

/* Keys come and go for ever: the entries are used again and the buckets stay few. */
static void coming_and_going_does_not_grow(void **state)
{
    (void)state;
    struct memory memory = {0};
    struct table t;
    table_init(&t, 16, &memory);
    uint64_t bytes = 0;
    for (uint64_t i = 0; i < 200000; i++) {
        struct weir_key key = number_key(&i);
        assert_non_null(table_put(&t, &key));
        if (i < 100) continue;
        uint64_t old = i - 100;
        key = number_key(&old);
        struct table_entry *e = table_find(&t, &key);
        assert_non_null(e);
        table_remove(&t, e);
        if (i == 1000) bytes = memory.bytes;
    }
    assert_int_equal(t.count, 100);
    assert_int_equal(memory.bytes, bytes);
    table_close(&t);
}

static void an_entry_used_again_is_zeroed(void **state)
{
    (void)state;
    struct memory memory = {0};
    struct table t;
    table_init(&t, 32, &memory);
    uint64_t a = 1, b = 2;
    struct weir_key key = number_key(&a), other = number_key(&b);
    struct table_entry *e = table_put(&t, &key);
    assert_non_null(e);
    memset(table_value(e), 0xff, 32);
    table_remove(&t, e);
    assert_ptr_equal(table_put(&t, &other), e);
    for (uint32_t i = 0; i < 4; i++) assert_int_equal(((uint64_t *)table_value(e))[i], 0);
    table_close(&t);
}

static void values_may_be_larger_than_a_slab(void **state)
{
    (void)state;
    struct memory memory = {0};
    struct table t;
    table_init(&t, 5u << 20, &memory);
    for (uint64_t i = 0; i < 3; i++) {
        struct weir_key key = number_key(&i);
        struct table_entry *e = table_put(&t, &key);
        assert_non_null(e);
        memset(table_value(e), (int)i, 5u << 20);
    }
    for (uint64_t i = 0; i < 3; i++) {
        struct weir_key key = number_key(&i);
        unsigned char *value = table_value(table_find(&t, &key));
        assert_int_equal(value[0], i);
        assert_int_equal(value[(5u << 20) - 1], i);
    }
    table_close(&t);
    assert_int_equal(memory.bytes, 0);
}

static void a_key_of_the_greatest_length_fits_and_a_longer_one_is_refused(void **state)
{
    (void)state;
    struct memory memory = {0};
    struct table t;
    table_init(&t, 8, &memory);
    unsigned char *bytes = calloc(1, WEIR_KEY_MAX + 1);
    assert_non_null(bytes);
    struct weir_key key = {.data = bytes, .length = WEIR_KEY_MAX, .hash = 1};
    assert_non_null(table_put(&t, &key));
    key.length++;
    assert_null(table_find(&t, &key));
    assert_null(table_put(&t, &key));
    assert_int_equal(t.count, 1);
    table_close(&t);
    free(bytes);
}

/* After many removals the slots can be made few again; entries stay where they are. */
static void buckets_follow_the_entries_down(void **state)
{
    (void)state;
    struct memory memory = {0};
    struct table t;
    table_init(&t, 8, &memory);
    for (uint64_t i = 0; i < 20000; i++) {
        struct weir_key key = number_key(&i);
        assert_non_null(table_put(&t, &key));
    }
    uint64_t full = memory.bytes;
    table_shrink(&t); /* nothing to do yet */
    assert_int_equal(memory.bytes, full);
    struct table_entry *kept[200];
    for (uint64_t i = 0; i < 20000; i++) {
        struct weir_key key = number_key(&i);
        struct table_entry *e = table_find(&t, &key);
        if (i % 100)
            table_remove(&t, e);
        else
            kept[i / 100] = e;
    }
    table_shrink(&t);
    assert_true(memory.bytes < full - 200000);
    for (uint64_t i = 0; i < 20000; i++) {
        struct weir_key key = number_key(&i);
        assert_ptr_equal(table_find(&t, &key), i % 100 ? NULL : kept[i / 100]);
    }
    table_close(&t);
    assert_int_equal(memory.bytes, 0);
}

/* Slabs without entries go back one by one; later entries use their references again, and the rest stays where it is. */
static void empty_slabs_can_be_given_back(void **state)
{
    (void)state;
    struct memory memory = {0};
    struct table t;
    table_init(&t, 100, &memory);
    t.slab_max = 8192;
    for (uint64_t round = 1; round <= 3; round++) {
        for (uint64_t i = 0; i < 5000; i++) {
            struct weir_key key = number_key(&i);
            assert_non_null(table_put(&t, &key));
        }
        uint64_t full = memory.bytes;
        for (uint64_t i = 0; i < 5000; i++) {
            struct weir_key key = number_key(&i);
            if (i % 10 != round) table_remove(&t, table_find(&t, &key));
            if (i == 4000) assert_int_equal(memory.bytes, full); /* removing alone gives nothing back */
        }
        for (uint64_t i = 0; i < 5000; i++) {
            struct weir_key key = number_key(&i);
            struct table_entry *e = table_find(&t, &key);
            if (e && i % 100) table_remove(&t, e);
        }
        for (uint32_t i = 0; i < t.n_slabs; i++) {
            if (t.slabs[i].data && t.slabs[i].live == 0) table_release(&t, i);
        }
        assert_true(memory.bytes < full);
        assert_int_equal(memory.free, t.free_bytes);
        for (uint64_t i = 0; i < 5000; i++) {
            struct weir_key key = number_key(&i);
            assert_true(table_find(&t, &key) == NULL || (i % 100 == 0 && i % 10 == round));
        }
    }
    table_close(&t);
    assert_int_equal(memory.bytes, 0);
    assert_int_equal(memory.free, 0);
}

/* Fails the Nth allocation and all later ones, N = 1, 2, ...: what was there stays, and the table works on when memory is back. */
static void running_out_of_memory_is_reported_and_harmless(void **state)
{
    (void)state;
    struct universe *u = calloc(1, sizeof *u);
    assert_non_null(u);
    struct rng r = {9};
    make_universe(u, &r, HASH_GOOD);
    for (uint64_t n = 1;; n++) {
        current_seed = n;
        struct memory memory = {.fail_in = n};
        struct table t;
        table_init(&t, 100, &memory);
        uint32_t i = 0;
        while (i < KEYS && table_put(&t, &u->keys[i])) i++;
        bool failed = i < KEYS;
        CHECK(t.count == i);
        for (uint32_t k = 0; k < KEYS; k++) CHECK((table_find(&t, &u->keys[k]) != NULL) == (k < i));
        memory.fail_in = 0;
        for (; i < KEYS; i++) CHECK(table_put(&t, &u->keys[i]) != NULL);
        CHECK(t.count == KEYS);
        table_close(&t);
        CHECK(memory.bytes == 0);
        if (!failed) break;
    }
    free(u);
}

static void a_limit_on_the_account_is_kept(void **state)
{
    (void)state;
    struct memory memory = {.limit = 1u << 20};
    struct table t;
    table_init(&t, 8, &memory);
    uint64_t i = 0;
    struct weir_key key = number_key(&i);
    while (table_put(&t, &key)) {
        i++;
        key = number_key(&i);
    }
    assert_in_range(i, 5000, 40000);
    assert_in_range(memory.bytes, 1u << 18, 1u << 20);
    table_close(&t);
    assert_int_equal(memory.bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_what_an_array_would),
        cmocka_unit_test(equal_hashes_are_told_apart_by_their_keys),
        cmocka_unit_test(an_empty_table_holds_no_memory),
        cmocka_unit_test(addresses_stay_while_the_table_grows),
        cmocka_unit_test(coming_and_going_does_not_grow),
        cmocka_unit_test(an_entry_used_again_is_zeroed),
        cmocka_unit_test(values_may_be_larger_than_a_slab),
        cmocka_unit_test(a_key_of_the_greatest_length_fits_and_a_longer_one_is_refused),
        cmocka_unit_test(buckets_follow_the_entries_down),
        cmocka_unit_test(empty_slabs_can_be_given_back),
        cmocka_unit_test(running_out_of_memory_is_reported_and_harmless),
        cmocka_unit_test(a_limit_on_the_account_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
