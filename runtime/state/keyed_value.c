/* SPDX-License-Identifier: Apache-2.0 */
/* Value, reducing and aggregating state: one store entry a key, or a (key, namespace). */
#include <stdlib.h>
#include <string.h>

#include "runtime/base/hash.h"
#include "runtime/state/cell.h"
#include "runtime/state/keyed_internal.h"

#define FETCH_AHEAD 32u /* records; measured: 8 to 24 are alike */

/*
 * keyed_prefetch has walked the buckets of a batch's keys once; a key that lies in the batch's array need not be looked for again. Since
 * records mostly come in order, an entry some records ahead is fetched.
 */
static inline struct table_entry *guess_of(const struct weir_state *s, const struct weir_key *key)
{
    uintptr_t at = ((uintptr_t)key - (uintptr_t)s->batch) / sizeof *key;
    if (at >= s->n_batch) return NULL;
    if (at + FETCH_AHEAD < s->n_batch && s->guesses[at + FETCH_AHEAD]) table_fetch(&s->store->table, s->guesses[at + FETCH_AHEAD]);
    return s->guesses[at];
}

/* The store's key for (key, namespace), in the operator's scratch. NULL: no memory (sticky). */
static const struct weir_key *cell_key(struct weir_state *s, const struct weir_key *key, struct weir_key *cell)
{
    struct keyed *k = s->keyed;
    if (key->length > WEIR_KEY_MAX) {
        (void)slot_fail(k->slot, WEIR_E_LIMIT, "a key of %u bytes, at most %u", key->length, WEIR_KEY_MAX);
        return NULL;
    }
    size_t need = cell_prefix_length(key->length, k->ns_length);
    if (need > k->cell_cap) {
        unsigned char *grown = realloc(k->cell, need * 2);
        if (!grown) {
            (void)slot_fail(k->slot, WEIR_E_NOMEM, "out of memory for a key");
            return NULL;
        }
        k->cell = grown;
        k->cell_cap = need * 2;
    }
    uint32_t n = cell_put_prefix(k->cell, key, (struct weir_bytes){k->ns, k->ns_length});
    *cell = (struct weir_key){.data = k->cell, .length = n, .hash = hash64(k->cell, n)};
    return cell;
}

#define STORE_KEY(s, key, cell) ((s)->namespaced ? cell_key((s), (key), &(cell)) : (key))

static __attribute__((noinline)) void *value_slowly(struct weir_state *s, const struct weir_key *key, struct table_entry *guess)
{
    struct weir_key cell;
    const struct weir_key *at = STORE_KEY(s, key, cell);
    struct table_entry *e = at ? store_edit(s->store, at, guess) : NULL;
    return e ? table_value(e) : NULL;
}

/* A state with namespaces has no guesses. */
void *keyed_value(struct weir_state *s, const struct weir_key *key)
{
    struct table_entry *guess = guess_of(s, key);
    void *value = store_hit(s->store, key, guess);
    return WEIR_LIKELY(value != NULL) ? value : value_slowly(s, key, guess);
}

void *keyed_value_find(struct weir_state *s, const struct weir_key *key)
{
    struct weir_key cell;
    const struct weir_key *at = STORE_KEY(s, key, cell);
    struct table_entry *e = at ? store_find_edit(s->store, at, guess_of(s, at)) : NULL;
    return e ? table_value(e) : NULL;
}

struct weir_bytes keyed_value_read(struct weir_state *s, const struct weir_key *key)
{
    struct weir_key cell;
    const struct weir_key *at = STORE_KEY(s, key, cell);
    struct table_entry *e = at ? store_find(s->store, at, guess_of(s, at)) : NULL;
    return e ? store_bytes(s->store, e) : (struct weir_bytes){NULL, 0};
}

weir_err keyed_value_write(struct weir_state *s, const struct weir_key *key, const void *data, uint32_t length)
{
    if (length > WEIR_VALUE_MAX || key->length > WEIR_KEY_MAX) return WEIR_E_LIMIT;
    if (s->value_size && length != s->value_size) return WEIR_E_ARGUMENT;
    struct weir_key cell;
    const struct weir_key *at = STORE_KEY(s, key, cell);
    if (!at) return slot_error(s->keyed->slot, NULL);
    if (s->value_size == 0) return store_write(s->store, at, guess_of(s, at), data, length);
    struct table_entry *e = store_edit(s->store, at, guess_of(s, at));
    if (!e) return slot_error(s->keyed->slot, NULL);
    memmove(table_value(e), data, length);
    return WEIR_OK;
}

void keyed_value_clear(struct weir_state *s, const struct weir_key *key)
{
    struct weir_key cell;
    const struct weir_key *at = STORE_KEY(s, key, cell);
    if (at) store_remove(s->store, at);
}

weir_err keyed_value_probe(struct weir_state *s, const struct weir_key *keys, const uint32_t *idx, uint32_t n, void **values)
{
    if (s->namespaced || s->value_size == 0) return WEIR_E_ARGUMENT;
    return store_probe(s->store, keys, idx, n, values);
}

void *keyed_reducing_add(struct weir_state *s, const struct weir_key *key, const void *value)
{
    void *acc = keyed_value_find(s, key);
    if (acc) {
        s->reduce(acc, value);
        return acc;
    }
    acc = keyed_value(s, key);
    return acc ? memcpy(acc, value, s->value_size) : NULL;
}

#define AGGREGATE_PIECE 64u /* records whose accumulators stay in the first cache from probing to adding */

static struct weir_batch piece_of(const struct weir_batch *batch, uint32_t from, uint32_t n)
{
    struct weir_batch piece = *batch;
    piece.count = n;
    if (batch->sel)
        piece.sel = batch->sel + from;
    else
        piece.data = batch->data + (size_t)from * batch->stride;
    return piece;
}

weir_err keyed_aggregating_add(struct weir_state *s, const struct weir_key *keys, const struct weir_batch *batch, const uint32_t *idx,
                               uint32_t n, void **accs)
{
    if (n > WEIR_BATCH_MAX) return WEIR_E_ARGUMENT;
    void **at = accs ? accs : s->accs;
    for (uint32_t done = 0; done < n; done += AGGREGATE_PIECE) {
        uint32_t m = n - done < AGGREGATE_PIECE ? n - done : AGGREGATE_PIECE;
        const uint32_t *some = idx ? idx + done : NULL;
        weir_err err = keyed_value_probe(s, idx ? keys : keys + done, some, m, at + done);
        if (err) return err;
        struct weir_batch piece = idx ? *batch : piece_of(batch, done, m);
        s->aggregate->add(at + done, &piece, some, m);
    }
    return WEIR_OK;
}
