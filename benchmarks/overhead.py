"""What the stable operations cost over the native ones, as ratios in one process.

    python benchmarks/overhead.py [--json FILE]

The figure is the median of the ratios round by round, that of the minima beside it.
``nox -s bench`` runs it on the newest release of every revision.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import subprocess
import sys
import warnings

import jax
import jax.numpy as jnp
from measure import Times, contest, heading, write

import nnx_compat as nc
from nnx_compat.revisions import nnx


class Wide(nnx.Module):
    """300 Variables in 150 layers."""

    def __init__(self):
        for i in range(150):
            setattr(self, f"layer{i:03d}", nnx.Linear(2, 2, rngs=nnx.Rngs(0)))


def native_calls():
    """Split and merge as the installed release has them."""
    if hasattr(nnx, "split"):
        return nnx.split, nnx.merge
    return (lambda m: m.split()), (lambda graphdef, state: graphdef.merge(state))


def graph_operations():
    model = Wide()
    split, merge = native_calls()
    graphdef, state = nc.split(model)
    found = contest({"native": lambda: split(model), "ours": lambda: nc.split(model)})
    yield "split, 300 Variables", found
    found = contest(
        {
            "native": lambda: merge(graphdef, state),
            "ours": lambda: nc.merge(graphdef, state),
        }
    )
    yield "merge, 300 Variables", found


def variable_access():
    variable = nnx.Param(jnp.ones(3))
    get = nc.get_value
    if nc.supports("nnx.Variable.get_value"):
        native = lambda: variable.get_value()  # noqa: E731
    else:
        native = lambda: variable.value  # noqa: E731
    found = contest({"native": native, "ours": lambda: get(variable)}, 200, 2000)
    yield "get_value", found


def state_update():
    x = jnp.arange(1.0, 4.0)

    @functools.partial(jax.jit)
    def by_hand(kernel, bias, x, scale):
        return x @ (scale * kernel) + scale * bias

    model = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
    kernel, bias = nc.get_value(model.kernel), nc.get_value(model.bias)

    def recipe():
        made = nnx.Linear(in_features=3, out_features=2, rngs=nnx.Rngs(0))
        split, merge = native_calls()
        one, two = split(made)
        graphdef, state = (one, two) if hasattr(nnx, "split") else (two, one)
        scaled = jax.tree_util.tree_map(lambda leaf: leaf * 2.0, state)
        merge(graphdef, scaled)(x).block_until_ready()

    found = contest(
        {
            "native": lambda: by_hand(kernel, bias, x, 2.0).block_until_ready(),
            "ours": lambda: nc.pure_state_update(0, x, 2, 2.0).block_until_ready(),
        },
        300,
        10,
    )
    yield "pure_state_update against hand-written jit", found
    found = contest(
        {
            "native": recipe,
            "ours": lambda: nc.pure_state_update(0, x, 2, 2.0).block_until_ready(),
        },
        20,
        repeat=10,
        warm=1,
    )
    yield "pure_state_update against the eager recipe", found


def imports(rounds=9):
    """What ``import nnx_compat`` adds, in fresh processes where NNX is imported first.

    Our names are imported when the first is used, so one of them is.
    """
    timed = (
        "import time; start = time.perf_counter(); "
        f"import {nnx.__name__}; between = time.perf_counter(); "
        "import nnx_compat; nnx_compat.split; end = time.perf_counter(); "
        "print(between - start, end - start)"
    )
    pairs = []
    for _ in range(rounds):
        ran = subprocess.run(
            [sys.executable, "-c", timed], capture_output=True, text=True, check=True
        )
        pairs.append([float(word) for word in ran.stdout.split()])
    found = {"native": Times(), "ours": Times()}
    found["native"].rounds = [one for one, _ in pairs]
    found["ours"].rounds = [both for _, both in pairs]
    yield "import", found


def main():
    """Run all, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    rows = []
    print(heading())
    for part in (graph_operations, variable_access, state_update, imports):
        for what, found in part():
            ours, native = found["ours"], found["native"]
            added = [o - n for o, n in zip(ours.rounds, native.rounds, strict=True)]
            row = {
                "what": what,
                "ratio": round(ours.over(native), 3),
                "ratio_of_minima": round(ours.least / native.least, 3),
                "native_us": round(native.median * 1e6, 3),
                "ours_us": round(ours.median * 1e6, 3),
                "added_us": round(statistics.median(added) * 1e6, 3),
            }
            rows.append(row)
            print(
                f"  {what:<44} {row['ratio']:7.3f}x (minima "
                f"{row['ratio_of_minima']:.3f}x)  {row['native_us']:.2f} -> "
                f"{row['ours_us']:.2f} us, {row['added_us']:+.3f} us",
                flush=True,
            )
    write(options.json, rows)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
