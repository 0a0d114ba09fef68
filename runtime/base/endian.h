/* SPDX-License-Identifier: Apache-2.0 */
/* Little-endian numbers of n bytes, 1 ... 8, at any address: of files and the wire. */
#ifndef WEIR_RUNTIME_BASE_ENDIAN_H
#define WEIR_RUNTIME_BASE_ENDIAN_H

#include <stddef.h>
#include <stdint.h>

static inline uint64_t le_get(const unsigned char *at, size_t n)
{
    uint64_t value = 0;
    for (size_t i = n; i-- > 0;) value = value << 8 | at[i];
    return value;
}

static inline void le_put(unsigned char *at, uint64_t value, size_t n)
{
    for (size_t i = 0; i < n; i++) at[i] = (unsigned char)(value >> 8 * i);
}

#endif
