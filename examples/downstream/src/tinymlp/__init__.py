"""A perceptron with batch norm, its training step and its moving average."""

from __future__ import annotations

from typing import Any

import jax

import nnx_compat as nc
from nnx_compat import nnx

__all__ = ["MLP", "average", "train_step"]


class MLP(nnx.Module):
    """Two layers with batch norm between them."""

    def __init__(self, inputs: int, hidden: int, outputs: int, *, rngs: nnx.Rngs):
        self.first = nnx.Linear(inputs, hidden, rngs=rngs)
        self.norm = nnx.BatchNorm(hidden, use_running_average=False, rngs=rngs)
        self.last = nnx.Linear(hidden, outputs, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Map ``(batch, inputs)`` to ``(batch, outputs)``."""
        return self.last(jax.nn.relu(self.norm(self.first(x))))


def train_step(model: MLP, x: jax.Array, y: jax.Array, rate: float) -> jax.Array:
    """One step down the gradient of the squared error; the model is changed.

    Returns:
        The error before the step.
    """
    graphdef, params, rest = nc.split(model, nnx.Param, ...)

    def error(params: Any) -> tuple[jax.Array, Any]:
        inside = nc.merge(graphdef, params, rest)
        return ((inside(x) - y) ** 2).mean(), nc.state(inside, nnx.BatchStat)

    (found, stats), grads = jax.value_and_grad(error, has_aux=True)(params)
    step = nc.pure.scale(grads, -rate)
    nc.update(model, stats, nc.pure.apply_updates(params, step))
    return found


def average(old: MLP, new: MLP, decay: float) -> MLP:
    """A model of its own, ``decay * old + (1 - decay) * new``."""
    return nc.pure.ema(old, new, decay)
