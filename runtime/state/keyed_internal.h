/* SPDX-License-Identifier: Apache-2.0 */
/* The structures behind keyed.h. Only keyed*.c include this. */
#ifndef WEIR_RUNTIME_STATE_KEYED_INTERNAL_H
#define WEIR_RUNTIME_STATE_KEYED_INTERNAL_H

#include "runtime/state/cells.h"
#include "runtime/state/internal.h"
#include "runtime/state/keyed_types.h"
#include "runtime/state/panes.h"
#include "runtime/state/timers.h"
#include "runtime/state/unkeyed.h"

struct weir_state {
    struct keyed *keyed;
    enum keyed_kind kind;
    struct store *store;          /* value, reducing, aggregating */
    struct cells *cells;          /* list, map, ordered */
    const struct weir_key *batch; /* the keys last prefetched: guesses[i] is where the entry of batch[i] probably is */
    uint32_t n_batch;
    uint32_t value_size; /* 0 = any length */
    bool namespaced;
    weir_reduce reduce;
    const struct weir_aggregate *aggregate;
    void **accs;             /* WEIR_BATCH_MAX addresses for aggregating */
    struct value_scan *scan; /* keyed_scan.c; NULL until the first */
    struct table_entry *guesses[WEIR_BATCH_MAX];
};

/* Frees state->scan. */
void keyed_scan_close(struct weir_state *state);

/* A family of the operator, as snapshots name it. */
struct keyed_member {
    struct family *family;
    struct keyed_state_info info;
};

/* Lists of files that wait for their states to be opened; owned. */
struct keyed_restored {
    struct keyed_files *lists;
    char **dirs;
    uint32_t n;
    struct keyed_types types;
    uint32_t shard, n_shards;
    bool any;
};

#define KEYED_MEMBERS_MAX (WEIR_STATES_MAX + 2) /* and timers of two domains */

struct keyed {
    struct state_slot *slot;
    char operator_id[WEIR_NAME_MAX + 1];
    uint16_t first_group, last_group;
    const struct weir_field *key; /* how its bytes are read; NULL = not known */
    struct keyed_member members[KEYED_MEMBERS_MAX];
    uint32_t n_members;
    struct weir_state *states[WEIR_STATES_MAX];
    uint32_t n_states;
    struct timers *timers[2]; /* by enum weir_time_domain */
    struct weir_panes *panes[WEIR_STATES_MAX];
    uint32_t n_panes;
    struct weir_broadcast *broadcasts[WEIR_STATES_MAX];
    uint32_t n_broadcasts;
    struct weir_operator_list *lists[WEIR_STATES_MAX];
    uint32_t n_lists;
    struct keyed_restored restored;
    bool snapshot; /* one has been frozen and not destroyed */
    unsigned char ns[WEIR_NAMESPACE_MAX];
    uint32_t ns_length;
    unsigned char *cell; /* scratch for the key of a value with a namespace */
    size_t cell_cap;
};

struct family_wants {
    enum keyed_kind kind;
    const char *name;
    uint32_t value_size;
    uint32_t element_size;
    int64_t ttl_ms;
    bool ttl_on_read;
    bool namespaced;
    const struct weir_schema *value, *user_key;
};

/* A new family of the operator, with what was restored of that name behind it. */
weir_err keyed_add_family(struct keyed *keyed, const struct family_wants *wants, struct family **out, struct weir_diag *diag);
void keyed_drop_family(struct keyed *keyed, struct family *family); /* the last one added: its state could not be made */
/* Timers fire before the operator asks for any: those restored are brought back at once. */
weir_err keyed_open_restored_timers(struct keyed *keyed, struct weir_diag *diag);
void keyed_restored_close(struct keyed_restored *restored);

#endif
