/* SPDX-License-Identifier: Apache-2.0 */
/* What triggers say of a key's window, whichever operator has it. */
#ifndef WEIR_RUNTIME_OPERATOR_WINDOW_EARLY_H
#define WEIR_RUNTIME_OPERATOR_WINDOW_EARLY_H

#include "runtime/operator/window_time.h"

/* Whether `since` records after the last firing make it fire now. */
static inline bool window_fires(const struct weir_trigger *t, uint64_t since, bool ended)
{
    if (!ended || t->early_only) return t->early_count && since >= t->early_count;
    return since >= (t->late_count ? t->late_count : 1);
}

/* When early_ms has it fire after a record at t: at the next multiple. */
static inline weir_time window_early_at(const struct weir_trigger *trigger, struct weir_ctx *ctx, weir_time t, weir_time passed)
{
    weir_time from = trigger->early_domain == WEIR_PROCESSING_TIME ? weir_now_ms(ctx) : t > passed ? t : passed;
    return window_after(from, trigger->early_ms - window_phase(from, trigger->early_ms, 0));
}

#endif
