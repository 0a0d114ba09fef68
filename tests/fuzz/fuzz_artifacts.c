/* SPDX-License-Identifier: Apache-2.0 */
/* What JobManagers say to each other about plugins: the input is a list, which a follower takes, and an answer, which a leader takes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "jobmanager/artifacts_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SELF = 1, OTHER = 2, EPOCH = 1 };

static struct artifacts *member(bool leads)
{
    struct artifacts *a;
    struct zab_members members = {.n = 2, .at = {{.id = SELF}, {.id = OTHER}}};
    artifacts_new(&a);
    artifacts_members(a, &members, SELF);
    artifacts_role(a, EPOCH, leads);
    artifacts_named(a);
    return a;
}

/* Orders end, and name what a list may hold. */
static void work(struct artifacts *a)
{
    struct artifacts_order o;
    for (uint32_t n = 0; artifacts_next(a, 0, &o); n++) {
        if (n > STORE_ARTIFACTS_MAX) abort();
        if (o.type == ARTIFACTS_FETCH && (!o.about.size || strlen(o.about.name) > STORE_NAME_MAX)) abort();
    }
    json_decref(artifacts_json_answer(a));
}

static void take_list(struct weir_bytes text)
{
    struct artifacts_list list;
    if (artifacts_json_parse_list(&list, text, NULL)) return;
    struct artifacts *a = member(false);
    (void)artifacts_take(a, EPOCH, list.version, list.leader, list.at, list.n, NULL);
    work(a);
    artifacts_destroy(&a);
    free(list.at);
}

static void take_answer(struct weir_bytes text)
{
    uint64_t fetched = 0;
    uint32_t n = 0;
    struct weir_digest *missing = NULL;
    struct artifacts_order sync;
    if (artifacts_json_parse_answer(text, &fetched, &missing, &n, NULL)) return;
    struct artifacts *a = member(true);
    if (!artifacts_next(a, 0, &sync) || sync.type != ARTIFACTS_SYNC) abort();
    artifacts_synced(a, OTHER, sync.number, fetched, missing, n, 0);
    work(a);
    artifacts_destroy(&a);
    free(missing);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct weir_bytes text = {data, (uint32_t)size};
    take_list(text);
    take_answer(text);
    return 0;
}
