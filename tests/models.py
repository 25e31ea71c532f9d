"""The models that the contract is held to."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp

import nnx_compat as nc
from nnx_compat import facts
from nnx_compat.revisions import nnx

HAS = {b.id: b.holds(nc.flax_version) for b in facts.behaviours()}


class Custom(nnx.Variable):
    """A Variable class of the user's own."""


class Empty(nnx.Module):
    """A Module with no state at all."""

    def __init__(self):
        self.size = 3


class Bare(nnx.Module):
    """One custom Variable with metadata."""

    def __init__(self):
        self.w = Custom(jnp.arange(3.0), unit="m")

    def __call__(self, x):
        return x * nc.get_value(self.w)


class Block(nnx.Module):
    def __init__(self, size, rngs):
        self.linear = nnx.Linear(size, size, rngs=rngs)
        self.norm = nnx.BatchNorm(size, use_running_average=False, rngs=rngs)

    def __call__(self, x):
        return self.norm(self.linear(x))


class Nested(nnx.Module):
    def __init__(self, rngs):
        self.first = Block(3, rngs)
        self.second = Block(3, rngs)

    def __call__(self, x):
        return self.second(self.first(x))


class Shared(nnx.Module):
    """A tied Variable and a submodule that is there twice."""

    def __init__(self, rngs):
        self.a = nnx.Linear(3, 3, rngs=rngs)
        self.b = nnx.Linear(3, 3, rngs=rngs)
        kernel = nc.variables(self.a)["kernel",]
        self.b.kernel = kernel
        if nc.revision == "methods_unwrapped":
            vars(self.b)["kernel"] = kernel
        self.again = self.a

    def __call__(self, x):
        return self.again(self.b(self.a(x)))


class Noisy(nnx.Module):
    """Holds an Rngs and draws from it at every call."""

    def __init__(self, rngs):
        self.linear = nnx.Linear(3, 3, rngs=rngs)
        self.rngs = rngs

    def __call__(self, x):
        return self.linear(x) + jax.random.normal(self.rngs.noise(), x.shape)


class Dropped(nnx.Module):
    """Dropout and BatchNorm in training."""

    def __init__(self, rngs):
        self.norm = nnx.BatchNorm(3, use_running_average=False, rngs=rngs)
        if HAS["rngs-are-static"]:
            self.dropout = nnx.Dropout(0.5, deterministic=False)
            self.rngs = rngs
        else:
            self.dropout = nnx.Dropout(0.5, deterministic=False, rngs=rngs)

    def __call__(self, x):
        x = self.norm(x)
        if HAS["rngs-are-static"]:
            return self.dropout(x, rngs=self.rngs)
        return self.dropout(x)


class Counter(nnx.Module):
    """Counts its calls in an integer Variable."""

    def __init__(self):
        self.count = nnx.Variable(jnp.array(0, jnp.int32))

    def __call__(self, x):
        count = nc.variables(self)["count",]
        nc.set_value(count, nc.get_value(count) + 1)
        return x


def _rngs():
    return nnx.Rngs(0, noise=1, dropout=2)


#: Everything that can be split, by what it shows.
NODES = {
    "module": lambda: nnx.Linear(3, 3, rngs=_rngs()),
    "nested": lambda: Nested(_rngs()),
    "tuple": lambda: (nnx.Linear(3, 2, rngs=_rngs()), Bare()),
    "list": lambda: [nnx.Linear(3, 2, rngs=_rngs()), Nested(_rngs())],
    "dict": lambda: {"x": nnx.Linear(3, 2, rngs=_rngs()), "y": Bare()},
    "shared": lambda: Shared(_rngs()),
    "empty": Empty,
    "rngs": lambda: Noisy(_rngs()),
    "dropout": lambda: Dropped(_rngs()),
    "batchnorm": lambda: Block(3, _rngs()),
    "custom": Bare,
    "counter": Counter,
}
if HAS["split-takes-a-bare-variable"]:
    NODES["variable"] = lambda: nnx.Param(jnp.arange(3.0))

#: Those that can be called on (4, 3) floats and change themselves when they are.
TRAINED = {"nested", "rngs", "dropout", "batchnorm", "counter"}
CALLED = TRAINED | {"module", "shared", "custom"}

X = jnp.arange(12.0).reshape(4, 3) / 10


def snapshot(node_or_state):
    """All values by path, keys as their bits, to compare before and after."""
    if isinstance(node_or_state, nnx.State) or nc.is_variable(node_or_state):
        flat = nc.to_flat_state(node_or_state)
        values = dict(flat.items())
    else:
        values = nc.variables(node_or_state)
    taken = {p: _plain(nc.get_value(v)) for p, v in values.items()}
    if not isinstance(node_or_state, nnx.State):
        for path, value in static_rngs(node_or_state):
            taken[path] = value
    return taken


def static_rngs(node):
    """Counts of the Rngs that are no state on the installed release."""
    if not HAS["rngs-are-static"] or nc.is_variable(node):
        return
    for path, value in nc.iter_graph(node):
        if isinstance(value, nnx.Rngs):
            for name, stream in value._rngs.items():
                count = (
                    list(stream.counts) if hasattr(stream, "counts") else stream.count
                )
                yield (*path, name), [str(count)]


def unkeyed(value):
    """The bits of a typed key; anything else as it is."""
    if jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        return jax.random.key_data(value)
    return value


def _plain(value):
    value = unkeyed(value)
    return [str(value.dtype), value.shape, value.tolist()]


def on_eight_devices(code):
    """Run Python in a process whose CPU counts as eight devices."""
    source = Path(nc.__file__).parent.parent
    flags = os.environ.get("XLA_FLAGS", "")
    return subprocess.run(
        # what means less on older releases is said, and is not what this is about
        [sys.executable, "-W", "error", "-W", "ignore:nnx.", "-c", code],
        env={
            **os.environ,
            "PYTHONPATH": str(source),
            "XLA_FLAGS": f"{flags} --xla_force_host_platform_device_count=8",
        },
        capture_output=True,
        text=True,
    )
