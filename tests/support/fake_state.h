/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keyed state, timers and tables for the fake runtime, over the real runtime/state. A test that calls fake_state_open gets the functions of
 * weir/state.h from here.
 */
#ifndef WEIR_TESTS_SUPPORT_FAKE_STATE_H
#define WEIR_TESTS_SUPPORT_FAKE_STATE_H

#include "tests/support/fake_runtime.h"

/* Before fake_op_open. Closed by fake_close. */
void fake_state_open(struct fake *f);

/* Processes a batch whose records' keys are `keys` (hashes are filled in here). */
weir_err fake_op_process_keyed(struct fake *f, struct weir_batch *batch, struct weir_key *keys);

/* Fires event timers up to `watermark_ms`, then calls on_watermark until it is done, as the runtime does. */
weir_err fake_op_watermark(struct fake *f, weir_time watermark_ms);

#endif
