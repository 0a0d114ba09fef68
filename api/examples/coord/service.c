/* SPDX-License-Identifier: Apache-2.0 */
/* Service discovery: an instance says where it is, a caller takes instances in turn. */
#include "api/examples/coord/program.h"

int main(void)
{
    struct weir_coord *coord = begin();
    struct weir_coord_group *mail = NULL;
    struct weir_coord_zxid token;
    char name[256], address[64];
    uint32_t length;
    must(weir_coord_group_join(coord, "/examples/mail", "mail-1", "tcp://127.0.0.1:25", 18, &token), "join");
    must(weir_coord_group_watch(&mail, coord, "/examples/mail", NULL, NULL), "watch");
    must(weir_coord_group_choose(mail, name, address, sizeof address, &length), "choose");
    printf("%s at %.*s\n", name, (int)length, address);
    weir_coord_group_unwatch(&mail);
    return end(&coord);
}
