#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Breaks the barrier aligner, the restore and the ledger on purpose, one line at a time, and demands that the tests notice each time.
#
#     mutants.sh SOURCE-FOLDER SCRATCH-FOLDER COMPILER LIBRARY...
#
# The libraries are those of the tests. A mutated object stands before them, so the linker takes it instead of the original.
set -u
source=$1 scratch=$2 compiler=$3
shift 3
flags=(-std=gnu17 -O1 -w -D_GNU_SOURCE -DNDEBUG -I"$source" -I"$source/api/include")
mkdir -p "$scratch"
failed=0

# mutant TEST NAME FILE SED-EXPRESSION: which test, what the break means, where, how
mutant() {
    local test=$1 name=$2 file=$3 expression=$4
    shift 4
    sed -E "$expression" "$source/$file" >"$scratch/mutant.c"
    if cmp -s "$source/$file" "$scratch/mutant.c"; then
        echo "STALE     $name: the expression no longer fits $file"
        failed=1
        return
    fi
    if ! "$compiler" "${flags[@]}" -o "$scratch/test" "$source/tests/unit/task/$test.c" "$source/tests/support/temp_dir.c" \
        "$scratch/mutant.c" "$@" 2>"$scratch/errors"; then
        echo "BROKEN    $name: does not compile"
        head -5 "$scratch/errors"
        failed=1
        return
    fi
    if timeout 60 "$scratch/test" >"$scratch/lines" 2>&1; then
        echo "SURVIVED  $name"
        failed=1
    else
        echo "caught    $name ($(grep -aE '^ERROR|FAILED|assert' "$scratch/lines" | head -1))"
    fi
}

align=runtime/task/align.c checkpoint=runtime/task/checkpoint.c restore=runtime/task/restore.c
mutant test_align "a snapshot without the last barrier" $align 's/a->n_arrived < a->n_inputs\)/a->n_arrived + 1 < a->n_inputs)/' "$@"
mutant test_align "an end brings no barrier" $align 's/    if \(!in->arrived\) a->n_arrived\+\+;//' "$@"
mutant test_align "an ended input is waited for by the next checkpoint" $align 's/a->n_arrived = a->n_ended;/a->n_arrived = 0;/' "$@"
mutant test_align "late barriers count" $align 's/ev->id <= a->decided \|\| ev->id < a->id/ev->id < a->id/' "$@"
mutant test_align "an old barrier counts for a newer alignment" $align 's/ \|\| ev->id < a->id\)/)/' "$@"
mutant test_align "a newer barrier is ignored" $align 's/if \(ev->id > a->id\) begin/if (!a->id) begin/' "$@"
mutant test_align "an abort does not unblock" $align 's/    if \(a->id <= id\) a->id = 0;//' "$@"
mutant test_align "a doubled trigger snapshots twice" $align 's/if \(ev->id <= a->decided \|\| ev->id <= a->triggered\) return;//' "$@"
mutant test_align "an alignment is never given up" $align 's/if \(now_ms < align_deadline\(a\)\) return;/return;/' "$@"
mutant test_align "what rests never resumes" $align 's/if \(!resumes\) return;/return;/' "$@"
mutant test_barriers "the watermark is not restored" $restore 's/op->time_in = op->time_out = op->ctx.watermark_ms = watermark;//' "$@"
mutant test_barriers "positions are not restored" $restore 's/if \(from->position.length == 0\) return WEIR_OK;/return WEIR_OK;/' "$@"
mutant test_barriers "finished subtasks begin again" $restore 's/same \? same->finished : found/false \&\& found/' "$@"
mutant test_barriers "committables of former subtasks are forgotten" $restore 's/weir_err err = restore_committables\(op, from, diag\);/weir_err err = WEIR_OK;/' "$@"
mutant test_barriers "uncommitted output is in no later checkpoint" $checkpoint 's/if \(take_committables\(op, to\) \|\|/if (/' "$@"
mutant test_barriers "the barrier overtakes what the outputs hold" $checkpoint 's/weir_err err = ended \? WEIR_OK : subtask_flush\(s\);/weir_err err = WEIR_OK;/' "$@"
mutant test_barriers "the ledger sees nothing" runtime/task/channel.c 's/    ledger_add\(&ch->(sent|taken), frame->head\);//' "$@"
exit $failed
