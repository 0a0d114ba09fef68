# SPDX-License-Identifier: Apache-2.0
"""A cluster of real processes in a private folder: JobManager, TaskManagers, what jobctl says of them, and what they leave on disk.

    DIR/out        the job's committed output       DIR/jm         data of the JobManager
    DIR/ckpt       checkpoint storage               DIR/NAME.log   what a daemon wrote, over all its lives
    DIR/save       savepoints                       DIR/tm-N       local state of a TaskManager
    DIR/tmp        TMPDIR of everybody              DIR/faults     rule of the failing disk (tests/support/faultfs)

Nothing here ends a process that this program did not start. Daemons have a fixed port or folder each, so a restarted one takes the place
of the dead one. Orphans become children of this process (PR_SET_CHILD_SUBREAPER), so that none is missed.
"""
import ctypes
import glob
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

PR_SET_CHILD_SUBREAPER = 36
TASKMANAGERS = 3
SLOTS = 2
STOP_S = 10  # between SIGTERM and giving up


class Trouble(Exception):
    """The run has failed; the text says how."""


def free_port(address="127.0.0.1"):
    """One that nobody listens on, and below those that the kernel gives to whoever connects: a daemon that is started again finds it free."""
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind((address, port))
                return port
            except OSError:
                continue


def children_of(pid):
    """Living descendants as {pid: program}."""
    found = {}
    for task in glob.glob(f"/proc/{pid}/task/*/children"):
        try:
            with open(task, encoding="ascii") as f:
                pids = [int(p) for p in f.read().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue
        for child in pids:
            program = program_of(child)
            if program is not None:
                found[child] = program
            found.update(children_of(child))
    return found


def program_of(pid):
    """Name of a living process's program; None for one that has ended."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
            text = f.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    name, rest = text[text.index("(") + 1 : text.rindex(")")], text[text.rindex(")") + 2 :]
    return None if rest[0] in "ZX" else name


def send(pid, number):
    """Signals a process of ours, which may have ended meanwhile."""
    try:
        os.kill(pid, number)
        return True
    except ProcessLookupError:
        return False


class Daemon:
    def __init__(self, cluster, name, argv, env=None):
        self.cluster, self.name, self.argv, self.env = cluster, name, argv, env or {}
        self.process = None

    @property
    def pid(self):
        return self.process.pid

    def start(self):
        with open(self.cluster.path(f"{self.name}.log"), "ab") as log:
            self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=dict(self.cluster.env, **self.env))

    def runs(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        if self.runs():
            self.process.kill()
            self.process.wait()

    def stop(self):
        """By SIGTERM; False if it had to be killed."""
        if not self.runs():
            return True
        self.process.terminate()
        try:
            self.process.wait(STOP_S)
            return True
        except subprocess.TimeoutExpired:
            self.kill()
            return False


class Cluster:
    def __init__(self, build, options, faultfs):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self.bin = os.path.join(os.path.abspath(build), "bin")
        self.dir = tempfile.mkdtemp(prefix="weir-chaos-", dir=os.environ.get("WEIR_TEST_DIR"))
        for name in ("out", "ckpt", "save", "jm", "tmp"):
            os.mkdir(self.path(name))
        self.env = dict(os.environ, TMPDIR=self.path("tmp"))
        if faultfs:
            self.env.update(LD_PRELOAD=faultfs, FAULTFS_FILE=self.path("faults"))
        options = dict(options, **{"execution.checkpointing.dir": self.path("ckpt"), "execution.checkpointing.savepoint-dir": self.path("save")})
        self.mine = ["--exit-with-parent", str(os.getpid())]
        self.definitions = [word for key, value in options.items() for word in ("-D", f"{key}={value}")]
        self.jobmanagers = self.make_jobmanagers()
        self.taskmanagers = [self.make_taskmanager(i) for i in range(1, TASKMANAGERS + 1)]

    def make_jobmanagers(self):
        self.control, self.admin = f"tcp://127.0.0.1:{free_port()}", f"tcp://127.0.0.1:{free_port()}"
        return [Daemon(self, "jm", [self.program("weir-jobmanager"), "--bind", self.control, "--admin", self.admin, "--data-dir",
                                    self.path("jm")] + self.definitions + self.mine)]

    def make_taskmanager(self, i):
        argv = [self.program("weir-taskmanager"), "--jobmanager", self.control, "--id", f"tm-{i}", "--slots", str(SLOTS), "--state-dir",
                self.path(f"tm-{i}")]
        return Daemon(self, f"tm-{i}", argv + self.mine)

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def program(self, name):
        return os.path.join(self.bin, name)

    @property
    def daemons(self):
        return self.jobmanagers + self.taskmanagers

    def start(self):
        for daemon in self.daemons:
            if not daemon.runs():
                daemon.start()

    def workers(self):
        return sorted(pid for pid, program in children_of(os.getpid()).items() if program.startswith("weir-worker"))

    def reap(self):
        """Collects orphans that have ended. Children with an object of their own are collected by it."""
        own = {d.process.pid for d in self.daemons if d.process}
        for pid, program in list(zombies_of(os.getpid())):
            if pid not in own and program != "jobctl":
                try:
                    os.waitpid(pid, os.WNOHANG)
                except ChildProcessError:
                    pass

    # ---- jobctl

    def jobctl(self, *words, within_s=60):
        """(exit status, standard output, standard error); status None: no answer in time."""
        env = {k: v for k, v in self.env.items() if k not in ("LD_PRELOAD", "FAULTFS_FILE")}
        argv = [self.program("jobctl"), "--jobmanager", self.admin, "--timeout", "5", *words]
        try:
            done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=env, timeout=within_s, check=False)
            return done.returncode, done.stdout, done.stderr
        except subprocess.TimeoutExpired:
            return None, "", f"no answer within {within_s} s"

    def answer(self, *words):
        """The document of an answer; {} while nobody gives one."""
        status, text, _ = self.jobctl("-o", "json", *words, within_s=20)
        return json.loads(text) if status == 0 else {}

    def show(self, job):
        return self.answer("show", job)

    def jobs(self):
        return self.answer("list").get("jobs", [])

    # ---- what lies on disk

    def checkpoints(self, job):
        """{number: folder} of the checkpoints that have a manifest."""
        found = {}
        for manifest in glob.glob(self.path("ckpt", job, "chk-*", "MANIFEST")):
            folder = os.path.dirname(manifest)
            found[int(re.fullmatch(r"chk-(\d+)", os.path.basename(folder))[1])] = folder
        return found

    def newest_savepoints(self):
        """The last one that was completed, if any."""
        found = glob.glob(self.path("save", "**", "MANIFEST"), recursive=True)
        return [os.path.dirname(max(found, key=os.path.getmtime))] if found else []

    def newest_checkpoint(self, job):
        return max(self.checkpoints(job), default=0)

    def set_fault(self, path, ops, errnum="none", delay_ms=0):
        """From now on every such call of the daemons and workers is slow, or fails. One rule at a time."""
        line = f"{path} {ops} 1 {errnum} 1 {delay_ms}\n"
        with open(self.path("faults.new"), "w", encoding="ascii") as f:
            f.write(line)
        os.rename(self.path("faults.new"), self.path("faults"))

    def clear_fault(self):
        if os.path.exists(self.path("faults")):
            os.unlink(self.path("faults"))

    # ---- the end

    def close(self, keep):
        for daemon in self.daemons:
            daemon.kill()
        for pid in self.workers():
            send(pid, signal.SIGKILL)
        if keep:
            print(f"kept: {self.dir}")
        else:
            shutil.rmtree(self.dir, ignore_errors=True)


def zombies_of(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
            pids = [int(p) for p in f.read().split()]
    except FileNotFoundError:
        return
    for child in pids:
        try:
            with open(f"/proc/{child}/stat", encoding="ascii", errors="replace") as f:
                text = f.read()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if text[text.rindex(")") + 2] == "Z":
            yield child, text[text.index("(") + 1 : text.rindex(")")]


def wait_for(condition, within_s, what, pause_s=0.05):
    """Looks until it is true; returns what it gave."""
    deadline = time.monotonic() + within_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Trouble(f"not within {within_s} s: {what}")
        time.sleep(pause_s)
