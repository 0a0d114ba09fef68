/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of the ledger: a worker that loses or doubles one frame of a channel, unseen by what checks sequence numbers.
 *
 *     WEIR_TEST_CHANNEL_FAULT=drop:CHANNEL:N      the Nth data frame of the channel (number in the plan), from 1, is lost
 *     WEIR_TEST_CHANNEL_FAULT=double:CHANNEL:N    it is sent twice
 *     WEIR_TEST_CHANNEL_ATTEMPT=A                 only in attempt A of the job (else 1), so that the attempt behind it is left in peace
 *
 * Whichever worker sends on that channel commits it. Anything else in the variable is ignored, with a warning.
 */
#ifndef WEIR_TASKMANAGER_WORKER_CHANNEL_FAULTS_H
#define WEIR_TASKMANAGER_WORKER_CHANNEL_FAULTS_H

#include "taskmanager/worker/deployment.h"

/* Before the threads start. */
void channel_faults_from_environment(struct deployment *d, uint32_t attempt);

#endif
