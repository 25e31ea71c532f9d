"""How the benchmarks measure: contenders in turns, in one process, ratios first."""

from __future__ import annotations

import gc
import json
import platform
import random
import statistics
import time
from pathlib import Path

import jax

import nnx_compat as nc
from nnx_compat.matrix import source

STARTED = time.time()


class Times:
    """Seconds of one contender, a number a round."""

    def __init__(self):
        self.rounds = []

    @property
    def median(self):
        return statistics.median(self.rounds)

    @property
    def least(self):
        return min(self.rounds)

    def over(self, other):
        """How many times the other: the median of the ratios round by round.

        A machine that is slow for a while is slow for both, so this is steadier than
        the ratio of the medians.
        """
        pairs = zip(self.rounds, other.rounds, strict=True)
        return statistics.median(mine / theirs for mine, theirs in pairs)


def contest(contenders, rounds=60, repeat=1, warm=0, before=None):
    """The times of each contender, by name.

    They take turns, so that a noisy machine is noisy for all of them, in another order
    each round, so that none always follows the same one and finds its caches.

    Args:
        contenders: functions of no arguments, by name.
        rounds: how many turns each one has.
        repeat: calls in a turn that are timed together.
        warm: calls before them that are not, to bring a contender's code into cache.
        before: called with the number of each round before it, not timed.
    """
    times = {name: Times() for name in contenders}
    order, chance = list(contenders), random.Random(0)
    for fn in contenders.values():
        fn()
    for number in range(rounds):
        if before:
            before(number)
        gc.collect()  # here, and not in the time of whoever comes next
        gc.disable()
        chance.shuffle(order)
        for name in order:
            fn = contenders[name]
            for _ in range(warm):
                fn()
            start = time.perf_counter()
            for _ in range(repeat):
                fn()
            times[name].rounds.append((time.perf_counter() - start) / repeat)
        gc.enable()
    return times


def write(file, rows, **more):
    """What was measured as JSON, where a file was asked for."""
    if file:
        measured = {
            "source": source.digests(source.LIBRARY),
            "seconds": round(time.time() - STARTED),
        }
        text = json.dumps({**versions(), **measured, **more, "rows": rows}, indent=1)
        Path(file).write_text(text + "\n")


def versions():
    """What was measured, and on what kind of machine."""
    return {
        "flax": nc.flax_version,
        "jax": nc.jax_version,
        "revision": nc.revision,
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {jax.devices()[0].device_kind}",
    }


def heading():
    """The versions on one line."""
    return ", ".join(f"{name} {value}" for name, value in versions().items())
