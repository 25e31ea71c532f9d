"""What split, merge, state, update and clone cost over Flax: first, again, by size.

    python benchmarks/graph.py [--variables N] [--rounds N] [--growth [N ...]]
                               [--json FILE]

``first`` is a call on a node or graphdef that was not met before, ``again`` one on a
structure that did not change since. Both are medians of the ratios round by round, in
one process. ``--growth`` times the repeated calls at several sizes and gives the
exponent with which they grow, from each size to the next. That is time of the
processor: a long call waits for other processes and a short one does not. What is left
above 1 is the memory: 100,000 Variables are more than the caches hold, and one pass
that reads them (``reading``) grows with them.
"""

from __future__ import annotations

import argparse
import gc
import math
import time
import warnings

import jax.numpy as jnp
from measure import contest, heading, write

import nnx_compat as nc
from nnx_compat import _plan
from nnx_compat.revisions import nnx

#: For the sizes alone: modules in a tree, so many to each.
BRANCHES = 100


class Wide(nnx.Module):
    """Layers with two Variables each."""

    def __init__(self, variables):
        for i in range(variables // 2):
            setattr(self, f"layer{i:06d}", nnx.Linear(2, 2, rngs=nnx.Rngs(0)))


class Leaf(nnx.Module):
    """Two Variables, made in no time."""

    def __init__(self, array):
        self.kernel, self.bias = nnx.Param(array), nnx.Param(array)
        self.features = 3


class Tree(nnx.Module):
    """Modules in Modules."""

    def __init__(self, leaves, array):
        inside = max(1, math.ceil(leaves / BRANCHES))
        for i in range(min(leaves, BRANCHES)):
            made = Leaf(array) if inside == 1 else Tree(inside, array)
            setattr(self, f"branch{i:03d}", made)


def native_calls():
    """The operations as the installed release has them, by name."""
    if hasattr(nnx, "split"):
        return {
            "split": nnx.split,
            "merge": nnx.merge,
            "state": nnx.state,
            "update": nnx.update,
            "clone": nnx.clone,
        }
    return {
        "split": lambda m: m.split(),
        "merge": lambda graphdef, state: graphdef.merge(state),
        "state": lambda m: m.get_state(),
        "update": lambda m, state: m.update(state),
        "clone": lambda m: m.clone(),
    }


OPERATIONS = ("split", "merge", "state", "update", "clone")


def ours():
    """The same of ours."""
    return {name: getattr(nc, name) for name in OPERATIONS}


def arguments(name, make):
    """What an operation is called with, none of it met before."""
    if name == "merge":
        return nc.split(make())
    if name == "update":
        return make(), nc.state(make())
    return (make(),)


def first_and_again(variables, rounds):
    """Each operation over the native one, the first time and later."""
    for name in OPERATIONS:
        native, mine = native_calls()[name], ours()[name]
        fresh = []

        def renew(_, name=name, fresh=fresh):
            fresh[:] = [arguments(name, lambda: Wide(variables)) for _ in range(2)]

        renew(0)
        contenders = {
            "native": lambda native=native, fresh=fresh: native(*fresh[0]),
            "ours": lambda mine=mine, fresh=fresh: mine(*fresh[1]),
        }
        yield name, "first", contest(contenders, max(9, rounds // 4), before=renew)
        given = arguments(name, lambda: Wide(variables))
        for _ in range(3):
            mine(*given)
        contenders = {
            "native": lambda native=native, given=given: native(*given),
            "ours": lambda mine=mine, given=given: mine(*given),
        }
        yield name, "again", contest(contenders, rounds)


def growth(sizes):
    """Seconds of the repeated calls by size."""
    array = jnp.ones(2)
    for size in sizes:
        found, model = {}, Tree(size // 2, array)
        for name in OPERATIONS:
            given, call = arguments(name, lambda model=model: model), ours()[name]
            for _ in range(3):
                call(*given)
            found[name] = least(lambda call=call, given=given: call(*given))
        variables = list(nc.variables(model).values())
        found["reading"] = least(lambda variables=variables: _plan.read(variables))
        yield size, found


def least(call):
    """The seconds of the processor that a call takes when nothing disturbs it."""
    times = []
    gc.collect()
    gc.disable()
    for _ in range(7):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    gc.enable()
    return min(times)


def main():
    """Run all, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--variables", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument(
        "--growth", type=int, nargs="*", metavar="N", help="default: 1000 10000 100000"
    )
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    rows = []
    print(heading())
    if options.growth is None:
        for name, when, found in first_and_again(options.variables, options.rounds):
            mine, native = found["ours"], found["native"]
            row = {
                "what": f"{name} {when}, {options.variables} Variables",
                "ratio": round(mine.over(native), 3),
                "ratio_of_minima": round(mine.least / native.least, 3),
                "native_us": round(native.median * 1e6, 1),
                "ours_us": round(mine.median * 1e6, 1),
            }
            rows.append(row)
            print(
                f"  {row['what']:<30} {row['ratio']:6.3f}x (minima "
                f"{row['ratio_of_minima']:.3f}x)  {row['native_us']:.0f} -> "
                f"{row['ours_us']:.0f} us",
                flush=True,
            )
    else:
        before = None
        for count, found in growth(options.growth or [1000, 10_000, 100_000]):
            for name, seconds in found.items():
                row = {"what": f"{name}, {count} Variables", "us": seconds * 1e6}
                text = f"  {row['what']:<26} {seconds * 1e3:9.2f} ms"
                if before:
                    steps = math.log(count / before[0])
                    row["exponent"] = math.log(seconds / before[1][name]) / steps
                    text += f", exponent {row['exponent']:.3f}"
                rows.append(row)
                print(text, flush=True)
            before = count, found
    write(options.json, rows)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
