"""Annotations: read where Python evaluates them, and what they say of a value."""

from __future__ import annotations

import ast

from ..syntax import all_arguments, is_none
from ..values import Dotted, Value, instance
from .reading import Reading

__all__ = ["annotated", "parameters", "read_annotation"]


def read_annotation(reading: Reading, node: ast.expr | None) -> None:
    """Read an annotation, if Python evaluates it."""
    # under `from __future__ import annotations` nobody does
    if node is not None and not reading.lazy_annotations:
        reading.value(node)


def annotated(reading: Reading, node: ast.expr | None) -> Value:
    """An instance of what an annotation names, where that is one class."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        try:
            node = ast.parse(node.value, mode="eval").body
        except SyntaxError:
            return None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        sides = [side for side in (node.left, node.right) if not is_none(side)]
        return annotated(reading, sides[0]) if len(sides) == 1 else None
    if isinstance(node, ast.Subscript):
        named = reading.peek(node.value)
        if isinstance(named, Dotted) and named.path == "typing.Optional":
            return annotated(reading, node.slice)
        node = node.value
    return None if node is None else instance(reading.peek(node))


def parameters(reading: Reading, arguments: ast.arguments) -> dict[str, Value]:
    """What the annotations of parameters say of each."""
    return {a.arg: annotated(reading, a.annotation) for a in all_arguments(arguments)}
