/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of one operator instance: its states of every kind, its timers, its panes. The functions of weir/state.h are thin shells over
 * these (runtime/task/context.c); what they promise is said there. Key and hash come from the caller: computed once per record and batch.
 *
 * Each state is a write-back store (store.h): a table in memory over a family of the slot's RocksDB. Memory is the slot's (slot.h).
 * Failures of reading and writing are sticky in the slot: slot_error, which the task asks after each call into an operator.
 * Thread: the operator's task thread, except where said.
 */
#ifndef WEIR_RUNTIME_STATE_KEYED_H
#define WEIR_RUNTIME_STATE_KEYED_H

#include "runtime/state/slot.h"
#include "weir/state.h"
#include "weir/window.h"

struct keyed;

/* slot: kept, outlives the operator's state. operator_id: copied. first_group, last_group: the key groups of this subtask. */
weir_err keyed_new(struct keyed **out, struct state_slot *slot, const char *operator_id, uint16_t first_group, uint16_t last_group);
void keyed_destroy(struct keyed **keyed);

/*
 * What to do between two calls into the operator, when no address is in use: brings memory back below the budget and notes the step's wall
 * clock. Cheap when nothing is to be done. Errors: of the slot (sticky).
 */
weir_err keyed_safe_point(struct keyed *keyed, weir_time now_ms);

/*
 * Asks the cache for what the keys of a coming batch (the first WEIR_BATCH_MAX of them) will touch in every state of the operator. The
 * functions on values are fastest for keys that lie in this very array; the array may change or go, they do not rely on it.
 */
void keyed_prefetch(struct keyed *keyed, const struct weir_key *keys, uint32_t n);

weir_err keyed_set_namespace(struct keyed *keyed, struct weir_bytes ns);

/* ---- states: as the functions of the same name in weir/state.h, `key` being the current key ------------------------------------------ */

enum keyed_kind {
    KEYED_VALUE = 1,
    KEYED_REDUCING,
    KEYED_AGGREGATING,
    KEYED_LIST,
    KEYED_MAP,
    KEYED_ORDERED,
    KEYED_PANES,
    KEYED_TIMERS,
    KEYED_BROADCAST,
    KEYED_OPERATOR_LIST
};

/* "value", "operator list"; "unknown" for a number that is none. */
const char *keyed_kind_name(enum keyed_kind kind);

/* Opens a state of any keyed kind but panes; restored bytes of that name are put behind it. Errors: those of weir_value_open;
 * WEIR_E_STATE: restored state of that name has another kind, size or row type; the sentence has the difference. */
weir_err keyed_open(struct keyed *keyed, enum keyed_kind kind, const struct weir_state_desc *desc, struct weir_state **out,
                    struct weir_diag *diag);
void keyed_reducing_set(struct weir_state *state, weir_reduce reduce);
void keyed_aggregating_set(struct weir_state *state, const struct weir_aggregate *aggregate);

void *keyed_value(struct weir_state *state, const struct weir_key *key); /* NULL = failed */
void *keyed_value_find(struct weir_state *state, const struct weir_key *key);
struct weir_bytes keyed_value_read(struct weir_state *state, const struct weir_key *key);
weir_err keyed_value_write(struct weir_state *state, const struct weir_key *key, const void *data, uint32_t length);
void keyed_value_clear(struct weir_state *state, const struct weir_key *key);
weir_err keyed_value_probe(struct weir_state *state, const struct weir_key *keys, const uint32_t *idx, uint32_t n, void **values);
void *keyed_reducing_add(struct weir_state *state, const struct weir_key *key, const void *value);
weir_err keyed_aggregating_add(struct weir_state *state, const struct weir_key *keys, const struct weir_batch *batch, const uint32_t *idx,
                               uint32_t n, void **accs);
bool keyed_value_next(struct weir_state *state, uint64_t *cursor, struct weir_key *key, struct weir_bytes *value);
/* The key that the last keyed_value_next gave. */
const struct weir_key *keyed_value_scanned(const struct weir_state *state);

weir_err keyed_list_add(struct weir_state *state, const struct weir_key *key, const void *data, uint32_t length);
bool keyed_list_next(struct weir_state *state, const struct weir_key *key, uint64_t *cursor, struct weir_bytes *element);
bool keyed_list_is_empty(struct weir_state *state, const struct weir_key *key);
weir_err keyed_list_clear(struct weir_state *state, const struct weir_key *key);

struct weir_bytes keyed_map_get(struct weir_state *state, const struct weir_key *key, struct weir_bytes user_key);
weir_err keyed_map_put(struct weir_state *state, const struct weir_key *key, struct weir_bytes user_key, const void *data, uint32_t length);
void *keyed_map_value(struct weir_state *state, const struct weir_key *key, struct weir_bytes user_key);
weir_err keyed_map_remove(struct weir_state *state, const struct weir_key *key, struct weir_bytes user_key);
bool keyed_map_next(struct weir_state *state, const struct weir_key *key, uint64_t *cursor, struct weir_bytes *user_key,
                    struct weir_bytes *value);
bool keyed_map_is_empty(struct weir_state *state, const struct weir_key *key);
weir_err keyed_map_clear(struct weir_state *state, const struct weir_key *key);

weir_err keyed_ordered_put(struct weir_state *state, const struct weir_key *key, weir_time time_ms, uint64_t seq, const void *data,
                           uint32_t length);
struct weir_bytes keyed_ordered_get(struct weir_state *state, const struct weir_key *key, weir_time time_ms, uint64_t seq);
weir_err keyed_ordered_remove(struct weir_state *state, const struct weir_key *key, weir_time time_ms, uint64_t seq);
weir_err keyed_ordered_remove_before(struct weir_state *state, const struct weir_key *key, weir_time until);
bool keyed_ordered_next(struct weir_state *state, const struct weir_key *key, weir_time from, weir_time to, uint64_t *cursor,
                        struct weir_ordered_entry *entry);
weir_err keyed_ordered_clear(struct weir_state *state, const struct weir_key *key);

/* ---- timers ------------------------------------------------------------------------------------------------------------------------ */

weir_err keyed_timer_set(struct keyed *keyed, const struct weir_key *key, enum weir_time_domain domain, weir_time time_ms, uint64_t tag);
weir_err keyed_timer_delete(struct keyed *keyed, const struct weir_key *key, enum weir_time_domain domain, weir_time time_ms, uint64_t tag);

/* Time of the earliest timer of the domain; WEIR_TIME_MAX when there is none. */
weir_time keyed_timer_first(const struct keyed *keyed, enum weir_time_domain domain);

/*
 * Takes the earliest timer with time <= `until` out of the set and gives it in *timer; its key bytes stay valid until the next call of this
 * function. Order: time, then order of setting (after a restore: any). false when there is none.
 */
bool keyed_timer_pop(struct keyed *keyed, enum weir_time_domain domain, weir_time until, struct weir_timer *timer);

/* ---- panes ------------------------------------------------------------------------------------------------------------------------- */

weir_err keyed_panes_open(struct keyed *keyed, const struct weir_state_desc *desc, struct weir_panes **out, struct weir_diag *diag);
weir_err keyed_panes_table(struct weir_panes *panes, int64_t pane, struct weir_table **out);
bool keyed_panes_next(struct weir_panes *panes, int64_t after, int64_t *pane);
void keyed_table_drop(struct weir_table **table);
weir_err keyed_table_probe(struct weir_table *table, const struct weir_key *keys, const uint32_t *idx, uint32_t n, void **values);
void *keyed_table_find(struct weir_table *table, const struct weir_key *key);
void keyed_table_remove(struct weir_table *table, const struct weir_key *key);
bool keyed_table_next(struct weir_table *table, uint64_t *cursor, struct weir_key *key, void **value);

/* ---- state without key --------------------------------------------------------------------------------------------------------------- */

weir_err keyed_broadcast_open(struct keyed *keyed, const struct weir_state_desc *desc, struct weir_broadcast **out, struct weir_diag *diag);
struct weir_bytes keyed_broadcast_get(struct weir_broadcast *state, struct weir_bytes user_key);
weir_err keyed_broadcast_put(struct weir_broadcast *state, struct weir_bytes user_key, const void *data, uint32_t length);
void keyed_broadcast_remove(struct weir_broadcast *state, struct weir_bytes user_key);
bool keyed_broadcast_next(struct weir_broadcast *state, uint64_t *cursor, struct weir_bytes *user_key, struct weir_bytes *value);
weir_err keyed_operator_list_open(struct keyed *keyed, const struct weir_state_desc *desc, enum weir_redistribution how,
                                  struct weir_operator_list **out, struct weir_diag *diag);
weir_err keyed_operator_list_add(struct weir_operator_list *list, const void *data, uint32_t length);
uint32_t keyed_operator_list_count(const struct weir_operator_list *list);
struct weir_bytes keyed_operator_list_at(const struct weir_operator_list *list, uint32_t i);
void keyed_operator_list_clear(struct weir_operator_list *list);

/* ---- snapshots ----------------------------------------------------------------------------------------------------------------------- */

/* A file of a snapshot. A state's files apply in the order of the list: a later entry of a key replaces an earlier one. */
struct keyed_file {
    char state[WEIR_NAME_MAX + 1];
    enum keyed_kind kind;
    uint32_t value_size;
    char name[64];                    /* in the snapshot's folder */
    uint16_t first_group, last_group; /* key groups it may hold something of */
    uint64_t epoch;                   /* of the snapshot that brought it */
    uint64_t bytes;
    uint64_t entries;
    uint32_t crc32c; /* of the whole file */
    bool is_new;     /* no earlier snapshot of this operator instance has named it */
};

/* All files of one snapshot, new and kept. Plain memory: keyed_files_close frees it. */
struct keyed_files {
    struct keyed_file *items;
    uint32_t n, cap;
    uint16_t first_group, last_group; /* of the instance: what its files hold of other groups is not its own to tell */
    uint64_t step_us;                 /* what the longest step of copying took */
};
void keyed_files_close(struct keyed_files *files);

struct keyed_snapshot;

/* What the author said of a state: for tools that read a checkpoint without the job. */
struct keyed_state_info {
    char name[WEIR_NAME_MAX + 1]; /* timers: "~event timers", "~processing timers" */
    enum keyed_kind kind;
    uint32_t value_size;   /* as its files say */
    uint32_t element_size; /* of a list's elements, a broadcast's or operator list's values: as opened; else 0 */
    int64_t ttl_ms;
    bool namespaced;
    const struct weir_schema *value, *user_key; /* the plugin's; NULL = not declared */
};

/* Tells how the bytes of the operator's keys are to be read: as a field of that type (a string is the whole key). Kept; the plugin's. */
void keyed_describe_key(struct keyed *keyed, const struct weir_field *field);

/*
 * The states that a snapshot holds, also those without any file: i from 0, NULL at the end; and its keys (NULL: not declared). Borrowed
 * until keyed_snapshot_destroy. Thread: any.
 */
const struct keyed_state_info *keyed_snapshot_state(const struct keyed_snapshot *snapshot, uint32_t i);
const struct weir_field *keyed_snapshot_key(const struct keyed_snapshot *snapshot);

/*
 * Freezes what the operator's state holds now, as the snapshot of `epoch` (greater than all before). That takes no longer for much state
 * than for little; what changed since the last freeze is copied afterwards by slot_copy (slot.h), which the caller goes on calling.
 * One snapshot at a time: the one before must have been destroyed. Errors: WEIR_E_NOMEM, the slot's.
 */
weir_err keyed_freeze(struct keyed *keyed, uint64_t epoch, struct keyed_snapshot **out, struct weir_diag *diag);

/*
 * Waits until all is copied (on the operator's own thread that must have been done before), and then writes what is new below `dir` (which
 * exists; the same for all snapshots of the operator, and where restored files lie) and gives the whole list. Every file is fsynced when
 * this returns WEIR_OK; the folder is not (its owner does that once for all). A failure is final: the state's attempt has failed. Files
 * named by a list are needed by the lists after it until they are no longer named. Thread: any, once a snapshot; the operator may go on
 * meanwhile.
 */
weir_err keyed_persist(struct keyed_snapshot *snapshot, const char *dir, struct keyed_files *files, struct weir_diag *diag);

/* After keyed_persist has returned. Thread: the operator's. */
void keyed_snapshot_destroy(struct keyed_snapshot **snapshot);

/*
 * Puts a snapshot's files, or those of several instances that share this one's key groups among them, behind the states
 * that will be opened: of each, the keys of this instance's groups. The files are part of later snapshots' lists (is_new false) until a
 * turn has replaced them; state without key is written anew. Call before anything is opened. Every file is read once and its checksum
 * compared; the folder's files stay as they are. shard, n_shards: which share of operator lists is this instance's.
 * Errors: WEIR_E_CORRUPT, WEIR_E_NOT_FOUND, WEIR_E_IO: each names the file.
 */
struct keyed_restore_from {
    const char *dir;
    const struct keyed_files *files;
    const struct keyed_state_info *states; /* what the snapshot said of its states, copied with their schemas; NULL: not known */
    uint32_t n_states;
};
weir_err keyed_restore(struct keyed *keyed, const struct keyed_restore_from *from, uint32_t n_from, uint32_t shard, uint32_t n_shards,
                       struct weir_diag *diag);

#endif
