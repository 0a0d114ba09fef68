/* SPDX-License-Identifier: Apache-2.0 */
/* Control messages: whatever decodes can be encoded, and what that gives decodes to the same bytes again. */
#include <stdlib.h>
#include <string.h>

#include "runtime/wire/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wire_msg first, second;
    struct weir_diag diag;
    if (wire_msg_decode(&first, data, size, &diag)) return 0;
    struct buffer a = {0}, b = {0};
    if (wire_msg_encode(&first, &a)) abort();
    if (wire_msg_decode(&second, a.data, a.len, &diag)) abort();
    if (wire_msg_encode(&second, &b)) abort();
    if (a.len != b.len || memcmp(a.data, b.data, a.len) != 0) abort();
    wire_msg_close(&first);
    wire_msg_close(&second);
    buffer_close(&a);
    buffer_close(&b);
    return 0;
}
