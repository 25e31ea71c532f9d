"""A node put together again: ``merge``."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import jax

from ... import functional
from ..._release import here
from ...errors import (
    ArgumentTypeError,
    ArgumentValueError,
    RefusedArgumentError,
    kind_of,
)
from ...revisions import bound, flax_version, nnx
from .graph_state import GraphState

if TYPE_CHECKING:
    from flax.nnx import GraphDef, State

__all__ = ["merge"]

_N = TypeVar("_N")

#: What a node is put together from: States, nested dicts, GraphStates.
Part: TypeAlias = "State | Mapping[Hashable, Any] | GraphState[Any]"


def merge(
    graphdef_or_graphstate: GraphDef[_N] | GraphState[_N],
    /,
    *states: Part,
    copy: bool = False,
    recreate_variables: bool = True,
) -> _N:
    """Build a node from a graphdef and states, or from what ``unpack`` gave.

    Args:
        graphdef_or_graphstate: a GraphDef, or a GraphState, which brings its own.
        *states: States, or nested dicts of arrays; GraphStates after a GraphState.
            Where a graphdef does not hold metadata, arrays get Variables without.
        copy: whether the node gets Variables of its own. Releases before Variables were
            adopted make new ones in any case.
        recreate_variables: whether a bare array in a state becomes a Variable again.

    Raises:
        TypeError: there is no state.
        ValueError: leaves are missing or too many, or the GraphStates are not of one
            model.
        RefusedArgumentError: bare arrays, on a release that cannot tell what they are.

    Example:
        >>> from nnx_compat import nnx
        >>> model = nnx.merge(nnx.unpack(nnx.Linear(2, 3, rngs=nnx.Rngs(0))))
        >>> model(jnp.ones(2)).shape
        (3,)
    """
    graphdef, plain = _unpacked(graphdef_or_graphstate, states)
    if not recreate_variables:
        _check_variables(plain)
    if not here.merge_takes_dicts:
        plain = tuple(_typed_state(graphdef, part) for part in plain)
    if here.split_is_a_method:
        return bound.merge(graphdef, plain)
    options = {"copy": copy} if here.merge_takes_copy else {}
    node: _N = nnx.merge(graphdef, *plain, **options)
    return node


def _typed_state(graphdef: GraphDef[_N], part: Any) -> State:
    """A State in which bare values are in Variables of the graphdef's types."""
    mapping = part.raw_mapping if isinstance(part, nnx.State) else part
    if isinstance(mapping, Mapping):
        part = nnx.State(_typed(getattr(graphdef, "nodedef", graphdef), mapping))
    state: State = part
    return state


def _typed(nodedef: Any, mapping: Mapping[Hashable, Any]) -> dict[Hashable, object]:
    typed: dict[Hashable, object] = {}
    for key, value in mapping.items():
        if isinstance(value, Mapping) and key in getattr(nodedef, "subgraphs", ()):
            typed[key] = _typed(nodedef.subgraphs[key], value)
        elif functional.is_variable(value) or isinstance(value, Mapping):
            typed[key] = value
        else:
            typed[key] = _in_variable(nodedef, key, value)
    return typed


def _in_variable(nodedef: Any, key: Hashable, value: object) -> object:
    leaves = getattr(nodedef, "leaves", {})
    if key in leaves and leaves[key] is None:
        return value  # a bare array in the model too
    kind = getattr(leaves[key], "type", None) if key in leaves else None
    if kind is None:
        raise RefusedArgumentError(
            f"merge was given a bare value for {key!r}, and a graphdef of flax "
            f"{flax_version} does not know the types of Variables",
            instead="merge(graphdef, nnx_compat.from_pure_dict(nnx.state(model), ...))",
        )
    # of a Variable, whose lists of hooks belong to its state where it has such
    return (
        kind(value).to_state()
        if here.hooks_are_lists
        else nnx.VariableState(kind, value)
    )


def _unpacked(
    first: GraphDef[_N] | GraphState[_N], states: tuple[Part, ...]
) -> tuple[GraphDef[_N], tuple[Any, ...]]:
    """The graphdef and the plain states."""
    if isinstance(first, GraphState):
        parts = [first]
        for other in states:
            if not isinstance(other, GraphState):
                raise ArgumentValueError(
                    f"Expected GraphState object: merge was given a GraphState and "
                    f"{kind_of(other)}",
                    instead="GraphStates only, as unpack returns them",
                )
            if other._graphdef != first._graphdef:
                raise ArgumentValueError(
                    "GraphDef must be the same for all that merge is given: these are "
                    "GraphStates of different models",
                    instead="the GraphStates that one call of unpack returned",
                )
            parts.append(other)
        return first._graphdef, tuple(part._state for part in parts)
    if not states:
        raise ArgumentTypeError(
            "merge() missing 1 required positional argument: 'state', it was given "
            f"{kind_of(first)} only",
            instead="merge(graphdef, state) or merge(unpack(model))",
        )
    return first, states


def _check_variables(states: tuple[Any, ...]) -> None:
    for part in states:
        leaves = jax.tree_util.tree_leaves(part, is_leaf=functional.is_variable)
        if not all(functional.is_variable(leaf) for leaf in leaves):
            raise RefusedArgumentError(
                "merge was given bare arrays and recreate_variables=False, which flax "
                f"{flax_version} cannot do: it always makes Variables of them",
                instead="nnx.map(fn, model, recreate_variables=False)",
            )
