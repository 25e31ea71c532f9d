"""The cell without gates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from .._extending import extending
from .cells import Cell, Dense

if TYPE_CHECKING:
    from jax.typing import DTypeLike

__all__ = ["SimpleCell"]


@extending
class SimpleCell(Cell):
    """``h' = tanh(W x + b + V h)``, with ``residual=True`` plus ``h``.

    Args:
        {in_features} {hidden_features}
        dtype: of the result.
        {param_dtype} {carry_init}
        residual: add the carry, within the tanh.
        {usual}

    Example:
        >>> from nnx_compat import nnx
        >>> cell = nnx.SimpleCell(3, 4, rngs=nnx.Rngs(0))
        >>> carry, y = cell(jnp.zeros((2, 4)), jnp.ones((2, 3)))
        >>> bool((carry == y).all())
        True
    """

    _layers = (
        Dense("dense_h", of_carry=True, use_bias=False),
        Dense("dense_i", of_carry=False, use_bias=True),
    )

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        *,
        dtype: DTypeLike = jnp.float32,
        residual: bool = False,
        **usual: Any,
    ) -> None:
        super().__init__(in_features, hidden_features, dtype=dtype, **usual)
        self.residual = residual

    def __call__(
        self, carry: jax.Array, inputs: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """The new carry and the output of one step, which are the same."""
        h = self.dense_i(inputs) + self.dense_h(carry)
        h = self.activation_fn(h + carry if self.residual else h)
        return h, h
