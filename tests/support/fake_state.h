/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State and timers for the fake runtime, over the real runtime/state: a test that calls fake_state_open may run operators that use the
 * functions of weir/state.h.
 */
#ifndef WEIR_TESTS_SUPPORT_FAKE_STATE_H
#define WEIR_TESTS_SUPPORT_FAKE_STATE_H

#include "runtime/state/keyed.h"
#include "tests/support/fake_runtime.h"

/* Before fake_op_open. Closed by fake_close. State lies in memory, or where `config` says; f->keyed has all key groups. */
void fake_state_open(struct fake *f);
void fake_state_open_with(struct fake *f, const struct state_slot_config *config);

/* Processes a batch whose records' keys are `keys` (hashes are filled in here). */
weir_err fake_op_process_keyed(struct fake *f, struct weir_batch *batch, struct weir_key *keys); /* input 0 */
weir_err fake_op_process_keyed_input(struct fake *f, uint32_t input, struct weir_batch *batch, struct weir_key *keys);

/* Fires event timers up to `watermark_ms`, then calls on_watermark until it is done, as the runtime does. */
weir_err fake_op_watermark(struct fake *f, weir_time watermark_ms);

/* Moves the wall clock and fires the processing-time timers up to it. */
weir_err fake_op_clock(struct fake *f, weir_time now_ms);

#endif
