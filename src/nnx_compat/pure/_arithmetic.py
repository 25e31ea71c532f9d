"""Arithmetic on models: scale, cast, between two."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from ..errors import ArgumentTypeError
from ..functional import Filter
from ._leaves import Leaves, Tracer, dtype_of
from ._programs import LIMIT, Arrays, Operation, like, replaced, run
from ._state_update import numeric_scalar

if TYPE_CHECKING:
    from jax.typing import ArrayLike, DTypeLike

M = TypeVar("M")


def scale(model: M, factor: ArrayLike, /, *filters: Filter, donate: bool = False) -> M:
    """A new model with every array in scope times a factor.

    Args:
        model: a model or a State.
        factor: a scalar, also a traced one; the dtypes of the arrays stay.
        *filters: which arrays; all that are in scope when there is none.
        donate: give up the arrays of ``model``.

    Example:
        >>> import nnx_compat as nc
        >>> model = nc.nnx.Linear(2, 3, rngs=nc.nnx.Rngs(0))
        >>> twice = nc.pure.scale(model, 2.0)
        >>> bool((nc.get_value(twice.kernel) == 2 * nc.get_value(model.kernel)).all())
        True
    """
    factor = numeric_scalar("factor", factor)
    leaves = Leaves(model)
    chosen = leaves.in_scope(filters, "scale")
    arrays = [leaves.arrays[i] for i in chosen]
    return replaced(leaves, chosen, run(_scale, arrays, (factor,), donate=donate))


def _scale(arrays: Arrays, factor: ArrayLike) -> list[jax.Array]:
    return [like(a, a * factor) for a in arrays]


def cast(
    model: M, dtype: DTypeLike | object, /, *filters: Filter, donate: bool = False
) -> M:
    """A new model with every floating-point array in scope in another dtype.

    Args:
        model: a model or a State.
        dtype: a floating-point dtype; or a model or State of the same structure, whose
            dtypes are taken: ``cast(cast(model, jnp.bfloat16), model)`` restores them.
        *filters: which arrays; all that are in scope when there is none. Complex arrays
            stay as they are.
        donate: give up the arrays of ``model``; those that get another dtype are freed.

    Raises:
        ArgumentTypeError: ``dtype`` is no floating-point dtype. It is a ``TypeError``.
        StateStructureError: a filter asks for integers or keys to be cast.

    Example:
        >>> import jax.numpy as jnp
        >>> import nnx_compat as nc
        >>> model = nc.nnx.Linear(2, 3, rngs=nc.nnx.Rngs(0))
        >>> half = nc.pure.cast(model, jnp.bfloat16)
        >>> print(nc.get_value(half.kernel).dtype)
        bfloat16
        >>> print(nc.get_value(nc.pure.cast(half, model).kernel).dtype)
        float32
    """
    wanted = _floating_dtype(dtype)
    leaves = Leaves(model)
    chosen = leaves.in_scope(filters, "cast")
    if wanted is None:
        like = Leaves(dtype)
        theirs = like.in_scope(filters, "cast")
        arrays = leaves.aligned(
            chosen, like, theirs, ("the model", "the one to be like")
        )
        dtypes = {i: dtype_of(array) for i, array in zip(chosen, arrays, strict=True)}
    else:
        dtypes = dict.fromkeys(chosen, wanted)
    chosen = [i for i in chosen if not _is_complex(leaves.arrays[i])]
    arrays = [leaves.arrays[i] for i in chosen]
    to = tuple(dtypes[i] for i in chosen)
    new = run(_casting(to), arrays)
    made = replaced(leaves, chosen, new)
    if donate:
        # No buffer fits one of another dtype, so there is nothing for jax to reuse.
        for old, array in zip(arrays, new, strict=True):
            concrete = isinstance(old, jax.Array) and not isinstance(old, Tracer)
            if concrete and old.dtype != array.dtype:
                old.delete()
    return made


@functools.lru_cache(LIMIT)  # as long as what is compiled for it is kept
def _casting(dtypes: tuple[np.dtype[Any], ...]) -> Operation:
    def operation(arrays: Arrays) -> list[jax.Array]:
        return [jnp.asarray(a).astype(d) for a, d in zip(arrays, dtypes, strict=True)]

    return operation


def _floating_dtype(given: object) -> np.dtype[Any] | None:
    """A floating-point dtype, or None where a model was given."""
    if not isinstance(given, (str, type, np.dtype)):  # jnp.float32 is a type
        return None
    dtype: np.dtype[Any] = jnp.dtype(given)
    if not jnp.issubdtype(dtype, jnp.floating):
        raise ArgumentTypeError(
            f"cast was asked for {dtype}, which is no floating-point dtype",
            instead="jnp.float32, jnp.bfloat16 or jnp.float16",
            otherwise="nnx_compat.pure.map(lambda a: a.astype(...), model)",
        )
    return dtype


def _is_complex(array: jax.Array) -> bool:
    return bool(jnp.issubdtype(dtype_of(array), jnp.complexfloating))


def lerp(a: M, b: M, t: ArrayLike, /, *filters: Filter, donate: bool = False) -> M:
    """The model between two: ``(1 - t) * a + t * b`` for every array in scope.

    Computed in float32 at least, then in the dtypes of ``a``; what is out of scope
    comes from ``a``.

    Args:
        a: a model or a State; at ``t = 0`` the result is equal to it.
        b: one of the same structure; at ``t = 1`` the result is equal to it.
        t: a scalar, also a traced one, also outside 0 to 1.
        *filters: which arrays; all that are in scope when there is none.
        donate: give up the arrays of ``a``.

    Raises:
        StateStructureError: ``a`` and ``b`` differ in paths or shapes.

    Example:
        >>> import nnx_compat as nc
        >>> a, b = (nc.nnx.Linear(2, 3, rngs=nc.nnx.Rngs(i)) for i in range(2))
        >>> middle = nc.pure.lerp(a, b, 0.5)
        >>> nc.get_value(middle.bias).tolist()
        [0.0, 0.0, 0.0]
    """
    t = numeric_scalar("t", t)
    return _between(a, b, t, filters, donate, _lerp, "lerp", ("a", "b"))


def ema(
    average: M, model: M, decay: ArrayLike, /, *filters: Filter, donate: bool = False
) -> M:
    """The next exponential moving average: ``decay * average + (1 - decay) * model``.

    Computed in float32 at least, then in the dtypes of ``average``; what is out of
    scope comes from ``average``. Start with ``average = nc.clone(model)``.

    Args:
        average: a model or a State.
        model: one of the same structure.
        decay: a scalar, also a traced one, such as 0.999.
        *filters: which arrays; all that are in scope when there is none.
        donate: give up the arrays of ``average``.

    Raises:
        StateStructureError: ``average`` and ``model`` differ in paths or shapes.

    Example:
        >>> import nnx_compat as nc
        >>> model = nc.nnx.Linear(2, 3, rngs=nc.nnx.Rngs(0))
        >>> average = nc.pure.scale(model, 0.0)
        >>> average = nc.pure.ema(average, model, 0.9)
        >>> ratio = nc.get_value(average.kernel) / nc.get_value(model.kernel)
        >>> round(float(ratio[0, 0]), 3)
        0.1
    """
    decay = numeric_scalar("decay", decay)
    names = ("average", "model")
    return _between(average, model, decay, filters, donate, _ema, "ema", names)


def _between(
    first: M,
    second: M,
    weight: ArrayLike,
    filters: tuple[Filter, ...],
    donate: bool,
    operation: Operation,
    name: str,
    names: tuple[str, str],
) -> M:
    mine, other = Leaves(first), Leaves(second)
    chosen = mine.in_scope(filters, name)
    theirs = mine.aligned(chosen, other, other.in_scope(filters, name), names)
    arrays = [mine.arrays[i] for i in chosen]
    new = run(operation, arrays, (theirs, weight), donate=donate)
    return replaced(mine, chosen, new)


def _lerp(ours: Arrays, theirs: Arrays, t: jax.Array) -> list[jax.Array]:
    return [_weighted(a, 1 - t, b, t) for a, b in zip(ours, theirs, strict=True)]


def _ema(ours: Arrays, theirs: Arrays, decay: jax.Array) -> list[jax.Array]:
    return [
        _weighted(a, decay, b, 1 - decay) for a, b in zip(ours, theirs, strict=True)
    ]


def _weighted(
    a: jax.Array, of_a: jax.Array, b: jax.Array, of_b: jax.Array
) -> jax.Array:
    wide = jnp.promote_types(jnp.result_type(a, b), jnp.float32)
    return like(a, of_a * jnp.asarray(a, wide) + of_b * jnp.asarray(b, wide))
