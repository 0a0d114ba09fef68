# SPDX-License-Identifier: Apache-2.0
"""A cluster of three JobManagers, of which one leads, and three TaskManagers: each daemon on a loopback address of its own, from which it
also connects (tests/support/fromaddr), so that packets from one to another can be dropped. That happens in a network namespace that the
program has made for itself."""
import glob
import os
import re
import shutil
import subprocess
import sys

from cluster import Cluster, Daemon, Trouble, free_port, wait_for

JOBMANAGERS = 3
LEADER_S = 60  # a busy machine takes its time
IN_NAMESPACE = "CHAOS_NAMESPACE"  # in the environment of a program that has made one


class JobManager(Daemon):
    def __init__(self, cluster, number):
        self.number, self.address = number, f"127.0.1.{number}"
        self.peer, self.client, self.admin, self.control = (f"tcp://{self.address}:{free_port(self.address)}" for _ in range(4))
        super().__init__(cluster, f"jm-{number}", None, {"FROMADDR": self.address})
        self.stopped = False
        self.epoch, self.looked = 0, 0

    def start(self):
        log = self.cluster.path(f"{self.name}.log")
        self.epoch, self.looked = 0, os.path.getsize(log) if os.path.exists(log) else 0
        self.stopped = False
        super().start()

    def leads(self):
        """The epoch in which it leads, as its log says; 0: it does not."""
        with open(self.cluster.path(f"{self.name}.log"), "rb") as f:
            f.seek(self.looked)
            text = f.read()
        text = text[: text.rfind(b"\n") + 1]
        self.looked += len(text)
        for line in text.decode(errors="replace").splitlines():
            if 'msg="listening"' in line:
                self.epoch = int(re.search(r"epoch=(\d+)", line)[1])
            elif 'msg="leads no more"' in line:
                self.epoch = 0
        return self.epoch if self.runs() and not self.stopped else 0


class Ensemble(Cluster):
    def __init__(self, build, options, preload):
        """preload: whether daemons may be told their addresses by a preloaded library."""
        super().__init__(build, options, None)
        library = glob.glob(os.path.join(build, "**", "libfromaddr.so"), recursive=True)
        if preload and library:
            self.env["LD_PRELOAD"] = os.path.abspath(library[0])
        self.filter = Filter() if preload and library and IN_NAMESPACE in os.environ else None

    def make_jobmanagers(self):
        members = [JobManager(self, number) for number in range(1, JOBMANAGERS + 1)]
        peers = ",".join(f"{m.number}={m.peer};{m.client};{m.admin};{m.control}" for m in members)
        for m in members:
            m.argv = [self.program("weir-jobmanager"), "--bind", m.control, "--admin", m.admin, "--data-dir", self.path(m.name),
                      "--coordination.peers", peers, "--coordination.id", str(m.number)] + self.definitions + self.mine
        self.control = ",".join(m.control for m in members)
        self.servers = ",".join(m.client for m in members)
        return members

    def make_taskmanager(self, i):
        daemon = super().make_taskmanager(i)
        daemon.address = f"127.0.2.{i}"
        daemon.env["FROMADDR"] = daemon.address
        daemon.argv += ["--data", f"tcp://{daemon.address}:*"]
        return daemon

    def leader(self):
        """The JobManager that leads; None: nobody does. A former one that does not know it yet has a lower epoch."""
        newest = max(self.jobmanagers, key=lambda m: m.leads())
        return newest if newest.epoch and newest.leads() else None

    def wait_leader(self):
        return wait_for(self.leader, LEADER_S, "a JobManager leads", pause_s=0.01)

    def followers(self):
        leader = self.wait_leader()
        return [m for m in self.jobmanagers if m is not leader]

    @property
    def admin(self):
        """Of the leader; where none is, of one that runs."""
        return (self.leader() or next((m for m in self.jobmanagers if m.runs()), self.jobmanagers[0])).admin

    def wait_taskmanagers(self):
        wait_for(lambda: self.jobctl("taskmanagers")[1].count("tm-") == len(self.taskmanagers), 60, "the TaskManagers")


class Filter:
    """Drops packets from one address to another, by nftables."""

    def __init__(self):
        for words in ("add table ip weir", "add set ip weir cut { type ipv4_addr . ipv4_addr; }",
                      "add chain ip weir out { type filter hook output priority 0; }", "add rule ip weir out ip saddr . ip daddr @cut drop"):
            nft(words)

    def cut(self, pairs):
        """pairs: of daemons, from and to."""
        nft("add element ip weir cut { " + ", ".join(f"{a.address} . {b.address}" for a, b in pairs) + " }")

    def heal(self):
        nft("flush set ip weir cut")


def nft(words):
    done = subprocess.run(["nft", words], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Trouble(f"nft {words}: {done.stderr.strip()}")


def enter_namespace():
    """Begins the program anew in a network namespace of its own, if this machine permits it; else says why packets are not dropped."""
    if IN_NAMESPACE in os.environ:
        subprocess.run(["ip", "link", "set", "lo", "up"], stdin=subprocess.DEVNULL, check=True)
        return
    missing = [program for program in ("unshare", "ip", "nft") if not shutil.which(program)]
    way = ["unshare", "--net"] if os.getuid() == 0 else ["unshare", "--net", "--map-root-user"]
    works = ["sh", "-c", "ip link set lo up && nft add table ip weir"]
    if missing:
        print(f"no packets are dropped: {', '.join(missing)} not installed", flush=True)
    elif subprocess.run(way + works, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode != 0:
        print("no packets are dropped: a network namespace with nftables is not permitted here", flush=True)
    else:
        os.environ[IN_NAMESPACE] = "1"
        os.execvp(way[0], way + [sys.executable] + sys.argv)
