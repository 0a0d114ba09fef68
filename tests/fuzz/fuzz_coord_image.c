/* SPDX-License-Identifier: Apache-2.0 */
/* Images of the tree, whole and cut in two anywhere: read or refused, and what was read can be walked. */
#include <stdlib.h>

#include "runtime/coord/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t cut = size > 0 ? data[size - 1] * size / 256 : 0;
    struct coord_state s;
    struct image_reader r;
    struct weir_diag diag;
    if (coord_state_init(&s)) return 0;
    image_reader_init(&r, &s);
    weir_err err = cut > 0 ? image_read(&r, bytes_of(data, cut), &diag) : WEIR_OK;
    if (!err) err = image_read(&r, bytes_of(data + cut, size - cut), &diag);
    if (!err) err = image_read_end(&r, &diag);
    if (err && err != WEIR_E_CORRUPT) abort();
    uint64_t n = 0;
    for (struct node *node = s.tree.root; node; node = node_next(node)) n++;
    if (n != s.tree.root->usage.nodes) abort();
    coord_state_close(&s);
    return 0;
}
