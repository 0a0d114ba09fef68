/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which TaskManager gets which slot of a job: a pure function. Slots are spread evenly: each goes to the TaskManager that has the fewest
 * slots of this job so far; among those to the one with the most free slots; among those to the first. The same input gives the same answer
 * everywhere.
 */
#ifndef WEIR_JOBMANAGER_SCHEDULE_H
#define WEIR_JOBMANAGER_SCHEDULE_H

#include "weir/base.h"

/*
 * free_slots  Of each of n_hosts TaskManagers, in a fixed order (by id); borrowed.
 * slot_host   Receives the host index of each of n_slots slots.
 * Errors: WEIR_E_LIMIT (fewer free slots than n_slots; slot_host is untouched)
 */
weir_err schedule_spread(const uint32_t *free_slots, uint32_t n_hosts, uint32_t n_slots, uint32_t *slot_host);

#endif
