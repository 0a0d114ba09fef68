/* SPDX-License-Identifier: Apache-2.0 */
/* Print: writes each row as a CSV line to the worker's standard output, "PREFIX:SUBTASK> " in front. For looking, not for keeping: a
 * line is out when its row comes, so after a failure the rows since the last checkpoint are printed again (at least once). */
#ifndef WEIR_CONNECTOR_PRINT_H
#define WEIR_CONNECTOR_PRINT_H

#include "weir/stream.h"

#ifdef __cplusplus
extern "C" {
#endif

struct weir_print {
    const char *prefix; /* NULL = the step's id; "" = none, and no subtask number: rows alone, for pipes */
    bool lines;         /* rows are one string, a line of text: as it is, instead of as CSV. Of other rows the job is refused */
};
WEIR_EXPORT struct weir_stream *weir_to_print(struct weir_stream *in, const char *id, const struct weir_print *config);

#ifdef __cplusplus
}
#endif
#endif
