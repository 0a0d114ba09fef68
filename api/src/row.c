/* SPDX-License-Identifier: Apache-2.0 */
#include "weir/row.h"

bool weir_row_valid(const struct weir_schema *schema, const void *row, uint32_t size)
{
    if (size < schema->row_size) return false;
    for (uint32_t i = 0; i < schema->n_fields; i++) {
        if (schema->fields[i].type != WEIR_TYPE_STR) continue;
        struct weir_str s;
        memcpy(&s, (const char *)row + schema->fields[i].offset, sizeof s);
        if (s.offset > size || s.length > size - s.offset) return false;
    }
    return true;
}
