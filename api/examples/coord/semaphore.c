/* SPDX-License-Identifier: Apache-2.0 */
/* A semaphore: at most three at a time. */
#include "api/examples/coord/program.h"

int main(void)
{
    struct weir_coord *coord = begin();
    struct weir_coord_lease lease;
    must(weir_coord_semaphore_acquire(coord, "/examples/semaphore", 3, 30000, &lease), "acquire");
    printf("one of three: %s\n", lease.path);
    must(weir_coord_semaphore_release(coord, &lease), "release");
    return end(&coord);
}
