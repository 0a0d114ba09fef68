# SPDX-License-Identifier: Apache-2.0
"""Runs the Nexmark job by nexmark_run, and reads what it wrote."""
import os
import re
import subprocess
import tempfile
from collections import Counter, namedtuple

HANG_S = 60  # a run takes a second or two: one that takes this long does not return

# How a job runs. None of it may show in a result. splits 0: as many as the source has subtasks.
Setting = namedtuple("Setting", "parallelism segment memory splits", defaults=(0,))

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


class JobFailed(Exception):
    """The job's own sentence."""


class Job:
    def __init__(self, program):
        self.program = program

    def write(self, setting, args, output):
        """Runs the job with its rows going to the folder `output`."""
        with tempfile.TemporaryDirectory(prefix="weir-nexmark-") as scratch:
            command = [self.program, str(setting.parallelism), str(setting.segment), str(setting.memory), scratch + "/state"]
            command += [*args, "--splits", str(setting.splits), "--output", output]
            try:
                done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=HANG_S)
            except subprocess.TimeoutExpired:
                raise JobFailed(f"still runs after {HANG_S} s") from None
        if done.returncode:
            raise JobFailed(f"exit code {done.returncode}: " + done.stderr.decode(errors="replace")[-4000:])

    def rows(self, setting, query, args):
        """The rows of a query in canonical order; of a changelog, what it comes to."""
        with tempfile.TemporaryDirectory(prefix="weir-nexmark-") as output:
            self.write(setting, ["--query", query, *args], output)
            rows = read_rows(output)
        return sorted(sum_of(rows) if "--changelog" in args else rows)

    def text(self, setting, args):
        """The lines of --query events as one text: they mean something in their order, so the parallelism is 1."""
        with tempfile.TemporaryDirectory(prefix="weir-nexmark-") as output:
            self.write(setting, ["--query", "events", *args], output)
            return b"".join(read_file(path) for path, _ in part_files(output))


def part_files(output):
    """(path, folder below output) of each file of data."""
    for folder, _, names in sorted(os.walk(output)):
        for name in sorted(names):
            if name[0] not in "_.":
                yield os.path.join(folder, name), os.path.relpath(folder, output)


def read_file(path):
    with open(path, "rb") as file:
        return file.read()


def split_rows(text):
    """CSV records with their line ends; line ends in quotes belong to a record."""
    if b'"' not in text:
        return text.splitlines(keepends=True) if b"\r" not in text else [row + b"\n" for row in text.split(b"\n")[:-1]]
    return re.findall(rb'(?:[^"\n]|"[^"]*")*\n', text)


def read_rows(output):
    rows = []
    for path, folder in part_files(output):
        found = split_rows(read_file(path))
        divided = re.fullmatch("dt=(.*)/hm=(.*)", folder)
        if divided:
            found = [row[:-1] + ",{},{}\n".format(*divided.groups()).encode() for row in found]
            if not os.path.exists(os.path.join(output, folder, "_SUCCESS")):
                raise JobFailed(f"{folder} has no _SUCCESS")
        rows += found
    return rows


def sum_of(changes):
    counts = Counter()
    for change in changes:
        counts[change[1:]] += {b"+": 1, b"-": -1}[change[:1]]
    if min(counts.values(), default=0) < 0:
        raise JobFailed("the changelog takes away more than it gave")
    return counts.elements()
