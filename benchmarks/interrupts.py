"""Ctrl-C at so many moments of training with donated memory: what is lost?

    python benchmarks/interrupts.py [--trials N] [--size N] [--json FILE]

A loop of steps is interrupted after a random time, sometimes while a step is new to jax
and sometimes long after. Then every weight has to be there, all of the same step, and
the error has to be the KeyboardInterrupt. It ends with 1 where one was lost.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import warnings

import jax.numpy as jnp
from measure import heading, write

import nnx_compat as nc
from nnx_compat.revisions import nnx


class Layers(nnx.Module):
    """Weights that tell how many steps they have seen."""

    def __init__(self, size):
        for name in ("first", "second"):
            setattr(self, name, nnx.Param(jnp.zeros((size, size))))


def grow(model):
    """One step."""
    for variable in nc.variables(model).values():
        nc.set_value(variable, nc.get_value(variable) + 1)


def by_step(model):
    """Steps with ``compile_step``."""
    with nc.compile_step(grow, model) as step:
        while True:
            step()


def by_jit(model):
    """Steps with ``nc.jit`` and donation."""
    step = nc.jit(grow, donate_argnums=0)
    while True:
        step(model)


def is_whole(model):
    """Whether all weights are there, and of the same step."""
    try:
        found = {
            float(number)
            for variable in nc.variables(model).values()
            for number in (nc.get_value(variable).min(), nc.get_value(variable).max())
        }
    except Exception:
        return False
    return len(found) == 1


def interrupted(train, size, seconds):
    """Whether the weights are lost, and whether the error was another one."""
    model = Layers(size)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    other = False
    try:
        train(model)
    except KeyboardInterrupt:
        pass
    except Exception:
        other = True
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return not is_whole(model), other


def main():
    """Interrupt both, print what was lost, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    print(heading())
    chance = random.Random(0)
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    rows = []
    for train in (by_step, by_jit):
        outcomes = [
            interrupted(train, options.size, chance.uniform(0.002, 0.25))
            for _ in range(options.trials)
        ]
        row = {
            "what": " ".join(train.__doc__.split()),
            "interrupts": options.trials,
            "weights_lost": sum(lost for lost, _ in outcomes),
            "other_errors": sum(other for _, other in outcomes),
        }
        rows.append(row)
        print("  " + ", ".join(f"{key} {value}" for key, value in row.items()))
    signal.signal(signal.SIGALRM, before)
    write(options.json, rows)
    return any(row["weights_lost"] or row["other_errors"] for row in rows)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.exit(main())
