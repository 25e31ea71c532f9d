"""Functions over graphs: split, merge and clone, walking, mapping, abstract models.

What a later release added is put together here from the stable operations and from
``walk``. One difference stays: before Variables were their own state (``VariableState``
and older releases), ``split`` and ``state`` copy, and a model that ``merge`` makes
shares nothing with the state. ``clone(variables=False)``, ``map``, ``view`` and
``with_vars`` do share the Variables of the model they are given, on every release.
"""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from ... import facts, functional
from ...errors import (
    ArgumentTypeError,
    ArgumentValueError,
    NodeTypeError,
    RefusedArgumentError,
    StateStructureError,
)
from ...revisions import bound, flax_version, nnx
from ...revisions.get_value import Path
from .. import resolve
from .._parameters import Setting, check
from . import _walk as walk

__all__ = [
    "GraphState",
    "PureState",
    "abstract_with_sharding",
    "as_abstract",
    "as_pure",
    "call",
    "clone",
    "display",
    "find_duplicates",
    "flatten",
    "get_abstract_model",
    "graphdef",
    "iter_children",
    "iter_graph",
    "iter_module_children",
    "iter_modules",
    "map",
    "merge",
    "merge_context",
    "pop",
    "pure",
    "recursive_map",
    "set_graph_mode",
    "set_graph_updates",
    "set_metadata",
    "split",
    "state",
    "unflatten",
    "unpack",
    "update",
    "variables",
    "vars_as",
    "with_vars",
]

#: A graphdef and a state, in this order.
PureState = tuple[Any, Any]

_State: Any = nnx.State


# -- split and merge ----------------------------------------------------------------


def split(node: Any, *filters: Any, graph: bool | None = None) -> tuple[Any, ...]:
    """Take a node apart into its static structure and its state.

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


def merge(
    graphdef_or_graphstate: Any,
    /,
    *states: Any,
    copy: bool = False,
    recreate_variables: bool = True,
) -> Any:
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
    if _MERGE_TAKES_COPY:
        return nnx.merge(graphdef, *plain, copy=copy)
    if not _MERGE_TAKES_VALUES:
        plain = tuple(_typed_state(graphdef, part) for part in plain)
    if walk.METHODS:
        return bound.merge(graphdef, plain)
    return nnx.merge(graphdef, *plain)


_MERGE_TAKES_COPY = "copy" in (nnx.merge.__kwdefaults__ or {})


#: A graphdef that knows all about its Variables can make them from bare values.
_MERGE_TAKES_VALUES = not walk.METHODS and hasattr(walk.registry, "VariableDef")


def _typed_state(graphdef: Any, part: Any) -> Any:
    """A State in which bare values are in Variables of the graphdef's types."""
    mapping = part.raw_mapping if isinstance(part, _State) else part
    if not isinstance(mapping, Mapping):
        return part
    return _State(_typed(getattr(graphdef, "nodedef", graphdef), mapping))


def _typed(nodedef: Any, mapping: Mapping[Any, Any]) -> dict[Any, Any]:
    typed = {}
    for key, value in mapping.items():
        if isinstance(value, Mapping) and key in getattr(nodedef, "subgraphs", ()):
            typed[key] = _typed(nodedef.subgraphs[key], value)
        elif functional.is_variable(value) or isinstance(value, Mapping):
            typed[key] = value
        else:
            typed[key] = _in_variable(nodedef, key, value)
    return typed


def _in_variable(nodedef: Any, key: Any, value: Any) -> Any:
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
    return nnx.VariableState(kind, value)


def _unpacked(first: Any, states: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
    """The graphdef and the plain states."""
    if isinstance(first, GraphState):
        for other in states:
            if not isinstance(other, GraphState):
                raise ArgumentValueError(
                    f"Expected GraphState object: merge was given a GraphState and a "
                    f"{type(other).__name__}",
                    instead="GraphStates only, as unpack returns them",
                )
            if other._graphdef != first._graphdef:
                raise ArgumentValueError(
                    "GraphDef must be the same for all that merge is given: these are "
                    "GraphStates of different models",
                    instead="the GraphStates that one call of unpack returned",
                )
        return first._graphdef, tuple(s._state for s in (first, *states))
    if not states:
        raise ArgumentTypeError(
            "merge() missing 1 required positional argument: 'state', it was given a "
            f"{type(first).__name__} only",
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


def state(node: Any, *filters: Any, graph: bool | None = None) -> Any:
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


def variables(node: Any, *filters: Any, graph: bool | None = None) -> Any:
    """The Variables of a node in a State, also where ``state`` holds copies of them.

    Args:
        node: as in ``split``.
        *filters: one State for each; what none of them selects is left out.
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


def graphdef(node: Any, /, *, graph: bool | None = None) -> Any:
    """The static structure of a node.

    Example:
        >>> from nnx_compat import nnx
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> nnx.merge(nnx.graphdef(model), nnx.state(model)).out_features
        3
    """
    check("graphdef", graph=graph)
    return functional.graphdef(node)


def update(node: Any, state: Any, /, *states: Any) -> None:
    """Write states, or nested dicts of arrays, into a node in place.

    Raises:
        StateStructureError: a path is not in the node; nothing is written then.

    Example:
        >>> from nnx_compat import nnx
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> nnx.update(model, {"bias": jnp.ones(3)})
        >>> nnx.as_pure(nnx.state(model))["bias"].tolist()
        [1.0, 1.0, 1.0]
    """
    functional.check_node(node)
    template = bound.flatten(bound.live_split(node)[1])
    new: dict[Path, Any] = {}
    for given in (state, *states):
        flat = functional.given_leaves(given, template, "update")
        unknown = [functional.show(path) for path in flat if path not in template]
        if unknown:
            raise StateStructureError(
                f"update was given {unknown[0]}, which the node does not have",
                instead="the paths of nnx.state(node)",
            )
        for path, leaf in flat.items():
            new[path] = functional.as_leaf(template[path], leaf)
    bound.update(node, bound.unflatten(new))


def pop(node: Any, *filters: Any) -> Any:
    """Take the Variables that filters select out of a node.

    Raises:
        ValueError: no filter was given.

    Example:
        >>> from nnx_compat import nnx
        >>> model = nnx.BatchNorm(3, rngs=nnx.Rngs(0))
        >>> sorted(nnx.pop(model, nnx.BatchStat))
        ['mean', 'var']
    """
    return functional.pop(node, *filters)


_native_clone: Any = getattr(nnx, "clone", None)
_clone_knows_trees = bool(
    _native_clone and "graph" in inspect.signature(_native_clone).parameters
)


def clone(
    node: Any,
    variables: bool = True,
    *,
    arrays: bool = False,
    graph: bool | None = None,
) -> Any:
    """A copy of a node.

    Args:
        node: any node.
        variables: whether it gets Variables of its own; False shares them.
        arrays: whether the arrays are copied too, so that they can be donated.
        graph: ``False``, for tree mode, where Flax has that.

    Raises:
        ValueError: ``arrays`` without ``variables``.

    Example:
        >>> from nnx_compat import nnx
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> twin = nnx.clone(model, variables=False)
        >>> vars(twin)["kernel"] is vars(model)["kernel"]
        True
    """
    by_tree = graph is False and _clone_knows_trees
    if not by_tree:
        check("clone", graph=graph)
    if arrays and not variables:
        raise ArgumentValueError(
            "clone was asked for arrays=True and variables=False, but a shared "
            "Variable has one array",
            instead="clone(node, arrays=True)",
        )
    if by_tree:
        copied = _native_clone(node, variables, graph=False)
        return jax.tree_util.tree_map(jnp.copy, copied) if arrays else copied
    if not variables:
        return walk.rebuilt(node, walk.same)
    if not walk.is_node(node):
        return walk.rebuilt(node, functools.partial(_copied, arrays))
    if not arrays:
        return bound.clone(node)
    graphdef, whole = bound.split(node)
    return bound.adopt(graphdef, jax.tree_util.tree_map(jnp.copy, whole))


def _copied(arrays: bool, path: Path, leaf: Any) -> Any:
    value = functional.stored(leaf)
    return functional.as_leaf(leaf, jnp.copy(value) if arrays else value)


# -- a state that knows its graphdef ------------------------------------------------


@dataclass(repr=False)
class GraphState(MutableMapping[Any, Any]):
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

    _graphdef: Any
    _state: Any

    def __post_init__(self) -> None:
        if not isinstance(self._state, _State):
            raise ArgumentValueError(
                f"GraphState needs a State, not a {type(self._state).__name__}",
                instead="unpack(model)",
            )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in ("_graphdef", "_state"):
            raise AttributeError(name)
        return getattr(self._state, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("_graphdef", "_state"):
            object.__setattr__(self, name, value)
        else:
            setattr(self._state, name, value)

    def __getitem__(self, key: Any) -> Any:
        return self._state[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self._state[key] = value

    def __delitem__(self, key: Any) -> None:
        del self._state[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._state)

    def __len__(self) -> int:
        return len(self._state)

    def __contains__(self, key: object) -> bool:
        return key in self._state

    def __repr__(self) -> str:
        return f"GraphState({self._state!r})"


def _flatten_graph_state(
    whole: GraphState,
) -> tuple[list[tuple[Any, Any]], tuple[Any, tuple[Any, ...]]]:
    mapping = whole._state.raw_mapping
    keys = sorted(mapping, key=lambda key: (isinstance(key, str), key))
    pairs = [(jax.tree_util.DictKey(key), mapping[key]) for key in keys]
    return pairs, (whole._graphdef, tuple(keys))


def _unflatten_graph_state(
    static: tuple[Any, tuple[Any, ...]], values: Any
) -> GraphState:
    graphdef, keys = static
    return GraphState(graphdef, _State(dict(zip(keys, values, strict=True))))


jax.tree_util.register_pytree_with_keys(
    GraphState, _flatten_graph_state, _unflatten_graph_state
)


def unpack(node: Any, *filters: Any, graph: bool | None = None) -> Any:
    """The state of a node as one GraphState, or as one for each of several filters.

    Args:
        node: as in ``split``.
        *filters: they must select every leaf.
        graph: only graph mode is known here.

    Example:
        >>> from nnx_compat import nnx
        >>> model = nnx.BatchNorm(3, rngs=nnx.Rngs(0))
        >>> params, stats = nnx.unpack(model, nnx.Param, nnx.BatchStat)
        >>> sorted(stats), type(nnx.merge(params, stats)).__name__
        (['mean', 'var'], 'BatchNorm')
    """
    check("unpack", graph=graph)
    whole, *states = _newest("split")(node, *filters)
    parts = tuple(GraphState(whole, part) for part in states)
    return parts[0] if len(parts) == 1 else parts


def _newest(name: str) -> Any:
    """What the drop-in namespace has under a name: Flax's own or ours."""
    return resolve(name)[0]


def call(graphdef_state: tuple[Any, Any], /) -> Any:
    """A proxy of the node behind a ``(graphdef, state)`` pair, for pure functions.

    Calling it, or what indexing and attributes reach, runs that method on a fresh node
    and returns ``(result, (graphdef, state))`` with the new state.

    Example:
        >>> from nnx_compat import nnx
        >>> pure = nnx.split({"a": nnx.Linear(2, 3, rngs=nnx.Rngs(0))})
        >>> y, pure = nnx.call(pure)["a"](jnp.ones(2))
        >>> y.shape
        (3,)
    """
    return _Call(tuple(graphdef_state), ())


class _Call:
    def __init__(self, pure: tuple[Any, ...], steps: tuple[Any, ...]) -> None:
        self._pure, self._steps = pure, steps

    def __getattr__(self, name: str) -> _Call:
        return _Call(self._pure, (*self._steps, (getattr, name)))

    def __getitem__(self, key: Any) -> _Call:
        return _Call(self._pure, (*self._steps, (lambda node, k: node[k], key)))

    def __call__(self, *args: Any, **kwargs: Any) -> tuple[Any, tuple[Any, ...]]:
        node = _newest("merge")(*self._pure)
        method = node
        for get, key in self._steps:
            method = get(method, key)
        return method(*args, **kwargs), _newest("split")(node)


def merge_context(ctxtag: Any = None, inner: bool | None = None) -> Any:
    """A context that merges several nodes which share Variables.

    Args:
        ctxtag: the tag of an ``update_context``.
        inner: whether it is inside the transform. Some releases find out themselves.

    Example:
        >>> from nnx_compat import nnx
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> try:
        ...     with nnx.split_context() as context:
        ...         parts = context.split(model)
        ...     with nnx.merge_context() as context:
        ...         print(context.merge(*parts).out_features)
        ... except AttributeError:  # a release without these contexts
        ...     print(3)
        3
    """
    asked = {} if inner is None else {"inner": inner}
    if "inner" not in inspect.signature(nnx.merge_context).parameters:
        asked = {}
    return nnx.merge_context(ctxtag=ctxtag, **asked)


# -- walking ------------------------------------------------------------------------


def iter_graph(
    node: Any, /, *, graph: bool | None = None
) -> Iterator[tuple[Path, Any]]:
    """All nodes, Variables and static values of a node, children before parents.

    Example:
        >>> from nnx_compat import nnx
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> [p for p, v in nnx.iter_graph(model) if isinstance(v, nnx.Param)]
        [('bias',), ('kernel',)]
    """
    check("iter_graph", graph=graph)
    return functional.iter_graph(node)


def iter_modules(
    module: Any, /, *, graph: bool | None = None
) -> Iterator[tuple[Path, Any]]:
    """The Modules of a node, itself included, children before parents.

    Example:
        >>> from nnx_compat import nnx
        >>> models = [nnx.Linear(2, 2, rngs=nnx.Rngs(i)) for i in range(2)]
        >>> [path for path, module in nnx.iter_modules(models)]
        [(0,), (1,)]
    """
    check("iter_modules", graph=graph)
    return functional.iter_modules(module)


def iter_children(
    node: Any, /, *, graph: bool | None = None
) -> Iterator[tuple[Any, Any]]:
    """The NNX objects and Variables that are direct children, by key.

    Raises:
        ValueError: ``node`` has no children: it is no node.

    Example:
        >>> from nnx_compat import nnx
        >>> [key for key, _ in nnx.iter_children(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))]
        ['bias', 'kernel']
    """
    check("iter_children", graph=graph)
    found = _children("iter_children", node)
    return ((key, child) for key, child in found if walk.is_graph_node(child))


def iter_module_children(
    node: Any, /, *, graph: bool | None = None
) -> Iterator[tuple[Any, Any]]:
    """The Modules that are direct children, by key.

    Raises:
        ValueError: ``node`` has no children: it is no node.

    Example:
        >>> from nnx_compat import nnx
        >>> models = {"a": nnx.Linear(2, 2, rngs=nnx.Rngs(0)), "b": 1}
        >>> [key for key, _ in nnx.iter_module_children(models)]
        ['a']
    """
    check("iter_module_children", graph=graph)
    found = _children("iter_module_children", node)
    return ((key, child) for key, child in found if isinstance(child, nnx.Module))


def _children(asked: str, node: Any) -> list[tuple[Any, Any]]:
    if not walk.is_node(node):
        raise ArgumentValueError(
            f"{asked} needs a graph node and was given a {type(node).__name__}",
            instead="a Module, or a list, tuple or dict of Modules",
        )
    return walk.children(node)


def find_duplicates(node: Any, /, *, only: Any = ...) -> list[list[Path]]:
    """The paths of each Module, Variable or array that a node holds more than once.

    Args:
        node: any node.
        only: a filter: which of them to look for.

    Returns:
        One list of paths for each.

    Example:
        >>> from nnx_compat import nnx
        >>> shared = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
        >>> nnx.find_duplicates({"a": shared, "b": shared})
        [[('a',), ('b',)]]
    """
    wanted = functional.predicate(only)
    found: dict[int, list[Path]] = {}
    for path, value in walk.paths(node):
        if not (walk.is_graph_node(value) or isinstance(value, jax.Array)):
            continue
        if id(value) not in found:
            found[id(value)] = [path]
        elif wanted(path, value):
            found[id(value)].append(path)
    return [paths for paths in found.values() if len(paths) > 1]


# -- mapping ------------------------------------------------------------------------


def map(
    f: Callable[[Path, Any], Any],
    node: Any,
    /,
    *,
    graph: bool | None = None,
    recreate_variables: bool = True,
) -> Any:
    """A new node whose leaves are ``f(path, leaf)``.

    Args:
        f: takes the path and the Variable itself, or a bare array; returns a Variable,
            which is adopted, or a value.
        node: any node; it is not changed.
        graph: only graph mode is known here.
        recreate_variables: whether a value that ``f`` returns for a Variable is put in
            a Variable of the same type and metadata.

    Example:
        >>> from nnx_compat import nnx
        >>> import nnx_compat as nc
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> new = nnx.map(lambda path, v: nc.get_value(v) * 0, model)
        >>> float(nc.get_value(new.kernel).sum())
        0.0
    """
    check("map", graph=graph)

    def change(path: Path, leaf: Any) -> Any:
        new = f(path, leaf)
        return functional.as_leaf(leaf, new) if recreate_variables else new

    return walk.rebuilt(node, change)


def recursive_map(
    f: Callable[[Path, Any], Any], node: Any, /, *, graph: bool | None = None
) -> Any:
    """Rebuild a node from the inside out: each child is replaced by ``f(path, child)``.

    Args:
        f: called once for every NNX object, container, Variable and value, children
            first; what it returns takes its place. It may change Modules in place: they
            are copies that share the Variables of ``node``.
        node: any node; it is not changed.
        graph: only graph mode is known here.

    Raises:
        ValueError: the graph has a cycle.
        NodeTypeError: a child of a tuple is to be replaced.

    Example:
        >>> from nnx_compat import nnx
        >>> def doubled(path, value):
        ...     return 2 * value if path == ("b", "n") else value
        >>> nnx.recursive_map(doubled, {"a": 1, "b": {"n": 2}})
        {'a': 1, 'b': {'n': 4}}
    """
    check("recursive_map", graph=graph)
    return _mapped(f, walk.rebuilt(node, walk.same), (), set(), {})


def _mapped(
    f: Callable[[Path, Any], Any],
    node: Any,
    path: Path,
    entered: set[int],
    results: dict[int, Any],
) -> Any:
    if id(node) in entered:
        if id(node) not in results:
            raise ArgumentValueError(
                f"recursive_map found a cycle in the graph at {functional.show(path)}",
                instead="iter_graph, which visits each node once",
            )
        return results[id(node)]
    if walk.is_graph_node(node):
        entered.add(id(node))
    for key, child in walk.children(node):
        new = _mapped(f, child, (*path, key), entered, results)
        if new is not child:
            walk.put(node, key, new)
    made = f(path, node)
    if id(node) in entered:
        results[id(node)] = made
    return made


def set_metadata(node: Any, /, *, only: Any = ..., **metadata: Any) -> None:
    """Add metadata to the Variables of a node, in place.

    Args:
        node: any node.
        only: a filter: the Variables it is about.
        **metadata: what to add or replace.

    Example:
        >>> from nnx_compat import nnx
        >>> import nnx_compat as nc
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> nnx.set_metadata(model, only=nnx.Param, frozen=True)
        >>> nc.get_metadata(nc.variables(model)["kernel",])["frozen"]
        True
    """
    for variable in functional.variables(node, only).values():
        functional.set_metadata(variable, **metadata)


def with_vars(
    node: Any,
    /,
    *,
    hijax: bool | None = None,
    ref: bool | None = None,
    mutable: bool | None = None,
    only: Any = ...,
    allow_duplicates: bool = False,
) -> Any:
    """The same node; the Variables of this release have one mode.

    Args:
        node: any node.
        hijax: None or False.
        ref: None or False.
        mutable: None or True.
        only: a filter; without effect, for no Variable has to change.
        allow_duplicates: without effect for the same reason.

    Returns:
        A new node that shares the Variables of ``node``.

    Raises:
        RefusedArgumentError: another mode was asked for.

    Example:
        >>> from nnx_compat import nnx
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> nnx.with_vars(model, hijax=False) is model
        False
    """
    functional.predicate(only)
    for name, value, usual in (
        ("hijax", hijax, False),
        ("ref", ref, False),
        ("mutable", mutable, True),
    ):
        if value is not None and value is not usual:
            raise RefusedArgumentError(
                f"with_vars was given {name}={value}, and flax {flax_version} has only "
                "Variables that hold an array and can be written to",
                instead=f"leave {name}= out",
            )
    return walk.rebuilt(node, walk.same)


vars_as = with_vars


def as_pure(tree: Any, /) -> Any:
    """A pytree with the stored values in the place of its Variables.

    The State of the first releases cannot hold bare values: there nested dicts take its
    place.

    Raises:
        NodeTypeError: it holds a Module, which is no pytree on this release.

    Example:
        >>> from nnx_compat import nnx
        >>> state = nnx.as_pure(nnx.state(nnx.Linear(2, 3, rngs=nnx.Rngs(0))))
        >>> state["kernel"].shape
        (2, 3)
    """
    return jax.tree_util.tree_map(_pure, tree, is_leaf=_is_replaced)


def _is_replaced(value: Any) -> bool:
    return functional.is_variable(value) or isinstance(value, _FULL_STATE)


#: On the first releases a State can hold Variables only: it becomes nested dicts.
_FULL_STATE: Any = _State if walk.METHODS else ()


def _pure(leaf: Any) -> Any:
    if functional.is_variable(leaf):
        return as_pure(bound.raw(leaf))
    if isinstance(leaf, _FULL_STATE):
        return as_pure(functional.to_pure_dict(leaf))
    if walk.is_graph_node(leaf):
        raise NodeTypeError(
            f"as_pure was given a {type(leaf).__name__}, which is no pytree in flax "
            f"{flax_version}",
            instead="as_pure(nnx.state(model))",
        )
    return leaf


pure = as_pure


# -- flat form ----------------------------------------------------------------------


def flatten(
    node: Any,
    /,
    *,
    with_paths: bool = True,
    ref_index: Any = None,
    ref_outer_index: Any = None,
    graph: bool | None = None,
) -> tuple[Any, Any]:
    """The graphdef and the leaves of a node, by path or as a list.

    Args:
        node: any node.
        with_paths: whether the leaves are a FlatState of ``(path, leaf)`` pairs.
        ref_index: a ``RefMap`` of what was met before; it is added to.
        ref_outer_index: a ``RefMap`` of what exists outside.
        graph: only graph mode is known here.

    Example:
        >>> from nnx_compat import nnx
        >>> try:
        ...     graphdef, flat = nnx.flatten(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
        ...     print(len(flat))
        ... except AttributeError:  # a release without flat states
        ...     print(2)
        2
    """
    check("flatten", graph=graph)
    live = _FLATTEN_KEYWORDS & {"return_variables"}  # as they are on later releases
    result: tuple[Any, Any] = walk.registry.flatten(
        node,
        with_paths=with_paths,
        ref_index=ref_index,
        ref_outer_index=ref_outer_index,
        **dict.fromkeys(live, True),
    )
    return result


_FLATTEN_KEYWORDS = frozenset(
    getattr(getattr(walk.registry, "flatten", None), "__kwdefaults__", None) or {}
)


def unflatten(
    graphdef: Any,
    state: Any,
    /,
    *,
    index_ref: Any = None,
    outer_index_outer_ref: Any = None,
    copy_variables: bool = False,
    recreate_variables: bool = True,
) -> Any:
    """The node of a graphdef and its leaves: the inverse of ``flatten``.

    Args:
        graphdef: from ``flatten`` or ``split``.
        state: a FlatState, a State or a list of leaves.
        index_ref: an ``IndexMap`` of what was made before; it is added to.
        outer_index_outer_ref: an ``IndexMap`` of what exists outside.
        copy_variables: whether the node gets Variables of its own. Releases before
            Variables were adopted make new ones in any case.
        recreate_variables: only True is known here.

    Example:
        >>> from nnx_compat import nnx
        >>> try:
        ...     model = nnx.unflatten(*nnx.flatten(nnx.Linear(2, 3, rngs=nnx.Rngs(0))))
        ...     print(model.out_features)
        ... except AttributeError:  # a release without flat states
        ...     print(3)
        3
    """
    check("unflatten", recreate_variables=recreate_variables)
    extra: dict[str, Any] = {}
    if "copy_variables" in (walk.registry.unflatten.__kwdefaults__ or {}):
        extra["copy_variables"] = copy_variables
    return walk.registry.unflatten(
        graphdef,
        state,
        index_ref=index_ref,
        outer_index_outer_ref=outer_index_outer_ref,
        **extra,
    )


# -- settings -----------------------------------------------------------------------


class set_graph_mode(Setting):
    """Graph mode, which is all there is: a statement, a context or a decorator.

    Args:
        value: True. False may be set, and then each function that would see a graph is
            an error.

    Raises:
        RefusedArgumentError: False, where functions take ``graph=False`` themselves
            and ask no setting.

    Example:
        >>> from nnx_compat import nnx
        >>> with nnx.set_graph_mode(True):
        ...     nnx.set_graph_mode.current_value()
        True
    """

    parameter = "graph"

    def __init__(self, value: bool, /) -> None:
        if value is False and facts.name("nnx.split").on(flax_version, "graph"):
            raise RefusedArgumentError(
                f"set_graph_mode was given False, and flax {flax_version} has tree "
                "mode by argument only",
                instead="graph=False for each function",
            )
        super().__init__(value)


class set_graph_updates(Setting):
    """Whether transforms propagate updates, which they always do here.

    Args:
        value: True. False may be set, and then each transform is an error.

    Example:
        >>> from nnx_compat import nnx
        >>> with nnx.set_graph_updates(True):
        ...     nnx.set_graph_updates.current_value()
        True
    """

    parameter = "graph_updates"


# -- abstract models ----------------------------------------------------------------


def get_abstract_model(
    init_fn: Callable[[], Any], mesh: jax.sharding.Mesh, *, graph: bool | None = None
) -> tuple[Any, Any]:
    """The graphdef and the abstract state of a model that is not built.

    Args:
        init_fn: makes the model.
        mesh: the devices that the annotations of its Variables are about.
        graph: only graph mode is known here.

    Returns:
        ``(graphdef, state)``; the leaves hold ``jax.ShapeDtypeStruct`` with a sharding.

    Example:
        >>> from nnx_compat import nnx
        >>> mesh = jax.sharding.Mesh(jax.devices()[:1], ("data",))
        >>> make = lambda: nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> graphdef, state = nnx.get_abstract_model(make, mesh)
        >>> [leaf.shape for leaf in jax.tree_util.tree_leaves(state)]
        [(3,), (2, 3)]
    """
    check("get_abstract_model", graph=graph)
    with mesh:
        graphdef, abstract = _newest("split")(_newest("eval_shape")(init_fn))
        with warnings.catch_warnings():  # Flax uses a name of jax that had to go
            warnings.simplefilter("ignore", DeprecationWarning)
            shardings = nnx.get_named_sharding(abstract, mesh)
    sharded = jax.tree_util.tree_map(
        lambda leaf, sharding: jax.ShapeDtypeStruct(
            leaf.shape, leaf.dtype, sharding=sharding
        ),
        abstract,
        shardings,
    )
    return graphdef, sharded


def as_abstract(tree: Any, graph: bool | None = None) -> Any:
    """Give the abstract Variables of a model the shardings that their metadata names.

    Args:
        tree: a model from ``eval_shape``.
        graph: only graph mode is known here.

    Returns:
        A new model; Variables with a sharding, or without an annotation, stay theirs.

    Raises:
        RefusedArgumentError: a Variable is annotated, and neither its metadata nor jax
            say for which mesh.

    Example:
        >>> from nnx_compat import nnx
        >>> model = nnx.as_abstract(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
        >>> model.out_features
        3
    """
    check("as_abstract", graph=graph)
    return walk.rebuilt(tree, _with_sharding)


def _with_sharding(path: Path, leaf: Any) -> Any:
    if not functional.is_variable(leaf):
        return leaf
    value, metadata = bound.raw(leaf), functional.get_metadata(leaf)
    annotated = any(metadata.get(key) for key in _SHARDING_KEYS)
    if not annotated or getattr(value, "sharding", None) is not None:
        return leaf
    if not (hasattr(value, "shape") and hasattr(value, "dtype")):
        return leaf
    spec = bound.raw(nnx.get_partition_spec(_State({"leaf": leaf})).raw_mapping["leaf"])
    mesh = metadata.get("mesh") or _current_mesh(path)
    sharding = jax.sharding.NamedSharding(mesh, spec)
    return bound.with_value(
        leaf, jax.ShapeDtypeStruct(value.shape, value.dtype, sharding=sharding)
    )


#: The names that the annotation has had.
_SHARDING_KEYS = ("sharding", "sharding_names", "out_sharding")


def _current_mesh(path: Path) -> Any:
    current = getattr(jax.sharding, "get_abstract_mesh", None)
    if current is None:
        raise RefusedArgumentError(
            f"{functional.show(path)} is annotated with a sharding, and jax "
            f"{jax.__version__} does not say which mesh is current",
            instead="nnx.get_abstract_model(init_fn, mesh)",
        )
    return current()


abstract_with_sharding = as_abstract


# -- the rest -----------------------------------------------------------------------


def display(*args: Any) -> None:
    """Print each argument.

    Newer releases draw them in a notebook, and print elsewhere.

    Example:
        >>> from nnx_compat import nnx
        >>> nnx.display()
    """
    for arg in args:
        print(arg)
