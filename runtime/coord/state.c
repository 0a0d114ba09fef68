/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/coord/state.h"

weir_err coord_state_init(struct coord_state *s)
{
    *s = (struct coord_state){0};
    sessions_init(&s->sessions);
    return tree_init(&s->tree);
}

void coord_state_close(struct coord_state *s)
{
    tree_close(&s->tree);
    sessions_close(&s->sessions);
}
