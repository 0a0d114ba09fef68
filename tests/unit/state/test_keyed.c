/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/state/keyed.h"
#include "runtime/state/memory.h"
#include "tests/unit/state/oracle.h"

static struct weir_state_desc desc_of(const char *name, uint32_t value_size)
{
    return (struct weir_state_desc){.struct_size = sizeof(struct weir_state_desc), .name = name, .value_size = value_size};
}

static struct weir_state *open_state(struct keyed *k, const char *name, uint32_t value_size)
{
    struct weir_state_desc desc = desc_of(name, value_size);
    struct weir_state *state = NULL;
    assert_int_equal(keyed_value_open(k, &desc, &state, NULL), WEIR_OK);
    return state;
}

/* ---- values against arrays --------------------------------------------------------------------------------------------------------- */

struct model {
    struct universe u;
    struct rng r;
    struct keyed *keyed;
    struct weir_state *counts; /* fixed: a number */
    struct weir_state *texts;  /* any length */
    bool has_count[KEYS], has_text[KEYS];
    uint64_t count[KEYS];
    uint32_t text_length[KEYS];
    unsigned char text_fill[KEYS];
};

static void step_count(struct model *m, const struct weir_key *key, uint32_t i)
{
    uint64_t *found = keyed_value_find(m->counts, key);
    CHECK((found != NULL) == m->has_count[i]);
    CHECK(!found || *found == m->count[i]);
    if (below(&m->r, 4) == 0) {
        keyed_value_clear(m->counts, key);
        m->has_count[i] = false;
        return;
    }
    uint64_t *value = keyed_value(m->counts, key);
    CHECK(value != NULL && *value == (m->has_count[i] ? m->count[i] : 0));
    *value = m->count[i] = draw(&m->r);
    m->has_count[i] = true;
}

static void step_text(struct model *m, const struct weir_key *key, uint32_t i)
{
    static unsigned char bytes[20000];
    struct weir_bytes read = keyed_value_read(m->texts, key);
    CHECK((read.data != NULL) == m->has_text[i]);
    if (read.data) {
        CHECK(read.length == m->text_length[i]);
        for (uint32_t k = 0; k < read.length; k++) CHECK(((const unsigned char *)read.data)[k] == m->text_fill[i]);
    }
    if (below(&m->r, 4) == 0) {
        keyed_value_clear(m->texts, key);
        m->has_text[i] = false;
        return;
    }
    m->text_length[i] = below(&m->r, 10) ? below(&m->r, 40) : below(&m->r, sizeof bytes);
    m->text_fill[i] = (unsigned char)draw(&m->r);
    m->has_text[i] = true;
    memset(bytes, m->text_fill[i], m->text_length[i]);
    CHECK(keyed_value_write(m->texts, key, bytes, m->text_length[i]) == WEIR_OK);
}

/* A batch as the task layer hands it over: a fresh array of keys, sometimes prefetched, sometimes the array of before with other keys. */
static void step_batch(struct model *m, struct weir_key *keys)
{
    uint32_t which[200];
    for (uint32_t i = 0; i < 200; i++) keys[i] = m->u.keys[which[i] = below(&m->r, KEYS)];
    if (below(&m->r, 3)) keyed_prefetch(m->keyed, keys, 200);
    for (uint32_t i = 0; i < 200; i++) {
        step_count(m, &keys[i], which[i]);
        step_text(m, &keys[i], which[i]);
    }
}

static void values_are_those_of_arrays(void **state)
{
    (void)state;
    static struct weir_key keys[200];
    for (uint64_t seed = 1; seed <= 12; seed++) {
        current_seed = seed;
        struct model *m = calloc(1, sizeof *m);
        assert_non_null(m);
        m->r.state = seed;
        make_universe(&m->u, &m->r, (enum hashing)(seed % HASHINGS));
        CHECK(keyed_new(&m->keyed) == WEIR_OK);
        m->counts = open_state(m->keyed, "counts", seed % 2 ? 8 : 2000); /* 2000: too large for a cache, so that prefetching happens */
        m->texts = open_state(m->keyed, "texts", 0);
        for (int i = 0; i < 40; i++) step_batch(m, keys);
        keyed_destroy(&m->keyed); /* asserts that the account is level */
        free(m);
    }
}

static void values_of_any_length_may_come_from_themselves(void **state)
{
    (void)state;
    struct keyed *k;
    assert_int_equal(keyed_new(&k), WEIR_OK);
    struct weir_state *s = open_state(k, "s", 0);
    struct weir_key key = {.data = "k", .length = 1, .hash = 5};
    char text[100];
    memset(text, 'x', sizeof text);
    memcpy(text + 60, "tail", 4);
    assert_int_equal(keyed_value_write(s, &key, text, 100), WEIR_OK);
    struct weir_bytes read = keyed_value_read(s, &key);
    assert_int_equal(keyed_value_write(s, &key, (const char *)read.data + 60, 4), WEIR_OK); /* a part of the old value, in a smaller room */
    read = keyed_value_read(s, &key);
    assert_int_equal(read.length, 4);
    assert_memory_equal(read.data, "tail", 4);
    assert_int_equal(keyed_value_write(s, &key, NULL, 0), WEIR_OK);
    read = keyed_value_read(s, &key);
    assert_int_equal(read.length, 0);
    assert_non_null(read.data); /* empty is not none */
    keyed_destroy(&k);
}

/* ---- what is refused ---------------------------------------------------------------------------------------------------------------- */

static void descriptions_out_of_range_are_refused_in_words(void **state)
{
    (void)state;
    struct keyed *k;
    struct weir_diag diag;
    struct weir_state *s = NULL;
    char name[WEIR_NAME_MAX + 2];
    assert_int_equal(keyed_new(&k), WEIR_OK);
    (void)open_state(k, "twice", 8);
    struct weir_state_desc desc = desc_of("twice", 0);
    assert_int_equal(keyed_value_open(k, &desc, &s, &diag), WEIR_E_EXISTS);
    assert_string_equal(diag.text, "state 'twice' is opened twice");
    desc = desc_of("", 8);
    assert_int_equal(keyed_value_open(k, &desc, &s, &diag), WEIR_E_ARGUMENT);
    desc = desc_of("large", WEIR_VALUE_MAX + 1);
    assert_int_equal(keyed_value_open(k, &desc, &s, &diag), WEIR_E_LIMIT);
    memset(name, 'n', sizeof name);
    name[WEIR_NAME_MAX + 1] = 0;
    desc = desc_of(name, 8);
    assert_int_equal(keyed_value_open(k, &desc, &s, &diag), WEIR_E_ARGUMENT);
    for (int i = 1; i < WEIR_STATES_MAX; i++) {
        snprintf(name, sizeof name, "state-%d", i);
        (void)open_state(k, name, 8);
    }
    desc = desc_of("one-more", 8);
    assert_int_equal(keyed_value_open(k, &desc, &s, &diag), WEIR_E_LIMIT);
    assert_null(s);
    keyed_destroy(&k);
    keyed_destroy(&k);
}

static void values_and_keys_beyond_their_limits_are_refused(void **state)
{
    (void)state;
    struct keyed *k;
    assert_int_equal(keyed_new(&k), WEIR_OK);
    struct weir_state *s = open_state(k, "any", 0);
    unsigned char *bytes = calloc(1, WEIR_VALUE_MAX + 1);
    assert_non_null(bytes);
    struct weir_key key = {.data = bytes, .length = 8, .hash = 1};
    assert_int_equal(keyed_value_write(s, &key, bytes, WEIR_VALUE_MAX), WEIR_OK);
    assert_int_equal(keyed_value_write(s, &key, bytes, WEIR_VALUE_MAX + 1), WEIR_E_LIMIT);
    assert_int_equal(keyed_value_read(s, &key).length, WEIR_VALUE_MAX);
    key.length = WEIR_KEY_MAX + 1;
    assert_int_equal(keyed_value_write(s, &key, bytes, 1), WEIR_E_LIMIT);
    assert_null(keyed_value_read(s, &key).data);
    free(bytes);
    keyed_destroy(&k);
}

static void running_out_of_memory_leaves_no_half_value(void **state)
{
    (void)state;
    struct weir_key key = {.data = "key", .length = 3, .hash = 3};
    char text[5000] = {0};
    for (uint64_t n = 1;; n++) {
        struct keyed *k;
        assert_int_equal(keyed_new(&k), WEIR_OK);
        struct weir_state *s = open_state(k, "any", 0);
        keyed_account(k)->fail_in = n;
        weir_err err = keyed_value_write(s, &key, text, sizeof text);
        if (err) {
            assert_int_equal(err, WEIR_E_NOMEM);
            assert_null(keyed_value_read(s, &key).data);
        }
        keyed_account(k)->fail_in = 1;
        if (!err) {
            static const char longer[6000];
            assert_int_equal(keyed_value_write(s, &key, longer, sizeof longer), WEIR_E_NOMEM);
            assert_int_equal(keyed_value_read(s, &key).length, sizeof text); /* the old value stands */
            assert_int_equal(keyed_value_write(s, &key, text, 10), WEIR_OK); /* what fits the old room needs no memory */
            assert_int_equal(keyed_value_read(s, &key).length, 10);
        }
        keyed_destroy(&k);
        if (!err) break;
    }
}

/* ---- timers and tables -------------------------------------------------------------------------------------------------------------- */

static void the_two_domains_do_not_mix(void **state)
{
    (void)state;
    struct keyed *k;
    assert_int_equal(keyed_new(&k), WEIR_OK);
    struct weir_key key = {.data = "key", .length = 3, .hash = 77};
    assert_int_equal(keyed_timer_set(k, &key, WEIR_EVENT_TIME, 10, 1), WEIR_OK);
    assert_int_equal(keyed_timer_set(k, &key, WEIR_PROCESSING_TIME, 5, 2), WEIR_OK);
    assert_int_equal(keyed_timer_first(k, WEIR_EVENT_TIME), 10);
    assert_int_equal(keyed_timer_first(k, WEIR_PROCESSING_TIME), 5);
    keyed_timer_delete(k, &key, WEIR_PROCESSING_TIME, 10, 1); /* not set there */
    struct weir_timer timer;
    assert_false(keyed_timer_pop(k, WEIR_EVENT_TIME, 9, &timer));
    assert_true(keyed_timer_pop(k, WEIR_EVENT_TIME, 10, &timer));
    assert_int_equal(timer.domain, WEIR_EVENT_TIME);
    assert_int_equal(timer.tag, 1);
    assert_int_equal(timer.key->hash, 77);
    assert_int_equal(keyed_timer_first(k, WEIR_EVENT_TIME), WEIR_TIME_MAX);
    keyed_destroy(&k);
}

static void tables_are_counted_and_given_back(void **state)
{
    (void)state;
    struct keyed *k;
    assert_int_equal(keyed_new(&k), WEIR_OK);
    struct weir_table *tables[3];
    struct weir_key keys[4] = {{"a", 1, 0, 1}, {"b", 1, 0, 2}, {"c", 1, 0, 3}, {"a", 1, 0, 1}};
    void *values[4];
    for (int i = 0; i < 3; i++) {
        assert_int_equal(keyed_table_new(k, 16, &tables[i]), WEIR_OK);
        assert_int_equal(keyed_table_probe(tables[i], keys, NULL, 4, values), WEIR_OK);
        assert_ptr_equal(values[0], values[3]);
        assert_int_equal(keyed_table_count(tables[i]), 3);
    }
    uint64_t bytes = keyed_memory(k);
    keyed_table_drop(k, &tables[1]);
    assert_null(tables[1]);
    assert_true(keyed_memory(k) < bytes);
    keyed_table_remove(tables[0], &keys[1]);
    keyed_table_remove(tables[0], &keys[1]);
    assert_null(keyed_table_find(tables[0], &keys[1]));
    assert_non_null(keyed_table_find(tables[2], &keys[1]));
    uint64_t cursor = 0;
    struct weir_key key;
    void *value;
    uint32_t n = 0;
    while (keyed_table_next(tables[0], &cursor, &key, &value)) n++;
    assert_int_equal(n, 2);
    keyed_destroy(&k); /* with tables still open, as after a failure */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_those_of_arrays),
        cmocka_unit_test(values_of_any_length_may_come_from_themselves),
        cmocka_unit_test(descriptions_out_of_range_are_refused_in_words),
        cmocka_unit_test(values_and_keys_beyond_their_limits_are_refused),
        cmocka_unit_test(running_out_of_memory_leaves_no_half_value),
        cmocka_unit_test(the_two_domains_do_not_mix),
        cmocka_unit_test(tables_are_counted_and_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
