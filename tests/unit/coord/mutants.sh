#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Breaks the coordination tree, its server and its files on purpose, one line at a time, and demands that a test notices each.
#
#     mutants.sh SOURCE-FOLDER SCRATCH-FOLDER COMPILER LIBRARY...
#
# A mutated object stands before the libraries, so the linker takes it instead of the original.
set -u
source=$1 scratch=$2 compiler=$3
shift 3
flags=(-std=gnu17 -O1 -w -D_GNU_SOURCE -I"$source" -I"$source/api/include")
mkdir -p "$scratch"
[ -d /dev/shm ] && export TMPDIR=/dev/shm
failed=0
libraries=("$@")

for t in model prep server disk; do
    "$compiler" "${flags[@]}" -c -o "$scratch/$t.o" "$source/tests/unit/coord/test_coord_$t.c" || exit 1
done

# mutant TEST FILE NAME SED-EXPRESSION: which test must notice, where, what the break means, how
mutant() {
    local test=$1 file=runtime/coord/$2 name=$3 expression=$4
    sed -E "$expression" "$source/$file" >"$scratch/mutant.c"
    if cmp -s "$source/$file" "$scratch/mutant.c"; then
        echo "STALE     $name: the expression no longer fits $file"
        failed=1
        return
    fi
    if ! "$compiler" "${flags[@]}" -o "$scratch/test" "$scratch/$test.o" "$scratch/mutant.c" "${libraries[@]}" 2>"$scratch/errors"; then
        echo "BROKEN    $name: does not compile"
        head -5 "$scratch/errors"
        failed=1
        return
    fi
    if (cd "$source" && timeout -s KILL 60 "$scratch/test" >"$scratch/lines" 2>&1) 2>/dev/null; then
        echo "SURVIVED  $name"
        failed=1
    else
        echo "caught    $name"
    fi
}

mutant model overlay.c "a failed multi keeps its first changes" 's/^        u->view->shape = u->shape;/        (void)0;/'
mutant model overlay.c "an overlay is forgotten with the first of two transactions" 's/if \(t\.view->touched == t\.order\) drop_view/if (t.view->touched <= t.order + 1) drop_view/'
mutant model overlay.c "what is under way is not looked at" 's/return v \? v->shape : shape_of/return shape_of/'
mutant prep overlay.c "the end of a session forgets ephemerals under way" 's/if \(ephemeral_of\(&v->shape, session\)\) put_bytes.*$/(void)v;/'
mutant model prep.c "permission is asked of the node, not of its parent" '/^static enum coord_err prepare_delete/,/^}/s/permitted\(d, &parent, ACL_DELETE\)/permitted(d, \&s, ACL_DELETE)/'
mutant model prep.c "a quota is looked at in its own node alone" '/^static enum coord_err room_above/,/^}/s/if \(err \|\| path_is_root\(path\)\) return err;/return err;/'
mutant model prep.c "what goes is not taken off the usage" '/^static void remove_node/,/^}/s/^    use\(.*$//'
mutant model prep.c "versions are not compared" 's/wanted == OP_ANY_VERSION \|\|/true ||/'
mutant model prep.c "sequence numbers follow the children" 's/parent\.sequence\);/(uint64_t)parent.n_children);/'
mutant model prep.c "a repeated request is carried out again" 's/if \(q->xid <= lease->xid\) return PREP_DUPLICATE;//'
mutant prep prep.c "sessions that have ended may still write" 's/if \(!lease \|\| lease->closing\) return PREP_NOTHING;/if (!lease) return PREP_NOTHING;/'
mutant prep prep.c "a transaction may have any size" 's/d->txn->len \+ WRITE_HEAD_BYTES > d->p->limits->txn/false/'
mutant prep prep.c "a reply may have any size" 's/d->reply > d->p->limits->reply/false/'
mutant prep prep.c "a container goes before it was used" 's/\? s->cversion > 0/? true/'
mutant model image.c "what changes is not written first" '/^void image_before_change/,/^}/s/if \(b\) take\(m, n, b\);/(void)b;/'
mutant model image.c "a child may come before its parent" 's/^    if \(n->parent\) image_before_change\(m, n->parent\);.*$//'
mutant model image.c "what is new is taken, too" '/^static bool walk/,/^}/s/if \(n->image < m->id\) take/if (n->image <= m->id) take/'
mutant model tree.c "a restored node is not in its session's list" '/^struct node \*tree_restore/,/^}/s/if \(list\) TAILQ_INSERT_TAIL.*$//'
mutant model children.c "children are found by their length alone" '/^struct node \*children_after/,/^}/s/> 0\)/>= 0)/'
mutant model txn.c "a transaction is applied twice" 's/out->skipped = .*$/out->skipped = false;/'
mutant prep lease.c "a jump of time ends sessions" 's/if \(passed > LEASE_STALL_MS\) l->jump_ms \+= passed;//'
mutant prep session.c "outcomes are never dropped" 's/->xid <= acked\) drop_oldest/->xid < 0) drop_oldest/'
mutant server server_deliver.c "replies go out before events" 's/^    tell_watches\(s, ev->zxid\);/    answer(s, \&s->applied.txn);\n    tell_watches(s, ev->zxid);/'
mutant server connection.c "a read does not wait for writes before it" '/^void connection_run/,/^}/s/if \(q->state != REQUEST_ANSWERED\) return;/if (q->state != REQUEST_ANSWERED) { q = STAILQ_NEXT(q, next); if (!q) return; if (q->state == REQUEST_WAITING) serve(s, c, q); return; }/'
mutant server server_ask.c "a repeated write is not looked up" 's/if \(ask->xid <= session->last_xid\)/if (false)/'
mutant server server_ask.c "any password will do" 's/if \(!session_admits\(session, ask->password, key_of\(c\)\)\)/if (false)/'
mutant server session.c "a session is anybody's who knows its password" 's/return digest_equal\(session->password, session_digest\(password, key\)\);/return digest_equal(session->password, session_digest(password, (struct weir_bytes){0}));/'
mutant server server_ask.c "a peer serves a client that is ahead of it" 's/if \(zxid_cmp\(ask->seen, s->state->last\) > 0\)/if (false)/'
mutant server server_ask.c "a sync is answered at once" 's/case ASK_SYNC: begin_barrier\(s, q\); break;/case ASK_SYNC: break;/'
mutant server server_ask.c "nothing is sent again to a new leader" '/^void ask_again/,/^}/s/forward_write\(s, c, &ask\);/(void)0;/'
mutant server server_lead.c "the former peer of a session may go on" 's/ \|\| lease->peer != peer\) return PREP_NOTHING/) return PREP_NOTHING/'
mutant server server_lead.c "touches of peers are not heard" '/^void lead_touched/,/^}/s/if \(lease && lease->peer == peer\) lease_touch/if (false) lease_touch/'
mutant server server.c "without a leader requests wait for ever" '/^static bool too_long/,/^}/s/return .*$/return false;/'
mutant server watch.c "a persistent watch fires once" '/^static uint8_t one_shot/,/^}/s/WATCH_CHILD : WATCH_DATA;/WATCH_CHILD | WATCH_PERSISTENT : WATCH_DATA | WATCH_PERSISTENT;/'
mutant server watch.c "a removed watch takes the others of its path along" '/^bool watch_remove/,/^}/s/watch->kinds & \(uint8_t\)~kinds/0/'
mutant server server_get.c "missed events of persistent watches are not told" '/^static void replay/,/^}/s/if \(watcher_missed/if (false \&\& watcher_missed/'
mutant server server_get.c "a watch that comes back does not fire" 's/return since\(n->pzxid, seen\) \? EVENT_CHILDREN : 0;/return 0;/'
mutant server recall.c "events from before the floor are taken for all" '/^static void drop_oldest/,/^}/s/r->floor = e->zxid;//'
mutant disk segment.c "damage is cut like a torn tail" 's/if \(rec\.durable > at\) return damaged/if (false) return damaged/'
mutant disk segment.c "a torn batch is taken for damage" 's/if \(rec\.durable > at\) return damaged/return damaged/'
mutant disk segment.c "what is cut may come back" '/^weir_err segment_scan/,/^}/s/if \(!err && cut\) err = drop_tail.*$//'
mutant disk log_file.c "a missing segment is not noticed" '/^static weir_err check_chain/,/^}/s/zxid_eq\(s->prev, before\)/true/'
mutant disk log_file.c "reading misses what is not yet written" '/^weir_err log_file_read/,/^}/s/write_pending\(l, diag\)/WEIR_OK/'
mutant disk disk.c "a log without epochs begins anew" 's/if \(!err && n > 0\)/if (false)/'
mutant disk disk.c "a folder may have two owners" 's/flock\(d->lock, LOCK_EX \| LOCK_NB\) == 0/true/'
mutant disk disk.c "old generations stay" '/^static weir_err sweep_one/,/^}/s/if \(name\.generation == s->disk->epochs\.generation\)/if (true)/'
mutant disk disk.c "the log is cut below a snapshot" 's/if \(d->n_snapshots > 0 && zxid_cmp\(to, d->snapshots/if (false \&\& zxid_cmp(to, d->snapshots/'
mutant disk snapshot_file.c "a slice's checksum is not compared" 's/if \(crc32c\(0, r->bytes\.data, length\) != crc\)/if (false)/'
exit $failed
