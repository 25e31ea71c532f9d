"""Annotations: read where Python evaluates them, and what they say of a value."""

from __future__ import annotations

import ast

from ..syntax import all_arguments, dotted, is_none
from ..values import Container, Dotted, Instance, Keys, Several, Value, instance
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
        except (SyntaxError, ValueError, RecursionError):
            return None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        sides = [side for side in (node.left, node.right) if not is_none(side)]
        return annotated(reading, sides[0]) if len(sides) == 1 else None
    if isinstance(node, ast.Subscript):
        return _subscripted(reading, node)
    said = None if node is None else instance(reading.peek(node))
    if isinstance(said, Instance) and said.kind == "nnx.Optimizer":
        # the one that holds its model is an Optimizer, too, and takes other arguments
        return None if reading.program.has_holding_optimizers else said
    return said


_OPTIONAL = ("typing.Optional", "typing.Annotated", "typing.Final", "typing.ClassVar")
_SEQUENCES: dict[str, Container] = {
    "list": "list", "List": "list", "Sequence": "", "Iterable": "", "Iterator": "",
    "MutableSequence": "", "Collection": "", "set": "set",
}  # fmt: skip
_MAPPINGS = ("dict", "Dict", "Mapping", "MutableMapping", "defaultdict")


def _subscripted(reading: Reading, node: ast.Subscript) -> Value:
    """``Optional[X]``, ``list[X]``, ``tuple[X, Y]``, ``dict[str, X]``."""
    named = reading.peek(node.value)
    inside = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    path = named.path if isinstance(named, Dotted) else dotted(node.value)
    if path in _OPTIONAL:
        return annotated(reading, inside[0]) if inside else None
    if path == "typing.Union":
        sides = [side for side in inside if not is_none(side)]
        return annotated(reading, sides[0]) if len(sides) == 1 else None
    name = path.rpartition(".")[2]
    if path.partition(".")[0] == "nnx" or not inside:
        return instance(named)
    if name in ("tuple", "Tuple"):
        if isinstance(inside[-1], ast.Constant) and inside[-1].value is Ellipsis:
            return Several((), annotated(reading, inside[0]), "tuple")
        return Several(tuple(annotated(reading, i) for i in inside), None, "tuple")
    if name in _SEQUENCES:
        return Several((), annotated(reading, inside[0]), _SEQUENCES[name])
    if name in _MAPPINGS:
        return Keys((), annotated(reading, inside[-1]))
    return instance(named)


def parameters(reading: Reading, arguments: ast.arguments) -> dict[str, Value]:
    """What the annotations of parameters say of each."""
    return {a.arg: annotated(reading, a.annotation) for a in all_arguments(arguments)}
