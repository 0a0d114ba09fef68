/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/base/background.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct list {
    struct background_task *first, *last;
};

struct background {
    struct background_config config;
    pthread_t thread;
    bool started;
    int fd;
    pthread_mutex_t mutex; /* of what follows */
    pthread_cond_t cond;
    struct list waiting, done;
    bool stopping;
};

static void append(struct list *list, struct background_task *first, struct background_task *last)
{
    if (list->last)
        list->last->next = first;
    else
        list->first = first;
    list->last = last;
}

/* Waits for a batch; false: the end. */
static bool next_batch(struct background *b, struct list *out)
{
    pthread_mutex_lock(&b->mutex);
    while (!b->stopping && !b->waiting.first) pthread_cond_wait(&b->cond, &b->mutex);
    *out = b->waiting;
    bool go_on = !b->stopping;
    if (go_on) b->waiting = (struct list){0};
    pthread_mutex_unlock(&b->mutex);
    return go_on;
}

static void finish(struct background *b, const struct list *batch)
{
    uint64_t one = 1;
    pthread_mutex_lock(&b->mutex);
    append(&b->done, batch->first, batch->last);
    pthread_mutex_unlock(&b->mutex);
    while (write(b->fd, &one, sizeof one) < 0 && errno == EINTR) {
    }
}

static void *run(void *arg)
{
    struct background *b = arg;
    struct list batch;
    while (next_batch(b, &batch)) {
        b->config.work(b->config.arg, batch.first);
        finish(b, &batch);
    }
    return NULL;
}

weir_err background_new(struct background **out, const struct background_config *config, struct weir_diag *diag)
{
    struct background *b = calloc(1, sizeof *b);
    if (!b) return weir_fail(diag, WEIR_E_NOMEM, "no memory for the thread %s", config->name);
    b->config = *config;
    pthread_mutex_init(&b->mutex, NULL);
    pthread_cond_init(&b->cond, NULL);
    b->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int failed = b->fd < 0 ? errno : pthread_create(&b->thread, NULL, run, b);
    if (failed) {
        background_destroy(&b);
        return weir_fail_errno(diag, failed, "start the thread %s", config->name);
    }
    b->started = true;
    (void)pthread_setname_np(b->thread, config->name);
    *out = b;
    return WEIR_OK;
}

static void drop_all(struct background *b, struct list *list)
{
    for (struct background_task *task = list->first, *next; task; task = next) {
        next = task->next;
        b->config.drop(task);
    }
}

void background_destroy(struct background **background)
{
    struct background *b = *background;
    *background = NULL;
    if (!b) return;
    pthread_mutex_lock(&b->mutex);
    b->stopping = true;
    pthread_cond_signal(&b->cond);
    pthread_mutex_unlock(&b->mutex);
    if (b->started) pthread_join(b->thread, NULL);
    drop_all(b, &b->waiting);
    drop_all(b, &b->done);
    if (b->fd >= 0) close(b->fd);
    pthread_cond_destroy(&b->cond);
    pthread_mutex_destroy(&b->mutex);
    free(b);
}

void background_give(struct background *b, struct background_task *task)
{
    task->next = NULL;
    pthread_mutex_lock(&b->mutex);
    append(&b->waiting, task, task);
    pthread_cond_signal(&b->cond);
    pthread_mutex_unlock(&b->mutex);
}

struct background_task *background_take(struct background *b)
{
    uint64_t count;
    pthread_mutex_lock(&b->mutex);
    struct background_task *task = b->done.first;
    if (task) b->done.first = task->next;
    if (!b->done.first) {
        b->done.last = NULL;
        (void)!read(b->fd, &count, sizeof count); /* nothing is left: not readable any more */
    }
    pthread_mutex_unlock(&b->mutex);
    return task;
}

int background_fd(const struct background *b)
{
    return b->fd;
}
