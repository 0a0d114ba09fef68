/* SPDX-License-Identifier: Apache-2.0 */
#include <unistd.h>

#include "runtime/state/unkeyed.h"
#include "tests/unit/state/home.h"

static struct weir_bytes text(const char *s)
{
    return (struct weir_bytes){s, (uint32_t)strlen(s)};
}

static bool is(struct weir_bytes bytes, const char *s)
{
    return bytes.data && bytes.length == strlen(s) && memcmp(bytes.data, s, bytes.length) == 0;
}

/* ---- broadcast --------------------------------------------------------------------------------------------------------------------- */

static void put(struct weir_broadcast *b, const char *key, const char *value)
{
    assert_int_equal(keyed_broadcast_put(b, text(key), value, (uint32_t)strlen(value)), WEIR_OK);
}

static uint32_t count_entries(struct weir_broadcast *b)
{
    uint64_t cursor = 0;
    uint32_t n = 0;
    struct weir_bytes key, value;
    while (keyed_broadcast_next(b, &cursor, &key, &value)) {
        assert_true(keyed_broadcast_get(b, key).data == value.data);
        n++;
    }
    return n;
}

static void a_broadcast_map_is_a_map(void **state)
{
    (void)state;
    struct home h;
    struct weir_broadcast *b;
    home_open(&h, NULL, 0, 0);
    assert_int_equal(broadcast_new(&b, h.family, 0), WEIR_OK);
    assert_null(keyed_broadcast_get(b, text("a")).data);
    put(b, "a", "one");
    put(b, "", "of the empty key");
    put(b, "empty", "");
    put(b, "a", "another, which is longer than the one before and does not fit into its place");
    assert_true(is(keyed_broadcast_get(b, text("a")), "another, which is longer than the one before and does not fit into its place"));
    assert_true(is(keyed_broadcast_get(b, text("")), "of the empty key"));
    assert_true(is(keyed_broadcast_get(b, text("empty")), "")); /* an empty value is not none */
    assert_int_equal(count_entries(b), 3);
    keyed_broadcast_remove(b, text("a"));
    keyed_broadcast_remove(b, text("never there"));
    assert_null(keyed_broadcast_get(b, text("a")).data);
    assert_int_equal(count_entries(b), 2);
    static char key[WEIR_USER_KEY_MAX + 1];
    assert_int_equal(keyed_broadcast_put(b, (struct weir_bytes){key, WEIR_USER_KEY_MAX}, "x", 1), WEIR_OK);
    assert_int_equal(keyed_broadcast_put(b, (struct weir_bytes){key, WEIR_USER_KEY_MAX + 1}, "x", 1), WEIR_E_LIMIT);
    assert_int_equal(keyed_broadcast_put(b, text("a"), NULL, WEIR_VALUE_MAX + 1), WEIR_E_LIMIT);
    broadcast_destroy(&b);
    home_close(&h);
}

static void values_of_a_fixed_size_have_it(void **state)
{
    (void)state;
    struct home h;
    struct weir_broadcast *b;
    home_open(&h, NULL, 0, 0);
    assert_int_equal(broadcast_new(&b, h.family, 8), WEIR_OK);
    assert_int_equal(keyed_broadcast_put(b, text("a"), "12345678", 8), WEIR_OK);
    assert_int_equal(keyed_broadcast_put(b, text("a"), "1234567", 7), WEIR_E_ARGUMENT);
    assert_true(is(keyed_broadcast_get(b, text("a")), "12345678"));
    broadcast_destroy(&b);
    home_close(&h);
}

static void a_broadcast_map_is_restored(void **state)
{
    (void)state;
    struct temp_dir scratch;
    struct saved saved;
    struct home h;
    struct weir_broadcast *b;
    temp_dir_make(&scratch);
    saved_init(&saved);
    home_open(&h, temp_path(&scratch, "a"), 0, 0);
    assert_int_equal(broadcast_new(&b, h.family, 0), WEIR_OK);
    put(b, "rule 1", "old");
    put(b, "rule 2", "all");
    put(b, "rule 3", "");
    home_save(&h, &saved);
    put(b, "rule 1", "new");
    keyed_broadcast_remove(b, text("rule 2"));
    home_save(&h, &saved);
    broadcast_destroy(&b);
    home_close(&h);

    home_open(&h, temp_path(&scratch, "b"), 0, 0);
    home_restore(&h, (const struct saved *const[]){&saved}, 1);
    assert_int_equal(broadcast_new(&b, h.family, 0), WEIR_OK);
    assert_int_equal(count_entries(b), 2);
    assert_true(is(keyed_broadcast_get(b, text("rule 1")), "new"));
    assert_true(is(keyed_broadcast_get(b, text("rule 3")), ""));
    broadcast_destroy(&b);
    home_close(&h);
    saved_close(&saved);
    temp_dir_remove(&scratch);
}

/* ---- operator list ------------------------------------------------------------------------------------------------------------------- */

static void add(struct weir_operator_list *l, const char *s)
{
    assert_int_equal(keyed_operator_list_add(l, s, (uint32_t)strlen(s)), WEIR_OK);
}

/* Elements are those of `expected`, one a character. */
static void expect_list(struct weir_operator_list *l, const char *expected)
{
    assert_int_equal(keyed_operator_list_count(l), strlen(expected));
    for (uint32_t i = 0; expected[i]; i++) {
        struct weir_bytes element = keyed_operator_list_at(l, i);
        assert_int_equal(element.length, 1);
        assert_int_equal(*(const char *)element.data, expected[i]);
    }
}

static struct weir_operator_list *open_list(struct home *h, const struct operator_list_options *options)
{
    struct weir_operator_list *l;
    assert_int_equal(operator_list_new(&l, h->family, options), WEIR_OK);
    return l;
}

static void a_list_keeps_its_order(void **state)
{
    (void)state;
    struct home h;
    home_open(&h, NULL, 0, 0);
    struct weir_operator_list *l = open_list(&h, &(struct operator_list_options){.writer = 3});
    char number[16];
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(number, sizeof number, "%d", i);
        add(l, number);
    }
    for (uint32_t i = 0; i < 1000; i++) {
        (void)snprintf(number, sizeof number, "%u", i);
        assert_true(is(keyed_operator_list_at(l, i), number));
    }
    assert_null(keyed_operator_list_at(l, 1000).data);
    keyed_operator_list_clear(l);
    assert_int_equal(keyed_operator_list_count(l), 0);
    assert_null(keyed_operator_list_at(l, 0).data);
    add(l, "");
    assert_true(is(keyed_operator_list_at(l, 0), ""));
    assert_int_equal(keyed_operator_list_add(l, NULL, WEIR_VALUE_MAX + 1), WEIR_E_LIMIT);
    operator_list_destroy(&l);
    assert_int_equal(home_memory(&h)->bytes, 0);
    home_close(&h);
}

/* Subtask `writer` saves one element a character. */
static void save_list(struct saved *saved, const struct temp_dir *scratch, uint32_t writer, const char *elements)
{
    struct home h;
    saved_init(saved);
    home_open(&h, temp_path(scratch, "writer"), 0, 0);
    struct weir_operator_list *l = open_list(&h, &(struct operator_list_options){.writer = writer});
    for (; *elements; elements++) assert_int_equal(keyed_operator_list_add(l, elements, 1), WEIR_OK);
    home_save(&h, saved);
    operator_list_destroy(&l);
    home_close(&h);
}

/* Restores a share, compares it, and saves what this subtask holds then. */
static void expect_share(struct saved *again, const struct temp_dir *scratch, const struct saved *const *saved, uint32_t n_saved,
                         const struct operator_list_options *options, const char *expected)
{
    struct home h;
    home_open(&h, temp_path(scratch, "reader"), 0, 0);
    home_restore(&h, saved, n_saved);
    struct weir_operator_list *l = open_list(&h, options);
    expect_list(l, expected);
    /* Files that others wrote stay needed: this folder must hold them, too, as a checkpoint's does. */
    saved_init(again);
    for (uint32_t i = 0; i < n_saved; i++) {
        for (uint32_t k = 0; k < saved[i]->n; k++) {
            char from[2 * TEMP_PATH_MAX], to[2 * TEMP_PATH_MAX];
            (void)snprintf(from, sizeof from, "%s/%s", saved[i]->dir.path, saved[i]->files[k].name);
            (void)snprintf(to, sizeof to, "%s/%s", again->dir.path, saved[i]->files[k].name);
            assert_int_equal(link(from, to), 0);
        }
    }
    again->epoch = 10;
    home_save(&h, again);
    operator_list_destroy(&l);
    home_close(&h);
}

static void elements_are_dealt_out(enum weir_redistribution how, uint32_t n_shards, const char *const *expected)
{
    struct temp_dir scratch;
    struct saved saved[3], again[3], last;
    temp_dir_make(&scratch);
    save_list(&saved[0], &scratch, 0, "abcd");
    save_list(&saved[1], &scratch, 1, "");
    save_list(&saved[2], &scratch, 2, "efg");
    const struct saved *const all[] = {&saved[2], &saved[0], &saved[1]}; /* the order of files is not that of elements */
    for (uint32_t i = 0; i < n_shards; i++) {
        const struct operator_list_options options = {.how = how, .writer = i, .shard = i, .n_shards = n_shards};
        expect_share(&again[i], &scratch, all, 3, &options, expected[i]);
        const struct operator_list_options alone = {.how = how, .writer = 5, .shard = 0, .n_shards = 1};
        expect_share(&last, &scratch, (const struct saved *const[]){&again[i]}, 1, &alone, expected[i]); /* its own and nothing else */
        saved_close(&last);
    }
    for (uint32_t i = 0; i < n_shards; i++) saved_close(&again[i]);
    for (uint32_t i = 0; i < 3; i++) saved_close(&saved[i]);
    temp_dir_remove(&scratch);
}

static void a_list_is_split_in_order(void **state)
{
    (void)state;
    elements_are_dealt_out(WEIR_SPLIT, 1, (const char *const[]){"abcdefg"});
    elements_are_dealt_out(WEIR_SPLIT, 2, (const char *const[]){"aceg", "bdf"});
    elements_are_dealt_out(WEIR_SPLIT, 3, (const char *const[]){"adg", "be", "cf"});
}

static void a_union_is_all_of_them(void **state)
{
    (void)state;
    elements_are_dealt_out(WEIR_UNION, 2, (const char *const[]){"abcdefg", "abcdefg"});
}

/* ---- through keyed.h: instances with key groups side by side ----------------------------------------------------------------------------
 */

struct instance {
    struct state_slot *slot;
    struct keyed *keyed;
    struct weir_operator_list *list;
    struct weir_broadcast *rules;
};

static void open_instance(struct instance *i, const char *dir, uint32_t index, uint32_t n, const struct keyed_restore_from *from,
                          uint32_t n_from)
{
    struct weir_diag diag;
    const struct state_slot_config config = {.dir = dir, .shared = rocks_of_all, .snapshots = true};
    const struct weir_state_desc list = {.struct_size = sizeof list, .name = "list"},
                                 rules = {.struct_size = sizeof rules, .name = "rules"};
    uint32_t groups = WEIR_KEY_GROUPS / n;
    ok(state_slot_new(&i->slot, &config, &diag), &diag);
    assert_int_equal(keyed_new(&i->keyed, i->slot, "op", (uint16_t)(index * groups), (uint16_t)((index + 1) * groups - 1)), WEIR_OK);
    if (from) ok(keyed_restore(i->keyed, from, n_from, index, n, &diag), &diag);
    ok(keyed_operator_list_open(i->keyed, &list, WEIR_SPLIT, &i->list, &diag), &diag);
    ok(keyed_broadcast_open(i->keyed, &rules, &i->rules, &diag), &diag);
}

static void close_instance(struct instance *i)
{
    keyed_destroy(&i->keyed);
    state_slot_destroy(&i->slot);
}

static void save_instance(struct instance *i, const char *dir, struct keyed_files *files)
{
    struct keyed_snapshot *snapshot;
    struct weir_diag diag;
    ok(keyed_freeze(i->keyed, 1, &snapshot, &diag), &diag);
    (void)slot_copy(i->slot, UINT64_MAX);
    ok(keyed_persist(snapshot, dir, files, &diag), &diag);
    keyed_snapshot_destroy(&snapshot);
}

/* Four subtasks that were never restored write; three, then one read. */
static void instances_share_out_their_lists(void **state)
{
    (void)state;
    struct temp_dir scratch, dirs[4];
    struct keyed_files files[4] = {0};
    struct keyed_restore_from from[4];
    struct instance i;
    struct weir_diag diag;
    const char *const written[] = {"ab", "", "c", "def"}, *const threes[] = {"ad", "be", "cf"};
    if (!rocks_of_all) ok(rocks_shared_new(&rocks_of_all, 1u << 20, 1, &diag), &diag);
    temp_dir_make(&scratch);
    for (uint32_t k = 0; k < 4; k++) {
        temp_dir_make(&dirs[k]);
        open_instance(&i, temp_path(&scratch, "writer"), k, 4, NULL, 0);
        for (const char *c = written[k]; *c; c++) assert_int_equal(keyed_operator_list_add(i.list, c, 1), WEIR_OK);
        put(i.rules, "rule", "of all");
        save_instance(&i, dirs[k].path, &files[k]);
        close_instance(&i);
        from[k] = (struct keyed_restore_from){.dir = dirs[k].path, .files = &files[k]};
    }
    for (uint32_t n = 1; n <= 3; n += 2) {
        for (uint32_t k = 0; k < n; k++) {
            open_instance(&i, temp_path(&scratch, "reader"), k, n, from, 4);
            expect_list(i.list, n == 1 ? "abcdef" : threes[k]);
            assert_int_equal(count_entries(i.rules), 1);
            assert_true(is(keyed_broadcast_get(i.rules, text("rule")), "of all"));
            close_instance(&i);
        }
    }
    for (uint32_t k = 0; k < 4; k++) {
        keyed_files_close(&files[k]);
        temp_dir_remove(&dirs[k]);
    }
    temp_dir_remove(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_broadcast_map_is_a_map),        cmocka_unit_test(values_of_a_fixed_size_have_it),
        cmocka_unit_test(a_broadcast_map_is_restored),     cmocka_unit_test(a_list_keeps_its_order),
        cmocka_unit_test(a_list_is_split_in_order),        cmocka_unit_test(a_union_is_all_of_them),
        cmocka_unit_test(instances_share_out_their_lists),
    };
    return cmocka_run_group_tests(tests, NULL, home_end);
}
