"""The parts of a training step: add updates, measure them, skip what went wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from ..errors import ArgumentTypeError
from ..functional import Filter, Path, given_leaves, show, stored
from ._leaves import Leaves, describe, dtype_of, inside_value, mismatch, shape_of
from ._programs import Arrays, like, replaced, run

if TYPE_CHECKING:
    from flax.nnx import State
    from jax.typing import ArrayLike

    from ..functional import Nested

M = TypeVar("M")


def apply_updates(model: M, updates: State | Nested, /, *, donate: bool = False) -> M:
    """A new model with updates added, as ``optax.apply_updates`` does.

    Args:
        model: a model or a State.
        updates: a State or a nested dict of arrays. ``None`` in the place of
            an array leaves it, and so does a path that is missing.
        donate: give up the arrays of ``model`` that have an update.

    Raises:
        StateStructureError: a path is not in the model, shapes differ, or an update
            is for an integer or a key; the message names up to 10 of them.

    Example:
        >>> import jax.numpy as jnp
        >>> import nnx_compat as nc
        >>> model = nc.nnx.Linear(2, 3, rngs=nc.nnx.Rngs(0))
        >>> moved = nc.pure.apply_updates(model, {"bias": jnp.ones(3), "kernel": None})
        >>> nc.get_value(moved.bias).tolist()
        [1.0, 1.0, 1.0]
    """
    leaves = Leaves(model)
    scope = set(leaves.in_scope((), "apply_updates"))
    given = _updates_by_path(updates, leaves)
    numbers = {path: i for i, path in enumerate(leaves.paths)}
    problems: list[str] = []
    chosen: dict[int, jax.Array] = {}
    for path, update in given.items():
        number = numbers.get(path)
        if update is None or getattr(update, "dtype", None) == jax.dtypes.float0:
            continue
        if number is None:
            problems.append(f"{show(path)}: not in the model")
            continue
        array = leaves.arrays[number]
        if number not in scope:
            problems.append(f"{show(path)}: is {describe(array)}, has to be None")
        elif shape_of(update) != shape_of(array):
            problems.append(
                f"{show(path)}: shape is {shape_of(array)} in the model, "
                f"{shape_of(update)} in the update"
            )
        chosen[number] = update
    if problems:
        raise mismatch(
            "the updates do not fit the model", problems, "None for what is to stay"
        )
    arrays = [leaves.arrays[i] for i in chosen]
    new = run(_add, arrays, (list(chosen.values()),), donate=donate)
    return replaced(leaves, list(chosen), new)


def _updates_by_path(updates: State | Nested, leaves: Leaves[M]) -> dict[Path, Any]:
    flat = given_leaves(updates, leaves.variable_paths(), "apply_updates")
    found: dict[Path, Any] = {}
    for path, leaf in flat.items():
        inside, _ = inside_value(path, stored(leaf), lambda value: value is None)
        found.update(inside)
    return found


def _add(arrays: Arrays, updates: Arrays) -> list[jax.Array]:
    return [like(a, a + u) for a, u in zip(arrays, updates, strict=True)]


def global_norm(model: object, /, *filters: Filter) -> jax.Array:
    """The square root of the sum of the squares of all arrays in scope.

    Args:
        model: a model or a State; abstract ones give an abstract norm.
        *filters: which arrays; all that are in scope when there is none.

    Returns:
        A scalar array of shape ``()``, float32 (float64 where an array is that).

    Example:
        >>> import jax.numpy as jnp
        >>> import nnx_compat as nc
        >>> state = nc.state(nc.nnx.Linear(2, 3, rngs=nc.nnx.Rngs(0)))
        >>> ones = nc.pure.map(jnp.ones_like, state)
        >>> float(nc.pure.global_norm(ones))
        3.0
    """
    leaves = Leaves(model)
    chosen = leaves.in_scope(filters, "global_norm")
    arrays = [leaves.arrays[i] for i in chosen]
    if not arrays:
        return jnp.zeros((), jnp.float32)
    return run(_norm, arrays, elementwise=False)[0]


def _norm(arrays: Arrays) -> list[jax.Array]:
    squares = []
    for array in arrays:
        wide = jnp.promote_types(dtype_of(array), jnp.float32)
        squares.append(jnp.sum(jnp.square(jnp.abs(jnp.asarray(array, wide)))))
    return [jnp.sqrt(sum(squares[1:], squares[0]))]


def cond_replace(pred: ArrayLike, new: M, old: M, /, *, donate: bool = False) -> M:
    """``new`` where ``pred`` is true, else ``old``: to skip a step that went wrong.

    Without branches, so it works under ``jit``. Everything that is no RNG state is
    chosen, integers (an optimizer's count) included, bit for bit; RNG state comes from
    ``new``, so that a step that was skipped is not repeated with the same randomness.

    Args:
        pred: a bool scalar, also a traced one.
        new: a model or a State.
        old: one of the same structure, shapes and dtypes.
        donate: give up the arrays of ``new``.

    Raises:
        StateStructureError: ``new`` and ``old`` differ in paths, shapes or dtypes.
        ArgumentTypeError: ``pred`` is no bool scalar.

    Example:
        >>> import jax.numpy as jnp
        >>> import nnx_compat as nc
        >>> old = nc.nnx.Linear(2, 3, rngs=nc.nnx.Rngs(0))
        >>> new = nc.pure.scale(old, float("nan"))
        >>> finite = jnp.isfinite(nc.pure.global_norm(new))
        >>> kept = nc.pure.cond_replace(finite, new, old)
        >>> bool(jnp.isfinite(nc.pure.global_norm(kept)))
        True
    """
    _check_predicate(pred)
    mine, other = Leaves(new), Leaves(old)
    chosen = mine.selectable()
    names = ("new", "old")
    theirs = mine.aligned(chosen, other, other.selectable(), names, dtypes=True)
    arrays = [mine.arrays[i] for i in chosen]
    picked = run(_pick, arrays, (theirs, pred), donate=donate)
    return replaced(mine, chosen, picked)


def _pick(new: Arrays, old: Arrays, pred: jax.Array) -> list[jax.Array]:
    return [
        like(n, jnp.where(pred, jnp.asarray(n), jnp.asarray(o)))
        for n, o in zip(new, old, strict=True)
    ]


def _check_predicate(pred: ArrayLike) -> None:
    dtype = getattr(pred, "dtype", None)
    is_bool = isinstance(pred, bool) if dtype is None else dtype == np.bool_
    if not is_bool or shape_of(pred) != ():
        raise ArgumentTypeError(
            f"pred is not a bool scalar: found {describe(pred)}",
            instead="jnp.isfinite(loss), or jnp.all(...) of several",
        )
