/* SPDX-License-Identifier: Apache-2.0 */
/* An exclusive lock, and a change of the tree that only its holder can make. */
#include "api/examples/coord/program.h"

int main(void)
{
    struct weir_coord *coord = begin();
    struct weir_coord_claim *claim = NULL;
    must(weir_coord_claim_enter(&claim, coord, "/examples/lock", WEIR_COORD_EXCLUSIVE, (struct weir_bytes){0}, NULL, NULL), "enter");
    must(weir_coord_claim_wait(claim, 30000), "wait");
    struct weir_coord_op ops[2] = {weir_coord_claim_check(claim),
                                   {.type = WEIR_COORD_CREATE, .path = "/examples/job-", .kind = WEIR_COORD_SEQUENTIAL}};
    struct weir_coord_reply reply;
    must(weir_coord_write(coord, ops, 2, &reply), "write");
    printf("alone: created %s\n", reply.results[1].path);
    weir_coord_reply_close(&reply);
    weir_coord_claim_leave(&claim);
    return end(&coord);
}
