/* SPDX-License-Identifier: Apache-2.0 */
/* Finding the splits of a file of events: `discover` of the file source. */
#ifndef WEIR_CONNECTORS_NEXMARK_FILE_H
#define WEIR_CONNECTORS_NEXMARK_FILE_H

#include "connectors/text/lines.h"
#include "weir/connector/nexmark.h"
#include "weir/source.h"

/* config: struct weir_nexmark_file. As weir_source.discover. */
weir_err file_discover_events(const void *config, uint32_t parallelism, struct weir_splits *splits, struct weir_diag *diag);

#endif
