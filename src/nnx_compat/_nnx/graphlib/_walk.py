"""How the backports look inside a node, and make one like it with other leaves.

A node is whatever the installed release says it is: an NNX object, a list, tuple or
dict, another pytree. Its children are asked of Flax's own registry, so this file is the
same on every release; only what counts as a graph node had to be settled.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import jax

from ... import functional
from ...errors import NodeTypeError
from ...revisions import bound, methods, nnx
from ...revisions.get_value import Path

#: Whether ``split`` and its like are methods of Module, and not functions.
METHODS = isinstance(bound, methods.Revision)

#: NNX's module with the registry of node types, ``graphlib`` today.
registry: Any = sys.modules[(nnx.GraphDef if METHODS else nnx.split).__module__]

Change = Callable[[Path, Any], Any]


def is_graph_node(value: Any) -> bool:
    """Whether it is an NNX object or a Variable: one that a graph may hold twice."""
    if functional.is_variable(value):
        return True
    if hasattr(registry, "is_graph_node"):
        return bool(registry.is_graph_node(value))
    return is_node(value) and not isinstance(value, (list, tuple, dict))


def is_node(value: Any) -> bool:
    """Whether it has children: an NNX object or another registered container."""
    if value is None or functional.is_variable(value):  # None is one of no children
        return False
    return bool(registry.is_node(value))


def children(node: Any) -> list[tuple[Any, Any]]:
    """The ``(key, value)`` pairs of a node, sorted by key, NNX's own ones left out."""
    if not is_node(node):
        return []
    kind = registry.get_node_impl(node)
    if hasattr(kind, "node_dict"):  # there flatten wraps the values
        found = kind.node_dict(node).items()
    else:
        found, _ = kind.flatten(node)
    if isinstance(node, (list, tuple)):  # the keys are strings on the first releases
        return [(int(key), value) for key, value in found]
    named = [
        (key, value)
        for key, value in found
        if not (isinstance(key, str) and key.startswith(functional.INTERNAL))
    ]
    return sorted(named, key=lambda pair: (isinstance(pair[0], str), pair[0]))


def put(node: Any, key: Any, value: Any) -> None:
    """Set one child of a node in place.

    Raises:
        NodeTypeError: nodes of this type cannot be changed.
    """
    if isinstance(node, (list, dict)) or not isinstance(key, str):
        if isinstance(node, tuple):
            raise _immutable(node, key)
        node[key] = value
    elif not is_graph_node(node):
        raise _immutable(node, key)
    else:
        setattr(node, key, value)


def take(node: Any, name: str) -> None:
    """Delete an attribute, and what NNX remembers of it for itself."""
    delattr(node, name)
    data = vars(node).get("_pytree__nodes", ())  # which attributes are data
    if isinstance(data, frozenset):
        vars(node)["_pytree__nodes"] = data - {name}
    elif name in data:
        rest = {key: value for key, value in data.items() if key != name}
        vars(node)["_pytree__nodes"] = type(data)(rest)


def _immutable(node: Any, key: Any) -> NodeTypeError:
    return NodeTypeError(
        f"{key!r} of a {type(node).__name__} cannot be replaced: it is immutable",
        instead="a list, a dict or a Module in its place",
    )


def paths(node: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every way to every node and leaf, parents first; a shared object comes again.

    The inside of a shared NNX object is visited once, so a cycle ends.
    """
    return _paths(node, path, set())


def _paths(node: Any, path: Path, seen: set[int]) -> Iterator[tuple[Path, Any]]:
    yield path, node
    if is_graph_node(node):
        if id(node) in seen:
            return
        seen.add(id(node))
    for key, child in children(node):
        yield from _paths(child, (*path, key), seen)


def same(path: Path, leaf: Any) -> Any:
    """The change that changes nothing: the new node shares all Variables."""
    return leaf


def rebuilt(node: Any, change: Change) -> Any:
    """A node of the same structure whose leaves are what ``change`` makes of them.

    Args:
        node: any node, or a bare leaf.
        change: called once for each Variable, with the first path to it, and for each
            bare array; what it returns takes the place of that leaf, everywhere.
    """
    if not is_node(node):
        return change((), node) if _is_leaf(node) else node
    # A clone has the same children in the same places, with Variables of its own.
    return _Rebuilding(change).into(bound.clone(node), node, ())


def _is_leaf(value: Any) -> bool:
    return functional.is_variable(value) or isinstance(value, jax.Array)


class _Rebuilding:
    def __init__(self, change: Change) -> None:
        self.change = change
        self.made: dict[int, Any] = {}

    def into(self, copy: Any, original: Any, path: Path) -> Any:
        """``copy`` with its leaves replaced: itself where it can be changed."""
        if not is_node(original):
            return self._leaf(copy, original, path)
        if is_graph_node(original):
            if id(original) in self.made:
                return self.made[id(original)]
            self.made[id(original)] = copy
        old = children(original)
        new = [
            (key, was, self.into(was, child, (*path, key)))
            for (key, was), (_, child) in zip(children(copy), old, strict=True)
        ]
        if isinstance(copy, (list, dict)) or is_graph_node(copy):
            for key, was, now in new:
                if now is not was:
                    _store(copy, key, now)
            return copy
        return _remade(copy, [now for _, _, now in new])

    def _leaf(self, copy: Any, original: Any, path: Path) -> Any:
        if isinstance(original, nnx.Rngs):
            return original  # static on the first releases, and it counts: to be shared
        if not _is_leaf(original):
            return copy
        if id(original) not in self.made:
            self.made[id(original)] = self.change(path, original)
        return self.made[id(original)]


def _store(node: Any, key: Any, value: Any) -> None:
    """Past ``__setattr__``, which unwraps on some releases and checks on others."""
    if isinstance(node, (list, dict)) or key not in vars(node):
        put(node, key, value)
    else:
        vars(node)[key] = value


def _remade(node: Any, values: list[Any]) -> Any:
    if isinstance(node, tuple):
        kind: Any = type(node)
        return kind(*values) if hasattr(kind, "_fields") else kind(values)
    tree = jax.tree_util.tree_structure(node, is_leaf=lambda value: value is not node)
    return tree.unflatten(values)
