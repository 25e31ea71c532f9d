"""What a function does with one of its parameters, as its source says."""

from __future__ import annotations

import ast
from typing import NamedTuple

from .syntax import FunctionNode, dotted, is_attribute_of

__all__ = ["Touched", "touched"]


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


def touched(function: FunctionNode | ast.Lambda, name: str) -> Touched:
    """What a function does with the object that has this name in it."""
    writes = calls = False
    names, added = dict[str, None](), dict[str, None]()
    for node in ast.walk(function):
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
        elif isinstance(node, ast.AugAssign) and is_attribute_of(node.target, name):
            added[node.target.attr] = None
    return Touched(writes, calls, tuple(names), tuple(added))


def _is_inside(node: ast.expr, name: str) -> bool:
    """Whether it is an attribute of this name, or an item of one, however deep."""
    inner = node
    while isinstance(inner, (ast.Attribute, ast.Subscript)):
        inner = inner.value
    return inner is not node and isinstance(inner, ast.Name) and inner.id == name
