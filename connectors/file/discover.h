/* SPDX-License-Identifier: Apache-2.0 */
/* Finding the splits of a file or folder: `discover` of the file source. */
#ifndef WEIR_CONNECTORS_FILE_DISCOVER_H
#define WEIR_CONNECTORS_FILE_DISCOVER_H

#include "weir/connector/file.h"
#include "weir/source.h"

/* config: struct weir_file_source. As weir_source.discover. */
weir_err file_discover(const void *config, uint32_t parallelism, struct weir_splits *splits, struct weir_diag *diag);

#endif
