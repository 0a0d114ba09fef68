/* SPDX-License-Identifier: Apache-2.0 */
#include "taskmanager/worker/snapshot_thread.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"
#include "runtime/base/clock.h"

enum order_type { ORDER_RESTORE, ORDER_PERSIST, ORDER_STORE, ORDER_DROP, ORDER_RELEASE, ORDER_END };

struct order {
    struct order *next;
    enum order_type type;
    const struct wire_msg *deploy;
    struct deployment *d;
    struct subtask_snapshot *snapshot;
    bool keep;
    uint64_t id;
    char *dir;
};

struct answer {
    struct answer *next;
    struct snapshot_answer said;
};

struct snapshot_thread {
    struct snapshot_thread_config config;
    uint32_t n_held; /* the net thread's */
    pthread_t thread;
    /* between the threads, under the lock */
    pthread_mutex_t lock;
    pthread_cond_t wanted;
    struct order *orders, **last_order;
    struct answer *answers, **last_answer;
    /* the thread's */
    struct local_files *local;
    struct checkpoint_store *store;
    uint64_t timed_id; /* checkpoint of the first snapshot that came, and when */
    int64_t timed_ns;
};

/* ---- the thread -------------------------------------------------------------------------------------------------------------------- */

static struct order *take_order(struct snapshot_thread *t)
{
    pthread_mutex_lock(&t->lock);
    while (!t->orders) pthread_cond_wait(&t->wanted, &t->lock);
    struct order *order = t->orders;
    t->orders = order->next;
    if (!t->orders) t->last_order = &t->orders;
    pthread_mutex_unlock(&t->lock);
    return order;
}

static void say(struct snapshot_thread *t, struct answer *answer)
{
    pthread_mutex_lock(&t->lock);
    *t->last_answer = answer;
    t->last_answer = &answer->next;
    pthread_mutex_unlock(&t->lock);
    wake_up(t->config.net);
}

static uint64_t us_since(int64_t since_ns)
{
    return (uint64_t)(clock_mono_ns() - since_ns) / 1000;
}

static void restore(struct snapshot_thread *t, const struct order *order, struct snapshot_answer *out)
{
    int64_t began_ns = clock_mono_ns();
    out->type = SNAPSHOT_RESTORED;
    out->err = restoring_run(order->deploy, order->d, t->local, &out->restored, &out->diag);
    out->us = us_since(began_ns);
}

static void persist(struct snapshot_thread *t, const struct order *order, struct snapshot_answer *out)
{
    if (order->snapshot->id > t->timed_id) {
        t->timed_id = order->snapshot->id;
        t->timed_ns = clock_mono_ns();
    }
    out->type = SNAPSHOT_PERSISTED;
    out->id = order->snapshot->id;
    out->snapshot = order->snapshot;
    out->err = checkpoint_store_add(t->store, order->snapshot, &out->diag);
    if (!order->keep) checkpoint_store_drop(t->store, order->snapshot->id);
}

static void store(struct snapshot_thread *t, const struct order *order, struct snapshot_answer *out)
{
    out->type = SNAPSHOT_STORED;
    out->id = order->id;
    out->err = checkpoint_store_write(t->store, order->id, order->dir, &out->written, &out->diag);
    out->us = t->timed_id == order->id ? us_since(t->timed_ns) : 0;
}

static bool is_answered(enum order_type type)
{
    return type == ORDER_RESTORE || type == ORDER_PERSIST || type == ORDER_STORE;
}

static void carry_out(struct snapshot_thread *t, const struct order *order, struct snapshot_answer *out)
{
    switch (order->type) {
    case ORDER_RESTORE: restore(t, order, out); return;
    case ORDER_PERSIST: persist(t, order, out); return;
    case ORDER_STORE: store(t, order, out); return;
    case ORDER_DROP: checkpoint_store_drop(t->store, order->id); return;
    case ORDER_RELEASE: local_files_release(t->local, order->id, false); return;
    case ORDER_END: return;
    }
}

static void order_free(struct order *order)
{
    free(order->dir);
    free(order);
}

static void *thread_main(void *arg)
{
    struct snapshot_thread *t = arg;
    for (bool more = true; more;) {
        struct order *order = take_order(t);
        struct answer *answer = is_answered(order->type) ? calloc(1, sizeof *answer) : NULL;
        WEIR_ASSERT(answer || !is_answered(order->type)); /* nobody could be told of it */
        carry_out(t, order, answer ? &answer->said : NULL);
        if (answer) say(t, answer);
        more = order->type != ORDER_END;
        order_free(order);
    }
    return NULL;
}

/* ---- life -------------------------------------------------------------------------------------------------------------------------- */

static weir_err make_store(struct snapshot_thread *t, struct weir_diag *diag)
{
    const struct snapshot_thread_config *c = &t->config;
    weir_err err = local_files_new(&t->local, c->local_dir, diag);
    if (err) return err;
    if (!c->restores) local_files_release(t->local, 0, true);
    const struct checkpoint_store_config config = {
        .job_dir = c->job_dir, .job = c->job, .attempt = c->attempt, .worker = c->worker, .local = t->local};
    return checkpoint_store_new(&t->store, &config, diag);
}

static void destroy(struct snapshot_thread *t)
{
    for (struct order *o = t->orders, *next; o; o = next) {
        next = o->next;
        order_free(o);
    }
    for (struct answer *a = t->answers, *next; a; a = next) {
        next = a->next;
        free(a->said.written.ledger);
        free(a);
    }
    checkpoint_store_destroy(&t->store);
    local_files_destroy(&t->local);
    pthread_mutex_destroy(&t->lock);
    pthread_cond_destroy(&t->wanted);
    free(t);
}

weir_err snapshot_thread_start(struct snapshot_thread **out, const struct snapshot_thread_config *config, struct weir_diag *diag)
{
    struct snapshot_thread *t = calloc(1, sizeof *t);
    if (!t) return weir_fail(diag, WEIR_E_NOMEM, "no memory for the snapshot thread");
    t->config = *config;
    t->last_order = &t->orders;
    t->last_answer = &t->answers;
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->wanted, NULL);
    weir_err err = make_store(t, diag);
    int rc = err ? 0 : pthread_create(&t->thread, NULL, thread_main, t);
    if (rc) err = weir_fail_errno(diag, rc, "start the snapshot thread");
    if (err) {
        destroy(t);
        return err;
    }
    *out = t;
    return WEIR_OK;
}

/* ---- orders ------------------------------------------------------------------------------------------------------------------------ */

static weir_err give(struct snapshot_thread *t, const struct order *what)
{
    struct order *order = malloc(sizeof *order);
    if (!order) return WEIR_E_NOMEM;
    *order = *what;
    pthread_mutex_lock(&t->lock);
    *t->last_order = order;
    t->last_order = &order->next;
    pthread_cond_signal(&t->wanted);
    pthread_mutex_unlock(&t->lock);
    return WEIR_OK;
}

weir_err snapshot_thread_restore(struct snapshot_thread *t, const struct wire_msg *deploy, struct deployment *d)
{
    return give(t, &(struct order){.type = ORDER_RESTORE, .deploy = deploy, .d = d});
}

weir_err snapshot_thread_persist(struct snapshot_thread *t, struct subtask_snapshot *snapshot, bool keep)
{
    weir_err err = give(t, &(struct order){.type = ORDER_PERSIST, .snapshot = snapshot, .keep = keep});
    if (!err) t->n_held++;
    return err;
}

weir_err snapshot_thread_store(struct snapshot_thread *t, uint64_t id, const char *dir)
{
    struct order order = {.type = ORDER_STORE, .id = id, .dir = strdup(dir)};
    weir_err err = order.dir ? give(t, &order) : WEIR_E_NOMEM;
    if (err) free(order.dir);
    return err;
}

weir_err snapshot_thread_drop(struct snapshot_thread *t, uint64_t id)
{
    return give(t, &(struct order){.type = ORDER_DROP, .id = id});
}

weir_err snapshot_thread_release(struct snapshot_thread *t, uint64_t id)
{
    return give(t, &(struct order){.type = ORDER_RELEASE, .id = id});
}

void snapshot_thread_stop(struct snapshot_thread **thread)
{
    struct snapshot_thread *t = *thread;
    *thread = NULL;
    if (!t) return;
    pthread_mutex_lock(&t->lock);
    struct order *behind = t->orders; /* what has not been begun */
    t->orders = NULL;
    t->last_order = &t->orders;
    pthread_mutex_unlock(&t->lock);
    weir_err err = give(t, &(struct order){.type = ORDER_END});
    WEIR_ASSERT(!err);
    (void)pthread_join(t->thread, NULL);
    t->orders = behind;
    destroy(t);
}

bool snapshot_thread_next(struct snapshot_thread *t, struct snapshot_answer *out)
{
    pthread_mutex_lock(&t->lock);
    struct answer *answer = t->answers;
    if (answer) t->answers = answer->next;
    if (!t->answers) t->last_answer = &t->answers;
    pthread_mutex_unlock(&t->lock);
    if (!answer) return false;
    *out = answer->said;
    if (out->type == SNAPSHOT_PERSISTED) t->n_held--;
    free(answer);
    return true;
}
