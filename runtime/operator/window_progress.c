/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/operator/window_progress.h"

weir_err window_progress_open(struct window_progress *p, struct weir_ctx *ctx)
{
    const struct weir_state_desc desc = {.struct_size = sizeof desc, .name = "progress", .value_size = sizeof(weir_time)};
    weir_err err = weir_operator_list_open(ctx, &desc, WEIR_UNION, &p->list);
    if (err) return err;
    uint32_t n = weir_operator_list_count(p->list);
    p->passed = n ? WEIR_TIME_MAX : WEIR_TIME_MIN;
    for (uint32_t i = 0; i < n; i++) {
        weir_time passed;
        struct weir_bytes note = weir_operator_list_at(p->list, i);
        if (note.length != sizeof passed) return WEIR_E_IO; /* the state remembers its failure */
        memcpy(&passed, note.data, sizeof passed);
        if (passed < p->passed) p->passed = passed;
    }
    return WEIR_OK;
}

weir_err window_progress_note(struct window_progress *p, struct weir_ctx *ctx, weir_time passed)
{
    if (passed == p->passed) return WEIR_OK;
    p->passed = passed;
    weir_operator_list_clear(ctx, p->list);
    return weir_operator_list_add(ctx, p->list, &passed, sizeof passed);
}
