/* SPDX-License-Identifier: Apache-2.0 */
/* The replicated state: what is the same at every peer that has applied the same transactions, to the byte (image.h). */
#ifndef WEIR_RUNTIME_COORD_STATE_H
#define WEIR_RUNTIME_COORD_STATE_H

#include "runtime/coord/session.h"
#include "runtime/coord/tree.h"

struct coord_state {
    struct tree tree;
    struct sessions sessions;
    struct zxid last; /* the last transaction applied */
    int64_t ms;       /* its time */
};

weir_err coord_state_init(struct coord_state *s);
void coord_state_close(struct coord_state *s);

#endif
