"""Cells with gates: long short-term memory and gated recurrent units."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax.nn import initializers

from .._extending import extending
from .cells import Cell, Dense

if TYPE_CHECKING:
    from jax.nn.initializers import Initializer
    from jax.typing import DTypeLike

    from .._types import InitOrNone, Keys, Shape

__all__ = ["GRUCell", "LSTMCell", "OptimizedLSTMCell"]


@extending
class Gated(Cell):
    """A cell with gates.

    Args:
        {in_features} {hidden_features}
        gate_fn: in the place of the sigmoid.
        {usual}
    """

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        *,
        gate_fn: Callable[[jax.Array], jax.Array] = jax.nn.sigmoid,
        **usual: Any,
    ) -> None:
        super().__init__(in_features, hidden_features, **usual)
        self.gate_fn = gate_fn


class LSTM(Gated):
    __doc__ = Gated.__doc__

    def initialize_carry(
        self, input_shape: Shape, rngs: Keys = None, carry_init: InitOrNone = None
    ) -> tuple[jax.Array, jax.Array]:
        """``(c, h)`` for inputs of this shape without the time axis."""
        c = super().initialize_carry(input_shape, rngs, carry_init)
        return c, super().initialize_carry(input_shape, rngs, carry_init)


def half_orthogonal(
    key: jax.Array, shape: Sequence[int], dtype: DTypeLike = jnp.float32
) -> jax.Array:
    """In float32, then cast: jax decomposes no matrix of bfloat16 or float16."""
    kernel: jax.Array = initializers.orthogonal()(key, shape, jnp.float32)
    return kernel.astype(dtype)


_INPUT_GATES = ("ii", "if_", "ig", "io")
_CARRY_GATES = ("hi", "hf", "hg", "ho")


@extending
class LSTMCell(LSTM):
    """A long short-term memory cell, with a Linear for each gate.

    The carry is ``(c, h)``: ``c' = f * c + i * g`` and ``h' = o * tanh(c')``, where
    ``i``, ``f`` and ``o`` are sigmoids and ``g`` a tanh of ``W x + V h + b``.

    Args:
        {usual}

    Example:
        >>> from nnx_compat import nnx
        >>> cell = nnx.LSTMCell(3, 4, rngs=nnx.Rngs(0))
        >>> carry = cell.initialize_carry((2, 3), nnx.Rngs(1))
        >>> carry, y = cell(carry, jnp.ones((2, 3)))
        >>> y.shape
        (2, 4)
    """

    _layers = (
        *(Dense(gate, of_carry=False, use_bias=False) for gate in _INPUT_GATES),
        *(Dense(gate, of_carry=True, use_bias=True) for gate in _CARRY_GATES),
    )

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        *,
        recurrent_kernel_init: Initializer = half_orthogonal,
        **usual: Any,
    ) -> None:
        usual["recurrent_kernel_init"] = recurrent_kernel_init
        super().__init__(in_features, hidden_features, **usual)

    def __call__(
        self, carry: tuple[jax.Array, jax.Array], inputs: jax.Array
    ) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
        """The new carry and the output of one step."""
        c, h = carry
        i = self.gate_fn(self.ii(inputs) + self.hi(h))
        f = self.gate_fn(self.if_(inputs) + self.hf(h))
        g = self.activation_fn(self.ig(inputs) + self.hg(h))
        o = self.gate_fn(self.io(inputs) + self.ho(h))
        c = f * c + i * g
        h = o * self.activation_fn(c)
        return (c, h), h


@extending
class OptimizedLSTMCell(LSTM):
    """An ``LSTMCell`` with one Linear for the input and one for the carry.

    Args:
        {usual}

    Example:
        >>> from nnx_compat import nnx
        >>> cell = nnx.OptimizedLSTMCell(3, 4, rngs=nnx.Rngs(0))
        >>> carry, y = cell((jnp.zeros((2, 4)), jnp.zeros((2, 4))), jnp.ones((2, 3)))
        >>> y.shape
        (2, 4)
    """

    _layers = (
        Dense("dense_i", of_carry=False, use_bias=False, gates=4),
        Dense("dense_h", of_carry=True, use_bias=True, gates=4),
    )

    def __call__(
        self, carry: tuple[jax.Array, jax.Array], inputs: jax.Array
    ) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
        """The new carry and the output of one step."""
        c, h = carry
        i, f, g, o = jnp.split(self.dense_i(inputs) + self.dense_h(h), 4, axis=-1)
        c = self.gate_fn(f) * c + self.gate_fn(i) * self.activation_fn(g)
        h = self.gate_fn(o) * self.activation_fn(c)
        return (c, h), h


@extending
class GRUCell(Gated):
    """A gated recurrent unit.

    ``h' = (1 - z) * n + z * h`` and ``n = tanh(W x + b + r * V h)``, where ``z`` and
    ``r`` are sigmoids of ``W x + b + V h``.

    Args:
        {usual}

    Example:
        >>> from nnx_compat import nnx
        >>> cell = nnx.GRUCell(3, 4, rngs=nnx.Rngs(0))
        >>> carry, y = cell(jnp.zeros((2, 4)), jnp.ones((2, 3)))
        >>> y.shape
        (2, 4)
    """

    _layers = (
        Dense("dense_i", of_carry=False, use_bias=True, gates=3),
        Dense("dense_h", of_carry=True, use_bias=False, gates=3),
    )

    def __call__(
        self, carry: jax.Array, inputs: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """The new carry and the output of one step, which are the same."""
        xr, xz, xn = jnp.split(self.dense_i(inputs), 3, axis=-1)
        hr, hz, hn = jnp.split(self.dense_h(carry), 3, axis=-1)
        z = self.gate_fn(xz + hz)
        n = self.activation_fn(xn + self.gate_fn(xr + hr) * hn)
        h = (1.0 - z) * n + z * carry
        return h, h
