#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Chaos: a cluster of real processes runs the verifier job while faults come, drawn from a seed.

    chaos.py --build DIR [--seed S] [--cycles N] [--first C] [--only FAULT] [--keep]

Each cycle does one fault, heals it, and waits until the job has completed a checkpoint after it. Meanwhile and at the end:

    check.py         counts what is lost, doubled, reordered, wrong or torn in the committed output
    early            rows that are visible although no completed checkpoint covers them
    changed          files that were visible, and went or changed
    census           processes, files, descriptors and memory that pile up

All are 0, or the run fails, shows the logs' ends, and prints the command that repeats it. The faults and their order are the seed's; when
exactly they strike is the machine's.
"""
import argparse
import glob
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import time
import zlib

import check
import faults
from cluster import Cluster, Trouble, children_of, wait_for

ENDED = ("FINISHED", "CANCELED", "FAILED")
SPLITS, KEYS, PACE = 5, 100, 300  # numbers a second of each split
RECOVER_S = 90  # from the end of a fault to the next complete checkpoint; a busy machine takes its time
RETAINED = 3
WARM_CYCLES = 3  # after so many, descriptors and memory are compared with what they are then
DESCRIPTORS_MORE = 40
MEMORY_MORE_KB = 128 << 10

OPTIONS = {
    "execution.checkpointing.interval": "300ms",
    "execution.checkpointing.timeout": "20s",
    "execution.checkpointing.tolerable-failed-checkpoints": "1000000",
    "execution.checkpointing.externalized-checkpoint-retention": "NO_EXTERNALIZED_CHECKPOINTS",
    "state.checkpoints.num-retained": str(RETAINED),
    "restart-strategy.type": "fixed-delay",
    "restart-strategy.fixed-delay.attempts": "1000000",
    "restart-strategy.fixed-delay.delay": "100ms",
}


def find_faultfs(build):
    found = glob.glob(os.path.join(build, "**", "libfaultfs.so"), recursive=True)
    return os.path.abspath(found[0]) if found else None


def can_reset(ss):
    """Whether this kernel, and we, may destroy a connection: tried on one of our own."""
    if not ss:
        return False
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as near, door.accept()[0]:
            subprocess.run([ss, "-K", "-t", "-n", "-H", "state", "established", f"( sport = :{port} or dport = :{port} )"],
                           stdin=subprocess.DEVNULL, capture_output=True, check=False)
            near.settimeout(0.5)
            try:
                return near.recv(1) == b""
            except (ConnectionResetError, ConnectionAbortedError):
                return True
            except (TimeoutError, socket.timeout):
                return False


class Run:
    FAULTS = faults
    PROGRAMS = {"weir-jobmanager", "weir-taskmanag", "weir-taskmanage", "weir-worker"}  # that may run below us, by the kernel's short names

    def __init__(self, args):
        self.args = args
        self.faultfs = None if args.no_faultfs else find_faultfs(args.build)
        self.ss = shutil.which("ss", path="/usr/bin:/bin:/usr/sbin:/sbin")
        self.can_reset = can_reset(self.ss)
        self.cluster = None
        self.job = None
        self.n_savepoints = 0
        self.stopping = None  # (savepoint, parallelism to go on with), when a stop was asked for whose outcome is not known
        self.rescaling_until = 0  # until then no job may run, between the old one and the new
        self.visible = {}  # path: (bytes, checksum)
        self.early = self.changed = 0
        self.seen_covered = {}  # {key: place} in the newest checkpoint that was read: the output has at least these rows in the end
        self.base = None  # census after the first cycles

    # ---- the job

    def submit(self, parallelism, start=None):
        words = ["run", "--detached", "--parallelism", str(parallelism)]
        words += ["--from", start] if start else []
        words += [os.path.join(self.args.build, "tests", "chaos", "verify.so"), "--", "--output", self.cluster.path("out")]
        words += ["--splits", str(SPLITS), "--keys", str(KEYS), "--pace", str(PACE)]
        status, text, error = self.cluster.jobctl(*words)
        if status != 0:
            raise Trouble(f"the job cannot be submitted: {error.strip()}")
        self.job = text.split()[-1]

    def wait_ended(self):
        return wait_for(lambda: (s := self.cluster.show(self.job).get("state")) in ENDED and s, RECOVER_S, "the end of the job")

    def follow(self):
        """A job that was rescaled goes on under another id; one that was stopped is begun again. Others may not end."""
        job = self.cluster.show(self.job)
        if job.get("state") not in ENDED:
            return
        heir = next((j for j in self.cluster.jobs() if j["state"] not in ENDED), None)
        if heir:
            self.job = heir["jid"]
        elif job["state"] == "FINISHED" and self.stopping and os.path.exists(os.path.join(self.stopping[0], "MANIFEST")):
            path, parallelism = self.stopping
            self.submit(parallelism, start=path)
        elif time.monotonic() > self.rescaling_until:
            raise Trouble(f"the job is {job['state']}: {json.dumps(job.get('failure'))}")

    def wait_progress(self):
        """A checkpoint that was begun after now is complete. A job that has ended never gets there."""
        cluster, looked, seen = self.cluster, time.monotonic(), {}

        def done():
            nonlocal looked
            cluster.reap()
            before = seen.setdefault(self.job, cluster.newest_checkpoint(self.job))
            if cluster.newest_checkpoint(self.job) > before + 1:
                return True
            if time.monotonic() > looked + 1:
                looked = time.monotonic()
                self.follow()
            return False

        wait_for(done, RECOVER_S, "another checkpoint is complete")
        self.stopping = None

    def new_savepoint(self):
        self.n_savepoints += 1
        return self.cluster.path("save", f"s-{self.n_savepoints}")

    def data_ports(self):
        """Ports that workers listen on."""
        workers = {str(pid) for pid in self.cluster.workers()}
        text = subprocess.run([self.ss, "-H", "-t", "-l", "-n", "-p"], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              check=False).stdout if self.ss else ""
        lines = [line for line in text.splitlines() if any(f"pid={pid}," in line for pid in workers)]
        return {int(line.split()[3].rsplit(":", 1)[1]) for line in lines}

    def start_jobctl(self, *words):
        argv = [self.cluster.program("jobctl"), "--jobmanager", self.cluster.admin, "--timeout", "8", *words]
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def finish_jobctl(self, process):
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise Trouble("jobctl did not come back within 60 s") from None

    # ---- what is visible

    def look_at_output(self, patient):
        """Compares what is visible with what was, and with what is complete. Not patient: only if that can be read at once."""
        paths = [p for f in check.FOLDERS for p in check.committed_files(self.cluster.path("out", f))]
        for path in paths:
            if path not in self.visible:
                with open(path, "rb") as f:
                    data = f.read()
                self.visible[path] = (len(data), zlib.crc32(data))
        for path, (size, _) in self.visible.items():
            if not os.path.exists(path) or os.path.getsize(path) != size:
                self.changed += 1
        self.look_for_early([p for p in paths if os.path.dirname(p).endswith("/chain")], patient)

    def look_for_early(self, paths, patient):
        """Every key's greatest visible place is covered by the newest checkpoint or savepoint, which are read after the files were listed."""
        counts = dict.fromkeys(check.FAULTS, 0)
        shown = {}
        for key, n, *_ in check.read_rows(paths[-60:], 5, counts):
            shown[key] = max(n, shown.get(key, 0))
        covered = wait_for(self.covered, 20, "a checkpoint can be read") if patient else self.covered()
        if covered:
            self.seen_covered = covered
            self.early += sum(n > covered.get(key, 0) for key, n in shown.items())

    def covered(self):
        """{key: place} in the newest complete checkpoint, or savepoint if that has more; None: one went while it was read."""
        found, covered = self.cluster.checkpoints(self.job), {}
        if not found:
            return None
        for folder in [found[max(found)]] + self.cluster.newest_savepoints():
            status, text, _ = self.cluster.jobctl("state", "scan", folder, "chain/last")
            if status != 0:
                return None
            for row in map(json.loads, text.splitlines()):
                covered[row["key"]] = max(row["value"]["n"], covered.get(row["key"], 0))
        return covered

    def check_unchanged(self):
        for path, (size, crc) in self.visible.items():
            with open(path, "rb") as f:
                data = f.read()
            self.changed += (len(data), zlib.crc32(data)) != (size, crc)

    # ---- census

    def census(self):
        """What the daemons hold, and what lies in the storage."""
        held = {}
        for daemon in self.cluster.daemons:
            if not daemon.runs():
                raise Trouble(f"{daemon.name} has ended by itself")
            with open(f"/proc/{daemon.pid}/status", encoding="ascii") as f:
                memory = next((int(line.split()[1]) for line in f if line.startswith("VmRSS")), 0)
            held[daemon.name] = (daemon.pid, len(os.listdir(f"/proc/{daemon.pid}/fd")), memory)
        return held

    def compare_census(self):
        """Of daemons that have lived since the base was taken: neither descriptors nor memory have grown beyond bounds."""
        now = self.census()
        if self.base is None:
            self.base = now
        for name, (pid, descriptors, memory) in now.items():
            old_pid, old_descriptors, old_memory = self.base[name]
            if pid != old_pid:
                self.base[name] = now[name]
            elif descriptors > old_descriptors + DESCRIPTORS_MORE or memory > old_memory + MEMORY_MORE_KB:
                raise Trouble(f"{name}: {old_descriptors} descriptors and {old_memory} kB became {descriptors} and {memory} kB")

    def wait_tidy(self):
        """While the job runs: one worker a TaskManager at most, checkpoints as many as are retained and one under way."""
        cluster = self.cluster

        def tidy():
            cluster.reap()
            others = set(children_of(os.getpid()).values()) - self.PROGRAMS
            folders = glob.glob(cluster.path("ckpt", self.job, "chk-*"))
            drops = glob.glob(cluster.path("ckpt", self.job, "drop-*"))
            return len(cluster.workers()) <= 3 and not others and len(folders) <= RETAINED + 2 and len(drops) <= 1

        wait_for(tidy, 30, "a tidy cluster: processes %s, checkpoints %s"
                 % (sorted(children_of(os.getpid()).values()), os.listdir(cluster.path("ckpt", self.job))))

    # ---- the whole

    def cycle(self, number):
        chooser = random.Random(f"{self.args.seed}:{number}")
        fault = chooser.choice(self.FAULTS.FAULTS)
        if self.args.only:
            fault = getattr(self.FAULTS, self.args.only)
        begun = time.monotonic()
        faults.rest(chooser, 0, 0.7)
        did = fault(self, chooser)
        healed = time.monotonic()
        self.look_at_output(patient=False)
        self.wait_progress()
        self.look_at_output(patient=True)
        self.wait_tidy()
        if number >= self.args.first + WARM_CYCLES:
            self.compare_census()
        print(f"cycle {number:4}  {healed - begun:4.1f} s + {time.monotonic() - healed:4.1f} s  {did}", flush=True)

    def drain(self):
        """Ends the input: every span is there then."""
        status, _, error = self.cluster.jobctl("stop", "--drain", self.job, within_s=RECOVER_S)
        if status != 0:
            raise Trouble(f"the job cannot be drained: {error.strip()}")
        state = self.wait_ended()
        if state != "FINISHED":
            raise Trouble(f"a drained job is {state}")

    def close_down(self):
        """All daemons end by SIGTERM and leave nothing."""
        for daemon in self.cluster.daemons:
            if not daemon.stop():
                raise Trouble(f"{daemon.name} did not end by SIGTERM")
        self.cluster.reap()
        left = children_of(os.getpid())
        if left:
            raise Trouble(f"left behind: {left}")
        hidden = [] if self.args.cancel else [n for f in check.FOLDERS for n in os.listdir(self.cluster.path("out", f)) if n[0] in "._"]
        scratch = os.listdir(self.cluster.path("tmp")) + [n for i in (1, 2, 3) for n in glob.glob(self.cluster.path(f"tm-{i}", "*", "*"))]
        storage = glob.glob(self.cluster.path("ckpt", "*", "shared", "*")) + glob.glob(self.cluster.path("ckpt", "*", "chk-*"))
        storage += glob.glob(self.cluster.path("save", "*", "unfinished-*"))
        if hidden or scratch or storage:
            raise Trouble(f"left behind: output {hidden[:9]}, scratch {scratch[:9]}, checkpoints {storage[:9]}")

    def whole(self):
        self.begin()
        for number in range(self.args.first, self.args.first + self.args.cycles):
            self.cycle(number)
        return self.finish()

    def make_cluster(self):
        return Cluster(self.args.build, OPTIONS, self.faultfs)

    def begin(self):
        self.cluster = self.make_cluster()
        self.cluster.start()
        wait_for(lambda: self.cluster.jobctl("taskmanagers")[1].count("tm-") == 3, 60, "three TaskManagers")
        self.submit(3)
        self.wait_progress()

    def finish(self):
        """The job ends, its output is checked, the daemons end. Gives the counts."""
        if self.args.cancel:
            self.cluster.jobctl("cancel", self.job)
            self.wait_ended()
        else:
            self.drain()
        counts = check.check_folder(self.cluster.path("out"), SPLITS, KEYS, complete=not self.args.cancel)
        self.check_unchanged()
        if counts["rows"] < sum(self.seen_covered.values()):
            counts["lost"] += sum(self.seen_covered.values()) - counts["rows"]
        counts.update(early=self.early, changed=self.changed)
        print(json.dumps(counts), flush=True)
        if not check.is_clean(counts) or self.early or self.changed:
            raise Trouble("the output is not that of a run without faults")
        self.close_down()
        return counts


def show_logs(cluster):
    for path in sorted(glob.glob(cluster.path("*.log"))):
        with open(path, "rb") as f:
            f.seek(max(0, os.path.getsize(path) - 6000))
            print(f"---- {os.path.basename(path)}\n{f.read().decode(errors='replace')}")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cycles", type=int, default=20)
    parser.add_argument("--first", type=int, default=1, help="number of the first cycle: begins in the middle of a longer run")
    parser.add_argument("--only", help="this fault in every cycle")
    parser.add_argument("--no-faultfs", action="store_true", help="no failing disks: for sanitized builds, where nothing can be preloaded")
    parser.add_argument("--cancel", action="store_true", help="the job is canceled at the end, not drained: open spans stay open")
    parser.add_argument("--keep", action="store_true", help="the folder stays")
    return parser.parse_args()


def report(run, repeat, what):
    """Does the whole run, tells how it ended, and clears away. The exit status."""
    failed = None
    try:
        counts = run.whole()
    except Trouble as trouble:
        failed = str(trouble)
    if failed and run.cluster:
        show_logs(run.cluster)
    if run.cluster:
        run.cluster.close(run.args.keep)
    if failed:
        print(f"FAILED: {failed}\nrepeat: {repeat}")
        return 1
    print(f"{what}: {counts['rows']} rows and {counts['spans']} spans, nothing lost or doubled")
    return 0


def main():
    args = parse_arguments()
    only = f" --only {args.only}" if args.only else ""
    return report(Run(args), f"tests/chaos/chaos.py --build {args.build} --seed {args.seed} --first {args.first} --cycles {args.cycles}{only}",
                  f"{args.cycles} cycles from seed {args.seed}")


if __name__ == "__main__":
    sys.exit(main())
