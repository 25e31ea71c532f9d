"""A node taken apart, put together, changed and copied."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, overload

from .. import _plan
from .._release import here
from ..errors import StateStructureError
from ..revisions import bound
from ..revisions.get_value import Path
from ._filters import Filter, one_or_all, partition
from ._fitting import fitted, refuse_misfits
from ._lent import Donated, is_lent, refuse_lent
from ._nodes import check_node, variables

if TYPE_CHECKING:
    from flax.nnx import GraphDef, State
    from typing_extensions import Unpack

    from ..revisions.get_value import Leaf
    from ._fitting import Nested

Node = TypeVar("Node")

_split = bound.split
_merge = bound.merge


def _met(node: object) -> tuple[_plan.Structure, _plan.Leaves] | None:
    """A plan that the node fits, unless its own arrays are lent to a compiled step."""
    met = _plan.met(node)
    if met is not None and is_lent():
        values = _plan.read(met[1].variables)
        return None if any(type(value) is Donated for value in values) else met
    return met


def _taken_apart(operation: str, node: Node) -> tuple[GraphDef[Node], State]:
    """The graphdef and the detached state, by a plan where there is one.

    Raises:
        DonatedError: a compiled step has the arrays of the node.
    """
    met = _met(node)
    if met is not None:
        structure, found = met
        whole = structure.state(found)
        if whole is not None:
            return structure.graphdef, whole
    check_node(node)
    graphdef, whole = _split(node)
    refuse_lent(operation, whole)
    _plan.note_split(node, graphdef, whole)
    return graphdef, whole


@overload
def split(node: Node, first: Filter = ..., /) -> tuple[GraphDef[Node], State]: ...
@overload
def split(
    node: Node, first: Filter, second: Filter, /
) -> tuple[GraphDef[Node], State, State]: ...
@overload
def split(
    node: Node, first: Filter, second: Filter, third: Filter, /
) -> tuple[GraphDef[Node], State, State, State]: ...
@overload
def split(
    node: Node, first: Filter, second: Filter, third: Filter, /, *filters: Filter
) -> tuple[GraphDef[Node], State, State, State, Unpack[tuple[State, ...]]]: ...
def split(
    node: Node, /, *filters: Filter
) -> tuple[GraphDef[Node], State, Unpack[tuple[State, ...]]]:
    """Take a node apart into its static structure and its state.

    The state is detached: a later change of ``node`` does not show in it, nor the
    reverse. The arrays themselves are shared, never copied.

    Args:
        node: a Module, or a tuple, list or dict of Modules; a bare Variable where the
            release allows it.
        *filters: one state for each, every leaf in the first that selects it. They must
            select every leaf; end with ``...`` for the rest.

    Returns:
        ``(graphdef, state)``, or ``(graphdef, state, ...)`` with one state per filter.

    Raises:
        NodeTypeError: the installed release cannot split such an object.
        DonatedError: a compiled step has the arrays of the node.
        ValueError: the filters leave something over, or ``...`` is not the last.

    Example:
        >>> import nnx_compat as nc
        >>> model = nc.nnx.Linear(2, 3, rngs=nc.nnx.Rngs(0))
        >>> graphdef, params, rest = nc.split(model, nc.nnx.Param, ...)
        >>> sorted(nc.to_flat_state(params))
        [('bias',), ('kernel',)]
        >>> len(nc.to_flat_state(rest))
        0
    """
    graphdef, whole = _taken_apart("split", node)
    if not filters:
        return graphdef, whole
    first, *more = partition(whole, filters, exhaustive=True)
    return graphdef, first, *more


def merge(graphdef: GraphDef[Node], state: State, /, *states: State) -> Node:
    """Build a new node from a graphdef and one or more states.

    The node has Variables of its own: running or changing it never changes ``state`` or
    the model that the state came from. Inside ``jit``, ``grad`` and ``vmap`` the states
    may come from outside and the node may still be changed (BatchNorm, dropout).

    Args:
        graphdef: from ``split`` or ``graphdef``.
        state: a State.
        *states: further States, when ``split`` was given filters.

    Returns:
        A node of the type that was split.

    Raises:
        StateStructureError: leaves are missing or too many; the message names up to 10.
        ArgumentTypeError: ``graphdef`` is no graphdef, or a state is none.

    Example:
        >>> import jax.numpy as jnp
        >>> import nnx_compat as nc
        >>> model = nc.nnx.Linear(2, 3, rngs=nc.nnx.Rngs(0))
        >>> copy = nc.merge(*nc.split(model))
        >>> nc.set_value(nc.variables(copy)["kernel",], jnp.zeros((2, 3)))
        >>> bool((nc.get_value(model.kernel) == 0).all())
        False
    """
    structure = _plan.mergeable(graphdef)
    if structure is not None:
        built: Node | None = structure.merged((state, *states))
        if built is not None:
            _plan.note_built(structure, built)
            return built
    if here.merge_ignores_paths:
        refuse_misfits(graphdef, (state, *states))
    try:
        merged = _merge(graphdef, (state, *states))
    except Exception:
        refuse_misfits(graphdef, (state, *states))
        raise
    _plan.note_merge(graphdef, (state, *states), merged)
    return merged


@overload
def state(node: object, first: Filter = ..., /) -> State: ...
@overload
def state(node: object, first: Filter, second: Filter, /) -> tuple[State, State]: ...
@overload
def state(
    node: object, first: Filter, second: Filter, /, *filters: Filter
) -> tuple[State, ...]: ...
def state(node: object, /, *filters: Filter) -> State | tuple[State, ...]:
    """The detached state of a node, or the part of it that filters select.

    Args:
        node: as in ``split``.
        *filters: one State for each; what none of them selects is left out.

    Returns:
        A State; with two filters or more a tuple of States.

    Example:
        >>> import nnx_compat as nc
        >>> model = nc.nnx.Linear(2, 3, rngs=nc.nnx.Rngs(0))
        >>> [leaf.shape for leaf in jax.tree_util.tree_leaves(nc.state(model))]
        [(3,), (2, 3)]
    """
    whole = _taken_apart("state", node)[1]
    if not filters:
        return whole
    return one_or_all(partition(whole, filters, exhaustive=False))


def graphdef(node: Node, /) -> GraphDef[Node]:
    """The static structure of a node: types, static attributes, how Variables are tied.

    Example:
        >>> import nnx_compat as nc
        >>> model = nc.nnx.Linear(2, 3, rngs=nc.nnx.Rngs(0))
        >>> copy = nc.merge(nc.graphdef(model), nc.state(model))
        >>> type(copy).__name__
        'Linear'
    """
    met = _plan.met(node)
    if met is not None:
        found: GraphDef[Node] = met[0].graphdef
        return found
    check_node(node)
    return bound.graphdef(node)


def update(node: object, state: State | Nested, /, *states: State | Nested) -> None:
    """Write states into a node in place, keeping the identity of its Variables.

    All or nothing: everything is checked before anything is written. A partial state is
    fine. List indices may be strings, as they are in a restored checkpoint.

    Args:
        node: as in ``split``.
        state: a State, or a nested dict of arrays.
        *states: further ones; where two have the same path, the later one counts.

    Raises:
        StateStructureError: a path is not in the node, or a shape is not that of the
            node; the message names up to 10 of them.
        DonatedError: a compiled step has the arrays of the node.

    Example:
        >>> import jax.numpy as jnp
        >>> import nnx_compat as nc
        >>> model = nc.nnx.Linear(2, 3, rngs=nc.nnx.Rngs(0))
        >>> nc.update(model, {"bias": jnp.ones(3)})
        >>> nc.get_value(model.bias).tolist()
        [1.0, 1.0, 1.0]
    """
    check_node(node)
    met = None if states else _met(node)
    if met is not None and met[0].update(met[1], state):
        return
    if not (met or states or is_lent()) and _plan.updated(node, state):
        return
    graphdef, state_of_now = bound.live_split(node)
    refuse_lent("update", state_of_now)
    if met is None:
        _plan.note_split(node, graphdef, state_of_now)
    template = bound.flatten(state_of_now)
    new: dict[Path, Leaf] = {}
    for given in (state, *states):
        new.update(fitted(template, given, "update", dtypes=False, partial=True))
    bound.update(node, bound.unflatten(new))


def clone(node: Node, /) -> Node:
    """A copy of a node with Variables of its own around the same arrays.

    Example:
        >>> import nnx_compat as nc
        >>> model = nc.nnx.Linear(2, 3, rngs=nc.nnx.Rngs(0))
        >>> copy = nc.clone(model)
        >>> nc.get_value(copy.kernel) is nc.get_value(model.kernel)
        True
        >>> nc.variables(copy)["kernel",] is nc.variables(model)["kernel",]
        False
    """
    check_node(node)
    met = _met(node)
    if met is None and is_lent():
        refuse_lent("clone", bound.live_split(node)[1])
    if met is not None:
        made: Node | None = _plan.copied(*met)
        if made is not None:
            return made
    copied = bound.clone(node)
    if met is None:
        _plan.note_use(node)
    return copied


@overload
def pop(node: object, first: Filter, /) -> State: ...
@overload
def pop(node: object, first: Filter, second: Filter, /) -> tuple[State, State]: ...
@overload
def pop(
    node: object, first: Filter, second: Filter, /, *filters: Filter
) -> tuple[State, ...]: ...
def pop(node: object, /, *filters: Filter) -> State | tuple[State, ...]:
    """Take the Variables that filters select out of a node.

    Args:
        node: as in ``split``.
        *filters: at least one.

    Returns:
        A detached State; with two filters or more a tuple of States.

    Raises:
        ValueError: no filter was given.

    Example:
        >>> import nnx_compat as nc
        >>> model = nc.nnx.BatchNorm(3, rngs=nc.nnx.Rngs(0))
        >>> sorted(nc.to_flat_state(nc.pop(model, nc.nnx.BatchStat)))
        [('mean',), ('var',)]
        >>> sorted(nc.variables(model))
        [('bias',), ('scale',)]
    """
    if not filters:
        raise StateStructureError(
            "pop was called without a filter",
            instead="pop(node, nnx.Intermediate)",
        )
    wanted = set(variables(node, *filters))
    if is_lent():
        refuse_lent("pop", bound.live_split(node)[1])
    taken = bound.pop(node, wanted.__contains__)
    return one_or_all(partition(taken, filters, exhaustive=False))
