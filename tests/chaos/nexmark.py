#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every Nexmark query in a cluster of real processes: workers are killed, jobs are stopped and go on; the published hash must come out.

    nexmark.py --build DIR [--seed S] [--queries q0,q5] [--ways killed-2,resumed-1] [--keep]

A run is a query and a way: 100,000 events of the std profile, paced so that they take some seconds, checkpoints every 200 ms, rows in an
exactly-once file sink (q10: in its folders).

    killed-P    at parallelism P; about every second a worker of it is killed
    resumed-P   at parallelism 2 until it has read some of the events; stopped with a savepoint; from there at parallelism P

What was written must have the rows and the hash of tests/conformance/nexmark/vectors.txt, and nothing hidden may be left beside it. Which
worker dies and after how long is the seed's; where that strikes is the machine's.
"""
import argparse
import hashlib
import os
import random
import signal
import sys
import time

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "conformance", "nexmark"))

import chaos  # noqa: E402
import job as nexmark_job  # noqa: E402
import vectors  # noqa: E402
from cluster import Cluster, Trouble, send, wait_for  # noqa: E402

QUERIES = [f"q{i}" for i in range(23)]
WAYS = ("killed-2", "killed-3", "resumed-3", "resumed-1")
SPLITS = 4
PACE = 20000  # events a second
SLOW_PACE, FAST_PACE = 10000, 50000  # before a job is stopped, so that it is not over by then; and after it
PERIOD_S = 1.0  # the next death comes after half of it to this, drawn, of the job running; and not before it has come forward by a checkpoint
LEAST_DEATHS = 2  # in fewer the run was over too soon to say anything
HEAD_START = 2  # checkpoints before a job is stopped
RUN_S = 120  # a busy machine takes its time
OPTIONS = dict(chaos.OPTIONS, **{"execution.checkpointing.interval": "200ms", "restart-strategy.fixed-delay.delay": "50ms"})


class Run:
    def __init__(self, cluster, build, query, way, seed):
        self.cluster, self.build, self.query, self.way = cluster, build, query, way
        self.chooser = random.Random(f"{seed}:{query}:{way}")
        self.output = cluster.path("out", f"{query}-{way}")
        self.job = None
        self.deaths = 0

    def submit(self, parallelism, pace, start=None):
        words = ["run", "--detached", "--parallelism", str(parallelism)] + (["--from", start] if start else [])
        words += [os.path.join(self.build, "jobs", "nexmark.so"), "--", "--query", self.query, *vectors.profile_args("std")]
        words += ["--splits", str(SPLITS), "--pace", str(pace), "--output", self.output]
        status, text, error = self.cluster.jobctl(*words)
        if status != 0:
            raise Trouble(f"the job cannot be submitted: {error.strip()}")
        self.job = text.split()[-1]

    def state(self):
        shown = self.cluster.show(self.job)
        state = shown.get("state")
        if state in ("CANCELED", "FAILED"):
            raise Trouble(f"the job is {state}: {shown.get('failure')}")
        return state

    def wait_finished(self):
        wait_for(lambda: self.state() == "FINISHED", RUN_S, "the job is finished", pause_s=0.1)

    # ---- ways

    def killed(self, parallelism):
        """A worker that is killed between the last commit and the end of the job changes nothing either."""
        self.submit(parallelism, PACE)
        deadline = time.monotonic() + RUN_S
        due, covered = None, 0
        while (state := self.state()) != "FINISHED":
            if time.monotonic() > deadline:
                raise Trouble(f"not finished within {RUN_S} s, {self.deaths} deaths, state {state}")
            if state != "RUNNING":
                due = None
            elif due is None:
                due = time.monotonic() + self.chooser.uniform(PERIOD_S / 2, PERIOD_S)
            elif time.monotonic() >= due and (newest := self.cluster.newest_checkpoint(self.job)) > covered:
                self.kill_a_worker()
                due, covered = None, newest
            self.cluster.reap()
            time.sleep(0.05)
        if self.deaths < LEAST_DEATHS:
            raise Trouble(f"over after {self.deaths} deaths")

    def kill_a_worker(self):
        workers = self.cluster.workers()
        self.deaths += bool(workers) and send(self.chooser.choice(workers), signal.SIGKILL)

    def resumed(self, parallelism):
        self.submit(2, SLOW_PACE)
        wait_for(lambda: self.cluster.newest_checkpoint(self.job) >= HEAD_START, RUN_S, f"checkpoint {HEAD_START}")
        saved = self.cluster.path("save", f"{self.query}-{self.way}")
        status, _, error = self.cluster.jobctl("stop", self.job, saved)
        if status != 0:
            raise Trouble(f"the job cannot be stopped: {error.strip()}")
        self.wait_finished()
        if self.complete():
            raise Trouble("it was stopped when everything had been written")
        self.submit(parallelism, FAST_PACE, saved)
        self.wait_finished()

    # ---- results

    def written(self):
        rows = sorted(nexmark_job.read_rows(self.output))
        return len(rows), hashlib.sha256(b"".join(rows)).hexdigest()

    def published(self):
        return vectors.read_vectors()[self.query, "std"]

    def complete(self):
        try:
            return self.written() == self.published()
        except nexmark_job.JobFailed:  # a folder of q10 is still open
            return False

    def check(self):
        found, expected = self.written(), self.published()
        if found != expected:
            raise Trouble("{} rows, {}; published are {} rows, {}".format(*found, *expected))
        hidden = [name for _, _, names in os.walk(self.output) for name in names if name[0] == "."]
        if hidden:
            raise Trouble(f"left behind: {hidden[:9]}")

    def whole(self):
        begun = time.monotonic()
        kind, parallelism = self.way.split("-")
        {"killed": self.killed, "resumed": self.resumed}[kind](int(parallelism))
        wait_for(lambda: not self.cluster.workers(), 30, "no worker is left")
        self.check()
        deaths = f"  {self.deaths} deaths" if kind == "killed" else ""
        print(f"{self.query:3} {self.way:9} {time.monotonic() - begun:5.1f} s  {self.published()[0]:6} rows{deaths}", flush=True)


def start_cluster(build):
    cluster = Cluster(build, OPTIONS, None)
    cluster.start()
    wait_for(lambda: cluster.jobctl("taskmanagers")[1].count("tm-") == len(cluster.taskmanagers), 60, "the TaskManagers")
    return cluster


def stop_cluster(cluster):
    late = [daemon.name for daemon in cluster.daemons if not daemon.stop()]
    if late:
        raise Trouble(f"{late} did not end by SIGTERM")


def several(text, known):
    chosen = text.split(",") if text else list(known)
    unknown = set(chosen) - set(known)
    if unknown:
        raise SystemExit(f"there is no {sorted(unknown)}: {', '.join(known)}")
    return chosen


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--queries", default="", help="some of q0 ... q22 (default: all)")
    parser.add_argument("--ways", default="", help=f"some of {', '.join(WAYS)} (default: all)")
    parser.add_argument("--keep", action="store_true", help="the folder stays")
    args = parser.parse_args()
    args.queries, args.ways = several(args.queries, QUERIES), several(args.ways, WAYS)
    return args


def run_all(cluster, args):
    """Gives the runs that failed, as (query, way, why). After a failure the others go on, in a cluster that is still the same."""
    failed = []
    for query in args.queries:
        for way in args.ways:
            run = Run(cluster, args.build, query, way, args.seed)
            try:
                run.whole()
            except (Trouble, nexmark_job.JobFailed) as trouble:
                failed.append((query, way, str(trouble)))
                print(f"{query:3} {way:9} FAILED: {trouble}", flush=True)
                if run.job:
                    cluster.jobctl("cancel", run.job)
    return failed


def main():
    args = parse_arguments()
    cluster = start_cluster(args.build)
    try:
        failed = run_all(cluster, args)
        if failed:
            chaos.show_logs(cluster)
        else:
            stop_cluster(cluster)
    finally:
        cluster.close(args.keep)
    for query, way, why in failed:
        print(f"FAILED: {query} {way}: {why}\n"
              f"repeat: tests/chaos/nexmark.py --build {args.build} --seed {args.seed} --queries {query} --ways {way}")
    if not failed:
        print(f"{len(args.queries) * len(args.ways)} runs from seed {args.seed}: every result is the published one")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
