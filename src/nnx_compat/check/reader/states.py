"""States, and what happens to the models that they were split from."""

from __future__ import annotations

import ast

from .. import kinds
from ..events import Kind, Step
from ..values import Dotted, Instance, Value
from .reading import Reading

__all__ = ["changed", "follows_a_state", "merged", "split_into", "used"]


def split_into(reading: Reading, target: ast.Name, value: Value) -> None:
    """Note that a name is bound: to a state of a model, or to something else."""
    model = _model_of(value)
    _note(reading, "split" if model else "bind", target.id, target, model)


def used(reading: Reading, node: ast.Name, value: Value) -> None:
    """Note that a name is read, if it is of a state or of a Module."""
    treated = reading.scope.treated
    if treated is None or not treated.steps:
        return
    if _model_of(value) or kinds.is_module(value):
        _note(reading, "use", node.id, node)


def merged(reading: Reading, target: ast.Name, node: ast.expr | None) -> None:
    """Note that a name is bound to what was merged from a state."""
    if not isinstance(node, ast.Call) or len(node.args) < 2 or node.keywords:
        return
    called = reading.peek(node.func)
    if not isinstance(called, Dotted) or called.path != "nnx.merge" or called.compat:
        return
    for state in node.args[1:]:
        if isinstance(state, ast.Name):
            _note(reading, "merge", target.id, target, state.id)


def changed(reading: Reading, node: ast.expr, *, ran: bool = False) -> None:
    """Note that what is written there has been changed in place, or by running it."""
    root = node
    while isinstance(root, (ast.Attribute, ast.Subscript)):
        root = root.value
    if isinstance(root, ast.Name):
        _note(reading, "run" if ran else "change", root.id, node)


def _model_of(value: Value) -> str:
    """How the model is written that a state was split from, if that is plain."""
    is_state = isinstance(value, Instance) and value.kind == "nnx.State"
    return value.written if is_state else ""  # type: ignore[union-attr]


def follows_a_state(reading: Reading) -> bool:
    """Whether there is a state by now that what is done here may concern.

    What is done before says nothing about one.
    """
    treated = reading.scope.treated
    return treated is not None and not reading.quiet and bool(treated.steps)


def _note(
    reading: Reading,
    kind: Kind,
    name: str,
    node: ast.expr,
    written: str = "",
) -> None:
    treated = reading.scope.treated
    begins = kind == "split" and treated is not None and not reading.quiet
    if treated is not None and (begins or follows_a_state(reading)):
        treated.steps.append(Step(kind, name, written, node))
