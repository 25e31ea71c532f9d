"""A function over all leaves of a node, or over all that is in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

import jax

from ... import functional
from ..._release import here
from ...errors import ArgumentValueError
from ...functional import Path
from ...revisions import nnx
from .._parameters import check
from ._rewiring import rewired
from ._walk import children, is_graph_node, put

if TYPE_CHECKING:
    from flax.nnx import Variable

    from ...functional import Filter

__all__ = ["map", "recursive_map", "set_metadata"]

_N = TypeVar("_N")


def map(
    f: Callable[[Path, Any], object],
    node: _N,
    /,
    *,
    graph: bool | None = None,
    recreate_variables: bool = True,
) -> _N:
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

    def change(path: Path, leaf: Variable[Any] | jax.Array) -> object:
        new = f(path, leaf)
        return functional.as_leaf(leaf, new) if recreate_variables else new

    if here.split_is_a_method and isinstance(node, nnx.State):  # no node there
        return cast(_N, functional.map_state(change, node))
    return rewired(node, change)


def recursive_map(
    f: Callable[[Path, Any], Any], node: _N, /, *, graph: bool | None = None
) -> _N:
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
    mapped: _N = _mapped(f, rewired(node), (), set(), {})
    return mapped


def _mapped(
    f: Callable[[Path, Any], Any],
    node: object,
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
    if is_graph_node(node):
        entered.add(id(node))
    for key, child in children(node):
        new = _mapped(f, child, (*path, key), entered, results)
        if new is not child:
            put(node, key, new)
    mapped = f(path, node)
    if id(node) in entered:
        results[id(node)] = mapped
    return mapped


def set_metadata(node: object, /, *, only: Filter = ..., **metadata: Any) -> None:
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
