/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/state/cells.h"
#include "runtime/state/internal.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/state/oracle.h"

/* ---- a world: a slot with one family, in memory or before a keeper ------------------------------------------------------------------- */

struct world {
    struct temp_dir dir;
    struct rocks_shared *shared;
    struct state_slot *slot;
    struct family *family;
    struct cells *cells;
    int64_t now_ms;
    bool spills;
};

static void open_cells(struct world *w, enum cells_kind kind, uint32_t value_size)
{
    CHECK(cells_new(&w->cells, w->family, kind, value_size, NULL) == WEIR_OK);
}

/* ttl_ms below 0: counted from the last read. */
static void open_family(struct world *w, enum cells_kind kind, uint32_t value_size, int64_t ttl_ms)
{
    struct family_options options = {.name = "op/state", .value_size = kind == CELLS_LIST ? 0 : value_size};
    options.ttl_ms = ttl_ms < 0 ? -ttl_ms : ttl_ms;
    options.ttl_on_read = ttl_ms < 0;
    options.last_group = 32767;
    CHECK(family_new(&w->family, w->slot, &options, NULL) == WEIR_OK);
    open_cells(w, kind, value_size);
}

/* budget 0: in memory only. */
static void open_world(struct world *w, uint64_t budget, enum cells_kind kind, uint32_t value_size, int64_t ttl_ms)
{
    *w = (struct world){.spills = budget > 0, .now_ms = 1};
    temp_dir_make(&w->dir);
    if (budget) CHECK(rocks_shared_new(&w->shared, 1u << 20, 1, NULL) == WEIR_OK);
    char scratch[TEMP_PATH_MAX];
    (void)snprintf(scratch, sizeof scratch, "%s", temp_path(&w->dir, "scratch"));
    struct state_slot_config config = {.dir = budget ? scratch : NULL, .budget = budget, .shared = w->shared};
    CHECK(state_slot_new(&w->slot, &config, NULL) == WEIR_OK);
    open_family(w, kind, value_size, ttl_ms);
}

static void close_world(struct world *w)
{
    cells_destroy(&w->cells);
    CHECK(w->cells == NULL);
    family_destroy(&w->family);
    CHECK(slot_memory(w->slot)->bytes == 0 || w->spills);
    state_slot_destroy(&w->slot);
    rocks_shared_destroy(&w->shared);
    temp_dir_remove(&w->dir);
}

static void rest(struct world *w)
{
    cells_rest(w->cells);
    slot_safe_point(w->slot, ++w->now_ms);
    struct weir_diag diag;
    if (slot_error(w->slot, &diag)) print_error("%s\n", diag.text);
    CHECK(slot_error(w->slot, NULL) == WEIR_OK);
}

static uint64_t evictions(const struct world *w)
{
    struct slot_stats stats;
    slot_stats(w->slot, &stats);
    return stats.evictions;
}

static uint64_t loads(const struct world *w)
{
    struct slot_stats stats;
    slot_stats(w->slot, &stats);
    return stats.loads;
}

/* ---- collections: keys and namespaces that are prefixes of each other ---------------------------------------------------------------- */

#define GROUPS 14u

static unsigned char long_bytes[70000];
static struct weir_key group_keys[GROUPS];
static struct weir_bytes group_ns[GROUPS];

static void set_group(uint32_t i, const void *key, uint32_t key_length, const void *ns, uint32_t ns_length)
{
    group_keys[i] = (struct weir_key){.data = key, .length = key_length, .hash = hash64(key, key_length)};
    group_ns[i] = (struct weir_bytes){ns, ns_length};
}

static void make_groups(void)
{
    memset(long_bytes, 0xff, sizeof long_bytes);
    set_group(0, "", 0, "", 0);
    set_group(1, "", 0, "a", 1);
    set_group(2, "a", 1, "", 0);
    set_group(3, "a", 1, "b", 1);
    set_group(4, "a", 1, "b\0", 2);
    set_group(5, "ab", 2, "", 0);
    set_group(6, "a\0", 2, "", 0);
    set_group(7, "a\0b", 3, "", 0);
    set_group(8, long_bytes, 300, "", 0);
    set_group(9, long_bytes, 300, long_bytes, 255);
    set_group(10, long_bytes, WEIR_KEY_MAX, long_bytes, 255);
    set_group(11, long_bytes, 8, long_bytes, 8);
    set_group(12, "12345678", 8, "", 0);
    set_group(13, "12345679", 8, "", 0);
}

/* The group with the longest key comes seldom: it costs the keeper as much as all others. */
static uint32_t pick_group(struct rng *r)
{
    uint32_t g = below(r, GROUPS);
    return g == 10 && below(r, 16) ? 12 : g;
}

/* ---- models: maps and ordered states as arrays of what may be there ------------------------------------------------------------------ */

#define PLACES 96u
#define VALUE_ROOM 6000u

struct item {
    bool there;
    uint32_t length;
    unsigned char fill;
};

struct model {
    struct world w;
    struct rng r;
    enum cells_kind kind;
    uint32_t value_size;
    uint32_t value_max;
    struct weir_bytes user_keys[PLACES]; /* of a map */
    unsigned char key_bytes[PLACES][8];
    weir_time times[PLACES]; /* of an ordered state, ascending by (time, seq) */
    uint64_t seqs[PLACES];
    struct item items[GROUPS][PLACES];
    unsigned char data[VALUE_ROOM];
};

/* User keys: empty, of zeros and of 0xff, and with each other for a prefix. */
static void make_user_keys(struct model *m)
{
    static const unsigned char digits[] = {0x00, 0x01, 0x7f, 0xff};
    uint32_t n = 1;
    for (uint32_t length = 1, count = 4; length <= 3; length++, count *= 4) {
        for (uint32_t i = 0; i < count; i++, n++) {
            for (uint32_t k = 0; k < length; k++) m->key_bytes[n][k] = digits[i >> 2 * k & 3];
            m->user_keys[n] = (struct weir_bytes){m->key_bytes[n], length};
        }
    }
    for (; n < PLACES - 2; n++) {
        m->key_bytes[n][7] = (unsigned char)n;
        m->user_keys[n] = (struct weir_bytes){m->key_bytes[n], 8};
    }
    m->user_keys[PLACES - 2] = (struct weir_bytes){long_bytes, 300};
    m->user_keys[PLACES - 1] = (struct weir_bytes){long_bytes, WEIR_USER_KEY_MAX};
}

static void make_places(struct model *m)
{
    static const weir_time base[] = {INT64_MIN, INT64_MIN + 1, -70000, -256, -1, 0, 1, 255, 256, 70000, INT64_MAX - 1, INT64_MAX};
    static const uint64_t seqs[] = {0, 1, 2, 255, 256, 70000, UINT64_MAX - 1, UINT64_MAX};
    for (uint32_t i = 0; i < PLACES; i++) {
        m->times[i] = base[i / 8];
        m->seqs[i] = seqs[i % 8];
    }
}

static struct model *open_model(uint64_t seed, uint64_t budget, enum cells_kind kind, uint32_t value_size)
{
    current_seed = seed;
    struct model *m = calloc(1, sizeof *m);
    assert_non_null(m);
    m->r.state = seed;
    m->kind = kind;
    m->value_size = value_size;
    m->value_max = seed % 3 ? 300 : VALUE_ROOM;
    make_groups();
    make_user_keys(m);
    make_places(m);
    open_world(&m->w, budget, kind, value_size, 0);
    return m;
}

static void close_model(struct model *m)
{
    close_world(&m->w);
    free(m);
}

static bool is_filled(struct weir_bytes bytes, uint32_t length, unsigned char fill)
{
    if (!bytes.data || bytes.length != length) return false;
    for (uint32_t i = 0; i < length; i++) {
        if (((const unsigned char *)bytes.data)[i] != fill) return false;
    }
    return true;
}

static void check_item(const struct item *item, struct weir_bytes value)
{
    CHECK((value.data != NULL) == item->there);
    CHECK(!item->there || is_filled(value, item->length, item->fill));
}

static struct weir_bytes get(struct model *m, uint32_t g, uint32_t i)
{
    if (m->kind == CELLS_MAP) return cells_map_get(m->w.cells, &group_keys[g], group_ns[g], m->user_keys[i]);
    return cells_ordered_get(m->w.cells, &group_keys[g], group_ns[g], m->times[i], m->seqs[i]);
}

static weir_err put(struct model *m, uint32_t g, uint32_t i, const void *data, uint32_t length)
{
    if (m->kind == CELLS_MAP) return cells_map_put(m->w.cells, &group_keys[g], group_ns[g], m->user_keys[i], data, length);
    return cells_ordered_put(m->w.cells, &group_keys[g], group_ns[g], m->times[i], m->seqs[i], data, length);
}

static weir_err take(struct model *m, uint32_t g, uint32_t i)
{
    if (m->kind == CELLS_MAP) return cells_map_remove(m->w.cells, &group_keys[g], group_ns[g], m->user_keys[i]);
    return cells_ordered_remove(m->w.cells, &group_keys[g], group_ns[g], m->times[i], m->seqs[i]);
}

static void put_random(struct model *m, uint32_t g, uint32_t i)
{
    struct item *item = &m->items[g][i];
    uint32_t length = m->value_size ? m->value_size : below(&m->r, 4) ? below(&m->r, 40) : below(&m->r, m->value_max);
    unsigned char fill = (unsigned char)draw(&m->r);
    memset(m->data, fill, length);
    CHECK(put(m, g, i, m->data, length) == WEIR_OK);
    *item = (struct item){true, length, fill};
}

static void edit(struct model *m, uint32_t g, uint32_t i)
{
    struct item *item = &m->items[g][i];
    if (m->kind != CELLS_MAP || !m->value_size) return;
    unsigned char *value = cells_map_value(m->w.cells, &group_keys[g], group_ns[g], m->user_keys[i]);
    CHECK(value != NULL);
    CHECK(is_filled((struct weir_bytes){value, m->value_size}, m->value_size, item->there ? item->fill : 0));
    *item = (struct item){true, m->value_size, (unsigned char)draw(&m->r)};
    memset(value, item->fill, m->value_size);
}

static void remove_one(struct model *m, uint32_t g, uint32_t i)
{
    CHECK(take(m, g, i) == WEIR_OK);
    m->items[g][i].there = false;
}

static void remove_front(struct model *m, uint32_t g)
{
    if (m->kind != CELLS_ORDERED) return;
    weir_time until = m->times[below(&m->r, PLACES)];
    CHECK(cells_ordered_remove_before(m->w.cells, &group_keys[g], group_ns[g], until) == WEIR_OK);
    for (uint32_t i = 0; i < PLACES; i++) {
        if (m->times[i] < until) m->items[g][i].there = false;
    }
}

static void clear(struct model *m, uint32_t g)
{
    if (m->kind == CELLS_MAP)
        CHECK(cells_map_clear(m->w.cells, &group_keys[g], group_ns[g]) == WEIR_OK);
    else
        CHECK(cells_ordered_clear(m->w.cells, &group_keys[g], group_ns[g]) == WEIR_OK);
    memset(m->items[g], 0, sizeof m->items[g]);
}

static void check_is_empty(struct model *m, uint32_t g)
{
    if (m->kind != CELLS_MAP) return;
    bool empty = true;
    for (uint32_t i = 0; i < PLACES; i++) empty = empty && !m->items[g][i].there;
    CHECK(cells_map_is_empty(m->w.cells, &group_keys[g], group_ns[g]) == empty);
}

/* ---- scans --------------------------------------------------------------------------------------------------------------------------- */

static uint32_t user_key_index(const struct model *m, struct weir_bytes user_key)
{
    for (uint32_t i = 0; i < PLACES; i++) {
        struct weir_bytes k = m->user_keys[i];
        if (k.length == user_key.length && (k.length == 0 || memcmp(k.data, user_key.data, k.length) == 0)) return i;
    }
    CHECK(false); /* never put */
    return 0;
}

static uint32_t place_index(const struct model *m, weir_time time_ms, uint64_t seq)
{
    for (uint32_t i = 0; i < PLACES; i++) {
        if (m->times[i] == time_ms && m->seqs[i] == seq) return i;
    }
    CHECK(false); /* never put */
    return 0;
}

/* One step of a scan: the index of what it gives. */
static bool step(struct model *m, uint32_t g, weir_time from, weir_time to, uint64_t *cursor, uint32_t *i)
{
    if (m->kind == CELLS_MAP) {
        struct weir_bytes user_key, value;
        if (!cells_map_next(m->w.cells, &group_keys[g], group_ns[g], cursor, &user_key, &value)) return false;
        *i = user_key_index(m, user_key);
        check_item(&m->items[g][*i], value);
        return true;
    }
    struct weir_ordered_entry entry;
    if (!cells_ordered_next(m->w.cells, &group_keys[g], group_ns[g], from, to, cursor, &entry)) return false;
    *i = place_index(m, entry.time_ms, entry.seq);
    check_item(&m->items[g][*i], entry.value);
    return true;
}

static void meddle(struct model *m, uint32_t g, uint32_t given)
{
    switch (below(&m->r, 6)) {
    case 0:
    case 1: remove_one(m, g, given); break;
    case 2: (void)get(m, g, below(&m->r, PLACES)); break; /* may bring it to memory in mid-scan */
    case 3: (void)get(m, g, given); break;
    case 4: put_random(m, (g + 1) % GROUPS, below(&m->r, PLACES)); break;
    default: break;
    }
}

/* Everything of the range is given once, in order if there is one, whatever is read or removed meanwhile. */
static void scan(struct model *m, uint32_t g, bool meddling)
{
    struct item before[PLACES];
    bool seen[PLACES] = {false};
    memcpy(before, m->items[g], sizeof before);
    bool whole = m->kind == CELLS_MAP || below(&m->r, 2);
    uint32_t first = below(&m->r, PLACES), last = below(&m->r, PLACES);
    weir_time from = whole ? INT64_MIN : m->times[first], to = whole ? INT64_MAX : m->times[last];
    uint32_t at_most = below(&m->r, 4) ? UINT32_MAX : below(&m->r, 20), n = 0, previous = 0, i = 0;
    uint64_t cursor = 0;
    while (n < at_most && step(m, g, from, to, &cursor, &i)) {
        CHECK(before[i].there && !seen[i]);
        CHECK(m->kind == CELLS_MAP || n == 0 || i > previous);
        CHECK(m->kind == CELLS_MAP || (m->times[i] >= from && m->times[i] <= to));
        seen[i] = true;
        previous = i;
        n++;
        if (meddling) meddle(m, g, i);
    }
    if (n == at_most) return; /* left before its end */
    CHECK(!cursor || !step(m, g, from, to, &cursor, &i));
    for (i = 0; i < PLACES; i++) {
        bool within = m->kind == CELLS_MAP || (m->times[i] >= from && m->times[i] <= to);
        CHECK(seen[i] == (before[i].there && within));
    }
}

static void check_all(struct model *m)
{
    for (uint32_t g = 0; g < GROUPS; g++) {
        check_is_empty(m, g);
        scan(m, g, false);
        for (uint32_t i = 0; i < PLACES; i++) check_item(&m->items[g][i], get(m, g, i));
    }
}

static void act(struct model *m, uint32_t many)
{
    uint32_t g = pick_group(&m->r), i = below(&m->r, PLACES - (below(&m->r, 8) > 0)); /* and so does the longest user key */
    switch (below(&m->r, 40)) {
    case 0: clear(m, g); break;
    case 1: remove_front(m, g); break;
    case 2:
    case 3: scan(m, g, false); break;
    case 4:
    case 5: scan(m, g, true); break;
    case 6: check_is_empty(m, g); break;
    case 7: edit(m, g, i); break;
    case 8:
        for (uint32_t k = 0; k < many; k++) put_random(m, g, k % PLACES); /* a row at the end */
        break;
    default:
        if (below(&m->r, 3) == 0)
            remove_one(m, g, i);
        else if (below(&m->r, 3) == 0)
            check_item(&m->items[g][i], get(m, g, i));
        else
            put_random(m, g, i);
    }
}

/* Returns how often the keeper was of use. */
static uint64_t run_model(uint64_t seed, uint64_t budget, enum cells_kind kind, uint32_t value_size, uint32_t steps)
{
    struct model *m = open_model(seed, budget, kind, value_size);
    for (uint32_t i = 0; i < steps; i++) {
        act(m, PLACES / 2);
        if (below(&m->r, 30) == 0) rest(&m->w);
        if (i % 500 == 499) check_all(m);
    }
    check_all(m);
    uint64_t used = evictions(&m->w) + loads(&m->w);
    close_model(m);
    return used;
}

static void maps_are_as_arrays(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 12; seed++) (void)run_model(seed, 0, CELLS_MAP, seed % 2 ? 0 : 24, 3000);
}

static void ordered_states_are_as_arrays(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 12; seed++) (void)run_model(seed, 0, CELLS_ORDERED, seed % 2 ? 0 : 24, 3000);
}

#define SMALL_BUDGET (32u << 10)

static void maps_larger_than_memory_are_as_arrays(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) CHECK(run_model(seed, SMALL_BUDGET, CELLS_MAP, seed % 2 ? 0 : 24, 2000) > 0);
}

static void ordered_states_larger_than_memory_are_as_arrays(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) CHECK(run_model(seed, SMALL_BUDGET, CELLS_ORDERED, seed % 2 ? 0 : 24, 2000) > 0);
}

/* ---- lists --------------------------------------------------------------------------------------------------------------------------- */

#define ELEMENTS 4000u

struct list_model {
    struct world w;
    struct rng r;
    uint32_t value_size;
    struct item items[GROUPS][ELEMENTS];
    uint32_t n[GROUPS];
    unsigned char data[VALUE_ROOM];
};

static uint32_t element_length(struct list_model *m)
{
    if (m->value_size) return m->value_size;
    switch (below(&m->r, 12)) {
    case 0: return 0;
    case 1: return LIST_CHUNK_BYTES - 8 + below(&m->r, 16); /* about as large as a chunk */
    case 2: return below(&m->r, VALUE_ROOM);
    default: return below(&m->r, 100);
    }
}

static void add(struct list_model *m, uint32_t g)
{
    if (m->n[g] == ELEMENTS) return;
    struct item item = {true, element_length(m), (unsigned char)draw(&m->r)};
    memset(m->data, item.fill, item.length);
    CHECK(cells_list_add(m->w.cells, &group_keys[g], group_ns[g], m->data, item.length) == WEIR_OK);
    m->items[g][m->n[g]++] = item;
}

/* The element just given is added: it may lie in the chunk that grows. */
static void add_again(struct list_model *m, uint32_t g, struct weir_bytes element, const struct item *item)
{
    if (m->n[g] == ELEMENTS) return;
    CHECK(cells_list_add(m->w.cells, &group_keys[g], group_ns[g], element.data, element.length) == WEIR_OK);
    m->items[g][m->n[g]++] = *item;
}

static void scan_list(struct list_model *m, uint32_t g, bool adding)
{
    uint64_t cursor = 0;
    uint32_t at_most = below(&m->r, 6) ? UINT32_MAX : below(&m->r, 20), n = 0, added = 0;
    struct weir_bytes element;
    while (n < at_most && cells_list_next(m->w.cells, &group_keys[g], group_ns[g], &cursor, &element)) {
        CHECK(n < m->n[g]);
        CHECK(is_filled(element, m->items[g][n].length, m->items[g][n].fill));
        n++;
        if (!adding || added == 20 || below(&m->r, 2)) continue;
        if (below(&m->r, 2))
            add_again(m, g, element, &m->items[g][n - 1]);
        else
            add(m, below(&m->r, 4) ? g : (g + 1) % GROUPS);
        added++;
    }
    if (n == at_most) return;
    CHECK(n == m->n[g]);
    CHECK(!cursor || !cells_list_next(m->w.cells, &group_keys[g], group_ns[g], &cursor, &element));
}

static void act_on_list(struct list_model *m)
{
    uint32_t g = pick_group(&m->r);
    switch (below(&m->r, 60)) {
    case 0:
        CHECK(cells_list_clear(m->w.cells, &group_keys[g], group_ns[g]) == WEIR_OK);
        m->n[g] = 0;
        break;
    case 1: scan_list(m, g, false); break;
    case 2:
    case 3: scan_list(m, g, true); break;
    case 4: CHECK(cells_list_is_empty(m->w.cells, &group_keys[g], group_ns[g]) == (m->n[g] == 0)); break;
    case 5:
        for (uint32_t i = 0; i < 50; i++) add(m, g);
        break;
    default: add(m, g);
    }
}

static uint64_t run_list(uint64_t seed, uint64_t budget, uint32_t value_size, uint32_t steps)
{
    current_seed = seed;
    struct list_model *m = calloc(1, sizeof *m);
    assert_non_null(m);
    m->r.state = seed;
    m->value_size = value_size;
    make_groups();
    open_world(&m->w, budget, CELLS_LIST, value_size, 0);
    for (uint32_t i = 0; i < steps; i++) {
        act_on_list(m);
        if (below(&m->r, 30) == 0) rest(&m->w);
    }
    for (uint32_t g = 0; g < GROUPS; g++) scan_list(m, g, false);
    uint64_t used = evictions(&m->w) + loads(&m->w);
    close_world(&m->w);
    free(m);
    return used;
}

static const uint32_t element_sizes[] = {0, 8, 0, 100, 0, 4096, 0, 5000};

static void lists_are_as_arrays(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 16; seed++) (void)run_list(seed, 0, element_sizes[seed % 8], 2000);
}

static void lists_larger_than_memory_are_as_arrays(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) CHECK(run_list(seed, SMALL_BUDGET, element_sizes[seed % 8], 1000) > 0);
}

/* ---- what costs no read, and what is given up ---------------------------------------------------------------------------------------- */

static struct world world;

static struct weir_key number_key(uint64_t *number)
{
    return (struct weir_key){.data = number, .length = sizeof *number, .hash = hash64(number, sizeof *number)};
}

static const struct weir_bytes no_ns;

/* A large ordered state that never fits: the newest thousand stay in sight, as a join's other side does. */
static void a_window_of_one_key_moves_through_a_small_budget(void **state)
{
    (void)state;
    struct world *w = &world;
    make_groups();
    open_world(w, SMALL_BUDGET, CELLS_ORDERED, 8, 0);
    const struct weir_key *key = &group_keys[12];
    for (int64_t t = 0; t < 20000; t++) {
        CHECK(cells_ordered_put(w->cells, key, no_ns, t, 0, &t, sizeof t) == WEIR_OK);
        if (t % 100 == 99) CHECK(cells_ordered_remove_before(w->cells, key, no_ns, t - 1000) == WEIR_OK);
        if (t % 10 == 9) rest(w);
    }
    uint64_t cursor = 0;
    struct weir_ordered_entry entry;
    int64_t expected = 19999 - 1000;
    for (; cells_ordered_next(w->cells, key, no_ns, INT64_MIN, INT64_MAX, &cursor, &entry); expected++) {
        CHECK(entry.time_ms == expected && memcmp(entry.value.data, &expected, 8) == 0);
    }
    CHECK(expected == 20000);
    CHECK(evictions(w) > 0);
    close_world(w);
}

/* Scanning a list much larger than memory brings nothing of it to memory. */
static void a_scan_leaves_memory_as_it_is(void **state)
{
    (void)state;
    struct world *w = &world;
    make_groups();
    open_world(w, SMALL_BUDGET, CELLS_LIST, 0, 0);
    const struct weir_key *key = &group_keys[12];
    for (uint64_t i = 0; i < 50000; i++) {
        CHECK(cells_list_add(w->cells, key, no_ns, &i, sizeof i) == WEIR_OK);
        if (i % 16 == 15) rest(w);
    }
    struct weir_bytes element;
    uint64_t cursor = 0, n = 0, before = slot_memory(w->slot)->bytes;
    for (; cells_list_next(w->cells, key, no_ns, &cursor, &element); n++) CHECK(memcmp(element.data, &n, 8) == 0);
    CHECK(n == 50000);
    CHECK(slot_memory(w->slot)->bytes < before + 4096);
    close_world(w);
}

/* Groups come and go with their cells; a small collection costs little. */
static void groups_give_their_memory_back(void **state)
{
    (void)state;
    struct world *w = &world;
    open_world(w, 0, CELLS_MAP, 8, 0);
    struct weir_bytes one = {"one", 3};
    for (uint64_t i = 0; i < 10000; i++) {
        struct weir_key key = number_key(&i);
        CHECK(cells_map_put(w->cells, &key, no_ns, one, &i, 8) == WEIR_OK);
    }
    uint64_t full = slot_memory(w->slot)->bytes;
    CHECK(full < 10000 * 300u);
    for (uint64_t i = 0; i < 10000; i++) {
        struct weir_key key = number_key(&i);
        CHECK(memcmp(cells_map_get(w->cells, &key, no_ns, one).data, &i, 8) == 0);
        CHECK(cells_map_remove(w->cells, &key, no_ns, one) == WEIR_OK);
        CHECK(cells_map_is_empty(w->cells, &key, no_ns));
    }
    rest(w);
    CHECK(slot_memory(w->slot)->bytes < full);
    close_world(w);
}

/* One scan at a time: the one before then only gives its end, and so does one that was over. */
static void a_scan_begun_anew_ends_the_one_before(void **state)
{
    (void)state;
    struct world *w = &world;
    make_groups();
    open_world(w, 0, CELLS_MAP, 8, 0);
    const struct weir_key *key = &group_keys[12];
    struct weir_bytes user_key, value;
    for (uint64_t i = 0; i < 3; i++) {
        CHECK(cells_map_put(w->cells, key, no_ns, (struct weir_bytes){&i, 8}, &i, 8) == WEIR_OK);
    }
    uint64_t first = 0, second = 0;
    CHECK(cells_map_next(w->cells, key, no_ns, &first, &user_key, &value));
    CHECK(cells_map_next(w->cells, key, no_ns, &second, &user_key, &value));
    CHECK(!cells_map_next(w->cells, key, no_ns, &first, &user_key, &value));
    CHECK(cells_map_next(w->cells, key, no_ns, &second, &user_key, &value));
    cells_rest(w->cells);
    CHECK(!cells_map_next(w->cells, key, no_ns, &second, &user_key, &value));
    close_world(w);
}

/* ---- limits -------------------------------------------------------------------------------------------------------------------------- */

static void what_is_too_long_is_refused(void **state)
{
    (void)state;
    struct world *w = &world;
    make_groups();
    open_world(w, 0, CELLS_MAP, 8, 0);
    const struct weir_key *key = &group_keys[2];
    struct weir_bytes too_long = {long_bytes, WEIR_USER_KEY_MAX + 1}, fits = {"k", 1};
    CHECK(cells_map_put(w->cells, key, no_ns, too_long, "12345678", 8) == WEIR_E_LIMIT);
    CHECK(cells_map_remove(w->cells, key, no_ns, too_long) == WEIR_E_LIMIT);
    CHECK(cells_map_value(w->cells, key, no_ns, too_long) == NULL);
    CHECK(cells_map_get(w->cells, key, no_ns, too_long).data == NULL);
    CHECK(cells_map_put(w->cells, key, no_ns, fits, "123456789", 9) == WEIR_E_ARGUMENT);
    struct weir_key long_key = {.data = long_bytes, .length = WEIR_KEY_MAX + 1};
    CHECK(cells_map_put(w->cells, &long_key, no_ns, fits, "12345678", 8) == WEIR_E_LIMIT);
    CHECK(cells_map_put(w->cells, key, (struct weir_bytes){long_bytes, 256}, fits, "12345678", 8) == WEIR_E_LIMIT);
    CHECK(cells_map_is_empty(w->cells, key, no_ns));
    CHECK(slot_error(w->slot, NULL) == WEIR_OK); /* a refusal is the operator's matter */
    close_world(w);
    open_world(w, 0, CELLS_LIST, 0, 0);
    CHECK(cells_list_add(w->cells, key, no_ns, long_bytes, WEIR_VALUE_MAX + 1) == WEIR_E_LIMIT);
    close_world(w);
    open_world(w, 0, CELLS_LIST, 8, 0);
    CHECK(cells_list_add(w->cells, key, no_ns, "1234567", 7) == WEIR_E_ARGUMENT);
    CHECK(cells_list_is_empty(w->cells, key, no_ns));
    close_world(w);
}

static void the_largest_element_is_one_of_a_list(void **state)
{
    (void)state;
    struct world *w = &world;
    make_groups();
    open_world(w, 0, CELLS_LIST, 0, 0);
    const struct weir_key *key = &group_keys[2];
    unsigned char *large = calloc(1, WEIR_VALUE_MAX);
    assert_non_null(large);
    CHECK(cells_list_add(w->cells, key, no_ns, "a", 1) == WEIR_OK);
    CHECK(cells_list_add(w->cells, key, no_ns, large, WEIR_VALUE_MAX) == WEIR_OK);
    CHECK(cells_list_add(w->cells, key, no_ns, "b", 1) == WEIR_OK);
    uint64_t cursor = 0;
    struct weir_bytes element;
    CHECK(cells_list_next(w->cells, key, no_ns, &cursor, &element) && is_filled(element, 1, 'a'));
    CHECK(cells_list_next(w->cells, key, no_ns, &cursor, &element) && is_filled(element, WEIR_VALUE_MAX, 0));
    CHECK(cells_list_next(w->cells, key, no_ns, &cursor, &element) && is_filled(element, 1, 'b'));
    CHECK(!cells_list_next(w->cells, key, no_ns, &cursor, &element));
    free(large);
    close_world(w);
}

/* ---- time to live -------------------------------------------------------------------------------------------------------------------- */

static void old_entries_are_as_if_absent(void **state)
{
    (void)state;
    struct world *w = &world;
    make_groups();
    const struct weir_key *key = &group_keys[12];
    struct weir_ordered_entry entry;
    open_world(w, 0, CELLS_ORDERED, 8, 100);
    for (int64_t t = 0; t < 10; t++) {
        w->now_ms = 1000 + t * 10 - 1;
        rest(w);
        CHECK(cells_ordered_put(w->cells, key, no_ns, t, 0, &t, 8) == WEIR_OK);
    }
    w->now_ms = 1154;
    rest(w);
    uint64_t cursor = 0;
    uint32_t n = 0;
    for (; cells_ordered_next(w->cells, key, no_ns, INT64_MIN, INT64_MAX, &cursor, &entry); n++) CHECK(entry.time_ms > 4);
    CHECK(n >= 4 && n <= 5);
    close_world(w);
    open_world(w, 0, CELLS_LIST, 8, 100);
    w->now_ms = 1000;
    rest(w);
    CHECK(cells_list_add(w->cells, key, no_ns, "12345678", 8) == WEIR_OK);
    CHECK(!cells_list_is_empty(w->cells, key, no_ns));
    w->now_ms = 2000;
    rest(w);
    CHECK(cells_list_is_empty(w->cells, key, no_ns));
    CHECK(cells_list_add(w->cells, key, no_ns, "abcdefgh", 8) == WEIR_OK);
    struct weir_bytes element;
    cursor = 0;
    CHECK(cells_list_next(w->cells, key, no_ns, &cursor, &element) && memcmp(element.data, "abcdefgh", 8) == 0);
    CHECK(!cells_list_next(w->cells, key, no_ns, &cursor, &element));
    close_world(w);
}

static uint32_t count_ordered(struct world *w, const struct weir_key *key)
{
    uint32_t n = 0;
    uint64_t cursor = 0;
    struct weir_ordered_entry entry;
    while (cells_ordered_next(w->cells, key, no_ns, INT64_MIN, INT64_MAX, &cursor, &entry)) {
        CHECK(entry.time_ms == n && entry.value.length == 300);
        n++;
    }
    return n;
}

/* Reading makes young, in memory or not. */
static void what_is_scanned_stays_young(void **state)
{
    (void)state;
    struct world *w = &world;
    make_groups();
    const struct weir_key *key = &group_keys[12];
    open_world(w, 256u << 10, CELLS_ORDERED, 300, -1000);
    w->now_ms = 1000;
    for (int64_t t = 0; t < 2000; t++) {
        if (t % 20 == 0) rest(w);
        CHECK(cells_ordered_put(w->cells, key, no_ns, t, 0, long_bytes, 300) == WEIR_OK);
    }
    CHECK(evictions(w) > 0);
    w->now_ms = 1900;
    rest(w);
    CHECK(count_ordered(w, key) == 2000);
    w->now_ms = 2800;
    rest(w);
    CHECK(count_ordered(w, key) == 2000);
    w->now_ms = 3900;
    rest(w);
    CHECK(count_ordered(w, key) == 0);
    close_world(w);
}

/* ---- without memory ------------------------------------------------------------------------------------------------------------------ */

/* Puts under a few keys until memory fails at the nth allocation; what was put before is there, what failed is not. */
static bool fails_cleanly(enum cells_kind kind, uint64_t nth)
{
    struct world *w = &world;
    make_groups();
    open_world(w, 0, kind, 0, 0);
    weir_err err = WEIR_OK;
    uint32_t n = 0;
    slot_memory(w->slot)->fail_in = nth;
    for (; !err && n < 60; n++) {
        const struct weir_key *key = &group_keys[n % GROUPS];
        struct weir_bytes ns = group_ns[n % GROUPS], user_key = {&n, sizeof n};
        if (kind == CELLS_MAP) err = cells_map_put(w->cells, key, ns, user_key, long_bytes, n * 20);
        if (kind == CELLS_ORDERED) err = cells_ordered_put(w->cells, key, ns, n, 0, long_bytes, n * 20);
        if (kind == CELLS_LIST) err = cells_list_add(w->cells, key, ns, long_bytes, n * 20);
    }
    slot_memory(w->slot)->fail_in = 0;
    CHECK(err == WEIR_OK || (err == WEIR_E_NOMEM && slot_error(w->slot, NULL) == WEIR_E_NOMEM));
    uint32_t put_ones = err ? n - 1 : n;
    for (uint32_t i = 0; kind != CELLS_LIST && i < n; i++) {
        const struct weir_key *key = &group_keys[i % GROUPS];
        struct weir_bytes ns = group_ns[i % GROUPS], value;
        if (kind == CELLS_MAP) value = cells_map_get(w->cells, key, ns, (struct weir_bytes){&i, sizeof i});
        if (kind == CELLS_ORDERED) value = cells_ordered_get(w->cells, key, ns, i, 0);
        CHECK(i < put_ones ? is_filled(value, i * 20, 0xff) : value.length == 0); /* with a cell or without */
    }
    close_world(w); /* asserts that the account is level */
    return err != WEIR_OK;
}

static void failing(enum cells_kind kind)
{
    uint64_t nth = 1;
    while (fails_cleanly(kind, nth)) nth++;
    CHECK(nth > 20);
}

static void a_map_without_memory_is_as_before(void **state)
{
    (void)state;
    failing(CELLS_MAP);
}

static void an_ordered_state_without_memory_is_as_before(void **state)
{
    (void)state;
    failing(CELLS_ORDERED);
}

static void a_list_without_memory_is_as_before(void **state)
{
    (void)state;
    failing(CELLS_LIST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps_are_as_arrays),
        cmocka_unit_test(ordered_states_are_as_arrays),
        cmocka_unit_test(lists_are_as_arrays),
        cmocka_unit_test(a_scan_begun_anew_ends_the_one_before),
        cmocka_unit_test(groups_give_their_memory_back),
        cmocka_unit_test(what_is_too_long_is_refused),
        cmocka_unit_test(the_largest_element_is_one_of_a_list),
        cmocka_unit_test(old_entries_are_as_if_absent),
        cmocka_unit_test(a_map_without_memory_is_as_before),
        cmocka_unit_test(an_ordered_state_without_memory_is_as_before),
        cmocka_unit_test(a_list_without_memory_is_as_before),
        cmocka_unit_test(maps_larger_than_memory_are_as_arrays),
        cmocka_unit_test(ordered_states_larger_than_memory_are_as_arrays),
        cmocka_unit_test(lists_larger_than_memory_are_as_arrays),
        cmocka_unit_test(what_is_scanned_stays_young),
        cmocka_unit_test(a_window_of_one_key_moves_through_a_small_budget),
        cmocka_unit_test(a_scan_leaves_memory_as_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
