"""The Variables of a node by attribute, also where reading an attribute unwraps them.

On the first releases ``module.kernel`` is the array and has no setter of its own, so
what is built here reads and writes the Variable in ``vars(module)``, which is the same
object on every release.
"""

from __future__ import annotations

import sys
import warnings
from typing import Any

import jax.numpy as jnp

from ..errors import RemovedNameWarning
from ..functional import get_value, is_variable, set_value


def read(node: Any, name: str) -> Any:
    """The value of an attribute, that of the Variable if it is one, or None."""
    return get_value(vars(node)[name])


def write(node: Any, name: str, value: Any) -> None:
    """Replace the value of a Variable attribute: no broadcast, no cast."""
    set_value(vars(node)[name], value)


def holds(node: Any, name: str) -> bool:
    """Whether there is a Variable at an attribute, and something in it."""
    found = vars(node)[name]
    return is_variable(found) and get_value(found) is not None


def result_dtype(*values: Any, dtype: Any = None) -> Any:
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


def promoted(values: tuple[Any, ...], /, *, dtype: Any = None) -> tuple[Any, ...]:
    """The values as arrays of one dtype, ``None`` staying ``None``."""
    dtype = result_dtype(*values, dtype=dtype)
    return tuple(None if v is None else jnp.asarray(v, dtype) for v in values)


def warn_removed(text: str) -> None:
    """Warn of an old spelling where the caller wrote it, not where Flax passed it on.

    A constructor is reached through the metaclass of NNX, by another number of calls on
    each release, so the frames of both packages are counted.
    """
    level, frame = 1, sys._getframe()
    while frame is not None and _is_inside(frame.f_globals.get("__name__", "")):
        level, frame = level + 1, frame.f_back  # type: ignore[assignment]
    warnings.warn(text, RemovedNameWarning, stacklevel=level)


def _is_inside(module: str) -> bool:
    return module.split(".")[0] in ("flax", "nnx_compat")
