/* SPDX-License-Identifier: Apache-2.0 */
/* A worker's part of a checkpoint. */
#include "runtime/checkpoint/pack.h"

#include "tests/fuzz/envelope_target.h"

static weir_err again(const void *data, size_t length, struct buffer *out)
{
    struct pack v;
    weir_err err = pack_decode(&v, data, length, NULL);
    if (err) return err;
    err = pack_encode(&v, out, NULL);
    pack_close(&v);
    return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return read_envelope(again, "WEIRPACK", data, size);
}
