/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Worlds from seeds: states, keys, sizes, budget, clock, number of instances are drawn, then operations, which the system and the oracle
 * perform side by side, with snapshots, crashes and rescaling in between.
 *
 *     conformance_state [--seed S] [--count N] [--instances P] [--trace]
 *
 * --instances: every operator of every world has P instances, always; another world than without, but without rescaling.
 *
 * Nothing is drawn from what the system did, so a seed always repeats itself; a thread that persists changes the timing alone. A failure
 * prints the world, the operation and the one command that repeats it.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "runtime/base/hash.h"
#include "runtime/base/log.h"
#include "tests/conformance/state/model.h"
#include "tests/conformance/state/system.h"

enum { DEFAULT_COUNT = 30, SECONDS_MAX = 300, NAMESPACES = 4, USER_KEYS = 40, PANES = 10, BYTES_MAX = 200000 };

struct world {
    uint64_t seed, rng;
    struct config config;
    struct weir_key *keys;
    unsigned char *key_bytes;
    uint32_t n_keys, n_hot;
    uint32_t size_max; /* of values of any length */
    uint32_t n_namespaces;
    bool has_namespaces; /* of states */
    uint32_t n_ops, safe_every, freeze_every, restore_every, clock_step;
    weir_time now_ms, watermark;
    uint64_t serial; /* of elements of operator lists */
    void *system;
    struct model *model;
    struct weir_key batch[WEIR_BATCH_MAX];
    uint32_t idx[WEIR_BATCH_MAX];
    uint32_t n_batch;
    bool is_frozen, was_restored;
    uint32_t join_in; /* operations until the snapshot is joined */
    uint32_t step;
    const struct op *op;
    struct answer expected, got;
};

static struct world *current;
static const char *program;
static bool tracing;
static uint32_t instances_always; /* 0 = as drawn */
static unsigned char *noise;      /* BYTES_MAX bytes, to cut values from */

/* ---- chance -------------------------------------------------------------------------------------------------------------------------- */

/* splitmix64 */
static uint64_t draw(struct world *w)
{
    uint64_t x = w->rng += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static uint32_t below(struct world *w, uint32_t n)
{
    return (uint32_t)(draw(w) % n);
}

static bool one_in(struct world *w, uint32_t n)
{
    return below(w, n) == 0;
}

/* Each order of magnitude as likely as any other. */
static uint32_t draw_log(struct world *w, uint32_t least, uint32_t most)
{
    uint32_t bits = 0;
    while (bits < 31 && most >> bits > least) bits++;
    uint32_t top = most >> below(w, bits + 1);
    return top <= least ? least : least + below(w, top - least + 1);
}

static struct weir_bytes cut_noise(struct world *w, uint32_t length)
{
    return (struct weir_bytes){noise + below(w, BYTES_MAX - length + 1), length};
}

/* ---- what is said at a failure --------------------------------------------------------------------------------------------------------
 */

static const char *const kinds[] = {"",        "value", "reducing", "aggregating", "list",         "map",
                                    "ordered", "panes", "timers",   "broadcast",   "operator list"};

static void print_world(FILE *to, const struct world *w)
{
    const struct config *c = &w->config;
    fprintf(to,
            "world: %u keys (%u hot), %u instances, %s%s, budget %" PRIu64 ", snapshots %s, copied by %" PRIu64 ","
            " values up to %u bytes, %u operations\n",
            w->n_keys, w->n_hot, c->n_instances, c->on_disk ? "RocksDB" : "memory only", c->numbered ? " that changes files" : "",
            c->budget, c->snapshots ? "on" : "off", c->copied, w->size_max, w->n_ops);
    for (uint32_t i = 0; i < c->n_states; i++) {
        const struct state_config *s = &c->states[i];
        fprintf(to, "    %s: %s of %u bytes, ttl %" PRId64 "%s%s\n", s->name, kinds[s->kind], s->value_size, s->ttl_ms,
                s->flags & WEIR_STATE_TTL_ON_READ ? " renewed by reading" : "", s->flags & WEIR_STATE_NAMESPACED ? ", namespaces" : "");
    }
}

static void print_where(FILE *to)
{
    if (!current) return;
    fprintf(to, "seed %" PRIu64 ", operation %u: ", current->seed, current->step);
    if (current->op) op_print(to, current->op, &current->config);
    fprintf(to, "\n");
    print_world(to, current);
    fprintf(to, "repeat with: %s --seed %" PRIu64 " --count 1", program, current->seed);
    if (instances_always) fprintf(to, " --instances %u", instances_always);
    fprintf(to, "\n");
    fflush(to);
}

_Noreturn void broken(const char *file, int line, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    printf("%s:%d: ", file, line);
    vprintf(fmt, args);
    printf("\n");
    va_end(args);
    print_where(stdout);
    system_sweep();
    _exit(1); /* threads may be about */
}

static void on_signal(int number)
{
    printf("%s\n", number == SIGALRM ? "hangs: no end after 300 seconds" : "aborted");
    print_where(stdout);
    system_sweep();
    _exit(1);
}

static void print_bytes(const char *who, const struct answer *a, size_t from)
{
    printf("%s (%zu bytes), from %zu:", who, a->n, from);
    for (size_t i = from; i < a->n && i < from + 32; i++) printf(" %02x", a->data[i]);
    printf("\n");
}

static void compare_answers(const struct world *w)
{
    const struct answer *expected = &w->expected, *got = &w->got;
    size_t same = 0;
    while (same < expected->n && same < got->n && expected->data[same] == got->data[same]) same++;
    if (same == expected->n && same == got->n) return;
    print_bytes("expected", expected, same & ~(size_t)7);
    print_bytes("got     ", got, same & ~(size_t)7);
    BROKEN("the system and the oracle differ");
}

/* Both perform it and must agree. */
static void perform(struct world *w, const struct op *op)
{
    w->op = op;
    if (tracing) {
        printf("%6u ", w->step);
        op_print(stdout, op, &w->config);
    }
    system_ops.apply(w->system, op, NULL, &w->got);
    model_apply(w->model, op, &w->got, &w->expected);
    compare_answers(w);
    w->op = NULL;
}

/* ---- drawing a world -------------------------------------------------------------------------------------------------------------------
 */

/* Fixed: 8 random bytes. Else any length up to 300, often of few different bytes, so that many are beginnings of others. */
static void draw_keys(struct world *w)
{
    bool fixed = one_in(w, 2), poor = one_in(w, 2);
    w->n_keys = draw_log(w, 1, 20000);
    w->n_hot = draw_log(w, 1, w->n_keys);
    w->keys = calloc(w->n_keys, sizeof *w->keys);
    w->key_bytes = malloc((size_t)w->n_keys * 304);
    MUST(w->keys && w->key_bytes);
    for (uint32_t i = 0; i < w->n_keys; i++) {
        unsigned char *bytes = w->key_bytes + (size_t)i * 304;
        uint32_t length = fixed ? 8 : i == 0 ? 0 : i < 4 ? 1 : 4 + draw_log(w, 0, 296);
        for (uint32_t k = 0; k < length; k++) bytes[k] = (unsigned char)(poor ? "\0\1\xff"[below(w, 3)] : (int)draw(w));
        uint32_t n_own = length < 4 ? length : 4; /* two keys differ, here at least */
        for (uint32_t k = 0; k < n_own; k++) bytes[length - 1 - k] = (unsigned char)(i >> (8 * k));
        w->keys[i] = (struct weir_key){.data = bytes, .length = length, .hash = hash64(bytes, length)};
    }
}

/* What a state of each kind may be. */
static const struct state_config catalogue[] = {
    {.kind = KEYED_VALUE, .name = "numbers", .value_size = 8},
    {.kind = KEYED_VALUE, .name = "texts"},
    {.kind = KEYED_VALUE, .name = "odd", .value_size = 13},
    {.kind = KEYED_VALUE, .name = "in namespaces", .flags = WEIR_STATE_NAMESPACED},
    {.kind = KEYED_REDUCING, .name = "reduced", .value_size = 24},
    {.kind = KEYED_AGGREGATING, .name = "aggregated"},
    {.kind = KEYED_LIST, .name = "list"},
    {.kind = KEYED_LIST, .name = "fixed list", .value_size = 40},
    {.kind = KEYED_MAP, .name = "map"},
    {.kind = KEYED_MAP, .name = "fixed map", .value_size = 16},
    {.kind = KEYED_ORDERED, .name = "ordered"},
    {.kind = KEYED_PANES, .name = "panes", .value_size = 12},
    {.kind = KEYED_TIMERS, .name = "timers"},
    {.kind = KEYED_BROADCAST, .name = "rules"},
    {.kind = KEYED_OPERATOR_LIST, .name = "positions", .how = WEIR_SPLIT},
    {.kind = KEYED_OPERATOR_LIST, .name = "offsets", .how = WEIR_UNION},
};
#define CATALOGUE (sizeof catalogue / sizeof catalogue[0])

static bool may_expire(enum keyed_kind kind)
{
    return kind <= KEYED_ORDERED;
}

/* What reading does to the expiry is said of single values. */
static bool may_renew(enum keyed_kind kind)
{
    return kind == KEYED_VALUE || kind == KEYED_REDUCING || kind == KEYED_AGGREGATING;
}

static void draw_state(struct world *w, const struct state_config *of, bool ttl)
{
    struct state_config *s = &w->config.states[w->config.n_states++];
    *s = *of;
    bool namespaced =
        one_in(w, 4) && (s->kind == KEYED_LIST || s->kind == KEYED_MAP || s->kind == KEYED_ORDERED || s->kind == KEYED_REDUCING);
    if (namespaced) s->flags |= WEIR_STATE_NAMESPACED;
    if (s->kind == KEYED_VALUE && s->value_size == 13 && one_in(w, 4)) s->value_size = 1 + below(w, 3000);
    if (ttl && may_expire(s->kind) && one_in(w, 2)) s->ttl_ms = draw_log(w, 1, 2000);
    if (s->ttl_ms && may_renew(s->kind) && one_in(w, 3)) s->flags |= WEIR_STATE_TTL_ON_READ;
    w->has_namespaces = w->has_namespaces || s->flags & WEIR_STATE_NAMESPACED;
}

static void draw_states(struct world *w)
{
    bool ttl = one_in(w, 3);
    uint32_t one = below(w, CATALOGUE), density = 1 + below(w, 4);
    for (uint32_t i = 0; i < CATALOGUE; i++)
        if (i == one || one_in(w, density)) draw_state(w, &catalogue[i], ttl);
}

/* Every state and every pane has a table, a filter, an index, which the slack of a slot covers for a dozen of them. */
static uint64_t least_budget(const struct world *w)
{
    uint64_t n = w->config.n_states;
    for (uint32_t i = 0; i < w->config.n_states; i++)
        if (w->config.states[i].kind == KEYED_PANES) n += PANES;
    return n > 12 ? (n - 12) * 4096 + 4096 : 4096;
}

static void draw_world(struct world *w, uint64_t seed)
{
    w->seed = seed;
    w->rng = seed * 0xd1342543de82ef95u + 1;
    draw_keys(w);
    draw_states(w);
    w->config.n_instances = one_in(w, 2) ? 1 : 1 + below(w, 4);
    if (instances_always) w->config.n_instances = instances_always;
    w->config.on_disk = !one_in(w, 6);
    w->config.snapshots = w->config.on_disk && !one_in(w, 5);
    w->config.budget = (uint64_t)draw_log(w, 4, 4096) << 10;
    if (w->config.budget < least_budget(w)) w->config.budget = least_budget(w);
    w->config.now_ms = w->now_ms = one_in(w, 2) ? 1000 : 4102444800000; /* long ago, or in the year 2100: the wall clock is not looked at */
    w->size_max = one_in(w, 8) ? 100000 : one_in(w, 3) ? 3000 : 60;
    w->n_namespaces = 1 + below(w, w->n_keys > 5000 ? 1 : w->n_keys > 1000 ? 2 : NAMESPACES);
    w->n_ops = draw_log(w, 200, w->size_max > 3000 ? 1500 : 6000);
    w->safe_every = draw_log(w, 1, 60);
    if (w->size_max > 3000 && w->safe_every > 3) w->safe_every = 3;
    w->freeze_every = draw_log(w, 20, 2000);
    w->restore_every = draw_log(w, 200, 4000);
    w->clock_step = draw_log(w, 1, 400);
    w->config.numbered = one_in(w, 5);
    w->config.copied = one_in(w, 4) ? 0 : draw_log(w, 16, 100000);
}

/* ---- drawing an operation ---------------------------------------------------------------------------------------------------------------
 */

static const struct weir_key *draw_key(struct world *w)
{
    if (w->n_batch && one_in(w, 2)) return &w->batch[below(w, w->n_batch)];
    return &w->keys[below(w, one_in(w, 4) ? w->n_keys : w->n_hot)];
}

static void draw_batch(struct world *w)
{
    w->n_batch = draw_log(w, 1, w->n_ops > 3000 ? 300 : 1000);
    for (uint32_t i = 0; i < w->n_batch; i++) w->batch[i] = w->keys[below(w, one_in(w, 4) ? w->n_keys : w->n_hot)];
    if (one_in(w, 3)) return;
    perform(w, &(struct op){.verb = PREFETCH, .state = STATES_MAX, .key = w->batch, .n = w->n_batch});
}

static void draw_records(struct world *w, struct op *op)
{
    if (!w->n_batch) draw_batch(w);
    op->key = w->batch;
    op->n = 1 + below(w, w->n_batch);
    if (one_in(w, 2)) return;
    for (uint32_t i = 0; i < op->n; i++) w->idx[i] = below(w, w->n_batch);
    op->idx = w->idx;
}

static uint32_t draw_length(struct world *w)
{
    return one_in(w, 20) ? below(w, w->size_max + 1) : below(w, 60);
}

static struct weir_bytes draw_value(struct world *w, const struct state_config *s)
{
    return cut_noise(w, s->value_size ? s->value_size : draw_length(w));
}

static struct weir_bytes draw_user_key(struct world *w)
{
    static unsigned char bytes[USER_KEYS * 8];
    uint32_t i = below(w, USER_KEYS), length = i % 7 * (i % 5);
    memset(bytes, (int)(i % 3 ? 0xff : 0), sizeof bytes);
    if (length) bytes[length - 1] = (unsigned char)i;
    return (struct weir_bytes){bytes, length};
}

/* Times lie close together, but for the ends of all time. */
static weir_time draw_time(struct world *w)
{
    uint32_t chance = below(w, 60);
    return chance == 0 ? WEIR_TIME_MIN : chance == 1 ? WEIR_TIME_MAX : w->watermark - 20 + (weir_time)below(w, 100);
}

static uint64_t draw_seq(struct world *w)
{
    return one_in(w, 20) ? UINT64_MAX - below(w, 2) : below(w, 4);
}

static const unsigned char *namespace_bytes(uint32_t i, uint32_t *length)
{
    static unsigned char longest[WEIR_NAMESPACE_MAX] = {1, 2, 3};
    static const uint32_t lengths[NAMESPACES] = {0, 1, 2, WEIR_NAMESPACE_MAX};
    *length = lengths[i];
    return longest;
}

static void set_namespace(struct world *w, uint32_t i)
{
    struct op op = {.verb = NAMESPACE, .state = STATES_MAX};
    op.user_key.data = namespace_bytes(i, &op.user_key.length);
    perform(w, &op);
}

struct choice {
    enum verb verb;
    uint32_t weight;
};

static enum verb choose(struct world *w, const struct choice *choices, uint32_t n)
{
    uint32_t total = 0;
    for (uint32_t i = 0; i < n; i++) total += choices[i].weight;
    uint32_t at = below(w, total);
    for (uint32_t i = 0;; i++) {
        if (at < choices[i].weight) return choices[i].verb;
        at -= choices[i].weight;
    }
}
#define CHOOSE(w, ...) choose(w, (const struct choice[]){__VA_ARGS__}, sizeof((const struct choice[]){__VA_ARGS__}) / sizeof(struct choice))

static enum verb draw_verb(struct world *w, const struct state_config *s)
{
    bool any = !s->value_size, batches = !(s->flags & WEIR_STATE_NAMESPACED);
    switch (s->kind) {
    case KEYED_VALUE:
        if (any)
            return CHOOSE(w, {VALUE_WRITE, 8}, {VALUE_READ, 6}, {VALUE_CLEAR, 2}, {VALUE_SCAN, batches}, {VALUE_SCAN_REMOVING, batches});
        return CHOOSE(w, {VALUE_EDIT, 8}, {VALUE_FIND, 6}, {VALUE_FIND_EDIT, 2}, {VALUE_CLEAR, 2}, {VALUE_PROBE, 2 * batches},
                      {VALUE_SCAN, batches}, {VALUE_SCAN_REMOVING, batches});
    case KEYED_REDUCING: return CHOOSE(w, {REDUCING_ADD, 4}, {VALUE_FIND, 2}, {VALUE_CLEAR, 1});
    case KEYED_AGGREGATING: return CHOOSE(w, {AGGREGATING_ADD, 1}, {VALUE_FIND, 2}, {VALUE_CLEAR, 1});
    case KEYED_LIST: return CHOOSE(w, {LIST_ADD, 8}, {LIST_SCAN, 2}, {LIST_SCAN_ADDING, !s->ttl_ms}, {LIST_EMPTY, 1}, {LIST_CLEAR, 1});
    case KEYED_MAP:
        return CHOOSE(w, {MAP_PUT, 8}, {MAP_VALUE, any ? 0 : 4}, {MAP_GET, 4}, {MAP_REMOVE, 3}, {MAP_SCAN, 1}, {MAP_SCAN_REMOVING, 1},
                      {MAP_EMPTY, 1}, {MAP_CLEAR, 1});
    case KEYED_ORDERED:
        return CHOOSE(w, {ORDERED_PUT, 10}, {ORDERED_GET, 3}, {ORDERED_REMOVE, 3}, {ORDERED_REMOVE_BEFORE, 1}, {ORDERED_RANGE, 3},
                      {ORDERED_RANGE_REMOVING, 1}, {ORDERED_CLEAR, 1});
    case KEYED_TIMERS: return CHOOSE(w, {TIMER_SET, 8}, {TIMER_DELETE, 2}, {TIMER_FIRST, 1}, {TIMER_POP, 1});
    case KEYED_PANES:
        return CHOOSE(w, {PANE_PROBE, 3}, {PANE_FIND, 4}, {PANE_REMOVE, 2}, {PANE_SCAN, 1}, {PANE_SCAN_REMOVING, 1}, {PANE_DROP, 1},
                      {PANE_MAKE, 1}, {PANES_LIST, 1});
    case KEYED_BROADCAST: return CHOOSE(w, {BROADCAST_PUT, 3}, {BROADCAST_GET, 2}, {BROADCAST_REMOVE, 1}, {BROADCAST_SCAN, 1});
    case KEYED_OPERATOR_LIST: return CHOOSE(w, {OPERATOR_LIST_ADD, 6}, {OPERATOR_LIST_READ, 2}, {OPERATOR_LIST_CLEAR, 1});
    }
    BROKEN("no such kind");
}

/* An element of an operator list tells its number, so that redistribution can be checked. */
static struct weir_bytes draw_element(struct world *w)
{
    static unsigned char bytes[80];
    uint32_t length = 8 + below(w, 70);
    memset(bytes, (int)draw(w), sizeof bytes);
    memcpy(bytes, &w->serial, 8);
    w->serial++;
    return (struct weir_bytes){bytes, length};
}

static bool is_scan(enum verb verb)
{
    return verb == LIST_SCAN || verb == MAP_SCAN || verb == ORDERED_RANGE || verb == PANE_SCAN;
}

/* What may never leave memory must fit the budget. */
static bool fills_memory(enum verb verb)
{
    return verb == TIMER_SET || verb == BROADCAST_PUT || verb == OPERATOR_LIST_ADD;
}

static void operate(struct world *w)
{
    static const int64_t panes[PANES] = {0, 1, -1, 60000, 120000, 180000, -60000, INT64_MAX, INT64_MIN + 1, 256};
    uint32_t state = below(w, w->config.n_states);
    const struct state_config *s = &w->config.states[state];
    struct op op = {.verb = draw_verb(w, s), .state = state, .key = draw_key(w), .salt = draw(w), .seq = draw_seq(w)};
    op.bytes = draw_value(w, s);
    if (op.verb == PANE_FIND && one_in(w, 2)) op.bytes = (struct weir_bytes){0};
    op.user_key = draw_user_key(w);
    op.time_ms = draw_time(w);
    op.until_ms = draw_time(w);
    op.domain = one_in(w, 2) ? WEIR_EVENT_TIME : WEIR_PROCESSING_TIME;
    op.pane = panes[below(w, PANES)];
    op.instance = below(w, w->config.n_instances);
    op.in_order = w->config.n_instances == 1 && !w->was_restored;
    if (s->kind == KEYED_OPERATOR_LIST) op.bytes = draw_element(w);
    if (s->kind == KEYED_BROADCAST) op.bytes = cut_noise(w, below(w, 100)); /* small: it stays in memory */
    if (is_scan(op.verb) && one_in(w, 4) && !s->ttl_ms) op.limit = 1 + below(w, 5);
    if (op.verb == VALUE_PROBE || op.verb == AGGREGATING_ADD || op.verb == PANE_PROBE) draw_records(w, &op);
    if (op.verb == TIMER_POP) w->watermark += below(w, 30);
    if (fills_memory(op.verb) && model_pinned(w->model) > w->config.budget / 2 + SLOT_SLACK / 2) return;
    perform(w, &op);
}

static void take_safe_point(struct world *w, bool clock_moves)
{
    if (clock_moves) w->now_ms += below(w, w->clock_step);
    perform(w, &(struct op){.verb = SAFE_POINT, .state = STATES_MAX, .time_ms = w->now_ms, .pinned = model_pinned(w->model)});
}

/* ---- everything, compared
 * ----------------------------------------------------------------------------------------------------------------- */

/* Reading brings entries into memory: they must be able to leave again. */
static void compare_one(struct world *w, const struct op *op, uint32_t i)
{
    perform(w, op);
    if (i % 64 == 63) take_safe_point(w, false);
}

static void compare_keyed(struct world *w, uint32_t state, enum verb verb)
{
    bool namespaced = w->config.states[state].flags & WEIR_STATE_NAMESPACED;
    for (uint32_t ns = 0; ns < (namespaced ? w->n_namespaces : 1); ns++) {
        if (namespaced) set_namespace(w, ns);
        for (uint32_t i = 0; i < w->n_keys; i++)
            compare_one(
                w, &(struct op){.verb = verb, .state = state, .key = &w->keys[i], .time_ms = WEIR_TIME_MIN, .until_ms = WEIR_TIME_MAX}, i);
    }
}

static void compare_panes(struct world *w, uint32_t state)
{
    struct answer listed = {0};
    perform(w, &(struct op){.verb = PANES_LIST, .state = state});
    say_raw(&listed, w->expected.data, w->expected.n);
    for (size_t at = 0; at < listed.n; at += 8)
        compare_one(w, &(struct op){.verb = PANE_SCAN, .state = state, .pane = (int64_t)heard_u64(&listed, at)}, 63);
    answer_close(&listed);
}

static void compare_state(struct world *w, uint32_t state)
{
    const struct state_config *s = &w->config.states[state];
    bool values = s->kind == KEYED_VALUE || s->kind == KEYED_REDUCING || s->kind == KEYED_AGGREGATING;
    if (values && !(s->flags & WEIR_STATE_NAMESPACED)) perform(w, &(struct op){.verb = VALUE_SCAN, .state = state});
    switch (s->kind) {
    case KEYED_VALUE: compare_keyed(w, state, s->value_size ? VALUE_FIND : VALUE_READ); break;
    case KEYED_REDUCING:
    case KEYED_AGGREGATING: compare_keyed(w, state, VALUE_FIND); break;
    case KEYED_LIST: compare_keyed(w, state, LIST_SCAN); break;
    case KEYED_MAP: compare_keyed(w, state, MAP_SCAN); break;
    case KEYED_ORDERED: compare_keyed(w, state, ORDERED_RANGE); break;
    case KEYED_PANES: compare_panes(w, state); break;
    case KEYED_BROADCAST: perform(w, &(struct op){.verb = BROADCAST_SCAN, .state = state}); break;
    case KEYED_OPERATOR_LIST:
        for (uint32_t i = 0; i < w->config.n_instances; i++)
            perform(w, &(struct op){.verb = OPERATOR_LIST_READ, .state = state, .instance = i});
        break;
    case KEYED_TIMERS:
        for (int d = 0; d < 2; d++) perform(w, &(struct op){.verb = TIMER_FIRST, .state = state, .domain = (enum weir_time_domain)d});
        break;
    }
}

static void compare_all(struct world *w)
{
    for (uint32_t i = 0; i < w->config.n_states; i++) compare_state(w, i);
    if (w->has_namespaces) set_namespace(w, 0);
}

static void pop_all_timers(struct world *w)
{
    for (int d = 0; d < 2; d++)
        perform(w, &(struct op){.verb = TIMER_POP, .state = STATES_MAX, .domain = (enum weir_time_domain)d, .until_ms = WEIR_TIME_MAX});
}

/* ---- snapshots, crashes, rescaling
 * ---------------------------------------------------------------------------------------------------------- */

static void join(struct world *w, bool keep)
{
    if (tracing) printf("%6u %s\n", w->step, keep ? "snapshot kept" : "snapshot given up");
    system_ops.join(w->system, keep);
    model_join(w->model, keep);
    w->is_frozen = false;
}

static void freeze(struct world *w)
{
    bool in_thread = one_in(w, 2);
    if (w->is_frozen) join(w, true);
    take_safe_point(w, false); /* a freeze copies what changed, which the budget has room for then */
    if (tracing) printf("%6u freeze, persisted by %s\n", w->step, in_thread ? "a thread" : "this thread");
    model_freeze(w->model);
    system_ops.freeze(w->system, in_thread);
    w->is_frozen = true;
    w->join_in = in_thread || one_in(w, 2) ? below(w, 300) : 0;
}

struct element {
    size_t at, length;
};

static uint32_t elements_of(const struct answer *a, struct element *out, uint32_t cap)
{
    uint32_t n = 0;
    for (size_t at = 0; at < a->n; n++) {
        MUST(n < cap);
        out[n] = (struct element){at, 8 + (size_t)heard_u64(a, at) - 1};
        at += out[n].length;
    }
    return n;
}

/* A share lies within the whole, in its order, and no element was dealt out before. Gives the number of elements. */
static uint32_t check_share(const struct answer *all, struct element *left, uint32_t n_left, const struct answer *share)
{
    static struct element elements[65536];
    uint32_t n = elements_of(share, elements, 65536), at = 0;
    for (uint32_t i = 0; i < n; i++, at++) {
        while (at < n_left &&
               (left[at].length != elements[i].length || memcmp(all->data + left[at].at, share->data + elements[i].at, elements[i].length)))
            at++;
        if (at == n_left) BROKEN("an operator list's element is out of order, dealt out twice, or nobody's");
        left[at].length = 0;
    }
    return n;
}

/* A union that nobody clears grows with each restore: every instance goes on writing all of it. All of that must fit each budget then. */
static bool union_would_burst(const struct world *w, uint32_t n)
{
    return (uint64_t)n * w->config.n_instances * 256 > w->config.budget / 2 + SLOT_SLACK / 2;
}

static void clear_union(struct world *w, uint32_t state)
{
    for (uint32_t i = 0; i < w->config.n_instances; i++)
        perform(w, &(struct op){.verb = OPERATOR_LIST_CLEAR, .state = state, .instance = i});
}

/* SPLIT: evenly and in order; UNION: everything to everybody. Who gets which share is the system's affair: the oracle follows. */
static void check_deal(struct world *w, uint32_t state)
{
    static struct element left[65536];
    struct answer all = {0};
    model_operator_list_all(w->model, state, &all);
    uint32_t n = elements_of(&all, left, 65536), q = w->config.n_instances, dealt = 0;
    bool is_union = w->config.states[state].how == WEIR_UNION;
    model_operator_list_deal(w->model, state, INSTANCES_MAX, &(struct answer){0});
    for (uint32_t i = 0; i < INSTANCES_MAX; i++) model_operator_list_deal(w->model, state, i, &(struct answer){0});
    for (uint32_t i = 0; i < q; i++) {
        struct op op = {.verb = OPERATOR_LIST_READ, .state = state, .instance = i};
        w->op = &op;
        system_ops.apply(w->system, &op, NULL, &w->got);
        if (is_union) elements_of(&all, left, 65536); /* all over again */
        uint32_t share = check_share(&all, left, n, &w->got);
        if (is_union ? share != n : share < n / q || share > (n + q - 1) / q) BROKEN("%u of %u elements for one of %u", share, n, q);
        dealt += share;
        model_operator_list_deal(w->model, state, i, &w->got);
    }
    w->op = NULL;
    if (is_union && (union_would_burst(w, n) || one_in(w, 2))) clear_union(w, state);
    if (!is_union && dealt != n) BROKEN("%u of %u elements were dealt out", dealt, n);
    answer_close(&all);
}

static void restore_as(struct world *w)
{
    system_ops.restore(w->system, &w->config);
    model_restore(w->model, &w->config);
    take_safe_point(w, false);
    for (uint32_t i = 0; i < w->config.n_states; i++)
        if (w->config.states[i].kind == KEYED_OPERATOR_LIST) check_deal(w, i);
    w->was_restored = true;
}

/* What had expired may be gone for good, so a time to live only ever shrinks. */
static void draw_ttls_anew(struct world *w)
{
    for (uint32_t i = 0; i < w->config.n_states; i++) {
        struct state_config *s = &w->config.states[i];
        if (!may_expire(s->kind) || !one_in(w, 6)) continue;
        s->ttl_ms = s->ttl_ms ? 1 + below(w, (uint32_t)s->ttl_ms) : draw_log(w, 1, 5000);
    }
}

static void crash(struct world *w)
{
    if (w->is_frozen) join(w, one_in(w, 2));
    if (!model_has_snapshot(w->model)) return;
    if (one_in(w, 2) && !instances_always) w->config.n_instances = 1 + below(w, 5);
    if (one_in(w, 4)) draw_ttls_anew(w);
    w->now_ms += below(w, w->clock_step);
    if (tracing) printf("%6u crash, restored in %u instances\n", w->step, w->config.n_instances);
    restore_as(w);
    compare_all(w);
    if (!one_in(w, 3)) return;
    pop_all_timers(w);
    restore_as(w); /* the same files serve once more */
}

/* ---- runs
 * ------------------------------------------------------------------------------------------------------------------------------------ */

static void between_operations(struct world *w)
{
    if (one_in(w, w->safe_every) || (w->is_frozen && one_in(w, 3))) take_safe_point(w, true);
    if (one_in(w, 40)) draw_batch(w);
    if (w->has_namespaces && one_in(w, 20)) set_namespace(w, below(w, w->n_namespaces));
    if (!w->config.snapshots) return;
    if (w->is_frozen && w->join_in-- == 0) join(w, !one_in(w, 8));
    if (one_in(w, w->freeze_every)) freeze(w);
    if (one_in(w, w->restore_every)) crash(w);
}

static void end_world(struct world *w)
{
    compare_all(w);
    if (w->config.snapshots) {
        freeze(w);
        join(w, true);
        crash(w);
    }
    pop_all_timers(w);
}

static uint64_t run_seed(uint64_t seed)
{
    struct world *w = calloc(1, sizeof *w);
    MUST(w != NULL);
    draw_world(w, seed);
    current = w;
    if (tracing) print_world(stdout, w);
    w->system = system_ops.open(&w->config);
    w->model = model_new(&w->config);
    for (w->step = 1; w->step <= w->n_ops; w->step++) {
        operate(w);
        between_operations(w);
    }
    end_world(w);
    uint64_t entries = model_entries(w->model);
    system_ops.close(w->system);
    model_destroy(&w->model);
    answer_close(&w->expected);
    answer_close(&w->got);
    free(w->keys);
    free(w->key_bytes);
    current = NULL;
    free(w);
    return entries;
}

static void make_noise(void)
{
    struct world w = {.rng = 7};
    noise = malloc(BYTES_MAX);
    MUST(noise != NULL);
    for (uint32_t i = 0; i < BYTES_MAX; i++) noise[i] = (unsigned char)draw(&w);
}

int main(int argc, char **argv)
{
    uint64_t seed = 1, count = DEFAULT_COUNT, entries = 0;
    program = argv[0];
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--trace"))
            tracing = true;
        else if (!strcmp(argv[i], "--seed") && i + 1 < argc)
            seed = strtoull(argv[++i], NULL, 10);
        else if (!strcmp(argv[i], "--count") && i + 1 < argc)
            count = strtoull(argv[++i], NULL, 10);
        else if (!strcmp(argv[i], "--instances") && i + 1 < argc)
            instances_always = (uint32_t)strtoul(argv[++i], NULL, 10);
        else
            return fprintf(stderr, "usage: conformance_state [--seed S] [--count N] [--instances 1 ... 8] [--trace]\n"), 2;
    }
    if (instances_always > INSTANCES_MAX) return 2;
    make_noise();
    log_init(program, LOG_LEVEL_WARN);
    signal(SIGABRT, on_signal);
    signal(SIGALRM, on_signal);
    for (uint64_t i = 0; i < count; i++) {
        alarm(SECONDS_MAX);
        entries += run_seed(seed + i);
    }
    system_end();
    free(noise);
    printf("%" PRIu64 " seeds, %" PRIu64 " entries at their ends: the system and the oracle agree\n", count, entries);
    return 0;
}
