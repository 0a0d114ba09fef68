/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/state/run.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/temp_dir.h"
#include "tests/unit/state/oracle.h"

/* ---- the same entries in an array, and qsort ----------------------------------------------------------------------------------------- */

struct item {
    unsigned char *key; /* prefix, key group, key */
    uint32_t key_length;
    unsigned char *value; /* time and value; NULL for a deletion */
    uint32_t value_length;
};

struct model {
    struct rng r;
    struct memory memory;
    struct run run;
    unsigned char prefix[RUN_PREFIX_MAX];
    uint32_t prefix_length;
    bool mixed; /* prefixes of items differ in a byte */
    struct item *items;
    uint32_t n;
};

static int by_key(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    int order = memcmp(x->key, y->key, x->key_length < y->key_length ? x->key_length : y->key_length);
    return order ? order : x->key_length < y->key_length ? -1 : x->key_length > y->key_length;
}

static void *obtain(size_t n)
{
    void *p = calloc(1, n ? n : 1);
    assert_non_null(p);
    return p;
}

static void fill(struct rng *r, unsigned char *to, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) to[i] = (unsigned char)draw(r);
}

enum keys { KEYS_RANDOM, KEYS_TWO_LETTERS, KEYS_LONG_PREFIX, KEYS_ZEROS, KEYS_COUNTER, KEYS_LENGTHS, KEYS_KINDS };

static const uint32_t edge_lengths[] = {0, 1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 300, 65536};

static uint32_t draw_key_length(struct rng *r, enum keys kind, uint32_t i)
{
    switch (kind) {
    case KEYS_TWO_LETTERS: return below(r, 24);
    case KEYS_LONG_PREFIX: return 44;
    case KEYS_ZEROS: return i % 2000;
    case KEYS_LENGTHS: return edge_lengths[below(r, i < 20 ? 13 : 12)];
    default: return 8;
    }
}

static void draw_key(struct rng *r, enum keys kind, uint32_t i, unsigned char *to, uint32_t length)
{
    switch (kind) {
    case KEYS_TWO_LETTERS:
        for (uint32_t k = 0; k < length; k++) to[k] = draw(r) % 3 ? 0 : 'a';
        return;
    case KEYS_LONG_PREFIX: memcpy(to + 40, &i, 4); return;
    case KEYS_ZEROS: return;
    case KEYS_COUNTER: memcpy(to, &i, 4); return;
    default: fill(r, to, length); return;
    }
}

static struct item draw_item(struct model *m, enum keys kind, uint32_t groups, uint32_t i)
{
    uint32_t length = draw_key_length(&m->r, kind, i), group = below(&m->r, groups);
    struct item item = {.key_length = m->prefix_length + RUN_PREFIX + length};
    item.key = obtain(item.key_length);
    memcpy(item.key, m->prefix, m->prefix_length);
    if (m->mixed && m->prefix_length) item.key[below(&m->r, m->prefix_length)] ^= (unsigned char)below(&m->r, 4);
    item.key[m->prefix_length] = (unsigned char)(group >> 8);
    item.key[m->prefix_length + 1] = (unsigned char)group;
    draw_key(&m->r, kind, i, item.key + m->prefix_length + RUN_PREFIX, length);
    if (below(&m->r, 10) == 0) return item; /* a deletion */
    item.value_length = 8 + (below(&m->r, 2) ? 24 : below(&m->r, 60));
    item.value = obtain(item.value_length);
    fill(&m->r, item.value, item.value_length);
    return item;
}

static void drop_item(struct item *item)
{
    free(item->key);
    free(item->value);
}

/* Sorts the items and drops those whose key is there already. */
static void make_distinct(struct model *m)
{
    uint32_t kept = 0;
    qsort(m->items, m->n, sizeof *m->items, by_key);
    for (uint32_t i = 0; i < m->n; i++) {
        if (kept && by_key(&m->items[i], &m->items[kept - 1]) == 0)
            drop_item(&m->items[i]);
        else
            m->items[kept++] = m->items[i];
    }
    m->n = kept;
}

static weir_err add_item(struct model *m, const struct item *item)
{
    const unsigned char *group = item->key + m->prefix_length, *key = group + RUN_PREFIX;
    uint16_t key_group = (uint16_t)(group[0] << 8 | group[1]);
    uint32_t length = item->key_length - m->prefix_length - RUN_PREFIX;
    run_set_prefix(&m->run, (struct weir_bytes){item->key, m->prefix_length});
    if (!item->value) return run_delete(&m->run, key_group, length ? key : NULL, length);
    uint64_t time = 0;
    for (uint32_t i = 0; i < 8; i++) time |= (uint64_t)item->value[i] << (8 * i);
    uint32_t n = item->value_length - 8;
    return run_add(&m->run, key_group, length ? key : NULL, length, (int64_t)time, n ? item->value + 8 : NULL, n);
}

/* Adds all items in an order of its own. */
static void add_shuffled(struct model *m)
{
    uint32_t *order = obtain(m->n * sizeof *order);
    for (uint32_t i = 0; i < m->n; i++) {
        uint32_t other = below(&m->r, i + 1);
        order[i] = order[other];
        order[other] = i;
    }
    for (uint32_t i = 0; i < m->n; i++) CHECK(add_item(m, &m->items[order[i]]) == WEIR_OK);
    CHECK(m->run.n == m->n);
    free(order);
}

static struct model *make_items(uint64_t seed, enum keys kind, uint32_t groups, uint32_t n)
{
    current_seed = seed;
    struct model *m = obtain(sizeof *m);
    m->r.state = seed;
    m->prefix_length = seed % 3 == 0 ? 0 : seed % 3 == 1 ? 8 : below(&m->r, RUN_PREFIX_MAX + 1);
    fill(&m->r, m->prefix, m->prefix_length);
    m->mixed = seed % 4 >= 2;
    run_init(&m->run, &m->memory);
    m->items = obtain(n * sizeof *m->items);
    for (m->n = 0; m->n < n; m->n++) m->items[m->n] = draw_item(m, kind, groups, m->n);
    make_distinct(m);
    return m;
}

static void drop_model(struct model *m)
{
    run_close(&m->run);
    run_close(&m->run); /* once more does no harm */
    CHECK(m->memory.bytes == 0);
    for (uint32_t i = 0; i < m->n; i++) drop_item(&m->items[i]);
    free(m->items);
    free(m);
}

static bool equal(struct weir_bytes a, const unsigned char *b, uint32_t length)
{
    return a.length == length && (length == 0 || memcmp(a.data, b, length) == 0);
}

static void check_order(const struct model *m)
{
    CHECK(m->run.n == m->n);
    for (uint32_t i = 0; i < m->n; i++) {
        struct weir_bytes key, value;
        run_entry(&m->run, i, &key, &value);
        CHECK(equal(key, m->items[i].key, m->items[i].key_length));
        CHECK((value.data == NULL) == (m->items[i].value == NULL));
        CHECK(equal(value, m->items[i].value, m->items[i].value_length));
    }
}

/* ---- sorting ------------------------------------------------------------------------------------------------------------------------- */

static void sort_and_compare(uint64_t seed, enum keys kind, uint32_t groups, uint32_t n)
{
    struct model *m = make_items(seed, kind, groups, n);
    add_shuffled(m);
    CHECK(run_sort(&m->run) == WEIR_OK);
    check_order(m);
    CHECK(run_sort(&m->run) == WEIR_OK);
    CHECK(m->memory.bytes >= m->run.bytes);
    drop_model(m);
}

static void small_runs_are_sorted_as_by_qsort(void **state)
{
    (void)state;
    uint64_t seed = 1;
    const uint32_t sizes[] = {1, 2, 3, 47, 48, 49, 50, 200, 1000};
    for (enum keys kind = 0; kind < KEYS_KINDS; kind++) {
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            sort_and_compare(seed++, kind, 1, sizes[i]);
            sort_and_compare(seed++, kind, 300, sizes[i]);
            sort_and_compare(seed++, kind, 32768, sizes[i]);
        }
    }
}

/* Enough entries for the counting of key groups; many in a group, and few. */
static void large_runs_are_sorted_as_by_qsort(void **state)
{
    (void)state;
    uint64_t seed = 1000;
    const uint32_t groups[] = {1, 20, 32768, 65536};
    for (enum keys kind = 0; kind < KEYS_KINDS; kind++) {
        for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) sort_and_compare(seed++, kind, groups[i], 40000);
    }
}

/* Each key is the one before it and a byte more: the radix sort goes as deep as it may. */
static void keys_that_are_prefixes_of_each_other_are_sorted(void **state)
{
    (void)state;
    enum { N = 3000 };
    static unsigned char key[N];
    for (int byte = 0; byte < 256; byte += 85) {
        struct memory memory = {0};
        struct run run;
        memset(key, byte, sizeof key);
        run_init(&run, &memory);
        for (uint32_t i = 0; i < N; i++) assert_int_equal(run_add(&run, 7, key, i * 7 % N, 0, NULL, 0), WEIR_OK);
        assert_int_equal(run_sort(&run), WEIR_OK);
        for (uint32_t i = 0; i < N; i++) {
            struct weir_bytes k, value;
            run_entry(&run, i, &k, &value);
            assert_int_equal(k.length, RUN_PREFIX + i);
            assert_int_equal(value.length, 8);
        }
        run_close(&run);
    }
}

static void an_empty_run_has_nothing_and_takes_no_memory(void **state)
{
    (void)state;
    struct memory memory = {0};
    struct run run, zeroed = {0};
    run_init(&run, &memory);
    run_set_prefix(&run, (struct weir_bytes){"pane", 4});
    assert_int_equal(run_sort(&run), WEIR_OK);
    assert_int_equal(run.n, 0);
    assert_int_equal(memory.bytes, 0);
    run_close(&run);
    run_close(&zeroed);
}

/* ---- memory -------------------------------------------------------------------------------------------------------------------------- */

/* Fails the Nth allocation of gathering and all later ones, N = 1, 2, ...; the run is as before, and goes on when memory is back. */
static void gathering_survives_the_lack_of_memory(void **state)
{
    (void)state;
    static const unsigned char large[600000];
    for (uint64_t n = 1;; n++) {
        struct model *m = make_items(n, KEYS_LENGTHS, 100, 2000);
        m->memory.fail_in = n;
        uint32_t i = 0;
        while (i < m->n && add_item(m, &m->items[i]) == WEIR_OK) i++;
        bool failed = i < m->n;
        uint64_t bytes = m->memory.bytes, in_run = m->run.bytes;
        CHECK(!failed || run_add(&m->run, 1, large, 9, 1, large, sizeof large) == WEIR_E_NOMEM);
        CHECK(m->run.n == i && m->memory.bytes == bytes && m->run.bytes == in_run);
        m->memory.fail_in = 0;
        for (; i < m->n; i++) CHECK(add_item(m, &m->items[i]) == WEIR_OK);
        CHECK(run_sort(&m->run) == WEIR_OK);
        check_order(m);
        drop_model(m);
        if (!failed) break;
    }
}

static void sorting_survives_the_lack_of_memory(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 3; n++) {
        struct model *m = make_items(4 * n, KEYS_RANDOM, 100, 20000);
        add_shuffled(m);
        m->run.sorting.fail_in = n;
        weir_err err = run_sort(&m->run);
        CHECK(err == (n < 3 ? WEIR_E_NOMEM : WEIR_OK));
        CHECK(!err || m->run.sorting.bytes == 0);
        m->run.sorting.fail_in = 0;
        CHECK(run_sort(&m->run) == WEIR_OK);
        check_order(m);
        drop_model(m);
    }
}

/* Entries of all sizes lie closely: large ones do not end the chunk that small ones go into. */
static void little_memory_is_left_empty(void **state)
{
    (void)state;
    static const unsigned char value[1u << 20];
    const uint32_t sizes[] = {1000, 500000, 600000, 1u << 20};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        struct memory memory = {0};
        struct run run;
        run_init(&run, &memory);
        for (uint32_t i = 0; i < 40; i++) {
            assert_int_equal(run_add(&run, 0, &i, sizeof i, 0, value, 10), WEIR_OK);
            assert_int_equal(run_add(&run, 1, &i, sizeof i, 0, value, sizes[s]), WEIR_OK);
        }
        assert_in_range(memory.bytes, run.bytes, run.bytes * 4 / 3 + MEMORY_HUGE_BYTES);
        run_close(&run);
        assert_int_equal(memory.bytes, 0);
    }
}

/* ---- files: what is written is what a keeper gives back ------------------------------------------------------------------------------ */

struct shelf {
    struct temp_dir dir;
    struct rocks_shared *shared;
    struct rocks *rocks;
    struct rocks_family *family;
    struct weir_diag diag;
    struct run_file *files;
    uint32_t n_files;
};

#define MUST(call) must((call), &s->diag, __FILE__, __LINE__)

static void must(weir_err err, const struct weir_diag *diag, const char *file, int line)
{
    if (!err) return;
    print_error("%s: %s\n", weir_err_name(err), diag->text);
    _fail(file, line);
}

static struct shelf *open_shelf(void)
{
    struct shelf *s = obtain(sizeof *s);
    const struct rocks_family_options options = {0};
    temp_dir_make(&s->dir);
    MUST(rocks_shared_new(&s->shared, 4u << 20, 1, &s->diag));
    MUST(rocks_open(&s->rocks, s->shared, temp_path(&s->dir, "db"), &s->diag));
    MUST(rocks_family_new(s->rocks, "state", &options, &s->family, &s->diag));
    assert_int_equal(mkdir(temp_path(&s->dir, "out"), 0700), 0);
    return s;
}

static void close_shelf(struct shelf *s)
{
    rocks_family_destroy(&s->family);
    rocks_destroy(&s->rocks);
    rocks_shared_destroy(&s->shared);
    temp_dir_remove(&s->dir);
    free(s->files);
    free(s);
}

static const char *out_path(const struct shelf *s, const char *name)
{
    char path[TEMP_PATH_MAX];
    (void)snprintf(path, sizeof path, "out/%s", name);
    return temp_path(&s->dir, path);
}

static weir_err write_run(struct shelf *s, const struct run *run, const struct run_range *ranges, uint32_t n_ranges)
{
    free(s->files);
    s->files = NULL;
    s->n_files = 0;
    return run_write(run, s->shared, temp_path(&s->dir, "out"), "run-7", ranges, n_ranges, &s->files, &s->n_files, &s->diag);
}

/* Names, sizes and checksums are right; gives the number of entries. */
static uint64_t check_files(const struct shelf *s)
{
    uint64_t entries = 0;
    for (uint32_t i = 0; i < s->n_files; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "run-7-%u.sst", i);
        CHECK(strcmp(s->files[i].name, name) == 0);
        size_t length = 0;
        char *content = temp_read(out_path(s, name), &length);
        CHECK(content && length == s->files[i].bytes && crc32c(0, content, length) == s->files[i].crc32c);
        free(content);
        entries += s->files[i].entries;
    }
    return entries;
}

static void ingest_all(struct shelf *s)
{
    for (uint32_t i = 0; i < s->n_files; i++) MUST(rocks_ingest(s->family, out_path(s, s->files[i].name), 0, &s->diag));
}

/* The keeper gives the model's items but the deleted ones. */
static void check_kept(struct shelf *s, const struct model *m)
{
    struct rocks_cursor *cursor = NULL;
    struct weir_bytes key, value;
    bool more = false;
    MUST(rocks_cursor_new(s->family, (struct weir_bytes){0}, (struct weir_bytes){0}, 0, &cursor, &s->diag));
    for (uint32_t i = 0; i < m->n; i++) {
        if (!m->items[i].value) continue;
        MUST(rocks_cursor_next(cursor, &more, &key, &value, &s->diag));
        CHECK(more);
        CHECK(equal(key, m->items[i].key, m->items[i].key_length));
        CHECK(equal(value, m->items[i].value, m->items[i].value_length));
    }
    MUST(rocks_cursor_next(cursor, &more, &key, &value, &s->diag));
    CHECK(!more);
    rocks_cursor_destroy(&cursor);
}

static void written_and_read(uint64_t seed, enum keys kind, uint32_t n, uint64_t file_bytes)
{
    struct model *m = make_items(seed, kind, 32768, n);
    struct shelf *s = open_shelf();
    add_shuffled(m);
    m->run.file_bytes = file_bytes;
    MUST(run_sort(&m->run));
    MUST(write_run(s, &m->run, NULL, 0));
    CHECK(check_files(s) == m->n);
    CHECK(file_bytes < RUN_FILE_BYTES ? s->n_files > 2 : s->n_files == 1);
    ingest_all(s);
    check_kept(s, m);
    close_shelf(s);
    drop_model(m);
}

static void a_run_is_read_back_as_it_was(void **state)
{
    (void)state;
    uint64_t seed = 1;
    for (enum keys kind = 0; kind < KEYS_KINDS; kind++) {
        written_and_read(seed++, kind, 1, RUN_FILE_BYTES);
        written_and_read(seed++, kind, 3000, RUN_FILE_BYTES);
        written_and_read(seed++, kind, 20000, 30000); /* many files */
    }
}

static void values_from_nothing_to_a_mib_are_read_back(void **state)
{
    (void)state;
    struct model *m = make_items(4, KEYS_LENGTHS, 50, 60);
    struct shelf *s = open_shelf();
    for (uint32_t i = 0; i < m->n; i++) {
        const uint32_t lengths[] = {0, 1, 7, 8, 9, 65536, 700000, 1u << 20};
        struct item *item = &m->items[i];
        free(item->value);
        item->value_length = 8 + lengths[i % 8];
        item->value = obtain(item->value_length);
        fill(&m->r, item->value, item->value_length);
    }
    add_shuffled(m);
    m->run.file_bytes = 3u << 20;
    MUST(run_sort(&m->run));
    MUST(write_run(s, &m->run, NULL, 0));
    CHECK(check_files(s) == m->n);
    CHECK(s->n_files > 3);
    ingest_all(s);
    check_kept(s, m);
    close_shelf(s);
    drop_model(m);
}

static void an_empty_run_writes_no_file(void **state)
{
    (void)state;
    struct memory memory = {0};
    struct shelf *s = open_shelf();
    struct run run;
    run_init(&run, &memory);
    MUST(run_sort(&run));
    MUST(write_run(s, &run, NULL, 0));
    assert_int_equal(s->n_files, 0);
    assert_null(s->files);
    assert_string_equal(temp_list(temp_path(&s->dir, "out")), "");
    run_close(&run);
    close_shelf(s);
}

static uint32_t count_kept(struct shelf *s)
{
    struct rocks_cursor *cursor = NULL;
    struct weir_bytes key, value;
    uint32_t n = 0;
    MUST(rocks_cursor_new(s->family, (struct weir_bytes){0}, (struct weir_bytes){0}, 0, &cursor, &s->diag));
    for (bool more = true; more; n += more) MUST(rocks_cursor_next(cursor, &more, &key, &value, &s->diag));
    rocks_cursor_destroy(&cursor);
    return n;
}

/* Group 5 is deleted as a range: what older files hold of it goes, what the run itself holds stays, in all of its files. */
static void ranges_delete_what_is_older_than_the_run(void **state)
{
    (void)state;
    enum { N = 3000 };
    struct memory memory = {0};
    struct shelf *s = open_shelf();
    const struct run_range range = {{"\0\5", 2}, {"\0\6", 2}};
    struct run old, young, none;
    run_init(&old, &memory);
    run_init(&young, &memory);
    run_init(&none, &memory);
    for (uint32_t i = 0; i < N; i++) {
        assert_int_equal(run_add(&old, (uint16_t)(4 + i % 3), &i, sizeof i, 1, "old", 3), WEIR_OK);
        if (i % 3 == 1) assert_int_equal(run_add(&young, 5, &i, 3, 2, "young", 5), WEIR_OK);
    }
    MUST(run_sort(&old));
    MUST(run_sort(&young));
    MUST(write_run(s, &old, NULL, 0));
    ingest_all(s);
    young.file_bytes = 5000;
    MUST(write_run(s, &young, &range, 1));
    assert_in_range(s->n_files, 2, 100);
    assert_int_equal(check_files(s), young.n);
    ingest_all(s);
    assert_int_equal(count_kept(s), N / 3 * 3);

    /* And a run of nothing but the range. */
    MUST(write_run(s, &none, &range, 1));
    assert_int_equal(s->n_files, 1);
    assert_int_equal(check_files(s), 0);
    ingest_all(s);
    assert_int_equal(count_kept(s), N / 3 * 2);
    run_close(&old);
    run_close(&young);
    run_close(&none);
    close_shelf(s);
}

/* ---- files: failures ----------------------------------------------------------------------------------------------------------------- */

/* A sorted run of several small files. */
static void make_run(struct run *run, struct memory *memory)
{
    run_init(run, memory);
    for (uint32_t i = 0; i < 5000; i++) assert_int_equal(run_add(run, (uint16_t)i, &i, sizeof i, 1, "value", 5), WEIR_OK);
    run->file_bytes = 10000;
    assert_int_equal(run_sort(run), WEIR_OK);
}

/* The third file's name is taken: the first two go, the one that was there stays. */
static void a_name_that_is_taken_fails_the_run_and_is_left_alone(void **state)
{
    (void)state;
    struct memory memory = {0};
    struct shelf *s = open_shelf();
    struct run run;
    make_run(&run, &memory);
    temp_write(out_path(s, "run-7-2.sst"), "mine", 4);
    assert_int_equal(write_run(s, &run, NULL, 0), WEIR_E_EXISTS);
    assert_non_null(strstr(s->diag.text, "run-7-2.sst"));
    assert_null(s->files);
    assert_string_equal(temp_list(temp_path(&s->dir, "out")), "run-7-2.sst ");
    size_t length = 0;
    char *content = temp_read(out_path(s, "run-7-2.sst"), &length);
    assert_string_equal(content, "mine");
    free(content);

    assert_int_equal(unlink(out_path(s, "run-7-2.sst")), 0);
    MUST(write_run(s, &run, NULL, 0));
    assert_int_equal(check_files(s), run.n);
    run_close(&run);
    close_shelf(s);
}

static void a_folder_that_cannot_be_written_fails_the_run(void **state)
{
    (void)state;
    struct memory memory = {0};
    struct shelf *s = open_shelf();
    struct run run;
    struct run_file *files = NULL;
    uint32_t n = 99;
    make_run(&run, &memory);
    const char *missing = temp_path(&s->dir, "missing");
    weir_err err = run_write(&run, s->shared, missing, "r", NULL, 0, &files, &n, &s->diag);
    assert_true(err == WEIR_E_IO || err == WEIR_E_NOT_FOUND);
    assert_non_null(strstr(s->diag.text, missing));
    temp_write(temp_path(&s->dir, "file"), "", 0);
    assert_int_equal(run_write(&run, s->shared, temp_path(&s->dir, "file"), "r", NULL, 0, &files, &n, &s->diag), WEIR_E_IO);
    assert_null(files);
    assert_int_equal(n, 99); /* untouched */
    run_close(&run);
    close_shelf(s);
}

static void a_name_too_long_is_refused(void **state)
{
    (void)state;
    struct memory memory = {0};
    struct shelf *s = open_shelf();
    struct run run;
    struct run_file *files = NULL;
    uint32_t n = 0;
    char stem[65], *deep = obtain(5000);
    memset(stem, 's', 64);
    stem[64] = 0;
    memset(deep, 'd', 4999);
    make_run(&run, &memory);
    assert_int_equal(run_write(&run, s->shared, temp_path(&s->dir, "out"), stem, NULL, 0, &files, &n, &s->diag), WEIR_E_LIMIT);
    assert_int_equal(run_write(&run, s->shared, deep, "r", NULL, 0, &files, &n, &s->diag), WEIR_E_LIMIT);
    assert_string_equal(temp_list(temp_path(&s->dir, "out")), "");
    free(deep);
    run_close(&run);
    close_shelf(s);
}

/* ---- checksums and copies ------------------------------------------------------------------------------------------------------------ */

static const size_t file_sizes[] = {0, 1, 4095, 262143, 262144, 262145, 1000000};

static void a_checksum_is_of_the_whole_file(void **state)
{
    (void)state;
    struct temp_dir dir;
    struct rng r = {5};
    unsigned char *data = obtain(1000000);
    fill(&r, data, 1000000);
    temp_dir_make(&dir);
    for (size_t i = 0; i < sizeof file_sizes / sizeof *file_sizes; i++) {
        uint32_t crc = 1;
        uint64_t bytes = 1;
        temp_write(temp_path(&dir, "f"), data, file_sizes[i]);
        assert_int_equal(run_file_checksum(temp_path(&dir, "f"), &crc, &bytes, NULL), WEIR_OK);
        assert_int_equal(bytes, file_sizes[i]);
        assert_int_equal(crc, crc32c(0, data, file_sizes[i]));
    }
    free(data);
    temp_dir_remove(&dir);
}

static void a_file_that_cannot_be_read_is_named(void **state)
{
    (void)state;
    struct temp_dir dir;
    struct weir_diag diag;
    uint32_t crc = 3;
    uint64_t bytes = 4;
    temp_dir_make(&dir);
    assert_int_equal(run_file_checksum(temp_path(&dir, "none"), &crc, &bytes, &diag), WEIR_E_NOT_FOUND);
    assert_non_null(strstr(diag.text, "/none"));
    assert_int_equal(run_file_checksum(dir.path, &crc, &bytes, &diag), WEIR_E_IO);
    assert_non_null(strstr(diag.text, dir.path));
    assert_int_equal(crc, 3);
    assert_int_equal(bytes, 4);
    temp_dir_remove(&dir);
}

static void check_same(const char *a, const char *b)
{
    uint32_t crc_a, crc_b;
    uint64_t bytes_a, bytes_b;
    assert_int_equal(run_file_checksum(a, &crc_a, &bytes_a, NULL), WEIR_OK);
    assert_int_equal(run_file_checksum(b, &crc_b, &bytes_b, NULL), WEIR_OK);
    assert_int_equal(bytes_a, bytes_b);
    assert_int_equal(crc_a, crc_b);
}

/* `elsewhere` may be another file system, between which the kernel may refuse to copy. */
static void copy_between(const char *elsewhere)
{
    struct temp_dir dir;
    struct rng r = {6};
    unsigned char *data = obtain(1000000);
    char away[TEMP_PATH_MAX + 64];
    fill(&r, data, 1000000);
    temp_dir_make(&dir);
    (void)snprintf(away, sizeof away, "%s/weir-test-copy-%d", elsewhere ? elsewhere : dir.path, (int)getpid());
    for (size_t i = 0; i < sizeof file_sizes / sizeof *file_sizes; i++) {
        temp_write(temp_path(&dir, "from"), data, file_sizes[i]);
        assert_int_equal(run_file_copy(temp_path(&dir, "from"), away, NULL), WEIR_OK);
        check_same(temp_path(&dir, "from"), away);
        assert_int_equal(run_file_copy(away, temp_path(&dir, "back"), NULL), WEIR_OK);
        check_same(temp_path(&dir, "back"), away);
        assert_int_equal(unlink(away), 0);
        assert_int_equal(unlink(temp_path(&dir, "back")), 0);
    }
    free(data);
    temp_dir_remove(&dir);
}

static void a_copy_is_the_same(void **state)
{
    (void)state;
    copy_between(NULL);
    if (access("/dev/shm", W_OK) == 0) copy_between("/dev/shm");
}

static void a_copy_replaces_nothing(void **state)
{
    (void)state;
    struct temp_dir dir;
    struct weir_diag diag;
    temp_dir_make(&dir);
    temp_write(temp_path(&dir, "from"), "new", 3);
    temp_write(temp_path(&dir, "to"), "old!", 4);
    assert_int_equal(run_file_copy(temp_path(&dir, "from"), temp_path(&dir, "to"), &diag), WEIR_E_EXISTS);
    assert_non_null(strstr(diag.text, "/to"));
    size_t length = 0;
    char *content = temp_read(temp_path(&dir, "to"), &length);
    assert_string_equal(content, "old!");
    free(content);
    temp_dir_remove(&dir);
}

/* A source that is missing, that is a folder, and one that is shorter than its size says. */
static void a_copy_that_fails_leaves_no_file(void **state)
{
    (void)state;
    struct temp_dir dir;
    struct weir_diag diag;
    temp_dir_make(&dir);
    const char *to = temp_path(&dir, "to"), *shorter = "/sys/kernel/mm/transparent_hugepage/enabled";
    assert_int_equal(run_file_copy(temp_path(&dir, "none"), to, &diag), WEIR_E_NOT_FOUND);
    assert_non_null(strstr(diag.text, "/none"));
    assert_int_equal(run_file_copy(dir.path, to, &diag), WEIR_E_IO);
    assert_non_null(strstr(diag.text, dir.path));
    temp_write(temp_path(&dir, "from"), "new", 3);
    assert_int_equal(run_file_copy(temp_path(&dir, "from"), temp_path(&dir, "no/to"), &diag), WEIR_E_NOT_FOUND);
    if (access(shorter, R_OK) == 0) {
        assert_int_equal(run_file_copy(shorter, to, &diag), WEIR_E_IO);
        assert_non_null(strstr(diag.text, shorter));
    }
    assert_string_equal(temp_list(dir.path), "from ");
    temp_dir_remove(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_runs_are_sorted_as_by_qsort),
        cmocka_unit_test(large_runs_are_sorted_as_by_qsort),
        cmocka_unit_test(keys_that_are_prefixes_of_each_other_are_sorted),
        cmocka_unit_test(an_empty_run_has_nothing_and_takes_no_memory),
        cmocka_unit_test(gathering_survives_the_lack_of_memory),
        cmocka_unit_test(sorting_survives_the_lack_of_memory),
        cmocka_unit_test(little_memory_is_left_empty),
        cmocka_unit_test(a_run_is_read_back_as_it_was),
        cmocka_unit_test(values_from_nothing_to_a_mib_are_read_back),
        cmocka_unit_test(an_empty_run_writes_no_file),
        cmocka_unit_test(ranges_delete_what_is_older_than_the_run),
        cmocka_unit_test(a_name_that_is_taken_fails_the_run_and_is_left_alone),
        cmocka_unit_test(a_folder_that_cannot_be_written_fails_the_run),
        cmocka_unit_test(a_name_too_long_is_refused),
        cmocka_unit_test(a_checksum_is_of_the_whole_file),
        cmocka_unit_test(a_file_that_cannot_be_read_is_named),
        cmocka_unit_test(a_copy_is_the_same),
        cmocka_unit_test(a_copy_replaces_nothing),
        cmocka_unit_test(a_copy_that_fails_leaves_no_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
