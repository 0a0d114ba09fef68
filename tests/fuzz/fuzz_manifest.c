/* SPDX-License-Identifier: Apache-2.0 */
/* The manifest of a checkpoint. */
#include "runtime/checkpoint/manifest.h"

#include "tests/fuzz/envelope_target.h"

static weir_err again(const void *data, size_t length, struct buffer *out)
{
    struct manifest v;
    weir_err err = manifest_decode(&v, data, length, NULL);
    if (err) return err;
    err = manifest_encode(&v, out, NULL);
    manifest_close(&v);
    return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return read_envelope(again, "WEIRMANI", data, size);
}
