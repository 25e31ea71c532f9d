"""How the backports look inside a node.

A node is whatever the installed release says it is: an NNX object, a list, tuple or
dict, another pytree. Its children come from Flax's own registry, so this file is the
same on every release; only what counts as a graph node had to be settled.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any

from ... import functional
from ..._release import here, registry
from ...errors import NodeTypeError, kind_of
from ...functional import Path
from ...revisions import nnx

#: What the objects of NNX derive from, whose attributes are their children. At first
#: that is a Module; a Rngs is none there, but a static value that counts.
OBJECT: type = nnx.Module if here.only_modules_are_nodes else nnx.Module.__mro__[1]


def is_graph_node(value: object) -> bool:
    """Whether it is an NNX object or a Variable: one that a graph may hold twice."""
    if functional.is_variable(value):
        return True
    if here.registry_tells_graph_nodes:
        return bool(registry.is_graph_node(value))
    return is_node(value) and not isinstance(value, (list, tuple, dict))


def is_node(value: object) -> bool:
    """Whether it has children: an NNX object or another registered container."""
    if value is None or functional.is_variable(value):  # None is one of no children
        return False
    return bool(registry.is_node(value))


def children(node: object) -> list[tuple[Hashable, Any]]:
    """The ``(key, value)`` pairs of a node, sorted by key, NNX's own ones left out."""
    if not is_node(node):
        return []
    kind = registry.get_node_impl(node)
    if here.node_dict_is_bare:  # there flatten wraps the values
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


def put(node: Any, key: Hashable, value: object) -> None:
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


def take(node: object, name: str) -> None:
    """Delete an attribute, and what NNX remembers of it for itself."""
    delattr(node, name)
    data = vars(node).get(here.data_names, ())
    if isinstance(data, frozenset):
        vars(node)[here.data_names] = data - {name}
    elif name in data:
        rest = {key: value for key, value in data.items() if key != name}
        vars(node)[here.data_names] = type(data)(rest)


def _immutable(node: object, key: Hashable) -> NodeTypeError:
    return NodeTypeError(
        f"{key!r} of {kind_of(node)} cannot be replaced: it is immutable",
        instead="a list, a dict or a Module in its place",
    )


def paths(node: object, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every way to every node and leaf, parents first; a shared object comes again.

    The inside of a shared NNX object is visited once, so a cycle ends.
    """
    return _paths(node, path, set())


def _paths(node: object, path: Path, seen: set[int]) -> Iterator[tuple[Path, Any]]:
    yield path, node
    if is_graph_node(node):
        if id(node) in seen:
            return
        seen.add(id(node))
    for key, child in children(node):
        yield from _paths(child, (*path, key), seen)
