#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The leading JobManager is killed, again and again, while a Nexmark job runs: it goes on, in one attempt, and its output is the published one.

    leaders.py --build DIR [--kills N] [--seed S] [--query Q] [--period SECONDS] [--keep]

Three JobManagers at their default settings, on loopback. One kill: the leader dies by SIGKILL; when another one answers, the dead one is
started again; when a checkpoint has been completed since and the dead one follows, the next kill comes, after a pause drawn from the seed.
A line a kill tells how long nobody served: from the signal to the first answer to GET /overview of another JobManager, which one asks for
every two milliseconds. Then the median, the 99th percentile and the greatest.

The job is paced so that its events last for --period seconds a kill.
"""
import argparse
import math
import os
import select
import subprocess
import sys
import time

import chaos
import nexmark
from cluster import Trouble, wait_for
from ensemble import Ensemble

OPTIONS = dict(chaos.OPTIONS, **{"execution.checkpointing.interval": "200ms"})
ANSWERS_S, GOES_ON_S = 30, 60
SLOWEST_PACE = 200  # events a second


class Probe:
    """Who serves (peers/who_serves.c), and since when."""

    def __init__(self, cluster):
        self.members = cluster.jobmanagers
        self.status = {m: (0, 0.0) for m in self.members}
        argv = [f"{cluster.bin}/../tests/who_serves"] + [m.admin for m in self.members]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.text = b""

    def listen(self, within_s):
        if not select.select([self.process.stdout], [], [], within_s)[0]:
            return
        *lines, self.text = (self.text + os.read(self.process.stdout.fileno(), 65536)).split(b"\n")
        for place, status, us in map(bytes.split, lines):
            self.status[self.members[int(place)]] = int(status), int(us) / 1e6

    def wait(self, statuses, since, among):
        """One of `among` whose answers have had one of these statuses since a moment after `since`; and that moment."""
        deadline = time.monotonic() + ANSWERS_S
        while time.monotonic() < deadline:
            for member in among:
                if self.status[member][0] in statuses and self.status[member][1] >= since:
                    return member, self.status[member][1]
            self.listen(deadline - time.monotonic())
        raise Trouble(f"not within {ANSWERS_S} s: {statuses} from one of {[m.name for m in among]}; {list(self.status.values())}")

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def percentile(values, share):
    """By nearest rank: so many of the values are not greater."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


class Run(nexmark.Run):
    def __init__(self, cluster, args):
        super().__init__(cluster, args.build, args.query, "leaders", args.seed)
        self.args = args
        self.gaps = []

    def shown(self):
        """The job as the leader shows it; waits while nobody leads."""
        job = wait_for(lambda: self.cluster.show(self.job), GOES_ON_S, "the job is shown")
        if job["attempt"] > 1 or job["state"] in ("FAILED", "CANCELED"):
            raise Trouble(f"after {len(self.gaps)} kills: {job['state']} in attempt {job['attempt']}: {job.get('failure')}")
        return job

    def wait_goes_on(self):
        """It runs, and a checkpoint that began after now is complete."""
        before = self.cluster.newest_checkpoint(self.job)
        wait_for(lambda: self.cluster.newest_checkpoint(self.job) > before + 1, GOES_ON_S, "another checkpoint is complete")
        if self.shown()["state"] == "FINISHED":
            raise Trouble(f"over after {len(self.gaps)} kills: --period must be longer")

    def kill_leader(self, probe):
        members = self.cluster.jobmanagers
        leader, _ = probe.wait([200], 0, members)
        time.sleep(self.chooser.uniform(0, 0.3))
        killed = time.monotonic()
        leader.kill()
        member, served = probe.wait([200], killed, [m for m in members if m is not leader])
        self.gaps.append(served - killed)
        leader.start()
        self.wait_goes_on()
        probe.wait([200, 503], killed, [leader])  # on a busy machine it may lead again
        print(f"kill {len(self.gaps):4}  {leader.name} -> {member.name}  {1000 * self.gaps[-1]:7.1f} ms", flush=True)

    def whole(self):
        probe = Probe(self.cluster)
        pace = max(SLOWEST_PACE, int(nexmark.vectors.VECTOR_EVENTS / (self.args.kills * self.args.period)))
        self.submit(5, pace)
        self.wait_goes_on()
        for _ in range(self.args.kills):
            self.kill_leader(probe)
        probe.close()
        wait_for(lambda: self.shown()["state"] == "FINISHED", self.args.kills * self.args.period + 120, "the job is finished", pause_s=0.5)
        wait_for(lambda: not self.cluster.workers(), 30, "no worker is left")
        self.check()

    def summary(self):
        median, late, most = (1000 * percentile(self.gaps, share) for share in (0.5, 0.99, 1.0))
        return f"nobody served for: median {median:.0f} ms, p99 {late:.0f} ms, max {most:.0f} ms"


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build")
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--query", default="q5")
    parser.add_argument("--period", type=float, default=3.0, help="seconds of events for each kill")
    parser.add_argument("--keep", action="store_true", help="the folder stays")
    return parser.parse_args()


def main():
    args = parse_arguments()
    cluster = Ensemble(args.build, OPTIONS, preload=False)
    run, failed = Run(cluster, args), None
    try:
        cluster.start()
        cluster.wait_leader()
        cluster.wait_taskmanagers()
        run.whole()
        nexmark.stop_cluster(cluster)
    except Trouble as trouble:
        failed = str(trouble)
        chaos.show_logs(cluster)
    finally:
        cluster.close(args.keep)
    if run.gaps:
        print(run.summary())
    if failed:
        print(f"FAILED: {failed}\nrepeat: tests/chaos/leaders.py --build {args.build} --kills {args.kills} --seed {args.seed} "
              f"--query {args.query} --period {args.period}")
        return 1
    print(f"{args.kills} leaders killed: {args.query} went on in one attempt, and its output is the published one")
    return 0


if __name__ == "__main__":
    sys.exit(main())
