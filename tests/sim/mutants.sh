#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Breaks the cores on purpose, one line at a time, and demands that the simulator notices each time within SEEDS seeds. A simulator that lets a
# broken core pass proves nothing about a good one.
#
#     mutants.sh SOURCE-FOLDER SCRATCH-FOLDER COMPILER LIBRARY...
#
# The libraries are those of the sim target. A mutated object stands before them, so the linker takes it instead of the original.
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
    if ! "$compiler" "${flags[@]}" -o "$scratch/sim" "$source/tests/sim/sim.c" "$scratch/mutant.c" "$@" 2>"$scratch/errors"; then
        echo "BROKEN    $name: does not compile"
        head -5 "$scratch/errors"
        failed=1
        return
    fi
    local status
    status=$(timeout 60 "$scratch/sim" --seeds $SEEDS >"$scratch/lines" 2>&1; echo $?) 2>/dev/null
    if [ "$status" = 0 ]; then
        echo "SURVIVED  $name"
        failed=1
    else
        echo "caught    $name ($(grep -E '^seed |^[a-z/]+\.c:|assert' "$scratch/lines" | head -1))"
    fi
}

job=jobmanager/job.c master=jobmanager/master.c cluster=jobmanager/cluster.c supervisor=taskmanager/supervisor.c
worker=taskmanager/supervisor_worker.c
mutant "a job ends before its workers" $job 's/^    if \(workers_before\(job, JOB_WORKER_COMMITTED\)\) return;//' "$@"
mutant "COMMIT before everybody has prepared" $job 's/if \(workers_before\(job, JOB_WORKER_PREPARED\)\) return;/if (workers_before(job, JOB_WORKER_PREPARED) > 1) return;/' "$@"
mutant "a cancel is accepted after COMMIT" $job '/^static void on_cancel/,/^}/s/if \(job->committing\)/if (false)/' "$@"
mutant "FINISHED when the first worker has committed" $job 's/&& all_committed\(job\)/\&\& true/' "$@"
mutant "nobody says that output is partly visible" $job 's/if \(job->committing\) buffer_str\(&text, partly\);//' "$@"
mutant "every worker reads every split" $job 's/if \(job->slot_worker\[plan_split_owner\(.*\)\] != w\) continue;//' "$@"
mutant "a lost TaskManager is not told to its jobs" $job '/^static void on_lost/,/^}/s/worker_gone\(worker, JOB_WORKER_LOST, out\);/return;/' "$@"
mutant "a job waits for slots for ever" $job 's/job->deadline_ms = ev->now_ms \+ job->slot_wait_ms;//' "$@"
mutant "slots of ended workers are not freed" $cluster 's/^        slot->used = false;/        continue;/' "$@"
mutant "a TaskManager that registers again does not replace its former self" $master 's/^        lose\(m, former, .*$/        (void)former;/' "$@"
mutant "a job is placed twice" $master 's/if \(m->jobs\[i\]->state == JOB_CREATED\) place/if (m->jobs[i]->state <= JOB_DEPLOYING \&\& m->jobs[i]->described) place/' "$@"
mutant "workers live on when the JobManager is lost" $supervisor 's/^    workers_kill\(s, WEIR_E_UNREACHABLE, .*$//; s/if \(s->state == SUPERVISOR_CLEARING && !s->n_workers\) begin_link/if (s->state == SUPERVISOR_CLEARING) begin_link/' "$@"
mutant "a worker that ignores CANCEL is left alone" $worker '/^void worker_cancel/,/^}/s/w->leave_ms = .*$//' "$@"
mutant "nobody watches for silent workers" $worker 's/w->heard_ms \+ s->config.worker_silence_ms/INT64_MAX/' "$@"
mutant "nobody watches for stalled steps" $worker 's/if \(msg->alive.stalled_ms <= w->progress_timeout_ms\) return;/return;/' "$@"
mutant "slots of the TaskManager are not freed" $worker 's/^    slots_release\(.*$//' "$@"
exit $failed
