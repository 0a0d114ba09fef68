/* SPDX-License-Identifier: Apache-2.0 */
/* Clocks. Cores never call these: time comes to them in events. All timeouts use the monotonic clock. */
#ifndef WEIR_RUNTIME_BASE_CLOCK_H
#define WEIR_RUNTIME_BASE_CLOCK_H

#include <stdint.h>

int64_t clock_mono_ns(void); /* CLOCK_MONOTONIC */
int64_t clock_mono_ms(void);
int64_t clock_wall_ms(void);       /* CLOCK_REALTIME, since 1970 */
int64_t clock_thread_cpu_ns(void); /* CPU time of the calling thread */

#endif
