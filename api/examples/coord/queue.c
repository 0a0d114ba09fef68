/* SPDX-License-Identifier: Apache-2.0 */
/* A queue: what is put is taken once, the oldest first. */
#include "api/examples/coord/program.h"

int main(void)
{
    struct weir_coord *coord = begin();
    struct weir_coord_reply item;
    must(weir_coord_queue_put(coord, "/examples/queue", "first", 5), "put");
    must(weir_coord_queue_put(coord, "/examples/queue", "second", 6), "put");
    for (int i = 0; i < 2; i++) {
        must(weir_coord_queue_take(coord, "/examples/queue", 30000, &item), "take");
        printf("%.*s\n", (int)item.results[0].data.length, (const char *)item.results[0].data.data);
        weir_coord_reply_close(&item);
    }
    return end(&coord);
}
