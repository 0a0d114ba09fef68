/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the targets of a checkpoint's files share. A fuzzer does not guess checksums, so each input is tried as it is and once more with
 * its envelope put right. Where it is read, writing gives the very bytes again: a file has one meaning.
 */
#ifndef WEIR_TESTS_FUZZ_ENVELOPE_TARGET_H
#define WEIR_TESTS_FUZZ_ENVELOPE_TARGET_H

#include <stdlib.h>
#include <string.h>

#include "runtime/base/buffer.h"
#include "runtime/base/hash.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ENVELOPE_HEAD 24u
#define ENVELOPE_BYTES 28u /* and the seal */

typedef weir_err (*again_fn)(const void *data, size_t length, struct buffer *out);

static inline void read_once(again_fn again, const void *data, size_t size)
{
    struct buffer out = {0};
    if (!again(data, size, &out) && (out.len != size || memcmp(out.data, data, size) != 0)) abort();
    buffer_close(&out);
}

static inline int read_envelope(again_fn again, const char *magic, const uint8_t *data, size_t size)
{
    read_once(again, data, size);
    if (size < ENVELOPE_BYTES) return 0;
    uint8_t *copy = malloc(size);
    if (!copy) abort();
    memcpy(copy, data, size);
    memcpy(copy, magic, 8);
    memcpy(copy + 8, "\1\0\0\0\0\0\0\0", 8);
    uint64_t body = size - ENVELOPE_BYTES;
    for (size_t i = 0; i < 8; i++) copy[16 + i] = (uint8_t)(body >> 8 * i);
    uint32_t crc = crc32c(0, copy, size - 4);
    for (size_t i = 0; i < 4; i++) copy[size - 4 + i] = (uint8_t)(crc >> 8 * i);
    read_once(again, copy, size);
    free(copy);
    return 0;
}

#endif
