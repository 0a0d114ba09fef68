/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/state/rocks.h"

#include <endian.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/temp_dir.h"

/* ---- a database with one family, and the words of the stories ------------------------------------------------------------------------ */

struct fixture {
    struct temp_dir dir;
    struct rocks_shared *shared;
    struct rocks *db;
    struct rocks_family *a;
    struct weir_diag diag;
};

#define OK(call)                                                                   \
    do {                                                                           \
        weir_err err_ = (call);                                                    \
        if (err_) fail_msg("%s: %s %s", #call, weir_err_name(err_), f->diag.text); \
    } while (0)

#define FAILS(call, code, part)                                                                \
    do {                                                                                       \
        assert_int_equal((call), (code));                                                      \
        if (!strstr(f->diag.text, (part))) fail_msg("no \"%s\" in: %s", (part), f->diag.text); \
    } while (0)

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    temp_dir_make(&f->dir);
    OK(rocks_shared_new(&f->shared, 1u << 20, 1, &f->diag));
    OK(rocks_open(&f->db, f->shared, temp_path(&f->dir, "db"), &f->diag));
    OK(rocks_family_new(f->db, "a", NULL, &f->a, &f->diag));
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    rocks_family_destroy(&f->a);
    rocks_destroy(&f->db);
    rocks_shared_destroy(&f->shared);
    temp_dir_remove(&f->dir);
    free(f);
    return 0;
}

static struct weir_bytes bytes(const char *text)
{
    return (struct weir_bytes){.data = text, .length = (uint32_t)strlen(text)};
}

/* "a=1 b=2 c- d..f" puts a and b, deletes c, and the range from d to before f. */
static void write_file(struct fixture *f, const char *path, const char *entries)
{
    struct rocks_writer *w = NULL;
    char copy[512], *rest = NULL;
    OK(rocks_writer_new(&w, f->shared, path, &f->diag));
    snprintf(copy, sizeof copy, "%s", entries);
    for (char *e = strtok_r(copy, " ", &rest); e; e = strtok_r(NULL, " ", &rest)) {
        size_t key = strcspn(e, "=-.");
        if (e[key] == '=')
            OK(rocks_writer_put(w, e, key, e + key + 1, strlen(e + key + 1), &f->diag));
        else if (e[key] == '-')
            OK(rocks_writer_delete(w, e, key, &f->diag));
        else
            OK(rocks_writer_delete_range(w, (struct weir_bytes){e, (uint32_t)key}, bytes(e + key + 2), &f->diag));
    }
    OK(rocks_writer_finish(w, &f->diag));
    rocks_writer_destroy(&w);
    assert_null(w);
}

static void add_to(struct fixture *f, struct rocks_family *family, const char *entries)
{
    const char *path = temp_path(&f->dir, "new.sst");
    write_file(f, path, entries);
    OK(rocks_ingest(family, path, 0, &f->diag));
    assert_int_not_equal(access(path, F_OK), 0); /* moved */
}

static void add(struct fixture *f, const char *entries)
{
    add_to(f, f->a, entries);
}

/* A file that deletes [from, to), as the next run of a pane that was dropped does. */
static void drop_range(struct fixture *f, const char *from, const char *to)
{
    const char *path = temp_path(&f->dir, "range.sst");
    struct rocks_writer *w = NULL;
    OK(rocks_writer_new(&w, f->shared, path, &f->diag));
    OK(rocks_writer_delete_range(w, bytes(from), bytes(to), &f->diag));
    OK(rocks_writer_finish(w, &f->diag));
    rocks_writer_destroy(&w);
    OK(rocks_ingest(f->a, path, 0, &f->diag));
}

static const char *get_from(struct fixture *f, struct rocks_family *family, const char *key)
{
    static char text[64];
    struct rocks_value v = {0};
    OK(rocks_get(family, key, strlen(key), &v, &f->diag));
    if (!v.data) return NULL;
    snprintf(text, sizeof text, "%.*s", (int)v.length, (const char *)v.data);
    rocks_value_release(&v);
    assert_null(v.data);
    return text;
}

static const char *get(struct fixture *f, const char *key)
{
    return get_from(f, f->a, key);
}

typedef weir_err step(struct rocks_cursor *, bool *, struct weir_bytes *, struct weir_bytes *, struct weir_diag *);

/* What is left of a cursor: "a=1 b=2 ". */
static const char *rest_of(struct fixture *f, struct rocks_cursor *c, step *next)
{
    static char text[1024];
    size_t at = 0;
    bool more = true;
    for (text[0] = '\0';;) {
        struct weir_bytes key, value;
        OK(next(c, &more, &key, &value, &f->diag));
        if (!more) break;
        at += (size_t)snprintf(text + at, sizeof text - at, "%.*s=%.*s ", (int)key.length, (const char *)key.data, (int)value.length,
                               (const char *)value.data);
    }
    struct weir_bytes none;
    OK(next(c, &more, &none, &none, &f->diag)); /* and stays at its end */
    assert_false(more);
    return text;
}

static struct rocks_cursor *cursor(struct fixture *f, const char *from, const char *to, uint32_t flags)
{
    struct rocks_cursor *c = NULL;
    OK(rocks_cursor_new(f->a, bytes(from), bytes(to), flags, &c, &f->diag));
    return c;
}

static const char *scan(struct fixture *f, const char *from, const char *to)
{
    struct rocks_cursor *c = cursor(f, from, to, ROCKS_SCAN);
    const char *text = rest_of(f, c, rocks_cursor_next);
    rocks_cursor_destroy(&c);
    return text;
}

/* ---- files in, values out ------------------------------------------------------------------------------------------------------------ */

static void what_files_bring_is_read(void **state)
{
    struct fixture *f = *state;
    assert_null(get(f, "a"));
    add(f, "a=1 b=2 empty=");
    assert_string_equal(get(f, "a"), "1");
    assert_string_equal(get(f, "b"), "2");
    assert_string_equal(get(f, "empty"), "");
    assert_null(get(f, "c"));
}

static void a_later_file_lies_over_an_earlier_one(void **state)
{
    struct fixture *f = *state;
    add(f, "a=1 b=1 c=1");
    add(f, "b=2 c-");
    add(f, "c=3 d=3");
    assert_string_equal(scan(f, "", ""), "a=1 b=2 c=3 d=3 ");
    OK(rocks_compact(f->a, &f->diag));
    assert_string_equal(scan(f, "", ""), "a=1 b=2 c=3 d=3 ");
}

/* A range deletes what older files hold, in whatever order it came among the file's points, and never those. */
static void a_range_in_a_file_spares_the_points_beside_it(void **state)
{
    struct fixture *f = *state;
    add(f, "a=1 b=1 c=1 d=1 e=1");
    add(f, "b=2 d..e b..d x=2");
    assert_string_equal(scan(f, "", ""), "a=1 b=2 e=1 x=2 ");
    add(f, "a..z");
    assert_string_equal(scan(f, "", ""), "");
}

static void a_range_deleted_stays_deleted_until_written_again(void **state)
{
    struct fixture *f = *state;
    add(f, "a=1 b=1 c=1 d=1");
    drop_range(f, "b", "d");
    assert_string_equal(scan(f, "", ""), "a=1 d=1 ");
    assert_null(get(f, "c"));
    add(f, "c=2"); /* must lie over the deletion */
    assert_string_equal(scan(f, "", ""), "a=1 c=2 d=1 ");
    OK(rocks_compact(f->a, &f->diag));
    assert_string_equal(scan(f, "", ""), "a=1 c=2 d=1 ");
}

static void many_keys_are_read_at_once(void **state)
{
    struct fixture *f = *state;
    add(f, "a=1 c=3 e=");
    const struct weir_bytes keys[] = {bytes("a"), bytes("b"), bytes("c"), bytes("c"), bytes("e"), bytes("f")};
    const struct weir_bytes mixed[] = {bytes("f"), bytes("e"), bytes("a"), bytes("c"), bytes("b"), bytes("c")};
    const uint32_t place[] = {5, 4, 0, 2, 1, 3};
    struct rocks_value values[6], others[6];
    OK(rocks_multi_get(f->a, 6, keys, values, &f->diag));
    OK(rocks_multi_get(f->a, 6, mixed, others, &f->diag));
    OK(rocks_multi_get(f->a, 0, NULL, NULL, &f->diag));
    const char *const expected[] = {"1", NULL, "3", "3", "", NULL};
    for (int i = 0; i < 6; i++) {
        struct rocks_value *both[] = {&values[place[i]], &others[i]};
        for (int k = 0; k < 2; k++) {
            const char *e = expected[place[i]];
            assert_int_equal(both[k]->data != NULL, e != NULL);
            if (e) assert_int_equal(both[k]->length, strlen(e));
            if (e) assert_memory_equal(both[k]->data, e, strlen(e));
            rocks_value_release(both[k]);
            rocks_value_release(both[k]); /* once more does no harm */
        }
    }
}

/* The most keys of one call, out of a file of many blocks and partitions, beside as many that are not there. */
static void the_most_keys_are_read_at_once(void **state)
{
    struct fixture *f = *state;
    enum { N = 100000 };
    struct rocks_writer *w = NULL;
    const char *path = temp_path(&f->dir, "large.sst");
    OK(rocks_writer_new(&w, f->shared, path, &f->diag));
    for (uint32_t i = 0; i < N; i++) {
        uint32_t key = htobe32(2 * i);
        OK(rocks_writer_put(w, &key, 4, &i, 4, &f->diag));
    }
    assert_true(rocks_writer_size(w) > N * 4);
    OK(rocks_writer_finish(w, &f->diag));
    rocks_writer_destroy(&w);
    OK(rocks_ingest(f->a, path, 0, &f->diag));
    uint32_t numbers[ROCKS_MULTI_MAX];
    struct weir_bytes keys[ROCKS_MULTI_MAX];
    struct rocks_value values[ROCKS_MULTI_MAX];
    for (uint32_t i = 0; i < ROCKS_MULTI_MAX; i++) {
        numbers[i] = htobe32(i * 701);
        keys[i] = (struct weir_bytes){&numbers[i], 4};
    }
    OK(rocks_multi_get(f->a, ROCKS_MULTI_MAX, keys, values, &f->diag));
    for (uint32_t i = 0; i < ROCKS_MULTI_MAX; i++) {
        uint32_t half = i * 701 / 2;
        assert_int_equal(values[i].data != NULL, i * 701 % 2 == 0 && half < N);
        if (values[i].data) assert_memory_equal(values[i].data, &half, 4);
        rocks_value_release(&values[i]);
    }
    struct rocks_stats stats;
    rocks_stats(f->db, &stats);
    assert_in_range(stats.reader_bytes, 1, 64u << 10); /* the index is in the cache; the last level has no filter */
}

static void a_pinned_value_outlives_its_file(void **state)
{
    struct fixture *f = *state;
    struct rocks_value v;
    add(f, "a=1");
    OK(rocks_get(f->a, "a", 1, &v, &f->diag));
    add(f, "a=2");
    OK(rocks_compact(f->a, &f->diag));
    assert_memory_equal(v.data, "1", 1);
    rocks_value_release(&v);
    assert_string_equal(get(f, "a"), "2");
}

/* ---- cursors ------------------------------------------------------------------------------------------------------------------------- */

static void a_cursor_keeps_to_its_range(void **state)
{
    struct fixture *f = *state;
    assert_string_equal(scan(f, "", ""), "");
    add(f, "a=1 b=2 c=3 d=4 e=5");
    assert_string_equal(scan(f, "b", "d"), "b=2 c=3 ");
    assert_string_equal(scan(f, "bb", ""), "c=3 d=4 e=5 ");
    assert_string_equal(scan(f, "", "b"), "a=1 ");
    assert_string_equal(scan(f, "x", "z"), "");
    assert_string_equal(scan(f, "d", "b"), "");
}

static void a_cursor_seeks_within_its_range(void **state)
{
    struct fixture *f = *state;
    add(f, "a=1 b=2 c=3 d=4 e=5");
    struct rocks_cursor *c = cursor(f, "b", "e", 0);
    rocks_cursor_seek(c, bytes("bx"));
    assert_string_equal(rest_of(f, c, rocks_cursor_next), "c=3 d=4 ");
    rocks_cursor_seek(c, bytes("a")); /* below the range */
    assert_string_equal(rest_of(f, c, rocks_cursor_next), "b=2 c=3 d=4 ");
    rocks_cursor_seek(c, bytes("e")); /* above */
    assert_string_equal(rest_of(f, c, rocks_cursor_next), "");
    rocks_cursor_seek(c, bytes(""));
    assert_string_equal(rest_of(f, c, rocks_cursor_next), "b=2 c=3 d=4 ");
    rocks_cursor_destroy(&c);
    rocks_cursor_destroy(&c); /* once more does no harm */
}

static void a_cursor_runs_backwards(void **state)
{
    struct fixture *f = *state;
    add(f, "a=1 b=2 c=3 d=4 e=5");
    struct rocks_cursor *c = cursor(f, "b", "e", 0);
    assert_string_equal(rest_of(f, c, rocks_cursor_last), "d=4 c=3 b=2 ");
    rocks_cursor_seek(c, bytes("c"));
    assert_string_equal(rest_of(f, c, rocks_cursor_last), "d=4 c=3 b=2 ");
    rocks_cursor_destroy(&c);
    c = cursor(f, "", "", 0);
    assert_string_equal(rest_of(f, c, rocks_cursor_last), "e=5 d=4 c=3 b=2 a=1 ");
    rocks_cursor_destroy(&c);
}

/* Whatever comes after a cursor's birth, before or in the midst of its walk, it does not see: other keys, overwritten and deleted ones. */
static void a_cursor_keeps_its_view(void **state)
{
    struct fixture *f = *state;
    struct weir_bytes key, value;
    bool more = false;
    add(f, "a=1 b=1 c=1 d=1");
    struct rocks_cursor *unused = cursor(f, "", "", ROCKS_SCAN), *begun = cursor(f, "", "", 0);
    OK(rocks_cursor_next(begun, &more, &key, &value, &f->diag));
    assert_true(more && key.length == 1 && memcmp(key.data, "a", 1) == 0);
    add(f, "b=2 bb=2 c-");
    add(f, "x=2"); /* overlaps nothing, so it gets no number of its own */
    drop_range(f, "d", "e");
    OK(rocks_compact(f->a, &f->diag));
    assert_string_equal(rest_of(f, begun, rocks_cursor_next), "b=1 c=1 d=1 ");
    assert_string_equal(rest_of(f, unused, rocks_cursor_next), "a=1 b=1 c=1 d=1 ");
    rocks_cursor_seek(unused, bytes("bb"));
    assert_string_equal(rest_of(f, unused, rocks_cursor_next), "c=1 d=1 ");
    rocks_cursor_destroy(&unused);
    rocks_cursor_destroy(&begun);
    assert_string_equal(scan(f, "", ""), "a=1 b=2 bb=2 x=2 ");
}

/* ---- shared files -------------------------------------------------------------------------------------------------------------------- */

/* Two names of one file, of which `name` can be ingested. */
static void write_shared(struct fixture *f, const char *kept, const char *name, const char *entries)
{
    write_file(f, kept, entries);
    assert_int_equal(link(kept, name), 0);
}

static bool same_bytes(const char *path, const char *before, size_t length)
{
    size_t now = 0;
    char *after = temp_read(path, &now);
    bool same = after && now == length && memcmp(after, before, length) == 0;
    free(after);
    return same;
}

/* The database again, as by a RocksDB that writes into files. */
static void number_files(struct fixture *f)
{
    rocks_family_destroy(&f->a);
    rocks_destroy(&f->db);
    rocks_shared_number_files(f->shared);
    OK(rocks_open(&f->db, f->shared, temp_path(&f->dir, "db"), &f->diag));
    OK(rocks_family_new(f->db, "a", NULL, &f->a, &f->diag));
}

/* What a restore and every checkpoint of a spilled state lean on: over others, over a deleted range, and through a compaction.
 */
static void a_shared_file_that_overlaps_stays_as_it_is(void **state)
{
    struct fixture *f = *state;
    const char *kept = temp_path(&f->dir, "kept"), *name = temp_path(&f->dir, "name");
    size_t length = 0;
    add(f, "a=1 c=1 e=1");
    drop_range(f, "d", "f");
    write_shared(f, kept, name, "b=2 c=2 e=2");
    char *before = temp_read(kept, &length);
    OK(rocks_ingest(f->a, name, ROCKS_INGEST_SHARED, &f->diag));
    assert_true(same_bytes(kept, before, length));
    assert_string_equal(scan(f, "", ""), "a=1 b=2 c=2 e=2 ");
    struct rocks_family *b = NULL; /* and is good for another family, below something and over something */
    OK(rocks_family_new(f->db, "b", NULL, &b, &f->diag));
    add_to(f, b, "b=1 c=1");
    assert_int_equal(link(kept, name), 0);
    OK(rocks_ingest(b, name, ROCKS_INGEST_SHARED, &f->diag));
    add_to(f, b, "b=3");
    assert_string_equal(get_from(f, b, "b"), "3");
    assert_string_equal(get_from(f, b, "c"), "2");
    rocks_family_destroy(&b);
    OK(rocks_compact(f->a, &f->diag));
    assert_string_equal(scan(f, "", ""), "a=1 b=2 c=2 e=2 ");
    assert_true(same_bytes(kept, before, length));
    free(before);
}

/* Why a trial is made: RocksDB may write into a file that overlaps. */
static void a_private_file_that_overlaps_is_changed_in_place(void **state)
{
    struct fixture *f = *state;
    number_files(f);
    const char *kept = temp_path(&f->dir, "kept"), *name = temp_path(&f->dir, "name");
    size_t length = 0;
    add(f, "a=1 c=1");
    write_shared(f, kept, name, "b=2 c=2");
    char *before = temp_read(kept, &length);
    OK(rocks_ingest(f->a, name, 0, &f->diag));
    assert_false(same_bytes(kept, before, length));
    assert_string_equal(scan(f, "", ""), "a=1 b=2 c=2 ");
    free(before);
    struct rocks_family *b = NULL; /* once changed it is good for nothing else, not even an empty family */
    OK(rocks_family_new(f->db, "b", NULL, &b, &f->diag));
    assert_int_equal(link(kept, name), 0);
    FAILS(rocks_ingest(b, name, 0, &f->diag), WEIR_E_CORRUPT, name);
    FAILS(rocks_ingest(b, name, ROCKS_INGEST_SHARED, &f->diag), WEIR_E_CORRUPT, name);
    rocks_family_destroy(&b);
}

static void a_shared_file_is_never_changed(void **state)
{
    struct fixture *f = *state;
    const char *kept = temp_path(&f->dir, "kept"), *name = temp_path(&f->dir, "name");
    size_t length = 0;
    write_shared(f, kept, name, "b=1 c=1 d..e");
    char *before = temp_read(kept, &length);
    OK(rocks_ingest(f->a, name, ROCKS_INGEST_SHARED, &f->diag));
    assert_int_not_equal(access(name, F_OK), 0);
    assert_true(same_bytes(kept, before, length));
    add(f, "b=2"); /* and compaction leaves it alone, too */
    OK(rocks_compact(f->a, &f->diag));
    assert_string_equal(scan(f, "", ""), "b=2 c=1 ");
    assert_true(same_bytes(kept, before, length));
    free(before);
}

static void refuse_shared(struct fixture *f, const char *kept, const char *name)
{
    size_t length = 0;
    char *before = temp_read(kept, &length);
    FAILS(rocks_ingest(f->a, name, ROCKS_INGEST_SHARED, &f->diag), WEIR_E_EXISTS, name);
    assert_non_null(strstr(f->diag.text, "family 'a'"));
    assert_true(same_bytes(kept, before, length));
    assert_true(same_bytes(name, before, length));
    free(before);
}

/* By such a RocksDB it is refused over another file, and over a deleted range; nothing has changed, and in a gap it is welcome.
 */
static void a_shared_file_that_would_be_changed_is_refused(void **state)
{
    struct fixture *f = *state;
    const char *kept = temp_path(&f->dir, "kept"), *name = temp_path(&f->dir, "name");
    number_files(f);
    add(f, "a=1 c=1 z=1");
    write_shared(f, kept, name, "b=2 c=2 d=2");
    refuse_shared(f, kept, name);
    assert_string_equal(scan(f, "", ""), "a=1 c=1 z=1 ");
    assert_int_equal(unlink(kept) | unlink(name), 0);
    write_shared(f, kept, name, "f=2 g=2");
    drop_range(f, "e", "ff");
    refuse_shared(f, kept, name);
    assert_string_equal(scan(f, "", ""), "a=1 c=1 z=1 ");
    assert_int_equal(unlink(kept) | unlink(name), 0);
    write_shared(f, kept, name, "h=2 y=2"); /* between c and z */
    OK(rocks_ingest(f->a, name, ROCKS_INGEST_SHARED, &f->diag));
    assert_string_equal(scan(f, "", ""), "a=1 c=1 h=2 y=2 z=1 ");
}

/* One file, linked into two databases of one cache: each then goes its own way. */
static void one_file_serves_two_databases(void **state)
{
    struct fixture *f = *state;
    const char *kept = temp_path(&f->dir, "kept"), *one = temp_path(&f->dir, "one"), *two = temp_path(&f->dir, "two");
    struct rocks *db = NULL;
    struct rocks_family *other = NULL;
    OK(rocks_open(&db, f->shared, temp_path(&f->dir, "db2"), &f->diag));
    OK(rocks_family_new(db, "other", NULL, &other, &f->diag));
    write_shared(f, kept, one, "a=1 b=1 c=1");
    assert_int_equal(link(kept, two), 0);
    OK(rocks_ingest(f->a, one, ROCKS_INGEST_SHARED, &f->diag));
    OK(rocks_ingest(other, two, ROCKS_INGEST_SHARED, &f->diag));
    add(f, "a=2 b-");
    add_to(f, other, "c=3");
    assert_string_equal(scan(f, "", ""), "a=2 c=1 ");
    assert_string_equal(get_from(f, other, "a"), "1");
    assert_string_equal(get_from(f, other, "b"), "1");
    assert_string_equal(get_from(f, other, "c"), "3");
    rocks_family_destroy(&other);
    rocks_destroy(&db);
    assert_string_equal(get(f, "c"), "1");
}

/* Two databases, each with a private copy of one file at another place in its order; they share cached blocks, but not the order. */
static void copies_of_one_file_take_their_own_places(void **state)
{
    struct fixture *f = *state;
    const char *kept = temp_path(&f->dir, "kept"), *copy = temp_path(&f->dir, "copy");
    struct rocks_family *b = NULL;
    size_t length = 0;
    OK(rocks_family_new(f->db, "b", NULL, &b, &f->diag));
    write_file(f, kept, "k=old x..y");
    char *data = temp_read(kept, &length);
    temp_write(copy, data, length);
    free(data);
    OK(rocks_ingest(f->a, kept, 0, &f->diag));
    add(f, "k=new x=new");
    add_to(f, b, "k=first x=first");
    OK(rocks_ingest(b, copy, 0, &f->diag));
    for (int i = 0; i < 2; i++) {
        assert_string_equal(get(f, "k"), "new");
        assert_string_equal(get(f, "x"), "new");
        assert_string_equal(get_from(f, b, "k"), "old");
        assert_null(get_from(f, b, "x"));
        OK(rocks_compact(f->a, &f->diag));
        OK(rocks_compact(b, &f->diag));
    }
}

/* ---- databases and families ---------------------------------------------------------------------------------------------------------- */

static void a_folder_is_wiped_at_open_and_goes_at_the_end(void **state)
{
    struct fixture *f = *state;
    const char *dir = temp_path(&f->dir, "old"), *outside = temp_path(&f->dir, "outside");
    struct rocks *db = NULL;
    temp_write(outside, "x", 1);
    assert_int_equal(mkdir(dir, 0755), 0);
    assert_int_equal(mkdir(temp_path(&f->dir, "old/sub"), 0755), 0);
    temp_write(temp_path(&f->dir, "old/sub/CURRENT"), "y", 1);
    temp_write(temp_path(&f->dir, "old/CURRENT"), "nonsense", 8);
    assert_int_equal(symlink(outside, temp_path(&f->dir, "old/link")), 0);
    assert_int_equal(symlink(f->dir.path, temp_path(&f->dir, "old/sub/up")), 0);
    OK(rocks_open(&db, f->shared, dir, &f->diag));
    assert_int_not_equal(access(temp_path(&f->dir, "old/sub"), F_OK), 0);
    assert_int_not_equal(access(temp_path(&f->dir, "old/link"), F_OK), 0);
    assert_int_equal(access(outside, F_OK), 0);
    rocks_destroy(&db);
    assert_null(db);
    assert_int_not_equal(access(dir, F_OK), 0);
    rocks_destroy(&db); /* once more does no harm */
}

static void nothing_of_a_former_database_comes_back(void **state)
{
    struct fixture *f = *state;
    const char *dir = temp_path(&f->dir, "again");
    for (int i = 0; i < 2; i++) {
        struct rocks *db = NULL;
        struct rocks_family *a = NULL;
        OK(rocks_open(&db, f->shared, dir, &f->diag));
        OK(rocks_family_new(db, "a", NULL, &a, &f->diag));
        assert_null(get_from(f, a, "k"));
        add_to(f, a, "k=1");
        rocks_family_destroy(&a);
        rocks_destroy(&db);
    }
}

static void a_folder_that_cannot_be_is_named(void **state)
{
    struct fixture *f = *state;
    struct rocks *db = NULL;
    FAILS(rocks_open(&db, f->shared, temp_path(&f->dir, "no/parent"), &f->diag), WEIR_E_NOT_FOUND, "no/parent");
    temp_write(temp_path(&f->dir, "file"), "x", 1);
    FAILS(rocks_open(&db, f->shared, temp_path(&f->dir, "file/db"), &f->diag), WEIR_E_IO, "file/db");
    assert_null(db);
}

static void names_of_families_have_a_limit(void **state)
{
    struct fixture *f = *state;
    char name[ROCKS_NAME_MAX + 2];
    struct rocks_family *family = NULL;
    memset(name, 'n', sizeof name);
    name[ROCKS_NAME_MAX + 1] = '\0';
    FAILS(rocks_family_new(f->db, name, NULL, &family, &f->diag), WEIR_E_LIMIT, "256 bytes");
    FAILS(rocks_family_new(f->db, "", NULL, &family, &f->diag), WEIR_E_LIMIT, "0 bytes");
    FAILS(rocks_family_new(f->db, "a", NULL, &family, &f->diag), WEIR_E_EXISTS, "family 'a'");
    FAILS(rocks_family_new(f->db, "default", NULL, &family, &f->diag), WEIR_E_EXISTS, "family 'default'");
    assert_null(family);
    name[ROCKS_NAME_MAX] = '\0';
    const char *const names[] = {name, "a b/c", "\"]\n[x=\\", "\xc3\xa4\xff"};
    for (int i = 0; i < 4; i++) {
        OK(rocks_family_new(f->db, names[i], NULL, &family, &f->diag));
        add_to(f, family, "k=1");
        assert_string_equal(get_from(f, family, "k"), "1");
        rocks_family_destroy(&family);
        assert_null(family);
    }
    assert_null(get(f, "k")); /* each has its own keys */
    FAILS(rocks_family_new(f->db, name, NULL, &family, &f->diag), WEIR_E_EXISTS, "nnn");
}

static void statistics_count_what_happened(void **state)
{
    struct fixture *f = *state;
    struct rocks_stats s;
    add(f, "a=1 b=1");
    add(f, "b=2 c=2");
    (void)get(f, "a");
    (void)get(f, "x");
    rocks_stats(f->db, &s);
    assert_int_equal(s.files, 2);
    assert_int_equal(s.level0_files, 1); /* the first found nothing below it and went to the bottom */
    assert_int_equal(s.ingested_files, 2);
    assert_true(s.ingested_bytes > 0 && s.bytes == s.ingested_bytes);
    assert_int_equal(s.gets, 2);
    assert_int_equal(s.gets_found, 1);
    assert_true(s.cache_bytes > 0);
    assert_int_equal(s.compaction_write_bytes, 0);
    OK(rocks_compact(f->a, &f->diag));
    rocks_stats(f->db, &s);
    assert_int_equal(s.files, 1);
    assert_int_equal(s.level0_files, 0);
    assert_true(s.compaction_read_bytes > 0 && s.compaction_write_bytes > 0);
    assert_in_range(s.compactions_running, 0, 1); /* the thread may still be on its way out */
    OK(rocks_health(f->db, &f->diag));
}

/* ---- time to live -------------------------------------------------------------------------------------------------------------------- */

static int64_t read_clock(void *arg)
{
    return atomic_load((_Atomic int64_t *)arg);
}

static void write_times(struct fixture *f, const char *path, const int64_t *times, int n)
{
    struct rocks_writer *w = NULL;
    OK(rocks_writer_new(&w, f->shared, path, &f->diag));
    for (int i = 0; i < n; i++) {
        char key[2] = {'k', (char)('0' + i)}, value[9] = "........v";
        uint64_t bits = htole64((uint64_t)times[i]);
        memcpy(value, &bits, 8);
        OK(rocks_writer_put(w, key, 2, value, 9, &f->diag));
    }
    OK(rocks_writer_put(w, "short", 5, "v", 1, &f->diag)); /* no time: stays */
    OK(rocks_writer_finish(w, &f->diag));
    rocks_writer_destroy(&w);
}

static void expect_there(struct fixture *f, struct rocks_family *family, int n, const char *there)
{
    for (int i = 0; i < n; i++) {
        char key[3] = {'k', (char)('0' + i), '\0'};
        assert_int_equal(get_from(f, family, key) != NULL, there[i] == 'y');
    }
    assert_string_equal(get_from(f, family, "short"), "v");
}

static void compaction_drops_what_is_too_old(void **state)
{
    struct fixture *f = *state;
    enum { N = 6 };
    const int64_t times[N] = {-5, 0, 900, 901, INT64_MAX, INT64_MIN};
    _Atomic int64_t now = 1000;
    struct rocks_family_options options = {.ttl_ms = 100, .now_ms = read_clock, .now_arg = &now};
    struct rocks_family *b = NULL;
    OK(rocks_family_new(f->db, "ttl", &options, &b, &f->diag));
    memset(&options, 0xff, sizeof options); /* copied */
    const char *path = temp_path(&f->dir, "times.sst");
    write_times(f, path, times, N);
    OK(rocks_ingest(b, path, 0, &f->diag));
    expect_there(f, b, N, "yyyyyy");
    OK(rocks_compact(b, &f->diag));
    expect_there(f, b, N, "nnnyyn");
    now = 1001;
    OK(rocks_compact(b, &f->diag));
    expect_there(f, b, N, "nnnnyn");
    write_times(f, path, times, N);
    OK(rocks_ingest(f->a, path, 0, &f->diag)); /* without a time to live nothing goes */
    OK(rocks_compact(f->a, &f->diag));
    expect_there(f, f->a, N, "yyyyyy");
    now = INT64_MIN; /* now - ttl is no number: nothing is old enough */
    write_times(f, path, times, N);
    OK(rocks_ingest(b, path, 0, &f->diag));
    OK(rocks_compact(b, &f->diag));
    expect_there(f, b, N, "yyyyyy");
    rocks_family_destroy(&b);
}

/* ---- what is broken or missing ---------------------------------------------------------------------------------------------------------
 */

/* A file of several blocks, with one byte changed. */
static void write_broken(struct fixture *f, const char *path, size_t at)
{
    struct rocks_writer *w = NULL;
    OK(rocks_writer_new(&w, f->shared, path, &f->diag));
    for (int i = 0; i < 1000; i++) {
        char key[16], value[32];
        int key_length = snprintf(key, sizeof key, "k%04d", i), length = snprintf(value, sizeof value, "value of %d", i);
        OK(rocks_writer_put(w, key, (size_t)key_length, value, (size_t)length, &f->diag));
    }
    OK(rocks_writer_finish(w, &f->diag));
    rocks_writer_destroy(&w);
    size_t length = 0;
    char *data = temp_read(path, &length);
    assert_true(length > 20000);
    data[at] ^= 0x40;
    temp_write(path, data, length);
    free(data);
}

static void a_broken_block_is_found_when_it_is_read(void **state)
{
    struct fixture *f = *state;
    const char *path = temp_path(&f->dir, "broken.sst");
    struct rocks_value v = {.data = "untouched"};
    write_broken(f, path, 10000);
    OK(rocks_ingest(f->a, path, 0, &f->diag)); /* which looks at its ends only */
    assert_string_equal(get(f, "k0000"), "value of 0");
    weir_err err = WEIR_OK;
    char key[16];
    for (int i = 1; i < 999 && !err; i++) {
        snprintf(key, sizeof key, "k%04d", i);
        err = rocks_get(f->a, key, 5, &v, &f->diag);
        if (!err) rocks_value_release(&v);
    }
    assert_int_equal(err, WEIR_E_CORRUPT);
    assert_non_null(strstr(f->diag.text, "family 'a'"));
    assert_non_null(strstr(f->diag.text, ".sst"));
    struct rocks_value both[2] = {{.data = "untouched"}, {.data = "untouched"}};
    const struct weir_bytes keys[] = {bytes("k0000"), bytes(key)};
    FAILS(rocks_multi_get(f->a, 2, keys, both, &f->diag), WEIR_E_CORRUPT, "family 'a'");
    assert_string_equal(both[0].data, "untouched");
    struct rocks_cursor *c = cursor(f, key, "", 0);
    struct weir_bytes k, value;
    bool more;
    FAILS(rocks_cursor_next(c, &more, &k, &value, &f->diag), WEIR_E_CORRUPT, "family 'a'");
    rocks_cursor_destroy(&c);
}

/* A compaction that fails shows in the health, in RocksDB's words, and stays there. */
static void a_failed_compaction_shows_in_the_health(void **state)
{
    struct fixture *f = *state;
    const char *path = temp_path(&f->dir, "broken.sst");
    write_broken(f, path, 10000);
    OK(rocks_ingest(f->a, path, 0, &f->diag));
    OK(rocks_health(f->db, &f->diag));
    FAILS(rocks_compact(f->a, &f->diag), WEIR_E_CORRUPT, "compact family 'a'");
    FAILS(rocks_health(f->db, &f->diag), WEIR_E_CORRUPT, "db: flush or compaction failed");
}

static void a_file_that_is_none_is_refused(void **state)
{
    struct fixture *f = *state;
    const char *path = temp_path(&f->dir, "x.sst");
    FAILS(rocks_ingest(f->a, path, 0, &f->diag), WEIR_E_NOT_FOUND, path);
    assert_non_null(strstr(f->diag.text, "family 'a'"));
    temp_write(path, "short", 5);
    FAILS(rocks_ingest(f->a, path, 0, &f->diag), WEIR_E_CORRUPT, path);
    temp_write(path, "", 0);
    FAILS(rocks_ingest(f->a, path, 0, &f->diag), WEIR_E_CORRUPT, path);
    char zeros[4096] = {0};
    temp_write(path, zeros, sizeof zeros);
    FAILS(rocks_ingest(f->a, path, ROCKS_INGEST_SHARED, &f->diag), WEIR_E_CORRUPT, path);
    assert_string_equal(scan(f, "", ""), "");
    assert_int_equal(access(path, F_OK), 0); /* it stays */
    add(f, "a=1");
    assert_string_equal(get(f, "a"), "1");
}

/* ---- writers ---------------------------------------------------------------------------------------------------------------------------
 */

static void a_writer_refuses_what_is_out_of_order(void **state)
{
    struct fixture *f = *state;
    const char *path = temp_path(&f->dir, "w.sst");
    struct rocks_writer *w = NULL;
    OK(rocks_writer_new(&w, f->shared, path, &f->diag));
    OK(rocks_writer_put(w, "b", 1, "1", 1, &f->diag));
    FAILS(rocks_writer_put(w, "b", 1, "1", 1, &f->diag), WEIR_E_ARGUMENT, path);
    FAILS(rocks_writer_delete(w, "a", 1, &f->diag), WEIR_E_ARGUMENT, path);
    rocks_writer_destroy(&w);
    assert_int_not_equal(access(path, F_OK), 0); /* not finished: gone */
    OK(rocks_writer_new(&w, f->shared, path, &f->diag));
    FAILS(rocks_writer_finish(w, &f->diag), WEIR_E_ARGUMENT, path);
    rocks_writer_destroy(&w);
    assert_int_not_equal(access(path, F_OK), 0);
    rocks_writer_destroy(&w); /* once more does no harm */
}

static void a_writer_overwrites_nothing(void **state)
{
    struct fixture *f = *state;
    const char *path = temp_path(&f->dir, "w.sst");
    struct rocks_writer *w = NULL;
    temp_write(path, "mine", 4);
    FAILS(rocks_writer_new(&w, f->shared, path, &f->diag), WEIR_E_EXISTS, path);
    assert_true(same_bytes(path, "mine", 4));
    FAILS(rocks_writer_new(&w, f->shared, temp_path(&f->dir, "no/w.sst"), &f->diag), WEIR_E_NOT_FOUND, "no/w.sst");
    assert_null(w);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(what_files_bring_is_read),
        STORY(a_later_file_lies_over_an_earlier_one),
        STORY(a_range_in_a_file_spares_the_points_beside_it),
        STORY(a_range_deleted_stays_deleted_until_written_again),
        STORY(many_keys_are_read_at_once),
        STORY(the_most_keys_are_read_at_once),
        STORY(a_pinned_value_outlives_its_file),
        STORY(a_cursor_keeps_to_its_range),
        STORY(a_cursor_seeks_within_its_range),
        STORY(a_cursor_runs_backwards),
        STORY(a_cursor_keeps_its_view),
        STORY(a_shared_file_that_overlaps_stays_as_it_is),
        STORY(a_private_file_that_overlaps_is_changed_in_place),
        STORY(a_shared_file_is_never_changed),
        STORY(a_shared_file_that_would_be_changed_is_refused),
        STORY(one_file_serves_two_databases),
        STORY(copies_of_one_file_take_their_own_places),
        STORY(a_folder_is_wiped_at_open_and_goes_at_the_end),
        STORY(nothing_of_a_former_database_comes_back),
        STORY(a_folder_that_cannot_be_is_named),
        STORY(names_of_families_have_a_limit),
        STORY(statistics_count_what_happened),
        STORY(compaction_drops_what_is_too_old),
        STORY(a_broken_block_is_found_when_it_is_read),
        STORY(a_failed_compaction_shows_in_the_health),
        STORY(a_file_that_is_none_is_refused),
        STORY(a_writer_refuses_what_is_out_of_order),
        STORY(a_writer_overwrites_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
