"""A state that knows its graphdef."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar, overload

import jax

from ...errors import ArgumentValueError, kind_of
from ...revisions import nnx
from .. import newest
from .._parameters import check

if TYPE_CHECKING:
    from flax.nnx import GraphDef, State

    from ...functional import Filter

__all__ = ["GraphState", "unpack"]

_N = TypeVar("_N")


@dataclass(repr=False)
class GraphState(MutableMapping[Hashable, Any], Generic[_N]):
    """A State together with the graphdef of its model, for ``merge``.

    Args:
        _graphdef: a GraphDef.
        _state: a State; the mapping behaves like it.

    Raises:
        ValueError: ``_state`` is no State.

    Example:
        >>> from nnx_compat import nnx
        >>> params = nnx.unpack(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
        >>> isinstance(params, nnx.GraphState), sorted(params)
        (True, ['bias', 'kernel'])
    """

    _graphdef: GraphDef[_N]
    _state: State

    def __post_init__(self) -> None:
        if not isinstance(self._state, nnx.State):
            raise ArgumentValueError(
                f"GraphState needs a State, not {kind_of(self._state)}",
                instead="unpack(model)",
            )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in ("_graphdef", "_state"):
            raise AttributeError(name)
        return getattr(self._state, name)

    def __setattr__(self, name: str, value: object) -> None:
        if name in ("_graphdef", "_state"):
            object.__setattr__(self, name, value)
        else:
            setattr(self._state, name, value)

    def __getitem__(self, key: Hashable) -> Any:
        return self._state[key]

    def __setitem__(self, key: Hashable, value: object) -> None:
        self._state[key] = value

    def __delitem__(self, key: Hashable) -> None:
        del self._state[key]

    def __iter__(self) -> Iterator[Hashable]:
        return iter(self._state)

    def __len__(self) -> int:
        return len(self._state)

    def __contains__(self, key: object) -> bool:
        return key in self._state

    def __repr__(self) -> str:
        return f"GraphState({self._state!r})"


_Structure: TypeAlias = "tuple[GraphDef[Any], tuple[Hashable, ...]]"


def _flatten(
    whole: GraphState[Any],
) -> tuple[list[tuple[jax.tree_util.DictKey, Any]], _Structure]:
    mapping = whole._state.raw_mapping
    keys = sorted(mapping, key=lambda key: (isinstance(key, str), key))
    pairs = [(jax.tree_util.DictKey(key), mapping[key]) for key in keys]
    return pairs, (whole._graphdef, tuple(keys))


def _unflatten(static: _Structure, values: Iterable[Any]) -> GraphState[Any]:
    graphdef, keys = static
    return GraphState(graphdef, nnx.State(dict(zip(keys, values, strict=True))))


jax.tree_util.register_pytree_with_keys(GraphState, _flatten, _unflatten)


@overload
def unpack(
    node: _N, first: Filter = ..., /, *, graph: bool | None = None
) -> GraphState[_N]: ...
@overload
def unpack(
    node: _N,
    first: Filter,
    second: Filter,
    /,
    *filters: Filter,
    graph: bool | None = None,
) -> tuple[GraphState[_N], ...]: ...
def unpack(
    node: _N, *filters: Filter, graph: bool | None = None
) -> GraphState[_N] | tuple[GraphState[_N], ...]:
    """The state of a node as one GraphState, or as one for each of several filters.

    Args:
        node: a Module, or a list, tuple or dict of Modules.
        *filters: as ``split`` takes them.
        graph: only graph mode is known here.

    Example:
        >>> from nnx_compat import nnx
        >>> model = nnx.BatchNorm(3, rngs=nnx.Rngs(0))
        >>> params, stats = nnx.unpack(model, nnx.Param, nnx.BatchStat)
        >>> sorted(stats), type(nnx.merge(params, stats)).__name__
        (['mean', 'var'], 'BatchNorm')
    """
    check("unpack", graph=graph)
    whole, *states = newest("split")(node, *filters)
    parts = tuple(GraphState(whole, part) for part in states)
    return parts[0] if len(parts) == 1 else parts
