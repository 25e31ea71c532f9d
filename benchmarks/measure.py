"""How the benchmarks measure: contenders in turns, in one process, ratios first."""

from __future__ import annotations

import gc
import platform
import random
import statistics
import time

import jax

import nnx_compat as nc


def contest(contenders, rounds=60, repeat=1, warm=0):
    """Median and minimum seconds of each contender.

    They take turns, so that a noisy machine is noisy for all of them, in another order
    each round, so that none always follows the same one and finds its caches.

    Args:
        contenders: functions of no arguments, by name.
        rounds: how many turns each one has.
        repeat: calls in a turn that are timed together.
        warm: calls before them that are not, to bring a contender's code into cache.
    """
    times = {name: [] for name in contenders}
    order, chance = list(contenders), random.Random(0)
    for fn in contenders.values():
        fn()
    for _ in range(rounds):
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
            times[name].append((time.perf_counter() - start) / repeat)
        gc.enable()
    return {name: (statistics.median(t), min(t)) for name, t in times.items()}


def versions():
    """What was measured, and on what kind of machine."""
    return {
        "flax": nc.flax_version,
        "jax": nc.jax_version,
        "revision": nc.revision,
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {jax.devices()[0].device_kind}",
    }
