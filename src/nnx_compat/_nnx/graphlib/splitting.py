"""The parts of a node: its graphdef, its state, its Variables.

One difference to the newest Flax stays: before Variables were their own state
(``VariableState`` and older releases), ``split`` and ``state`` copy, and a model that
``merge`` makes shares nothing with the state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, overload

from ... import functional
from ...revisions import bound
from .._parameters import check

if TYPE_CHECKING:
    from flax.nnx import GraphDef, State
    from typing_extensions import Unpack

    from ...functional import Filter

__all__ = ["PureState", "graphdef", "split", "state", "variables"]

_N = TypeVar("_N")

#: A graphdef and a state, in this order.
PureState = tuple[Any, Any]


@overload
def split(
    node: _N, first: Filter = ..., /, *, graph: bool | None = None
) -> tuple[GraphDef[_N], State]: ...
@overload
def split(
    node: _N, first: Filter, second: Filter, /, *, graph: bool | None = None
) -> tuple[GraphDef[_N], State, State]: ...
@overload
def split(
    node: _N,
    first: Filter,
    second: Filter,
    third: Filter,
    /,
    *,
    graph: bool | None = None,
) -> tuple[GraphDef[_N], State, State, State]: ...
@overload
def split(
    node: _N,
    first: Filter,
    second: Filter,
    third: Filter,
    /,
    *filters: Filter,
    graph: bool | None = None,
) -> tuple[GraphDef[_N], State, State, State, Unpack[tuple[State, ...]]]: ...
def split(
    node: _N, *filters: Filter, graph: bool | None = None
) -> tuple[GraphDef[_N], Unpack[tuple[State, ...]]]:
    """Split a node into its static structure and its state.

    Args:
        node: a Module, or a list, tuple or dict of Modules.
        *filters: one state for each; they must select every leaf.
        graph: only graph mode is known here.

    Returns:
        ``(graphdef, state, ...)``, the states detached from the node.

    Raises:
        ValueError: the filters leave something over, or ``...`` is not the last.

    Example:
        >>> from nnx_compat import nnx
        >>> graphdef, params = nnx.split(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
        >>> sorted(params)
        ['bias', 'kernel']
    """
    check("split", graph=graph)
    return functional.split(node, *filters)


@overload
def state(
    node: object, first: Filter = ..., /, *, graph: bool | None = None
) -> State: ...
@overload
def state(
    node: object, first: Filter, second: Filter, /, *, graph: bool | None = None
) -> tuple[State, State]: ...
@overload
def state(
    node: object,
    first: Filter,
    second: Filter,
    /,
    *filters: Filter,
    graph: bool | None = None,
) -> tuple[State, ...]: ...
def state(
    node: object, *filters: Filter, graph: bool | None = None
) -> State | tuple[State, ...]:
    """The state of a node, or the part of it that filters select.

    Args:
        node: as in ``split``.
        *filters: one State for each; what none of them selects is left out.
        graph: only graph mode is known here.

    Example:
        >>> from nnx_compat import nnx
        >>> sorted(nnx.state(nnx.Linear(2, 3, rngs=nnx.Rngs(0)), nnx.Param))
        ['bias', 'kernel']
    """
    check("state", graph=graph)
    return functional.state(node, *filters)


def variables(
    node: object, *filters: Filter, graph: bool | None = None
) -> State | tuple[State, ...]:
    """The Variables of a node in a State, also where ``state`` holds copies of them.

    Args:
        node: a Module, or a list, tuple or dict of Modules.
        *filters: as ``state`` takes them.
        graph: only graph mode is known here.

    Example:
        >>> from nnx_compat import nnx
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> nnx.variables(model).raw_mapping["bias"] is vars(model)["bias"]
        True
    """
    check("variables", graph=graph)
    whole = bound.unflatten(functional.variables(node))
    return functional.filter_state(whole, *filters) if filters else whole


def graphdef(node: _N, /, *, graph: bool | None = None) -> GraphDef[_N]:
    """The static structure of a node.

    Example:
        >>> from nnx_compat import nnx
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> nnx.merge(nnx.graphdef(model), nnx.state(model)).out_features
        3
    """
    check("graphdef", graph=graph)
    return functional.graphdef(node)
