/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/state/timers.h"
#include "tests/unit/state/oracle.h"

/* ---- against a list that is searched --------------------------------------------------------------------------------------------------
 */

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
    struct memory memory;
    struct timers timers;
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
    CHECK(timers_set(&m->timers, &m->u.keys[t.key], t.time_ms, t.tag) == WEIR_OK);
    if (position(m, &t) < m->n) return; /* set already: keeps its place in the order */
    t.seq = m->seq++;
    CHECK(m->n < MODEL_MAX);
    m->list[m->n++] = t;
}

static void delete_one(struct model *m)
{
    struct model_timer t = draw_timer(m);
    if (m->n && below(&m->r, 2)) t = m->list[below(&m->r, m->n)];
    timers_delete(&m->timers, &m->u.keys[t.key], t.time_ms, t.tag);
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
        CHECK(timers_pop(&m->timers, until, &time_ms, &tag, &key) == due);
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
    timers_init(&m->timers, &m->memory);
    for (uint32_t i = 0; i < steps; i++) {
        uint32_t what = below(&m->r, 10);
        if (what < 5)
            set_one(m);
        else if (what < 8)
            delete_one(m);
        else
            pop_some(m);
        CHECK(m->timers.n == m->n);
        CHECK(timers_first(&m->timers) == (m->n ? m->list[earliest(m)].time_ms : WEIR_TIME_MAX));
    }
    timers_close(&m->timers);
    CHECK(m->memory.bytes == 0);
    free(m);
}

static void holds_what_a_list_would(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) random_operations((enum hashing)(seed % HASHINGS), seed, 3000);
}

/* ---- single properties ------------------------------------------------------------------------------------------------------------- */

static struct weir_key text_key(const char *text)
{
    uint32_t length = (uint32_t)strlen(text);
    return (struct weir_key){.data = text, .length = length, .hash = hash64(text, length)};
}

static void equal_times_come_in_the_order_of_setting(void **state)
{
    (void)state;
    struct memory memory = {0};
    struct timers t;
    timers_init(&t, &memory);
    struct weir_key key = text_key("k");
    for (uint64_t tag = 0; tag < 1000; tag++) assert_int_equal(timers_set(&t, &key, 5, tag * 7919 % 1000), WEIR_OK);
    for (uint64_t i = 0; i < 1000; i++) {
        weir_time time_ms;
        uint64_t tag;
        const struct weir_key *given;
        assert_true(timers_pop(&t, 5, &time_ms, &tag, &given));
        assert_int_equal(tag, i * 7919 % 1000);
    }
    timers_close(&t);
}

static void a_timer_fired_may_be_set_again(void **state)
{
    (void)state;
    struct memory memory = {0};
    struct timers t;
    timers_init(&t, &memory);
    struct weir_key key = text_key("again");
    weir_time time_ms;
    uint64_t tag;
    const struct weir_key *given;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(timers_set(&t, &key, 10, 1), WEIR_OK);
        assert_true(timers_pop(&t, 10, &time_ms, &tag, &given));
    }
    assert_false(timers_pop(&t, WEIR_TIME_MAX, &time_ms, &tag, &given));
    timers_close(&t);
}

/* A longer key set by the timer's own function needs larger buffers; the key given out must not move for that. */
static void the_key_given_outlives_longer_ones(void **state)
{
    (void)state;
    struct memory memory = {0};
    struct timers t;
    timers_init(&t, &memory);
    struct weir_key key = text_key("short");
    static unsigned char bytes[WEIR_KEY_MAX + 1];
    struct weir_key longer = {.data = bytes, .length = WEIR_KEY_MAX, .hash = 1};
    weir_time time_ms;
    uint64_t tag;
    const struct weir_key *given;
    assert_int_equal(timers_set(&t, &key, 1, 0), WEIR_OK);
    assert_true(timers_pop(&t, 1, &time_ms, &tag, &given));
    const void *data = given->data;
    assert_int_equal(timers_set(&t, &longer, 2, 0), WEIR_OK);
    assert_ptr_equal(given->data, data);
    assert_memory_equal(data, "short", 5);
    assert_true(timers_pop(&t, 2, &time_ms, &tag, &given));
    assert_int_equal(given->length, WEIR_KEY_MAX);
    longer.length++;
    assert_int_equal(timers_set(&t, &longer, 2, 0), WEIR_E_LIMIT);
    timers_close(&t);
    assert_int_equal(memory.bytes, 0);
}

static void running_out_of_memory_is_reported_and_harmless(void **state)
{
    (void)state;
    struct universe *u = calloc(1, sizeof *u);
    assert_non_null(u);
    struct rng r = {4};
    make_universe(u, &r, HASH_GOOD);
    for (uint64_t n = 1;; n++) {
        current_seed = n;
        struct memory memory = {.fail_in = n};
        struct timers t;
        timers_init(&t, &memory);
        uint32_t i = 0;
        while (i < KEYS && !timers_set(&t, &u->keys[i], (weir_time)(KEYS - i), 0)) i++;
        bool failed = i < KEYS;
        CHECK(t.n == i);
        memory.fail_in = 0;
        for (; i < KEYS; i++) CHECK(timers_set(&t, &u->keys[i], (weir_time)(KEYS - i), 0) == WEIR_OK);
        memory.fail_in = 1; /* taking out needs none */
        for (i = 0; i < KEYS; i++) {
            weir_time time_ms;
            uint64_t tag;
            const struct weir_key *key;
            CHECK(timers_pop(&t, WEIR_TIME_MAX, &time_ms, &tag, &key));
            CHECK(time_ms == (weir_time)i + 1);
        }
        timers_close(&t);
        CHECK(memory.bytes == 0);
        if (!failed) break;
    }
    free(u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_what_a_list_would),
        cmocka_unit_test(equal_times_come_in_the_order_of_setting),
        cmocka_unit_test(a_timer_fired_may_be_set_again),
        cmocka_unit_test(the_key_given_outlives_longer_ones),
        cmocka_unit_test(running_out_of_memory_is_reported_and_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
