"""One training step, written once, compiled in every way that the release has.

    python benchmarks/dispatch.py [--leaves 30 300 3000] [--rounds N] [--json FILE]
                                  [--only CONTENDER ...]

The model is an MLP with BatchNorm and Adam. Two steps are measured: ``adam``, the whole
training step with its compute, and ``dispatch``, a step over the same leaves that only
multiplies each, so that what remains is the way in and out. The limit is what an expert
writes by hand: a flat tuple of leaves, donated.

Where thousands of small arrays happen to lie in memory moves a contender by a fifth
either way, for as long as they lie there: donated, each is written where it was. So
those of the limit and of ``compile_step`` are put elsewhere every few rounds.
"""

from __future__ import annotations

import argparse
import functools
import random
import time
import warnings

import jax
import jax.numpy as jnp
import optax
from measure import contest, heading, write

import nnx_compat as nc
from nnx_compat.pure._pack import can_pack
from nnx_compat.revisions import nnx

WIDTH, BATCH = 8, 8
PER_LAYER = 14  # 4 parameters, 8 moments, 2 batch statistics


class Layer(nnx.Module):
    """Linear, BatchNorm, relu, and the way around them."""

    def __init__(self, rngs):
        self.linear = nnx.Linear(WIDTH, WIDTH, rngs=rngs)
        self.norm = nnx.BatchNorm(WIDTH, use_running_average=False, rngs=rngs)

    def __call__(self, x):
        return x + jax.nn.relu(self.norm(self.linear(x)))


class Net(nnx.Module):
    """So many layers."""

    def __init__(self, layers, rngs):
        self.depth = layers
        for i in range(layers):
            setattr(self, f"layer{i:03d}", Layer(rngs))

    def __call__(self, x):
        for i in range(self.depth):
            x = getattr(self, f"layer{i:03d}")(x)
        return x


def make(leaves):
    """A model and its optimizer with about so many leaves."""
    model = Net(max(1, round(leaves / PER_LAYER)), nnx.Rngs(0))
    wrt = {"wrt": nnx.Param} if nc.supports("nnx.Optimizer", "wrt") else {}
    return model, nnx.Optimizer(model, optax.adam(1e-3), **wrt)


def adam(model, optimizer, x, y):
    """The training step, as everybody writes it."""

    def loss_of(model):
        return ((model(x) - y) ** 2).mean()

    loss, grads = nnx.value_and_grad(loss_of)(model)
    if nc.supports("nnx.Optimizer.update", "model"):
        optimizer.update(model, grads)
    else:
        optimizer.update(grads)
    return loss


def dispatch(model, optimizer, x, y):
    """A step that touches every leaf once and computes nothing else."""
    nodes = (model, optimizer)
    nc.update(nodes, nc.pure.scale(nc.state(nodes), 0.999))
    nc.set_value(optimizer.step, nc.get_value(optimizer.step) + 1)
    return x[0, 0]


def contenders(step, leaves):
    """Functions of no arguments that run one step and wait for it, and their set-up."""
    x, y = jnp.ones((BATCH, WIDTH)), jnp.zeros((BATCH, WIDTH))

    def waiting(fn):
        return lambda: fn(x, y).block_until_ready()

    yield "nnx.jit", lambda: _bound(nnx.jit(step), make(leaves), waiting)
    yield "nc.jit", lambda: _bound(nc.jit(step), make(leaves), waiting)
    yield (
        "nc.jit(donate_argnums=...)",
        lambda: _bound(nc.jit(step, donate_argnums=(0, 1)), make(leaves), waiting),
    )
    if nc.supports("nnx.cached_partial"):
        yield (
            "nnx.cached_partial",
            lambda: waiting(nnx.cached_partial(nnx.jit(step), *make(leaves))),
        )
    if nc.supports("nnx.jit_partial"):
        # by itself it demands the mode without graph updates
        mode = (
            {"graph": False} if nc.supports("nnx.jit_partial", "graph_updates") else {}
        )
        yield (
            "nnx.jit_partial",
            lambda: waiting(nnx.jit_partial(step, *make(leaves), **mode)),
        )
    yield "jax.jit on the State", lambda: waiting(_on_state(step, make(leaves)))
    yield "compile_step", lambda: _placed(nc.compile_step(step, *make(leaves)), waiting)
    if can_pack():
        yield (
            "compile_step(pack=True)",
            lambda: _placed(nc.compile_step(step, *make(leaves), pack=True), waiting),
        )
    yield LIMIT, lambda: _flat(step, make(leaves), waiting)


LIMIT = "flat leaves by hand"


def _bound(jitted, nodes, waiting):
    return waiting(functools.partial(jitted, *nodes))


def _on_state(step, nodes):
    graphdef, state = nnx.split(nodes)

    @functools.partial(jax.jit, donate_argnums=0)
    def run(state, x, y):
        nodes = nc.merge(graphdef, state)
        result = step(*nodes, x, y)
        return nc.state(nodes), result

    holder = [nc.pure.scale(state, 1.0)]

    def call(x, y):
        holder[0], result = run(holder[0], x, y)
        return result

    return call


def _placed(step, waiting):
    def place_anew():
        step._held[0] = (_elsewhere(step._held[0][0]),)

    call = waiting(step)
    call.place_anew = place_anew
    return call


def _elsewhere(leaves):
    """Copies, made in another order."""
    order = list(range(len(leaves)))
    random.shuffle(order)
    copies = {i: jnp.array(leaves[i], copy=True) for i in order}
    return tuple(copies[i] for i in range(len(leaves)))


def _flat(step, nodes, waiting):
    graphdef, state = nnx.split(nodes)
    leaves, treedef = jax.tree_util.tree_flatten(state)

    @functools.partial(jax.jit, donate_argnums=0)
    def run(leaves, x, y):
        nodes = nc.merge(graphdef, treedef.unflatten(leaves))
        result = step(*nodes, x, y)
        return tuple(jax.tree_util.tree_leaves(nc.state(nodes))), result

    holder = [tuple(leaves)]

    def call(x, y):
        holder[0], result = run(holder[0], x, y)
        return result

    def place_anew():
        holder[0] = _elsewhere(holder[0])

    made = waiting(call)
    made.place_anew = place_anew
    return made


def measure(step, leaves, rounds, only=()):
    """One row a contender, the limit always among them."""
    count = len(jax.tree_util.tree_leaves(nc.state(make(leaves))))
    ready, first = {}, {}
    for name, build in contenders(step, leaves):
        if only and name not in (*only, LIMIT):
            continue
        start = time.perf_counter()
        try:
            call = build()
            call()
        except Exception as error:
            lines = str(error).splitlines() or [type(error).__name__]
            print(f"  {name} does not run here: {lines[0][:90]}")
            continue
        first[name] = time.perf_counter() - start
        ready[name] = call
    placed = [c.place_anew for c in ready.values() if hasattr(c, "place_anew")]

    def before(number):
        if number % 4 == 0:
            for place_anew in placed:
                place_anew()

    found = contest(ready, rounds, repeat=5, warm=1, before=before)
    limit = found[LIMIT]
    return [
        {
            "step": step.__name__,
            "leaves": count,
            "contender": name,
            "ratio": round(times.over(limit), 3),
            "ratio_of_minima": round(times.least / limit.least, 3),
            "median_us": round(times.median * 1e6, 1),
            "minimum_us": round(times.least * 1e6, 1),
            "first_call_s": round(first[name], 2),
        }
        for name, times in found.items()
    ]


def main():
    """Run all, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--leaves", type=int, nargs="+", default=[30, 300, 3000])
    parser.add_argument("--steps", nargs="+", default=["adam", "dispatch"])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="CONTENDER",
        help="besides the limit (some XLA compile 3,000 leaves for 13 minutes)",
    )
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    rows = []
    print(heading())
    for leaves in options.leaves:
        for name in options.steps:
            new = measure(globals()[name], leaves, options.rounds, options.only)
            rows += new
            print(f"{name}, {new[0]['leaves']} leaves: times the limit, microseconds")
            for row in new:
                print(
                    f"  {row['contender']:<24} {row['ratio']:8.2f}x (minima "
                    f"{row['ratio_of_minima']:7.2f}x) {row['median_us']:10.1f} us   "
                    f"first call {row['first_call_s']:6.2f} s",
                    flush=True,
                )
    write(options.json, rows)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
