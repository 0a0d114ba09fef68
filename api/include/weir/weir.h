/* SPDX-License-Identifier: Apache-2.0 */
/* Everything a job needs; connectors have headers of their own under weir/connector/. */
#ifndef WEIR_WEIR_H
#define WEIR_WEIR_H

#include "weir/join.h"
#include "weir/operator.h"
#include "weir/plugin.h"
#include "weir/row.h"
#include "weir/source.h"
#include "weir/state.h"
#include "weir/stream.h"
#include "weir/table.h"
#include "weir/window.h"

#endif
