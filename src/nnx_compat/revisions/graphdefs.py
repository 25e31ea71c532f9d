"""The paths of a graphdef's leaves, in each of the forms that graphdefs have had."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .get_value import Path

__all__ = ["is_graphdef", "leaf_paths"]


def is_graphdef(value: object) -> bool:
    """Whether this is one; ``nnx.GraphDef`` was once no class but a union of them."""
    kind = type(value)
    flax = kind.__module__.partition(".")[0] == "flax"
    return flax and kind.__name__ in ("GraphDef", "NodeDef", "NodeRef", "VariableDef")


def leaf_paths(graphdef: Any) -> list[Path]:
    """The paths of the leaves that a graphdef wants, list indices as it has them."""
    if hasattr(graphdef, "nodes"):
        return _listed(graphdef)
    root = getattr(graphdef, "nodedef", graphdef)
    return [()] if type(root).__name__ == "VariableDef" else [*_nested(root, (), set())]


def _listed(graphdef: Any) -> list[Path]:
    """Nodes and attributes are two lists, in the order of a walk."""
    # every merge pays for this: no call for each attribute, and no path for a Static
    nodes = iter(graphdef.nodes)
    root = next(nodes)
    if _kind(root) != "NodeDef":
        return [()] if _kind(root) != "NodeRef" else []
    found: list[Path] = []
    #: what is open: a path, and how many attributes of it are still to come
    path: Path = ()
    stack: list[tuple[Path, int]] = []
    left = root.num_attributes
    for key, value in graphdef.attributes:
        while not left:
            path, left = stack.pop()
        left -= 1
        kind = type(value).__name__
        if kind == "Static":
            continue
        if kind == "NodeAttr":
            node = next(nodes)
            kind = type(node).__name__
            if kind == "NodeDef":
                stack.append((path, left))
                path = (*path, key)
                left = node.num_attributes
                continue
        if kind != "NodeRef":
            found.append((*path, key))
    return found


def _kind(value: object) -> str:
    return type(value).__name__


def _nested(node: Any, path: Path, seen: set[int]) -> Iterator[Path]:
    """Nodes in nodes. Objects are numbered; a Variable is where its number is first."""
    seen.add(node.index)
    for key, child in _attributes(node):
        kind = type(child).__name__
        if kind in ("NodeDef", "GraphDef"):
            yield from _nested(child, (*path, key), seen)
        elif kind != "Static":
            # a bare array has no number, and is there once
            number = child if isinstance(child, int) else getattr(child, "index", -1)
            if number not in seen:
                yield (*path, key)
            seen |= {number} - {-1}


def _attributes(node: Any) -> Iterator[tuple[Any, Any]]:
    """The nodes, references and leaves in a node, in order, by key."""
    if hasattr(node, "subgraphs"):
        leaves = node.leaves if hasattr(node, "leaves") else node.variables
        for key in node.attributes:
            for inside in (node.subgraphs, leaves):
                if key in inside:
                    yield key, inside[key]
        return
    for one in node.attributes:
        key, child = one if isinstance(one, tuple) else (one.key, one.value)
        if type(one).__name__ != "StaticAttribute":
            yield key, child
