/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Nexmark job inside this process: what jobctl would start processes for takes milliseconds here. For check.py.
 *
 *     nexmark_run PARALLELISM SEGMENT MEMORY STATE_DIR [JOB ARGUMENTS ...]
 *
 * SEGMENT: bytes of a frame, 1 = one record in each. MEMORY: bytes of state a slot may hold before it leaves for STATE_DIR, which must not
 * exist. Paths are absolute. Exit code 0 when all results are written, else 1 and the job's sentence on stderr.
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/support/local/local_job.h"

enum { ARG_PARALLELISM = 1, ARG_SEGMENT, ARG_MEMORY, ARG_STATE_DIR, ARG_JOB };

extern const struct weir_plugin weir_plugin_v1; /* of the job */

int main(int argc, char **argv)
{
    if (argc < ARG_JOB) {
        (void)fprintf(stderr, "usage: nexmark_run PARALLELISM SEGMENT MEMORY STATE_DIR [JOB ARGUMENTS ...]\n");
        return 2;
    }
    local_job_state = (struct deployment_state){
        .dir = argv[ARG_STATE_DIR],
        .slot_memory = strtoull(argv[ARG_MEMORY], NULL, 10),
        .segment = (uint32_t)strtoul(argv[ARG_SEGMENT], NULL, 10),
    };
    argv[ARG_JOB - 1] = "nexmark"; /* arguments begin with the job's name */
    struct local_job job;
    struct weir_diag diag = {0};
    uint32_t parallelism = (uint32_t)strtoul(argv[ARG_PARALLELISM], NULL, 10);
    weir_err err = local_job_run(&job, weir_plugin_v1.build, parallelism, argc - (ARG_JOB - 1), argv + (ARG_JOB - 1), &diag);
    if (err) (void)fprintf(stderr, "%s%s%s\n", job.failed_id ? job.failed_id : "", job.failed_id ? ": " : "", diag.text);
    local_job_close(&job);
    return err ? 1 : 0;
}
