#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Breaks the cores on purpose, one line at a time, and demands that the simulator notices each time: worlds with one JobManager, or else their
# stories, for what is broken first, worlds with an ensemble of them, or else the stories of those, for what follows. A simulator that lets a broken
# core pass proves nothing about a good one. Last come the fences of a former leader: in a world each of them stands before another one, so the
# test of its core must notice.
#
#     mutants.sh SOURCE-FOLDER SCRATCH-FOLDER COMPILER LIBRARY...
#
# The libraries are those of the sim target. A mutated object stands before them, so the linker takes it instead of the original.
set -u
source=$1 scratch=$2 compiler=$3
shift 3
worlds=(--seeds 2000)
test=sim/test_sim_stories.c # below tests/; to run when no world notices, or where there are none
ONLY=${ONLY:-}
flags=(-std=gnu17 -O1 -w -D_GNU_SOURCE -DNDEBUG -DWEIR_VERSION=\"sim\" -I"$source" -I"$source/api/include")
mkdir -p "$scratch"
failed=0

# build PROGRAM SOURCE LIBRARY...: with the mutated object
build() {
    "$compiler" "${flags[@]}" -o "$scratch/$1" "$source/tests/$2" "$scratch/mutant.c" "${@:3}" 2>"$scratch/errors" && return
    echo "BROKEN    $name: does not compile"
    head -5 "$scratch/errors"
    failed=1
    return 1
}

# noticed PROGRAM ARGUMENT...: it fails, or takes more than two minutes of processor time
noticed() {
    local status
    status=$(ulimit -t 120; "$@" >"$scratch/lines" 2>&1; echo $?) 2>/dev/null
    [ "$status" != 0 ] || return 1
    echo "caught    $name ($(grep -aE '^seed |^[./a-z_]+\.c:|assert|^\[  (FAILED|ERROR)' "$scratch/lines" | head -1 | cut -c1-140))"
}

# mutant NAME FILE SED-EXPRESSION LIBRARY...: what the break means, where, how
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
    if [ ${#worlds[@]} -gt 0 ]; then
        build sim sim/sim.c "$@" || return
        if noticed "$scratch/sim" "${worlds[@]}"; then return; fi
    fi
    build test "$test" "$@" -lcmocka || return
    if noticed "$scratch/test"; then return; fi
    echo "SURVIVED  $name"
    failed=1
}

job=jobmanager/job.c failure=jobmanager/job_failure.c recovery=jobmanager/job_recovery.c workers=jobmanager/job_workers.c checkpoints=jobmanager/job_checkpoints.c coordinator=jobmanager/checkpoint.c
ledger=jobmanager/checkpoint_ledger.c restart=jobmanager/restart.c catalog=jobmanager/catalog.c jobs=jobmanager/master_jobs.c
members=jobmanager/master_members.c cluster=jobmanager/cluster.c supervisor=taskmanager/supervisor.c
worker=taskmanager/supervisor_worker.c reconcile=jobmanager/job_reconcile.c
mutant "a job ends before its workers" $job 's/if \(job->outcome \|\| job_workers_before\(job, JOB_WORKER_COMMITTED\)\) return;/if (job->outcome) return;/' "$@"
mutant "COMMIT before everybody has prepared" $workers 's/\|\| job_workers_before\(job, JOB_WORKER_PREPARED\)\) return;/|| job_workers_before(job, JOB_WORKER_PREPARED) > 1) return;/' "$@"
mutant "a cancel is accepted after COMMIT" $job '/^static void on_cancel/,/^}/s/if \(job->outcome == JOB_FINISHED.*$/if (false) {/' "$@"
mutant "a cancel dies with its JobManager" $recovery '/^void job_on_recover/,/^}/s/job->cancel_requested = r->cancel;//; /^void job_on_recover/,/^}/s/r->cancel/false/' "$@"
mutant "a cancel is told before it is stored" $job '/^static void on_cancel\(/,/^}/s/^    job->cancel_storing = true;/    accept(JOB_KEY_CANCEL, WEIR_OK, "", out);\n    job->cancel_storing = true;/' "$@"
mutant "COMMIT does not wait for a cancel" $workers '/^void job_commit/,/^}/s/^    if \(job->commit_waits\) return;//' "$@"
mutant "FINISHED when the first worker has committed" $job 's/^    if \(job->outcome \|\| job_workers_before\(job, JOB_WORKER_COMMITTED\)\) return;/    if (job->outcome) return;/; s/job_all_committed\(job\)/job->committing/' "$@"
mutant "nobody says that output is partly visible" $failure 's/if \(job->committing\) buffer_str\(&text, partly\);//' "$@"
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
mutant "an ended job is not stored as ended" $job '/^void job_conclude/,/^}/s/^    put_result\(job, out\);/    job_act(out, JOB_DO_ENDED); job_enter(job, outcome, ev);/' "$@"
mutant "files of a job that has ended stay" $checkpoints '/^void job_checkpoints_end/,/^}/s/ckpt_discard_all\(.*$//; /^void job_checkpoints_end/,/^}/s/job_act\(out, JOB_DO_END_STORAGE\);//' "$@"
mutant "an attempt is taken up before all of its workers are reported" $reconcile 's/ \|\| job_workers_before\(job, JOB_WORKER_RUNNING\)//' "$@"
mutant "a new leader restarts before all TaskManagers have reported" $members 's/if \(!cluster_find_id\(.*\)\) return false;/;/' "$@"
mutant "an attempt that was taken up hears nobody, for its workers name the leader before" $reconcile 's/job->attempt_epoch = w->epoch;/job->attempt_epoch = job->epoch;/' "$@"
mutant "workers that nobody wants are left alone" $members '/^static void on_report/,/^}/s/^    master_send\(m, s, &cancel\);//' "$@"
mutant "nobody hears of a worker that ended without a JobManager" $supervisor '/^static void on_registered/,/^}/s/^    workers_tell_gone\(s\);//' "$@"
mutant "a new leader begins its checkpoints with used numbers" $recovery 's/^    ckpt_used\(job->ckpt, r->counter\);//' "$@"
mutant "a worker that ignores CANCEL is left alone" $worker '/^void worker_cancel/,/^}/s/w->leave_ms = .*$//' "$@"
mutant "nobody watches for silent workers" $worker 's/w->heard_ms \+ s->config.worker_silence_ms/INT64_MAX/' "$@"
mutant "nobody watches for stalled steps" $worker 's/if \(msg->alive.stalled_ms <= w->progress_timeout_ms\) return;/return;/' "$@"
mutant "slots of the TaskManager are not freed" $worker 's/^    slots_release\(.*$//' "$@"
view=jobmanager/job_view.c
mutant "a request that is made again is carried out again" $checkpoints '/^void job_on_request/,/^}/s/= job->ckpt \? ckpt_find_request\(.*$/= NULL;/' "$@"
mutant "requests die with their JobManager" $recovery 's/^    for \(uint32_t i = 0; i < r->n_requests; i\+\+\) ckpt_recall.*$//' "$@"
mutant "a job ends before what became of its requests is stored" $coordinator 's/return c->state == CKPT_OFF \&\& !c->unrecorded;/return c->state == CKPT_OFF;/' "$@"
mutant "a stop whose job fails behind it is done" $coordinator 's/if \(ev->detach\.reason\) fail_stops\(c\);//' "$@"

# ---- several JobManagers ----
worlds=(--ensemble --seeds 100) test=sim/test_leader_stories.c
leadership=jobmanager/leadership.c tree=jobmanager/catalog_tree.c master=jobmanager/master.c report=taskmanager/supervisor_report.c
recover=jobmanager/master_catalog.c parts=jobmanager/catalog_parts.c listing=jobmanager/catalog_listing.c requests=jobmanager/catalog_requests.c
mutant "whether it leads is asked behind what is being written" $recover 's/CATALOG_CONFIRM, \.key = ""/CATALOG_GET, .key = "leader"/' "$@"
mutant "a JobManager leads before it has read the catalog" $tree 's/case CLAIMED: catalog_begin_listing\(t\); break;/case CLAIMED: t->state = CATALOG_TREE_SERVING; break;/' "$@"
mutant "a page of the catalog is left out" $listing 's/if \(more \&\& n\) \{/if (false) {/; s/\.path = bytes_text\(v->path\)\};/.path = bytes_text(v->path), .max = 2};/' "$@"
mutant "a job finishes while a cancel of it is stored" $job 's/^    if \(job->state == JOB_RUNNING \&\& job->cancel_storing\) return;.*$//' "$@"
mutant "a commit that waits for a cancel was never asked for" $reconcile 's/ \&\& !job->commit_waits//' "$@"
mutant "a large value is published before all of its parts" $parts 's/\+\+p->n_done <= catalog_note_parts\(\&p->note\)/++p->n_done <= 1/' "$@"
mutant "a new leader leaves parts of no value" $listing 's/!catalog_parts_known\(t, \&note\)/false/' "$@"
mutant "a new leader removes the parts of values" $listing 's/ \&\& !catalog_parts_known\(t, \&note\)//' "$@"
mutant "the parts of a value go before its successor is there" $tree '/^void catalog_carry_out/,/^}/s/^        catalog_parts_put\(t, order\);/    { catalog_parts_are(t, order->key, NULL); catalog_parts_put(t, order); }/' "$@"
mutant "who has lost its quorum goes on leading" $leadership 's/if \(l->role.epoch != l->epoch\)/if (false)/' "$@"
mutant "who does not lead takes TaskManagers" $members 's/if \(!master_leads\(m\)\) \{/if (false) {/' "$@"
mutant "a stop of its own is taken for silence of all others" $master 's/if \(late_ms > .*\) \{/if (false) {/' "$@"
mutant "who was stopped does not ask whether it still leads" $master 's/m->doubt = master_leads\(m\) .*$/m->doubt = DOUBT_NONE;/' "$@"
mutant "workers are not reported to a new leader" $supervisor 's/msg.reg.n_workers = .*;/msg.reg.n_workers = 0;/' "$@"
mutant "workers end with their JobManager" $supervisor 's/if \(lost\) s->leader_ms = s->now_ms \+ s->leader_wait_ms;/if (lost) s->leader_ms = s->now_ms;/' "$@"
mutant "the state of reported workers is forgotten" $report 's/w->report.state = WIRE_WORKER_IS_RUNNING;/;/' "$@"
mutant "a new leader begins its checkpoints with used numbers" $recovery 's/^    ckpt_used\(job->ckpt, r->counter\);//' "$@"
mutant "a new leader does not know what was triggered before it" $reconcile 's/^    job->triggered = w->triggered;//' "$@"
mutant "a job whose submission was listed is left out" $recover 's/^        master_adopt\(m, found\);/        if (!found->recovery.graph) master_adopt(m, found);/' "$@"
mutant "what a former leader had decided is written" $requests '/^struct op catalog_op_check/,/^}/s/\(int64_t\)t->leader_version/OP_ANY_VERSION/' "$@"
mutant "a cancel is accepted when the commit has failed" $job 's/bool lasts = !job->ckpt \|\| /bool lasts = /' "$@"

# ---- fences of a former leader, and conditions of the catalog ----
worlds=()
artifact=taskmanager/supervisor_artifact.c records=jobmanager/catalog_records.c artifacts=jobmanager/artifacts.c

test=unit/taskmanager/test_supervisor.c
mutant "a TaskManager obeys an older epoch" $supervisor 's/if \(msg\.epoch < s->epoch\) \{/if (false) {/' "$@"
mutant "a TaskManager obeys an older epoch in what names no job" $supervisor 's/if \(msg\.epoch < s->epoch\) \{/if (msg.epoch < s->epoch \&\& !id_is_zero(msg.job)) {/' "$@"
mutant "a TaskManager does not remember the newest epoch" $supervisor 's/^    s->epoch = msg\.epoch;//' "$@"
mutant "a DEPLOY that comes twice starts a worker twice" $supervisor 's/worker_find\(s, msg->job, msg->attempt\) \|\| worker_has_ended/worker_has_ended/' "$@"
mutant "a DEPLOY that comes late starts what has ended" $supervisor 's/ \|\| worker_has_ended\(s, msg->job, msg->attempt\)\) \{/) {/' "$@"
mutant "two attempts of a job run side by side" $supervisor '/^static void on_deploy/,/^}/s/if \(other\) \{/if (false) {/' "$@"
mutant "an order goes to whatever attempt runs" $supervisor '/^static void on_order/,/^}/s/worker_find\(s, msg->job, msg->attempt\)/worker_of_job(s, msg->job)/' "$@"
mutant "a TaskManager that stops takes work" $supervisor 's/if \(s->state != SUPERVISOR_REGISTERED\) \{/if (false) {/' "$@"
mutant "REGISTERED ends a stop" $supervisor '/^static void on_registered/,/^}/s/if \(s->state != SUPERVISOR_REGISTERING\) return;//' "$@"
mutant "NOT_LEADER counts for who is registered" $supervisor '/^static void on_not_leader/,/^}/s/if \(s->state != SUPERVISOR_REGISTERING\) return;//' "$@"
mutant "a new link has the name of the one before" $supervisor 's/derive\(s->config\.incarnation, \+\+s->n_incarnations\)/s->config.incarnation/' "$@"
mutant "half of a plugin outlives its link" $supervisor '/^static void on_link_dead/,/^}/s/artifact_drop_fetches\(s\);//' "$@"
mutant "who waits for a plugin outlives its link" $supervisor '/^static void on_link_dead/,/^}/s/workers_end_fetching\(s\);//' "$@"
mutant "chunks of another fetch are stored" $artifact 's/ \|\| msg->chunk\.offset != a->expected//' "$@"
mutant "chunks that nobody fetches are stored" $artifact '/^void artifact_chunk/,/^}/s/if \(!a \|\| a->state != ARTIFACT_FETCHING/if (!a/' "$@"
mutant "a worker speaks for another epoch" $worker 's/msg->epoch != w->epoch \|\| //' "$@"
mutant "a worker speaks for another attempt" $worker 's/msg->attempt != w->attempt \|\| //' "$@"
mutant "a worker speaks for another job" $worker 's/ \|\| !id_equal\(msg->job, w->job\)//' "$@"
mutant "the end of a worker is told for another epoch" $worker '/^static void forget/,/^}/s/tell_ended\(s, w->epoch/tell_ended(s, s->epoch/' "$@"
mutant "a worker is reported for another epoch" $report '/^void report_init/,/^}/s/\.epoch = w->epoch/.epoch = w->epoch + 1/' "$@"
mutant "a late TRIGGER takes a newer one back" $report 's/ \|\| msg->trigger\.id <= w->report\.triggered//' "$@"

test=unit/jobmanager/test_leadership.c
mutant "another epoch goes on with the same claim" $leadership 's/if \(l->role\.epoch != l->epoch\)/if (!l->role.leads)/' "$@"
mutant "who has lost the catalog leads" $leadership 's/return catalog_tree_state\(l->catalog\) == CATALOG_TREE_LOST \?.*$/return NULL;/' "$@"
mutant "a JobManager leads before the catalog serves" $leadership 's/ \|\| catalog_tree_state\(l->catalog\) != CATALOG_TREE_SERVING//' "$@"
mutant "nobody tells TaskManagers who leads" $leadership 's/^    if \(!l->news\) return LEADERSHIP_STAYS;/    return LEADERSHIP_STAYS;/' "$@"
mutant "a JobManager begins to lead again and again" $leadership 's/if \(l->leads \|\| catalog/if (catalog/' "$@"
mutant "who has led leads never again" $leadership 's/l->leads = l->news = false;/l->news = false;/' "$@"

test=unit/jobmanager/test_catalog_tree.c
mutant "an older epoch claims the catalog" $tree 's/if \(other > t->epoch\) \{/if (false) {/' "$@"
mutant "a claim that comes late is made" $tree '/^static void claim\(/,/^}/s/\(int64_t\)stat->version/OP_ANY_VERSION/' "$@"
mutant "a claim that was refused is one" $tree '/^static void take_step/,/^}/s/if \(in\.broken \|\| err\)/if (in.broken || (err \&\& purpose != CLAIMED))/' "$@"
mutant "a former leader writes" $requests '/^struct op catalog_op_check/,/^}/s/\(int64_t\)t->leader_version/OP_ANY_VERSION/' "$@"
mutant "a former leader makes folders" $tree '/^static void make_folder/,/^}/s/MADE_FOLDER, ops, 2/MADE_FOLDER, \&ops[1], 1/' "$@"
mutant "a former leader is not told" $tree '/^static void take_refusal/,/^}/s/if \(failed == 0\) \{/if (false) {/' "$@"
mutant "a value goes over any version" $tree 's/ops\[1\]\.version = .*$/ops[1].version = OP_ANY_VERSION;/' "$@"
mutant "what a peer without a quorum does not know was not done" $tree 's/CATALOG_REFUSED : CATALOG_UNKNOWN;/CATALOG_REFUSED : CATALOG_REFUSED;/' "$@"
mutant "what is read back is what its own peer has" $tree '/^static void read_node/,/^}/s/bytes_text\(path\)\}, true\)/bytes_text(path)}, false)/' "$@"
mutant "an answer to an earlier question confirms who leads" $tree 's/!t->confirming \|\| say->xid != t->confirming/!t->confirming/' "$@"
mutant "who does not know whether it leads takes it for yes" $tree '/^static void take_confirmed/,/^}/s/say->err \? CATALOG_UNKNOWN : //' "$@"
mutant "a closed connection is no end" $tree '/^void catalog_tree_closed/,/^}/s/lose\(.*$/(void)t;/' "$@"
mutant "who has lost the catalog hears" $tree '/^void catalog_tree_hear/,/^}/s/if \(t->state == CATALOG_TREE_LOST\) return;//' "$@"
mutant "who has lost the catalog speaks" $tree '/^bool catalog_tree_say/,/^}/s/if \(t->state == CATALOG_TREE_LOST\) return false;//' "$@"
mutant "who has lost the catalog orders" $tree '/^void catalog_tree_order/,/^}/s/if \(t->state == CATALOG_TREE_LOST\) return;//' "$@"
mutant "a folder that goes ends a leadership" $tree 's/purpose == LISTED_CHILDREN \|\| purpose == LISTED_DATA/purpose == LISTED_DATA/' "$@"

test=unit/jobmanager/test_catalog_parts.c
mutant "parts of a value that was replaced stay" $parts '/^void catalog_parts_are/,/^}/s/^        catalog_parts_remove\(.*$//' "$@"
mutant "what is ordered behind a large value overtakes it" $parts '/^static bool must_wait/,/^}/s/if \(beside\(p->key, key\)\) return true;/;/' "$@"
mutant "parts of a value that is in doubt go" $tree 's/\} else if \(outcome != CATALOG_UNKNOWN \&\& r->large\)/else if (r->large)/; s/else if \(outcome != CATALOG_UNKNOWN \&\& r->large\)/else if (r->large)/' "$@"
mutant "parts of a value that was refused stay" $parts '/^static void refuse/,/^}/s/^    catalog_parts_remove\(.*$//' "$@"
mutant "parts of a value that met a conflict stay" $tree '/^static void answer_write/,/^}/s/^        catalog_parts_remove\(.*$/        (void)r;/' "$@"
mutant "a former leader writes parts" $parts 's/WROTE_PART, ops, 2\)/WROTE_PART, \&ops[1], 1)/' "$@"
mutant "a part that is refused is taken for written" $parts 's/^    unsigned err = err_of\(say, \&deposed\);/    unsigned err = (err_of(say, \&deposed), 0);/' "$@"
mutant "nobody compares the checksum of a large value" $parts 's/return crc32c\(0, g->value.data, g->value.len\) == g->note.crc32c \? NULL : .*$/return NULL;/' "$@"
mutant "a part of another length is a part" $parts 's/ \|\| data\.length != catalog_note_part_bytes\(\&g->note, g->n_done\)\)/)/; s/g->torn \|\| g->value\.len != g->note\.length/g->torn/' "$@"
mutant "a note that makes no sense is a value" $listing 's/catalog_note_begins\(data\) \? .* : NULL\)/NULL)/' "$@"
mutant "what might be a note is put as it is" $tree 's/ \|\| catalog_note_begins\(order->value\)\)/)/' "$@"
mutant "a new leader removes what is not ours" $listing 's/return !strcmp\(catalog_note_folder.*$/return true;/' "$@"

test=unit/jobmanager/test_catalog.c
mutant "a put expects no version" $catalog 's/out->expected = version_of\(c, w->key\);/out->expected = 0;/' "$@"
mutant "what was stored is not known by its version" $catalog '/^static void on_ordered/,/^}/s/catalog_know\(.*$//' "$@"
mutant "an answer counts for any order" $catalog '/^void catalog_answer/,/^}/s/if \(w->number != answer->number\) continue;//' "$@"
mutant "an answer counts twice" $catalog '/^void catalog_answer/,/^}/s/if \(w->state == ORDERED\)/if (w->state != READING)/' "$@"
mutant "orders of one key overtake each other" $catalog '/^bool catalog_next/,/^}/s/ \|\| waits\(c, w\)\) continue;/) continue;/' "$@"
mutant "a refusal settles what an earlier order left in doubt" $catalog 's/^        w->in_doubt = true;$//' "$@"
mutant "a conflict is a refusal" $catalog 's/case CATALOG_CONFLICT: doubt\(w, now_ms\);/case CATALOG_CONFLICT: settle(w, WEIR_E_IO, answer->reason);/' "$@"
mutant "what cannot be read back was not done" $catalog '/^static void on_read/,/^}/s/doubt\(w, now_ms \+ CATALOG_RETRY_MS\);/w->state = WANTED;/' "$@"
mutant "a value of another JobManager is overwritten" $catalog 's/\} else if \(answer->version == version_of\(c, w->key\)\) \{/} else if (true) {/' "$@"
mutant "any value of the same length is ours" $catalog 's/ && !memcmp\(answer->value\.data, w->value\.data, w->value\.len\)//' "$@"
mutant "a value that only begins as ours is ours" $catalog 's/answer->value\.length == w->value\.len && //' "$@"
mutant "a value that is still there was deleted" $catalog 's/if \(w->kind == CATALOG_DELETE\) return answer->version == 0;/if (w->kind == CATALOG_DELETE) return true;/' "$@"

test=unit/jobmanager/test_records.c
for key in attempt counter pointers result cancel requests artifact; do
    mutant "two leaders put the same $key" $records "/^void records_$key/,/^}/s/pack_uint\(out, (job->)?epoch\)/pack_uint(out, 0)/" "$@"
done

test=unit/jobmanager/test_checkpoint.c
mutant "a pointer does not name the request that it fulfils" $coordinator 's/^    if \(request\) c->made\.request = request->id;//' "$@"
mutant "the next checkpoint does not wait for what became of a request" $coordinator 's/ \|\| c->unrecorded \|\| out->failure\.code/ || out->failure.code/' "$@"
mutant "a request is begun before it is stored" $coordinator 's/^        r->state = CKPT_REQUEST_STORING;/        r->state = CKPT_REQUEST_WAITING;/' "$@"
mutant "a request is told to be over before that is stored" $view 's/if \(request->state >= CKPT_REQUEST_DONE \&\& !request->recorded\)/if (false)/' "$@"

test=unit/jobmanager/test_master.c
mutant "who may be deposed hears TaskManagers" $master '/case MASTER_EV_PACKET:/{n;s/if \(!m->doubt\) //}' "$@"
mutant "who may be deposed gives orders" $master 's/if \(!m->doubt\) work\(m\);/work(m);/' "$@"
mutant "who may be deposed gives TaskManagers up" $master 's/if \(!m->doubt\) master_tick_links/master_tick_links/' "$@"
mutant "who may be deposed does not see that it was stopped again" $master 's/int64_t at = master_leads\(m\) \?.* : INT64_MAX, links/int64_t at = INT64_MAX, links/' "$@"
mutant "that nobody knows who leads ends the doubt" $recover 's/answer->outcome == CATALOG_COMMITTED \? DOUBT_NONE : DOUBT_BEGINS/DOUBT_NONE/' "$@"
mutant "who begins to lead is in no doubt" $recover 's/^    m->doubt = DOUBT_BEGINS;.*$//' "$@"
mutant "an answer from before the stop ends the doubt" $recover 's/UINT64_MAX - m->n_doubts\+\+/UINT64_MAX/' "$@"
mutant "who does not lead asks whether it does" $master 's/m->doubt = master_leads\(m\) \? DOUBT_BEGINS : DOUBT_NONE;/m->doubt = DOUBT_BEGINS;/' "$@"
mutant "words of a worker of an older epoch count" $members 's/msg->epoch != job->attempt_epoch/msg->epoch > job->attempt_epoch/' "$@"
mutant "words of a worker of a newer epoch count" $members 's/msg->epoch != job->attempt_epoch/msg->epoch < job->attempt_epoch/' "$@"
mutant "words of a worker of an older attempt count" $members 's/msg->attempt < job->attempt \|\| //' "$@"
mutant "words of a worker of a newer attempt count" $members 's/ \|\| msg->attempt > job->attempt//' "$@"
mutant "a worker of another attempt is taken up" $reconcile 's/ \|\| w->attempt != job->attempt\) return false;/) return false;/' "$@"
mutant "a worker is taken up when nobody waits for it" $reconcile 's/job->state != JOB_RECONCILING \|\| w->attempt/w->attempt/' "$@"
mutant "a worker of a later epoch is taken up" $reconcile 's/w->epoch > job->epoch \|\| //' "$@"
mutant "workers of two deployments make one attempt" $reconcile 's/ \|\| w->epoch != job->attempt_epoch\)/)/' "$@"
mutant "workers of attempts of two sizes make one" $reconcile 's/w->n_workers != job->n_workers \|\| //' "$@"
mutant "more workers than slots are taken up" $reconcile 's/ \|\| w->n_workers > job->n_slots\)/)/' "$@"
mutant "a part of an attempt is taken up twice" $reconcile 's/^    if \(job->n_workers && job->workers\[w->worker\]\.state != JOB_WORKER_MISSING\) return false;//' "$@"
mutant "a slot of an attempt is taken up twice" $reconcile 's/ \|\| \(job->n_workers && job->slot_worker\[w->slots\[i\]\] != NO_WORKER\)\) return false;/) return false;/' "$@"
mutant "a slot that the job does not have is taken up" $reconcile 's/w->slots\[i\] >= job->n_slots \|\| //' "$@"

test=unit/jobmanager/test_artifacts.c
mutant "a list of another epoch is taken" $artifacts 's/ \|\| epoch != a->epoch\)/)/' "$@"
mutant "a list of no epoch is taken" $artifacts 's/ \|\| epoch == 0//' "$@"
mutant "who leads takes a list" $artifacts 's/if \(a->leads \|\| epoch == 0/if (epoch == 0/' "$@"
mutant "an older list is taken" $artifacts 's/^    if \(version < a->version\) return.*$//' "$@"
mutant "a new leader's first list is older than the last of the one before" $artifacts '/^void artifacts_role/,/^}/s/a->version = 0;//' "$@"
mutant "plugins go before the new leader has named any" $artifacts '/^void artifacts_role/,/^}/s/a->named = false;//' "$@"
mutant "what a former leader has listed stays listed" $artifacts '/^void artifacts_role/,/^}/s/^    for \(.*disown.*$//' "$@"
mutant "a fetch from a former leader goes on" $artifacts '/^void artifacts_role/,/^}/s/a->fetch = .*$//' "$@"
mutant "answers to a former leadership count" $artifacts '/^void artifacts_role/,/^}/s/^    for \(.*followers.*$//' "$@"
mutant "late answers about plugins count" $artifacts '/^void artifacts_synced/,/^}/s/ \|\| f->number != number\)/)/' "$@"
mutant "answers about plugins count twice" $artifacts '/^void artifacts_synced/,/^}/s/f->number == 0 \|\| //' "$@"
mutant "answers about plugins count for another member" $artifacts '/^void artifacts_synced/,/^}/s/f->id != member \|\| //' "$@"
mutant "an answer to an older list makes a holder" $artifacts 's/if \(f->version == a->version\) note_holder/note_holder/' "$@"
mutant "bytes of another request are taken" $artifacts '/^bool artifacts_expects/,/^}/s/ && a->fetch\.number == number//' "$@"
mutant "bytes of another member are taken" $artifacts '/^bool artifacts_expects/,/^}/s/ && a->fetch\.member == member//' "$@"
mutant "bytes are taken twice" $artifacts '/^bool artifacts_expects/,/^}/s/a->fetch\.number != 0 && //' "$@"
mutant "what a former leadership has put is listed" $artifacts '/^void artifacts_kept/,/^}/s/ \|\| it->state != ARTIFACT_KEEPING\)/)/' "$@"
exit $failed
