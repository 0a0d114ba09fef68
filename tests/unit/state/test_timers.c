/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/state/timers.h"
#include "tests/unit/state/home.h"

static struct timers *open_timers(struct home *h)
{
    struct timers *t;
    home_open(h, NULL, 0, TIMERS_VALUE_SIZE);
    assert_int_equal(timers_new(&t, h->family), WEIR_OK);
    return t;
}

static void close_timers(struct home *h, struct timers **t)
{
    timers_destroy(t);
    assert_int_equal(home_memory(h)->bytes, 0);
    home_close(h);
}

/* ---- against a list that is searched ------------------------------------------------------------------------------------------------- */

#define MODEL_MAX 4000u

struct model_timer {
    uint32_t key;
    weir_time time_ms;
    uint64_t tag;
    uint64_t seq;
};

struct model {
    struct universe u;
    struct rng r;
    struct home home;
    struct timers *timers;
    struct model_timer list[MODEL_MAX];
    uint32_t n;
    uint64_t seq;
};

static struct model_timer draw_timer(struct model *m)
{
    static const weir_time special[] = {WEIR_TIME_MIN, -1, 0, 1, WEIR_TIME_MAX};
    weir_time t = below(&m->r, 20) ? (weir_time)below(&m->r, 60) - 30 : special[below(&m->r, 5)];
    return (struct model_timer){below(&m->r, 40), t, below(&m->r, 3) ? 0 : draw(&m->r) % 3, 0};
}

static uint32_t position(const struct model *m, const struct model_timer *t)
{
    uint32_t i = 0;
    while (i < m->n && !(m->list[i].key == t->key && m->list[i].time_ms == t->time_ms && m->list[i].tag == t->tag)) i++;
    return i;
}

static uint32_t earliest(const struct model *m)
{
    uint32_t first = 0;
    for (uint32_t i = 1; i < m->n; i++) {
        const struct model_timer *a = &m->list[i], *b = &m->list[first];
        if (a->time_ms < b->time_ms || (a->time_ms == b->time_ms && a->seq < b->seq)) first = i;
    }
    return first;
}

static void set_one(struct model *m)
{
    struct model_timer t = draw_timer(m);
    CHECK(timers_set(m->timers, &m->u.keys[t.key], t.time_ms, t.tag) == WEIR_OK);
    if (position(m, &t) < m->n) return; /* set already: keeps its place in the order */
    t.seq = m->seq++;
    CHECK(m->n < MODEL_MAX);
    m->list[m->n++] = t;
}

static void delete_one(struct model *m)
{
    struct model_timer t = draw_timer(m);
    if (m->n && below(&m->r, 2)) t = m->list[below(&m->r, m->n)];
    timers_delete(m->timers, &m->u.keys[t.key], t.time_ms, t.tag);
    uint32_t i = position(m, &t);
    if (i < m->n) m->list[i] = m->list[--m->n];
}

static void pop_some(struct model *m)
{
    weir_time until = (weir_time)below(&m->r, 70) - 35;
    for (uint32_t k = 1 + below(&m->r, 5); k > 0; k--) {
        weir_time time_ms;
        uint64_t tag;
        const struct weir_key *key;
        bool due = m->n && m->list[earliest(m)].time_ms <= until;
        CHECK(timers_pop(m->timers, until, &time_ms, &tag, &key) == due);
        if (!due) return;
        struct model_timer t = m->list[earliest(m)];
        m->list[earliest(m)] = m->list[m->n - 1];
        m->n--;
        const struct weir_key *expected = &m->u.keys[t.key];
        if (below(&m->r, 2)) set_one(m); /* as an on_timer does; the key given must stand it */
        CHECK(time_ms == t.time_ms && tag == t.tag);
        CHECK(key->length == expected->length && key->hash == expected->hash);
        CHECK(key->length == 0 || memcmp(key->data, expected->data, key->length) == 0);
    }
}

static void random_operations(enum hashing hashing, uint64_t seed, uint32_t steps)
{
    current_seed = seed;
    struct model *m = calloc(1, sizeof *m);
    assert_non_null(m);
    m->r.state = seed;
    make_universe(&m->u, &m->r, hashing);
    m->timers = open_timers(&m->home);
    for (uint32_t i = 0; i < steps; i++) {
        uint32_t what = below(&m->r, 10);
        if (what < 5)
            set_one(m);
        else if (what < 8)
            delete_one(m);
        else
            pop_some(m);
        CHECK(m->timers->n == m->n);
        CHECK(timers_first(m->timers) == (m->n ? m->list[earliest(m)].time_ms : WEIR_TIME_MAX));
    }
    close_timers(&m->home, &m->timers);
    free(m);
}

static void holds_what_a_list_would(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) random_operations((enum hashing)(seed % HASHINGS), seed, 3000);
}

/* ---- single properties ------------------------------------------------------------------------------------------------------------- */

static void equal_times_come_in_the_order_of_setting(void **state)
{
    (void)state;
    struct home home;
    struct timers *t = open_timers(&home);
    struct weir_key key = text_key("k");
    for (uint64_t tag = 0; tag < 1000; tag++) assert_int_equal(timers_set(t, &key, 5, tag * 7919 % 1000), WEIR_OK);
    for (uint64_t i = 0; i < 1000; i++) {
        weir_time time_ms;
        uint64_t tag;
        const struct weir_key *given;
        assert_true(timers_pop(t, 5, &time_ms, &tag, &given));
        assert_int_equal(tag, i * 7919 % 1000);
    }
    close_timers(&home, &t);
}

static void a_timer_fired_may_be_set_again(void **state)
{
    (void)state;
    struct home home;
    struct timers *t = open_timers(&home);
    struct weir_key key = text_key("again");
    weir_time time_ms;
    uint64_t tag;
    const struct weir_key *given;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(timers_set(t, &key, 10, 1), WEIR_OK);
        assert_true(timers_pop(t, 10, &time_ms, &tag, &given));
    }
    assert_false(timers_pop(t, WEIR_TIME_MAX, &time_ms, &tag, &given));
    close_timers(&home, &t);
}

/* A longer key set by the timer's own function needs larger buffers; the key given out must not move for that. */
static void the_key_given_outlives_longer_ones(void **state)
{
    (void)state;
    struct home home;
    struct timers *t = open_timers(&home);
    struct weir_key key = text_key("short");
    static unsigned char bytes[WEIR_KEY_MAX + 1];
    struct weir_key longer = {.data = bytes, .length = WEIR_KEY_MAX, .hash = 1};
    weir_time time_ms;
    uint64_t tag;
    const struct weir_key *given;
    assert_int_equal(timers_set(t, &key, 1, 0), WEIR_OK);
    assert_true(timers_pop(t, 1, &time_ms, &tag, &given));
    const void *data = given->data;
    assert_int_equal(timers_set(t, &longer, 2, 0), WEIR_OK);
    assert_ptr_equal(given->data, data);
    assert_memory_equal(data, "short", 5);
    assert_true(timers_pop(t, 2, &time_ms, &tag, &given));
    assert_int_equal(given->length, WEIR_KEY_MAX);
    longer.length++;
    assert_int_equal(timers_set(t, &longer, 2, 0), WEIR_E_LIMIT);
    close_timers(&home, &t);
}

/* Afterwards nothing can be set any more, and what was set comes as ever. */
static bool run_out_of_memory(struct universe *u, uint64_t n)
{
    struct home home;
    struct timers *t = NULL;
    home_open(&home, NULL, 0, TIMERS_VALUE_SIZE);
    home_memory(&home)->fail_in = n;
    weir_err err = timers_new(&t, home.family);
    uint32_t set = 0;
    while (!err && set < KEYS && (err = timers_set(t, &u->keys[set], (weir_time)(KEYS - set), 0)) == WEIR_OK) set++;
    CHECK(!err || err == WEIR_E_NOMEM);
    home_memory(&home)->fail_in = 0;
    if (err && t) CHECK(timers_set(t, &u->keys[set], 0, 0) == WEIR_E_NOMEM);
    home_memory(&home)->fail_in = 1; /* taking out needs none */
    for (uint32_t i = 0; t && i < set; i++) {
        weir_time time_ms;
        uint64_t tag;
        const struct weir_key *key;
        CHECK(timers_pop(t, WEIR_TIME_MAX, &time_ms, &tag, &key));
        CHECK(time_ms == (weir_time)(KEYS - set + i + 1));
    }
    CHECK(!t || t->n == 0);
    close_timers(&home, &t);
    return err != WEIR_OK;
}

static void running_out_of_memory_is_reported_and_stays(void **state)
{
    (void)state;
    struct universe *u = calloc(1, sizeof *u);
    assert_non_null(u);
    struct rng r = {4};
    make_universe(u, &r, HASH_GOOD);
    for (current_seed = 1; run_out_of_memory(u, current_seed);) current_seed++;
    free(u);
}

/* ---- restored ---------------------------------------------------------------------------------------------------------------------- */

#define SET 3000u

static weir_time time_of_timer(uint64_t i)
{
    return (weir_time)(i * 7919 % 50) - 25; /* many of one time, half of them before 1970 */
}

static void expect_all(struct timers *t, const struct universe *u)
{
    weir_time before = WEIR_TIME_MIN;
    uint64_t tag_before = 0;
    for (uint64_t i = 0; i < SET; i++) {
        if (i % 3 == 0) continue; /* taken back */
        weir_time time_ms;
        uint64_t tag;
        const struct weir_key *key;
        CHECK(timers_pop(t, WEIR_TIME_MAX, &time_ms, &tag, &key));
        CHECK(time_ms == time_of_timer(tag) && tag % 3 != 0);
        CHECK(time_ms > before || (time_ms == before && tag > tag_before)); /* the tag tells the order of setting */
        const struct weir_key *expected = &u->keys[tag % KEYS];
        CHECK(key->length == expected->length && key->hash == expected->hash);
        CHECK(key->length == 0 || memcmp(key->data, expected->data, key->length) == 0);
        before = time_ms;
        tag_before = tag;
    }
    CHECK(timers_first(t) == WEIR_TIME_MAX);
}

/* Saved in two pieces, the second of which takes back part of the first. */
static void restored_timers_come_in_the_order_of_setting(void **state)
{
    (void)state;
    struct universe *u = calloc(1, sizeof *u);
    struct rng r = {11};
    struct temp_dir scratch;
    struct saved saved;
    struct home home;
    struct timers *t;
    assert_non_null(u);
    make_universe(u, &r, HASH_GOOD);
    temp_dir_make(&scratch);
    saved_init(&saved);
    home_open(&home, temp_path(&scratch, "a"), 0, TIMERS_VALUE_SIZE);
    assert_int_equal(timers_new(&t, home.family), WEIR_OK);
    for (uint64_t i = 0; i < SET; i++) {
        assert_int_equal(timers_set(t, &u->keys[i % KEYS], time_of_timer(i), i), WEIR_OK);
        if (i == SET / 2) home_save(&home, &saved);
    }
    for (uint64_t i = 0; i < SET; i += 3) timers_delete(t, &u->keys[i % KEYS], time_of_timer(i), i);
    home_save(&home, &saved);
    close_timers(&home, &t);

    home_open(&home, temp_path(&scratch, "b"), 0, TIMERS_VALUE_SIZE);
    home_restore(&home, (const struct saved *const[]){&saved}, 1);
    assert_int_equal(timers_new(&t, home.family), WEIR_OK);
    assert_int_equal(timers_first(t), -25);
    for (uint64_t i = 0; i < SET; i++) { /* all there already: nothing changes; what was taken back is set and taken back again */
        assert_int_equal(timers_set(t, &u->keys[i % KEYS], time_of_timer(i), i), WEIR_OK);
        if (i % 3 == 0) timers_delete(t, &u->keys[i % KEYS], time_of_timer(i), i);
    }
    expect_all(t, u);
    home_save(&home, &saved);
    close_timers(&home, &t);

    home_open(&home, temp_path(&scratch, "c"), 0, TIMERS_VALUE_SIZE);
    home_restore(&home, (const struct saved *const[]){&saved}, 1);
    assert_int_equal(timers_new(&t, home.family), WEIR_OK);
    assert_int_equal(timers_first(t), WEIR_TIME_MAX); /* those that fired are gone */
    close_timers(&home, &t);
    saved_close(&saved);
    temp_dir_remove(&scratch);
    free(u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_what_a_list_would),
        cmocka_unit_test(equal_times_come_in_the_order_of_setting),
        cmocka_unit_test(a_timer_fired_may_be_set_again),
        cmocka_unit_test(the_key_given_outlives_longer_ones),
        cmocka_unit_test(running_out_of_memory_is_reported_and_stays),
        cmocka_unit_test(restored_timers_come_in_the_order_of_setting),
    };
    return cmocka_run_group_tests(tests, NULL, home_end);
}
