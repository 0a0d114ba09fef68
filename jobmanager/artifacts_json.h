/* SPDX-License-Identifier: Apache-2.0 */
/* What JobManagers say to each other about plugins, as JSON (docs/protocol/admin.md, PUT /replicas). */
#ifndef WEIR_JOBMANAGER_ARTIFACTS_JSON_H
#define WEIR_JOBMANAGER_ARTIFACTS_JSON_H

#include <jansson.h>

#include "jobmanager/artifacts.h"

struct artifacts_list {
    uint64_t epoch, version;
    uint32_t leader, n;
    struct store_artifact *at; /* freed by who parsed it */
};

/* The leader's list. Gives a document; NULL: no memory. */
json_t *artifacts_json_list(const struct artifacts *a, uint32_t self);
/* Gives *out. Errors: WEIR_E_PROTOCOL, WEIR_E_LIMIT (more than STORE_ARTIFACTS_MAX). */
weir_err artifacts_json_parse_list(struct artifacts_list *out, struct weir_bytes text, struct weir_diag *diag);

/* A follower's answer. */
json_t *artifacts_json_answer(const struct artifacts *a);
/* Gives *missing, to be freed. Errors: as above. */
weir_err artifacts_json_parse_answer(struct weir_bytes text, uint64_t *fetched, struct weir_digest **missing, uint32_t *n,
                                     struct weir_diag *diag);

#endif
