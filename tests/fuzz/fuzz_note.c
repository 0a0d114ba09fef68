/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a plugin: accepted or refused in words, never read beyond their end. */
#include <stdlib.h>

#include "api/src/note.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct weir_diag diag = {.code = WEIR_OK, .text = ""};
    weir_err err = note_check(data, size, &diag);
    if (err && (diag.code != err || !diag.text[0])) abort();
    return 0;
}
