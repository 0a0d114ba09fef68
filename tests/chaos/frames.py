#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One frame lost or doubled, again and again: the next checkpoint must notice, name the channel, and the job must make it good.

    frames.py --build DIR [--seed S] [--frames N] [--first F] [--keep]

In each run the verifier job, whose input ends after some seconds, is given one fault of one channel in its first attempt (hook:
taskmanager/worker/channel_faults.h): which channel, which of its frames, lost or doubled, and at which parallelism, is the seed's. No
sequence number and no checksum tells of it. The ledger must: the attempt ends for "records were lost or doubled on channel C ...", and the
whole output is that of a run without faults, which it could not be had a checkpoint been completed in between.
"""
import argparse
import random
import shutil
import sys

import chaos
import check
from cluster import Cluster, Trouble, wait_for

PARALLELISMS = (2, 3)  # of the job, each of whose three edges is all to all
EDGES = 3
ROWS, PACE = 450, 300  # of each split: one and a half seconds
FRAMES_MAX = 12  # the fault strikes one of so many: a channel has more
RUN_S = 90
OPTIONS = dict(chaos.OPTIONS, **{"execution.checkpointing.interval": "200ms"})


class Fault:
    def __init__(self, seed, number):
        chooser = random.Random(f"{seed}:{number}")
        self.number = number
        self.parallelism = chooser.choice(PARALLELISMS)
        self.channel = chooser.randrange(EDGES * self.parallelism**2)
        self.kind = chooser.choice(("drop", "double"))
        self.frame = chooser.randint(1, FRAMES_MAX)

    def __str__(self):
        return f"{self.kind:6} frame {self.frame:2} of channel {self.channel:2} at parallelism {self.parallelism}"


def set_fault(cluster, fault):
    """Workers have the environment of their TaskManager's start."""
    cluster.env["WEIR_TEST_CHANNEL_FAULT"] = f"{fault.kind}:{fault.channel}:{fault.frame}"
    for daemon in cluster.taskmanagers:
        if daemon.process and not daemon.stop():
            raise Trouble(f"{daemon.name} did not end by SIGTERM")
        daemon.start()
    pids = {daemon.pid for daemon in cluster.taskmanagers}
    wait_for(lambda: {t["pid"] for t in cluster.answer("taskmanagers").get("taskmanagers", [])} == pids, 60, "the TaskManagers")


def run_job(cluster, build, fault):
    words = ["run", "--detached", "--parallelism", str(fault.parallelism), f"{build}/tests/chaos/verify.so", "--"]
    words += ["--output", cluster.path("out"), "--splits", chaos.SPLITS, "--keys", chaos.KEYS, "--pace", PACE, "--rows", ROWS]
    status, text, error = cluster.jobctl(*map(str, words))
    if status != 0:
        raise Trouble(f"the job cannot be submitted: {error.strip()}")
    job = text.split()[-1]
    state = wait_for(lambda: (s := cluster.show(job).get("state")) in chaos.ENDED and s, RUN_S, "the end of the job")
    if state != "FINISHED":
        raise Trouble(f"the job is {state}: {cluster.show(job).get('failure')}")
    return job


def check_failures(cluster, job, fault):
    """Exactly one, the ledger's, of this channel."""
    reasons = [failure["reason"] for failure in cluster.answer("exceptions", job)["history"]]
    wanted = f"records were lost or doubled on channel {fault.channel} "
    if len(reasons) != 1 or wanted not in reasons[0]:
        raise Trouble(f"the job's failures are {reasons}, not one with '{wanted}'")


def check_output(cluster):
    counts = check.check_folder(cluster.path("out"), chaos.SPLITS, chaos.KEYS, complete=True)
    if not check.is_clean(counts) or counts["rows"] != chaos.SPLITS * ROWS:
        raise Trouble(f"the output is not that of a run without faults: {counts}")
    shutil.rmtree(cluster.path("out"))


def run_all(cluster, args):
    for number in range(args.first, args.first + args.frames):
        fault = Fault(args.seed, number)
        try:
            set_fault(cluster, fault)
            check_failures(cluster, run_job(cluster, args.build, fault), fault)
            check_output(cluster)
        except Trouble as trouble:
            chaos.show_logs(cluster)
            print(f"FAILED: {fault}: {trouble}\n"
                  f"repeat: tests/chaos/frames.py --build {args.build} --seed {args.seed} --first {number} --frames 1")
            return False
        print(f"{number:4}  {fault}: caught", flush=True)
    print(f"{args.frames} of {args.frames} frames lost or doubled from seed {args.seed}: caught by the next checkpoint, and made good")
    return True


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--first", type=int, default=1, help="number of the first fault: begins in the middle of a longer run")
    parser.add_argument("--keep", action="store_true", help="the folder stays")
    return parser.parse_args()


def main():
    args = parse_arguments()
    cluster = Cluster(args.build, OPTIONS, None)
    try:
        cluster.jobmanagers[0].start()
        return 0 if run_all(cluster, args) else 1
    finally:
        cluster.close(args.keep)


if __name__ == "__main__":
    sys.exit(main())
