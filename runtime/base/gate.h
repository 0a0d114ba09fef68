/* SPDX-License-Identifier: Apache-2.0 */
/* A gate: closed at first, opened once by one thread, waited for by others. What is written before gate_open is seen after gate_wait. */
#ifndef WEIR_RUNTIME_BASE_GATE_H
#define WEIR_RUNTIME_BASE_GATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct gate {
    atomic_bool open;
    pthread_mutex_t mutex;
    pthread_cond_t cond;
};

void gate_init(struct gate *g);
void gate_close(struct gate *g); /* frees it; nobody may wait any more */
void gate_open(struct gate *g);  /* idempotent */
bool gate_is_open(struct gate *g);
void gate_wait(struct gate *g); /* blocks */

#endif
