#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Breaks the cores on purpose, one line at a time, and demands that the simulator notices each time: worlds with one JobManager for what is broken
# first, worlds with an ensemble of them, or else the stories of those, for what follows. A simulator that lets a broken core pass proves nothing
# about a good one.
#
#     mutants.sh SOURCE-FOLDER SCRATCH-FOLDER COMPILER LIBRARY...
#
# The libraries are those of the sim target. A mutated object stands before them, so the linker takes it instead of the original.
set -u
source=$1 scratch=$2 compiler=$3
shift 3
worlds=(--seeds 2000)
stories= # tests to run when no world notices
ONLY=${ONLY:-}
flags=(-std=gnu17 -O1 -w -D_GNU_SOURCE -DNDEBUG -DWEIR_VERSION=\"sim\" -I"$source" -I"$source/api/include")
mkdir -p "$scratch"
failed=0

# build PROGRAM SOURCE LIBRARY...: with the mutated object
build() {
    "$compiler" "${flags[@]}" -o "$scratch/$1" "$source/tests/sim/$2" "$scratch/mutant.c" "${@:3}" 2>"$scratch/errors"
}

# noticed PROGRAM ARGUMENT...: it fails, or takes more than two minutes of processor time
noticed() {
    local status
    status=$(ulimit -t 120; "$@" >"$scratch/lines" 2>&1; echo $?) 2>/dev/null
    [ "$status" != 0 ] || return 1
    echo "caught    $name ($(grep -aE '^seed |^[./a-z_]+\.c:|assert|^\[  FAILED' "$scratch/lines" | head -1 | cut -c1-140))"
}

# mutant NAME FILE SED-EXPRESSION: what the break means, where, how
mutant() {
    local name=$1 file=$2 expression=$3
    shift 3
    [[ $name == *$ONLY* ]] || return
    sed -E "$expression" "$source/$file" >"$scratch/mutant.c"
    if cmp -s "$source/$file" "$scratch/mutant.c"; then
        echo "STALE     $name: the expression no longer fits $file"
        failed=1
        return
    fi
    if ! build sim sim.c "$@"; then
        echo "BROKEN    $name: does not compile"
        head -5 "$scratch/errors"
        failed=1
        return
    fi
    if noticed "$scratch/sim" "${worlds[@]}"; then return; fi
    if [ "$stories" ] && build stories "$stories" "$@" -lcmocka && noticed "$scratch/stories"; then return; fi
    echo "SURVIVED  $name"
    failed=1
}

job=jobmanager/job.c workers=jobmanager/job_workers.c checkpoints=jobmanager/job_checkpoints.c coordinator=jobmanager/checkpoint.c
ledger=jobmanager/checkpoint_ledger.c restart=jobmanager/restart.c catalog=jobmanager/catalog.c jobs=jobmanager/master_jobs.c
members=jobmanager/master_members.c cluster=jobmanager/cluster.c supervisor=taskmanager/supervisor.c
worker=taskmanager/supervisor_worker.c reconcile=jobmanager/job_reconcile.c
mutant "a job ends before its workers" $job 's/if \(job->outcome \|\| job_workers_before\(job, JOB_WORKER_COMMITTED\)\) return;/if (job->outcome) return;/' "$@"
mutant "COMMIT before everybody has prepared" $workers 's/\|\| job_workers_before\(job, JOB_WORKER_PREPARED\)\) return;/|| job_workers_before(job, JOB_WORKER_PREPARED) > 1) return;/' "$@"
mutant "a cancel is accepted after COMMIT" $job '/^static void on_cancel/,/^}/s/if \(job->outcome == JOB_FINISHED.*$/if (false) {/' "$@"
mutant "a cancel dies with its JobManager" $job '/^static void on_recover/,/^}/s/job->cancel_requested = r->cancel;//; /^static void on_recover/,/^}/s/r->cancel/false/' "$@"
mutant "a cancel is told before it is stored" $job '/^static void on_cancel\(/,/^}/s/^    job->cancel_storing = true;/    accept(JOB_KEY_CANCEL, WEIR_OK, "", out);\n    job->cancel_storing = true;/' "$@"
mutant "COMMIT does not wait for a cancel" $workers '/^void job_commit/,/^}/s/^    if \(job->commit_waits\) return;//' "$@"
mutant "FINISHED when the first worker has committed" $job 's/^    if \(job->outcome \|\| job_workers_before\(job, JOB_WORKER_COMMITTED\)\) return;/    if (job->outcome) return;/; s/job_all_committed\(job\)/job->committing/' "$@"
mutant "nobody says that output is partly visible" $job 's/if \(job->committing\) buffer_str\(&text, partly\);//' "$@"
mutant "every worker reads every split" $workers 's/if \(job->slot_worker\[plan_split_owner\(.*\)\] != w\) continue;//' "$@"
mutant "a lost TaskManager is not told to its jobs" $workers '/^void job_on_lost/,/^}/s/job_worker_gone_as\(worker, JOB_WORKER_LOST, out\);/return;/' "$@"
mutant "a job waits for slots for ever" $job 's/job->deadline_ms = ev->now_ms \+ job->slot_wait_ms;//' "$@"
mutant "slots of ended workers are not freed" $cluster 's/^        slot->used = false;/        continue;/' "$@"
mutant "a TaskManager that registers again does not replace its former self" $members 's/^        lose\(m, former, .*$/        (void)former;/' "$@"
mutant "a job is placed twice" $jobs 's/if \(m->jobs\[i\]->state == JOB_CREATED\) place/if (m->jobs[i]->state <= JOB_DEPLOYING \&\& m->jobs[i]->described) place/' "$@"
mutant "workers are told that a checkpoint is complete before its pointer is stored" $coordinator '/^static void on_sealed/,/^}/s/act\(out, CKPT_DO_COMMIT, c\);/act(out, CKPT_DO_COMPLETE, c); act(out, CKPT_DO_COMMIT, c);/' "$@"
mutant "the manifest is written before everybody has acknowledged" $coordinator 's/if \(c->n_acked < c->n_workers\) return;/if (c->n_acked + 1 < c->n_workers) return;/; s/if \(ckpt_ledger_compare\(.*$/if (false) {/' "$@"
mutant "nobody compares the ledgers" $coordinator 's/if \(ckpt_ledger_compare\(.*$/if (false) {/' "$@"
mutant "the ledger compares bytes only" $ledger 's/a->records == b->records && //' "$@"
mutant "numbers of checkpoints are used again after a failure" $coordinator 's/^    c->last_id = c->id;$//' "$@"
mutant "the number of a checkpoint is not stored" $checkpoints 's/case CKPT_DO_RESERVE: put_counter\(job, out\); return;/case CKPT_DO_RESERVE: { struct ckpt_event r = {.type = CKPT_EV_RESERVED}; r.answer.id = job->ckpt->id; (void)job_checkpoints_step(job, \&r, ev, out); return; }/' "$@"
mutant "one retained checkpoint too many is deleted" $coordinator '/^static void subsume/,/^}/s/if \(stays\(c, i\)\)/if (stays(c, i) \&\& i > 0)/' "$@"
mutant "an older checkpoint than the newest is restored" $coordinator '/^const struct ckpt_pointer \*ckpt_restore_point/,/^}/s/for \(uint32_t i = c->n_retained; i > 0; i--\)/for (uint32_t i = 1; i <= c->n_retained; i++)/' "$@"
mutant "a late acknowledgement counts for the next checkpoint" $coordinator 's/if \(c->state != CKPT_PENDING \|\| id != c->id\)/if (c->state != CKPT_PENDING)/' "$@"
mutant "the last checkpoint is left out" $workers 's/if \(job->ckpt\)$/if (false)/' "$@"
mutant "a restart forgets to wait for its delay and counts nothing" $restart 's/^    r->restarts\+\+;$//' "$@"
mutant "the attempt is not stored before it is begun" $job '/^    case JOB_RESTARTING:$/,/return;/s/job_put_attempt\(job, job->attempt \+ 1, false, out\);/become_created(job, ev); job->attempt--;/' "$@"
mutant "what the store does not know is taken for done" $catalog 's/^        w->in_doubt = true;$/        settle(w, WEIR_OK, NULL); return;/' "$@"
mutant "what the store does not know is taken for not done" $catalog 's/^        w->in_doubt = true;$/        settle(w, WEIR_E_IO, "unknown"); return;/' "$@"
mutant "a refusal settles what an earlier order left in doubt" $catalog 's/^        w->in_doubt = true;$//' "$@"
mutant "an ended job is not stored as ended" $job '/^static void conclude/,/^}/s/^    put_result\(job, out\);/    job_act(out, JOB_DO_ENDED); job_enter(job, outcome, ev);/' "$@"
mutant "files of a job that has ended stay" $checkpoints '/^void job_checkpoints_end/,/^}/s/ckpt_discard_all\(.*$//; /^void job_checkpoints_end/,/^}/s/job_act\(out, JOB_DO_END_STORAGE\);//' "$@"
mutant "an attempt is taken up before all of its workers are reported" $reconcile 's/ \|\| job_workers_before\(job, JOB_WORKER_RUNNING\)//' "$@"
mutant "a new leader restarts before all TaskManagers have reported" $members 's/if \(!cluster_find_id\(.*\)\) return false;/;/' "$@"
mutant "an attempt that was taken up hears nobody, for its workers name the leader before" $reconcile 's/job->attempt_epoch = w->epoch;/job->attempt_epoch = job->epoch;/' "$@"
mutant "workers that nobody wants are left alone" $members '/^static void on_report/,/^}/s/^    master_send\(m, s, &cancel\);//' "$@"
mutant "nobody hears of a worker that ended without a JobManager" $supervisor '/^static void on_registered/,/^}/s/^    workers_tell_gone\(s\);//' "$@"
mutant "a new leader begins its checkpoints with used numbers" $job 's/^    ckpt_used\(job->ckpt, r->counter\);//' "$@"
mutant "a worker that ignores CANCEL is left alone" $worker '/^void worker_cancel/,/^}/s/w->leave_ms = .*$//' "$@"
mutant "nobody watches for silent workers" $worker 's/w->heard_ms \+ s->config.worker_silence_ms/INT64_MAX/' "$@"
mutant "nobody watches for stalled steps" $worker 's/if \(msg->alive.stalled_ms <= w->progress_timeout_ms\) return;/return;/' "$@"
mutant "slots of the TaskManager are not freed" $worker 's/^    slots_release\(.*$//' "$@"

# ---- several JobManagers ----
worlds=(--ensemble --seeds 100) stories=test_leader_stories.c
leadership=jobmanager/leadership.c tree=jobmanager/catalog_tree.c master=jobmanager/master.c report=taskmanager/supervisor_report.c
recover=jobmanager/master_catalog.c
mutant "a JobManager leads before it has read the catalog" $tree 's/case CLAIMED: begin_listing\(t\); break;/case CLAIMED: t->state = CATALOG_TREE_SERVING; break;/' "$@"
mutant "a page of the catalog is left out" $tree 's/if \(more \&\& n\) \{/if (false) {/; s/\.path = bytes_text\(v->path\)\};/.path = bytes_text(v->path), .max = 2};/' "$@"
mutant "who has lost its quorum goes on leading" $leadership 's/if \(!l->role.leads \|\| l->role.epoch != l->epoch\)/if (false)/' "$@"
mutant "nobody tells TaskManagers who leads" $leadership 's/^    if \(!l->news\) return LEADERSHIP_STAYS;/    return LEADERSHIP_STAYS;/' "$@"
mutant "who does not lead takes TaskManagers" $members 's/if \(!master_leads\(m\)\) \{/if (false) {/' "$@"
mutant "a stop of its own is taken for silence of all others" $master 's/if \(late_ms > .*\) \{/if (false) {/' "$@"
mutant "who was stopped does not ask whether it still leads" $master 's/m->doubt = master_leads\(m\) .*$/m->doubt = DOUBT_NONE;/' "$@"
mutant "workers are not reported to a new leader" $supervisor 's/msg.reg.n_workers = .*;/msg.reg.n_workers = 0;/' "$@"
mutant "workers end with their JobManager" $supervisor 's/if \(lost\) s->leader_ms = s->now_ms \+ s->config.leader_wait_ms;/if (lost) s->leader_ms = s->now_ms;/' "$@"
mutant "the state of reported workers is forgotten" $report 's/w->report.state = WIRE_WORKER_IS_RUNNING;/;/' "$@"
mutant "a new leader begins its checkpoints with used numbers" $job 's/^    ckpt_used\(job->ckpt, r->counter\);//' "$@"
mutant "a new leader does not know what was triggered before it" $reconcile 's/^    job->triggered = w->triggered;//' "$@"
mutant "a job whose submission was listed is left out" $recover 's/^        master_adopt\(m, found\);/        if (!found->recovery.graph) master_adopt(m, found);/' "$@"
exit $failed
