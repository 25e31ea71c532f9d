"""``pure_state_update``: the split, tree_map, merge recipe as one call."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from ..errors import ArgumentTypeError, ArgumentValueError
from ..functional import merge, split
from ..revisions import bound, nnx
from ._leaves import Tracer
from ._programs import Kept

if TYPE_CHECKING:
    from jax.typing import ArrayLike


def pure_state_update(
    seed: ArrayLike,
    x: ArrayLike | Sequence[float] | Sequence[Sequence[float]],
    features: ArrayLike,
    scale: ArrayLike,
) -> jax.Array:
    """Scale the state of a fresh Linear layer, purely, and apply the result.

    Builds ``nnx.Linear(x.shape[-1], features, rngs=nnx.Rngs(seed))``, splits it,
    multiplies every leaf of the state by ``scale``, merges, and returns ``merged(x)``,
    which is ``x @ (scale * kernel) + scale * bias``. Calls with the same shapes share
    one compiled program. Works under ``jit``, ``vmap`` and ``grad`` with ``x`` and
    ``scale`` traced.

    Args:
        seed: a whole number, ``0`` or ``0.0``; concrete.
        x: numeric array of shape ``(..., in_features)``.
        features: a whole number of at least 1; concrete.
        scale: a scalar, also a traced one. Infinities and NaN follow IEEE 754.

    Returns:
        An array of shape ``(..., features)`` in the dtype that ``x`` and float32
        promote to.

    Raises:
        ArgumentTypeError: seed or features is a bool, a tracer or no number; x is not
            numeric; scale is no number. It is a ``TypeError``.
        ArgumentValueError: seed or features is not whole or out of range; x is 0-D or
            has an empty last axis; scale is not a scalar. It is a ``ValueError``.

    Example:
        >>> import jax.numpy as jnp
        >>> import nnx_compat as nc
        >>> with nc.reproducible_init():
        ...     y = nc.pure_state_update(0., jnp.arange(1., 4.), 2., 2.)
        >>> [round(float(v), 3) for v in y]
        [-3.855, -1.779]
    """
    return _program(
        np.int64(_whole("seed", seed, -(2**63), 2**63 - 1)),
        _numeric_array(x),
        numeric_scalar("scale", scale),
        _whole("features", features, 1, 2**31 - 1),
        bound.key_derivation(),
    )


def _update(
    seed: jax.Array, x: jax.Array, scale: jax.Array, features: int, derivation: str
) -> jax.Array:
    # `derivation` is unused here and part of the compilation key, for the random keys
    # depend on it.
    del derivation
    rngs = nnx.Rngs(jax.random.key(seed))
    model = nnx.Linear(in_features=x.shape[-1], out_features=features, rngs=rngs)
    graphdef, state = split(model)
    scaled = jax.tree_util.tree_map(lambda leaf: leaf * scale, state)
    return merge(graphdef, scaled)(x)


_program = Kept(_update, static_argnums=(3, 4))


def _whole(name: str, given: Any, low: int, high: int) -> int:
    kind = type(given)
    if kind is not int:
        if isinstance(given, Tracer):
            raise ArgumentTypeError(
                f"{name} is a tracer: it decides the program and has to be concrete",
                instead=f"pass {name} as a Python int; x and scale may be traced",
                otherwise=f"jax.jit(..., static_argnames={name!r})",
            )
        given = _concrete_number(name, given)
        if isinstance(given, float):
            if not math.isfinite(given) or given != math.floor(given):
                raise ArgumentValueError(
                    f"{name} is not a whole number: found {given!r}",
                    instead="pass an int, or a float such as 2.0",
                )
            given = int(given)
    if not low <= given <= high:
        raise ArgumentValueError(
            f"{name} is out of range: found {given}",
            instead=f"a whole number from {low} to {high}",
        )
    whole: int = given
    return whole


def _concrete_number(name: str, given: Any) -> int | float:
    """A Python number from anything that is one number, and no bool."""
    dtype = getattr(given, "dtype", None)
    if isinstance(given, bool) or dtype == np.bool_:
        raise ArgumentTypeError(
            f"{name} is a bool: found {given!r}", instead="pass an int"
        )
    if getattr(given, "shape", ()) == ():
        try:
            return operator.index(given)
        except TypeError:
            pass
        if isinstance(given, float) or (
            dtype is not None and jnp.issubdtype(dtype, jnp.floating)
        ):
            return float(given)
    raise ArgumentTypeError(
        f"{name} is not a number: found {_describe(given)}",
        instead="pass an int, or a float such as 2.0",
    )


def _numeric_array(x: Any) -> jax.Array | np.ndarray[Any, Any]:
    if not isinstance(x, (jax.Array, np.ndarray)):
        try:
            x = np.asarray(x)
        except Exception as error:
            raise ArgumentTypeError(
                f"x is not an array: found {_describe(x)}", instead="pass a jax array"
            ) from error
    if not jnp.issubdtype(x.dtype, jnp.number):
        raise ArgumentTypeError(
            f"x is not numeric: its dtype is {x.dtype}",
            instead="x.astype(jnp.float32)",
        )
    if x.ndim == 0 or x.shape[-1] == 0:
        raise ArgumentValueError(
            f"x has no features: its shape is {x.shape}",
            instead="an array of shape (in_features,) or (..., in_features), "
            "in_features at least 1",
        )
    return x


def numeric_scalar(name: str, scale: ArrayLike) -> ArrayLike:
    """A number or a numeric array of shape ``()``, also a traced one, as it is."""
    if type(scale) is float:
        return scale
    listed = isinstance(scale, (list, tuple))
    shape = np.shape(scale) if listed else getattr(scale, "shape", ())
    if shape != ():
        raise ArgumentValueError(
            f"{name} is not a scalar: its shape is {shape}",
            instead="a number or an array of shape ()",
            otherwise=f"jax.vmap over {name} for several results",
        )
    dtype = getattr(scale, "dtype", None)
    numeric = (
        isinstance(scale, (int, float, complex))
        if dtype is None
        else jnp.issubdtype(dtype, jnp.number) or dtype == np.bool_
    )
    if not numeric:
        raise ArgumentTypeError(
            f"{name} is not a number: found {_describe(scale)}",
            instead="a number or a numeric array of shape ()",
        )
    return scale


def _describe(value: Any) -> str:
    shape = getattr(value, "shape", None)
    if shape is not None:
        return f"{type(value).__name__} of shape {shape}, dtype {value.dtype}"
    text = repr(value)
    return f"{text if len(text) <= 40 else text[:37] + '...'} ({type(value).__name__})"
