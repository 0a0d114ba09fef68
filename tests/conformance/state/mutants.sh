#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Breaks the state code on purpose, one line at a time, and demands that the seeds, the named cases or test_write_out.c notice. A suite that lets broken state
# pass proves nothing about good state.
#
#     mutants.sh SOURCE-FOLDER SCRATCH-FOLDER SMALL-FOLDER COMPILER LIBRARY...
#
# MUTANT_ONLY=words: those whose name has the words; MUTANT_SEEDS=N.
# SMALL-FOLDER has the small_*.c of CMakeLists.txt. The objects stand before the libraries, so the linker takes them instead of the originals.
set -u
source=$1 scratch=$2 small=$3 compiler=$4
shift 4
SEEDS=${MUTANT_SEEDS:-120}
flags=(-std=gnu17 -O1 -g -w -D_GNU_SOURCE -DNDEBUG -DWEIR_VERSION="\"mutant\"" -I"$source" -I"$source/api/include")
here=tests/conformance/state
mkdir -p "$scratch"
[ -d /dev/shm ] && export TMPDIR=${TMPDIR:-/dev/shm}
failed=0

compile() { "$compiler" "${flags[@]}" -c -o "$1" "$2" 2>"$scratch/errors"; }

for part in property suite suite_files; do compile "$scratch/$part.o" "$source/$here/$part.c" || { cat "$scratch/errors"; exit 1; }; done
compile "$scratch/write_out.o" "$source/tests/unit/state/test_write_out.c" || { cat "$scratch/errors"; exit 1; }
compile "$scratch/temp_dir.o" "$source/tests/support/temp_dir.c" || { cat "$scratch/errors"; exit 1; }
for part in snapshot run evict write_out; do compile "$scratch/small_$part.o" "$small/small_$part.c" || { cat "$scratch/errors"; exit 1; }; done

# mutant NAME FILE SED-EXPRESSION: what the break means, where, how
mutant() {
    local name=$1 file=$2 expression=$3 original=$source/runtime/state/$2 objects=("$scratch/mutant.o")
    shift 3
    [[ $name == *${MUTANT_ONLY:-}* ]] || return
    [ -f "$small/small_$file" ] && original=$small/small_$file
    for part in snapshot run evict write_out; do [ "$part.c" = "$file" ] || objects+=("$scratch/small_$part.o"); done
    sed -E "$expression" "$original" >"$scratch/mutant.c"
    if cmp -s "$original" "$scratch/mutant.c"; then
        echo "STALE     $name: the expression no longer fits $file"
        failed=1
        return
    fi
    if ! compile "$scratch/mutant.o" "$scratch/mutant.c" ||
        ! "$compiler" -o "$scratch/property" "$scratch/property.o" "${objects[@]}" "$@" 2>"$scratch/errors" ||
        ! "$compiler" -Wl,--wrap=family_write_run -o "$scratch/write_out" "$scratch/write_out.o" "$scratch/temp_dir.o" "${objects[@]}" "$@" \
            2>"$scratch/errors" ||
        ! "$compiler" -o "$scratch/suite" "$scratch/suite.o" "$scratch/suite_files.o" "${objects[@]}" "$@" 2>"$scratch/errors"; then
        echo "BROKEN    $name: does not compile"
        head -5 "$scratch/errors"
        failed=1
        return
    fi
    if ! timeout 60 "$scratch/write_out" >"$scratch/lines" 2>&1; then
        echo "caught    $name (by a story: $(grep -E 'FAILED' "$scratch/lines" | head -1 | cut -c14-80))"
        return
    fi
    timeout 300 "$scratch/property" --count "$SEEDS" >"$scratch/lines" 2>&1
    local status=$?
    if [ $status = 124 ]; then
        echo "TOO SLOW  $name: $SEEDS seeds take more than 300 seconds"
        failed=1
    elif [ $status != 0 ]; then
        echo "caught    $name ($(grep -E '^seed |abort' "$scratch/lines" | head -1 | cut -c1-60))"
    elif ! timeout 120 "$scratch/suite" >"$scratch/lines" 2>&1; then
        echo "caught    $name (by a case: $(grep -E 'FAILED' "$scratch/lines" | head -1 | cut -c14-80))"
    else
        echo "SURVIVED  $name"
        failed=1
    fi
}

mutant "a dirty entry leaves memory without being written" evict.c \
    's/STAMP_KEPT \| STAMP_DIRTY \| STAMP_DELETED\)\) == STAMP_KEPT/STAMP_KEPT | STAMP_DELETED)) == STAMP_KEPT/' "$@"
mutant "the filter never hears of a key" evict.c 's/^    filter_add\(&s->filter.*$//' "$@"
mutant "a write-out overtakes a frozen run" write_out.c 's/^    if \(family_in_flight\(f\)\) \{/    if (false) {/' "$@"
mutant "a frozen run overtakes a write-out" snapshot.c 's/^    gate_wait\(&z->before->written\);/    if (!gate_is_open(\&z->before->written)) return WEIR_OK;/' "$@"
mutant "entries of a frozen run leave memory" write_out.c 's/ \|\| \(family_in_flight\(f\) && f->frozen->tag == tag\);/;/' "$@"
mutant "entries of a write-out leave memory before they are written" write_out.c 's/return \(w && w->family == f && w->tag == tag\) \|\|/return/' "$@"
mutant "a tombstone goes before its write-out" freeze.c 's/^    if \(store_in_flight\(s, e\)\) return true;//' "$@"
mutant "a tombstone is not written" freeze.c 's/(if \(e->stamp & STAMP_DELETED\)) return run_delete.*$/\1 return WEIR_OK;/' "$@"
mutant "a tombstone goes before the keeper knows" freeze.c 's/^    if \(!s->family->frozen->ingest\) \{$/    if (true) {/' "$@"
mutant "a removal does not look for what has left memory" store.c 's/^    e = insert\(s, key, stamp_of\(0, STAMP_DELETED.*$/    return;/' "$@"
mutant "a value expires a moment late" store.c 's/- time_ms >= ttl_ms;/- time_ms > ttl_ms;/' "$@"
mutant "a value that is made again is not zeroed" store.c 's/^    memset\(table_value\(e\), 0, s->table.value_size\);//' "$@"
mutant "a dropped pane is not forgotten" store.c 's/^    if \(forget && .*$//' "$@"
mutant "the last key group is not scanned" scan.c 's/o->last_group \+ 1u :/o->last_group :/' "$@"
mutant "what was written out early is in no snapshot" snapshot.c 's/weir_err err = bring_spills\(z, dir, diag\);/weir_err err = WEIR_OK;/' "$@"
mutant "a turn drops a file too many" snapshot.c 's/(items\[i\]\.epoch) >= (z->family->turn\.epoch)/\1 > \2/' "$@"
mutant "a turn passes by what did not change" snapshot.c 's/^    return !f->spilled \|\| !\(e->stamp & STAMP_KEPT\);/    return false;/' "$@"
mutant "a turn over the keeper skips keys between two pieces" snapshot.c \
    's/^    p\[key.length\] = 0;/    p[key.length] = 0, p[0]++;/' "$@"
mutant "a snapshot's ranges are not written" snapshot.c 's/z->n_ranges = f->n_ranges;/z->n_ranges = 0;/' "$@"
mutant "what waits is changed before it is copied" store.c 's/^    if \(store_waits\(s, e\) && store_copy_first\(s, e\)\).*$//' "$@"
mutant "what waits is removed before it is copied" store.c 's/^    if \(store_waits\(s, e\)\) \(void\)store_copy_first\(s, e\);//' "$@"
mutant "a pane goes before it is copied" store.c 's/^    if \(s->frozen.n && .*$//' "$@"
mutant "a tombstone lives again before it is copied" store.c 's/^    if \(store_mark_dirty\(s, e\)\) return NULL; \/\* first.*$//' "$@"
mutant "what a freeze has found may be written to without a look" freeze.c 's/^    if \(!s->family->options.ttl_ms\) s->fast_expect = .*$//' "$@"
mutant "a freeze does not turn the bit" snapshot.c 's/^    f->dirty \^= STAMP_DIRTY;//' "$@"
mutant "what is copied first has no prefix" freeze.c '/^weir_err store_copy_first/,/^}/ s/^    run_set_prefix\(.*$//' "$@"
mutant "copying forgets what changed meanwhile" freeze.c \
    's/^    entry_list_close\(&s->frozen, s->table.memory\);/    entry_list_close(\&s->dirty, s->table.memory), s->frozen = (struct entry_list){0};/' "$@"
mutant "what a freeze has found is looked at by halves" freeze.c 's/^    if \(\*bytes == 0\) return false;//' "$@"
mutant "a snapshot is written before all is copied" snapshot.c 's/^    gate_wait\(&z->copied\);//' "$@"
mutant "a write-out takes what waits" write_out.c \
    's/^    if \(store_waits\(s, e\)\) err = .*$//; s/^    \*ready = .*$/    *ready = writable(e);/' "$@"
mutant "a turn over memory ends one snapshot too soon" snapshot.c 's/^    z->turn_ended = .*$/    z->turn_ended = t->residents \&\& !t->spilled;/' "$@"
mutant "no checksum is compared" keyed_snapshot.c 's/^    if \(crc != file->crc32c\)/    if (false)/' "$@"
mutant "the files of a state apply in the wrong order" restore.c \
    's/(of_one_run\(&part->files\[i\], &part->files\[i \+ n\]\))/(false \&\& \1)/; s/part->files\[i \+ n\]\.name/part->files[part->n - 1 - i - n].name/' "$@"
mutant "another instance's keys are restored, too" family.c 's/^    return group >= first && group <= last && .*$/    return true;/' "$@"
mutant "what has overflowed stays behind a removal" table.c 's/^    bool passed = is_full\(&t->buckets\[hole\]\);/    bool passed = false;/' "$@"
mutant "ingestion writes into the files of a snapshot" rocks_ingest.c \
    's/^    flags\[WRITE_NUMBER\] = 0;//; s/ && memcmp\(before, after, \(size_t\)n_before\) == 0//; s/ && is_newest\(r, "2"\)//' "$@"
exit $failed
