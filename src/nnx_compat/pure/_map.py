"""A function of the user's over the arrays of a model."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import jax
import jax.numpy as jnp

from ..errors import StateStructureError
from ..functional import Filter, Path, show
from ._leaves import Leaves, shape_of
from ._programs import (
    LIMIT,
    Arrays,
    Operation,
    Program,
    compile_operation,
    replaced,
    run,
)

if TYPE_CHECKING:
    from jax.typing import ArrayLike

M = TypeVar("M")


def map(
    fn: Callable[[jax.Array], ArrayLike],
    model: M,
    /,
    *filters: Filter,
    donate: bool = False,
) -> M:
    """A new model with ``fn(array)`` in the place of every array in scope.

    Args:
        fn: takes an array and returns one of the same shape, of any dtype. It is
            compiled; the program is kept as long as ``fn`` itself, so name it once
            rather than write a lambda in a loop.
        model: a model or a State.
        *filters: which arrays; all that are in scope when there is none.
        donate: give up the arrays of ``model``.

    Raises:
        StateStructureError: ``fn`` changes a shape; the message names the path. It is a
            ``ValueError``.

    Example:
        >>> import jax.numpy as jnp
        >>> import nnx_compat as nc
        >>> model = nc.nnx.Linear(2, 3, rngs=nc.nnx.Rngs(0))
        >>> zeros = nc.pure.map(jnp.zeros_like, model, nc.nnx.Param)
        >>> float(nc.pure.global_norm(zeros))
        0.0
    """
    leaves = Leaves(model)
    chosen = leaves.in_scope(filters, "map")
    return _mapped(fn, leaves, chosen, None, donate)


def map_with_path(
    fn: Callable[[Path, jax.Array], ArrayLike],
    model: M,
    /,
    *filters: Filter,
    donate: bool = False,
) -> M:
    """A new model with ``fn(path, array)`` in the place of every array in scope.

    Args:
        fn: takes the path (a tuple of names and indices) and the array; otherwise as in
            ``map``.
        model: a model or a State.
        *filters: which arrays; all that are in scope when there is none.
        donate: give up the arrays of ``model``.

    Raises:
        StateStructureError: ``fn`` changes a shape.

    Example:
        >>> import nnx_compat as nc
        >>> model = nc.nnx.Linear(2, 3, rngs=nc.nnx.Rngs(0))
        >>> def decayed(path, array):
        ...     return array * 0.9 if path[-1] == "kernel" else array
        >>> smaller = nc.pure.map_with_path(decayed, model)
        >>> nc.get_value(smaller.kernel).shape
        (2, 3)
    """
    leaves = Leaves(model)
    chosen = leaves.in_scope(filters, "map_with_path")
    paths = tuple(leaves.paths[i] for i in chosen)
    return _mapped(fn, leaves, chosen, paths, donate)


#: What was compiled for each function of the user's, for as long as that lives.
_programs: weakref.WeakKeyDictionary[
    Callable[..., ArrayLike],
    dict[tuple[tuple[Path, ...] | None, bool], tuple[Operation, Program]],
] = weakref.WeakKeyDictionary()


class _ChangedShape(Exception):
    """Raised while tracing; the caller knows the paths."""


def _mapped(
    fn: Callable[..., ArrayLike],
    leaves: Leaves[M],
    chosen: list[int],
    paths: tuple[Path, ...] | None,
    donate: bool,
) -> M:
    try:
        known = _programs.setdefault(fn, {})
        reference: Callable[[], Callable[..., ArrayLike] | None] = weakref.ref(fn)
    except TypeError:  # not hashable, or without weak references: never kept
        known, reference = {}, lambda: fn
    if (paths, donate) not in known:
        if len(known) >= LIMIT:
            known.clear()
        operation = _mapping(reference, paths)
        known[paths, donate] = operation, compile_operation(operation, donate)
    operation, program = known[paths, donate]
    arrays = [leaves.arrays[i] for i in chosen]
    try:
        with warnings.catch_warnings():
            if donate:  # where fn changes the dtype, the memory cannot be used again
                warnings.filterwarnings("ignore", "Some donated buffers")
            new = run(operation, arrays, donate=donate, program=program)
    except _ChangedShape as changed:
        number, was, now = changed.args
        raise StateStructureError(
            f"the function changes {show(leaves.paths[chosen[number]])}: shape was "
            f"{was}, is {now}",
            instead="return an array of the same shape",
        ) from None
    return replaced(leaves, chosen, new)


def _mapping(
    reference: Callable[[], Callable[..., ArrayLike] | None],
    paths: tuple[Path, ...] | None,
) -> Operation:
    """The operation that applies a function which it does not keep alive."""

    def operation(arrays: Arrays) -> list[jax.Array]:
        fn = reference()
        assert fn is not None  # the caller has it
        made = []
        for number, array in enumerate(arrays):
            new = fn(array) if paths is None else fn(paths[number], array)
            now = "no array" if new is None else shape_of(new)
            if now != shape_of(array):
                raise _ChangedShape(number, shape_of(array), now)
            made.append(jnp.asarray(new))
        return made

    return operation
