/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keyed state of one operator instance: its value states, its timers, its pane tables. The functions of weir/state.h are thin shells over
 * these (runtime/task/context.c). Key and its hash come from the caller: computed once per record and batch.
 *
 * In memory for now: an open-addressing table per state (table.h). The write-back to RocksDB goes behind this same interface.
 * Thread: the operator's task thread.
 */
#ifndef WEIR_RUNTIME_STATE_KEYED_H
#define WEIR_RUNTIME_STATE_KEYED_H

#include "weir/state.h"

struct keyed;

weir_err keyed_new(struct keyed **out);
void keyed_destroy(struct keyed **keyed);

/* As the function of the same name in weir/state.h; `key` is the current key. */
weir_err keyed_value_open(struct keyed *keyed, const struct weir_state_desc *desc, struct weir_state **out, struct weir_diag *diag);
void *keyed_value(struct weir_state *state, const struct weir_key *key); /* NULL = no memory */
void *keyed_value_find(struct weir_state *state, const struct weir_key *key);
struct weir_bytes keyed_value_read(struct weir_state *state, const struct weir_key *key);
weir_err keyed_value_write(struct weir_state *state, const struct weir_key *key, const void *data, uint32_t length);
void keyed_value_clear(struct weir_state *state, const struct weir_key *key);

/*
 * Asks the cache for what the keys of a coming batch (the first WEIR_BATCH_MAX of them) will touch in every state of the operator. The
 * functions on values are fastest for keys that lie in this very array; the array may change or go, they do not rely on it.
 */
void keyed_prefetch(struct keyed *keyed, const struct weir_key *keys, uint32_t n);

weir_err keyed_timer_set(struct keyed *keyed, const struct weir_key *key, enum weir_time_domain domain, weir_time time_ms, uint64_t tag);
void keyed_timer_delete(struct keyed *keyed, const struct weir_key *key, enum weir_time_domain domain, weir_time time_ms, uint64_t tag);

/* Time of the earliest timer of the domain; WEIR_TIME_MAX when there is none. */
weir_time keyed_timer_first(const struct keyed *keyed, enum weir_time_domain domain);

/*
 * Takes the earliest timer with time <= `until` out of the set and gives it in *timer; its key bytes stay valid until the next call of this
 * function. Order: time, then order of setting. false when there is none.
 */
bool keyed_timer_pop(struct keyed *keyed, enum weir_time_domain domain, weir_time until, struct weir_timer *timer);

/* Bytes held by all states, timers and tables. */
uint64_t keyed_memory(const struct keyed *keyed);

/* The account those bytes are taken from: to set its limit, and for tests to make allocations fail (memory.h). */
struct memory;
struct memory *keyed_account(struct keyed *keyed);

/* Pane tables: as weir_table_* in weir/state.h. `keys` are those of the batch. */
weir_err keyed_table_new(struct keyed *keyed, uint32_t value_size, struct weir_table **out);
void keyed_table_drop(struct keyed *keyed, struct weir_table **table);
weir_err keyed_table_probe(struct weir_table *table, const struct weir_key *keys, const uint32_t *idx, uint32_t n, void **values);
void *keyed_table_find(struct weir_table *table, const struct weir_key *key);
void keyed_table_remove(struct weir_table *table, const struct weir_key *key);
uint64_t keyed_table_count(const struct weir_table *table);
bool keyed_table_next(const struct weir_table *table, uint64_t *cursor, struct weir_key *key, void **value);

#endif
