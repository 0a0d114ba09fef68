/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that can be put back as it was. The explorer is linked so that every malloc of the simulator and the cores comes from here (ld
 * --wrap), so a whole world, cores and all, is one run of bytes at one address.
 */
#ifndef WEIR_TESTS_SIM_COORD_REGION_H
#define WEIR_TESTS_SIM_COORD_REGION_H

#include <stdint.h>

void region_begin(void); /* empty */
/* Saves everything; states are a stack. */
void region_push(void);
/* As it was at the newest push, which stays. */
void region_restore(void);
void region_pop(void);

#endif
