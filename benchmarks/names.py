"""What each name of the drop-in namespace costs where Flax has the name too.

    python benchmarks/names.py [--rounds N] [--only NAME ...] [--json FILE]

A name that is Flax's own object costs nothing. Of the others, each that has a case here
is called natively and through ``nnx_compat.nnx`` in turns, in one process: as it is
(``eager``), and as a part of a function that jax traces (``tracing``). It ends with 1
where one costs more than 1.2 times the native one, and says which names have no case.
"""

from __future__ import annotations

import argparse
import functools
import sys
import types
import warnings

import jax
import jax.numpy as jnp
from measure import contest, heading, write

import nnx_compat as nc
from nnx_compat.revisions import nnx as native

#: How many times the native cost is too much.
LIMIT = 1.2
X = jnp.ones((2, 4))


class Net(native.Module):
    """Twenty layers with forty Variables."""

    def __init__(self, rngs):
        for i in range(20):
            setattr(self, f"layer{i:02d}", native.Linear(4, 4, rngs=rngs))

    def __call__(self, x):
        for i in range(20):
            x = getattr(self, f"layer{i:02d}")(x)
        return x


def net():
    """A new one."""
    return Net(native.Rngs(0))


def loss(model, x):
    """Of a model and its input."""
    return model(x).sum()


def halved(carry, x):
    """A step of a scan."""
    return carry / 2, x


def graph_cases(nnx):
    """The operations on nodes, by name."""
    model = net()
    yield "graphdef", lambda: nnx.graphdef(model)
    yield "state", lambda: nnx.state(model)
    yield "split", lambda: nnx.split(model)
    yield "clone", lambda: nnx.clone(model)
    yield "iter_graph", lambda: [*nnx.iter_graph(model)]
    yield "variables", lambda: nnx.variables(model)
    if hasattr(native, "split"):
        graphdef, state = native.split(model)
        yield "merge", lambda: nnx.merge(graphdef, state)
        yield "update", lambda: nnx.update(model, state)
        yield "flatten", lambda: nnx.flatten(model)
        pure = nc.to_pure_dict(nc.state(model))
        yield "replace_by_pure_dict", lambda: nnx.replace_by_pure_dict(state, pure)
        yield "get_partition_spec", lambda: nnx.get_partition_spec(state)
        mesh = jax.sharding.Mesh(jax.devices()[:1], "data")
        yield "get_named_sharding", lambda: nnx.get_named_sharding(state, mesh)
    if hasattr(native, "split_rngs"):
        rngs = native.Rngs(0)
        yield "split_rngs", lambda: nnx.split_rngs(rngs, splits=2)
        yield "reseed", lambda: nnx.reseed(model, default=1)


def class_cases(nnx):
    """What is made with a call, and layers that are called, by name."""
    model = net()
    made = {
        "Rngs": lambda: nnx.Rngs(0, params=1),
        "Sequential": lambda: nnx.Sequential(model),
        "Dict": lambda: nnx.Dict(a=1),
        "LoRA": lambda: nnx.LoRA(4, 2, 4, rngs=native.Rngs(0)),
        "LoRALinear": lambda: nnx.LoRALinear(4, 4, lora_rank=2, rngs=native.Rngs(0)),
        "MultiMetric": lambda: nnx.MultiMetric(loss=native.metrics.Average()),
        "VariableMetadata": lambda: nnx.VariableMetadata(1, metadata={"unit": "m"}),
        "VariableState": lambda: nnx.VariableState(native.Param, 1),
        "PathContains": lambda: nnx.PathContains("a")(("a", "b"), 1),
        "All": lambda: nnx.All(native.Param, ...)((), 1),
        "Not": lambda: nnx.Not(native.Param)((), 1),
        "with_metadata": lambda: nnx.with_metadata(jnp.zeros, unit="m"),
        "with_partitioning": lambda: nnx.with_partitioning(jnp.zeros, ("a",)),
        "static": lambda: nnx.static(1),
        "data": lambda: nnx.data(1),
    }
    yield from made.items()
    query = jnp.ones((2, 3, 2, 4))
    yield (
        "dot_product_attention",
        lambda: nnx.dot_product_attention(query, query, query),
    )
    yield "Dropout", lambda: nnx.Dropout(0.5, rngs=native.Rngs(0))(X)

    def attention():
        return nnx.MultiHeadAttention(2, 4, decode=False, rngs=native.Rngs(0))

    yield "MultiHeadAttention", called(attention, (X[None],))


def transform_cases(nnx):
    """Transformations, made once and called, by name."""
    model = net()
    once = {
        "jit": lambda: nnx.jit(loss),
        "grad": lambda: nnx.grad(loss),
        "value_and_grad": lambda: nnx.value_and_grad(loss),
        "vmap": lambda: nnx.vmap(loss, in_axes=(None, 0)),
        "remat": lambda: nnx.remat(loss),
        "checkify": lambda: nnx.checkify(loss),
        "cached_partial": lambda: nnx.cached_partial(nnx.jit(loss), model),
    }
    for name, make in once.items():
        given = (X,) if name == "cached_partial" else (model, X)
        yield name, called(make, given)
    yield "scan", called(lambda: nnx.scan(halved), (X[0], X))
    yield "eval_shape", lambda: nnx.eval_shape(net)
    yield "cond", lambda: nnx.cond(True, loss, loss, model, X)
    yield "switch", lambda: nnx.switch(0, (loss, loss), model, X)
    yield "fori_loop", lambda: nnx.fori_loop(0, 2, lambda i, x: x + i, X)
    yield "while_loop", lambda: nnx.while_loop(lambda x: x[0, 0] < 3, _grow, X)


def called(make, given):
    """A call of what is made at the first one."""
    made = functools.cache(make)
    return lambda: made()(*given)


def _grow(x):
    return x + 1


def all_cases(nnx):
    """All of them, by name."""
    parts = graph_cases, class_cases, transform_cases
    return {name: call for part in parts for name, call in part(nnx)}


def traced(call):
    """The same inside a function that jax traces anew."""

    def trace():
        def inside(x):
            call()
            return x

        jax.make_jaxpr(inside)(1.0)

    return trace


def differing():
    """The names of both that are not one object, but for modules of names."""
    for name in sorted(set(dir(native))):
        if name.startswith("_") or not hasattr(nc.nnx, name):
            continue
        value = getattr(native, name)
        if isinstance(value, types.ModuleType) or getattr(nc.nnx, name) is value:
            continue
        yield name


def main():
    """Measure all, print a table and what is over the limit, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--only", nargs="+", metavar="NAME")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    print(heading())
    by_flax, by_us = all_cases(native), all_cases(nc.nnx)
    names = [*differing()]
    rows, without = [], [n for n in names if n not in by_flax or n not in by_us]
    for name in names:
        if name in without or (options.only and name not in options.only):
            continue
        for how, wrap in (("eager", lambda call: call), ("tracing", traced)):
            calls = {"native": wrap(by_flax[name]), "ours": wrap(by_us[name])}
            try:
                found = contest(calls, options.rounds, repeat=2, warm=1)
            except Exception as error:
                print(f"  {name}, {how}: {type(error).__name__}, not measured")
                continue
            ours, flax = found["ours"], found["native"]
            row = {
                "what": f"{name}, {how}",
                "ratio": round(ours.over(flax), 3),
                "ratio_of_minima": round(ours.least / flax.least, 3),
                "native_us": round(flax.median * 1e6, 1),
                "ours_us": round(ours.median * 1e6, 1),
            }
            rows.append(row)
            print(
                f"  {row['what']:<34} {row['ratio']:6.2f}x (minima "
                f"{row['ratio_of_minima']:.2f}x)  {row['native_us']:.0f} -> "
                f"{row['ours_us']:.0f} us",
                flush=True,
            )
    # both, for a machine that is busy moves one or the other, and a cost moves both
    over = [r for r in rows if min(r["ratio"], r["ratio_of_minima"]) > LIMIT]
    print(f"over {LIMIT}x: {', '.join(row['what'] for row in over) or 'none'}")
    print(f"without a case: {', '.join(without) or 'none'}")
    write(options.json, rows, without=without)
    return bool(over)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.exit(main())
