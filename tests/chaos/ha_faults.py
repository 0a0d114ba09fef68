# SPDX-License-Identifier: Apache-2.0
"""Faults of an ensemble of JobManagers, as those in faults.py. Each is a pure change of leader: the job's attempt outlives it; but for one
that says otherwise, by run.restarts = True."""
import os
import signal
import time

import faults
from cluster import Trouble, send, wait_for
from faults import rest

QUORUM_LOST_S = 4  # at most, without a majority
CUT_S = 3  # between JobManagers
GLITCH_S = 0.8  # between a TaskManager and the leader: TCP has sent again within 1.4 s then, and 3 s of silence are a death
LOST_S = 6
CANCELED_S = 60


def some(chooser, members, n):
    return chooser.sample(members, n)


def away(run, chooser, members, most_s):
    """Killed at once, and started in some order, each after a pause."""
    for member in members:
        send(member.pid, signal.SIGKILL)
    for member in members:
        member.kill()
    rest(chooser, 0, most_s)
    for member in chooser.sample(members, len(members)):
        member.start()
        rest(chooser, 0, 0.3)
    del run


def stopped(chooser, members, most_s):
    for member in members:
        member.stopped = True
        send(member.pid, signal.SIGSTOP)
    rest(chooser, 0.1, most_s)
    for member in members:
        send(member.pid, signal.SIGCONT)
        member.stopped = False


def names(members):
    return ", ".join(m.name for m in members)


# ---- processes


def kill_leader(run, chooser):
    leader = run.cluster.wait_leader()
    away(run, chooser, [leader], 1.5)
    return f"the leader killed, {leader.name}"


def kill_next_leader(run, chooser):
    """The one that follows dies as well, as soon as it leads or a little later: no majority is left."""
    first = run.cluster.wait_leader()
    first.kill()
    second = run.cluster.wait_leader()
    rest(chooser, 0, 0.5)
    second.kill()
    rest(chooser, 0, 1)
    first.start()
    rest(chooser, 0, 1)
    second.start()
    return f"the leader killed, {first.name}, and the next one, {second.name}"


def kill_follower(run, chooser):
    follower = chooser.choice(run.cluster.followers())
    away(run, chooser, [follower], 1.5)
    return f"a follower killed, {follower.name}"


def kill_two(run, chooser):
    members = some(chooser, run.cluster.jobmanagers, 2)
    away(run, chooser, members, QUORUM_LOST_S)
    return f"two JobManagers killed, {names(members)}"


def kill_all(run, chooser):
    away(run, chooser, run.cluster.jobmanagers, 2)
    return "all JobManagers killed"


def stop_leader(run, chooser):
    leader = run.cluster.wait_leader()
    stopped(chooser, [leader], 5)
    return f"the leader stopped for a while, {leader.name}"


def stop_follower(run, chooser):
    follower = chooser.choice(run.cluster.followers())
    stopped(chooser, [follower], 5)
    return f"a follower stopped for a while, {follower.name}"


def stop_all(run, chooser):
    stopped(chooser, run.cluster.jobmanagers, 4)
    return "all JobManagers stopped for a while"


def kill_leader_and_stop_follower(run, chooser):
    leader, follower = run.cluster.wait_leader(), chooser.choice(run.cluster.followers())
    leader.kill()
    stopped(chooser, [follower], 2)
    leader.start()
    return f"the leader killed, {leader.name}, while a follower stood, {follower.name}"


# ---- packets


def cut(run, chooser, near, far, most_s, what):
    """Packets between each of `near` and each of `far` are dropped: one way, the other, or both."""
    if not run.cluster.filter:
        return f"{what}: not without a packet filter"
    way = chooser.choice(("out", "in", "both"))
    pairs = [(a, b) for a in near for b in far if way != "in"] + [(b, a) for a in near for b in far if way != "out"]
    run.cluster.filter.cut(pairs)
    rest(chooser, 0.1, most_s)
    run.cluster.filter.heal()
    return f"{what}, {names(near)}: {way}"


def cut_leader(run, chooser):
    leader = run.cluster.wait_leader()
    return cut(run, chooser, [leader], run.cluster.followers(), CUT_S, "the leader cut off from both followers")


def cut_leader_from_one(run, chooser):
    leader = run.cluster.wait_leader()
    return cut(run, chooser, [leader], some(chooser, run.cluster.followers(), 1), CUT_S, "the leader cut off from one follower")


def cut_followers(run, chooser):
    one, other = run.cluster.followers()
    return cut(run, chooser, [one], [other], CUT_S, "followers cut off from each other")


def cut_leader_from_all(run, chooser):
    """From JobManagers and TaskManagers: those who can reach each other go on."""
    leader = run.cluster.wait_leader()
    return cut(run, chooser, [leader], run.cluster.followers() + run.cluster.taskmanagers, CUT_S, "the leader cut off from everybody")


def cut_taskmanager(run, chooser):
    taskmanager = chooser.choice(run.cluster.taskmanagers)
    return cut(run, chooser, [taskmanager], [run.cluster.wait_leader()], GLITCH_S, "a TaskManager cut off from the leader for a moment")


def lose_taskmanager(run, chooser):
    """For so long that the leader gives it up: the job begins another attempt."""
    run.restarts = True
    taskmanager = chooser.choice(run.cluster.taskmanagers)
    return cut(run, chooser, [taskmanager], run.cluster.jobmanagers, LOST_S, "a TaskManager cut off from all JobManagers")


def kill_worker_and_leader(run, chooser):
    run.restarts = True
    did = faults.kill_worker(run, chooser)
    rest(chooser, 0, 0.3)
    return f"{did}, and {kill_leader(run, chooser)}"


# ---- orders that race with a fault


def cancel_and_kill_leader(run, chooser):
    """Another job, canceled while the leader dies. If the cancel was answered, it is carried out by whoever leads."""
    cluster = run.cluster
    status, text, error = cluster.jobctl("run", "--detached", "--parallelism", "1", os.path.join(run.args.build, "tests", "chaos", "verify.so"),
                                         "--", "--output", cluster.path(f"canceled-{time.monotonic_ns()}"), "--splits", "1", "--pace", "50")
    if status != 0:
        raise Trouble(f"the second job cannot be submitted: {error.strip()}")
    job = text.split()[-1]
    wait_for(lambda: cluster.show(job).get("state") == "RUNNING", CANCELED_S, "the second job runs")
    order = run.start_jobctl("cancel", job)
    rest(chooser, 0, 0.1)
    did = kill_leader(run, chooser)
    run.finish_jobctl(order)
    answered = order.returncode == 0
    if not answered:
        wait_for(lambda: cluster.jobctl("cancel", job)[0] in (0, 4), CANCELED_S, "the second job can be canceled")
    state = wait_for(lambda: (s := cluster.show(job).get("state")) in ("FINISHED", "CANCELED", "FAILED") and s, CANCELED_S,
                     f"the second job, whose cancel was {'' if answered else 'not '}answered, ends")
    if state != "CANCELED":
        raise Trouble(f"a canceled job is {state}")
    return f"a job canceled ({'answered' if answered else 'asked again'}), and {did}"


FAULTS = (kill_leader, kill_leader, kill_next_leader, kill_follower, kill_two, kill_all, stop_leader, stop_leader, stop_follower, stop_all,
          kill_leader_and_stop_follower, cut_leader, cut_leader, cut_leader_from_one, cut_followers, cut_leader_from_all, cut_taskmanager,
          lose_taskmanager, kill_worker_and_leader, cancel_and_kill_leader)
