"""New models from old ones: map, scale, cast, average, update, choose.

Every function takes a model (a Module, or a tuple, list or dict of Modules) or a State,
and gives back one of the same kind, with Variable types, metadata, ties and shardings
kept. *In scope* are the inexact arrays of Variables that hold no RNG state; filters
narrow this, and nothing widens it. Keys, counters and integers pass through bit for
bit.

Concrete arrays go through one compiled program for all of a structure; tracers join the
transformation that they belong to; abstract arrays (``jax.ShapeDtypeStruct``) stay
abstract. With ``donate=True`` the arrays in scope of the first model are given up, and
their memory is used for the result.
"""

from __future__ import annotations

import functools
import warnings
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..errors import ArgumentTypeError, StateStructureError
from ..functional import Path, given_leaves, show, stored
from ._leaves import (
    Leaves,
    describe,
    dtype_of,
    inside_value,
    mismatch,
    shape_of,
)
from ._state_update import numeric_scalar

Operation = Callable[..., Sequence[Any]]
_Tracer: Any = jax.core.Tracer


# -- one program for all arrays -----------------------------------------------------


def _compile(operation: Operation, donate: bool) -> Any:
    def program(arrays: Any, operands: Any, shardings: Any) -> Any:
        return _constrained(operation(arrays, *operands), shardings)

    return jax.jit(program, static_argnums=2, donate_argnums=(0,) if donate else ())


_compiled = functools.cache(_compile)  # for the operations of this file


def _constrained(arrays: Sequence[Any], shardings: Sequence[Any]) -> list[Any]:
    """Where the inputs were sharded, the outputs are sharded the same way."""
    if not shardings:
        return list(arrays)
    return [
        array if s is None else jax.lax.with_sharding_constraint(array, s)
        for array, s in zip(arrays, shardings, strict=True)
    ]


def _run(
    operation: Operation,
    arrays: list[Any],
    operands: tuple[Any, ...] = (),
    *,
    donate: bool = False,
    program: Any = None,
    elementwise: bool = True,
) -> list[Any]:
    """Apply an operation on lists of arrays, in the way that suits the arrays."""
    leaves = jax.tree_util.tree_leaves((arrays, operands))
    if any(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in leaves):
        return _abstract(operation, arrays, operands, elementwise)
    if any(isinstance(leaf, _Tracer) for leaf in leaves):
        return list(operation(arrays, *operands))
    shardings = tuple(_sharding(array) for array in arrays)
    if not (elementwise and any(shardings)):
        shardings = ()
    if donate:
        arrays = _owned(arrays, jax.tree_util.tree_leaves(operands))
    program = program or _compiled(operation, donate)
    return list(program(arrays, operands, shardings))


def _abstract(
    operation: Operation,
    arrays: list[Any],
    operands: tuple[Any, ...],
    elementwise: bool,
) -> list[Any]:
    made = jax.eval_shape(lambda a, o: list(operation(a, *o)), arrays, operands)
    if not elementwise:
        return list(made)
    return [
        jax.ShapeDtypeStruct(new.shape, new.dtype, sharding=old.sharding)
        if getattr(old, "sharding", None) is not None
        else new
        for old, new in zip(arrays, made, strict=True)
    ]


def _sharding(array: Any) -> Any:
    """The sharding of an array that lies on several devices."""
    sharding = getattr(array, "sharding", None)
    if sharding is None or len(sharding.device_set) == 1:
        return None
    return sharding


def _owned(arrays: list[Any], others: list[Any]) -> list[Any]:
    """A buffer may be donated once and not be read elsewhere: such ones are copied.

    A clone shares its arrays with the model, so the first step of an average does this.
    """
    taken = {id(other) for other in others}
    owned = []
    for array in arrays:
        if id(array) in taken:
            array = jnp.array(array, copy=True)
        taken.add(id(array))
        owned.append(array)
    return owned


# -- map ----------------------------------------------------------------------------


def map(
    fn: Callable[[Any], Any], model: Any, /, *filters: Any, donate: bool = False
) -> Any:
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
    fn: Callable[[Path, Any], Any], model: Any, /, *filters: Any, donate: bool = False
) -> Any:
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
_programs: weakref.WeakKeyDictionary[Any, dict[Any, Any]] = weakref.WeakKeyDictionary()


class _ChangedShape(Exception):
    """Raised while tracing; the caller knows the paths."""


def _mapped(
    fn: Any, leaves: Leaves, chosen: list[int], paths: Any, donate: bool
) -> Any:
    try:
        known = _programs.setdefault(fn, {})
        reference: Callable[[], Any] = weakref.ref(fn)
    except TypeError:  # not hashable, or without weak references: never kept
        known, reference = {}, lambda: fn
    if (paths, donate) not in known:
        operation = _mapping(reference, paths)
        known[paths, donate] = operation, _compile(operation, donate)
    operation, program = known[paths, donate]
    arrays = [leaves.arrays[i] for i in chosen]
    try:
        with warnings.catch_warnings():
            if donate:  # where fn changes the dtype, the memory cannot be used again
                warnings.filterwarnings("ignore", "Some donated buffers")
            new = _run(operation, arrays, donate=donate, program=program)
    except _ChangedShape as changed:
        number, was, now = changed.args
        raise StateStructureError(
            f"the function changes {show(leaves.paths[chosen[number]])}: shape was "
            f"{was}, is {now}",
            instead="return an array of the same shape",
        ) from None
    return _replaced(leaves, chosen, new)


def _mapping(reference: Callable[[], Any], paths: Any) -> Operation:
    """The operation that applies a function which it does not keep alive."""

    def operation(arrays: Sequence[Any]) -> list[Any]:
        fn, made = reference(), []
        for number, array in enumerate(arrays):
            new = fn(array) if paths is None else fn(paths[number], array)
            now = "no array" if new is None else shape_of(new)
            if now != shape_of(array):
                raise _ChangedShape(number, shape_of(array), now)
            made.append(jnp.asarray(new))
        return made

    return operation


def _replaced(leaves: Leaves, chosen: list[int], new: Sequence[Any]) -> Any:
    arrays = list(leaves.arrays)
    for number, array in zip(chosen, new, strict=True):
        arrays[number] = array
    return leaves.rebuilt(arrays)


# -- arithmetic ---------------------------------------------------------------------


def scale(model: Any, factor: Any, /, *filters: Any, donate: bool = False) -> Any:
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
    return _replaced(leaves, chosen, _run(_scale, arrays, (factor,), donate=donate))


def _scale(arrays: Sequence[Any], factor: Any) -> list[Any]:
    return [_like(a, a * factor) for a in arrays]


def _like(array: Any, new: Any) -> Any:
    """``new`` in the dtype that ``array`` has."""
    return jnp.asarray(new).astype(dtype_of(array))


def cast(model: Any, dtype: Any, /, *filters: Any, donate: bool = False) -> Any:
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
    new = _run(_casting(to), arrays)
    made = _replaced(leaves, chosen, new)
    if donate:
        # No buffer fits one of another dtype, so there is nothing for jax to reuse.
        for old, array in zip(arrays, new, strict=True):
            concrete = isinstance(old, jax.Array) and not isinstance(old, _Tracer)
            if concrete and old.dtype != array.dtype:
                old.delete()
    return made


@functools.cache  # as long as what is compiled for it is kept
def _casting(dtypes: tuple[Any, ...]) -> Operation:
    def operation(arrays: Sequence[Any]) -> list[Any]:
        return [jnp.asarray(a).astype(d) for a, d in zip(arrays, dtypes, strict=True)]

    return operation


def _floating_dtype(given: Any) -> Any:
    """A floating-point dtype, or None where a model was given."""
    if not isinstance(given, (str, type, np.dtype)):  # jnp.float32 is a type
        return None
    dtype = jnp.dtype(given)
    if not jnp.issubdtype(dtype, jnp.floating):
        raise ArgumentTypeError(
            f"cast was asked for {dtype}, which is no floating-point dtype",
            instead="jnp.float32, jnp.bfloat16 or jnp.float16",
            otherwise="nnx_compat.pure.map(lambda a: a.astype(...), model)",
        )
    return dtype


def _is_complex(array: Any) -> bool:
    return bool(jnp.issubdtype(dtype_of(array), jnp.complexfloating))


def lerp(a: Any, b: Any, t: Any, /, *filters: Any, donate: bool = False) -> Any:
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
    average: Any, model: Any, decay: Any, /, *filters: Any, donate: bool = False
) -> Any:
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
    first: Any,
    second: Any,
    weight: Any,
    filters: tuple[Any, ...],
    donate: bool,
    operation: Operation,
    asked: str,
    names: tuple[str, str],
) -> Any:
    mine, other = Leaves(first), Leaves(second)
    chosen = mine.in_scope(filters, asked)
    theirs = mine.aligned(chosen, other, other.in_scope(filters, asked), names)
    arrays = [mine.arrays[i] for i in chosen]
    new = _run(operation, arrays, (theirs, weight), donate=donate)
    return _replaced(mine, chosen, new)


def _lerp(ours: Sequence[Any], theirs: Sequence[Any], t: Any) -> list[Any]:
    return [_weighted(a, 1 - t, b, t) for a, b in zip(ours, theirs, strict=True)]


def _ema(ours: Sequence[Any], theirs: Sequence[Any], decay: Any) -> list[Any]:
    return [
        _weighted(a, decay, b, 1 - decay) for a, b in zip(ours, theirs, strict=True)
    ]


def _weighted(a: Any, of_a: Any, b: Any, of_b: Any) -> Any:
    wide = jnp.promote_types(jnp.result_type(a, b), jnp.float32)
    return _like(a, of_a * jnp.asarray(a, wide) + of_b * jnp.asarray(b, wide))


def apply_updates(model: Any, updates: Any, /, *, donate: bool = False) -> Any:
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
    chosen: dict[int, Any] = {}
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
    new = _run(_add, arrays, (list(chosen.values()),), donate=donate)
    return _replaced(leaves, list(chosen), new)


def _updates_by_path(updates: Any, leaves: Leaves) -> dict[Path, Any]:
    flat = given_leaves(updates, leaves.variable_paths(), "apply_updates")
    found: dict[Path, Any] = {}
    for path, leaf in flat.items():
        inside, _ = inside_value(path, stored(leaf), lambda value: value is None)
        found.update(inside)
    return found


def _add(arrays: Sequence[Any], updates: Sequence[Any]) -> list[Any]:
    return [_like(a, a + u) for a, u in zip(arrays, updates, strict=True)]


def global_norm(model: Any, /, *filters: Any) -> Any:
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
    return _run(_norm, arrays, elementwise=False)[0]


def _norm(arrays: Sequence[Any]) -> list[Any]:
    squares = []
    for array in arrays:
        wide = jnp.promote_types(dtype_of(array), jnp.float32)
        squares.append(jnp.sum(jnp.square(jnp.abs(jnp.asarray(array, wide)))))
    return [jnp.sqrt(sum(squares[1:], squares[0]))]


def cond_replace(pred: Any, new: Any, old: Any, /, *, donate: bool = False) -> Any:
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
    picked = _run(_pick, arrays, (theirs, pred), donate=donate)
    return _replaced(mine, chosen, picked)


def _pick(new: Sequence[Any], old: Sequence[Any], pred: Any) -> list[Any]:
    return [
        _like(n, jnp.where(pred, jnp.asarray(n), jnp.asarray(o)))
        for n, o in zip(new, old, strict=True)
    ]


def _check_predicate(pred: Any) -> None:
    dtype = getattr(pred, "dtype", None)
    is_bool = isinstance(pred, bool) if dtype is None else dtype == np.bool_
    if not is_bool or shape_of(pred) != ():
        raise ArgumentTypeError(
            f"pred is not a bool scalar: found {describe(pred)}",
            instead="jnp.isfinite(loss), or jnp.all(...) of several",
        )
