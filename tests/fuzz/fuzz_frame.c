/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames: the check never reads outside, and a frame that passes can be walked without a check. A fuzzer does not guess checksums, so
 * each input is tried as it is and once more with its length and seal put right.
 */
#include <stdlib.h>
#include <string.h>

#include "runtime/wire/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
    if (!condition) abort();
}

/* What the data plane does with a checked frame. */
static void walk(const uint8_t *data, size_t size)
{
    struct frame_header h;
    memcpy(&h, data, sizeof h);
    if (h.kind != FRAME_DATA) return;
    const uint8_t *at = data + sizeof h, *end = data + size;
    for (uint32_t i = 0; i < h.count; i++) {
        struct weir_record rec;
        must((size_t)(end - at) >= sizeof rec);
        memcpy(&rec, at, sizeof rec);
        must(rec.key_group < WEIR_KEY_GROUPS && rec.kind <= WEIR_DELETE);
        uint32_t span = weir_record_span(rec.size);
        must(span <= (size_t)(end - at) && span % 8 == 0);
        must(!(h.flags & FRAME_UNIFORM) || span == h.stride);
        at += span;
    }
    must(at == end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct weir_diag diag;
    if (!frame_check(data, size, &diag)) walk(data, size);
    if (size < sizeof(struct frame_header)) return 0;
    uint8_t *sealed = malloc(size); /* malloc aligns it for frame_seal */
    if (!sealed) return 0;
    memcpy(sealed, data, size);
    struct frame_header *h = (struct frame_header *)(void *)sealed;
    h->bytes = (uint32_t)(size - sizeof *h);
    frame_seal(h);
    if (!frame_check(sealed, size, &diag)) walk(sealed, size);
    free(sealed);
    return 0;
}
