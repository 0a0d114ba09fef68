/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A state of a checkpoint, read without its job: its files put behind one another in a scratch database, and its entries taken apart by
 * what kind of state it is. What an entry of each kind has:
 *
 *     value, reducing, aggregating   key, namespace, value
 *     list                           key, namespace, value: an entry an element, in order
 *     map                            key, namespace, user key, value
 *     ordered                        key, namespace, time, seq, value in order
 *     panes                          pane, key, value
 *     timers                         time, tag (in seq), key
 *     broadcast                      user key, value
 *     operator list                  value: an entry an element
 *
 * Entries come by pane, key group and key; those that a time to live has ended are left out. The files stay as they are.
 * Owner: one thread at a time.
 */
#ifndef WEIR_RUNTIME_STATE_OFFLINE_H
#define WEIR_RUNTIME_STATE_OFFLINE_H

#include "runtime/state/keyed.h"

struct offline;

struct offline_spec {
    const char *scratch; /* a folder for the database: made, wiped, and removed at the end; its parent exists */
    enum keyed_kind kind;
    bool namespaced;
    uint32_t value_size, element_size; /* struct keyed_state_info */
    int64_t ttl_ms;                    /* 0 = none ... */
    weir_time now_ms;                  /* ... else entries written ttl_ms before this are left out */
    uint16_t first_group, last_group;  /* of the instance whose files these are */
    const char *const *paths;          /* in the order in which they apply */
    uint32_t n_paths;
};

/* Borrowed until the next call. What a kind does not have is empty or zero. */
struct offline_entry {
    struct weir_bytes key, ns, user_key, value;
    weir_time time_ms; /* of ordered entries and timers */
    uint64_t seq;      /* of ordered entries; a timer's tag */
    int64_t pane;
    weir_time written_ms; /* when it was last written */
};

/* Errors: WEIR_E_NOT_FOUND, WEIR_E_CORRUPT (a file is none of a state), WEIR_E_IO, WEIR_E_NOMEM. */
weir_err offline_open(struct offline **out, const struct offline_spec *spec, struct weir_diag *diag);
void offline_close(struct offline **offline);

/* From now on only entries of this key are given, from the first one on. key: copied. Not for state without key. Errors: of offline_open.
 */
weir_err offline_only(struct offline *offline, struct weir_bytes key, struct weir_diag *diag);

/* The next entry; *more false: there is none. Errors: WEIR_E_CORRUPT (an entry breaks its form), WEIR_E_IO. */
weir_err offline_next(struct offline *offline, bool *more, struct offline_entry *entry, struct weir_diag *diag);

#endif
