#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Counts what is wrong in the output of the verifier job (jobs/verify.c).

    check.py DIR --splits S --keys K [--complete]

Reads the committed files (names that begin with neither '.' nor '_') of DIR/chain, DIR/windows, DIR/slots, computes everything anew and
prints one JSON object of counts; all but `rows` and `spans` must be 0:

    lost       numbers of a split below its greatest one, places of a key below its greatest one, spans that must have been closed
    doubled    a number, a place or a span that stands there more than once
    reordered  numbers of one split that a key has in another order
    wrong      a hash that does not follow from the row before, a key or a total that is not the computed one
    torn       lines that are none

--complete: the job's input has ended (finished, or stopped with drain), so every span must be there. Exit status 1: something is wrong.
"""
import argparse
import collections
import json
import os
import sys

MASK = (1 << 64) - 1
STEP_MS = 10
SPAN_MS = 1000
FOLDERS = ("chain", "windows", "slots")
FAULTS = ("lost", "doubled", "reordered", "wrong", "torn")


def mix(z):
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK
    return z ^ z >> 31


def name_of(split, seq):
    return mix(split << 48 ^ seq)


def key_of(split, seq, keys):
    return name_of(split, seq) % keys


def link(last_hash, split, seq):
    """The hash of a key's chain behind one more number, as the signed integer that is printed."""
    z = mix((last_hash + name_of(split, seq)) & MASK)
    return z - (1 << 64) if z >> 63 else z


def committed_files(folder):
    """Paths of the files that readers may look at, sorted."""
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    return [os.path.join(folder, n) for n in names if n[0] not in "._"]


def read_rows(paths, columns, counts):
    rows = []
    for path in paths:
        try:
            with open(path, encoding="ascii", errors="replace") as f:
                text = f.read()
        except FileNotFoundError:  # a file that was visible went away
            counts["lost"] += 1
            continue
        if text and not text.endswith("\n"):
            counts["torn"] += 1
        for line in text.splitlines():
            try:
                row = tuple(int(x) for x in line.split(","))
            except ValueError:
                row = ()
            if len(row) == columns:
                rows.append(row)
            else:
                counts["torn"] += 1
    return rows


def check_numbers(rows, keys, splits, counts):
    """Every number of each split exactly once, from 0 to the greatest. Returns how many each split has."""
    seen = collections.Counter((split, seq) for _, _, split, seq, _ in rows)
    counts["doubled"] += sum(n - 1 for n in seen.values())
    reached = {split: 0 for split in range(splits)}
    for split, seq in seen:
        if split not in reached or seq < 0:
            counts["wrong"] += 1
        else:
            reached[split] = max(reached[split], seq + 1)
    for split, end in reached.items():
        counts["lost"] += sum((split, seq) not in seen for seq in range(end))
    counts["wrong"] += sum(key != key_of(split, seq, keys) for key, _, split, seq, _ in rows)
    return reached


def check_chain(chain, counts):
    """One key's rows: places 1, 2, ... each once, each split's numbers ascending, each hash following from the one before."""
    chain.sort()
    before_n, before_hash, last_of = 0, 0, {}
    for _, n, split, seq, value in chain:
        if n == before_n:
            counts["doubled"] += 1
            continue
        counts["lost"] += n - before_n - 1
        if n == before_n + 1 and link(before_hash & MASK, split, seq) != value:
            counts["wrong"] += 1
        if seq < last_of.get(split, -1):
            counts["reordered"] += 1
        last_of[split] = max(seq, last_of.get(split, -1))
        before_n, before_hash = n, value


def expected_spans(reached, keys):
    spans = collections.defaultdict(lambda: [0, 0])
    for split, end in reached.items():
        for seq in range(end):
            total = spans[key_of(split, seq, keys), seq * STEP_MS // SPAN_MS * SPAN_MS]
            total[0] += 1
            total[1] += seq
    return spans


def check_spans(rows, reached, expected, complete, counts):
    """
    A span that is there must be right: it closed when all splits had passed it, so what is committed has all its numbers. Until the input
    has ended, spans near its end may be missing; those below the greatest one that is there may not.
    """
    seen = collections.Counter((key, start) for key, start, _, _ in rows)
    counts["doubled"] += sum(n - 1 for n in seen.values())
    for key, start, count, total in rows:
        if expected.get((key, start)) != [count, total]:
            counts["wrong"] += 1
    closed = max((start for _, start in seen), default=-1)
    counts["lost"] += sum((complete or start < closed) and (key, start) not in seen for key, start in expected)


def check(paths_of, splits, keys, complete):
    """paths_of: {"chain": [path ...], "windows": ..., "slots": ...}. Returns the counts."""
    counts = dict.fromkeys(FAULTS, 0)
    rows = read_rows(paths_of["chain"], 5, counts)
    reached = check_numbers(rows, keys, splits, counts)
    chains = collections.defaultdict(list)
    for row in rows:
        chains[row[0]].append(row)
    for chain in chains.values():
        check_chain(chain, counts)
    expected = expected_spans(reached, keys)
    counts["spans"] = 0
    for folder in FOLDERS[1:]:
        spans = read_rows(paths_of[folder], 4, counts)
        check_spans(spans, reached, expected, complete, counts)
        counts["spans"] += len(spans)
    counts["rows"] = len(rows)
    return counts


def check_folder(output, splits, keys, complete):
    return check({f: committed_files(os.path.join(output, f)) for f in FOLDERS}, splits, keys, complete)


def is_clean(counts):
    return not any(counts[fault] for fault in FAULTS)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output")
    parser.add_argument("--splits", type=int, required=True)
    parser.add_argument("--keys", type=int, required=True)
    parser.add_argument("--complete", action="store_true")
    args = parser.parse_args()
    counts = check_folder(args.output, args.splits, args.keys, args.complete)
    print(json.dumps(counts))
    return 0 if is_clean(counts) else 1


if __name__ == "__main__":
    sys.exit(main())
