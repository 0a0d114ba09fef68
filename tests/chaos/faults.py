# SPDX-License-Identifier: Apache-2.0
"""The faults: each a function of a run and a chooser (random.Random of the cycle's seed). It does harm, and heals it before it returns; that
the job comes back from it is for the caller to see. What it did is told in words, for the log."""
import os
import signal
import subprocess
import time

from cluster import send


def rest(chooser, least_s, most_s):
    time.sleep(chooser.uniform(least_s, most_s))


# ---- processes


def kill_worker(run, chooser):
    workers = run.cluster.workers()
    if not workers:
        return "no worker to kill"
    send(chooser.choice(workers), signal.SIGKILL)
    return "a worker killed"


def kill_all_workers(run, chooser):
    del chooser
    workers = run.cluster.workers()
    for pid in workers:
        send(pid, signal.SIGKILL)
    return f"{len(workers)} workers killed"


def stop_worker(run, chooser):
    workers = run.cluster.workers()
    if not workers:
        return "no worker to stop"
    pid = chooser.choice(workers)
    send(pid, signal.SIGSTOP)
    rest(chooser, 0.1, 5)  # 3 s of silence are a death
    send(pid, signal.SIGCONT)
    return "a worker stopped for a while"


def kill_taskmanager(run, chooser):
    daemon = chooser.choice(run.cluster.taskmanagers)
    daemon.kill()
    rest(chooser, 0, 1.5)
    daemon.start()
    return f"{daemon.name} killed"


def stop_taskmanager(run, chooser):
    daemon = chooser.choice(run.cluster.taskmanagers)
    send(daemon.pid, signal.SIGSTOP)
    rest(chooser, 0.1, 5)
    send(daemon.pid, signal.SIGCONT)
    return f"{daemon.name} stopped for a while"


def kill_jobmanager(run, chooser):
    jobmanager = run.cluster.jobmanagers[0]
    jobmanager.kill()
    rest(chooser, 0, 1)
    jobmanager.start()
    return "the JobManager killed"


def kill_everything(run, chooser):
    daemons = list(run.cluster.daemons)
    chooser.shuffle(daemons)
    workers = run.cluster.workers()
    for daemon in daemons:
        send(daemon.pid, signal.SIGKILL)
    for pid in workers:
        send(pid, signal.SIGKILL)
    for daemon in daemons:
        daemon.process.wait()
    rest(chooser, 0, 0.5)
    for daemon in daemons:
        daemon.start()
    return "everything killed"


# ---- connections


def reset_connections(run, chooser):
    del chooser
    ports = run.data_ports()
    if not run.can_reset or not ports:
        return "connections not reset: not permitted here, or there are none"
    either = " or ".join(f"sport = :{p} or dport = :{p}" for p in sorted(ports))
    subprocess.run([run.ss, "-K", "-t", "-n", "-H", "state", "established", f"( {either} )"], stdin=subprocess.DEVNULL,
                   capture_output=True, check=False)
    return f"connections of {len(ports)} ports reset"


# ---- disks: of daemons and workers, by the preloaded library


def with_disk_fault(run, chooser, what, *rule, **options):
    if not run.faultfs:
        return f"{what}: not without the library that does it"
    run.cluster.set_fault(*rule, **options)
    rest(chooser, 0.3, 2)
    run.cluster.clear_fault()
    return what


def slow_fsync(run, chooser):
    return with_disk_fault(run, chooser, "slow fsyncs", "/", "fsync,fdatasync", delay_ms=chooser.choice([20, 100, 300]))


def slow_commit_and_kill(run, chooser):
    """Files are shown one by one, slowly, and in the middle all workers die: the next attempt has to show the rest."""
    if not run.faultfs:
        return kill_all_workers(run, chooser)
    run.cluster.set_fault("/out/", "rename", delay_ms=100)
    rest(chooser, 0.4, 1.2)
    kill_all_workers(run, chooser)
    run.cluster.clear_fault()
    return "all workers killed while they showed files"


def failed_fsync(run, chooser):
    return with_disk_fault(run, chooser, "failed fsyncs of checkpoints", "/ckpt/", "fsync,fdatasync", errnum="EIO")


def full_storage(run, chooser):
    return with_disk_fault(run, chooser, "checkpoint storage full", "/ckpt/", "open,write,rename,link,mkdir", errnum="ENOSPC")


def failed_local_state(run, chooser):
    return with_disk_fault(run, chooser, "local state folders fail", "/tm-", "fsync,fdatasync,write", errnum="EIO")


def storage_away(run, chooser):
    here, away = run.cluster.path("ckpt"), run.cluster.path("ckpt.away")
    os.rename(here, away)
    rest(chooser, 0.3, 2)
    os.rename(away, here)
    return "checkpoint storage away"


# ---- orders that race with a fault


RESCALE_S = 60  # a job may take so long to be there again
SMALL = (kill_worker, kill_taskmanager, stop_worker, failed_fsync, kill_jobmanager)


def order_and_fault(run, chooser, what, *words):
    """An order to the JobManager and, somewhere in between, a fault. The order may fail; the job may not."""
    order = run.start_jobctl(*words)
    rest(chooser, 0, 0.2)
    did = chooser.choice(SMALL)(run, chooser)
    run.finish_jobctl(order)
    return f"{what}, and {did}"


def savepoint_and_fault(run, chooser):
    return order_and_fault(run, chooser, "savepoint asked for", "savepoint", run.job, run.new_savepoint())


def checkpoint_and_fault(run, chooser):
    return order_and_fault(run, chooser, "checkpoint asked for", "checkpoint", run.job)


def rescale_and_fault(run, chooser):
    parallelism = chooser.choice([1, 2, 3, 4])
    did = order_and_fault(run, chooser, f"rescale to {parallelism}", "rescale", run.job, "--parallelism", str(parallelism))
    run.rescaling_until = time.monotonic() + RESCALE_S
    return did


def stop_and_fault(run, chooser):
    """Stopped with a savepoint, to begin again from it at another parallelism, as another job on the same output. Or not, if the fault wins."""
    path = run.new_savepoint()
    run.stopping = (path, chooser.choice([1, 2, 3, 4]))
    return order_and_fault(run, chooser, f"stop with a savepoint, to go on at {run.stopping[1]}", "stop", run.job, path)


def stop_and_go_on(run, chooser):
    """The same without a fault."""
    path, parallelism = run.new_savepoint(), chooser.choice([1, 2, 3, 4])
    run.stopping = (path, parallelism)
    status, _, words = run.cluster.jobctl("stop", run.job, path)
    return f"stopped with a savepoint, to go on at {parallelism}" if status == 0 else f"not stopped: {words.strip()}"


FAULTS = (kill_worker, kill_worker, kill_all_workers, stop_worker, kill_taskmanager, kill_taskmanager, stop_taskmanager, kill_jobmanager,
          kill_everything, kill_everything, reset_connections, slow_fsync, slow_commit_and_kill, failed_fsync, full_storage,
          failed_local_state, storage_away, savepoint_and_fault, checkpoint_and_fault, rescale_and_fault, stop_and_fault, stop_and_go_on)
