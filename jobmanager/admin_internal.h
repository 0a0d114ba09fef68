/* SPDX-License-Identifier: Apache-2.0 */
/* Between the parts of the admin endpoint (admin.h): admin.c, admin_checkpoints.c. */
#ifndef WEIR_JOBMANAGER_ADMIN_INTERNAL_H
#define WEIR_JOBMANAGER_ADMIN_INTERNAL_H

#include <jansson.h>

#include "jobmanager/admin.h"

enum { ADMIN_PARAMS_MAX = 2 };

/* One request on its way through. */
struct call {
    struct admin *admin;
    uint32_t roles; /* of whoever asks */
    const struct rest_request *request;
    const char *param[ADMIN_PARAMS_MAX]; /* what stood at the ':' segments of the pattern */
    enum rest_status status;             /* set by a handler for other successes than 200, and for failures whose code says too little */
    json_t *json;                        /* the answer; the handler gives it, or */
    char *bytes;                         /* these */
    size_t n_bytes;
    struct weir_diag diag;
    const char *remedy;
    struct weir_id awaits; /* as in admin_reply */
    enum job_key awaits_key;
};

/* Takes the document as the answer; NULL: there was no memory for it. */
weir_err admin_give(struct call *c, json_t *json);
weir_err admin_give_id(struct call *c, const char *key, struct weir_id id);
/* The job that the first parameter names; NULL: there is none, and the diagnostic says so. */
const struct job *admin_named_job(struct call *c);

/* The fields of a JSON body: each is told to `take`, which refuses what it does not know. Gives *json, to be freed in any case. */
typedef weir_err (*admin_take)(struct call *c, const char *key, json_t *value, void *out);
weir_err admin_parse_body(struct call *c, admin_take take, void *out, json_t **json);
weir_err admin_wrong_field(struct call *c, const char *key, const char *wanted);
weir_err admin_take_string(struct call *c, const char *key, const json_t *value, size_t max, const char **out);
weir_err admin_take_bool(struct call *c, const char *key, const json_t *value, bool *out);

/* ---- admin_live.c ---- */

weir_err admin_get_live(struct call *c);
weir_err admin_check_live(struct call *c);

/* ---- admin_checkpoints.c ---- */

weir_err admin_post_savepoint(struct call *c);
weir_err admin_post_stop(struct call *c);
weir_err admin_post_checkpoint(struct call *c);
weir_err admin_patch_rescaling(struct call *c);
weir_err admin_get_request(struct call *c); /* how far one of the above is */
weir_err admin_get_checkpoints(struct call *c);
weir_err admin_get_checkpoint_config(struct call *c);

#endif
