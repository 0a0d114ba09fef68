/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Assertions on our own logic; what comes from a network, disk, user or plugin is handled, never asserted. One condition each.
 * WEIR_ASSERT stays on in release builds; WEIR_ASSERT_HOT, for the record path, is on in debug builds only.
 */
#ifndef WEIR_RUNTIME_BASE_ASSERT_H
#define WEIR_RUNTIME_BASE_ASSERT_H

#include "weir/base.h"

/* Prints file, line and condition to stderr and aborts. Async-signal-safe enough to be called anywhere. */
_Noreturn void weir_assert_failed(const char *file, int line, const char *condition);

#define WEIR_ASSERT(cond) (WEIR_LIKELY(cond) ? (void)0 : weir_assert_failed(__FILE__, __LINE__, #cond))
#ifdef NDEBUG
#define WEIR_ASSERT_HOT(cond) ((void)sizeof(cond))
#else
#define WEIR_ASSERT_HOT(cond) WEIR_ASSERT(cond)
#endif

#endif
