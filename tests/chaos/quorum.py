#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Two of three JobManagers are gone for a while: the running job goes on, nothing is committed, and what is left says why it serves nothing.

    quorum.py --build DIR [--away SECONDS] [--seed S] [--keep]

The verifier job runs (jobs/verify.c). Two JobManagers are killed; whether the one that is left was the leader is the seed's. Until they are
started again, --away seconds later:

    no checkpoint completes, no file becomes visible, no worker begins or ends
    jobctl coord set, get --linear and get, jobctl list are refused, in words; jobctl quorum shows that there is none

Then everything resumes by itself: the job is in the same attempt, has read what it was due to read meanwhile, completes checkpoints, and when
it is drained its output is right (check.py).
"""
import argparse
import random
import sys
import time

import chaos
import check
from cluster import Trouble, wait_for
from ensemble import Ensemble

LOOK_S = 0.5  # between two looks at what may not change
NODE = "/quorum"


class Run(chaos.Run):
    def make_cluster(self):
        return Ensemble(self.args.build, chaos.OPTIONS, preload=False)

    def visible_files(self):
        return {p for f in check.FOLDERS for p in check.committed_files(self.cluster.path("out", f))}

    def job_shown(self):
        return wait_for(lambda: self.cluster.show(self.job), chaos.RECOVER_S, "the job is shown")

    def records_read(self):
        return sum(v["metrics"].get("read-records", 0) for v in self.job_shown()["vertices"])

    def coord(self, *words, servers=None):
        return self.cluster.jobctl("--timeout", "2", "coord", *words, "--servers", servers or self.cluster.servers)

    def refused(self, what, words, outcome):
        status, _, error = outcome
        if status == 0 or not any(w in error for w in words):
            raise Trouble(f"{what} without a quorum: status {status}, '{error.strip()}'")
        return f"{what}: {error.strip().splitlines()[-1]}"

    def look_at_the_one_left(self, left):
        """What it answers, in words."""
        quorum = self.cluster.jobctl("--timeout", "2", "quorum", "--servers", left.client)
        if "no quorum" not in quorum[1]:
            raise Trouble(f"jobctl quorum: {quorum}")
        no_quorum = ["no leader with a quorum"]
        return [self.refused("coord set", no_quorum, self.coord("set", NODE, "2", servers=left.client)),
                self.refused("coord get --linear", no_quorum, self.coord("get", NODE, "--linear", servers=left.client)),
                self.refused("coord get", no_quorum, self.coord("get", NODE, servers=left.client)),
                self.refused("list", ["does not lead"], self.cluster.jobctl("list")), "quorum: " + quorum[1].splitlines()[-1]]

    def what_may_not_change(self):
        return self.cluster.newest_checkpoint(self.job), self.visible_files(), self.cluster.workers()

    def without_quorum(self, left):
        """From the moment that the one that is left knows it."""
        wait_for(lambda: not left.leads() and "no quorum" in self.cluster.jobctl("quorum", "--servers", left.client)[1], 30,
                 f"{left.name} knows that it is alone")
        time.sleep(1)  # what was sealed before is on its way to the disk
        before, until = self.what_may_not_change(), time.monotonic() + self.args.away
        said = self.look_at_the_one_left(left)
        while time.monotonic() < until:
            now = self.what_may_not_change()
            if now != before:
                raise Trouble(f"changed without a quorum: {before[0]} -> {now[0]}, {now[1] ^ before[1]}, {before[2]} -> {now[2]}")
            time.sleep(LOOK_S)
        self.look_at_the_one_left(left)
        print("\n".join(said), flush=True)

    def lose_quorum(self):
        chooser = random.Random(self.args.seed)
        leader = self.cluster.wait_leader()
        left = leader if chooser.random() < 0.5 else chooser.choice(self.cluster.followers())
        if self.coord("create", NODE, "1")[0] != 0:
            raise Trouble("the tree cannot be written before")
        attempt, read, begun = self.job_shown()["attempt"], self.records_read(), time.monotonic()
        gone = [m for m in self.cluster.jobmanagers if m is not left]
        print(f"killed: {', '.join(m.name for m in gone)}; left: {left.name}, {'the leader' if left is leader else 'a follower'}", flush=True)
        for member in gone:
            member.kill()
        self.without_quorum(left)
        away = time.monotonic() - begun
        for member in gone:
            member.start()
        healed = time.monotonic()
        self.cluster.wait_leader()
        self.wait_progress()
        print(f"a checkpoint is complete {time.monotonic() - healed:.1f} s after they were started", flush=True)
        after, due = self.job_shown(), away * chaos.SPLITS * chaos.PACE
        if after["attempt"] != attempt or after["state"] != "RUNNING":
            raise Trouble(f"{after['state']} in attempt {after['attempt']} instead of RUNNING in {attempt}")
        wait_for(lambda: self.records_read() - read > due / 2, 30, f"{due / 2:.0f} more records are read")
        if self.coord("get", NODE, "--linear")[1].strip() != "1":
            raise Trouble("a write that was refused has been carried out")

    def whole(self):
        self.begin()
        self.lose_quorum()
        return self.finish()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build")
    parser.add_argument("--away", type=float, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="the folder stays")
    args = parser.parse_args()
    args.no_faultfs, args.cancel = True, False
    return chaos.report(Run(args), f"tests/chaos/quorum.py --build {args.build} --seed {args.seed} --away {args.away}",
                        f"{args.away} s without a quorum")


if __name__ == "__main__":
    sys.exit(main())
