/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The values in the catalog, as msgpack arrays that begin with the number of their form; docs/protocol/catalog.md has them field by field.
 * Decoders are bounded by their bytes and check everything. Keys: "job/" 32 hex digits "/" name; "artifact/" 64 hex digits.
 */
#ifndef WEIR_JOBMANAGER_CATALOG_RECORDS_H
#define WEIR_JOBMANAGER_CATALOG_RECORDS_H

#include "jobmanager/catalog.h"
#include "jobmanager/job.h"
#include "jobmanager/store.h"

#define RECORDS_PREFIX "job/"
#define RECORDS_ARTIFACT_PREFIX "artifact/"

const char *records_key(struct weir_id job, enum job_key key, char out[static CATALOG_KEY_MAX + 1]);
/* False: that is no key of a job. */
bool records_key_parse(const char *text, struct weir_id *job, enum job_key *key);

const char *records_artifact_key(struct weir_digest digest, char out[static CATALOG_KEY_MAX + 1]);
bool records_artifact_key_parse(const char *text, struct weir_digest *out);

/* ---- encoders: append to `out`, whose error is sticky ---- */

void records_submission(const struct job_submission *sub, uint64_t number, int64_t submitted_wall_ms, struct buffer *out);
/* With the TaskManagers of its workers, when it is the job's present one: then it was placed. */
void records_attempt(const struct job *job, uint32_t attempt, bool committing, struct buffer *out);
void records_counter(uint64_t epoch, uint64_t id, struct buffer *out);
void records_pointers(uint64_t epoch, const struct ckpt_pointer *const *pointers, uint32_t n, struct buffer *out);
void records_cancel(uint64_t epoch, struct buffer *out);
void records_requests(uint64_t epoch, const struct ckpt_request *requests, uint32_t n, struct buffer *out);
/* Of a job whose outcome is known. */
void records_result(const struct job *job, enum job_state outcome, int64_t ended_wall_ms, struct buffer *out);
void records_artifact(uint64_t epoch, const struct store_artifact *artifact, struct buffer *out);

/* ---- decoders. Errors: WEIR_E_CORRUPT, WEIR_E_UNSUPPORTED (another form), WEIR_E_NOMEM ---- */

/* Everything that the catalog says of one job. Zeroed before the first record is taken; records come in any order. */
struct records_job {
    bool submitted; /* there is a submission */
    struct job_submission submission;
    uint64_t number;
    struct job_recovery recovery;
    /* private: what the above points at */
    struct graph graph;
    struct ckpt_pointer pointers[CKPT_RETAINED_MAX + 2];
    struct ckpt_request requests[CKPT_REQUESTS_MAX];
    struct job_failure failure;
    struct job_successor successor;
    void *arenas[JOB_KEYS];
};

weir_err records_take(struct records_job *out, enum job_key key, struct weir_bytes value, struct weir_diag *diag);
void records_close(struct records_job *job);

/* All but the digest, which is the key's. */
weir_err records_artifact_take(struct store_artifact *out, struct weir_bytes value, struct weir_diag *diag);

#endif
