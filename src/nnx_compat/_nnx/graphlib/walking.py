"""What is in a node, visited in order; nothing is changed."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import TYPE_CHECKING, Any

import jax

from ... import functional
from ..._release import here
from ...errors import ArgumentValueError, kind_of
from ...functional import Path
from ...revisions import bound, nnx
from .._parameters import check
from ._walk import children, is_graph_node, is_node, paths

if TYPE_CHECKING:
    from flax.nnx import Module

    from ...functional import Filter

__all__ = ["find_duplicates", "iter_children", "iter_graph", "iter_module_children"]


def iter_graph(
    node: object, /, *, graph: bool | None = None
) -> Iterator[tuple[Path, Any]]:
    """All nodes, Variables and static values of a node, children before parents.

    Example:
        >>> from nnx_compat import nnx
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> [p for p, v in nnx.iter_graph(model) if isinstance(v, nnx.Param)]
        [('bias',), ('kernel',)]
    """
    check("iter_graph", graph=graph)
    if here.data_names != "_pytree__nodes":
        return functional.iter_graph(node)
    # what NNX keeps on a Module for itself is shown, as it is on the newest release
    return _once(bound.iter_graph(node))


def _once(found: Iterator[tuple[Path, Any]]) -> Iterator[tuple[Path, Any]]:
    seen: set[int] = set()
    for path, value in found:
        if functional.is_variable(value):
            if id(value) in seen:
                continue
            seen.add(id(value))
        yield path, value


def iter_children(
    node: object, /, *, graph: bool | None = None
) -> Iterator[tuple[Hashable, Any]]:
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
    return ((key, child) for key, child in found if is_graph_node(child))


def iter_module_children(
    node: object, /, *, graph: bool | None = None
) -> Iterator[tuple[Hashable, Module]]:
    """The Modules among the direct children, by key.

    Raises:
        ValueError: as for ``iter_children``.

    Example:
        >>> from nnx_compat import nnx
        >>> models = {"a": nnx.Linear(2, 2, rngs=nnx.Rngs(0)), "b": 1}
        >>> [key for key, _ in nnx.iter_module_children(models)]
        ['a']
    """
    check("iter_module_children", graph=graph)
    found = _children("iter_module_children", node)
    return ((key, child) for key, child in found if isinstance(child, nnx.Module))


def _children(function: str, node: object) -> list[tuple[Hashable, Any]]:
    if not is_node(node):
        raise ArgumentValueError(
            f"{function} needs a graph node and was given {kind_of(node)}",
            instead="a Module, or a list, tuple or dict of Modules",
        )
    return children(node)


def find_duplicates(node: object, /, *, only: Filter = ...) -> list[list[Path]]:
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
    for path, value in paths(node):
        if not (is_graph_node(value) or isinstance(value, jax.Array)):
            continue
        if id(value) not in found:
            found[id(value)] = [path]
        elif wanted(path, value):
            found[id(value)].append(path)
    return [several for several in found.values() if len(several) > 1]
