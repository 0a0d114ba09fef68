/* SPDX-License-Identifier: Apache-2.0 */
/* Members of JSON objects from the JobManager, where any may be missing or of another type. All accept NULL objects. Borrowed results. */
#ifndef WEIR_JOBCTL_FIELD_H
#define WEIR_JOBCTL_FIELD_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

const char *field_text(const json_t *object, const char *key); /* "" when missing */
int64_t field_int(const json_t *object, const char *key, int64_t otherwise);
const json_t *field_list(const json_t *object, const char *key); /* NULL when missing: has no elements */

#endif
