/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/loop/sink.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "tests/bench/loop/text.h"

void loop_sink_flush(struct loop_sink *s)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < s->n; i++) sum += XXH3_64bits(s->buffer + s->at[i], s->size[i]);
    if (s->text) {
        for (uint32_t i = 0; i < s->n; i++) loop_row_print(s->text, s->columns, s->buffer + s->at[i]);
    }
    s->checksum += sum;
    s->rows += s->n;
    s->n = 0;
    s->used = 0;
}
