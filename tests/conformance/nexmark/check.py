#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Nexmark by the job against hashes, against itself, and against an oracle. README.md says what each check is.

    check.py [--program P] [--jobs N] CHECK [--seed S] [--count N] [--share N] [--only CASE]

Everything random comes from the seed, which is printed. A failure prints the one command that repeats it.
"""
import argparse
import hashlib
import itertools
import os
import random
import re
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

import hostile
import oracle
from job import GIB, KIB, MIB, Job, JobFailed, Setting
from vectors import PROFILES, profile_args, read_vectors

QUERIES = list(oracle.QUERIES)
CHANGELOGS = ["q4", "q15", "q16", "q17", "q18", "q19"]  # the job updates in these; q6 and q9 wait until an auction closes


class Failure(Exception):
    """A sentence."""


def expect_rows(found, expected, whose):
    if found == expected:
        return
    missing, more = surplus(expected, found), surplus(found, expected)
    raise Failure(f"{len(found)} rows, {whose} has {len(expected)}\n  {len(missing)} missing: {missing[:3]}\n  {len(more)} too many: {more[:3]}")


def surplus(rows, others):
    rest = list(others)
    counts = {}
    for row in rest:
        counts[row] = counts.get(row, 0) + 1
    result = []
    for row in rows:
        if counts.get(row, 0):
            counts[row] -= 1
        else:
            result.append(row)
    return result


def case_seed(*parts):
    """For random.Random: the same on every machine."""
    return " ".join(map(str, parts))


# ---- the published hashes -----------------------------------------------------------------------------------------------------------


def check_vector(job, name, profile, parallelism, segment, memory):
    setting = Setting(int(parallelism), int(segment), int(memory))
    if name.startswith("events."):
        text = job.text(setting, [*profile_args(profile), "--format", name[len("events.") :]])
        found = text.count(b"\n"), hashlib.sha256(text).hexdigest()
    else:
        rows = job.rows(setting, name, profile_args(profile))
        found = len(rows), hashlib.sha256(b"".join(rows)).hexdigest()
    expected = read_vectors()[name, profile]
    if found != expected:
        raise Failure("{} rows, {}; published are {} rows, {}".format(*found, *expected))


def all_settings(name):
    parallelisms = [1] if name.startswith("events.") else [1, 2, 3, 5]
    return list(itertools.product(parallelisms, [1, 32 * KIB], [MIB, GIB]))


def vector_cases(_seed, _count):
    return [(*key, *setting) for key in read_vectors() for setting in all_settings(key[0])]


def covering_vector_cases(seed, _count):
    """Each result of each profile once; over all of them, parallelism, frames and memory in about equal shares."""
    rng, cases = random.Random(case_seed("covering", seed)), []
    for name, profile in read_vectors():
        cases.append((name, profile, *rng.choice(all_settings(name))))
    return cases


# ---- identities ---------------------------------------------------------------------------------------------------------------------


def random_setting(rng, splits=True):
    segment, memory = rng.choice([1, 100, 2 * KIB, 32 * KIB]), rng.choice([MIB, GIB])
    return Setting(rng.randint(1, 6), segment, memory, rng.choice([0, 1, 2, 7, 13]) if splits else 0)


def random_run(rng):
    events = rng.choice([0, 1, 4, 5, 49, 51, rng.randrange(2000), rng.randrange(20000)])
    return ["--seed", str(rng.getrandbits(64)), "--events", str(events), "--rate", str(rng.choice([1, 2, 7, 333, 3000, 10000, 10**6]))]


def random_group(rng):
    return rng.choice([1, 2, 10, 954, 1000, 4096, rng.choice([n for n in range(2, 5000) if n % 953])])


def check_identity(job, seed, query):
    """Runs of the same events, each in its own way: one result."""
    rng = random.Random(case_seed("identity", seed))
    run, fixed_group = random_run(rng), random_group(rng)
    if query == "q12":
        run += ["--group", str(fixed_group)]
    expected = job.rows(Setting(1, 32 * KIB, GIB), query, run)
    rng = random.Random(case_seed("identity", seed, query))
    for _ in range(3):
        args = run if query == "q12" else run + ["--group", str(random_group(rng))]
        if query in CHANGELOGS and rng.random() < 0.5:
            args = [*args, "--changelog"]
        setting = random_setting(rng)
        try:
            expect_rows(job.rows(setting, query, args), expected, "parallelism 1 in order")
        except (Failure, JobFailed) as failure:
            raise Failure(f"{setting}, {' '.join(args)}: {failure}") from None


def identity_cases(seed, count):
    return [(s, query) for s in range(seed, seed + count) for query in QUERIES]


# ---- the oracle ---------------------------------------------------------------------------------------------------------------------


def check_oracle_itself(job, profile, query):
    """The oracle's own proof, on the events of the vectors."""
    with tempfile.NamedTemporaryFile(prefix="weir-nexmark-") as file:
        file.write(job.text(Setting(1, 32 * KIB, GIB), profile_args(profile)))
        file.flush()
        events = oracle.Events(oracle.read_csv(file.name), PROFILES[profile][0])
    for name in QUERIES if query == "all" else [query]:
        rows = oracle.canonical(name, events)
        found = len(rows), hashlib.sha256(b"".join(rows)).hexdigest()
        if found != read_vectors()[name, profile]:
            raise Failure(f"the oracle's {name} is wrong")


def oracle_cases(_seed, _count):
    return [(profile, "all") for profile in PROFILES]


class HostileRun:
    """A file drawn from the seed, in a folder of its own, and how the job reads it."""

    def __init__(self, seed, form, folder, bad=False):
        rng = random.Random(case_seed("hostile", seed, form, bad))
        self.world = hostile.World(rng, huge=not bad and rng.random() < 0.2)
        self.file = hostile.File(rng, self.world.events, form, bad)
        self.path = os.path.join(folder, "events." + form)
        with open(self.path, "wb") as out:
            out.write(self.file.text)
        self.rate = rng.choice([1, 3, 10000])
        self.lag = rng.choice([-1, lag := hostile.lag_of(self.file.events), lag + 1000])
        self.args = ["--input", self.path, "--format", form, "--rate", str(self.rate), "--lag", str(self.lag)]

    def expected(self, query):
        return oracle.canonical(query, oracle.Events(self.file.events, self.rate))


def check_hostile(job, seed, form, query):
    with tempfile.TemporaryDirectory(prefix="weir-nexmark-") as folder:
        run = HostileRun(int(seed), form, folder)
        rng = random.Random(case_seed("hostile", seed, form, query))
        setting = random_setting(rng)
        if run.world.huge and query in ("q1", "q17"):
            return check_huge(job, run, query, setting)
        args = run.args + (["--changelog"] if query in CHANGELOGS and rng.random() < 0.3 else [])
        try:
            expect_rows(job.rows(setting, query, args), run.expected(query), "the oracle")
        except (Failure, JobFailed) as failure:
            raise Failure(f"{setting}, {' '.join(run.args[2:])}: {failure}") from None


def check_huge(job, run, query, setting):
    """What does not fit into 63 bits fails the job, with a sentence."""
    largest = [int(str(value).replace(".", "")) for row in oracle.QUERIES[query](oracle.Events(run.file.events)) for value in row if fits_number(value)]
    try:
        rows = job.rows(setting, query, run.args)
    except JobFailed as failure:
        if max(largest, default=0) <= hostile.MOST or "exceeds 63 bits" not in str(failure):
            raise
        return
    if max(largest, default=0) > hostile.MOST:
        raise Failure(f"{setting}: a number beyond 63 bits went unnoticed")
    expect_rows(rows, run.expected(query), "the oracle")


def fits_number(value):
    return re.fullmatch(r"\d+(\.\d+)?", str(value)) is not None


def hostile_cases(seed, count):
    return [(s, form, query) for s in range(seed, seed + count) for form in ("csv", "json") for query in QUERIES]


# ---- malformed lines ----------------------------------------------------------------------------------------------------------------


def check_malformed(job, seed, form, query):
    with tempfile.TemporaryDirectory(prefix="weir-nexmark-") as folder:
        run = HostileRun(int(seed), form, folder, bad=True)
        setting = random_setting(random.Random(case_seed("malformed", seed, form, query)))
        try:
            check_refused(job, run, query)
            dead = os.path.join(folder, "dead")
            rows = job.rows(setting, query, [*run.args, "--dead-letters", dead])
            expect_rows(rows, run.expected(query), "the oracle")
            check_dead_letters(dead, run)
        except (Failure, JobFailed) as failure:
            raise Failure(f"{setting}, {' '.join(run.args[2:])}: {failure}") from None


def check_refused(job, run, query):
    """Without a folder for dead letters the first of them ends the job."""
    try:
        job.rows(Setting(1, 32 * KIB, GIB), query, run.args)
    except JobFailed as failure:
        position, line, _ = run.file.dead[0] if run.file.dead else (0, 0, b"")
        wanted = rf"{re.escape(run.path)}: line {line} \(from 0\), byte \d+ \(line at {position}\): ."
        if not run.file.dead or not re.search(wanted, str(failure)):
            raise
        return
    if run.file.dead:
        raise Failure("malformed lines did not fail the job")


def check_dead_letters(folder, run):
    read = []
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        with open(os.path.join(folder, name), encoding="latin-1", newline="") as lines:
            read += [(int(row[0]), int(row[1]), row[2], row[3]) for row in oracle.csv.reader(lines, strict=True)]
    expected = [(position, line, text.decode("latin-1")) for position, line, text in run.file.dead]
    expect_rows(sorted(row[:3] for row in read), expected, "the file's list of malformed lines")
    if not all(row[3] for row in read):
        raise Failure("a dead letter without a reason")


# ---- the program --------------------------------------------------------------------------------------------------------------------

CHECKS = {  # name: (cases of a seed and a count, one case)
    "vectors": (vector_cases, check_vector),
    "covering": (covering_vector_cases, check_vector),
    "identities": (identity_cases, check_identity),
    "oracle": (oracle_cases, check_oracle_itself),
    "hostile": (hostile_cases, check_hostile),
    "malformed": (hostile_cases, check_malformed),
}


def run_case(job, check, case):
    """What failed, in words; None: nothing did."""
    try:
        CHECKS[check][1](job, *case)
    except (Failure, JobFailed) as failure:
        return str(failure)
    return None


def repeat_command(options, case):
    name = "vectors" if options.check == "covering" else options.check
    return f"python3 {os.path.relpath(__file__)} --program {options.program} {name} --only {','.join(map(str, case))}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="build/tests/nexmark_run")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="cases at once")
    parser.add_argument("check", choices=CHECKS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=1, help="seeds from --seed on")
    parser.add_argument("--share", type=int, default=1, help="one case of so many, which one says the seed")
    parser.add_argument("--only", help="one case, as a failure prints it")
    options = parser.parse_args()
    cases = CHECKS[options.check][0](options.seed, options.count)[options.seed % options.share :: options.share]
    if options.only:
        cases = [options.only.split(",")]
    job, failed = Job(os.path.abspath(options.program)), 0
    with ThreadPoolExecutor(options.jobs) as pool:
        for case, failure in zip(cases, pool.map(lambda c: run_case(job, options.check, c), cases), strict=True):
            if failure:
                failed += 1
                print(f"FAILED {' '.join(map(str, case))}: {failure}\n  repeat: {repeat_command(options, case)}", flush=True)
    print(f"{options.check}: seed {options.seed}, {len(cases)} cases, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
