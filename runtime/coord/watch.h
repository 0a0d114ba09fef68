/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The watches of one peer's connections. Not replicated: a client that comes back says what it watched and up to which zxid it has seen
 * everything, and gets what it missed (recall.h).
 *
 * A watch is a connection, a path and a set of kinds; each kind is set and goes for itself. An event reaches a connection once, however
 * many of its watches it meets.
 *
 *     event of a path   one-shot kinds that it uses up    kinds that stay
 *     CREATED, CHANGED  DATA                              PERSISTENT of the path, RECURSIVE of it and all above
 *     DELETED           DATA, CHILD                       the same
 *     CHILDREN          CHILD                             PERSISTENT of the path
 */
#ifndef WEIR_RUNTIME_COORD_WATCH_H
#define WEIR_RUNTIME_COORD_WATCH_H

#include <sys/queue.h>

#include "runtime/coord/bytes.h"
#include "runtime/coord/map.h"
#include "runtime/coord/txn.h"

enum watch_kind {
    WATCH_DATA = 1,       /* one-shot; of a read of data, or of exists */
    WATCH_EXIST = 2,      /* what a client calls DATA when the node was not there: only in WATCHES */
    WATCH_CHILD = 4,      /* one-shot; of a read of children */
    WATCH_PERSISTENT = 8, /* data and children, until removed */
    WATCH_RECURSIVE = 16, /* data of the whole subtree, until removed; no child events */
    WATCH_NEW = 128,      /* beside one that stays: it came with the present WATCHES request */
};

struct watch;
struct watched;

/* One who watches; part of a connection. */
struct watcher {
    LIST_HEAD(watch_list, watch) watches;
    uint32_t n;
    uint64_t heard; /* the last event it was told */
    uint64_t id;    /* of the connection */
};

struct watches {
    struct map paths; /* struct watched */
    uint64_t n_recursive;
    uint64_t n_events;
};

void watches_close(struct watches *w); /* without watchers left */

/* Adds kinds to a watch. false: no memory. */
bool watch_add(struct watches *w, struct watcher *who, struct weir_bytes path, uint8_t kinds);
uint8_t watch_kinds(const struct watches *w, const struct watcher *who, struct weir_bytes path);
/* Takes kinds away, those that are there; false: none was. */
bool watch_remove(struct watches *w, struct watcher *who, struct weir_bytes path, uint8_t kinds);
void watcher_leave(struct watches *w, struct watcher *who);
void watcher_forget_new(struct watcher *who); /* no watch is WATCH_NEW any more */

/* Calls `tell` for each watcher that an event reaches, and uses up one-shot watches. */
typedef void watch_tell(void *arg, struct watcher *who);
void watches_fire(struct watches *w, enum event_type type, struct weir_bytes path, watch_tell *tell, void *arg);

/* Calls `tell` with the path of each watch, and uses up one-shot watches: the watcher must look again. */
typedef void watch_tell_path(void *arg, struct watcher *who, struct weir_bytes path);
void watcher_resync(struct watches *w, struct watcher *who, watch_tell_path *tell, void *arg);

/* Does an event of the past concern one of the watcher's persistent or recursive watches that are WATCH_NEW? */
bool watcher_missed(const struct watches *w, const struct watcher *who, enum event_type type, struct weir_bytes path);

#endif
