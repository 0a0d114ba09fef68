/* SPDX-License-Identifier: Apache-2.0 */
/* A shared lock: readers together, a writer alone. */
#include "api/examples/coord/program.h"

int main(void)
{
    struct weir_coord *coord = begin();
    struct weir_coord_claim *one = NULL, *two = NULL, *writer = NULL;
    const struct weir_bytes none = {0};
    must(weir_coord_claim_enter(&one, coord, "/examples/shared", WEIR_COORD_SHARED, none, NULL, NULL), "enter");
    must(weir_coord_claim_enter(&two, coord, "/examples/shared", WEIR_COORD_SHARED, none, NULL, NULL), "enter");
    must(weir_coord_claim_wait(one, 30000), "wait");
    must(weir_coord_claim_wait(two, 30000), "wait");
    printf("two readers are in\n");
    must(weir_coord_claim_enter(&writer, coord, "/examples/shared", WEIR_COORD_EXCLUSIVE, none, NULL, NULL), "enter");
    weir_coord_claim_leave(&one);
    weir_coord_claim_leave(&two);
    must(weir_coord_claim_wait(writer, 30000), "wait");
    printf("the writer is alone\n");
    weir_coord_claim_leave(&writer);
    return end(&coord);
}
