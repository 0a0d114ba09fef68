/* SPDX-License-Identifier: Apache-2.0 */
/* Live configuration: the present value, and each later one, without a restart. */
#include "api/examples/coord/program.h"

static void on_rate(void *arg, enum weir_coord_err err, struct weir_bytes data, struct weir_coord_zxid token)
{
    (void)arg;
    (void)token;
    if (!err) printf("rate %.*s\n", (int)data.length, data.data ? (const char *)data.data : "");
}

int main(void)
{
    struct weir_coord *coord = begin();
    struct weir_coord_value *rate = NULL;
    must(weir_coord_config_set(coord, "/examples/rate", "100", 3), "set");
    must(weir_coord_config_watch(&rate, coord, "/examples/rate", on_rate, NULL), "watch");
    must(weir_coord_config_set(coord, "/examples/rate", "200", 3), "set");
    weir_coord_config_unwatch(&rate);
    return end(&coord);
}
