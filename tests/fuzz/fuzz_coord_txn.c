/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transactions as they may lie in a log that somebody has written: each behind its 32-bit length. What does not fit the state is refused;
 * whatever the state has become, an image of it can be read again and is then the same.
 */
#include <stdlib.h>

#include "runtime/coord/image.h"
#include "runtime/coord/limits.h"
#include "runtime/coord/txn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
    if (!condition) abort();
}

static void put_image(struct coord_state *s, size_t slice, struct buffer *out)
{
    bool last = false;
    struct image *m = image_begin(s);
    if (!m) exit(0); /* no memory */
    while (!last) must(!image_slice(m, slice, out, &last));
    image_end(&m);
}

static void check_image(struct coord_state *s)
{
    struct coord_state copy;
    struct image_reader r;
    struct buffer a = {0}, b = {0};
    struct weir_diag diag;
    must(!coord_state_init(&copy));
    put_image(s, IMAGE_SLICE_BYTES, &a);
    image_reader_init(&r, &copy);
    must(!image_read(&r, bytes_of(a.data, a.len), &diag));
    must(!image_read_end(&r, &diag));
    put_image(&copy, 100, &b);
    must(bytes_equal(bytes_of(a.data, a.len), bytes_of(b.data, b.len)));
    buffer_close(&a);
    buffer_close(&b);
    coord_state_close(&copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct coord_state s;
    struct applied applied = {0};
    struct weir_diag diag;
    struct reader r;
    weir_err err = WEIR_OK;
    if (coord_state_init(&s)) return 0;
    reader_init(&r, data, size);
    for (uint64_t i = 1; !err && reader_left(&r) > 0; i++) {
        struct weir_bytes txn = read_bytes(&r, COORD_TXN_MAX);
        if (!r.broken) err = txn_apply(&s, (struct zxid){1, i}, txn, &applied, &diag);
    }
    must(!err || err == WEIR_E_CORRUPT);
    if (!err) check_image(&s);
    applied_close(&applied);
    coord_state_close(&s);
    return 0;
}
