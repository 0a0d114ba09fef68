/* SPDX-License-Identifier: Apache-2.0 */
/* Group membership: who is there, now and after each change. */
#include "api/examples/coord/program.h"

static void on_members(void *arg, enum weir_coord_err err, const struct weir_coord_member *members, uint32_t n)
{
    (void)arg;
    for (uint32_t i = 0; !err && i < n; i++) printf("%s is there\n", members[i].name);
}

int main(void)
{
    struct weir_coord *coord = begin();
    struct weir_coord_group *group = NULL;
    struct weir_coord_zxid token;
    must(weir_coord_group_join(coord, "/examples/group", "ann", NULL, 0, &token), "join");
    must(weir_coord_group_watch(&group, coord, "/examples/group", on_members, NULL), "watch");
    weir_coord_group_unwatch(&group);
    must(weir_coord_group_leave(coord, "/examples/group", "ann"), "leave");
    return end(&coord);
}
