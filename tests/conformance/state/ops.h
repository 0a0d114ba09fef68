/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every subject of the suite can do: the oracle (model.h) and the state of an operator's instances (system.h). An operation is data,
 * and its answer is bytes in a canonical form, so that two subjects are compared by memcmp and a failing operation can be printed.
 *
 * A subject is an operator as a whole: it has one or more instances with key groups as runtime/plan deals them, and routes keys itself.
 */
#ifndef WEIR_TESTS_CONFORMANCE_STATE_OPS_H
#define WEIR_TESTS_CONFORMANCE_STATE_OPS_H

#include <stdio.h>

#include "runtime/state/keyed.h"

#define STATES_MAX 16u
#define INSTANCES_MAX 8u
#define ACC_BYTES 16u /* of the aggregate of the suite */

struct state_config {
    enum keyed_kind kind;
    char name[32];
    uint32_t value_size;
    int64_t ttl_ms;
    uint32_t flags;               /* enum weir_state_flags */
    enum weir_redistribution how; /* operator lists */
};

struct config {
    struct state_config states[STATES_MAX];
    uint32_t n_states;
    uint32_t n_instances;
    bool on_disk;     /* RocksDB behind the state; else memory only */
    bool snapshots;   /* some will be taken */
    bool numbered;    /* as with a RocksDB that changes files that overlap: they are copied instead of linked */
    uint64_t budget;  /* bytes, of each instance's slot */
    uint64_t copied;  /* bytes of a freeze at each safe point; 0 = all that does not change before the end is copied at the end */
    weir_time now_ms; /* clock at the start */
};

enum verb {
    SAFE_POINT, /* time_ms: the new clock; pinned */
    NAMESPACE,  /* user_key */
    PREFETCH,   /* key: n keys */
    VALUE_EDIT, /* keyed_value: says what was there or zeros, then writes bytes */
    VALUE_FIND,
    VALUE_FIND_EDIT, /* says what was there and, if anything was, writes bytes in place */
    VALUE_READ,
    VALUE_WRITE,
    VALUE_CLEAR,
    VALUE_PROBE, /* key: n keys; says and nudges each value in turn */
    VALUE_SCAN,  /* to its end: until then memory is pinned */
    VALUE_SCAN_REMOVING,
    REDUCING_ADD,    /* bytes; says the accumulator */
    AGGREGATING_ADD, /* key: n keys; rows made of salt; says the accumulators */
    LIST_ADD,
    LIST_SCAN,        /* limit */
    LIST_SCAN_ADDING, /* adds bytes when the first element is given */
    LIST_EMPTY,
    LIST_CLEAR,
    MAP_GET,
    MAP_PUT,
    MAP_VALUE, /* as VALUE_EDIT */
    MAP_REMOVE,
    MAP_SCAN,          /* limit: says nothing then, since any entries may come first */
    MAP_SCAN_REMOVING, /* those that `picked` says */
    MAP_EMPTY,
    MAP_CLEAR,
    ORDERED_PUT,
    ORDERED_GET,
    ORDERED_REMOVE,
    ORDERED_REMOVE_BEFORE, /* until_ms */
    ORDERED_RANGE,         /* time_ms ... until_ms; limit */
    ORDERED_RANGE_REMOVING,
    ORDERED_CLEAR,
    TIMER_SET, /* domain, time_ms, seq: the tag */
    TIMER_DELETE,
    TIMER_FIRST,
    TIMER_POP, /* all up to until_ms */
    PANE_MAKE,
    PANES_LIST,
    PANE_PROBE, /* as VALUE_PROBE */
    PANE_FIND,
    PANE_REMOVE,
    PANE_SCAN, /* limit, as MAP_SCAN */
    PANE_SCAN_REMOVING,
    PANE_DROP,
    BROADCAST_GET,
    BROADCAST_PUT,
    BROADCAST_REMOVE,
    BROADCAST_SCAN,
    OPERATOR_LIST_ADD, /* instance */
    OPERATOR_LIST_READ,
    OPERATOR_LIST_CLEAR,
    VERBS
};

struct op {
    enum verb verb;
    uint32_t state;             /* index in config.states */
    const struct weir_key *key; /* the current key, or the first of a batch */
    const uint32_t *idx;        /* of a batch: which keys; NULL = the first n */
    uint32_t n;
    struct weir_bytes bytes, user_key;
    weir_time time_ms, until_ms;
    uint64_t seq;
    uint64_t salt;
    int64_t pane;
    uint32_t instance;
    enum weir_time_domain domain;
    uint32_t limit;  /* a scan ends after so many entries; 0 = at the end */
    bool in_order;   /* TIMER_POP: also the order of equal times is compared */
    uint64_t pinned; /* SAFE_POINT: bytes that may stay in memory beyond the budget; UINT64_MAX = memory is not looked at */
};

struct answer {
    unsigned char *data;
    size_t n, cap;
};

/* hint: what another subject answered, for the oracle alone: where the contract leaves room, it follows if it may. NULL = none. */
struct subject_ops {
    const char *name;
    void *(*open)(const struct config *config);
    void (*close)(void *subject);
    void (*apply)(void *subject, const struct op *op, const struct answer *hint, struct answer *out);
    /* A snapshot of all instances. Then it is persisted, by a thread if asked, and must be joined: kept as the one to restore, or not. */
    void (*freeze)(void *subject, bool in_thread);
    void (*join)(void *subject, bool keep);
    /* A crash, then what the last kept snapshot holds, in `n_instances` instances. config: of the states, whose TTLs may have changed. */
    void (*restore)(void *subject, const struct config *config);
};

extern const struct subject_ops model_ops, system_ops;

/* What happens at a failure is the program's affair: a test fails, the property runner prints the world. Does not return. */
_Noreturn void broken(const char *file, int line, const char *fmt, ...) WEIR_PRINTF(3, 4);
#define BROKEN(...) broken(__FILE__, __LINE__, __VA_ARGS__)
#define MUST(cond) ((cond) ? (void)0 : BROKEN("not true: %s", #cond))

void answer_close(struct answer *a);
void say_u64(struct answer *a, uint64_t number);
void say_raw(struct answer *a, const void *data, size_t n);
void say_bytes(struct answer *a, struct weir_bytes bytes); /* tells none ({NULL, 0}) from empty */
uint64_t heard_u64(const struct answer *a, size_t at);     /* a number said at the place `at` */

const char *verb_name(enum verb verb);
void op_print(FILE *to, const struct op *op, const struct config *config);

/* What all subjects do to values. */
void nudge(void *value, uint32_t size, uint32_t i);            /* edits a probed value */
void fold(void *acc, const void *value, uint32_t size);        /* the reduction; its order matters */
void fold_row(void *acc, uint64_t row);                        /* the aggregate; its order matters, too */
uint64_t row_of(const struct op *op, uint32_t record);         /* the row of a record of AGGREGATING_ADD */
bool picked(uint64_t salt, const void *data, uint32_t length); /* scans that remove: about a third */

#endif
