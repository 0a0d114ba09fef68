/* SPDX-License-Identifier: Apache-2.0 */
/* CSV records of the file connector, read by schema. */
#include "connectors/text/csv.h"
#include "tests/fuzz/text_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return round_trip(csv_read_row, csv_write_row, data, size);
}
