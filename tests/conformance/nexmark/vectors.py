# SPDX-License-Identifier: Apache-2.0
"""The published results of vectors.txt, and the runs that give them."""
import os

PROFILES = {"std": (10000, 1), "mid": (3000, 1000), "slow": (2, 1000)}  # rate, group
VECTOR_EVENTS = 100000


def read_vectors():
    """{(result, profile): (rows, hash)}"""
    vectors = {}
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "vectors.txt"), encoding="ascii") as lines:
        for line in lines:
            if line[0] != "#":
                name, *numbers = line.split()
                for i, profile in enumerate(PROFILES):
                    vectors[name, profile] = (int(numbers[2 * i]), numbers[2 * i + 1])
    return vectors


def profile_args(profile):
    rate, group = PROFILES[profile]
    return ["--events", str(VECTOR_EVENTS), "--rate", str(rate), "--group", str(group)]
