/* SPDX-License-Identifier: Apache-2.0 */
/* A barrier: closed, found closed, lifted, passed. */
#include "api/examples/coord/program.h"

int main(void)
{
    struct weir_coord *coord = begin();
    must(weir_coord_barrier_close(coord, "/examples/barrier"), "close");
    if (weir_coord_barrier_wait(coord, "/examples/barrier", 50) == WEIR_COORD_OPERATION_TIMEOUT) printf("still closed\n");
    must(weir_coord_barrier_lift(coord, "/examples/barrier"), "lift");
    must(weir_coord_barrier_wait(coord, "/examples/barrier", 30000), "wait");
    printf("passed\n");
    return end(&coord);
}
