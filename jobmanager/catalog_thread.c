/* SPDX-License-Identifier: Apache-2.0 */
#include "jobmanager/catalog_thread.h"

#include <stdlib.h>
#include <string.h>

#include "jobmanager/catalog_log.h"
#include "runtime/base/assert.h"
#include "runtime/base/background.h"

struct task {
    struct background_task base;
    enum catalog_kind kind;
    char key[CATALOG_KEY_MAX + 1];
    struct buffer value; /* of the order, or of the answer to GET */
    uint64_t expected;
    struct catalog_answer answer;
    struct weir_diag diag;
    bool broken;
};

struct catalog_thread {
    struct catalog_log *log;
    struct background *background;
    struct task *told; /* whose answer the owner reads */
    struct master_listed *listed;
    uint32_t n_listed;
    char broken[WEIR_DIAG_MAX];
};

static void free_task(struct background_task *base)
{
    struct task *task = (struct task *)base;
    buffer_close(&task->value);
    free(task);
}

/* ---- in the thread ---- */

static void get(const struct catalog_log *log, struct task *t)
{
    const struct catalog_entry *e = catalog_log_get(log, t->key);
    buffer_clear(&t->value);
    t->answer.outcome = CATALOG_COMMITTED;
    t->answer.version = e ? e->version : 0;
    if (e) buffer_add(&t->value, e->value.data, e->value.length);
    if (t->value.err) t->answer.outcome = CATALOG_UNKNOWN;
}

static void execute(struct catalog_log *log, struct task *t)
{
    struct weir_bytes value = {t->value.data, (uint32_t)t->value.len};
    switch (t->kind) {
    case CATALOG_PUT: t->answer.outcome = catalog_log_put(log, t->key, value, t->expected, &t->answer.version, &t->diag); return;
    case CATALOG_DELETE: t->answer.outcome = catalog_log_delete(log, t->key, t->expected, &t->diag); return;
    case CATALOG_GET: get(log, t); return;
    }
}

static void work(void *arg, struct background_task *batch)
{
    struct catalog_thread *thread = arg;
    struct weir_diag diag = {0};
    for (struct background_task *b = batch; b; b = b->next) execute(thread->log, (struct task *)b);
    if (!catalog_log_sync(thread->log, &diag)) return;
    for (struct background_task *b = batch; b; b = b->next) {
        struct task *t = (struct task *)b;
        t->broken = true;
        t->diag = diag;
        if (t->answer.outcome == CATALOG_COMMITTED) t->answer.outcome = CATALOG_UNKNOWN;
    }
}

/* ---- the owner ---- */

static weir_err list(struct catalog_thread *thread, struct weir_diag *diag)
{
    const struct catalog_entry *all = catalog_log_all(thread->log, &thread->n_listed);
    thread->listed = calloc((size_t)thread->n_listed + 1, sizeof *thread->listed);
    if (!thread->listed) return weir_fail(diag, WEIR_E_NOMEM, "no memory for the catalog");
    for (uint32_t i = 0; i < thread->n_listed; i++)
        thread->listed[i] = (struct master_listed){.key = all[i].key, .version = all[i].version, .value = all[i].value};
    return WEIR_OK;
}

weir_err catalog_thread_new(struct catalog_thread **out, const char *dir, struct weir_diag *diag)
{
    struct catalog_thread *thread = calloc(1, sizeof *thread);
    if (!thread) return weir_fail(diag, WEIR_E_NOMEM, "no memory for the catalog");
    struct background_config config = {.name = "catalog", .arg = thread, .work = work, .drop = free_task};
    weir_err err = catalog_log_open(&thread->log, dir, diag);
    if (!err) err = list(thread, diag);
    if (!err) err = background_new(&thread->background, &config, diag);
    if (err) {
        catalog_thread_destroy(&thread);
        return err;
    }
    *out = thread;
    return WEIR_OK;
}

void catalog_thread_destroy(struct catalog_thread **pthread)
{
    struct catalog_thread *thread = *pthread;
    *pthread = NULL;
    if (!thread) return;
    background_destroy(&thread->background);
    if (thread->told) free_task(&thread->told->base);
    catalog_log_close(&thread->log);
    free(thread->listed);
    free(thread);
}

uint32_t catalog_thread_listed(const struct catalog_thread *thread, const struct master_listed **out)
{
    *out = thread->listed;
    return thread->n_listed;
}

void catalog_thread_order(struct catalog_thread *thread, const struct catalog_order *order)
{
    struct task *t = calloc(1, sizeof *t);
    WEIR_ASSERT(t);
    t->kind = order->kind;
    t->expected = order->expected;
    t->answer.number = order->number;
    WEIR_ASSERT(strlen(order->key) <= CATALOG_KEY_MAX);
    memcpy(t->key, order->key, strlen(order->key) + 1);
    buffer_add(&t->value, order->value.data, order->value.length);
    WEIR_ASSERT(!t->value.err);
    background_give(thread->background, &t->base);
}

bool catalog_thread_answer(struct catalog_thread *thread, struct catalog_answer *out)
{
    if (thread->told) free_task(&thread->told->base);
    struct task *t = thread->told = (struct task *)background_take(thread->background);
    if (!t) return false;
    if (t->broken) memcpy(thread->broken, t->diag.text, sizeof t->diag.text);
    t->answer.value = (struct weir_bytes){t->value.data, (uint32_t)t->value.len};
    t->answer.reason = t->diag.text;
    *out = t->answer;
    return true;
}

int catalog_thread_fd(const struct catalog_thread *thread)
{
    return background_fd(thread->background);
}

const char *catalog_thread_broken(const struct catalog_thread *thread)
{
    return thread->broken[0] ? thread->broken : NULL;
}
