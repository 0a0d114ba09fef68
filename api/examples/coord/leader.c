/* SPDX-License-Identifier: Apache-2.0 */
/* Leader election: whoever holds the claim leads; the others find him by its data. */
#include "api/examples/coord/program.h"

static void on_claim(void *arg, struct weir_coord_claim *claim, enum weir_coord_claim_state state)
{
    struct weir_coord_zxid token;
    (void)arg;
    (void)weir_coord_claim_held(claim, &token);
    if (state == WEIR_COORD_HELD)
        printf("leading, token %lu:%lu\n", (unsigned long)token.epoch, (unsigned long)token.counter);
    else
        printf("no longer leading: stop at once\n");
}

int main(void)
{
    struct weir_coord *coord = begin();
    struct weir_coord_claim *claim = NULL;
    struct weir_coord_reply leader;
    struct weir_bytes address = {(const uint8_t *)"tcp://127.0.0.1:7000", 20};
    must(weir_coord_claim_enter(&claim, coord, "/examples/leader", WEIR_COORD_EXCLUSIVE, address, on_claim, NULL), "enter");
    must(weir_coord_claim_wait(claim, 30000), "wait");
    must(weir_coord_claim_holder(coord, "/examples/leader", &leader), "holder");
    printf("the leader is at %.*s\n", (int)leader.results[0].data.length, (const char *)leader.results[0].data.data);
    weir_coord_reply_close(&leader);
    weir_coord_claim_leave(&claim);
    return end(&coord);
}
