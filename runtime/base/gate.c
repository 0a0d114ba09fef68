/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/base/gate.h"

#include "runtime/base/assert.h"

void gate_init(struct gate *g)
{
    atomic_init(&g->open, false);
    WEIR_ASSERT(pthread_mutex_init(&g->mutex, NULL) == 0);
    WEIR_ASSERT(pthread_cond_init(&g->cond, NULL) == 0);
}

void gate_close(struct gate *g)
{
    (void)pthread_cond_destroy(&g->cond);
    (void)pthread_mutex_destroy(&g->mutex);
}

void gate_open(struct gate *g)
{
    (void)pthread_mutex_lock(&g->mutex);
    atomic_store_explicit(&g->open, true, memory_order_release);
    (void)pthread_cond_broadcast(&g->cond);
    (void)pthread_mutex_unlock(&g->mutex);
}

bool gate_is_open(struct gate *g)
{
    return atomic_load_explicit(&g->open, memory_order_acquire);
}

void gate_wait(struct gate *g)
{
    (void)pthread_mutex_lock(&g->mutex);
    while (!gate_is_open(g)) (void)pthread_cond_wait(&g->cond, &g->mutex);
    (void)pthread_mutex_unlock(&g->mutex);
}
