/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/coord/watch.h"

#include <stdlib.h>

#include "runtime/base/hash.h"
#include "runtime/coord/path.h"

struct watch {
    LIST_ENTRY(watch) of_path, of_watcher;
    struct watched *watched;
    struct watcher *who;
    uint8_t kinds; /* never none */
};

/* A path somebody watches. */
struct watched {
    struct map_item item;       /* first */
    LIST_HEAD(, watch) watches; /* never empty between calls */
    uint32_t path_len;
    char path[];
};

static struct watched *find_path(const struct watches *w, struct weir_bytes path)
{
    for (struct map_item *i = map_first(&w->paths, hash64(path.data, path.length)); i; i = map_same(i)) {
        struct watched *p = (struct watched *)i;
        if (bytes_equal(bytes_of(p->path, p->path_len), path)) return p;
    }
    return NULL;
}

static struct watched *make_path(struct watches *w, struct weir_bytes path)
{
    struct watched *p = find_path(w, path);
    if (p) return p;
    p = malloc(sizeof *p + path.length);
    if (!p || !map_add(&w->paths, &p->item, hash64(path.data, path.length))) {
        free(p);
        return NULL;
    }
    LIST_INIT(&p->watches);
    p->path_len = path.length;
    memcpy(p->path, path.data, path.length);
    return p;
}

static void drop_path(struct watches *w, struct watched *p)
{
    if (!LIST_EMPTY(&p->watches)) return;
    map_remove(&w->paths, &p->item);
    free(p);
}

static struct watch *find_watch(const struct watched *p, const struct watcher *who)
{
    struct watch *watch;
    if (p) LIST_FOREACH(watch, &p->watches, of_path)
    if (watch->who == who) return watch;
    return NULL;
}

static struct watch *make_watch(struct watches *w, struct watcher *who, struct weir_bytes path)
{
    struct watched *p = make_path(w, path);
    struct watch *watch = find_watch(p, who);
    if (watch || !p) return watch;
    watch = calloc(1, sizeof *watch);
    if (!watch) {
        drop_path(w, p);
        return NULL;
    }
    watch->watched = p;
    watch->who = who;
    LIST_INSERT_HEAD(&p->watches, watch, of_path);
    LIST_INSERT_HEAD(&who->watches, watch, of_watcher);
    who->n++;
    return watch;
}

/* Sets the kinds of a watch; without any it goes, and is freed. Its path stays. */
static void set_kinds(struct watches *w, struct watch *watch, uint8_t kinds)
{
    w->n_recursive -= (watch->kinds & WATCH_RECURSIVE) != 0;
    w->n_recursive += (kinds & WATCH_RECURSIVE) != 0;
    watch->kinds = kinds;
    if (kinds & ~WATCH_NEW) return;
    LIST_REMOVE(watch, of_path);
    LIST_REMOVE(watch, of_watcher);
    watch->who->n--;
    free(watch);
}

bool watch_add(struct watches *w, struct watcher *who, struct weir_bytes path, uint8_t kinds)
{
    struct watch *watch = make_watch(w, who, path);
    if (!watch) return false;
    set_kinds(w, watch, watch->kinds | kinds);
    return true;
}

uint8_t watch_kinds(const struct watches *w, const struct watcher *who, struct weir_bytes path)
{
    const struct watch *watch = find_watch(find_path(w, path), who);
    return watch ? watch->kinds : 0;
}

bool watch_remove(struct watches *w, struct watcher *who, struct weir_bytes path, uint8_t kinds)
{
    struct watched *p = find_path(w, path);
    struct watch *watch = find_watch(p, who);
    if (!watch || !(watch->kinds & kinds)) return false;
    set_kinds(w, watch, watch->kinds & (uint8_t)~kinds);
    drop_path(w, p);
    return true;
}

void watcher_leave(struct watches *w, struct watcher *who)
{
    while (!LIST_EMPTY(&who->watches)) {
        struct watched *p = LIST_FIRST(&who->watches)->watched;
        set_kinds(w, LIST_FIRST(&who->watches), 0);
        drop_path(w, p);
    }
}

void watcher_forget_new(struct watcher *who)
{
    struct watch *watch;
    LIST_FOREACH(watch, &who->watches, of_watcher) watch->kinds &= (uint8_t)~WATCH_NEW;
}

void watches_close(struct watches *w)
{
    map_close(&w->paths);
}

/* ---- events -------------------------------------------------------------------------------------------------------------------- */

static uint8_t one_shot(enum event_type type)
{
    return type == EVENT_CHILDREN ? WATCH_CHILD : type == EVENT_DELETED ? WATCH_DATA | WATCH_CHILD : WATCH_DATA;
}

/* Kinds of watches of the very path, and of those above, that an event concerns. */
static uint8_t here(enum event_type type)
{
    return one_shot(type) | WATCH_PERSISTENT | (type == EVENT_CHILDREN ? 0 : WATCH_RECURSIVE);
}

static uint8_t above(enum event_type type)
{
    return type == EVENT_CHILDREN ? 0 : WATCH_RECURSIVE;
}

/* An event for the watches of one path. */
static void fire_at(struct watches *w, struct weir_bytes path, uint8_t concerned, uint8_t used_up, watch_tell *tell, void *arg)
{
    struct watched *p = find_path(w, path);
    if (!p) return;
    for (struct watch *watch = LIST_FIRST(&p->watches), *next; watch; watch = next) {
        struct watcher *who = watch->who;
        next = LIST_NEXT(watch, of_path);
        if (!(watch->kinds & concerned)) continue;
        set_kinds(w, watch, watch->kinds & (uint8_t)~used_up);
        if (who->heard != w->n_events) tell(arg, who);
        who->heard = w->n_events;
    }
    drop_path(w, p);
}

void watches_fire(struct watches *w, enum event_type type, struct weir_bytes path, watch_tell *tell, void *arg)
{
    w->n_events++;
    fire_at(w, path, here(type), one_shot(type), tell, arg);
    while (w->n_recursive > 0 && above(type) && !path_is_root(path)) {
        path = path_parent(path);
        fire_at(w, path, above(type), 0, tell, arg);
    }
}

void watcher_resync(struct watches *w, struct watcher *who, watch_tell_path *tell, void *arg)
{
    for (struct watch *watch = LIST_FIRST(&who->watches), *next; watch; watch = next) {
        struct watched *p = watch->watched;
        next = LIST_NEXT(watch, of_watcher);
        tell(arg, who, bytes_of(p->path, p->path_len));
        set_kinds(w, watch, watch->kinds & (WATCH_PERSISTENT | WATCH_RECURSIVE));
        drop_path(w, p);
    }
}

static bool missed_at(const struct watches *w, const struct watcher *who, struct weir_bytes path, uint8_t concerned)
{
    uint8_t kinds = watch_kinds(w, who, path);
    return (kinds & WATCH_NEW) && (kinds & concerned & (WATCH_PERSISTENT | WATCH_RECURSIVE));
}

bool watcher_missed(const struct watches *w, const struct watcher *who, enum event_type type, struct weir_bytes path)
{
    if (missed_at(w, who, path, here(type))) return true;
    while (above(type) && !path_is_root(path)) {
        path = path_parent(path);
        if (missed_at(w, who, path, above(type))) return true;
    }
    return false;
}
