/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/state/keyed.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"
#include "runtime/state/table.h"
#include "runtime/state/timers.h"

/* What a state of values of any length keeps per key. The bytes are allocated apart; a value that fits its old room is written in place. */
struct blob {
    unsigned char *data;
    uint32_t length;
    uint32_t cap;
};

struct weir_state {
    struct table table;
    const struct weir_key *batch; /* the keys last prefetched: guesses[i] is where the entry of batch[i] probably is */
    uint32_t n_batch;
    uint32_t value_size; /* 0 = any length */
    uint32_t guesses[WEIR_BATCH_MAX];
    char name[WEIR_NAME_MAX + 1];
};

struct weir_table {
    struct table table;
    struct weir_table *prev, *next; /* of the operator's pane tables */
};

struct keyed {
    struct memory memory;
    struct weir_state *states[WEIR_STATES_MAX];
    uint32_t n_states;
    struct timers timers[2]; /* by enum weir_time_domain */
    struct weir_table *tables;
};

/* ---- life --------------------------------------------------------------------------------------------------------------------------- */

weir_err keyed_new(struct keyed **out)
{
    struct keyed *k = calloc(1, sizeof *k);
    if (!k) return WEIR_E_NOMEM;
    timers_init(&k->timers[WEIR_EVENT_TIME], &k->memory);
    timers_init(&k->timers[WEIR_PROCESSING_TIME], &k->memory);
    *out = k;
    return WEIR_OK;
}

static void destroy_state(struct memory *m, struct weir_state *s)
{
    uint64_t cursor = 0;
    for (struct table_entry *e; s->value_size == 0 && (e = table_next(&s->table, &cursor)) != NULL;) {
        struct blob *b = table_value(e);
        memory_free(m, b->data, b->cap);
    }
    table_close(&s->table);
    memory_free(m, s, sizeof *s);
}

void keyed_destroy(struct keyed **keyed)
{
    struct keyed *k = *keyed;
    if (!k) return;
    while (k->tables) {
        struct weir_table *table = k->tables;
        keyed_table_drop(k, &table);
    }
    for (uint32_t i = 0; i < k->n_states; i++) destroy_state(&k->memory, k->states[i]);
    timers_close(&k->timers[WEIR_EVENT_TIME]);
    timers_close(&k->timers[WEIR_PROCESSING_TIME]);
    WEIR_ASSERT(k->memory.bytes == 0); /* every byte of the account has been given back */
    free(k);
    *keyed = NULL;
}

uint64_t keyed_memory(const struct keyed *k)
{
    return k->memory.bytes;
}

struct memory *keyed_account(struct keyed *k)
{
    return &k->memory;
}

/* ---- value states ------------------------------------------------------------------------------------------------------------------ */

static weir_err check_desc(const struct keyed *k, const struct weir_state_desc *desc, struct weir_diag *diag)
{
    if (!desc->name || !desc->name[0]) return weir_fail(diag, WEIR_E_ARGUMENT, "a state needs a name");
    if (strlen(desc->name) > WEIR_NAME_MAX)
        return weir_fail(diag, WEIR_E_ARGUMENT, "state name '%.40s...' is longer than %d bytes", desc->name, WEIR_NAME_MAX);
    if (desc->value_size > WEIR_VALUE_MAX)
        return weir_fail(diag, WEIR_E_LIMIT, "state '%s': values of %u bytes, at most %u", desc->name, desc->value_size, WEIR_VALUE_MAX);
    for (uint32_t i = 0; i < k->n_states; i++) {
        if (strcmp(k->states[i]->name, desc->name) == 0) return weir_fail(diag, WEIR_E_EXISTS, "state '%s' is opened twice", desc->name);
    }
    if (k->n_states == WEIR_STATES_MAX)
        return weir_fail(diag, WEIR_E_LIMIT, "state '%s' is one more than %d of an operator", desc->name, WEIR_STATES_MAX);
    return WEIR_OK;
}

weir_err keyed_value_open(struct keyed *k, const struct weir_state_desc *desc, struct weir_state **out, struct weir_diag *diag)
{
    weir_err err = check_desc(k, desc, diag);
    if (err) return err;
    struct weir_state *s = memory_alloc(&k->memory, sizeof *s);
    if (!s) return weir_fail(diag, WEIR_E_NOMEM, "open state '%s': out of memory", desc->name);
    memcpy(s->name, desc->name, strlen(desc->name));
    s->value_size = desc->value_size;
    table_init(&s->table, desc->value_size ? desc->value_size : (uint32_t)sizeof(struct blob), &k->memory);
    k->states[k->n_states++] = s;
    *out = s;
    return WEIR_OK;
}

/* keyed_prefetch has walked the slots of a batch's keys once; a key that lies in the batch's array need not be looked for again. */
static inline uint32_t guess_of(const struct weir_state *s, const struct weir_key *key)
{
    uintptr_t at = (uintptr_t)key - (uintptr_t)s->batch;
    return at < s->n_batch * sizeof *key ? s->guesses[at / sizeof *key] : 0;
}

static struct table_entry *find(const struct weir_state *s, const struct weir_key *key)
{
    return table_find_guess(&s->table, key, guess_of(s, key));
}

static struct table_entry *put(struct weir_state *s, const struct weir_key *key)
{
    return table_put_guess(&s->table, key, guess_of(s, key));
}

void *keyed_value(struct weir_state *s, const struct weir_key *key)
{
    struct table_entry *e = put(s, key);
    return e ? table_value(e) : NULL;
}

void *keyed_value_find(struct weir_state *s, const struct weir_key *key)
{
    struct table_entry *e = find(s, key);
    return e ? table_value(e) : NULL;
}

struct weir_bytes keyed_value_read(struct weir_state *s, const struct weir_key *key)
{
    struct table_entry *e = find(s, key);
    if (!e) return (struct weir_bytes){NULL, 0};
    struct blob *b = table_value(e);
    return (struct weir_bytes){b->data ? (void *)b->data : (void *)b, b->length}; /* an empty value is not the same as none */
}

/* Puts the bytes into the blob: in its old room when they fit and do not leave three quarters of it empty, else in a new one. */
static bool fill_blob(struct memory *m, struct blob *b, const void *data, uint32_t length)
{
    bool fits = length <= b->cap;
    if (!fits || b->cap / 4 > length) {
        uint32_t cap = (length + 15u) & ~15u;
        unsigned char *room = cap ? memory_alloc(m, cap) : NULL;
        if (cap && !room && !fits) return false; /* only shrinking can wait */
        if (room) memcpy(room, data, length);    /* before the old bytes go: `data` may lie in them */
        if (room || !cap) {
            memory_free(m, b->data, b->cap);
            *b = (struct blob){room, length, cap};
            return true;
        }
    }
    if (length) memmove(b->data, data, length);
    b->length = length;
    return true;
}

weir_err keyed_value_write(struct weir_state *s, const struct weir_key *key, const void *data, uint32_t length)
{
    if (length > WEIR_VALUE_MAX || key->length > WEIR_KEY_MAX) return WEIR_E_LIMIT;
    uint64_t count = s->table.count;
    struct table_entry *e = put(s, key);
    if (!e) return WEIR_E_NOMEM;
    if (fill_blob(s->table.memory, table_value(e), data, length)) return WEIR_OK;
    if (s->table.count != count) table_remove(&s->table, e); /* as if never asked */
    return WEIR_E_NOMEM;
}

void keyed_value_clear(struct weir_state *s, const struct weir_key *key)
{
    struct table_entry *e = find(s, key);
    if (!e) return;
    if (s->value_size == 0) {
        struct blob *b = table_value(e);
        memory_free(s->table.memory, b->data, b->cap);
    }
    table_remove(&s->table, e);
}

void keyed_prefetch(struct keyed *k, const struct weir_key *keys, uint32_t n)
{
    if (n > WEIR_BATCH_MAX) n = WEIR_BATCH_MAX;
    for (uint32_t i = 0; i < k->n_states; i++) {
        struct weir_state *s = k->states[i];
        s->batch = keys;
        s->n_batch = table_prefetch(&s->table, keys, n, s->guesses) ? n : 0;
    }
}

/* ---- timers ------------------------------------------------------------------------------------------------------------------------- */

weir_err keyed_timer_set(struct keyed *k, const struct weir_key *key, enum weir_time_domain domain, weir_time time_ms, uint64_t tag)
{
    return timers_set(&k->timers[domain], key, time_ms, tag);
}

void keyed_timer_delete(struct keyed *k, const struct weir_key *key, enum weir_time_domain domain, weir_time time_ms, uint64_t tag)
{
    timers_delete(&k->timers[domain], key, time_ms, tag);
}

weir_time keyed_timer_first(const struct keyed *k, enum weir_time_domain domain)
{
    return timers_first(&k->timers[domain]);
}

bool keyed_timer_pop(struct keyed *k, enum weir_time_domain domain, weir_time until, struct weir_timer *timer)
{
    struct weir_timer t = {.domain = domain};
    if (!timers_pop(&k->timers[domain], until, &t.time_ms, &t.tag, &t.key)) return false;
    *timer = t;
    return true;
}

/* ---- pane tables -------------------------------------------------------------------------------------------------------------------- */

weir_err keyed_table_new(struct keyed *k, uint32_t value_size, struct weir_table **out)
{
    if (value_size > WEIR_VALUE_MAX) return WEIR_E_LIMIT;
    struct weir_table *table = memory_alloc(&k->memory, sizeof *table);
    if (!table) return WEIR_E_NOMEM;
    table_init(&table->table, value_size, &k->memory);
    table->next = k->tables;
    if (k->tables) k->tables->prev = table;
    k->tables = table;
    *out = table;
    return WEIR_OK;
}

void keyed_table_drop(struct keyed *k, struct weir_table **table)
{
    struct weir_table *t = *table;
    if (!t) return;
    if (t->prev)
        t->prev->next = t->next;
    else
        k->tables = t->next;
    if (t->next) t->next->prev = t->prev;
    table_close(&t->table);
    memory_free(&k->memory, t, sizeof *t);
    *table = NULL;
}

weir_err keyed_table_probe(struct weir_table *table, const struct weir_key *keys, const uint32_t *idx, uint32_t n, void **values)
{
    return table_probe(&table->table, keys, idx, n, values);
}

void *keyed_table_find(struct weir_table *table, const struct weir_key *key)
{
    struct table_entry *e = table_find(&table->table, key);
    return e ? table_value(e) : NULL;
}

void keyed_table_remove(struct weir_table *table, const struct weir_key *key)
{
    struct table_entry *e = table_find(&table->table, key);
    if (e) table_remove(&table->table, e);
}

uint64_t keyed_table_count(const struct weir_table *table)
{
    return table->table.count;
}

bool keyed_table_next(const struct weir_table *table, uint64_t *cursor, struct weir_key *key, void **value)
{
    struct table_entry *e = table_next(&table->table, cursor);
    if (!e) return false;
    *key = table_key(e);
    *value = table_value(e);
    return true;
}
