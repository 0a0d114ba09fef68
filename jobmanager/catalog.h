/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The catalog: what a cluster must not forget, as small values under keys, in a store that answers later. Part of the master core: orders
 * go out, answers come in.
 *
 *     catalog_put, catalog_delete ──▶ order PUT, DELETE ──▶ answer committed ──▶ done: OK
 *                                        ▲          │
 *                                        │          ├─ refused ──▶ done: it certainly has not happened (unless an earlier order of it is in
 *                                        │          │              doubt: that one may still be done, so it is read back)
 *                     version unchanged, │          └─ unknown, conflict ──▶ order GET ──▶ the value is ours ──▶ done: OK
 *                         or no answer   └──────────────────────────────────────┘   └─ another's ──▶ done: STATE
 *
 * A value is put over the version that was seen last, so two leaders cannot overwrite each other. When the store cannot say whether a put
 * was done, it is read back until that is known: nothing is ever guessed. For that, each value that permits something must be one that
 * nobody else would put (it carries the epoch). Orders of one key are given one after the other, in order.
 *
 * The store is the coordination tree (catalog_tree.h), of which each JobManager has a peer; one alone is an ensemble of one.
 *
 *     job/ID/submission  graph  attempt  counter  pointers  result  cancel  requests        (catalog_records.h)
 *     artifact/HEX
 *
 * Memory: a failed allocation aborts; this is control code.  Thread: one at a time.
 */
#ifndef WEIR_JOBMANAGER_CATALOG_H
#define WEIR_JOBMANAGER_CATALOG_H

#include "runtime/base/buffer.h"
#include "weir/row.h"

#define CATALOG_KEY_MAX 128u                 /* bytes of a key */
#define CATALOG_VALUE_MAX ((size_t)64 << 20) /* bytes of a value; a larger one is refused with WEIR_E_LIMIT */
#define CATALOG_RETRY_MS 200                 /* pause before the store is asked again what it could not say */

enum catalog_kind {
    CATALOG_PUT = 1,
    CATALOG_DELETE,
    CATALOG_GET,     /* takes its turn: it sees what was ordered before */
    CATALOG_CONFIRM, /* none of the core's: who orders it still leads, if it is COMMITTED; it waits for no other order, nor for a disk */
};

/* What the store says. */
enum catalog_outcome {
    CATALOG_COMMITTED = 1, /* PUT, DELETE: done, durably; GET: read */
    CATALOG_REFUSED,       /* certainly not done */
    CATALOG_CONFLICT,      /* not done: the key has another version than expected */
    CATALOG_UNKNOWN,       /* done or not: nobody knows */
};

/* An order to the store. Borrowed until the next call. */
struct catalog_order {
    uint64_t number; /* the answer names it */
    enum catalog_kind kind;
    const char *key;
    struct weir_bytes value; /* PUT */
    uint64_t expected;       /* PUT, DELETE: version that the key must have; 0 = it must not exist */
};

struct catalog_answer {
    uint64_t number;
    enum catalog_outcome outcome; /* CONFIRM: COMMITTED, UNKNOWN */
    uint64_t version;             /* PUT committed, GET: of the key now; 0 = it does not exist */
    struct weir_bytes value;      /* GET; borrowed */
    const char *reason;           /* unless committed; borrowed */
};

/* Something that was asked for is settled. */
struct catalog_done {
    char key[CATALOG_KEY_MAX + 1];
    uint64_t tag; /* as given to catalog_put */
    weir_err err; /* WEIR_OK: done. WEIR_E_IO: certainly not done. WEIR_E_STATE: somebody else has written the key */
    struct weir_diag diag;
};

struct catalog;

void catalog_new(struct catalog **out);
void catalog_destroy(struct catalog **catalog);

/* A key that was listed at the start, and its version. */
void catalog_know(struct catalog *c, const char *key, uint64_t version);

/* Asks for a put or a delete. value: copied. tag: comes back when it is settled; 0 for what nobody waits for. */
void catalog_put(struct catalog *c, const char *key, struct weir_bytes value, uint64_t tag);
void catalog_delete(struct catalog *c, const char *key);

/* The next order to give to the store; false: none now. */
bool catalog_next(struct catalog *c, int64_t now_ms, struct catalog_order *out);
/* The store's answer. An answer to nothing is ignored. */
void catalog_answer(struct catalog *c, const struct catalog_answer *answer, int64_t now_ms);
/* The next thing that is settled; false: none. */
bool catalog_done(struct catalog *c, struct catalog_done *out);
/* When to call catalog_next again, at the latest; INT64_MAX: not by time. */
int64_t catalog_deadline_ms(const struct catalog *c);
/* Nothing is asked for and not settled. */
bool catalog_idle(const struct catalog *c);

#endif
