"""A user's program with ``from nnx_compat import nnx`` in the place of Flax's line.

Not run: mypy and pyright read it (``nox -s typing``). A line that ends in ``# an error``
has to be one to both, and no other may be.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import optax  # type: ignore[import-untyped]
from typing_extensions import assert_type

from nnx_compat import nnx


class Mlp(nnx.Module):
    """Every kind of attribute that a model has."""

    def __init__(self, din: int, dout: int, *, rngs: nnx.Rngs) -> None:
        self.linear = nnx.Linear(din, dout, rngs=rngs)
        self.norm = nnx.BatchNorm(dout, rngs=rngs)
        self.dropout = nnx.Dropout(0.1, rngs=rngs)
        self.layers = nnx.List([nnx.Linear(dout, dout, rngs=rngs) for _ in range(2)])
        self.scale = nnx.Param(jnp.ones(()))
        self.count = nnx.Variable(jnp.zeros((), int))

    def __call__(self, x: jax.Array) -> jax.Array:
        x = nnx.relu(self.dropout(self.norm(self.linear(x))))
        for layer in self.layers:
            assert_type(layer, nnx.Linear)
            x = layer(x)
        self.count[...] += 1
        return x * self.scale + self.scale[...]


class Noise(nnx.Variable[jax.Array]):
    """A kind of Variable of the user's own."""


@dataclasses.dataclass
class Trainer:
    """Types of NNX as annotations."""

    model: Mlp
    optimizer: nnx.Optimizer[Mlp]
    layers: nnx.List[nnx.Linear]


def loss_fn(model: Mlp, x: jax.Array, y: jax.Array) -> jax.Array:
    return ((model(x) - y) ** 2).mean()


@nnx.jit
def train_step(
    model: Mlp, optimizer: nnx.Optimizer[Mlp], x: jax.Array, y: jax.Array
) -> jax.Array:
    loss, grads = nnx.value_and_grad(loss_fn)(model, x, y)
    assert_type(loss, jax.Array)
    optimizer.update(model, grads)
    return loss


@nnx.jit(donate_argnames="model")
def counted(model: Mlp) -> int:
    model.count[...] += 1
    return 1


@nnx.scan(in_axes=(0, nnx.Carry), out_axes=nnx.Carry)
def forward(model: Mlp, x: jax.Array) -> jax.Array:
    return model(x)


@nnx.vmap(in_axes=0, out_axes=0)
def many(rngs: nnx.Rngs) -> Mlp:
    return Mlp(2, 3, rngs=rngs)


@nnx.remat
def block(model: Mlp, x: jax.Array) -> jax.Array:
    return model(x)


@nnx.split_rngs(splits=3)
def seeded(rngs: nnx.Rngs, width: int) -> Mlp:
    return Mlp(2, width, rngs=rngs)


def main() -> None:
    rngs = nnx.Rngs(0, dropout=1)
    model = Mlp(2, 3, rngs=rngs)
    optimizer = nnx.Optimizer(model, optax.adam(1e-3), wrt=nnx.Param)
    assert_type(optimizer, nnx.Optimizer[Mlp])
    x = jnp.ones((4, 2))

    # transforms keep the signature
    assert_type(train_step(model, optimizer, x, jnp.ones((4, 3))), jax.Array)
    assert_type(counted(model), int)
    assert_type(forward(model, x), jax.Array)
    assert_type(many(rngs), Mlp)
    assert_type(block(model, x), jax.Array)
    assert_type(seeded(rngs, 3), Mlp)
    train_step(model, optimizer, "not an array", x)  # an error
    train_step(model, optimizer)  # an error
    counted(model, 1)  # an error
    block(x, model)  # an error

    # the graph
    graphdef, params, rest = nnx.split(model, nnx.Param, ...)
    assert_type(graphdef, nnx.GraphDef[Mlp])
    assert_type(params, nnx.State)
    params = jax.tree.map(lambda a: a * 2, params)
    assert_type(nnx.merge(graphdef, params, rest), Mlp)
    assert_type(nnx.merge(*nnx.split(model)), Mlp)
    assert_type(nnx.clone(model), Mlp)
    assert_type(nnx.state(model), nnx.State)
    assert_type(nnx.state(model, nnx.Param), nnx.State)
    nnx.update(model, nnx.state(nnx.clone(model)))
    for path, module in nnx.iter_modules(model):
        print("/".join(map(str, path)), type(module))
    nnx.split()  # an error

    # layers and functions
    assert_type(model.linear, nnx.Linear)
    assert_type(model.linear(x), jax.Array)
    assert_type(model.layers[0], nnx.Linear)
    assert_type(nnx.relu(x), jax.Array)
    nnx.Linear(2, "3", rngs=rngs)  # an error
    model.train()
    model.eval()

    # Variables, keys
    kernel: nnx.Param[jax.Array] = model.scale
    print(kernel.shape, kernel[...].dtype, model.scale + 1, kernel.value)
    variable: nnx.Variable[jax.Array] = kernel
    print(isinstance(variable, nnx.Param), Noise(jnp.ones(2)))
    assert_type(rngs.params(), jax.Array)
    assert_type(rngs(), jax.Array)

    # modules of NNX
    filters: Sequence[nnx.filterlib.Filter] = [nnx.Param, ...]
    metrics = nnx.MultiMetric(loss=nnx.metrics.Average("loss"))
    metrics.update(loss=jnp.ones(()))
    nnx.display(model, filters)
    nnx.no_such_name(model)  # an error
