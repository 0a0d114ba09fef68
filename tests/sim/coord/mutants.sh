#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Breaks the cores of Zab on purpose, one line at a time, and demands that the simulated ensemble notices each within SEEDS seeds, or else its
# stories or the unit tests of a phase do. Numbers are those of real bugs of ZooKeeper with the same cause.
#
#     mutants.sh SOURCE-FOLDER SCRATCH-FOLDER COMPILER LIBRARY...
#
# The libraries are those of the sim_coord target. A mutated object stands before them, so the linker takes it instead of the original.
set -u
source=$1 scratch=$2 compiler=$3
shift 3
libraries=("$@")
SEEDS=${SEEDS:-5000}
ONLY=${ONLY:-}
flags=(-std=gnu17 -O1 -w -D_GNU_SOURCE -DNDEBUG -I"$source" -I"$source/api/include")
mkdir -p "$scratch"
failed=0 n=0

# build PROGRAM SOURCE [LIBRARY]: with the mutated object
build() {
    "$compiler" "${flags[@]}" -o "$scratch/$1" "$source/$2" "$scratch/mutant.c" "${libraries[@]}" "${@:3}" 2>"$scratch/errors"
}

# noticed PROGRAM ARGUMENT...: it fails, or does not end
noticed() {
    local status
    status=$(timeout 240 "$@" >"$scratch/lines" 2>&1; echo $?) 2>/dev/null
    [ "$status" != 0 ] || return 1
    echo "caught    $name ($(grep -aE '^seed |^[./a-z_]+\.c:|assert|FAILED' "$scratch/lines" | head -1 | cut -c1-140))"
}

# mutant NAME FILE SED-EXPRESSION: what the break means, where, how
mutant() {
    local name=$1 file=$source/runtime/coord/$2 expression=$3
    [[ $name == *$ONLY* ]] || return
    n=$((n + 1))
    sed -E "$expression" "$file" >"$scratch/mutant.c"
    if cmp -s "$file" "$scratch/mutant.c"; then
        echo "STALE     $name: the expression no longer fits $2"
        failed=1
        return
    fi
    if ! build sim tests/sim/coord/sim_coord.c; then
        echo "BROKEN    $name: does not compile"
        head -5 "$scratch/errors"
        failed=1
        return
    fi
    if noticed "$scratch/sim" --seeds "$SEEDS"; then return; fi
    build stories tests/sim/coord/test_coord_stories.c -lcmocka
    if noticed "$scratch/stories"; then return; fi
    for phase in election discovery synchronisation broadcast reads reconfig; do
        build unit tests/unit/coord/test_zab_$phase.c -lcmocka
        if noticed "$scratch/unit"; then return; fi
    done
    echo "SURVIVED  $name"
    failed=1
}

# ---- the disk ----
mutant "3911, 4646: NEW_LEADER is answered before the history is on disk" synchronisation.c \
    's/zab_log_epochs\(z, DISK_ADOPT\); \/\* behind.*/zab_log_epochs(z, DISK_TRUNCATE); sync_adopted(z);/'
mutant "4643: the current epoch goes to disk before the history" synchronisation.c \
    '/^void sync_on_sync/,/^}/s/z->synced = true;/z->synced = true; z->current = z->epoch; zab_log_epochs(z, DISK_TRUNCATE);/'
mutant "entries are acknowledged before they are on disk" synchronisation.c \
    '/^void sync_on_entry/,/^}/s/broadcast_on_commit/z->durable = m->zxid; if (z->phase >= PHASE_JOINED) broadcast_acknowledge(z); broadcast_on_commit/'
mutant "the leader counts itself before its own fsync" broadcast.c 's/z->adopted && zxid_cmp\(z->durable, zxid\) >= 0/true/'
mutant "a promise is given before it is on disk" discovery.c \
    '/^void discovery_on_epoch/,/^}/s/zab_log_epochs\(z, DISK_PROMISE\);/zab_log_epochs(z, DISK_TRUNCATE); promise(z, true);/'
mutant "4712: a write of an earlier role counts for this one" actions.c 's/bool mine = w->generation == z->generation;/bool mine = z->role == ZAB_FOLLOWING || z->role == ZAB_LEADING;/'
mutant "5094: the log in memory is cut, the one on disk is not" actions.c \
    '/^void zab_log_truncate/,/^}/s/struct zab_action \*a = zab_act\(z, ZAB_DO_TRUNCATE\);/struct zab_action *a = zab_act(z, ZAB_DO_SET_EPOCHS); a->epochs.accepted = z->accepted; a->epochs.current = z->current;/'
mutant "what was truncated still counts as durable" actions.c \
    's/if \(history_holds\(&z->history, w->zxid\)\) z->durable = w->zxid;/z->durable = w->zxid;/; s/z->durable = zxid_min\(z->durable, to\);//'
mutant "2307: the epochs are not recovered together" recovery.c 's/r->accepted = accepted;/r->accepted = current;/'

# ---- discovery ----
mutant "an epoch is promised twice" discovery.c 's/promise\(z, false\);/promise(z, true);/; s/return p->learner.accepted == z->epoch \&\& .*/return false;/'
mutant "an older epoch is promised" discovery.c 's/if \(m->epoch < z->accepted\)/if (false)/; s/return true;$/return false;/'
mutant "a leader does not care whose log is newer" discovery.c 's/&& newer\(m->epoch, m->zxid, z\)/\&\& false/'
mutant "newer means longer, whatever the epochs" discovery.c 's/return epoch != z->current \? epoch > z->current : (.*);/return \1;/'
mutant "a follower that promised a later epoch is never let in" discovery.c 's/return true;$/return false;/'
mutant "promises of observers count" members.c '/^bool members_quorum/,/^}/s/members_votes\(m, set->ids\[i\]\)/(members_find(m, set->ids[i]) != NULL)/'
mutant "half the voters are a quorum" members.c 's/n > members_voters\(m\) \/ 2/n >= members_voters(m) \/ 2/'

# ---- synchronisation ----
mutant "a divergent tail is kept" synchronisation.c 's/if \(m->flag\) zab_log_truncate\(z, m->zxid\);//'
mutant "3104: NEW_LEADER overtakes the history" synchronisation.c 's/ \|\| zxid_cmp\(l->sent, l->target\) < 0\) return;/) return;/'
mutant "2846: a log that does not reach back is taken for one that does" history.c 's/if \(zxid_cmp\(common, h->floor\) < 0\) return false;//'
mutant "4925: what is not in memory is left out of the stream" history.c 's/ \|\| zxid_cmp\(zxid, slot\(h, 0\)->prev\) < 0\) return NULL;/) return NULL;/'
mutant "the common point is the end of the leader's epoch" history.c 's/mine->last < spans\[i\].last \? mine->last : spans\[i\].last/mine->last/'
mutant "a leader is established by itself" synchronisation.c '/^static void count_joined/,/^}/s/if \(zab_quorum\(z, &set\)\) establish/establish/'
mutant "the history of a new leader is not committed" synchronisation.c 's/broadcast_commit_to\(z, z->history.last\);//'
mutant "3642: a snapshot replaces the state, not the log" synchronisation.c 's/history_reset\(&z->history, zxid\);//'
mutant "an old snapshot is delivered upon from the beginning" synchronisation.c 's/z->commit = z->delivered = zxid;/z->commit = zxid;/'

# ---- broadcast ----
mutant "4685: acknowledgements count before the follower has joined" broadcast.c \
    '/^static struct zab_set holders/,/^}/s/l->stage == LEARNER_JOINED/l->stage >= LEARNER_STREAMING/'
mutant "2845: what is appended is delivered, committed or not" delivery.c 's/zxid_cmp\(z->delivered, z->commit\) < 0; n\+\+/zxid_cmp(z->delivered, z->history.last) < 0; n++/'
mutant "4394: a commit overtakes its entry" broadcast.c 's/zxid_min\(z->commit, z->peers\[i\].learner.sent\)/z->commit/'
mutant "what was read is delivered though the log was cut since" delivery.c 's/ && history_holds\(&z->history, entry->zxid\)//'

# ---- reads ----
mutant "1675: a leader answers reads by itself" reads.c 's/\.nonce = z->ping \+ 1/.nonce = 0/'
mutant "a ping sent before the read was asked confirms it" reads.c 's/\.nonce = z->ping \+ 1/.nonce = z->ping/'
mutant "a follower reads before it has caught up" reads.c 's/if \(zxid_cmp\(z->delivered, b->zxid\) < 0\) return false;//'
mutant "a follower answers its own reads" reads.c 's/\.nonce = ASKED\}/.nonce = 0}/'

# ---- election ----
mutant "a leader that hangs is believed for ever" election.c 's/if \(p->voted && p->vote.state == ZAB_VOTE_LEADING\) p->voted = false;//'
mutant "1732: only those of the same round join" election.c 's/p->vote.state != ZAB_VOTE_LEADING \|\|/p->vote.state != ZAB_VOTE_LEADING || p->vote.round != z->round ||/'
mutant "a leader without a quorum goes on" peer.c 's/if \(z->now_ms - z->quorum_ms >= z->config.sync_timeout_ms\)/if (false)/'
mutant "a follower waits for ever" peer.c 's/if \(z->now_ms - z->heard_ms >= z->config.sync_timeout_ms\)/if (false)/'
mutant "votes for the dead stay" election.c 's/\(z->leader == p->id \|\| \(z->role == ZAB_LOOKING && z->vote.leader == p->id\)\)/(z->leader == p->id)/'
mutant "a candidate out of reach is waited for" election.c 's/&& out_of_reach\(z\)/\&\& false/'
mutant "nobody tells those who come late" election.c 's/if \(up\) election_tell\(z, p\);//; s/\} else if \(looking\) \{/} else if (false) {/'

# ---- members ----
mutant "new members are not asked" broadcast.c 's/ \|\| members_quorum\(&z->pending, &set\)/ || true/'
mutant "old members are not asked" broadcast.c 's/if \(!members_quorum\(&z->active, &set\)\) return false;/if (!zab_has_pending(z) \&\& !members_quorum(\&z->active, \&set)) return false;/'
mutant "elections do not know of pending members" peer.c 's/ && \(!zab_has_pending\(z\) \|\| members_quorum\(&z->pending, set\)\)//'
mutant "3829: new members are in force before they are committed" reconfig.c 's/^    z->pending = \*m;/    z->active = *m;/'
mutant "members outlive the entry that named them" actions.c '/^void zab_log_truncate/,/^}/s/if \(zxid_cmp\(z->pending.version, to\) <= 0\) return;/return;/'
mutant "members in the log are forgotten by a restart" recovery.c 's/r->pending = members;//'
mutant "a leader that is no longer a member goes on" reconfig.c 's/!zab_is_member\(z, z->config.id\) \|\| \(z->role == ZAB_LEADING && !votes\)/false/'
mutant "newcomers are never told" reconfig.c 's/^    tell_everybody\(z\);//'
mutant "3829: voters are added that do not follow" reconfig.c 's/if \(!can_commit\(z, &next\)\) return ZAB_NO_QUORUM;//'
echo "$n mutants"
exit $failed
