/* SPDX-License-Identifier: Apache-2.0 */
#include "jobmanager/catalog.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"

enum want_state {
    WANTED,  /* to be ordered, at retry_ms at the earliest */
    ORDERED, /* PUT or DELETE is with the store */
    DOUBTED, /* to be read back, at retry_ms at the earliest */
    READING, /* GET is with the store */
    SETTLED, /* to be told */
};

/* Something asked for. */
struct want {
    struct want *next;
    enum catalog_kind kind; /* PUT or DELETE */
    char key[CATALOG_KEY_MAX + 1];
    struct buffer value;
    uint64_t tag;
    enum want_state state;
    uint64_t number; /* of the order that is with the store */
    int64_t retry_ms;
    bool in_doubt; /* an order of it may still be done: no refusal of a later one says that it has not been */
    weir_err err;
    struct weir_diag diag;
};

struct version {
    char key[CATALOG_KEY_MAX + 1];
    uint64_t version;
};

struct catalog {
    struct want *first, **last; /* in the order they were asked for */
    uint64_t last_number;
    uint32_t n_versions, cap_versions;
    struct version *versions; /* of keys that exist; unordered */
};

void catalog_new(struct catalog **out)
{
    struct catalog *c = calloc(1, sizeof *c);
    WEIR_ASSERT(c);
    c->last = &c->first;
    *out = c;
}

static void free_want(struct want *w)
{
    buffer_close(&w->value);
    free(w);
}

void catalog_destroy(struct catalog **catalog)
{
    struct catalog *c = *catalog;
    if (!c) return;
    for (struct want *w = c->first, *next; w; w = next) {
        next = w->next;
        free_want(w);
    }
    free(c->versions);
    free(c);
    *catalog = NULL;
}

/* ---- versions ---- */

static struct version *find_version(const struct catalog *c, const char *key)
{
    for (uint32_t i = 0; i < c->n_versions; i++)
        if (!strcmp(c->versions[i].key, key)) return &c->versions[i];
    return NULL;
}

static uint64_t version_of(const struct catalog *c, const char *key)
{
    const struct version *v = find_version(c, key);
    return v ? v->version : 0;
}

void catalog_know(struct catalog *c, const char *key, uint64_t version)
{
    struct version *v = find_version(c, key);
    if (v && !version) *v = c->versions[--c->n_versions];
    if (v && version) v->version = version;
    if (v || !version) return;
    if (c->n_versions == c->cap_versions) {
        c->cap_versions = c->cap_versions ? 2 * c->cap_versions : 64;
        c->versions = realloc(c->versions, c->cap_versions * sizeof *c->versions);
        WEIR_ASSERT(c->versions);
    }
    v = &c->versions[c->n_versions++];
    snprintf(v->key, sizeof v->key, "%s", key);
    v->version = version;
}

/* ---- what is asked for ---- */

static struct want *want(struct catalog *c, enum catalog_kind kind, const char *key, uint64_t tag)
{
    struct want *w = calloc(1, sizeof *w);
    WEIR_ASSERT(w);
    WEIR_ASSERT(strlen(key) <= CATALOG_KEY_MAX);
    w->kind = kind;
    w->tag = tag;
    w->retry_ms = INT64_MIN;
    snprintf(w->key, sizeof w->key, "%s", key);
    *c->last = w;
    c->last = &w->next;
    return w;
}

static void refuse_size(struct want *w, size_t bytes)
{
    w->state = SETTLED;
    w->err = weir_fail(&w->diag, WEIR_E_LIMIT,
                       "%zu bytes are more than the %zu that the catalog takes (CATALOG_VALUE_MAX): give the job's sources fewer, larger "
                       "splits, or make several jobs of it",
                       bytes, CATALOG_VALUE_MAX);
}

static void settle(struct want *w, weir_err err, const char *text)
{
    w->state = SETTLED;
    w->err = err;
    if (err) (void)weir_fail(&w->diag, err, "%s", text && *text ? text : "the catalog has refused it");
}

void catalog_put(struct catalog *c, const char *key, struct weir_bytes value, uint64_t tag)
{
    struct want *w = want(c, CATALOG_PUT, key, tag);
    if (value.length > CATALOG_VALUE_MAX) {
        refuse_size(w, value.length);
        return;
    }
    buffer_add(&w->value, value.data, value.length);
    WEIR_ASSERT(!w->value.err);
}

void catalog_delete(struct catalog *c, const char *key)
{
    (void)want(c, CATALOG_DELETE, key, 0);
}

/* Does an earlier one of the same key come first? */
static bool waits(const struct catalog *c, const struct want *w)
{
    for (const struct want *e = c->first; e != w; e = e->next)
        if (e->state != SETTLED && !strcmp(e->key, w->key)) return true;
    return false;
}

bool catalog_next(struct catalog *c, int64_t now_ms, struct catalog_order *out)
{
    for (struct want *w = c->first; w; w = w->next) {
        if ((w->state != WANTED && w->state != DOUBTED) || w->retry_ms > now_ms || waits(c, w)) continue;
        bool reads = w->state == DOUBTED;
        if (!reads && w->kind == CATALOG_DELETE && !version_of(c, w->key)) {
            settle(w, WEIR_OK, NULL); /* there is nothing to delete */
            continue;
        }
        w->state = reads ? READING : ORDERED;
        w->number = ++c->last_number;
        *out = (struct catalog_order){.number = w->number, .kind = reads ? CATALOG_GET : w->kind, .key = w->key};
        if (reads) return true;
        out->value = (struct weir_bytes){w->value.data, (uint32_t)w->value.len};
        out->expected = version_of(c, w->key);
        return true;
    }
    return false;
}

/* ---- answers ---- */

static void doubt(struct want *w, int64_t retry_ms)
{
    w->state = DOUBTED;
    w->retry_ms = retry_ms;
}

static void on_ordered(struct catalog *c, struct want *w, const struct catalog_answer *answer, int64_t now_ms)
{
    switch (answer->outcome) {
    case CATALOG_COMMITTED:
        catalog_know(c, w->key, w->kind == CATALOG_DELETE ? 0 : answer->version);
        settle(w, WEIR_OK, NULL);
        return;
    case CATALOG_REFUSED:
        if (w->in_doubt)
            doubt(w, now_ms + CATALOG_RETRY_MS);
        else
            settle(w, WEIR_E_IO, answer->reason);
        return;
    case CATALOG_CONFLICT: doubt(w, now_ms); return; /* perhaps with our own put, whose answer was lost */
    case CATALOG_UNKNOWN:
        w->in_doubt = true;
        doubt(w, now_ms + CATALOG_RETRY_MS);
        return;
    }
}

static bool is_ours(const struct want *w, const struct catalog_answer *answer)
{
    if (w->kind == CATALOG_DELETE) return answer->version == 0;
    return answer->version && answer->value.length == w->value.len && !memcmp(answer->value.data, w->value.data, w->value.len);
}

static void on_read(struct catalog *c, struct want *w, const struct catalog_answer *answer, int64_t now_ms)
{
    if (answer->outcome != CATALOG_COMMITTED) {
        doubt(w, now_ms + CATALOG_RETRY_MS);
    } else if (is_ours(w, answer)) {
        catalog_know(c, w->key, answer->version);
        settle(w, WEIR_OK, NULL);
    } else if (answer->version == version_of(c, w->key)) { /* not done, or not yet: then the next order meets a conflict */
        w->state = WANTED;
        w->retry_ms = now_ms;
    } else {
        settle(w, WEIR_E_STATE, "another JobManager has written to the catalog: this one does not lead any more");
    }
}

void catalog_answer(struct catalog *c, const struct catalog_answer *answer, int64_t now_ms)
{
    for (struct want *w = c->first; w; w = w->next) {
        if (w->number != answer->number) continue;
        if (w->state == ORDERED)
            on_ordered(c, w, answer, now_ms);
        else if (w->state == READING)
            on_read(c, w, answer, now_ms);
        return;
    }
}

bool catalog_done(struct catalog *c, struct catalog_done *out)
{
    struct want **at = &c->first;
    while (*at && (*at)->state != SETTLED) at = &(*at)->next;
    struct want *w = *at;
    if (!w) return false;
    *out = (struct catalog_done){.tag = w->tag, .err = w->err, .diag = w->diag};
    memcpy(out->key, w->key, sizeof out->key);
    *at = w->next;
    if (c->last == &w->next) c->last = at;
    free_want(w);
    return true;
}

int64_t catalog_deadline_ms(const struct catalog *c)
{
    int64_t at = INT64_MAX;
    for (const struct want *w = c->first; w; w = w->next) {
        bool due = w->state == SETTLED || ((w->state == WANTED || w->state == DOUBTED) && !waits(c, w));
        if (due && w->retry_ms < at) at = w->retry_ms;
    }
    return at;
}

bool catalog_idle(const struct catalog *c)
{
    return !c->first;
}
