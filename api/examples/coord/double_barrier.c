/* SPDX-License-Identifier: Apache-2.0 */
/* A double barrier: nobody works before N are there (the argument; 1), nobody leaves before all have worked. */
#include "api/examples/coord/program.h"

int main(int argc, char **argv)
{
    struct weir_coord *coord = begin();
    char name[32];
    uint32_t n = argc > 1 ? (uint32_t)atoi(argv[1]) : 1;
    while (!weir_coord_session(coord)) must(weir_coord_sync(coord), "connect");
    (void)snprintf(name, sizeof name, "%lu", (unsigned long)weir_coord_session(coord));
    must(weir_coord_meeting_enter(coord, "/examples/meeting", name, n, 30000), "enter");
    printf("all are here\n");
    must(weir_coord_meeting_leave(coord, "/examples/meeting", name, 30000), "leave");
    printf("all are done\n");
    return end(&coord);
}
