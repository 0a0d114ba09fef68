/* SPDX-License-Identifier: Apache-2.0 */
/* A counter that many programs may add to. */
#include "api/examples/coord/program.h"

int main(void)
{
    struct weir_coord *coord = begin();
    struct weir_coord_zxid token;
    int64_t sum;
    must(weir_coord_counter_add(coord, "/examples/counter", 1, &sum, &token), "add");
    printf("run number %ld\n", (long)sum);
    return end(&coord);
}
