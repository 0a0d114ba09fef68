/* SPDX-License-Identifier: Apache-2.0 */
/* The end of every story of a simulated cluster. Behind cmocka. */
#ifndef WEIR_TESTS_SIM_STORIES_H
#define WEIR_TESTS_SIM_STORIES_H

#include "tests/sim/world.h"

/* Whatever the story was: no invariant broke, and the world comes to rest. */
static inline int teardown(void **state)
{
    struct sim *sim = *state;
    if (!sim->violated) sim_heal(sim, 60000);
    if (sim->violated) print_error("%s\n%.*s", sim->violation, (int)sim->lines.len, (const char *)sim->lines.data);
    bool well = !sim->violated;
    sim_destroy(&sim);
    return well ? 0 : -1;
}

#endif
