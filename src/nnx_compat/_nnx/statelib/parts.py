"""States parted by filters, and put together; a function over all leaves."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, TypeAlias

from ... import functional
from ...functional import Path, filter_state, split_state
from ...revisions import bound, nnx
from .flat_state import flat_leaves

if TYPE_CHECKING:
    from flax.nnx import State

__all__ = ["filter_state", "map_state", "merge_state", "split_state"]

#: A State, or the dict inside of one.
Part: TypeAlias = "State | dict[Hashable, Any]"


def merge_state(state: Part, /, *states: Part, cls: type[State] = nnx.State) -> State:
    """One State with the leaves of all; where two have a path, the later one counts.

    Args:
        state: a State.
        *states: more of them.
        cls: a subclass of State to make instead.

    Example:
        >>> from nnx_compat import nnx
        >>> state = nnx.state(nnx.BatchNorm(3, rngs=nnx.Rngs(0)))
        >>> parts = nnx.split_state(state, nnx.Param, ...)
        >>> sorted(nnx.merge_state(*parts))
        ['bias', 'mean', 'scale', 'var']
    """
    if not states and isinstance(state, cls):
        return state
    parts = (state, *states)
    merged = functional.merge_state(
        *(nnx.State(part) if isinstance(part, dict) else part for part in parts)
    )
    return merged if cls is nnx.State else cls(merged.raw_mapping)


def map_state(f: Callable[[Path, Any], object], state: State) -> State:
    """A new State with ``f(path, leaf)`` in the place of every leaf.

    Args:
        f: takes the path and the leaf; what it returns is the new leaf, as it is.
        state: a State; it is not changed.

    Example:
        >>> from nnx_compat import nnx
        >>> state = nnx.state(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
        >>> nnx.to_pure_dict(nnx.map_state(lambda path, leaf: len(path), state))
        {'bias': 1, 'kernel': 1}
    """
    leaves = flat_leaves("map_state", state).items()
    return bound.unflatten({path: f(path, leaf) for path, leaf in leaves})


def diff(state: State, other: State) -> State:
    """The leaves of one state at paths that another does not have.

    Args:
        state: a State.
        other: a State.

    Example:
        >>> from nnx_compat import nnx
        >>> one, other = nnx.State({"a": nnx.Param(1.0)}), nnx.State({})
        >>> list(diff(one, other)), list(diff(one, one))
        (['a'], [])
    """
    without = flat_leaves("diff", other)
    leaves = flat_leaves("diff", state).items()
    return bound.unflatten({p: leaf for p, leaf in leaves if p not in without})
