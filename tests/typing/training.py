"""A user's training script: both spellings, an optimizer that is typed by its model.

Not run, as ``drop_in.py`` beside it.
"""

from __future__ import annotations

import jax
import optax  # type: ignore[import-untyped]
from typing_extensions import assert_type

import nnx_compat as nc
from nnx_compat import nnx


class Net(nnx.Module):
    """A layer and a scale."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.lin = nnx.Linear(2, 3, rngs=rngs)
        self.scale = nnx.Param(jax.numpy.ones(3))

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.lin(x) * self.scale


class Other(nnx.Module):
    """Another model."""


@nnx.jit
def step(net: Net, opt: nnx.Optimizer[Net], x: jax.Array) -> jax.Array:
    loss, grads = nnx.value_and_grad(lambda m: m(x).mean())(net)
    opt.update(net, grads)
    return loss


@nnx.jit(static_argnames="scale")
def evaluate(net: Net, x: jax.Array, *, scale: float) -> tuple[jax.Array, int]:
    return net(x) * scale, 1


def plain(net: Net, opt: nnx.Optimizer[Net], x: jax.Array) -> jax.Array:
    grads = nnx.grad(lambda m: m(x).mean())(net)
    opt.update(net, grads)
    return x


class Loop(nnx.Module):
    """Transforms of methods."""

    def __init__(self, net: Net) -> None:
        self.net = net

    @nnx.jit
    def step(self, x: jax.Array) -> jax.Array:
        return self.net(x)

    @nnx.remat
    def block(self, x: jax.Array) -> jax.Array:
        return self.step(x)


net = Net(nnx.Rngs(0))
opt = nnx.Optimizer(net, optax.adam(1e-3), wrt=nnx.Param)
x = jax.numpy.ones((4, 2))

assert_type(opt, nnx.Optimizer[Net])
assert_type(step(net, opt, x), jax.Array)
assert_type(evaluate(net, x, scale=2.0), tuple[jax.Array, int])
assert_type(net.lin, nnx.Linear)
assert_type(net.scale, nnx.Param[jax.Array])
assert_type(net.scale.value, jax.Array)
step(net, opt, "not an array")  # an error
step(opt, net, x)  # an error
evaluate(net, x)  # an error
step(Other(), opt, x)  # an error

assert_type(Loop(net).step(x), jax.Array)
assert_type(Loop(net).block(x), jax.Array)
Loop(net).step(x, x)  # an error
step.lower(net, opt, x).compile()
step.lower(net, x)  # an error

graphdef, state = nnx.split(net)
assert_type(nnx.merge(graphdef, state), Net)
assert_type(nc.split(net), tuple[nnx.GraphDef[Net], nnx.State])
assert_type(nc.merge(*nnx.split(net)), Net)
assert_type(nnx.merge(*nc.split(net)), Net)
nnx.no_such_name  # an error

compiled = nc.compile_step(plain, net, opt)
assert_type(compiled(x), jax.Array)
compiled(net, opt, x)  # an error
nc.compile_step(plain, opt, net)  # an error

layers = nnx.List([net, net])
assert_type(layers, nnx.List[Net])
assert_type(layers[0], Net)
for layer in layers:
    assert_type(layer(x), jax.Array)
layers.append(net)
layers.append(3)  # an error

table = nnx.Dict({"a": net})
assert_type(table["a"], Net)
model = nnx.Sequential(net, nnx.relu, net)
model(x)
