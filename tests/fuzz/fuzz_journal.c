/* SPDX-License-Identifier: Apache-2.0 */
/* A deletion that was begun. */
#include "runtime/checkpoint/journal.h"

#include "tests/fuzz/envelope_target.h"

static weir_err again(const void *data, size_t length, struct buffer *out)
{
    struct journal v;
    weir_err err = journal_decode(&v, data, length, NULL);
    if (err) return err;
    err = journal_encode(&v, out, NULL);
    journal_close(&v);
    return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return read_envelope(again, "WEIRDROP", data, size);
}
