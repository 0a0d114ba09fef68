/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is kept up to date by a watch that stays: a configuration value, and the members of a group. Each is a look (one or several reads)
 * that is done again after an event; events during a look make it be done once more. Its callbacks run on the client's thread.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/client/coord_claim.h"
#include "runtime/base/assert.h"

enum { BATCH = 64 }; /* members read at once */

/* What both have. */
struct view {
    struct weir_coord *coord;
    char path[WEIR_COORD_NODE_MAX];
    void (*look)(struct view *v);                          /* begins a look */
    void (*fail)(struct view *v, enum weir_coord_err err); /* the session is over */
    struct gate first;                                     /* open after the first look */
    bool looking, again, over;                             /* the client's thread's */
    enum weir_coord_err err;                               /* over: why */
};

static void look(struct view *v)
{
    if (v->over) return;
    v->again = v->looking;
    if (v->looking) return;
    v->looking = true;
    v->look(v);
}

static void end_with(struct view *v, enum weir_coord_err err)
{
    if (v->over) return;
    v->over = true;
    v->err = err;
    v->fail(v, err);
}

/*
 * A look is done. Where nobody answered in time, it is done once more: a view lives as long as its session. But nobody waits for the first
 * one of a task's client longer than for that one.
 */
static void looked(struct view *v, enum weir_coord_err err)
{
    v->looking = false;
    bool awaited = v->coord->may_wait && !gate_is_open(&v->first);
    if (!awaited && (err == WEIR_COORD_OPERATION_TIMEOUT || err == WEIR_COORD_THROTTLED)) {
        look(v);
        return;
    }
    if (err) end_with(v, err);
    gate_open(&v->first);
    if (v->again) look(v);
}

static void on_event(void *arg, const struct weir_coord_event *event)
{
    struct view *v = arg;
    if (event->type == WEIR_COORD_ENDED)
        end_with(v, WEIR_COORD_SESSION_EXPIRED);
    else
        look(v);
}

static void on_watching(void *arg, struct weir_coord_reply *reply)
{
    struct view *v = arg;
    enum weir_coord_err err = reply->err ? reply->err : reply->results[0].err;
    if (err) {
        end_with(v, err);
        gate_open(&v->first);
    } else {
        look(v);
    }
}

static void view_end(struct view *v);

/* Watches, then looks; returns after the first look. */
static enum weir_coord_err view_begin(struct view *v, struct weir_coord *coord, const char *path, bool recursive)
{
    if (!coord_may_wait(coord)) return WEIR_COORD_WRONG_THREAD;
    if (!path || strnlen(path, WEIR_COORD_NODE_MAX) >= WEIR_COORD_NODE_MAX - 256) return WEIR_COORD_BAD_ARGUMENTS;
    v->coord = coord;
    (void)snprintf(v->path, sizeof v->path, "%s", path);
    gate_init(&v->first);
    weir_coord_watch_async(coord, path, recursive, on_event, v, NULL, on_watching, v);
    gate_wait(&v->first);
    enum weir_coord_err err = v->err;
    if (err) view_end(v);
    return err;
}

static void on_idle(void *arg, struct weir_coord_reply *reply)
{
    (void)reply;
    gate_open(arg);
}

/* Returns when no callback runs or will run: behind the watch's end, a request goes behind those of a look under way, twice, for the
 * callback of the first may have made the second. */
static void view_end(struct view *v)
{
    WEIR_ASSERT(!coord_is_own_thread(v->coord)); /* it would wait for itself */
    weir_coord_forget(v->coord, v);
    for (bool quiet = false; !quiet;) {
        struct gate passed;
        gate_init(&passed);
        weir_coord_read_async(v->coord, &(struct weir_coord_read){.type = WEIR_COORD_IDENTITIES}, 1, false, on_idle, &passed);
        gate_wait(&passed);
        gate_close(&passed);
        quiet = !v->looking; /* seen by the gate */
    }
    gate_close(&v->first);
}

/* ---- configuration ------------------------------------------------------------------------------------------------------------- */

struct weir_coord_value {
    struct view view; /* first */
    weir_coord_value_fn *fn;
    void *arg;
    struct weir_coord_zxid told; /* the change told last */
    bool any;

    pthread_mutex_t mutex; /* of what follows */
    enum weir_coord_err present_err;
    struct weir_coord_zxid present_token;
    struct buffer present;
};

static void tell_value(struct weir_coord_value *v, enum weir_coord_err err, struct weir_bytes data, struct weir_coord_zxid token)
{
    (void)pthread_mutex_lock(&v->mutex);
    v->present_err = err;
    v->present_token = token;
    buffer_clear(&v->present);
    buffer_add(&v->present, data.data, data.length);
    WEIR_ASSERT(!v->present.err);
    (void)pthread_mutex_unlock(&v->mutex);
    if (v->fn) v->fn(v->arg, err == WEIR_COORD_NO_NODE ? WEIR_COORD_OK : err, data, token);
}

static void on_value(void *arg, struct weir_coord_reply *reply)
{
    struct weir_coord_value *v = arg;
    enum weir_coord_err err = reply->err ? reply->err : reply->results[0].err;
    if (err && err != WEIR_COORD_NO_NODE) {
        looked(&v->view, err);
        return;
    }
    struct weir_coord_zxid token = err ? (struct weir_coord_zxid){0} : reply->results[0].stat.mzxid;
    bool news = !v->any || weir_coord_zxid_compare(token, v->told) != 0;
    v->any = true;
    v->told = token;
    if (news) tell_value(v, err, err ? (struct weir_bytes){0} : reply->results[0].data, token);
    looked(&v->view, WEIR_COORD_OK);
}

static void look_at_value(struct view *view)
{
    struct weir_coord_read read = {.type = WEIR_COORD_GET, .path = view->path};
    weir_coord_read_async(view->coord, &read, 1, false, on_value, view);
}

static void fail_value(struct view *view, enum weir_coord_err err)
{
    tell_value((struct weir_coord_value *)view, err, (struct weir_bytes){0}, (struct weir_coord_zxid){0});
}

static void value_free(struct weir_coord_value *v)
{
    buffer_close(&v->present);
    (void)pthread_mutex_destroy(&v->mutex);
    free(v);
}

enum weir_coord_err weir_coord_config_watch(struct weir_coord_value **out, struct weir_coord *coord, const char *path,
                                            weir_coord_value_fn *fn, void *arg)
{
    struct weir_coord_value *v = calloc(1, sizeof *v);
    WEIR_ASSERT(v);
    v->view.look = look_at_value;
    v->view.fail = fail_value;
    v->fn = fn;
    v->arg = arg;
    (void)pthread_mutex_init(&v->mutex, NULL);
    enum weir_coord_err err = view_begin(&v->view, coord, path, false);
    if (err)
        value_free(v);
    else
        *out = v;
    return err;
}

void weir_coord_config_unwatch(struct weir_coord_value **value)
{
    struct weir_coord_value *v = *value;
    *value = NULL;
    if (!v) return;
    view_end(&v->view);
    value_free(v);
}

enum weir_coord_err weir_coord_config_get(struct weir_coord_value *value, void *data, uint32_t size, uint32_t *length,
                                          struct weir_coord_zxid *token)
{
    (void)pthread_mutex_lock(&value->mutex);
    enum weir_coord_err err = value->present_err;
    uint32_t n = value->present.len < size ? (uint32_t)value->present.len : size;
    if (n > 0) memcpy(data, value->present.data, n);
    *length = (uint32_t)value->present.len;
    if (token) *token = value->present_token;
    (void)pthread_mutex_unlock(&value->mutex);
    return err;
}

/* ---- groups -------------------------------------------------------------------------------------------------------------------- */

struct members {
    struct weir_coord_member *at;
    uint32_t n;
};

struct weir_coord_group {
    struct view view; /* first */
    weir_coord_group_fn *fn;
    void *arg;
    struct members coming; /* of the look under way; the client's thread's */
    uint32_t listed, done; /* names of it; of them read */

    pthread_mutex_t mutex; /* of what follows */
    struct members present;
    uint32_t next; /* whose turn it is */
};

static void members_close(struct members *m)
{
    for (uint32_t i = 0; i < m->n; i++) free((void *)(uintptr_t)m->at[i].data.data);
    free(m->at);
    *m = (struct members){0};
}

static void show_members(struct weir_coord_group *g)
{
    struct members former;
    (void)pthread_mutex_lock(&g->mutex);
    former = g->present;
    g->present = g->coming;
    (void)pthread_mutex_unlock(&g->mutex);
    g->coming = (struct members){0};
    members_close(&former);
    if (g->fn) g->fn(g->arg, WEIR_COORD_OK, g->present.at, g->present.n);
    looked(&g->view, WEIR_COORD_OK);
}

static void read_members(struct weir_coord_group *g);

static void keep_member(struct weir_coord_group *g, const struct weir_coord_result *r)
{
    struct weir_coord_member *m = &g->coming.at[g->coming.n];
    (void)memmove(m->name, g->coming.at[g->done].name, sizeof m->name);
    void *data = r->data.data ? malloc(r->data.length + 1u) : NULL;
    WEIR_ASSERT(data || !r->data.data);
    if (data) memcpy(data, r->data.data, r->data.length);
    m->data = (struct weir_bytes){data, r->data.length};
    m->token = r->stat.czxid;
    g->coming.n++;
}

/* Who has gone meanwhile is left out, who may not be read has no data; what did not fit into the reply is asked for again. */
static void on_members(void *arg, struct weir_coord_reply *reply)
{
    struct weir_coord_group *g = arg;
    enum weir_coord_err err = reply->err;
    for (uint32_t i = 0; i < reply->n && !err; i++) {
        const struct weir_coord_result *r = &reply->results[i];
        if (r->err == WEIR_COORD_LIMIT && i > 0) break;
        if (r->err && r->err != WEIR_COORD_NO_NODE && r->err != WEIR_COORD_NO_AUTH) err = r->err;
        if (!r->err || r->err == WEIR_COORD_NO_AUTH) keep_member(g, r);
        g->done++;
    }
    if (err)
        looked(&g->view, err);
    else if (g->done < g->listed)
        read_members(g);
    else
        show_members(g);
}

static void read_members(struct weir_coord_group *g)
{
    struct weir_coord_read reads[BATCH];
    char paths[BATCH][WEIR_COORD_NODE_MAX + 256];
    uint32_t n = 0;
    for (; n < BATCH && g->done + n < g->listed; n++) {
        (void)snprintf(paths[n], sizeof paths[n], "%s/%s", g->view.path, g->coming.at[g->done + n].name);
        reads[n] = (struct weir_coord_read){.type = WEIR_COORD_GET, .path = paths[n]};
    }
    weir_coord_read_async(g->view.coord, reads, n, false, on_members, g);
}

static void list_members(struct weir_coord_group *g, const char *after);

static void on_names(void *arg, struct weir_coord_reply *reply)
{
    struct weir_coord_group *g = arg;
    enum weir_coord_err err = reply->err ? reply->err : reply->results[0].err;
    if (err && err != WEIR_COORD_NO_NODE) {
        looked(&g->view, err);
        return;
    }
    uint32_t n = err ? 0 : reply->results[0].n_names;
    g->coming.at = realloc(g->coming.at, (g->listed + n + 1u) * sizeof *g->coming.at);
    WEIR_ASSERT(g->coming.at);
    for (uint32_t i = 0; i < n; i++)
        (void)snprintf(g->coming.at[g->listed++].name, sizeof g->coming.at->name, "%s", reply->results[0].names[i]);
    if (n > 0 && reply->results[0].more)
        list_members(g, reply->results[0].names[n - 1]);
    else if (g->listed > 0)
        read_members(g);
    else
        show_members(g);
}

static void list_members(struct weir_coord_group *g, const char *after)
{
    struct weir_coord_read read = {.type = WEIR_COORD_GET_CHILDREN, .path = g->view.path, .after = after};
    weir_coord_read_async(g->view.coord, &read, 1, false, on_names, g);
}

static void look_at_group(struct view *view)
{
    struct weir_coord_group *g = (struct weir_coord_group *)view;
    members_close(&g->coming);
    g->listed = g->done = 0;
    list_members(g, NULL);
}

static void fail_group(struct view *view, enum weir_coord_err err)
{
    struct weir_coord_group *g = (struct weir_coord_group *)view;
    if (g->fn) g->fn(g->arg, err, NULL, 0);
}

static void group_free(struct weir_coord_group *g)
{
    members_close(&g->coming);
    members_close(&g->present);
    (void)pthread_mutex_destroy(&g->mutex);
    free(g);
}

enum weir_coord_err weir_coord_group_watch(struct weir_coord_group **out, struct weir_coord *coord, const char *folder,
                                           weir_coord_group_fn *fn, void *arg)
{
    struct weir_coord_group *g = calloc(1, sizeof *g);
    WEIR_ASSERT(g);
    g->view.look = look_at_group;
    g->view.fail = fail_group;
    g->fn = fn;
    g->arg = arg;
    (void)pthread_mutex_init(&g->mutex, NULL);
    enum weir_coord_err err = view_begin(&g->view, coord, folder, true);
    if (err)
        group_free(g);
    else
        *out = g;
    return err;
}

void weir_coord_group_unwatch(struct weir_coord_group **group)
{
    struct weir_coord_group *g = *group;
    *group = NULL;
    if (!g) return;
    view_end(&g->view);
    group_free(g);
}

enum weir_coord_err weir_coord_group_choose(struct weir_coord_group *group, char name[static 256], void *data, uint32_t size,
                                            uint32_t *length)
{
    enum weir_coord_err err = WEIR_COORD_NO_NODE;
    (void)pthread_mutex_lock(&group->mutex);
    if (group->present.n > 0) {
        const struct weir_coord_member *m = &group->present.at[group->next++ % group->present.n];
        uint32_t n = m->data.length < size ? m->data.length : size;
        (void)snprintf(name, 256, "%s", m->name);
        if (n > 0) memcpy(data, m->data.data, n);
        *length = m->data.length;
        err = WEIR_COORD_OK;
    }
    (void)pthread_mutex_unlock(&group->mutex);
    return err;
}
