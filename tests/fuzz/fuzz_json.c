/* SPDX-License-Identifier: Apache-2.0 */
/* JSON lines of the file connector, read by schema. */
#include "connectors/text/json.h"
#include "tests/fuzz/text_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return round_trip(json_read_row, json_write_row, data, size);
}
