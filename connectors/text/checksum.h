/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32 of bytes (gzip's), for connectors that must know a file again. */
#ifndef WEIR_CONNECTORS_TEXT_CHECKSUM_H
#define WEIR_CONNECTORS_TEXT_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* crc: 0, or the value so far to go on. */
uint32_t text_crc32(uint32_t crc, const void *data, size_t len);

#endif
