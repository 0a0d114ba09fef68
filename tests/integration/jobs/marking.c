/* SPDX-License-Identifier: Apache-2.0 */
/* Leaves a mark, the file $WEIR_TEST_MARK, as soon as it is loaded. Built for this Weir and for another one, which must be refused
 * unloaded. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "weir/connector/blackhole.h"
#include "weir/connector/generator.h"
#include "weir/weir.h"

__attribute__((constructor)) static void leave_mark(void)
{
    const char *path = getenv("WEIR_TEST_MARK");
    int fd = path ? open(path, O_WRONLY | O_CREAT, 0600) : -1;
    if (fd >= 0) close(fd);
}

static weir_err build(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)argc, (void)argv, (void)diag;
    weir_to_blackhole(weir_from_generator(env, "rows", &(struct weir_generator){.rows = 10}), "hole");
    return WEIR_OK;
}

WEIR_PLUGIN("marking", "1.0", build);
