/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of snapshots and committables. */
#include "runtime/task/snapshot.h"

#include <stdlib.h>
#include <string.h>

weir_err committables_add(struct weir_committables *list, uint64_t checkpoint_id, struct weir_bytes data)
{
    if (data.length == 0 || data.length > WEIR_COMMITTABLE_MAX)
        return weir_fail(list->diag, WEIR_E_LIMIT, "a committable of %zu bytes; the range is 1 to %u (WEIR_COMMITTABLE_MAX)",
                         (size_t)data.length, WEIR_COMMITTABLE_MAX);
    if (list->n == list->cap) {
        struct committable *grown = realloc(list->items, (list->cap * 2u + 4u) * sizeof *grown);
        if (!grown) return weir_fail(list->diag, WEIR_E_NOMEM, "no memory for a committable");
        list->items = grown;
        list->cap = list->cap * 2u + 4u;
    }
    void *copy = malloc(data.length);
    if (!copy) return weir_fail(list->diag, WEIR_E_NOMEM, "no memory for a committable");
    memcpy(copy, data.data, data.length);
    list->items[list->n++] = (struct committable){.checkpoint_id = checkpoint_id, .data = {copy, data.length}};
    return WEIR_OK;
}

void committables_drop(struct weir_committables *list, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) free((void *)(uintptr_t)list->items[i].data.data);
    list->n -= n;
    if (list->n) memmove(list->items, list->items + n, list->n * sizeof *list->items);
}

void committables_close(struct weir_committables *list)
{
    committables_drop(list, list->n);
    free(list->items);
    *list = (struct weir_committables){0};
}

weir_err weir_committable_add(struct weir_committables *out, const void *data, uint32_t length)
{
    return committables_add(out, out->checkpoint_id, (struct weir_bytes){data, length});
}

void weir_committables_records(struct weir_committables *out, uint64_t n)
{
    out->records += n;
    out->counted = true;
}

void subtask_snapshot_destroy(struct subtask_snapshot **snapshot)
{
    struct subtask_snapshot *s = *snapshot;
    if (!s) return;
    for (uint32_t i = 0; s->ops && i < s->n_ops; i++) {
        keyed_snapshot_destroy(&s->ops[i].state);
        free(s->ops[i].times);
        committables_close(&s->ops[i].committables);
    }
    for (uint32_t i = 0; s->splits && i < s->n_splits; i++) free((void *)(uintptr_t)s->splits[i].position.data);
    free(s->ops);
    free(s->splits);
    free(s->ledger);
    free(s);
    *snapshot = NULL;
}
