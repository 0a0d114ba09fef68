/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The time by which a window operator's windows are over, kept in the state: after a restore a record must be late that was late before,
 * though no watermark has come yet, and a window that has fired must not fire again.
 *
 * All subtasks stand at the same watermark when a barrier comes, so their notes agree, and any of them serves whoever takes over their
 * keys. By the clock they may not: then the earliest counts, and a window may fire twice for some keys rather than not at all for others.
 */
#ifndef WEIR_RUNTIME_OPERATOR_WINDOW_PROGRESS_H
#define WEIR_RUNTIME_OPERATOR_WINDOW_PROGRESS_H

#include "weir/weir.h"

struct window_progress {
    struct weir_operator_list *list;
    weir_time passed; /* what the list says; WEIR_TIME_MIN: nothing */
};

weir_err window_progress_open(struct window_progress *progress, struct weir_ctx *ctx);

/* At the end of each watermark. */
weir_err window_progress_note(struct window_progress *progress, struct weir_ctx *ctx, weir_time passed);

/* The operator's watermark, or what is known of the one before a restore. */
static inline weir_time window_progress_passed(const struct window_progress *progress, const struct weir_ctx *ctx)
{
    return ctx->watermark_ms > progress->passed ? ctx->watermark_ms : progress->passed;
}

#endif
