"""Activations that came later, and one with a parameter."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import jax
import jax.numpy as jnp

from ...revisions import nnx
from .._variable_attributes import value_of
from . import dtypes
from ._types import NO_METADATA, Metadata, PromoteDtype

if TYPE_CHECKING:
    from jax.typing import DTypeLike

__all__ = ["PReLU", "identity"]

T = TypeVar("T")


class PReLU(nnx.Module):  # type: ignore[misc, name-defined]
    """A ``relu`` whose slope below zero is a parameter.

    Args:
        negative_slope_init: the slope to begin with.
        dtype: of the result; by default that of the input.
        param_dtype: of the slope.
        promote_dtype: ``((inputs, slope), dtype=)`` to arrays of one dtype.
        negative_slope_metadata: for the Variable.

    Example:
        >>> from nnx_compat import nnx
        >>> nnx.PReLU(0.5)(jnp.array([-4.0, 3.0])).tolist()
        [-2.0, 3.0]
    """

    def __init__(
        self,
        negative_slope_init: float = 0.01,
        *,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        promote_dtype: PromoteDtype = dtypes.promote_dtype,
        negative_slope_metadata: Metadata = NO_METADATA,
    ) -> None:
        slope = jnp.asarray(negative_slope_init, dtype=param_dtype)
        self.negative_slope = nnx.Param(slope, **negative_slope_metadata)
        self.dtype = dtype
        self.param_dtype = param_dtype
        self.promote_dtype = promote_dtype

    def __call__(self, inputs: jax.Array) -> jax.Array:
        """The inputs, times the slope where they are negative."""
        slope = value_of(self, "negative_slope")
        if self.dtype is None:
            slope = jnp.asarray(slope, inputs.dtype)
        else:
            inputs, slope = self.promote_dtype((inputs, slope), dtype=self.dtype)
        return jnp.where(inputs >= 0, inputs, slope * inputs)


def identity(x: T) -> T:
    """Give back what is given.

    Args:
        x: anything.

    Example:
        >>> from nnx_compat import nnx
        >>> float(nnx.identity(1.0))
        1.0
    """
    return x
