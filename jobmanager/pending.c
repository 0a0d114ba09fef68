/* SPDX-License-Identifier: Apache-2.0 */
#include "jobmanager/pending.h"

#include <string.h>

bool pending_add(struct pending *p, struct weir_bytes route, bool delimited, struct admin_reply *reply)
{
    if (p->n == PENDING_MAX || route.length > PENDING_ROUTE_MAX) return false;
    struct pending_answer *a = &p->at[p->n++];
    *a = (struct pending_answer){
        .awaited = reply->awaits, .key = reply->awaits_key, .route_len = (uint8_t)route.length, .delimited = delimited, .reply = *reply};
    if (route.length) memcpy(a->route, route.data, route.length);
    *reply = (struct admin_reply){0};
    return true;
}

bool pending_take(struct pending *p, struct weir_id awaited, enum job_key key, struct pending_answer *out)
{
    uint32_t i = 0;
    while (i < p->n && !(id_equal(p->at[i].awaited, awaited) && p->at[i].key == key)) i++;
    if (i == p->n) return false;
    *out = p->at[i];
    p->at[i] = p->at[--p->n];
    return true;
}

void pending_close(struct pending *p)
{
    while (p->n) admin_reply_close(&p->at[--p->n].reply);
}
