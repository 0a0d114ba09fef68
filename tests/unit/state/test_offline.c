/* SPDX-License-Identifier: Apache-2.0 */
/* States of every kind, written over three snapshots with removals between them, and read without the operator: what it would have said. */
#include "runtime/state/offline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "runtime/base/hash.h"
#include "runtime/state/rocks.h"
#include "tests/support/temp_dir.h"

#define NUMBERS 200u
#define NOW 1000000

struct world {
    struct temp_dir dir;
    char epochs[600], slot_dir[600], scratch[600];
    struct rocks_shared *shared;
    struct state_slot *slot;
    struct keyed *keyed;
    struct keyed_files files;
    struct weir_diag diag;
    uint64_t epoch;
};

static int make(void **state)
{
    static struct world w;
    w = (struct world){0};
    temp_dir_make(&w.dir);
    (void)snprintf(w.slot_dir, sizeof w.slot_dir, "%s/slot", w.dir.path);
    (void)snprintf(w.epochs, sizeof w.epochs, "%s/epochs", w.dir.path);
    (void)snprintf(w.scratch, sizeof w.scratch, "%s/scratch", w.dir.path);
    assert_int_equal(mkdir(w.epochs, 0700), 0);
    assert_int_equal(rocks_shared_new(&w.shared, 1u << 20, 1, &w.diag), WEIR_OK);
    struct state_slot_config config = {.dir = w.slot_dir, .shared = w.shared, .snapshots = true};
    assert_int_equal(state_slot_new(&w.slot, &config, &w.diag), WEIR_OK);
    assert_int_equal(keyed_new(&w.keyed, w.slot, "op", 0, WEIR_KEY_GROUPS - 1), WEIR_OK);
    assert_int_equal(keyed_safe_point(w.keyed, NOW), WEIR_OK);
    *state = &w;
    return 0;
}

static int unmake(void **state)
{
    struct world *w = *state;
    keyed_files_close(&w->files);
    keyed_destroy(&w->keyed);
    state_slot_destroy(&w->slot);
    rocks_shared_destroy(&w->shared);
    temp_dir_remove(&w->dir);
    return 0;
}

static struct weir_key key_of(const uint64_t *number)
{
    return (struct weir_key){.data = number, .length = 8, .hash = hash64(number, 8)};
}

static struct weir_bytes text(const char *s)
{
    return (struct weir_bytes){s, (uint32_t)strlen(s)};
}

static bool is(struct weir_bytes bytes, const char *s)
{
    return bytes.length == strlen(s) && (bytes.length == 0 || memcmp(bytes.data, s, bytes.length) == 0);
}

static uint64_t number_in(struct weir_bytes bytes)
{
    uint64_t number;
    assert_int_equal(bytes.length, 8);
    memcpy(&number, bytes.data, 8);
    return number;
}

static void snapshot(struct world *w)
{
    struct keyed_snapshot *snapshot;
    assert_int_equal(keyed_freeze(w->keyed, ++w->epoch, &snapshot, &w->diag), WEIR_OK);
    keyed_files_close(&w->files);
    (void)slot_copy(w->slot, UINT64_MAX);
    assert_int_equal(keyed_persist(snapshot, w->epochs, &w->files, &w->diag), WEIR_OK);
    keyed_snapshot_destroy(&snapshot);
}

/* Opens what the last snapshot has of a state, for the key groups first ... last. */
static struct offline *open_state(struct world *w, const char *name, uint32_t element_size, uint16_t first, uint16_t last)
{
    static char paths[64][700];
    const char *list[64];
    struct offline_spec spec = {.scratch = w->scratch, .first_group = first, .last_group = last, .paths = list, .now_ms = NOW};
    spec.element_size = element_size;
    for (uint32_t i = 0; i < w->files.n; i++) {
        const struct keyed_file *f = &w->files.items[i];
        if (strcmp(f->state, name) != 0) continue;
        spec.kind = f->kind;
        spec.value_size = f->value_size;
        (void)snprintf(paths[spec.n_paths], sizeof paths[0], "%s/%s", w->epochs, f->name);
        list[spec.n_paths] = paths[spec.n_paths];
        spec.n_paths++;
    }
    spec.namespaced = strstr(name, "spaced") != NULL;
    spec.ttl_ms = strstr(name, "mortal") ? 100 : 0;
    struct offline *o;
    if (offline_open(&o, &spec, &w->diag)) fail_msg("%s", w->diag.text);
    return o;
}

static bool next(struct world *w, struct offline *o, struct offline_entry *e)
{
    bool more;
    if (offline_next(o, &more, e, &w->diag)) fail_msg("%s", w->diag.text);
    return more;
}

static struct weir_state *open_kind(struct world *w, enum keyed_kind kind, struct weir_state_desc desc)
{
    struct weir_state *s;
    desc.struct_size = sizeof desc;
    if (keyed_open(w->keyed, kind, &desc, &s, &w->diag)) fail_msg("%s", w->diag.text);
    return s;
}

static void values_as_they_were_last(void **state)
{
    struct world *w = *state;
    struct weir_state *s = open_kind(w, KEYED_VALUE, (struct weir_state_desc){.name = "v", .value_size = 8});
    for (uint64_t round = 1; round <= 3; round++) {
        for (uint64_t i = 0; i < NUMBERS; i += round) {
            struct weir_key key = key_of(&i);
            if (i % 7 == round)
                keyed_value_clear(s, &key);
            else
                *(uint64_t *)keyed_value(s, &key) = i * 10 + round;
        }
        snapshot(w);
    }
    uint64_t want = 0, seen = 0;
    for (uint64_t i = 0; i < NUMBERS; i++) {
        struct weir_key key = key_of(&i);
        want += keyed_value_read(s, &key).data != NULL;
    }
    struct offline *o = open_state(w, "v", 0, 0, WEIR_KEY_GROUPS - 1);
    struct offline_entry e;
    while (next(w, o, &e)) {
        uint64_t number = number_in(e.key);
        struct weir_key key = key_of(&number);
        assert_true(number_in(keyed_value_read(s, &key)) == number_in(e.value));
        assert_true(e.written_ms == NOW);
        seen++;
    }
    assert_true(want > 100 && seen == want);
    for (uint64_t i = 0; i < 20; i++) {
        struct weir_key key = key_of(&i);
        struct weir_bytes value = keyed_value_read(s, &key);
        assert_int_equal(offline_only(o, (struct weir_bytes){&i, 8}, &w->diag), WEIR_OK);
        assert_int_equal(next(w, o, &e), value.data != NULL);
        if (value.data) assert_true(number_in(e.value) == number_in(value) && !next(w, o, &e));
    }
    offline_close(&o);
    assert_int_not_equal(access(w->scratch, F_OK), 0);
    uint64_t below = 0, above = 0;
    o = open_state(w, "v", 0, 0, 9999);
    while (next(w, o, &e)) below++;
    offline_close(&o);
    o = open_state(w, "v", 0, 10000, WEIR_KEY_GROUPS - 1);
    while (next(w, o, &e)) above++;
    offline_close(&o);
    assert_true(below && above && below + above == want);
}

static void values_with_namespaces(void **state)
{
    struct world *w = *state;
    struct weir_state *s = open_kind(w, KEYED_VALUE, (struct weir_state_desc){.name = "spaced", .flags = WEIR_STATE_NAMESPACED});
    uint64_t number = 5;
    struct weir_key key = key_of(&number);
    assert_int_equal(keyed_set_namespace(w->keyed, text("summer")), WEIR_OK);
    assert_int_equal(keyed_value_write(s, &key, "hot", 3), WEIR_OK);
    assert_int_equal(keyed_set_namespace(w->keyed, text("winter")), WEIR_OK);
    assert_int_equal(keyed_value_write(s, &key, "cold", 4), WEIR_OK);
    snapshot(w);
    struct offline *o = open_state(w, "spaced", 0, 0, WEIR_KEY_GROUPS - 1);
    struct offline_entry e;
    assert_true(next(w, o, &e) && is(e.ns, "summer") && is(e.value, "hot") && number_in(e.key) == 5);
    assert_true(next(w, o, &e) && is(e.ns, "winter") && is(e.value, "cold"));
    assert_false(next(w, o, &e));
    offline_close(&o);
}

static void lists_element_by_element(void **state)
{
    struct world *w = *state;
    static char large[20000];
    struct weir_state *any = open_kind(w, KEYED_LIST, (struct weir_state_desc){.name = "any"});
    struct weir_state *eight = open_kind(w, KEYED_LIST, (struct weir_state_desc){.name = "eight", .value_size = 8});
    uint64_t number = 9;
    struct weir_key key = key_of(&number);
    assert_int_equal(keyed_list_add(any, &key, "one", 3), WEIR_OK);
    assert_int_equal(keyed_list_add(any, &key, "", 0), WEIR_OK);
    assert_int_equal(keyed_list_add(any, &key, large, sizeof large), WEIR_OK);
    for (uint64_t i = 0; i < 2000; i++) assert_int_equal(keyed_list_add(eight, &key, &i, 8), WEIR_OK);
    snapshot(w);
    assert_int_equal(keyed_list_add(any, &key, "last", 4), WEIR_OK);
    snapshot(w);
    struct offline_entry e;
    struct offline *o = open_state(w, "any", 0, 0, WEIR_KEY_GROUPS - 1);
    assert_true(next(w, o, &e) && is(e.value, "one") && number_in(e.key) == 9);
    assert_true(next(w, o, &e) && is(e.value, ""));
    assert_true(next(w, o, &e) && e.value.length == sizeof large);
    assert_true(next(w, o, &e) && is(e.value, "last"));
    assert_false(next(w, o, &e));
    offline_close(&o);
    o = open_state(w, "eight", 8, 0, WEIR_KEY_GROUPS - 1);
    for (uint64_t i = 0; i < 2000; i++) assert_true(next(w, o, &e) && number_in(e.value) == i);
    assert_false(next(w, o, &e));
    offline_close(&o);
}

static void maps_and_ordered(void **state)
{
    struct world *w = *state;
    struct weir_state *map = open_kind(w, KEYED_MAP, (struct weir_state_desc){.name = "map"});
    struct weir_state *ordered = open_kind(w, KEYED_ORDERED, (struct weir_state_desc){.name = "ordered"});
    uint64_t number = 3;
    struct weir_key key = key_of(&number);
    assert_int_equal(keyed_map_put(map, &key, text("a"), "1", 1), WEIR_OK);
    assert_int_equal(keyed_map_put(map, &key, text("b"), "2", 1), WEIR_OK);
    assert_int_equal(keyed_ordered_put(ordered, &key, 50, 1, "later", 5), WEIR_OK);
    assert_int_equal(keyed_ordered_put(ordered, &key, -50, 7, "sooner", 6), WEIR_OK);
    snapshot(w);
    assert_int_equal(keyed_map_remove(map, &key, text("a")), WEIR_OK);
    snapshot(w);
    struct offline_entry e;
    struct offline *o = open_state(w, "map", 0, 0, WEIR_KEY_GROUPS - 1);
    assert_true(next(w, o, &e) && is(e.user_key, "b") && is(e.value, "2"));
    assert_false(next(w, o, &e));
    offline_close(&o);
    o = open_state(w, "ordered", 0, 0, WEIR_KEY_GROUPS - 1);
    assert_true(next(w, o, &e) && e.time_ms == -50 && e.seq == 7 && is(e.value, "sooner"));
    assert_true(next(w, o, &e) && e.time_ms == 50 && e.seq == 1 && is(e.value, "later"));
    assert_false(next(w, o, &e));
    offline_close(&o);
}

static void panes_without_those_that_were_dropped(void **state)
{
    struct world *w = *state;
    struct weir_state_desc desc = {.struct_size = sizeof desc, .name = "panes", .value_size = 8};
    struct weir_panes *panes;
    struct weir_table *table;
    void *value;
    assert_int_equal(keyed_panes_open(w->keyed, &desc, &panes, &w->diag), WEIR_OK);
    for (int64_t pane = -1; pane <= 1; pane++) {
        assert_int_equal(keyed_panes_table(panes, pane, &table), WEIR_OK);
        for (uint64_t i = 0; i < 10; i++) {
            struct weir_key key = key_of(&i);
            assert_int_equal(keyed_table_probe(table, &key, NULL, 1, &value), WEIR_OK);
            *(uint64_t *)value = i + 100;
        }
    }
    snapshot(w);
    assert_int_equal(keyed_panes_table(panes, 0, &table), WEIR_OK);
    keyed_table_drop(&table);
    snapshot(w);
    struct offline_entry e;
    struct offline *o = open_state(w, "panes", 0, 0, WEIR_KEY_GROUPS - 1);
    for (uint32_t i = 0; i < 20; i++) {
        assert_true(next(w, o, &e));
        assert_int_equal(e.pane, i < 10 ? -1 : 1);
        assert_true(number_in(e.value) == number_in(e.key) + 100);
    }
    assert_false(next(w, o, &e));
    uint64_t number = 4;
    assert_int_equal(offline_only(o, (struct weir_bytes){&number, 8}, &w->diag), WEIR_OK);
    assert_true(next(w, o, &e) && e.pane == -1);
    assert_true(next(w, o, &e) && e.pane == 1);
    assert_false(next(w, o, &e));
    offline_close(&o);
}

static void timers(void **state)
{
    struct world *w = *state;
    uint64_t number = 8;
    struct weir_key key = key_of(&number);
    assert_int_equal(keyed_timer_set(w->keyed, &key, WEIR_EVENT_TIME, 777, 5), WEIR_OK);
    snapshot(w);
    struct offline_entry e;
    struct offline *o = open_state(w, "~event timers", 0, 0, WEIR_KEY_GROUPS - 1);
    assert_true(next(w, o, &e) && e.time_ms == 777 && e.seq == 5 && number_in(e.key) == 8 && e.value.length == 0);
    assert_false(next(w, o, &e));
    offline_close(&o);
}

static void state_without_key(void **state)
{
    struct world *w = *state;
    struct weir_state_desc rules = {.struct_size = sizeof rules, .name = "rules"}, todo = {.struct_size = sizeof todo, .name = "todo"};
    struct weir_broadcast *b;
    struct weir_operator_list *l;
    assert_int_equal(keyed_broadcast_open(w->keyed, &rules, &b, &w->diag), WEIR_OK);
    assert_int_equal(keyed_operator_list_open(w->keyed, &todo, WEIR_SPLIT, &l, &w->diag), WEIR_OK);
    assert_int_equal(keyed_broadcast_put(b, text("limit"), "5", 1), WEIR_OK);
    assert_int_equal(keyed_operator_list_add(l, "first", 5), WEIR_OK);
    assert_int_equal(keyed_operator_list_add(l, "second", 6), WEIR_OK);
    snapshot(w);
    struct offline_entry e;
    struct offline *o = open_state(w, "rules", 0, 5, 9);
    assert_true(next(w, o, &e) && is(e.user_key, "limit") && is(e.value, "5"));
    assert_false(next(w, o, &e));
    assert_int_equal(offline_only(o, text("limit"), &w->diag), WEIR_E_ARGUMENT);
    offline_close(&o);
    o = open_state(w, "todo", 0, 5, 9);
    assert_true(next(w, o, &e) && is(e.value, "first"));
    assert_true(next(w, o, &e) && is(e.value, "second"));
    assert_false(next(w, o, &e));
    offline_close(&o);
}

static void what_has_expired_is_not_there(void **state)
{
    struct world *w = *state;
    struct weir_state *s = open_kind(w, KEYED_VALUE, (struct weir_state_desc){.name = "mortal", .value_size = 8, .ttl_ms = 100});
    uint64_t old = 1, young = 2;
    struct weir_key key = key_of(&old);
    assert_int_equal(keyed_safe_point(w->keyed, NOW - 100), WEIR_OK);
    assert_non_null(keyed_value(s, &key));
    key = key_of(&young);
    assert_int_equal(keyed_safe_point(w->keyed, NOW - 99), WEIR_OK);
    assert_non_null(keyed_value(s, &key));
    snapshot(w);
    struct offline_entry e;
    struct offline *o = open_state(w, "mortal", 0, 0, WEIR_KEY_GROUPS - 1);
    assert_true(next(w, o, &e) && number_in(e.key) == young);
    assert_false(next(w, o, &e));
    offline_close(&o);
}

static void a_file_that_is_none_is_named(void **state)
{
    struct world *w = *state;
    char path[700];
    (void)snprintf(path, sizeof path, "%s/none.sst", w->dir.path);
    temp_write(path, "these bytes are no table of RocksDB's", 37);
    const char *paths[] = {path};
    struct offline_spec spec = {
        .scratch = w->scratch, .kind = KEYED_VALUE, .last_group = WEIR_KEY_GROUPS - 1, .paths = paths, .n_paths = 1};
    struct offline *o;
    assert_int_not_equal(offline_open(&o, &spec, &w->diag), WEIR_OK);
    assert_non_null(strstr(w->diag.text, "none.sst"));
    (void)snprintf(path, sizeof path, "%s/gone.sst", w->dir.path);
    assert_int_equal(offline_open(&o, &spec, &w->diag), WEIR_E_NOT_FOUND);
    assert_non_null(strstr(w->diag.text, "gone.sst"));
}

/* What a snapshot says of its states, for whoever stores it. */
static void a_snapshot_describes_its_states(void **state)
{
    struct world *w = *state;
    static const struct weir_field fields[] = {{"n", 1, WEIR_TYPE_I64, 0, 0}};
    static const struct weir_schema schema = {sizeof schema, "count", 8, 1, fields};
    (void)open_kind(w, KEYED_VALUE, (struct weir_state_desc){.name = "v", .value_size = 8, .schema = &schema});
    (void)open_kind(w, KEYED_LIST, (struct weir_state_desc){.name = "l", .value_size = 8});
    keyed_describe_key(w->keyed, &fields[0]);
    struct keyed_snapshot *snapshot;
    assert_int_equal(keyed_freeze(w->keyed, 1, &snapshot, &w->diag), WEIR_OK);
    const struct keyed_state_info *v = keyed_snapshot_state(snapshot, 0), *l = keyed_snapshot_state(snapshot, 1);
    assert_string_equal(v->name, "v");
    assert_int_equal(v->kind, KEYED_VALUE);
    assert_ptr_equal(v->value, &schema);
    assert_int_equal(l->value_size, 0);
    assert_int_equal(l->element_size, 8);
    assert_null(keyed_snapshot_state(snapshot, 2));
    assert_ptr_equal(keyed_snapshot_key(snapshot), &fields[0]);
    (void)slot_copy(w->slot, UINT64_MAX);
    assert_int_equal(keyed_persist(snapshot, w->epochs, &w->files, &w->diag), WEIR_OK);
    keyed_snapshot_destroy(&snapshot);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, make, unmake)
    const struct CMUnitTest tests[] = {
        CASE(values_as_they_were_last),
        CASE(values_with_namespaces),
        CASE(lists_element_by_element),
        CASE(maps_and_ordered),
        CASE(panes_without_those_that_were_dropped),
        CASE(timers),
        CASE(state_without_key),
        CASE(what_has_expired_is_not_there),
        CASE(a_file_that_is_none_is_named),
        CASE(a_snapshot_describes_its_states),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
