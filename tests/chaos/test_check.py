#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The checker against outputs that are broken by hand: each break must be counted as what it is, and a right output as nothing."""
import os
import random
import tempfile
import unittest

import check

SPLITS, KEYS, NUMBERS = 3, 7, 450  # of each split: four and a half spans


def right_output(order_seed):
    """Rows of a run in which the splits are read in some order: {"chain": [row ...], "windows": ..., "slots": ...}."""
    chooser = random.Random(order_seed)
    left = [0] * SPLITS
    last = {key: (0, 0) for key in range(KEYS)}
    chain = []
    while any(seq < NUMBERS for seq in left):
        split = chooser.choice([s for s in range(SPLITS) if left[s] < NUMBERS])
        seq = left[split]
        left[split] += 1
        key = check.key_of(split, seq, KEYS)
        n, value = last[key]
        last[key] = (n + 1, check.link(value & check.MASK, split, seq))
        chain.append((key, n + 1, split, seq, last[key][1]))
    spans = [(key, start, *total) for (key, start), total in check.expected_spans(dict.fromkeys(range(SPLITS), NUMBERS), KEYS).items()]
    return {"chain": chain, "windows": list(spans), "slots": list(spans)}


class Broken(unittest.TestCase):
    def setUp(self):
        self.rows = right_output(order_seed=1)

    def counts(self, complete=True):
        with tempfile.TemporaryDirectory() as folder:
            for name, rows in self.rows.items():
                os.mkdir(os.path.join(folder, name))
                half = len(rows) // 2
                for part, some in enumerate((rows[:half], rows[half:])):
                    with open(os.path.join(folder, name, f"part-{part}"), "w", encoding="ascii") as f:
                        f.writelines(row if isinstance(row, str) else ",".join(map(str, row)) + "\n" for row in some)
                with open(os.path.join(folder, name, ".hidden"), "w", encoding="ascii") as f:
                    f.write("not looked at\n")
            return check.check_folder(folder, SPLITS, KEYS, complete)

    def found(self, complete=True):
        """Names of the faults that are counted."""
        counts = self.counts(complete)
        return {fault for fault in check.FAULTS if counts[fault]}

    def row_of(self, split, seq):
        return next(i for i, row in enumerate(self.rows["chain"]) if row[2:4] == (split, seq))

    def test_right_in_any_order(self):
        for seed in range(5):
            self.rows = right_output(seed)
            counts = self.counts()
            self.assertTrue(check.is_clean(counts), counts)
            self.assertEqual(counts["rows"], SPLITS * NUMBERS)

    def test_a_row_that_is_missing(self):
        del self.rows["chain"][self.row_of(1, 100)]
        self.assertIn("lost", self.found())

    def test_a_row_at_the_end_of_its_key_that_is_missing(self):
        last = {row[0]: i for i, row in enumerate(self.rows["chain"])}
        i = next(i for i in last.values() if self.rows["chain"][i][3] < NUMBERS - 1)
        del self.rows["chain"][i]
        self.assertIn("lost", self.found())

    def test_a_row_that_is_there_twice(self):
        self.rows["chain"].append(self.rows["chain"][self.row_of(2, 7)])
        self.assertEqual(self.found(), {"doubled"})

    def test_a_record_that_was_processed_twice(self):
        """The state went on from it, so places and hashes follow: only the number tells."""
        key, n, split, seq, value = next(row for row in reversed(self.rows["chain"]) if row[0] == 3)
        self.rows["chain"].append((key, n + 1, split, seq, check.link(value & check.MASK, split, seq)))
        self.assertEqual(self.found(), {"doubled"})

    def test_a_record_that_was_never_processed(self):
        """Places and hashes follow without it."""
        self.rows["chain"] = []
        last = {key: (0, 0) for key in range(KEYS)}
        for seq in range(NUMBERS):
            for split in range(SPLITS):
                if (split, seq) == (1, 200):
                    continue
                key = check.key_of(split, seq, KEYS)
                n, value = last[key]
                last[key] = (n + 1, check.link(value & check.MASK, split, seq))
                self.rows["chain"].append((key, n + 1, split, seq, last[key][1]))
        self.assertEqual(self.counts()["lost"], 1)

    def test_records_in_another_order(self):
        """Two numbers of one split and key change places, before the hashes are made."""
        numbers = [(row[2], row[3]) for row in self.rows["chain"] if row[0] == 5]
        first, second = [i for i, (split, _) in enumerate(numbers) if split == 0][:2]
        numbers[first], numbers[second] = numbers[second], numbers[first]
        chain, value = [], 0
        for i, (split, seq) in enumerate(numbers):
            value = check.link(value & check.MASK, split, seq)
            chain.append((5, i + 1, split, seq, value))
        self.rows["chain"] = [row for row in self.rows["chain"] if row[0] != 5] + chain
        self.assertEqual(self.found(), {"reordered"})

    def test_a_state_that_went_back(self):
        i = self.row_of(0, 50)
        key, n, split, seq, value = self.rows["chain"][i]
        self.rows["chain"][i] = (key, n, split, seq, value ^ 1)
        self.assertEqual(self.found(), {"wrong"})

    def test_a_record_at_the_wrong_key(self):
        i = self.row_of(0, 50)
        key, *rest = self.rows["chain"][i]
        self.rows["chain"][i] = ((key + 1) % KEYS, *rest)
        self.assertIn("wrong", self.found())

    def test_a_half_line(self):
        self.rows["windows"].append("3,4000")
        self.assertIn("torn", self.found())

    def test_spans(self):
        for folder in ("windows", "slots"):
            with self.subTest(folder):
                self.rows = right_output(1)
                gone = self.rows[folder].pop(3)
                self.assertEqual(self.found(), {"lost"})
                self.assertEqual(self.found(complete=False), {"lost"})
                self.rows[folder] += [gone, gone]
                self.assertEqual(self.found(), {"doubled"})
                self.rows[folder].pop()
                self.rows[folder][-1] = (*gone[:2], gone[2] - 1, gone[3])
                self.assertEqual(self.found(), {"wrong"})

    def test_the_last_spans_may_be_open_while_it_runs(self):
        for folder in ("windows", "slots"):
            self.rows[folder] = [row for row in self.rows[folder] if row[1] < 3000]
        self.assertEqual(self.found(complete=False), set())
        self.assertEqual(self.found(complete=True), {"lost"})

    def test_a_file_that_is_shown_too_early(self):
        """Its rows come again, from the checkpoint it did not wait for."""
        self.rows["chain"] += self.rows["chain"][-40:]
        self.assertEqual(self.found(), {"doubled"})


if __name__ == "__main__":
    unittest.main()
