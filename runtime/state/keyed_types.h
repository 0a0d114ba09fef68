/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What restored states were declared with, until they are opened again. State is the very bytes of rows, so a job that declares a state
 * otherwise would read nonsense: it is refused, with the difference in words. Where one of both declared nothing, only sizes are compared.
 * Embedded value, zeroed at first. Owner: one thread.
 */
#ifndef WEIR_RUNTIME_STATE_KEYED_TYPES_H
#define WEIR_RUNTIME_STATE_KEYED_TYPES_H

#include "runtime/base/arena.h"
#include "runtime/state/keyed.h"

struct keyed_types {
    struct arena arena;
    struct keyed_type *first; /* in the arena */
};

/* Notes a copy, schemas included; the first of a name counts, since all instances of an operator were declared alike. Errors: WEIR_E_NOMEM.
 */
weir_err keyed_types_add(struct keyed_types *types, const struct keyed_state_info *info);

/* Errors: WEIR_E_STATE, when the state of that name was declared otherwise. */
weir_err keyed_types_check(const struct keyed_types *types, const struct keyed_state_info *now, struct weir_diag *diag);

void keyed_types_close(struct keyed_types *types);

#endif
