"""What a function does with one of its parameters, as its source says.

The source of each function is looked through once, for all that is asked of it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any, NamedTuple

from .syntax import dotted, is_attribute_of

__all__ = ["Part", "Touched", "parts", "touched"]

Part = ast.Attribute | ast.Subscript | ast.Call | ast.AugAssign
_PARTS = (ast.Attribute, ast.Subscript, ast.Call, ast.AugAssign)


def parts(tree: ast.AST) -> tuple[Part, ...]:
    """The nodes in a function that can do something with an object."""
    found = list[Part]()
    waiting: list[Any] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, _PARTS):
            found.append(node)
        for name in node._fields:
            value: Any = getattr(node, name, None)
            if value.__class__ is list:
                waiting += [one for one in value if one.__class__ not in _LEAVES]
            elif value.__class__ not in _LEAVES:
                waiting.append(value)
    return tuple(found)


#: What is in a tree and has no nodes in it; most of a tree is that.
_LEAVES = frozenset(
    (ast.Name, ast.Constant, ast.Load, ast.Store, ast.Del, type(None), str, int, bool)
)


class Touched(NamedTuple):
    """What a function does with an object.

    Attributes:
        writes: whether it writes to something inside of an attribute of it.
        calls: whether it calls the object itself.
        names: the attributes that it names.
        added: the attributes that it assigns by ``+=`` and the like.
    """

    writes: bool
    calls: bool
    names: tuple[str, ...]
    added: tuple[str, ...]


def touched(nodes: Iterable[Part], name: str) -> Touched:
    """What these nodes do with the object that has this name."""
    writes = calls = False
    names, added = dict[str, None](), dict[str, None]()
    for node in nodes:
        if isinstance(node, ast.Call):
            called = node.func
            if isinstance(called, ast.Attribute) and called.attr == "set_value":
                writes = writes or _is_inside(called.value, name)
            else:
                calls = calls or dotted(called) == name
        elif isinstance(node, (ast.Attribute, ast.Subscript)):
            if isinstance(node.ctx, ast.Store):
                writes = writes or _is_inside(node.value, name)
            if isinstance(node, ast.Attribute) and dotted(node.value) == name:
                names[node.attr] = None
        elif is_attribute_of(node.target, name):
            added[node.target.attr] = None
    return Touched(writes, calls, tuple(names), tuple(added))


def _is_inside(node: ast.expr, name: str) -> bool:
    """Whether it is an attribute of this name, or an item of one, however deep."""
    inner = node
    while isinstance(inner, (ast.Attribute, ast.Subscript)):
        inner = inner.value
    return inner is not node and isinstance(inner, ast.Name) and inner.id == name
