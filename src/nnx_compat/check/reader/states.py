"""States, and what happens to the models that they were split from."""

from __future__ import annotations

import ast
from typing import Literal

from ..events import Step
from ..values import Instance, Value
from .reading import Reading

__all__ = ["changed", "split_into", "used"]


def split_into(reading: Reading, target: ast.Name, value: Value) -> None:
    """Note that a name is bound: to a state of a model, or to something else."""
    model = _model_of(value)
    _note(reading, "split" if model else "bind", target.id, target, model)


def used(reading: Reading, node: ast.Name, value: Value) -> None:
    """Note that a name is read, if it is of a state."""
    if _model_of(value):
        _note(reading, "use", node.id, node)


def changed(reading: Reading, node: ast.expr) -> None:
    """Note that what is written there has been changed in place."""
    root = node
    while isinstance(root, (ast.Attribute, ast.Subscript)):
        root = root.value
    if isinstance(root, ast.Name):
        _note(reading, "change", root.id, node)


def _model_of(value: Value) -> str:
    """How the model is written that a state was split from, if that is plain."""
    is_state = isinstance(value, Instance) and value.kind == "nnx.State"
    return value.written if is_state else ""  # type: ignore[union-attr]


def _note(
    reading: Reading,
    kind: Literal["split", "bind", "change", "use"],
    name: str,
    node: ast.expr,
    written: str = "",
) -> None:
    treated = reading.scope.treated
    if treated is not None and not reading.quiet:
        treated.steps.append(Step(kind, name, written, node))
