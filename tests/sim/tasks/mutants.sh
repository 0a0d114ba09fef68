#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Breaks aligner, snapshot, restore, committer and channel on purpose, one line at a time, and demands that the simulator notices each time
# within SEEDS seeds.
#
#     mutants.sh SOURCE-FOLDER SCRATCH-FOLDER COMPILER OBJECT-OR-LIBRARY...
#
# The objects and libraries are those of sim_tasks. A mutated object stands before the libraries, so the linker takes it instead of the original.
set -u
source=$1 scratch=$2 compiler=$3
shift 3
SEEDS=2000
flags=(-std=gnu17 -O1 -w -D_GNU_SOURCE -DNDEBUG -I"$source" -I"$source/api/include")
mkdir -p "$scratch"
failed=0

# mutant NAME FILE SED-EXPRESSION: what the break means, where, how
mutant() {
    local name=$1 file=$2 expression=$3
    shift 3
    sed -E "$expression" "$source/$file" >"$scratch/mutant.c"
    if cmp -s "$source/$file" "$scratch/mutant.c"; then
        echo "STALE     $name: the expression no longer fits $file"
        failed=1
        return
    fi
    if ! "$compiler" "${flags[@]}" -o "$scratch/sim" "$scratch/mutant.c" "$@" 2>"$scratch/errors"; then
        echo "BROKEN    $name: does not compile"
        head -5 "$scratch/errors"
        failed=1
        return
    fi
    local status
    status=$(timeout 300 "$scratch/sim" --seeds $SEEDS >"$scratch/lines" 2>&1; echo $?) 2>/dev/null
    if [ "$status" = 0 ]; then
        echo "SURVIVED  $name"
        failed=1
    else
        echo "caught    $name ($(grep -aE '^seed |^[a-z/]+\.c:|assert' "$scratch/lines" | head -1))"
    fi
}

task=runtime/task worker=taskmanager/worker
mutant "a snapshot without the last barrier" $task/align.c 's/a->n_arrived < a->n_inputs\)/a->n_arrived + 1 < a->n_inputs)/' "$@"
mutant "an end brings no barrier" $task/align.c 's/    if \(!in->arrived\) a->n_arrived\+\+;//' "$@"
mutant "an input is read on behind its barrier" $task/subtask.c 's/align_blocked\(&s->checkpoints.align, [^)]*\)/false/' "$@"
mutant "the barrier overtakes what the outputs hold" $task/checkpoint.c 's/weir_err err = ended \? WEIR_OK : subtask_flush\(s\);/weir_err err = WEIR_OK;/' "$@"
mutant "uncommitted output is in no later checkpoint" $task/checkpoint.c 's/if \(take_committables\(op, to\) \|\|/if (/' "$@"
mutant "the state of operators is in no snapshot" $task/checkpoint.c 's/if \(!keeps_state\(op, snapshot->finished\)\) return WEIR_OK;/return WEIR_OK;/' "$@"
mutant "a split being read is told as one not begun" $task/checkpoint.c 's/\.state = progress->state, \.stated/.state = progress->state == SPLIT_DONE ? SPLIT_DONE : SPLIT_WAITING, .stated/' "$@"
mutant "sinks do not prepare" $task/checkpoint.c 's/weir_err err = op_prepare\(op, snapshot->id\);/weir_err err = WEIR_OK;/' "$@"
mutant "positions are not restored" $task/restore.c 's/if \(from->position.length == 0\) return WEIR_OK;/return WEIR_OK;/' "$@"
mutant "committables of former subtasks are forgotten" $task/restore.c 's/weir_err err = restore_committables\(op, from, diag\);/weir_err err = WEIR_OK;/' "$@"
mutant "state is not restored" $task/restore.c 's/return op->spec.kind == OP_USER \? collect_state\(.*$/return WEIR_OK;/' "$@"
mutant "sinks commit what no complete checkpoint names" $task/commit.c 's/list->items\[n\].checkpoint_id <= checkpoint_id/true/' "$@"
mutant "a restored sink commits all but its first share" $task/commit.c 's/i = op->subtask->index; i < list->n/i = op->subtask->index + op->subtask->parallelism; i < list->n/' "$@"
mutant "recover is told of nothing" $task/commit.c 's/kept, list->n\);/kept, 0);/' "$@"
mutant "the ledger sees nothing" $task/channel.c 's/    ledger_add\(&ch->(sent|taken), frame->head\);//' "$@"
mutant "a gap in the numbers of frames is not seen" $worker/exchange.c 's/if \(head->seq > ch->n_received\) return lost.*$//' "$@"
mutant "what could not be persisted is acknowledged" $worker/checkpointing.c 's/return is_under_way\(c, ev->id\) \? drop\(c, ev->id\) : 0;$/return 0;/' "$@"
mutant "what a checkpoint may still name is aborted" $worker/checkpointing.c 's/uint64_t kept = c->acknowledged > .*$/uint64_t kept = c->completed;/' "$@"
mutant "what a complete checkpoint names is aborted" $task/commit.c 's/if \(list->items\[i\].checkpoint_id > kept\)/if (kept != UINT64_MAX)/' "$@"
exit $failed
