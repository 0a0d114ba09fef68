#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Chaos among three JobManagers and three TaskManagers: the verifier job and coordination clients run while leaders and followers die, stand
still and lose sight of each other.

    ha.py --build DIR [--seed S] [--cycles N] [--first C] [--only FAULT] [--no-preload] [--keep]

As chaos.py, whose checks all hold, with the faults of ha_faults.py. Besides, in each cycle:

    attempt          a pure change of leader leaves the job in its attempt
    clients          everything they asked is answered in the end, and the history of what they saw is linearizable (peers/clients.h)

Packets are dropped in a network namespace that the program makes for itself; where the machine does not permit that, it says so.
"""
import argparse
import subprocess
import sys

import chaos
import ha_faults
from cluster import Trouble, wait_for
from ensemble import Ensemble, enter_namespace

CLIENTS_S = 60  # for the answers, and the search


class Clients:
    """peers/ensemble_clients.c"""

    def __init__(self, cluster, seed):
        argv = [f"{cluster.bin}/../tests/ensemble_clients", str(seed)] + [m.client for m in cluster.jobmanagers]
        self.log = cluster.path("clients.log")
        with open(self.log, "ab") as log, open(cluster.path("clients.out"), "ab") as out:
            self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=out, stderr=log)
        self.answers = open(cluster.path("clients.out"), encoding="ascii")
        self.requests = 0

    def tell(self, what):
        """Their answer."""
        try:
            self.process.stdin.write(b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        said = wait_for(lambda: self.answers.readline() or (self.process.poll() is not None and "ended"), CLIENTS_S, what)
        if said == "ended":
            with open(self.log, encoding="utf-8", errors="replace") as f:
                raise Trouble(f"the clients: {f.read().strip()[-500:]}")
        return said

    def begin_history(self):
        self.tell("the clients have begun")

    def end_history(self):
        self.requests += int(self.tell("the clients' history is checked").split()[0])

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.answers.close()


class Run(chaos.Run):
    FAULTS = ha_faults
    PROGRAMS = chaos.Run.PROGRAMS | {"ensemble_client"}

    def make_cluster(self):
        return Ensemble(self.args.build, chaos.OPTIONS, self.args.preload)

    def begin(self):
        super().begin()
        self.clients = Clients(self.cluster, self.args.seed)

    def attempt(self):
        return wait_for(lambda: self.cluster.show(self.job).get("attempt"), chaos.RECOVER_S, "the job is shown")

    def cycle(self, number):
        self.restarts, before = False, self.attempt()
        self.clients.begin_history()
        super().cycle(number)
        self.clients.end_history()
        if self.attempt() != before and not self.restarts:
            raise Trouble(f"attempt {before} became {self.attempt()} by a change of leader: {self.cluster.show(self.job).get('failure')}")

    def finish(self):
        self.clients.close()
        print(f"{self.clients.requests} requests of coordination clients, all linearizable")
        return super().finish()


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cycles", type=int, default=6)
    parser.add_argument("--first", type=int, default=1, help="number of the first cycle: begins in the middle of a longer run")
    parser.add_argument("--only", help="this fault in every cycle")
    parser.add_argument("--no-preload", dest="preload", action="store_false", help="no dropped packets: for sanitized builds")
    parser.add_argument("--keep", action="store_true", help="the folder stays")
    args = parser.parse_args()
    args.no_faultfs, args.cancel = True, False
    return args


def main():
    args = parse_arguments()
    if args.preload:
        enter_namespace()
    only = f" --only {args.only}" if args.only else ""
    return chaos.report(Run(args), f"tests/chaos/ha.py --build {args.build} --seed {args.seed} --first {args.first} --cycles {args.cycles}{only}",
                        f"{args.cycles} cycles from seed {args.seed}")


if __name__ == "__main__":
    sys.exit(main())
