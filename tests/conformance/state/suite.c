/* SPDX-License-Identifier: Apache-2.0 */
/* Named cases, each told of the oracle, of state in memory, and of state in RocksDB under budgets that hold nothing and everything. */
#include "tests/conformance/state/suite.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "runtime/base/hash.h"
#include "runtime/base/log.h"

/* ---- sentences ------------------------------------------------------------------------------------------------------------------------
 */

_Noreturn void broken(const char *file, int line, const char *fmt, ...)
{
    char sentence[2000];
    va_list args;
    va_start(args, fmt);
    vsnprintf(sentence, sizeof sentence, fmt, args);
    va_end(args);
    print_error("%s\n", sentence);
    _fail(file, line);
    abort();
}

uint32_t has(struct story *s, enum keyed_kind kind, uint32_t value_size, int64_t ttl_ms, uint32_t flags)
{
    struct state_config *c = &s->config.states[s->config.n_states];
    *c = (struct state_config){.kind = kind, .value_size = value_size, .ttl_ms = ttl_ms, .flags = flags};
    snprintf(c->name, sizeof c->name, "state %" PRIu32, s->config.n_states);
    return s->config.n_states++;
}

void begin(struct story *s)
{
    s->config.now_ms = s->now_ms = 1000;
    if (!s->config.n_instances) s->config.n_instances = 1;
    s->subject = s->ops->open(&s->config);
}

const struct weir_key *key_of(const char *words)
{
    static struct weir_key keys[4];
    static char texts[4][WEIR_KEY_MAX];
    static unsigned next;
    unsigned i = next++ % 4;
    size_t length = strlen(words);
    memcpy(texts[i], words, length);
    keys[i] = (struct weir_key){.data = texts[i], .length = (uint32_t)length, .hash = hash64(words, length)};
    return &keys[i];
}

const struct weir_key *key(uint32_t i)
{
    char words[32];
    snprintf(words, sizeof words, "key %" PRIu32, i);
    return key_of(words);
}

struct weir_bytes text(const char *words)
{
    return (struct weir_bytes){words, words ? (uint32_t)strlen(words) : 0};
}

void act(struct story *s, struct op op)
{
    s->ops->apply(s->subject, &op, NULL, &s->a);
}

/* Appends the next part of the answer as a word. */
static void put_word(const struct answer *a, char part, size_t *at, char *words, size_t room)
{
    uint64_t number = heard_u64(a, *at);
    *at += 8;
    size_t n = strlen(words);
    if (part == 'c' || (part == 'e' && !number)) return;
    if (n) words[n++] = ' ';
    if (part == 'b' && !number) {
        snprintf(words + n, room - n, "-");
    } else if (part == 'b') {
        snprintf(words + n, room - n, "%.*s", (int)number - 1, (const char *)a->data + *at);
        *at += (size_t)number - 1;
    } else {
        snprintf(words + n, room - n, "%" PRId64, (int64_t)number);
    }
}

void said(const struct story *s, const char *layout, const char *expected, const char *file, int line)
{
    static char words[65536];
    words[0] = '\0';
    size_t at = 0;
    if (*layout == 'c') put_word(&s->a, *layout++, &at, words, sizeof words);
    for (const char *part = layout; at < s->a.n;) {
        put_word(&s->a, *part, &at, words, sizeof words);
        if (!*++part) part = layout;
    }
    if (strcmp(words, expected)) broken(file, line, "said \"%s\", expected \"%s\"", words, expected);
}

void write_text(struct story *s, uint32_t state, const struct weir_key *k, const char *value)
{
    act(s, (struct op){.verb = VALUE_WRITE, .state = state, .key = k, .bytes = text(value)});
    SAID(s, "e", "");
}

void reads(struct story *s, uint32_t state, const struct weir_key *k, const char *value)
{
    act(s, (struct op){.verb = VALUE_READ, .state = state, .key = k});
    SAID(s, "b", value ? value : "-");
}

void clears(struct story *s, uint32_t state, const struct weir_key *k)
{
    act(s, (struct op){.verb = VALUE_CLEAR, .state = state, .key = k});
}

void passes(struct story *s, int64_t ms)
{
    s->now_ms += ms;
    act(s, (struct op){.verb = SAFE_POINT, .time_ms = s->now_ms, .pinned = UINT64_MAX});
}

void move_out(struct story *s)
{
    for (int i = 0; i < 4; i++) passes(s, 0);
}

void keep(struct story *s)
{
    s->ops->freeze(s->subject, false);
    s->ops->join(s->subject, true);
}

void restart(struct story *s, uint32_t n_instances)
{
    s->config.n_instances = n_instances;
    s->ops->restore(s->subject, &s->config);
    passes(s, 0);
}

/* ---- values ---------------------------------------------------------------------------------------------------------------------------
 */

static uint32_t one_value(struct story *s)
{
    uint32_t state = has(s, KEYED_VALUE, 0, 0, 0);
    begin(s);
    return state;
}

static void removed_stays_removed(struct story *s)
{
    uint32_t v = one_value(s);
    write_text(s, v, key(1), "one");
    write_text(s, v, key(2), "two");
    keep(s);
    clears(s, v, key(1));
    keep(s);
    reads(s, v, key(1), NULL);
    restart(s, 1);
    reads(s, v, key(1), NULL);
    reads(s, v, key(2), "two");
}

static void removed_after_it_left_memory(struct story *s)
{
    uint32_t v = one_value(s);
    write_text(s, v, key(1), "one");
    move_out(s);
    clears(s, v, key(1));
    reads(s, v, key(1), NULL);
    move_out(s);
    reads(s, v, key(1), NULL);
    if (!s->config.snapshots) return;
    keep(s);
    restart(s, 1);
    reads(s, v, key(1), NULL);
}

static void removed_and_made_again(struct story *s)
{
    uint32_t v = one_value(s);
    write_text(s, v, key(1), "first life");
    move_out(s);
    clears(s, v, key(1));
    move_out(s);
    write_text(s, v, key(1), "second life");
    move_out(s);
    reads(s, v, key(1), "second life");
}

static void born_and_dropped_leaves_no_entry(struct story *s)
{
    uint32_t v = one_value(s), entries = 0;
    keep(s);
    write_text(s, v, key(1), "short");
    clears(s, v, key(1));
    keep(s);
    if (s->is_system) entries = (uint32_t)system_new_entries(s->subject);
    CHECK(entries == 0);
    restart(s, 1);
    reads(s, v, key(1), NULL);
}

static void snapshot_is_of_its_moment(struct story *s)
{
    uint32_t v = one_value(s);
    write_text(s, v, key(1), "before");
    write_text(s, v, key(2), "before");
    s->ops->freeze(s->subject, true);
    write_text(s, v, key(1), "after");
    clears(s, v, key(2));
    write_text(s, v, key(3), "after");
    s->ops->join(s->subject, true);
    reads(s, v, key(1), "after");
    restart(s, 1);
    reads(s, v, key(1), "before");
    reads(s, v, key(2), "before");
    reads(s, v, key(3), NULL);
}

static void what_changed_meanwhile_is_in_the_next_snapshot(struct story *s)
{
    uint32_t v = one_value(s);
    write_text(s, v, key(1), "before");
    write_text(s, v, key(2), "before");
    s->ops->freeze(s->subject, true);
    write_text(s, v, key(1), "after");
    clears(s, v, key(2));
    s->ops->join(s->subject, true);
    keep(s);
    restart(s, 1);
    reads(s, v, key(1), "after");
    reads(s, v, key(2), NULL);
}

static void newest_wins_wherever_it_lies(struct story *s)
{
    uint32_t v = one_value(s);
    write_text(s, v, key(1), "old");
    move_out(s);
    keep(s);
    write_text(s, v, key(1), "newer");
    move_out(s);
    reads(s, v, key(1), "newer");
    keep(s);
    write_text(s, v, key(1), "newest");
    keep(s);
    restart(s, 1);
    reads(s, v, key(1), "newest");
}

static void given_up_snapshot_spoils_nothing(struct story *s)
{
    uint32_t v = one_value(s);
    write_text(s, v, key(1), "one");
    keep(s);
    write_text(s, v, key(2), "two");
    clears(s, v, key(1));
    s->ops->freeze(s->subject, false);
    s->ops->join(s->subject, false);
    write_text(s, v, key(3), "three");
    keep(s);
    restart(s, 1);
    reads(s, v, key(1), NULL);
    reads(s, v, key(2), "two");
    reads(s, v, key(3), "three");
}

static void empty_is_not_none(struct story *s)
{
    uint32_t v = one_value(s);
    write_text(s, v, key(1), "");
    reads(s, v, key(1), "");
    move_out(s);
    reads(s, v, key(1), "");
    if (!s->config.snapshots) return;
    keep(s);
    restart(s, 1);
    reads(s, v, key(1), "");
}

static void value_larger_than_the_budget(struct story *s)
{
    static char large[40001];
    uint32_t v = one_value(s);
    memset(large, 'x', sizeof large - 1);
    write_text(s, v, key(1), large);
    write_text(s, v, key(2), "small");
    move_out(s);
    reads(s, v, key(2), "small");
    reads(s, v, key(1), large);
    large[20000] = 'y';
    write_text(s, v, key(1), large);
    move_out(s);
    reads(s, v, key(1), large);
    large[20000] = 'x';
}

static void many_keys_in_little_memory(struct story *s)
{
    uint32_t v = one_value(s);
    char words[32];
    for (int turn = 0; turn < 2; turn++) {
        for (uint32_t i = 0; i < 3000; i++) {
            snprintf(words, sizeof words, "value %" PRIu32 " of %d", i, turn);
            write_text(s, v, key(i), words);
            if (i % 100 == 0) passes(s, 1);
        }
    }
    for (uint32_t i = 0; i < 3000; i++) {
        snprintf(words, sizeof words, "value %" PRIu32 " of 1", i);
        reads(s, v, key(i), words);
        if (i % 100 == 0) passes(s, 1);
    }
    reads(s, v, key(3000), NULL);
}

static void edit_through_find_is_kept(struct story *s)
{
    uint32_t v = has(s, KEYED_VALUE, 4, 0, 0);
    begin(s);
    act(s, (struct op){.verb = VALUE_EDIT, .state = v, .key = key(1), .bytes = text("made")});
    keep(s);
    move_out(s);
    act(s, (struct op){.verb = VALUE_FIND_EDIT, .state = v, .key = key(1), .bytes = text("edit")});
    SAID(s, "b", "made");
    keep(s);
    move_out(s);
    restart(s, 1);
    act(s, (struct op){.verb = VALUE_FIND, .state = v, .key = key(1)});
    SAID(s, "b", "edit");
}

static void probe_of_equal_keys(struct story *s)
{
    struct weir_key keys[3] = {*key(1), *key(2), *key(1)};
    const uint32_t idx[2] = {2, 0};
    uint32_t v = has(s, KEYED_VALUE, 1, 0, 0);
    begin(s);
    act(s, (struct op){.verb = VALUE_PROBE, .state = v, .key = keys, .n = 3});
    CHECK(s->a.n == 3 && s->a.data[0] == 0 && s->a.data[1] == 0);
    unsigned char first = s->a.data[2]; /* what the first nudge left */
    CHECK(first == 1);
    move_out(s);
    act(s, (struct op){.verb = VALUE_PROBE, .state = v, .key = keys, .idx = idx, .n = 2});
    CHECK(s->a.n == 2 && s->a.data[1] == s->a.data[0] + 1);
}

static void reducing_begins_with_its_first_value(struct story *s)
{
    uint32_t r = has(s, KEYED_REDUCING, 1, 0, 0);
    begin(s);
    act(s, (struct op){.verb = REDUCING_ADD, .state = r, .key = key(1), .bytes = text("A")});
    CHECK(s->a.n == 1 && s->a.data[0] == 'A');
    move_out(s);
    act(s, (struct op){.verb = REDUCING_ADD, .state = r, .key = key(1), .bytes = text("B")});
    CHECK(s->a.data[0] == (unsigned char)('A' * 31 + 'B'));
    clears(s, r, key(1));
    act(s, (struct op){.verb = REDUCING_ADD, .state = r, .key = key(1), .bytes = text("C")});
    CHECK(s->a.data[0] == 'C');
}

static void aggregate_adds_records_in_their_order(struct story *s)
{
    struct weir_key keys[3] = {*key(1), *key(2), *key(1)};
    struct op op = {.verb = AGGREGATING_ADD, .key = keys, .n = 3, .salt = 5};
    uint64_t accs[2][2] = {{0}};
    op.state = has(s, KEYED_AGGREGATING, 0, 0, 0);
    begin(s);
    for (uint32_t i = 0; i < 3; i++) fold_row(accs[i % 2], row_of(&op, i));
    act(s, op);
    CHECK(s->a.n == 3 * ACC_BYTES && !memcmp(s->a.data, accs, sizeof accs) && !memcmp(s->a.data + sizeof accs, accs, ACC_BYTES));
    move_out(s);
    act(s, (struct op){.verb = VALUE_FIND, .state = op.state, .key = key(1)});
    CHECK(s->a.n == 8 + ACC_BYTES && !memcmp(s->a.data + 8, accs, ACC_BYTES));
}

/* ---- time to live ---------------------------------------------------------------------------------------------------------------------
 */

static uint32_t one_mortal(struct story *s, uint32_t flags)
{
    uint32_t state = has(s, KEYED_VALUE, 0, 100, flags);
    begin(s);
    return state;
}

static void expires_exactly(struct story *s)
{
    uint32_t v = one_mortal(s, 0);
    write_text(s, v, key(1), "mortal");
    passes(s, 99);
    reads(s, v, key(1), "mortal");
    passes(s, 1);
    reads(s, v, key(1), NULL);
}

static void writing_renews(struct story *s)
{
    uint32_t v = one_mortal(s, 0);
    write_text(s, v, key(1), "young");
    passes(s, 60);
    write_text(s, v, key(1), "young again");
    passes(s, 99);
    reads(s, v, key(1), "young again");
    passes(s, 1);
    reads(s, v, key(1), NULL);
}

static void reading_renews_if_asked_to(struct story *s)
{
    uint32_t v = one_mortal(s, WEIR_STATE_TTL_ON_READ);
    write_text(s, v, key(1), "read");
    passes(s, 60);
    reads(s, v, key(1), "read");
    move_out(s);
    passes(s, 99);
    reads(s, v, key(1), "read");
    passes(s, 100);
    reads(s, v, key(1), NULL);
}

/* What is found may be edited where it lies. */
static void finding_counts_as_writing(struct story *s)
{
    uint32_t v = has(s, KEYED_VALUE, 4, 100, 0);
    begin(s);
    act(s, (struct op){.verb = VALUE_EDIT, .state = v, .key = key(1), .bytes = text("made")});
    passes(s, 60);
    act(s, (struct op){.verb = VALUE_FIND, .state = v, .key = key(1)});
    SAID(s, "b", "made");
    passes(s, 99);
    act(s, (struct op){.verb = VALUE_FIND, .state = v, .key = key(1)});
    SAID(s, "b", "made");
    passes(s, 100);
    act(s, (struct op){.verb = VALUE_FIND, .state = v, .key = key(1)});
    SAID(s, "b", "-");
}

static void expired_is_made_anew_with_zeros(struct story *s)
{
    uint32_t v = has(s, KEYED_VALUE, 1, 100, 0);
    begin(s);
    act(s, (struct op){.verb = VALUE_EDIT, .state = v, .key = key(1), .bytes = text("x")});
    move_out(s);
    passes(s, 100);
    act(s, (struct op){.verb = VALUE_EDIT, .state = v, .key = key(1), .bytes = text("y")});
    CHECK(s->a.n == 1 && s->a.data[0] == 0);
}

static void time_of_writing_is_restored(struct story *s)
{
    uint32_t v = one_mortal(s, 0);
    write_text(s, v, key(1), "old");
    passes(s, 50);
    write_text(s, v, key(2), "young");
    keep(s);
    passes(s, 49);
    restart(s, 1);
    reads(s, v, key(1), "old");
    passes(s, 1);
    reads(s, v, key(1), NULL);
    passes(s, 49);
    reads(s, v, key(2), "young");
    passes(s, 1);
    reads(s, v, key(2), NULL);
}

static void ttl_may_come_later(struct story *s)
{
    uint32_t v = one_value(s);
    write_text(s, v, key(1), "old");
    passes(s, 50);
    write_text(s, v, key(2), "young");
    keep(s);
    s->config.states[v].ttl_ms = 70;
    restart(s, 1);
    passes(s, 20);
    reads(s, v, key(1), NULL);
    reads(s, v, key(2), "young");
    s->config.states[v].ttl_ms = 0;
    keep(s);
    restart(s, 1);
    passes(s, 100000);
    reads(s, v, key(2), "young");
}

static void entries_of_a_map_expire_one_by_one(struct story *s)
{
    uint32_t m = has(s, KEYED_MAP, 0, 100, 0);
    begin(s);
    act(s, (struct op){.verb = MAP_PUT, .state = m, .key = key(1), .user_key = text("a"), .bytes = text("1")});
    passes(s, 50);
    act(s, (struct op){.verb = MAP_PUT, .state = m, .key = key(1), .user_key = text("b"), .bytes = text("2")});
    passes(s, 50);
    act(s, (struct op){.verb = MAP_SCAN, .state = m, .key = key(1)});
    SAID(s, "bb", "b 2");
    passes(s, 50);
    act(s, (struct op){.verb = MAP_EMPTY, .state = m, .key = key(1)});
    SAID(s, "n", "1");
}

/* ---- namespaces ------------------------------------------------------------------------------------------------------------------------
 */

static void in_namespace(struct story *s, const char *ns)
{
    act(s, (struct op){.verb = NAMESPACE, .user_key = text(ns)});
}

static void namespaces_do_not_see_each_other(struct story *s)
{
    uint32_t v = has(s, KEYED_VALUE, 0, 0, WEIR_STATE_NAMESPACED), plain = has(s, KEYED_VALUE, 0, 0, 0);
    begin(s);
    in_namespace(s, "a");
    write_text(s, v, key_of("k"), "in a");
    write_text(s, plain, key_of("k"), "anywhere");
    move_out(s);
    in_namespace(s, "");
    reads(s, v, key_of("k"), NULL);
    reads(s, v, key_of("ka"), NULL); /* the bytes of key and namespace in a row are those of this key */
    write_text(s, v, key_of("k"), "in none");
    move_out(s);
    in_namespace(s, "a");
    reads(s, v, key_of("k"), "in a");
    reads(s, plain, key_of("k"), "anywhere");
    clears(s, v, key_of("k"));
    in_namespace(s, "");
    reads(s, v, key_of("k"), "in none");
}

static void maps_have_namespaces_too(struct story *s)
{
    uint32_t m = has(s, KEYED_MAP, 0, 0, WEIR_STATE_NAMESPACED);
    begin(s);
    for (const char *const *ns = (const char *const[]){"", "w", "wx", NULL}; *ns; ns++) {
        in_namespace(s, *ns);
        act(s, (struct op){.verb = MAP_PUT, .state = m, .key = key(1), .user_key = text("x"), .bytes = text(*ns)});
    }
    move_out(s);
    in_namespace(s, "w");
    act(s, (struct op){.verb = MAP_SCAN, .state = m, .key = key(1)});
    SAID(s, "bb", "x w");
    act(s, (struct op){.verb = MAP_CLEAR, .state = m, .key = key(1)});
    in_namespace(s, "wx");
    act(s, (struct op){.verb = MAP_SCAN, .state = m, .key = key(1)});
    SAID(s, "bb", "x wx");
}

/* ---- lists -----------------------------------------------------------------------------------------------------------------------------
 */

static void list_is(struct story *s, uint32_t l, const struct weir_key *k, const char *elements)
{
    act(s, (struct op){.verb = LIST_SCAN, .state = l, .key = k});
    SAID(s, "cb", elements);
}

static void add(struct story *s, uint32_t l, const struct weir_key *k, const char *element)
{
    act(s, (struct op){.verb = LIST_ADD, .state = l, .key = k, .bytes = text(element)});
    SAID(s, "e", "");
}

static uint32_t one_list(struct story *s)
{
    uint32_t l = has(s, KEYED_LIST, 0, 0, 0);
    begin(s);
    return l;
}

static void list_keeps_its_order(struct story *s)
{
    uint32_t l = one_list(s);
    add(s, l, key(1), "a");
    move_out(s);
    add(s, l, key(1), "");
    add(s, l, key(2), "other");
    move_out(s);
    add(s, l, key(1), "c");
    list_is(s, l, key(1), "a  c");
    if (!s->config.snapshots) return;
    keep(s);
    add(s, l, key(1), "d");
    keep(s);
    restart(s, 1);
    list_is(s, l, key(1), "a  c d");
    list_is(s, l, key(2), "other");
    add(s, l, key(1), "e");
    move_out(s);
    list_is(s, l, key(1), "a  c d e");
}

static void long_list_keeps_its_order(struct story *s)
{
    static char all[60000];
    char element[32];
    size_t at = 0;
    uint32_t l = one_list(s);
    for (int i = 0; i < 5000; i++) {
        snprintf(element, sizeof element, "%d", i);
        at += (size_t)snprintf(all + at, sizeof all - at, "%s%s", i ? " " : "", element);
        add(s, l, key(1), element);
        if (i % 50 == 0) passes(s, 1);
    }
    move_out(s);
    list_is(s, l, key(1), all);
    if (!s->config.snapshots) return;
    keep(s);
    restart(s, 1);
    list_is(s, l, key(1), all);
}

static void cleared_list_begins_anew(struct story *s)
{
    uint32_t l = one_list(s);
    add(s, l, key(1), "a");
    add(s, l, key(1), "b");
    move_out(s);
    act(s, (struct op){.verb = LIST_CLEAR, .state = l, .key = key(1)});
    act(s, (struct op){.verb = LIST_EMPTY, .state = l, .key = key(1)});
    SAID(s, "n", "1");
    move_out(s);
    add(s, l, key(1), "c");
    move_out(s);
    list_is(s, l, key(1), "c");
}

static void scan_sees_what_is_added_meanwhile(struct story *s)
{
    uint32_t l = one_list(s);
    add(s, l, key(1), "a");
    add(s, l, key(1), "b");
    move_out(s);
    act(s, (struct op){.verb = LIST_SCAN_ADDING, .state = l, .key = key(1), .bytes = text("c")});
    SAID(s, "cb", "a b c");
}

static void list_may_be_left_in_the_middle(struct story *s)
{
    uint32_t l = one_list(s);
    add(s, l, key(1), "a");
    add(s, l, key(1), "b");
    act(s, (struct op){.verb = LIST_SCAN, .state = l, .key = key(1), .limit = 1});
    SAID(s, "cb", "a");
    add(s, l, key(1), "c");
    list_is(s, l, key(1), "a b c");
}

static void list_expires_as_a_whole(struct story *s)
{
    uint32_t l = has(s, KEYED_LIST, 0, 100, 0);
    begin(s);
    add(s, l, key(1), "a");
    move_out(s);
    passes(s, 100);
    list_is(s, l, key(1), "");
    add(s, l, key(1), "b");
    list_is(s, l, key(1), "b");
}

/* ---- maps ------------------------------------------------------------------------------------------------------------------------------
 */

static void put(struct story *s, uint32_t m, const struct weir_key *k, const char *user_key, const char *value)
{
    act(s, (struct op){.verb = MAP_PUT, .state = m, .key = k, .user_key = text(user_key), .bytes = text(value)});
    SAID(s, "e", "");
}

static void map_is(struct story *s, uint32_t m, const struct weir_key *k, const char *entries)
{
    act(s, (struct op){.verb = MAP_SCAN, .state = m, .key = k});
    SAID(s, "bb", entries);
}

static uint32_t one_map(struct story *s)
{
    uint32_t m = has(s, KEYED_MAP, 0, 0, 0);
    begin(s);
    return m;
}

static void keys_that_begin_alike_do_not_mix(struct story *s)
{
    uint32_t m = one_map(s);
    put(s, m, key_of("a"), "bc", "1");
    put(s, m, key_of("ab"), "c", "2");
    put(s, m, key_of("abc"), "", "3"); /* an empty word leaves no blank at the beginning */
    put(s, m, key_of(""), "abc", "4");
    move_out(s);
    map_is(s, m, key_of("a"), "bc 1");
    map_is(s, m, key_of("ab"), "c 2");
    map_is(s, m, key_of("abc"), "3");
    map_is(s, m, key_of(""), "abc 4");
}

static void map_is_memory_and_disk_together(struct story *s)
{
    uint32_t m = one_map(s);
    put(s, m, key(1), "a", "old");
    put(s, m, key(1), "b", "old");
    put(s, m, key(1), "c", "old");
    move_out(s);
    put(s, m, key(1), "b", "new");
    put(s, m, key(1), "d", "new");
    act(s, (struct op){.verb = MAP_REMOVE, .state = m, .key = key(1), .user_key = text("c")});
    map_is(s, m, key(1), "a old b new d new");
    move_out(s);
    map_is(s, m, key(1), "a old b new d new");
    if (!s->config.snapshots) return;
    keep(s);
    restart(s, 1);
    map_is(s, m, key(1), "a old b new d new");
}

static void cleared_map_is_empty(struct story *s)
{
    uint32_t m = one_map(s);
    put(s, m, key(1), "a", "1");
    put(s, m, key(2), "a", "2");
    move_out(s);
    put(s, m, key(1), "b", "1");
    act(s, (struct op){.verb = MAP_CLEAR, .state = m, .key = key(1)});
    act(s, (struct op){.verb = MAP_EMPTY, .state = m, .key = key(1)});
    SAID(s, "n", "1");
    map_is(s, m, key(2), "a 2");
    if (!s->config.snapshots) return;
    keep(s);
    restart(s, 1);
    map_is(s, m, key(1), "");
    map_is(s, m, key(2), "a 2");
}

static void scan_may_remove_what_it_was_given(struct story *s)
{
    char name[16], left[400] = "";
    uint32_t m = one_map(s);
    for (int i = 10; i < 40; i++) {
        snprintf(name, sizeof name, "%d", i);
        put(s, m, key(1), name, "x");
        if (picked(3, name, 2)) continue;
        if (left[0]) strcat(left, " ");
        strcat(strcat(left, name), " x");
        if (i == 25) move_out(s);
    }
    act(s, (struct op){.verb = MAP_SCAN_REMOVING, .state = m, .key = key(1), .salt = 3});
    map_is(s, m, key(1), left);
    move_out(s);
    map_is(s, m, key(1), left);
}

/* ---- ordered states --------------------------------------------------------------------------------------------------------------------
 */

static void at_time(struct story *s, uint32_t o, weir_time time_ms, uint64_t seq, const char *value)
{
    act(s, (struct op){.verb = ORDERED_PUT, .state = o, .key = key(1), .time_ms = time_ms, .seq = seq, .bytes = text(value)});
    SAID(s, "e", "");
}

static void range_is(struct story *s, uint32_t o, weir_time from, weir_time to, const char *entries)
{
    act(s, (struct op){.verb = ORDERED_RANGE, .state = o, .key = key(1), .time_ms = from, .until_ms = to});
    SAID(s, "nnb", entries);
}

static uint32_t one_ordered(struct story *s)
{
    uint32_t o = has(s, KEYED_ORDERED, 0, 0, 0);
    begin(s);
    at_time(s, o, 20, 1, "d");
    at_time(s, o, -5, 0, "a");
    move_out(s);
    at_time(s, o, 20, 0, "c");
    at_time(s, o, 10, 7, "b");
    return o;
}

static void ranges_are_inclusive(struct story *s)
{
    uint32_t o = one_ordered(s);
    range_is(s, o, 10, 20, "10 7 b 20 0 c 20 1 d");
    range_is(s, o, 11, 19, "");
    range_is(s, o, WEIR_TIME_MIN, WEIR_TIME_MAX, "-5 0 a 10 7 b 20 0 c 20 1 d");
    range_is(s, o, 20, 10, "");
    move_out(s);
    range_is(s, o, -5, 10, "-5 0 a 10 7 b");
}

static void ends_of_time_are_in_order(struct story *s)
{
    uint32_t o = one_ordered(s);
    at_time(s, o, WEIR_TIME_MAX, UINT64_MAX, "last");
    at_time(s, o, WEIR_TIME_MIN, 0, "first");
    move_out(s);
    range_is(s, o, 20, WEIR_TIME_MAX, "20 0 c 20 1 d 9223372036854775807 -1 last");
    range_is(s, o, WEIR_TIME_MIN, -5, "-9223372036854775808 0 first -5 0 a");
}

static void remove_before_spares_its_own_time(struct story *s)
{
    uint32_t o = one_ordered(s);
    act(s, (struct op){.verb = ORDERED_REMOVE_BEFORE, .state = o, .key = key(1), .until_ms = 20});
    range_is(s, o, WEIR_TIME_MIN, WEIR_TIME_MAX, "20 0 c 20 1 d");
    if (!s->config.snapshots) return;
    keep(s);
    restart(s, 1);
    range_is(s, o, WEIR_TIME_MIN, WEIR_TIME_MAX, "20 0 c 20 1 d");
}

static void put_replaces(struct story *s)
{
    uint32_t o = one_ordered(s);
    at_time(s, o, -5, 0, "other");
    act(s, (struct op){.verb = ORDERED_GET, .state = o, .key = key(1), .time_ms = -5});
    SAID(s, "b", "other");
    act(s, (struct op){.verb = ORDERED_REMOVE, .state = o, .key = key(1), .time_ms = 20, .seq = 1});
    range_is(s, o, WEIR_TIME_MIN, WEIR_TIME_MAX, "-5 0 other 10 7 b 20 0 c");
}

/* ---- timers ----------------------------------------------------------------------------------------------------------------------------
 */

static void set_timer(struct story *s, enum weir_time_domain domain, const struct weir_key *k, weir_time time_ms, uint64_t tag)
{
    act(s, (struct op){.verb = TIMER_SET, .state = STATES_MAX, .key = k, .domain = domain, .time_ms = time_ms, .seq = tag});
    SAID(s, "e", "");
}

static void fires(struct story *s, enum weir_time_domain domain, weir_time until, const char *timers)
{
    act(s, (struct op){.verb = TIMER_POP, .state = STATES_MAX, .domain = domain, .until_ms = until, .in_order = true});
    SAID(s, "nnb", timers);
}

static void set_twice_fires_once(struct story *s)
{
    begin(s);
    set_timer(s, WEIR_EVENT_TIME, key(1), 10, 7);
    set_timer(s, WEIR_EVENT_TIME, key(1), 10, 7);
    set_timer(s, WEIR_EVENT_TIME, key(1), 10, 8);
    set_timer(s, WEIR_PROCESSING_TIME, key(1), 10, 7);
    fires(s, WEIR_EVENT_TIME, 9, "");
    fires(s, WEIR_EVENT_TIME, 10, "10 7 key 1 10 8 key 1");
    fires(s, WEIR_EVENT_TIME, WEIR_TIME_MAX, "");
    fires(s, WEIR_PROCESSING_TIME, 10, "10 7 key 1");
}

static void equal_times_fire_in_order_of_setting(struct story *s)
{
    begin(s);
    for (uint32_t i = 5; i > 0; i--) set_timer(s, WEIR_EVENT_TIME, key(i), 10, 0);
    set_timer(s, WEIR_EVENT_TIME, key(9), 3, 0);
    act(s, (struct op){.verb = TIMER_DELETE, .state = STATES_MAX, .key = key(4), .time_ms = 10});
    fires(s, WEIR_EVENT_TIME, 10, "3 0 key 9 10 0 key 5 10 0 key 3 10 0 key 2 10 0 key 1");
}

static void restored_timers_fire_in_time_order(struct story *s)
{
    begin(s);
    set_timer(s, WEIR_EVENT_TIME, key(1), 30, 0);
    set_timer(s, WEIR_EVENT_TIME, key(2), -7, 0);
    set_timer(s, WEIR_EVENT_TIME, key(3), 20, 0);
    set_timer(s, WEIR_EVENT_TIME, key(4), 25, 0);
    keep(s);
    act(s, (struct op){.verb = TIMER_DELETE, .state = STATES_MAX, .key = key(4), .time_ms = 25});
    fires(s, WEIR_EVENT_TIME, -7, "-7 0 key 2");
    keep(s);
    restart(s, 1);
    set_timer(s, WEIR_EVENT_TIME, key(1), 30, 0);
    act(s, (struct op){.verb = TIMER_FIRST, .state = STATES_MAX, .domain = WEIR_EVENT_TIME});
    SAID(s, "n", "20");
    fires(s, WEIR_EVENT_TIME, WEIR_TIME_MAX, "20 0 key 3 30 0 key 1");
}

static void timers_stay_whatever_the_budget(struct story *s)
{
    begin(s);
    for (uint32_t i = 0; i < 100; i++) set_timer(s, WEIR_PROCESSING_TIME, key(i % 50), (weir_time)(500 - i), i);
    move_out(s);
    for (uint32_t i = 100; i-- > 0;) {
        char expected[64];
        snprintf(expected, sizeof expected, "%u %u key %u", 500 - i, i, i % 50);
        fires(s, WEIR_PROCESSING_TIME, (weir_time)(500 - i), expected);
    }
}

/* ---- panes -----------------------------------------------------------------------------------------------------------------------------
 */

static uint32_t one_window(struct story *s)
{
    uint32_t p = has(s, KEYED_PANES, 1, 0, 0);
    begin(s);
    return p;
}

/* Makes the entry if there is none and leaves it one higher. */
static void counts(struct story *s, uint32_t p, int64_t pane, uint32_t k, unsigned before)
{
    act(s, (struct op){.verb = PANE_PROBE, .state = p, .pane = pane, .key = key(k), .n = 1});
    CHECK(s->a.n == 1 && s->a.data[0] == before);
}

static void panes_are(struct story *s, uint32_t p, const char *numbers)
{
    act(s, (struct op){.verb = PANES_LIST, .state = p});
    SAID(s, "n", numbers);
}

static void dropped_pane_made_again_is_empty(struct story *s)
{
    uint32_t p = one_window(s);
    counts(s, p, 60, 1, 0);
    counts(s, p, 120, 1, 0);
    move_out(s);
    if (s->config.snapshots) keep(s);
    act(s, (struct op){.verb = PANE_DROP, .state = p, .pane = 60});
    panes_are(s, p, "120");
    counts(s, p, 60, 2, 0);
    counts(s, p, 60, 1, 0);
    act(s, (struct op){.verb = PANE_REMOVE, .state = p, .pane = 60, .key = key(1)});
    move_out(s);
    act(s, (struct op){.verb = PANE_SCAN, .state = p, .pane = 60});
    SAID(s, "bb", "key 2 \1");
    counts(s, p, 120, 1, 1);
    if (!s->config.snapshots) return;
    keep(s);
    restart(s, 1);
    act(s, (struct op){.verb = PANE_SCAN, .state = p, .pane = 60});
    SAID(s, "bb", "key 2 \1");
}

static void dropped_pane_does_not_come_back(struct story *s)
{
    uint32_t p = one_window(s);
    counts(s, p, 60, 1, 0);
    counts(s, p, 120, 1, 0);
    move_out(s);
    keep(s);
    act(s, (struct op){.verb = PANE_DROP, .state = p, .pane = 60});
    keep(s);
    restart(s, 1);
    panes_are(s, p, "120");
    counts(s, p, 60, 1, 0);
}

static void restored_panes_are_found_by_number(struct story *s)
{
    uint32_t p = one_window(s);
    for (const int64_t *pane = (const int64_t[]){-60, 0, 256, INT64_MAX, INT64_MIN + 1, 60, 1};; pane++) {
        counts(s, p, *pane, 1, 0);
        if (*pane == 1) break;
    }
    panes_are(s, p, "-9223372036854775807 -60 0 1 60 256 9223372036854775807");
    keep(s);
    restart(s, 1);
    panes_are(s, p, "-9223372036854775807 -60 0 1 60 256 9223372036854775807");
    counts(s, p, INT64_MAX, 1, 1);
    counts(s, p, -60, 1, 1);
}

static void pane_without_entries_has_a_table(struct story *s)
{
    uint32_t p = one_window(s);
    act(s, (struct op){.verb = PANE_MAKE, .state = p, .pane = 5});
    panes_are(s, p, "5");
    act(s, (struct op){.verb = PANE_SCAN, .state = p, .pane = 5});
    SAID(s, "bb", "");
    act(s, (struct op){.verb = PANE_DROP, .state = p, .pane = 5});
    panes_are(s, p, "");
}

/* ---- state without key, and rescaling
 * ---------------------------------------------------------------------------------------------------- */

static void broadcast_is_the_same_everywhere(struct story *s)
{
    uint32_t b = has(s, KEYED_BROADCAST, 0, 0, 0);
    s->config.n_instances = 2;
    begin(s);
    act(s, (struct op){.verb = BROADCAST_PUT, .state = b, .user_key = text("x"), .bytes = text("1")});
    act(s, (struct op){.verb = BROADCAST_PUT, .state = b, .user_key = text("y"), .bytes = text("2")});
    keep(s);
    act(s, (struct op){.verb = BROADCAST_REMOVE, .state = b, .user_key = text("x")});
    act(s, (struct op){.verb = BROADCAST_PUT, .state = b, .user_key = text("z"), .bytes = text("3")});
    keep(s);
    restart(s, 3);
    act(s, (struct op){.verb = BROADCAST_SCAN, .state = b});
    SAID(s, "bb", "y 2 z 3");
    act(s, (struct op){.verb = BROADCAST_GET, .state = b, .user_key = text("x")});
    SAID(s, "b", "-");
}

static void list_of(struct story *s, uint32_t l, uint32_t instance, char *words, size_t room)
{
    act(s, (struct op){.verb = OPERATOR_LIST_READ, .state = l, .instance = instance});
    for (size_t at = 0; at < s->a.n;) put_word(&s->a, 'b', &at, words, room);
}

static void operator_lists_are_dealt_out(struct story *s)
{
    char words[200], element[2] = "a";
    uint32_t split = has(s, KEYED_OPERATOR_LIST, 0, 0, 0), all = has(s, KEYED_OPERATOR_LIST, 0, 0, 0);
    s->config.states[all].how = WEIR_UNION;
    s->config.n_instances = 2;
    begin(s);
    for (uint32_t i = 0; i < 6; i++, element[0]++) {
        act(s, (struct op){.verb = OPERATOR_LIST_ADD, .state = split, .instance = i / 3, .bytes = text(element)});
        act(s, (struct op){.verb = OPERATOR_LIST_ADD, .state = all, .instance = i / 3, .bytes = text(element)});
    }
    keep(s);
    restart(s, 3);
    size_t total = 0;
    for (uint32_t i = 0; i < 3; i++) {
        words[0] = '\0';
        list_of(s, split, i, words, sizeof words);
        CHECK(strlen(words) == 3); /* two letters and a blank */
        total += strlen(words);
        words[0] = '\0';
        list_of(s, all, i, words, sizeof words);
        CHECK(!strcmp(words, "a b c d e f"));
    }
    CHECK(total == 9);
    keep(s);
    restart(s, 1);
    words[0] = '\0';
    list_of(s, split, 0, words, sizeof words);
    CHECK(strlen(words) == 11);
}

struct every_kind {
    uint32_t value, list, map, ordered, panes, broadcast;
};

static void is_before(struct story *s, const struct every_kind *k)
{
    reads(s, k->value, key(1), "before");
    reads(s, k->value, key(2), NULL);
    list_is(s, k->list, key(1), "a b");
    map_is(s, k->map, key(1), "x before y before");
    range_is(s, k->ordered, 0, 100, "1 0 before 50 0 before");
    act(s, (struct op){.verb = PANE_SCAN, .state = k->panes, .pane = 60});
    SAID(s, "bb", "key 1 \1");
    act(s, (struct op){.verb = PANE_SCAN, .state = k->panes, .pane = 120});
    SAID(s, "bb", "key 1 \1");
    act(s, (struct op){.verb = BROADCAST_SCAN, .state = k->broadcast});
    SAID(s, "bb", "x before y before");
    fires(s, WEIR_EVENT_TIME, WEIR_TIME_MAX, "10 0 key 1 20 0 key 2 30 0 key 3");
}

static void is_written(struct story *s, const struct every_kind *k)
{
    write_text(s, k->value, key(1), "before");
    add(s, k->list, key(1), "a");
    add(s, k->list, key(1), "b");
    put(s, k->map, key(1), "x", "before");
    put(s, k->map, key(1), "y", "before");
    at_time(s, k->ordered, 1, 0, "before");
    at_time(s, k->ordered, 50, 0, "before");
    counts(s, k->panes, 60, 1, 0);
    counts(s, k->panes, 120, 1, 0);
    act(s, (struct op){.verb = BROADCAST_PUT, .state = k->broadcast, .user_key = text("x"), .bytes = text("before")});
    act(s, (struct op){.verb = BROADCAST_PUT, .state = k->broadcast, .user_key = text("y"), .bytes = text("before")});
    for (uint32_t i = 1; i <= 3; i++) set_timer(s, WEIR_EVENT_TIME, key(i), (weir_time)i * 10, 0);
}

static void is_changed(struct story *s, const struct every_kind *k)
{
    write_text(s, k->value, key(1), "after");
    write_text(s, k->value, key(2), "after");
    add(s, k->list, key(1), "after");
    put(s, k->map, key(1), "x", "after");
    act(s, (struct op){.verb = MAP_REMOVE, .state = k->map, .key = key(1), .user_key = text("y")});
    at_time(s, k->ordered, 50, 0, "after");
    act(s, (struct op){.verb = ORDERED_REMOVE_BEFORE, .state = k->ordered, .key = key(1), .until_ms = 50});
    counts(s, k->panes, 60, 1, 1);
    counts(s, k->panes, 60, 2, 0);
    act(s, (struct op){.verb = PANE_DROP, .state = k->panes, .pane = 120});
    act(s, (struct op){.verb = BROADCAST_PUT, .state = k->broadcast, .user_key = text("x"), .bytes = text("after")});
    act(s, (struct op){.verb = BROADCAST_REMOVE, .state = k->broadcast, .user_key = text("y")});
    act(s, (struct op){.verb = TIMER_DELETE, .state = STATES_MAX, .key = key(2), .time_ms = 20});
    set_timer(s, WEIR_EVENT_TIME, key(2), 21, 0);
    fires(s, WEIR_EVENT_TIME, 10, "10 0 key 1");
}

/* Nothing is copied before the snapshot is joined, but for what changes. */
static void every_kind_is_of_its_moment(struct story *s)
{
    struct every_kind k = {.value = has(s, KEYED_VALUE, 0, 0, 0),
                           .list = has(s, KEYED_LIST, 0, 0, 0),
                           .map = has(s, KEYED_MAP, 0, 0, 0),
                           .ordered = has(s, KEYED_ORDERED, 0, 0, 0),
                           .panes = has(s, KEYED_PANES, 1, 0, 0),
                           .broadcast = has(s, KEYED_BROADCAST, 0, 0, 0)};
    begin(s);
    is_written(s, &k);
    s->ops->freeze(s->subject, true);
    is_changed(s, &k);
    s->ops->join(s->subject, true);
    restart(s, 1);
    is_before(s, &k);
}

/* A removal waits to be copied, too. */
static void removal_is_of_its_moment(struct story *s)
{
    uint32_t v = one_value(s);
    write_text(s, v, key(1), "first life");
    write_text(s, v, key(2), "first life");
    keep(s);
    clears(s, v, key(1));
    s->ops->freeze(s->subject, true);
    write_text(s, v, key(1), "second life");
    clears(s, v, key(2));
    s->ops->join(s->subject, true);
    reads(s, v, key(1), "second life");
    restart(s, 1);
    reads(s, v, key(1), NULL);
    reads(s, v, key(2), "first life");
}

static void rescaling_loses_nobody(struct story *s)
{
    uint32_t v = has(s, KEYED_VALUE, 0, 0, 0), m = has(s, KEYED_MAP, 0, 0, 0), n = 300;
    const uint32_t instances[] = {3, 2, 5, 1};
    char words[32];
    begin(s);
    for (uint32_t i = 0; i < n; i++) {
        snprintf(words, sizeof words, "value %" PRIu32, i);
        write_text(s, v, key(i), words);
        put(s, m, key(i), "x", words);
        set_timer(s, WEIR_EVENT_TIME, key(i), (weir_time)(i / 2), 0);
    }
    for (uint32_t turn = 0; turn < 4; turn++) {
        keep(s);
        restart(s, instances[turn]);
        clears(s, v, key(turn));
        for (uint32_t i = 0; i < n; i++) {
            snprintf(words, sizeof words, "value %" PRIu32, i);
            reads(s, v, key(i), i <= turn ? NULL : words);
            snprintf(words, sizeof words, "x value %" PRIu32, i);
            map_is(s, m, key(i), words);
        }
        act(s, (struct op){.verb = TIMER_FIRST, .state = STATES_MAX, .domain = WEIR_EVENT_TIME});
        SAID(s, "n", "0");
    }
}

/* ---- the table of cases
 * ------------------------------------------------------------------------------------------------------------------ */

static const struct named_case cases[] = {
    {"a removed key stays removed after it has been frozen", removed_stays_removed, NEEDS_SNAPSHOTS},
    {"a key removed after its value left memory stays removed", removed_after_it_left_memory, 0},
    {"a key may be removed and made again", removed_and_made_again, 0},
    {"an entry born and dropped between two freezes leaves no file entry", born_and_dropped_leaves_no_entry, NEEDS_SNAPSHOTS},
    {"a snapshot is of the moment of its freeze", snapshot_is_of_its_moment, NEEDS_SNAPSHOTS},
    {"what changes while a snapshot is written is in the next one", what_changed_meanwhile_is_in_the_next_snapshot, NEEDS_SNAPSHOTS},
    {"the newest value wins wherever it lies", newest_wins_wherever_it_lies, NEEDS_SNAPSHOTS},
    {"a snapshot that is given up spoils none after it", given_up_snapshot_spoils_nothing, NEEDS_SNAPSHOTS},
    {"an empty value is not none", empty_is_not_none, 0},
    {"a value may be larger than the budget", value_larger_than_the_budget, 0},
    {"many keys live in little memory", many_keys_in_little_memory, 0},
    {"an edit through find is kept", edit_through_find_is_kept, NEEDS_SNAPSHOTS},
    {"equal keys of a probe share a value", probe_of_equal_keys, 0},
    {"a reduction begins with its first value", reducing_begins_with_its_first_value, 0},
    {"an aggregate adds records in their order", aggregate_adds_records_in_their_order, 0},
    {"a value expires at ttl_ms exactly", expires_exactly, 0},
    {"writing makes a value young again", writing_renews, 0},
    {"TTL on read renews", reading_renews_if_asked_to, 0},
    {"finding a value of fixed size counts as writing it", finding_counts_as_writing, 0},
    {"an expired value is made anew with zeros", expired_is_made_anew_with_zeros, 0},
    {"the time of writing is restored", time_of_writing_is_restored, NEEDS_SNAPSHOTS},
    {"a time to live may come and go with versions of a job", ttl_may_come_later, NEEDS_SNAPSHOTS},
    {"entries of a map expire one by one", entries_of_a_map_expire_one_by_one, 0},
    {"two namespaces do not see each other", namespaces_do_not_see_each_other, 0},
    {"maps have namespaces, too", maps_have_namespaces_too, 0},
    {"a list keeps its order across eviction and restore", list_keeps_its_order, 0},
    {"a long list keeps its order", long_list_keeps_its_order, 0},
    {"a cleared list begins anew", cleared_list_begins_anew, 0},
    {"a scan of a list sees what is added meanwhile", scan_sees_what_is_added_meanwhile, 0},
    {"a scan of a list may be left in the middle", list_may_be_left_in_the_middle, 0},
    {"a short list expires as a whole", list_expires_as_a_whole, 0},
    {"keys that begin alike do not mix their maps", keys_that_begin_alike_do_not_mix, 0},
    {"a map is what lies in memory and on disk together", map_is_memory_and_disk_together, 0},
    {"a cleared map is empty", cleared_map_is_empty, 0},
    {"a scan of a map may remove what it was given", scan_may_remove_what_it_was_given, 0},
    {"ordered ranges are inclusive", ranges_are_inclusive, 0},
    {"the ends of time are in order", ends_of_time_are_in_order, 0},
    {"remove_before spares its own time", remove_before_spares_its_own_time, 0},
    {"an ordered put replaces", put_replaces, 0},
    {"timers set twice fire once", set_twice_fires_once, 0},
    {"equal times fire in the order of setting", equal_times_fire_in_order_of_setting, 0},
    {"after a restore timers fire in time order", restored_timers_fire_in_time_order, NEEDS_SNAPSHOTS},
    {"timers stay whatever the budget", timers_stay_whatever_the_budget, 0},
    {"a pane that was dropped and made again is empty", dropped_pane_made_again_is_empty, 0},
    {"a dropped pane does not come back with a restore", dropped_pane_does_not_come_back, NEEDS_SNAPSHOTS},
    {"restored panes are found by their numbers", restored_panes_are_found_by_number, NEEDS_SNAPSHOTS},
    {"a pane without entries has a table", pane_without_entries_has_a_table, 0},
    {"broadcast state is the same everywhere", broadcast_is_the_same_everywhere, NEEDS_SNAPSHOTS},
    {"operator lists are dealt out", operator_lists_are_dealt_out, NEEDS_SNAPSHOTS},
    {"a snapshot has every kind as of its moment", every_kind_is_of_its_moment, NEEDS_SNAPSHOTS},
    {"a snapshot has removals as of its moment", removal_is_of_its_moment, NEEDS_SNAPSHOTS},
    {"rescaling loses nobody", rescaling_loses_nobody, NEEDS_SNAPSHOTS},
    {NULL, NULL, 0},
};

/* ---- subjects
 * ---------------------------------------------------------------------------------------------------------------------------- */

static const struct subject {
    const char *name;
    const struct subject_ops *ops;
    bool on_disk, snapshots;
    uint64_t budget;
} subjects[] = {
    {"oracle", &model_ops, false, true, 0},
    {"memory only", &system_ops, false, false, 0},
    {"4 KiB, snapshots", &system_ops, true, true, 4 << 10},
    {"4 KiB, no snapshots", &system_ops, true, false, 4 << 10},
    {"4 MiB, snapshots", &system_ops, true, true, 4 << 20},
};
#define SUBJECTS (sizeof subjects / sizeof subjects[0])

struct pairing {
    const struct subject *subject;
    const struct named_case *what;
};

static void run_case(void **state)
{
    const struct pairing *p = *state;
    static struct story story; /* survives a failure's jump */
    answer_close(&story.a);
    story = (struct story){.ops = p->subject->ops, .is_system = p->subject->ops == &system_ops};
    story.config.on_disk = p->subject->on_disk;
    story.config.snapshots = p->subject->snapshots;
    story.config.budget = p->subject->budget;
    p->what->run(&story);
    story.ops->close(story.subject);
    answer_close(&story.a);
}

static bool fits(const struct named_case *c, const struct subject *s)
{
    if (c->needs & NEEDS_SNAPSHOTS && !s->snapshots) return false;
    if (c->needs & NEEDS_DISK && !s->on_disk) return false;
    return !(c->needs & NEEDS_SYSTEM) || s->ops == &system_ops;
}

enum { TESTS_MAX = 600, TITLE_MAX = 200 };
static struct CMUnitTest tests[TESTS_MAX];
static struct pairing pairings[TESTS_MAX];
static char names[TESTS_MAX][TITLE_MAX];

static size_t add_cases(size_t n, const struct named_case *of)
{
    for (size_t i = 0; i < SUBJECTS; i++) {
        for (const struct named_case *c = of; c->name; c++) {
            if (!fits(c, &subjects[i])) continue;
            MUST(n < TESTS_MAX);
            pairings[n] = (struct pairing){&subjects[i], c};
            snprintf(names[n], sizeof names[n], "%s: %s", subjects[i].name, c->name);
            tests[n] = (struct CMUnitTest){names[n], run_case, NULL, NULL, &pairings[n]};
            n++;
        }
    }
    return n;
}

int main(int argc, char **argv)
{
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    log_init("test_state_conformance", LOG_LEVEL_WARN);
    size_t n = add_cases(add_cases(0, cases), file_cases);
    int failed = _cmocka_run_group_tests("state", tests, n, NULL, NULL);
    system_end();
    return failed;
}
