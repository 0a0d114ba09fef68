/* SPDX-License-Identifier: Apache-2.0 */
/* What each example begins and ends with: a client of the servers in $WEIR_COORD. */
#ifndef WEIR_EXAMPLES_COORD_PROGRAM_H
#define WEIR_EXAMPLES_COORD_PROGRAM_H

#include "weir/coord_recipes.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline void must(enum weir_coord_err err, const char *what)
{
    if (err == WEIR_COORD_OK) return;
    fprintf(stderr, "%s: %s: %s\n", what, weir_coord_err_name(err), weir_coord_err_words(err));
    exit(1);
}

static inline struct weir_coord *begin(void)
{
    struct weir_coord *coord = NULL;
    struct weir_diag diag;
    struct weir_coord_config config = {.servers = getenv("WEIR_COORD")};
    if (weir_coord_start() || weir_coord_open(&coord, &config, &diag)) {
        fprintf(stderr, "%s\n", config.servers ? diag.text : "set WEIR_COORD to the servers' endpoints, with commas between them");
        exit(1);
    }
    return coord;
}

static inline int end(struct weir_coord **coord)
{
    weir_coord_close(coord);
    weir_coord_stop();
    return 0;
}

#endif
