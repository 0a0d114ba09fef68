/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/state/keyed.h"
#include "runtime/state/memory.h"
#include "tests/unit/state/oracle.h"

static struct weir_state_desc desc_of(const char *name, uint32_t value_size)
{
    return (struct weir_state_desc){.struct_size = sizeof(struct weir_state_desc), .name = name, .value_size = value_size};
}

static struct state_slot *slot;

static int make_slot(void **state)
{
    (void)state;
    struct state_slot_config config = {0};
    return (int)state_slot_new(&slot, &config, NULL);
}

static int drop_slot(void **state)
{
    (void)state;
    state_slot_destroy(&slot); /* asserts that the account is level */
    return 0;
}

static struct keyed *new_keyed(void)
{
    struct keyed *k;
    assert_int_equal(keyed_new(&k, slot, "op", 0, WEIR_KEY_GROUPS - 1), WEIR_OK);
    return k;
}

static struct weir_state *open_state(struct keyed *k, const char *name, uint32_t value_size)
{
    struct weir_state_desc desc = desc_of(name, value_size);
    struct weir_state *state = NULL;
    assert_int_equal(keyed_open(k, KEYED_VALUE, &desc, &state, NULL), WEIR_OK);
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
        m->keyed = new_keyed();
        m->counts = open_state(m->keyed, "counts", seed % 2 ? 8 : 2000); /* 2000: too large for a cache, so that prefetching happens */
        m->texts = open_state(m->keyed, "texts", 0);
        for (int i = 0; i < 40; i++) step_batch(m, keys);
        keyed_destroy(&m->keyed);
        free(m);
    }
}

static void values_of_any_length_may_come_from_themselves(void **state)
{
    (void)state;
    struct keyed *k = new_keyed();
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
    struct keyed *k = new_keyed();
    struct weir_diag diag;
    struct weir_state *s = NULL;
    char name[WEIR_NAME_MAX + 2];
    (void)open_state(k, "twice", 8);
    struct weir_state_desc desc = desc_of("twice", 0);
    assert_int_equal(keyed_open(k, KEYED_VALUE, &desc, &s, &diag), WEIR_E_EXISTS);
    assert_string_equal(diag.text, "state 'twice' is opened twice");
    desc = desc_of("", 8);
    assert_int_equal(keyed_open(k, KEYED_VALUE, &desc, &s, &diag), WEIR_E_ARGUMENT);
    desc = desc_of("large", WEIR_VALUE_MAX + 1);
    assert_int_equal(keyed_open(k, KEYED_VALUE, &desc, &s, &diag), WEIR_E_LIMIT);
    memset(name, 'n', sizeof name);
    name[WEIR_NAME_MAX + 1] = 0;
    desc = desc_of(name, 8);
    assert_int_equal(keyed_open(k, KEYED_VALUE, &desc, &s, &diag), WEIR_E_ARGUMENT);
    for (int i = 1; i < WEIR_STATES_MAX; i++) {
        snprintf(name, sizeof name, "state-%d", i);
        (void)open_state(k, name, 8);
    }
    desc = desc_of("one-more", 8);
    assert_int_equal(keyed_open(k, KEYED_VALUE, &desc, &s, &diag), WEIR_E_LIMIT);
    assert_null(s);
    keyed_destroy(&k);
    keyed_destroy(&k);
}

static void values_and_keys_beyond_their_limits_are_refused(void **state)
{
    (void)state;
    struct keyed *k = new_keyed();
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

/* The task fails after a failed write whatever its operator makes of it; what was there is still there for those who clean up. */
static void running_out_of_memory_is_remembered(void **state)
{
    (void)state;
    struct weir_key key = {.data = "key", .length = 3, .hash = 3};
    char text[5000] = {0};
    for (uint64_t n = 1;; n++) {
        assert_int_equal(make_slot(NULL), 0);
        struct keyed *k = new_keyed();
        struct weir_state *s = open_state(k, "any", 0);
        slot_memory(slot)->fail_in = n;
        struct weir_diag diag;
        weir_err err = keyed_value_write(s, &key, text, sizeof text);
        assert_int_equal(slot_error(slot, &diag), err);
        if (err) {
            assert_int_equal(err, WEIR_E_NOMEM);
            assert_non_null(strstr(diag.text, "memory"));
            assert_int_equal(keyed_safe_point(k, 0), WEIR_E_NOMEM);
        }
        slot_memory(slot)->fail_in = 1;
        if (!err) {
            static const char longer[6000];
            assert_int_equal(keyed_value_write(s, &key, longer, sizeof longer), WEIR_E_NOMEM);
            assert_int_equal(keyed_value_read(s, &key).length, sizeof text); /* the old value stands */
        }
        keyed_destroy(&k);
        assert_int_equal(drop_slot(NULL), 0);
        if (!err) break;
    }
}

/* ---- timers and tables -------------------------------------------------------------------------------------------------------------- */

static void the_two_domains_do_not_mix(void **state)
{
    (void)state;
    struct keyed *k = new_keyed();
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
    assert_memory_equal(timer.key->data, "key", 3);
    assert_int_equal(keyed_timer_first(k, WEIR_EVENT_TIME), WEIR_TIME_MAX);
    keyed_destroy(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(values_are_those_of_arrays, make_slot, drop_slot),
        cmocka_unit_test_setup_teardown(values_of_any_length_may_come_from_themselves, make_slot, drop_slot),
        cmocka_unit_test_setup_teardown(descriptions_out_of_range_are_refused_in_words, make_slot, drop_slot),
        cmocka_unit_test_setup_teardown(values_and_keys_beyond_their_limits_are_refused, make_slot, drop_slot),
        cmocka_unit_test(running_out_of_memory_is_remembered),
        cmocka_unit_test_setup_teardown(the_two_domains_do_not_mix, make_slot, drop_slot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
