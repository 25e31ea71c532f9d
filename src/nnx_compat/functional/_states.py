"""A State by path, as plain values, in parts and mapped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, overload

from ..errors import VariableTypeError, kind_of
from ..revisions import bound, nnx
from ..revisions.get_value import Path, nested
from ._filters import Filter, one_or_all, partition
from ._fitting import fitted
from ._variables import as_leaf, is_variable, stored

if TYPE_CHECKING:
    from flax.nnx import State

    from ..revisions.get_value import Leaf
    from ._fitting import Nested


def to_flat_state(state: State, /) -> dict[Path, Leaf]:
    """The leaves of a state by path, in the order of ``jax.tree.leaves(state)``.

    The leaves are those of ``state`` itself, not copies.

    Example:
        >>> import nnx_compat as nc
        >>> state = nc.state(nc.nnx.Linear(2, 3, rngs=nc.nnx.Rngs(0)))
        >>> list(nc.to_flat_state(state))
        [('bias',), ('kernel',)]
    """
    _check_state("to_flat_state", state)
    return bound.flatten(state)


def from_flat_state(
    flat: Mapping[Path, object] | Iterable[tuple[Path, object]], /
) -> State:
    """The State with these leaves at these paths.

    Args:
        flat: a mapping from path to leaf, or pairs of them.

    Example:
        >>> import nnx_compat as nc
        >>> state = nc.state(nc.nnx.Linear(2, 3, rngs=nc.nnx.Rngs(0)))
        >>> again = nc.from_flat_state(nc.to_flat_state(state))
        >>> list(nc.to_flat_state(again))
        [('bias',), ('kernel',)]
    """
    return bound.unflatten(dict(flat))


def to_pure_dict(state: State, /) -> dict[Any, Any]:
    """The values of a state as nested plain dicts, without Variables.

    The values are the stored ones, as in ``jax.tree.leaves(state)``. A bare Variable is
    a state of its own where a release splits one, and gives its value.

    Example:
        >>> import nnx_compat as nc
        >>> state = nc.state(nc.nnx.Linear(2, 3, rngs=nc.nnx.Rngs(0)))
        >>> {key: value.shape for key, value in nc.to_pure_dict(state).items()}
        {'bias': (3,), 'kernel': (2, 3)}
    """
    _check_state("to_pure_dict", state)
    values: dict[Any, Any] = nested(
        {p: stored(leaf) for p, leaf in bound.flatten(state).items()}
    )
    return values


def from_pure_dict(template: State, nested: Nested, /) -> State:
    """A new State with the types and metadata of one and the values of a nested dict.

    Args:
        template: a State; it is not changed, and may be abstract.
        nested: values for exactly its paths, as ``to_pure_dict`` gives them. List
            indices may be strings, as they are in a restored checkpoint.

    Raises:
        StateStructureError: paths are unknown or missing, or shapes or dtypes are not
            those of the template; the message names up to 10, old and new.

    Example:
        >>> import jax.numpy as jnp
        >>> import nnx_compat as nc
        >>> state = nc.state(nc.nnx.Linear(2, 3, rngs=nc.nnx.Rngs(0)))
        >>> new = {"bias": jnp.ones(3), "kernel": jnp.ones((2, 3))}
        >>> float(nc.to_pure_dict(nc.from_pure_dict(state, new))["kernel"].sum())
        6.0
    """
    _check_state("from_pure_dict", template)
    leaves = bound.flatten(template)
    return bound.unflatten(
        fitted(leaves, nested, "from_pure_dict", dtypes=True, partial=False)
    )


@overload
def filter_state(state: State, /, first: Filter) -> State: ...
@overload
def filter_state(
    state: State, first: Filter, second: Filter, /
) -> tuple[State, State]: ...
@overload
def filter_state(
    state: State, first: Filter, second: Filter, /, *filters: Filter
) -> tuple[State, ...]: ...
def filter_state(
    state: State, /, first: Filter, *filters: Filter
) -> State | tuple[State, ...]:
    """The parts of a state that filters select; the rest is left out.

    The leaves are those of ``state`` itself, not copies.

    Returns:
        A State; with two filters or more a tuple of States, every leaf in the first
        that selects it.

    Example:
        >>> import nnx_compat as nc
        >>> state = nc.state(nc.nnx.BatchNorm(3, rngs=nc.nnx.Rngs(0)))
        >>> list(nc.to_flat_state(nc.filter_state(state, nc.nnx.BatchStat)))
        [('mean',), ('var',)]
    """
    _check_state("filter_state", state)
    return one_or_all(partition(state, (first, *filters), exhaustive=False))


@overload
def split_state(state: State, /, first: Filter) -> State: ...
@overload
def split_state(
    state: State, first: Filter, second: Filter, /
) -> tuple[State, State]: ...
@overload
def split_state(
    state: State, first: Filter, second: Filter, /, *filters: Filter
) -> tuple[State, ...]: ...
def split_state(
    state: State, /, first: Filter, *filters: Filter
) -> State | tuple[State, ...]:
    """Part a state by filters that select every leaf; end with ``...`` for the rest.

    The leaves are those of ``state`` itself, not copies.

    Returns:
        A State; with two filters or more a tuple of States.

    Raises:
        StateStructureError: leaves are left over, or ``...`` is not the last filter.

    Example:
        >>> import nnx_compat as nc
        >>> state = nc.state(nc.nnx.BatchNorm(3, rngs=nc.nnx.Rngs(0)))
        >>> stats, rest = nc.split_state(state, nc.nnx.BatchStat, ...)
        >>> list(nc.to_flat_state(rest))
        [('bias',), ('scale',)]
    """
    _check_state("split_state", state)
    return one_or_all(partition(state, (first, *filters), exhaustive=True))


def merge_state(state: State, /, *states: State) -> State:
    """One State with the leaves of all; where two have a path, the later one counts.

    Example:
        >>> import nnx_compat as nc
        >>> state = nc.state(nc.nnx.BatchNorm(3, rngs=nc.nnx.Rngs(0)))
        >>> parts = nc.split_state(state, nc.nnx.BatchStat, ...)
        >>> list(nc.to_flat_state(nc.merge_state(*parts)))
        [('bias',), ('mean',), ('scale',), ('var',)]
    """
    flat: dict[Path, Leaf] = {}
    for part in (state, *states):
        _check_state("merge_state", part)
        flat.update(bound.flatten(part))
    return bound.unflatten(flat)


def map_state(fn: Callable[[Path, Leaf], object], state: State, /) -> State:
    """A new State with ``fn(path, leaf)`` in the place of every leaf.

    Args:
        fn: takes the path and the leaf, a Variable or VariableState. When it returns a
            plain value, the new leaf holds it and keeps the old one's type and
            metadata.
        state: a State; it is not changed.

    Example:
        >>> import nnx_compat as nc
        >>> state = nc.state(nc.nnx.Linear(2, 3, rngs=nc.nnx.Rngs(0)))
        >>> zeros = nc.map_state(lambda path, leaf: nc.get_value(leaf) * 0, state)
        >>> float(nc.to_pure_dict(zeros)["kernel"].sum())
        0.0
    """
    _check_state("map_state", state)
    return bound.unflatten(
        {p: as_leaf(leaf, fn(p, leaf)) for p, leaf in bound.flatten(state).items()}
    )


def _check_state(operation: str, found: object) -> None:
    if not (isinstance(found, nnx.State) or is_variable(found)):
        raise VariableTypeError(
            f"{operation} needs a State and was given {kind_of(found)}",
            instead=f"{operation}(nnx_compat.state(model), ...)",
        )
