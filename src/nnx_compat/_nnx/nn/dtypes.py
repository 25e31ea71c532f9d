"""The dtype that a layer computes in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

if TYPE_CHECKING:
    from jax.typing import ArrayLike, DTypeLike


def canonicalize_dtype(
    *values: ArrayLike | None, dtype: DTypeLike | None = None
) -> DTypeLike:
    """``dtype``, or the one that the values have together; always a floating one.

    Raises:
        ValueError: ``dtype`` is neither a floating nor a complex type.
    """
    if dtype is None:
        dtype = jnp.result_type(*(jnp.asarray(v) for v in values if v is not None))
        if not jnp.issubdtype(dtype, jnp.inexact):
            dtype = jnp.promote_types(jnp.float32, dtype)
    if not jnp.issubdtype(dtype, jnp.inexact):
        raise ValueError(f"Dtype must be inexact: {dtype}")
    return dtype


def promote_dtype(
    values: tuple[ArrayLike | None, ...], /, *, dtype: DTypeLike | None = None
) -> tuple[jax.Array | None, ...]:
    """The values as arrays of one dtype, ``None`` staying ``None``."""
    dtype = canonicalize_dtype(*values, dtype=dtype)
    return tuple(None if v is None else jnp.asarray(v, dtype) for v in values)
