/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blackhole: counts rows and folds them into a checksum that does not depend on their order or on the parallelism: the sum modulo 2^64 of
 * XXH3_64bits over each row's bytes with its kind as seed. Shown by `jobctl show` as counters `rows` and `checksum`. They are part of each
 * checkpoint: after a failure they go on where they stood.
 */
#ifndef WEIR_CONNECTOR_BLACKHOLE_H
#define WEIR_CONNECTOR_BLACKHOLE_H

#include "weir/stream.h"

#ifdef __cplusplus
extern "C" {
#endif

WEIR_EXPORT struct weir_stream *weir_to_blackhole(struct weir_stream *in, const char *id);

#ifdef __cplusplus
}
#endif
#endif
