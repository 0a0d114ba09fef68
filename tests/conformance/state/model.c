/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/conformance/state/model.h"

#include <stdlib.h>

/* ---- a sorted array of bytes to bytes ------------------------------------------------------------------------------------------------ */

/* Never changed but for its time: snapshots share it. */
struct item {
    uint32_t refs, key_length, length;
    weir_time written_ms;
    unsigned char bytes[]; /* key, value */
};

struct shelf {
    struct item **items;
    uint32_t n, cap;
};

static struct item *item_new(struct weir_bytes key, struct weir_bytes value, weir_time now_ms)
{
    struct item *i = malloc(sizeof *i + key.length + value.length);
    MUST(i != NULL);
    *i = (struct item){.refs = 1, .key_length = key.length, .length = value.length, .written_ms = now_ms};
    if (key.length) memcpy(i->bytes, key.data, key.length);
    if (value.length) memcpy(i->bytes + key.length, value.data, value.length);
    return i;
}

static void item_release(struct item *i)
{
    if (--i->refs == 0) free(i);
}

static struct weir_bytes item_key(const struct item *i)
{
    return (struct weir_bytes){i->bytes, i->key_length};
}

static struct weir_bytes item_value(const struct item *i)
{
    return (struct weir_bytes){i->bytes + i->key_length, i->length};
}

static int compare(struct weir_bytes a, struct weir_bytes b)
{
    uint32_t least = a.length < b.length ? a.length : b.length;
    int order = least ? memcmp(a.data, b.data, least) : 0;
    return order ? order : (a.length > b.length) - (a.length < b.length);
}

static bool begins_with(struct weir_bytes bytes, struct weir_bytes prefix)
{
    return bytes.length >= prefix.length && !memcmp(bytes.data, prefix.data, prefix.length);
}

/* The place of the first item whose key is not below `key`. */
static uint32_t place_of(const struct shelf *s, struct weir_bytes key)
{
    uint32_t from = 0, to = s->n;
    while (from < to) {
        uint32_t middle = from + (to - from) / 2;
        if (compare(item_key(s->items[middle]), key) < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

static struct item *shelf_at(const struct shelf *s, uint32_t at, struct weir_bytes prefix)
{
    return at < s->n && begins_with(item_key(s->items[at]), prefix) ? s->items[at] : NULL;
}

static struct item *shelf_find(const struct shelf *s, struct weir_bytes key)
{
    uint32_t at = place_of(s, key);
    return at < s->n && !compare(item_key(s->items[at]), key) ? s->items[at] : NULL;
}

static void shelf_put(struct shelf *s, struct weir_bytes key, struct weir_bytes value, weir_time now_ms)
{
    uint32_t at = place_of(s, key);
    struct item *item = item_new(key, value, now_ms);
    if (at < s->n && !compare(item_key(s->items[at]), key)) {
        item_release(s->items[at]);
        s->items[at] = item;
        return;
    }
    if (s->n == s->cap) {
        s->cap = s->cap * 2 + 16;
        s->items = realloc(s->items, s->cap * sizeof(struct item *));
        MUST(s->items != NULL);
    }
    memmove(s->items + at + 1, s->items + at, (s->n - at) * sizeof(struct item *));
    s->items[at] = item;
    s->n++;
}

static void shelf_take(struct shelf *s, uint32_t at)
{
    item_release(s->items[at]);
    s->n--;
    memmove(s->items + at, s->items + at + 1, (s->n - at) * sizeof(struct item *));
}

static void shelf_remove(struct shelf *s, struct weir_bytes key)
{
    if (shelf_find(s, key)) shelf_take(s, place_of(s, key));
}

static void shelf_remove_all(struct shelf *s, struct weir_bytes prefix)
{
    uint32_t at = place_of(s, prefix), end = at;
    while (shelf_at(s, end, prefix)) item_release(s->items[end++]);
    if (end == at) return;
    memmove(s->items + at, s->items + end, (s->n - end) * sizeof(struct item *));
    s->n -= end - at;
}

static void shelf_copy(struct shelf *to, const struct shelf *from)
{
    *to = (struct shelf){.n = from->n, .cap = from->n};
    if (!from->n) return;
    to->items = malloc(from->n * sizeof(struct item *));
    MUST(to->items != NULL);
    for (uint32_t i = 0; i < from->n; i++) {
        to->items[i] = from->items[i];
        to->items[i]->refs++;
    }
}

static void shelf_close(struct shelf *s)
{
    for (uint32_t i = 0; i < s->n; i++) item_release(s->items[i]);
    free(s->items);
    *s = (struct shelf){0};
}

/* ---- the model ----------------------------------------------------------------------------------------------------------------------- */

struct image {
    struct shelf states[STATES_MAX];
    struct shelf made[STATES_MAX]; /* panes that have a table */
    struct shelf timers[2];
};

struct model {
    struct config config;
    weir_time now_ms;
    unsigned char ns[WEIR_NAMESPACE_MAX];
    uint32_t ns_length;
    uint64_t n_timers_set; /* a timer's value is its number */
    struct image now, frozen, kept;
    bool has_frozen, has_kept;
};

/* Where in a shelf: the key of the operation and what tells its entries apart, in one, so that entries of one key lie together in order. */
struct spot {
    unsigned char bytes[2 + WEIR_KEY_MAX + 1 + WEIR_NAMESPACE_MAX + WEIR_USER_KEY_MAX];
    uint32_t length;
};

static struct weir_bytes bytes_of(const struct spot *s)
{
    return (struct weir_bytes){s->bytes, s->length};
}

static void spot_add(struct spot *s, const void *data, uint32_t length)
{
    MUST(length <= sizeof s->bytes - s->length);
    if (length) memcpy(s->bytes + s->length, data, length);
    s->length += length;
}

/* Big-endian, so that the order of bytes is that of numbers. */
static void spot_add_number(struct spot *s, uint64_t number, uint32_t n_bytes)
{
    for (uint32_t i = n_bytes; i-- > 0;) spot_add(s, &(unsigned char){(unsigned char)(number >> (8 * i))}, 1);
}

static void spot_add_signed(struct spot *s, int64_t number)
{
    spot_add_number(s, (uint64_t)number ^ (uint64_t)1 << 63, 8);
}

static uint64_t number_at(const struct item *i, uint32_t at)
{
    uint64_t number = 0;
    for (uint32_t k = 0; k < 8; k++) number = number << 8 | i->bytes[at + k];
    return number;
}

static int64_t signed_at(const struct item *i, uint32_t at)
{
    return (int64_t)(number_at(i, at) ^ (uint64_t)1 << 63);
}

static void spot_of_key(const struct model *m, const struct op *op, const struct weir_key *key, struct spot *s)
{
    bool namespaced = m->config.states[op->state].flags & WEIR_STATE_NAMESPACED;
    s->length = 0;
    spot_add_number(s, key->length, 2);
    spot_add(s, key->data, key->length);
    spot_add_number(s, namespaced ? m->ns_length : 0, 1);
    if (namespaced) spot_add(s, m->ns, m->ns_length);
}

static struct spot here, there; /* two are enough at a time, and too large for the stack */

static struct shelf *shelf_of(struct model *m, const struct op *op)
{
    return &m->now.states[op->state];
}

static bool is_live(const struct model *m, const struct op *op, const struct item *i)
{
    int64_t ttl_ms = m->config.states[op->state].ttl_ms;
    return i && (!ttl_ms || m->now_ms - i->written_ms < ttl_ms);
}

static void item_was_read(const struct model *m, const struct op *op, struct shelf *s, uint32_t at)
{
    struct item *i = s->items[at];
    if (!(m->config.states[op->state].flags & WEIR_STATE_TTL_ON_READ)) return;
    s->items[at] = item_new(item_key(i), item_value(i), m->now_ms);
    item_release(i);
}

/* The live entry at a spot, read. */
static struct item *look(struct model *m, const struct op *op, const struct spot *spot)
{
    struct shelf *s = shelf_of(m, op);
    struct item *i = shelf_find(s, bytes_of(spot));
    if (!is_live(m, op, i)) return NULL;
    item_was_read(m, op, s, place_of(s, bytes_of(spot)));
    return shelf_find(s, bytes_of(spot));
}

static void say_item(struct answer *out, const struct item *i)
{
    say_bytes(out, i ? item_value(i) : (struct weir_bytes){0});
}

static uint32_t value_size(const struct model *m, const struct op *op)
{
    const struct state_config *c = &m->config.states[op->state];
    return c->kind == KEYED_AGGREGATING ? ACC_BYTES : c->value_size;
}

/* The value at a spot as an editable copy: zeros when there is none. */
static void *copy_or_zeros(struct model *m, const struct op *op, const struct spot *spot)
{
    uint32_t size = value_size(m, op);
    unsigned char *value = calloc(1, size);
    MUST(value != NULL);
    struct item *i = shelf_find(shelf_of(m, op), bytes_of(spot));
    if (is_live(m, op, i)) memcpy(value, item_value(i).data, size);
    return value;
}

static void put_and_free(struct model *m, const struct op *op, const struct spot *spot, void *value)
{
    shelf_put(shelf_of(m, op), bytes_of(spot), (struct weir_bytes){value, value_size(m, op)}, m->now_ms);
    free(value);
}

/* ---- values -------------------------------------------------------------------------------------------------------------------------- */

static void safe_point(struct model *m, const struct op *op, struct answer *out)
{
    (void)out;
    m->now_ms = op->time_ms;
}

static void set_namespace(struct model *m, const struct op *op, struct answer *out)
{
    (void)out;
    m->ns_length = op->user_key.length;
    if (m->ns_length) memcpy(m->ns, op->user_key.data, m->ns_length);
}

static void prefetch(struct model *m, const struct op *op, struct answer *out)
{
    (void)m, (void)op, (void)out; /* changes nothing */
}

static void edit_at(struct model *m, const struct op *op, const struct spot *spot, struct answer *out)
{
    void *value = copy_or_zeros(m, op, spot);
    say_raw(out, value, value_size(m, op));
    free(value);
    shelf_put(shelf_of(m, op), bytes_of(spot), op->bytes, m->now_ms);
}

static void value_edit(struct model *m, const struct op *op, struct answer *out)
{
    spot_of_key(m, op, op->key, &here);
    edit_at(m, op, &here, out);
}

static void value_read(struct model *m, const struct op *op, struct answer *out)
{
    spot_of_key(m, op, op->key, &here);
    say_item(out, look(m, op, &here));
}

/* What is found may be edited in place, so that it counts as written. */
static void value_find(struct model *m, const struct op *op, struct answer *out)
{
    spot_of_key(m, op, op->key, &here);
    struct item *i = look(m, op, &here);
    say_item(out, i);
    if (i) shelf_put(shelf_of(m, op), bytes_of(&here), item_value(i), m->now_ms);
}

static void value_find_edit(struct model *m, const struct op *op, struct answer *out)
{
    spot_of_key(m, op, op->key, &here);
    struct item *i = look(m, op, &here);
    say_item(out, i);
    if (i) shelf_put(shelf_of(m, op), bytes_of(&here), op->bytes, m->now_ms);
}

static void value_write(struct model *m, const struct op *op, struct answer *out)
{
    spot_of_key(m, op, op->key, &here);
    shelf_put(shelf_of(m, op), bytes_of(&here), op->bytes, m->now_ms);
    say_u64(out, WEIR_OK);
}

static void value_clear(struct model *m, const struct op *op, struct answer *out)
{
    (void)out;
    spot_of_key(m, op, op->key, &here);
    shelf_remove(shelf_of(m, op), bytes_of(&here));
}

/* Said in the order of the keys' bytes, not of the shelf, which has their lengths first. */
static void value_scan(struct model *m, const struct op *op, struct answer *out)
{
    struct shelf found = {0}, *s = shelf_of(m, op);
    for (uint32_t at = 0; at < s->n;) {
        struct item *i = s->items[at];
        struct weir_bytes key = {i->bytes + 2, i->key_length - 3}; /* between its length and that of no namespace */
        bool live = is_live(m, op, i);
        if (live) shelf_put(&found, key, item_value(i), m->now_ms);
        if (live && op->verb == VALUE_SCAN_REMOVING && picked(op->salt, key.data, key.length))
            shelf_take(s, at);
        else
            at++;
    }
    for (uint32_t at = 0; at < found.n; at++) {
        say_bytes(out, item_key(found.items[at]));
        say_item(out, found.items[at]);
    }
    shelf_close(&found);
}

static uint32_t record_of(const struct op *op, uint32_t i)
{
    return op->idx ? op->idx[i] : i;
}

static void value_probe(struct model *m, const struct op *op, struct answer *out)
{
    for (uint32_t i = 0; i < op->n; i++) {
        spot_of_key(m, op, &op->key[record_of(op, i)], &here);
        void *value = copy_or_zeros(m, op, &here);
        say_raw(out, value, value_size(m, op));
        nudge(value, value_size(m, op), i);
        put_and_free(m, op, &here, value);
    }
}

static void reducing_add(struct model *m, const struct op *op, struct answer *out)
{
    spot_of_key(m, op, op->key, &here);
    bool is_first = !is_live(m, op, shelf_find(shelf_of(m, op), bytes_of(&here)));
    void *acc = copy_or_zeros(m, op, &here);
    if (is_first)
        memcpy(acc, op->bytes.data, op->bytes.length);
    else
        fold(acc, op->bytes.data, op->bytes.length);
    say_raw(out, acc, value_size(m, op));
    put_and_free(m, op, &here, acc);
}

/* All are added first, then all are said: the accumulators of equal keys are one. */
static void aggregating_add(struct model *m, const struct op *op, struct answer *out)
{
    for (uint32_t i = 0; i < op->n; i++) {
        uint32_t record = record_of(op, i);
        spot_of_key(m, op, &op->key[record], &here);
        void *acc = copy_or_zeros(m, op, &here);
        fold_row(acc, row_of(op, record));
        put_and_free(m, op, &here, acc);
    }
    for (uint32_t i = 0; i < op->n; i++) {
        spot_of_key(m, op, &op->key[record_of(op, i)], &here);
        say_raw(out, item_value(shelf_find(shelf_of(m, op), bytes_of(&here))).data, ACC_BYTES);
    }
}

/* ---- lists: an entry for each element, under its number -------------------------------------------------------------------------------
 */

static void append(struct model *m, const struct op *op, const struct spot *list)
{
    struct shelf *s = shelf_of(m, op);
    uint32_t end = place_of(s, bytes_of(list));
    while (shelf_at(s, end, bytes_of(list))) end++;
    struct item *last = end ? shelf_at(s, end - 1, bytes_of(list)) : NULL;
    there = *list;
    spot_add_number(&there, last ? number_at(last, list->length) + 1 : 0, 8);
    shelf_put(s, bytes_of(&there), op->bytes, m->now_ms);
}

static void list_add(struct model *m, const struct op *op, struct answer *out)
{
    spot_of_key(m, op, op->key, &here);
    append(m, op, &here);
    say_u64(out, WEIR_OK);
}

/* Elements expire a few KiB together, by the youngest: an expired one may be shown while a live one is behind it. Never the other way. */
static void forget_expired(struct model *m, const struct op *op, const struct spot *list, const struct answer *hint)
{
    struct shelf *s = shelf_of(m, op);
    uint32_t from = place_of(s, bytes_of(list)), n = 0, n_expired = 0;
    for (struct item *i; (i = shelf_at(s, from + n, bytes_of(list))); n++)
        if (!is_live(m, op, i)) n_expired = n + 1;
    uint64_t shown = hint ? heard_u64(hint, 0) : 0;
    if (n_expired < n && shown <= n && shown > n - n_expired) n_expired = n - (uint32_t)shown;
    while (n_expired-- > 0) shelf_take(s, from);
}

static void list_scan(struct model *m, const struct op *op, const struct answer *hint, struct answer *out)
{
    spot_of_key(m, op, op->key, &here);
    forget_expired(m, op, &here, hint);
    struct shelf *s = shelf_of(m, op);
    uint32_t from = place_of(s, bytes_of(&here)), n = 0;
    while (shelf_at(s, from + n, bytes_of(&here)) && (!op->limit || n < op->limit)) n++;
    if (op->verb == LIST_SCAN_ADDING && n) {
        append(m, op, &here);
        n++;
    }
    say_u64(out, n);
    for (uint32_t i = 0; i < n; i++) say_item(out, s->items[from + i]);
}

static void list_empty(struct model *m, const struct op *op, struct answer *out)
{
    spot_of_key(m, op, op->key, &here);
    struct shelf *s = shelf_of(m, op);
    bool empty = true;
    for (uint32_t at = place_of(s, bytes_of(&here)); shelf_at(s, at, bytes_of(&here)); at++) empty = empty && !is_live(m, op, s->items[at]);
    say_u64(out, empty);
}

/* Also of maps and ordered states: all of a key. */
static void clear_all(struct model *m, const struct op *op, struct answer *out)
{
    spot_of_key(m, op, op->key, &here);
    shelf_remove_all(shelf_of(m, op), bytes_of(&here));
    say_u64(out, WEIR_OK);
}

/* ---- maps ---------------------------------------------------------------------------------------------------------------------------- */

static void spot_in_map(const struct model *m, const struct op *op, struct spot *s)
{
    spot_of_key(m, op, op->key, s);
    spot_add(s, op->user_key.data, op->user_key.length);
}

static void map_get(struct model *m, const struct op *op, struct answer *out)
{
    spot_in_map(m, op, &here);
    say_item(out, look(m, op, &here));
}

static void map_put(struct model *m, const struct op *op, struct answer *out)
{
    spot_in_map(m, op, &here);
    shelf_put(shelf_of(m, op), bytes_of(&here), op->bytes, m->now_ms);
    say_u64(out, WEIR_OK);
}

static void map_value(struct model *m, const struct op *op, struct answer *out)
{
    spot_in_map(m, op, &here);
    edit_at(m, op, &here, out);
}

static void map_remove(struct model *m, const struct op *op, struct answer *out)
{
    spot_in_map(m, op, &here);
    shelf_remove(shelf_of(m, op), bytes_of(&here));
    say_u64(out, WEIR_OK);
}

static void map_scan(struct model *m, const struct op *op, struct answer *out)
{
    spot_of_key(m, op, op->key, &here);
    struct shelf *s = shelf_of(m, op);
    if (op->limit) return;
    for (uint32_t at = place_of(s, bytes_of(&here)); shelf_at(s, at, bytes_of(&here));) {
        struct item *i = s->items[at];
        struct weir_bytes user_key = {i->bytes + here.length, i->key_length - here.length};
        bool removes = op->verb == MAP_SCAN_REMOVING && picked(op->salt, user_key.data, user_key.length);
        if (is_live(m, op, i)) {
            say_bytes(out, user_key);
            say_bytes(out, item_value(i));
        }
        if (removes)
            shelf_take(s, at);
        else
            at++;
    }
}

/* ---- ordered states ------------------------------------------------------------------------------------------------------------------ */

static void spot_in_time(const struct model *m, const struct op *op, weir_time time_ms, uint64_t seq, struct spot *s)
{
    spot_of_key(m, op, op->key, s);
    spot_add_signed(s, time_ms);
    spot_add_number(s, seq, 8);
}

static void ordered_put(struct model *m, const struct op *op, struct answer *out)
{
    spot_in_time(m, op, op->time_ms, op->seq, &here);
    shelf_put(shelf_of(m, op), bytes_of(&here), op->bytes, m->now_ms);
    say_u64(out, WEIR_OK);
}

static void ordered_get(struct model *m, const struct op *op, struct answer *out)
{
    spot_in_time(m, op, op->time_ms, op->seq, &here);
    say_item(out, look(m, op, &here));
}

static void ordered_remove(struct model *m, const struct op *op, struct answer *out)
{
    spot_in_time(m, op, op->time_ms, op->seq, &here);
    shelf_remove(shelf_of(m, op), bytes_of(&here));
    say_u64(out, WEIR_OK);
}

static void ordered_remove_before(struct model *m, const struct op *op, struct answer *out)
{
    spot_of_key(m, op, op->key, &here);
    struct shelf *s = shelf_of(m, op);
    uint32_t at = place_of(s, bytes_of(&here));
    while (shelf_at(s, at, bytes_of(&here)) && signed_at(s->items[at], here.length) < op->until_ms) shelf_take(s, at);
    say_u64(out, WEIR_OK);
}

static void ordered_range(struct model *m, const struct op *op, struct answer *out)
{
    struct shelf *s = shelf_of(m, op);
    spot_in_time(m, op, op->time_ms, 0, &here);
    uint32_t at = place_of(s, bytes_of(&here)), n = 0;
    spot_of_key(m, op, op->key, &here);
    while (shelf_at(s, at, bytes_of(&here)) && (!op->limit || n < op->limit)) {
        struct item *i = s->items[at];
        weir_time time_ms = signed_at(i, here.length);
        uint64_t seq = number_at(i, here.length + 8);
        if (time_ms > op->until_ms) return;
        if (is_live(m, op, i)) {
            say_u64(out, (uint64_t)time_ms);
            say_u64(out, seq);
            say_item(out, i);
            n++;
        }
        if (op->verb == ORDERED_RANGE_REMOVING && picked(op->salt, &seq, sizeof seq))
            shelf_take(s, at);
        else
            at++;
    }
}

/* ---- timers: time, tag, key; the value is the number of its setting ---------------------------------------------------------------------
 */

static void spot_of_timer(const struct op *op, struct spot *s)
{
    s->length = 0;
    spot_add_signed(s, op->time_ms);
    spot_add_number(s, op->seq, 8);
    spot_add(s, op->key->data, op->key->length);
}

static void timer_set(struct model *m, const struct op *op, struct answer *out)
{
    struct shelf *s = &m->now.timers[op->domain];
    uint64_t number = m->n_timers_set++;
    spot_of_timer(op, &here);
    if (!shelf_find(s, bytes_of(&here))) shelf_put(s, bytes_of(&here), (struct weir_bytes){&number, sizeof number}, 0);
    say_u64(out, WEIR_OK);
}

static void timer_delete(struct model *m, const struct op *op, struct answer *out)
{
    spot_of_timer(op, &here);
    shelf_remove(&m->now.timers[op->domain], bytes_of(&here));
    say_u64(out, WEIR_OK);
}

static void timer_first(struct model *m, const struct op *op, struct answer *out)
{
    const struct shelf *s = &m->now.timers[op->domain];
    say_u64(out, (uint64_t)(s->n ? signed_at(s->items[0], 0) : WEIR_TIME_MAX));
}

static uint64_t setting(const struct item *i)
{
    uint64_t number;
    memcpy(&number, item_value(i).data, sizeof number);
    return number;
}

/* Among equal times, the one set first when that is asked for. */
static uint32_t next_timer(const struct shelf *s, const struct op *op)
{
    uint32_t best = 0;
    for (uint32_t i = 1; op->in_order && i < s->n && signed_at(s->items[i], 0) == signed_at(s->items[0], 0); i++)
        if (setting(s->items[i]) < setting(s->items[best])) best = i;
    return best;
}

static void timer_pop(struct model *m, const struct op *op, struct answer *out)
{
    struct shelf *s = &m->now.timers[op->domain];
    while (s->n && signed_at(s->items[0], 0) <= op->until_ms) {
        uint32_t at = next_timer(s, op);
        say_u64(out, (uint64_t)signed_at(s->items[at], 0));
        say_u64(out, number_at(s->items[at], 8));
        say_bytes(out, (struct weir_bytes){s->items[at]->bytes + 16, s->items[at]->key_length - 16});
        shelf_take(s, at);
    }
}

/* ---- panes --------------------------------------------------------------------------------------------------------------------------- */

static void spot_of_pane(const struct op *op, struct spot *s)
{
    s->length = 0;
    spot_add_signed(s, op->pane);
}

static void make_pane(struct model *m, const struct op *op)
{
    spot_of_pane(op, &here);
    shelf_put(&m->now.made[op->state], bytes_of(&here), (struct weir_bytes){0}, 0);
}

static void spot_in_pane(const struct op *op, const struct weir_key *key, struct spot *s)
{
    spot_of_pane(op, s);
    spot_add(s, key->data, key->length);
}

static void pane_make(struct model *m, const struct op *op, struct answer *out)
{
    make_pane(m, op);
    say_u64(out, WEIR_OK);
}

static bool is_heard(const struct answer *hint, int64_t pane)
{
    for (size_t at = 0; hint && at + 8 <= hint->n; at += 8)
        if ((int64_t)heard_u64(hint, at) == pane) return true;
    return !hint;
}

/* A pane without entries may be forgotten with a crash. */
static void panes_list(struct model *m, const struct op *op, const struct answer *hint, struct answer *out)
{
    const struct shelf *made = &m->now.made[op->state], *s = shelf_of(m, op);
    for (uint32_t i = 0; i < made->n; i++) {
        int64_t pane = signed_at(made->items[i], 0);
        bool has_entries = shelf_at(s, place_of(s, item_key(made->items[i])), item_key(made->items[i])) != NULL;
        if (has_entries || is_heard(hint, pane)) say_u64(out, (uint64_t)pane);
    }
}

static void pane_probe(struct model *m, const struct op *op, struct answer *out)
{
    make_pane(m, op);
    for (uint32_t i = 0; i < op->n; i++) {
        spot_in_pane(op, &op->key[record_of(op, i)], &here);
        void *value = copy_or_zeros(m, op, &here);
        say_raw(out, value, value_size(m, op));
        nudge(value, value_size(m, op), i);
        put_and_free(m, op, &here, value);
    }
}

static void pane_find(struct model *m, const struct op *op, struct answer *out)
{
    make_pane(m, op);
    spot_in_pane(op, op->key, &here);
    struct item *i = shelf_find(shelf_of(m, op), bytes_of(&here));
    say_item(out, i);
    if (i && op->bytes.data) shelf_put(shelf_of(m, op), bytes_of(&here), op->bytes, m->now_ms);
}

static void pane_remove(struct model *m, const struct op *op, struct answer *out)
{
    (void)out;
    make_pane(m, op);
    spot_in_pane(op, op->key, &here);
    shelf_remove(shelf_of(m, op), bytes_of(&here));
}

static void pane_scan(struct model *m, const struct op *op, struct answer *out)
{
    make_pane(m, op);
    spot_of_pane(op, &here);
    struct shelf *s = shelf_of(m, op);
    if (op->limit) return;
    for (uint32_t at = place_of(s, bytes_of(&here)); shelf_at(s, at, bytes_of(&here));) {
        struct item *i = s->items[at];
        struct weir_bytes key = {i->bytes + here.length, i->key_length - here.length};
        say_bytes(out, key);
        say_item(out, i);
        if (op->verb == PANE_SCAN_REMOVING && picked(op->salt, key.data, key.length))
            shelf_take(s, at);
        else
            at++;
    }
}

static void pane_drop(struct model *m, const struct op *op, struct answer *out)
{
    (void)out;
    spot_of_pane(op, &here);
    shelf_remove(&m->now.made[op->state], bytes_of(&here));
    shelf_remove_all(shelf_of(m, op), bytes_of(&here));
}

/* ---- broadcast and operator lists ------------------------------------------------------------------------------------------------------
 */

static void broadcast_get(struct model *m, const struct op *op, struct answer *out)
{
    say_item(out, shelf_find(shelf_of(m, op), op->user_key));
}

static void broadcast_put(struct model *m, const struct op *op, struct answer *out)
{
    shelf_put(shelf_of(m, op), op->user_key, op->bytes, m->now_ms);
    say_u64(out, WEIR_OK);
}

static void broadcast_remove(struct model *m, const struct op *op, struct answer *out)
{
    (void)out;
    shelf_remove(shelf_of(m, op), op->user_key);
}

static void broadcast_scan(struct model *m, const struct op *op, struct answer *out)
{
    const struct shelf *s = shelf_of(m, op);
    for (uint32_t i = 0; i < s->n; i++) {
        say_bytes(out, item_key(s->items[i]));
        say_item(out, s->items[i]);
    }
}

static void spot_of_instance(uint32_t instance, struct spot *s)
{
    s->length = 0;
    spot_add_number(s, instance, 4);
}

static void operator_list_add(struct model *m, const struct op *op, struct answer *out)
{
    spot_of_instance(op->instance, &here);
    append(m, op, &here);
    say_u64(out, WEIR_OK);
}

static void operator_list_read(struct model *m, const struct op *op, struct answer *out)
{
    const struct shelf *s = shelf_of(m, op);
    spot_of_instance(op->instance, &here);
    for (uint32_t at = place_of(s, bytes_of(&here)); shelf_at(s, at, bytes_of(&here)); at++) say_item(out, s->items[at]);
}

static void operator_list_clear(struct model *m, const struct op *op, struct answer *out)
{
    (void)out;
    spot_of_instance(op->instance, &here);
    shelf_remove_all(shelf_of(m, op), bytes_of(&here));
}

void model_operator_list_all(const struct model *m, uint32_t state, struct answer *out)
{
    for (uint32_t i = 0; i < m->now.states[state].n; i++) say_item(out, m->now.states[state].items[i]);
}

void model_operator_list_deal(struct model *m, uint32_t state, uint32_t instance, const struct answer *elements)
{
    struct op op = {.verb = OPERATOR_LIST_ADD, .state = state, .instance = instance};
    struct answer ignored = {0};
    operator_list_clear(m, &op, &ignored);
    for (size_t at = 0; at < elements->n;) {
        uint64_t length = heard_u64(elements, at) - 1;
        op.bytes = (struct weir_bytes){elements->data + at + 8, (uint32_t)length};
        operator_list_add(m, &op, &ignored);
        at += 8 + length;
    }
    answer_close(&ignored);
}

/* ---- as a subject ----------------------------------------------------------------------------------------------------------------------
 */

static void (*const apply[VERBS])(struct model *, const struct op *, struct answer *) = {
    [SAFE_POINT] = safe_point,
    [NAMESPACE] = set_namespace,
    [PREFETCH] = prefetch,
    [VALUE_EDIT] = value_edit,
    [VALUE_FIND] = value_find,
    [VALUE_FIND_EDIT] = value_find_edit,
    [VALUE_READ] = value_read,
    [VALUE_WRITE] = value_write,
    [VALUE_CLEAR] = value_clear,
    [VALUE_PROBE] = value_probe,
    [VALUE_SCAN] = value_scan,
    [VALUE_SCAN_REMOVING] = value_scan,
    [REDUCING_ADD] = reducing_add,
    [AGGREGATING_ADD] = aggregating_add,
    [LIST_ADD] = list_add,
    [LIST_EMPTY] = list_empty,
    [LIST_CLEAR] = clear_all,
    [MAP_GET] = map_get,
    [MAP_PUT] = map_put,
    [MAP_VALUE] = map_value,
    [MAP_REMOVE] = map_remove,
    [MAP_SCAN] = map_scan,
    [MAP_SCAN_REMOVING] = map_scan,
    [MAP_EMPTY] = list_empty,
    [MAP_CLEAR] = clear_all,
    [ORDERED_PUT] = ordered_put,
    [ORDERED_GET] = ordered_get,
    [ORDERED_REMOVE] = ordered_remove,
    [ORDERED_REMOVE_BEFORE] = ordered_remove_before,
    [ORDERED_RANGE] = ordered_range,
    [ORDERED_RANGE_REMOVING] = ordered_range,
    [ORDERED_CLEAR] = clear_all,
    [TIMER_SET] = timer_set,
    [TIMER_DELETE] = timer_delete,
    [TIMER_FIRST] = timer_first,
    [TIMER_POP] = timer_pop,
    [PANE_MAKE] = pane_make,
    [PANE_PROBE] = pane_probe,
    [PANE_FIND] = pane_find,
    [PANE_REMOVE] = pane_remove,
    [PANE_SCAN] = pane_scan,
    [PANE_SCAN_REMOVING] = pane_scan,
    [PANE_DROP] = pane_drop,
    [BROADCAST_GET] = broadcast_get,
    [BROADCAST_PUT] = broadcast_put,
    [BROADCAST_REMOVE] = broadcast_remove,
    [BROADCAST_SCAN] = broadcast_scan,
    [OPERATOR_LIST_ADD] = operator_list_add,
    [OPERATOR_LIST_READ] = operator_list_read,
    [OPERATOR_LIST_CLEAR] = operator_list_clear,
};

void model_apply(struct model *m, const struct op *op, const struct answer *hint, struct answer *out)
{
    out->n = 0;
    switch (op->verb) {
    case LIST_SCAN:
    case LIST_SCAN_ADDING: list_scan(m, op, hint, out); break;
    case PANES_LIST: panes_list(m, op, hint, out); break;
    default: apply[op->verb](m, op, out); break;
    }
}

static void image_copy(struct image *to, const struct image *from)
{
    for (uint32_t i = 0; i < STATES_MAX; i++) {
        shelf_copy(&to->states[i], &from->states[i]);
        shelf_copy(&to->made[i], &from->made[i]);
    }
    for (uint32_t d = 0; d < 2; d++) shelf_copy(&to->timers[d], &from->timers[d]);
}

static void image_close(struct image *image)
{
    for (uint32_t i = 0; i < STATES_MAX; i++) {
        shelf_close(&image->states[i]);
        shelf_close(&image->made[i]);
    }
    for (uint32_t d = 0; d < 2; d++) shelf_close(&image->timers[d]);
}

struct model *model_new(const struct config *config)
{
    struct model *m = calloc(1, sizeof *m);
    MUST(m != NULL);
    m->config = *config;
    m->now_ms = config->now_ms;
    return m;
}

void model_destroy(struct model **m)
{
    if (!*m) return;
    image_close(&(*m)->now);
    image_close(&(*m)->frozen);
    image_close(&(*m)->kept);
    free(*m);
    *m = NULL;
}

void model_freeze(struct model *m)
{
    MUST(!m->has_frozen);
    image_copy(&m->frozen, &m->now);
    m->has_frozen = true;
}

void model_join(struct model *m, bool keep)
{
    MUST(m->has_frozen);
    m->has_frozen = false;
    if (keep) {
        image_close(&m->kept);
        m->kept = m->frozen;
        m->has_kept = true;
        m->frozen = (struct image){0};
    }
    image_close(&m->frozen);
}

bool model_has_snapshot(const struct model *m)
{
    return m->has_kept;
}

void model_restore(struct model *m, const struct config *config)
{
    MUST(m->has_kept && !m->has_frozen);
    image_close(&m->now);
    image_copy(&m->now, &m->kept);
    m->config = *config;
    m->ns_length = 0;
}

static uint64_t shelf_bytes(const struct shelf *s, uint64_t each)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < s->n; i++) bytes += each + 2 * ((uint64_t)s->items[i]->key_length + s->items[i]->length);
    return bytes;
}

uint64_t model_pinned(const struct model *m)
{
    uint64_t bytes = shelf_bytes(&m->now.timers[0], 256) + shelf_bytes(&m->now.timers[1], 256);
    for (uint32_t i = 0; i < m->config.n_states; i++) {
        enum keyed_kind kind = m->config.states[i].kind;
        if (kind == KEYED_BROADCAST || kind == KEYED_OPERATOR_LIST) bytes += shelf_bytes(&m->now.states[i], 256);
        bytes += shelf_bytes(&m->now.made[i], 4096);
    }
    return bytes;
}

uint64_t model_entries(const struct model *m)
{
    uint64_t n = (uint64_t)m->now.timers[0].n + m->now.timers[1].n;
    for (uint32_t i = 0; i < m->config.n_states; i++) n += m->now.states[i].n;
    return n;
}

/* ---- the oracle, tested as all others: so that the cases say the same of it
 * -------------------------------------------------------------- */

static void *subject_open(const struct config *config)
{
    return model_new(config);
}

static void subject_close(void *subject)
{
    struct model *m = subject;
    model_destroy(&m);
}

static void subject_apply(void *subject, const struct op *op, const struct answer *hint, struct answer *out)
{
    model_apply(subject, op, hint, out);
}

static void subject_freeze(void *subject, bool in_thread)
{
    (void)in_thread;
    model_freeze(subject);
}

static void subject_join(void *subject, bool keep)
{
    model_join(subject, keep);
}

/* Operator lists are dealt as evenly as they can be: the first instances get one more. */
static void deal(struct model *m, uint32_t state, uint32_t n_instances)
{
    struct answer all = {0}, share = {0};
    bool is_union = m->config.states[state].how == WEIR_UNION;
    uint32_t n = m->now.states[state].n, taken = 0;
    model_operator_list_all(m, state, &all);
    shelf_close(&m->now.states[state]);
    size_t at = 0;
    for (uint32_t i = 0; i < n_instances; i++) {
        uint32_t end = is_union ? n : (uint32_t)((uint64_t)n * (i + 1) / n_instances);
        share.n = 0;
        if (is_union) at = taken = 0;
        for (; taken < end; taken++) {
            size_t length = 8 + (size_t)heard_u64(&all, at) - 1;
            say_raw(&share, all.data + at, length);
            at += length;
        }
        model_operator_list_deal(m, state, i, &share);
    }
    answer_close(&all);
    answer_close(&share);
}

static void subject_restore(void *subject, const struct config *config)
{
    struct model *m = subject;
    model_restore(m, config);
    for (uint32_t i = 0; i < config->n_states; i++)
        if (config->states[i].kind == KEYED_OPERATOR_LIST) deal(m, i, config->n_instances);
}

const struct subject_ops model_ops = {"model", subject_open, subject_close, subject_apply, subject_freeze, subject_join, subject_restore};
