/* SPDX-License-Identifier: Apache-2.0 */
/* Values of the catalog. The first byte says of which key, a plugin's behind those of a job. What a JobManager would take up from them is
 * made, too. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "jobmanager/catalog_records.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A submission that can be read can be checked, in words and without harm. */
static void use(const struct records_job *job)
{
    struct job_options options;
    struct weir_diag diag;
    job_options_default(&options);
    if (job->submitted) (void)job_submission_check(&job->submission, &options, &diag);
    if (job->recovery.n_pointers > CKPT_RETAINED_MAX + 1) abort();
    for (uint32_t i = 1; i < job->recovery.n_pointers; i++)
        if (job->pointers[i].id <= job->pointers[i - 1].id) abort();
    if (job->recovery.n_requests > CKPT_REQUESTS_MAX) abort();
    for (uint32_t i = 0; i < job->recovery.n_requests; i++)
        if (job->requests[i].state < CKPT_REQUEST_WAITING || id_is_zero(job->requests[i].id)) abort();
    if (job->recovery.result && !job_state_terminal(job->recovery.result)) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct records_job job;
    struct weir_diag diag;
    struct store_artifact artifact = {0};
    if (!size) return 0;
    enum job_key key = (enum job_key)(data[0] % (JOB_KEYS + 1));
    if (key == JOB_KEYS) {
        weir_err err = records_artifact_take(&artifact, (struct weir_bytes){data + 1, (uint32_t)(size - 1)}, &diag);
        if (!err && (!artifact.size || strlen(artifact.name) > STORE_NAME_MAX)) abort();
        return 0;
    }
    if (!records_take(&job, key, (struct weir_bytes){data + 1, (uint32_t)(size - 1)}, &diag)) use(&job);
    records_close(&job);
    return 0;
}
