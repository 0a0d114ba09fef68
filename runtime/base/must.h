/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of control code: small, and without it there is nothing left to decide, so a failed allocation aborts. The caller frees. */
#ifndef WEIR_RUNTIME_BASE_MUST_H
#define WEIR_RUNTIME_BASE_MUST_H

#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"

/* A copy of a text; of "" for NULL. */
static inline char *must_copy(const char *text)
{
    char *copy = strdup(text ? text : "");
    WEIR_ASSERT(copy);
    return copy;
}

/* n zeroed elements; never NULL, not for none either. */
static inline void *must_zero(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size);
    WEIR_ASSERT(p);
    return p;
}

#endif
