"""Calls: what is called, what it does to a model, and what it gives."""

from __future__ import annotations

import ast
from dataclasses import replace

from .. import events, kinds
from ..syntax import dotted, is_attribute_of, unstarred
from ..values import ClassInfo, Dotted, Function, Instance, Several, Value, instance
from .assignments import is_data
from .reading import Reading, expression
from .states import changed


@expression(ast.Call)
def _call(reading: Reading, node: ast.Call) -> Value:
    owner: Value = None
    if isinstance(node.func, ast.Attribute):
        owner = reading.peek(node.func.value)
        reading.calls[id(node.func)] = node
    called = reading.value(node.func)
    arguments = tuple(reading.value(unstarred(a)) for a in node.args)
    for keyword in node.keywords:
        reading.value(keyword.value)
    path = _path(node, called, owner)
    if path:
        keywords = frozenset(k.arg for k in node.keywords if k.arg is not None)
        is_open = len(keywords) < len(node.keywords) or any(
            isinstance(a, ast.Starred) for a in node.args
        )
        compat = isinstance(called, Dotted) and called.compat
        reading.show(
            events.Call(
                node, path, arguments, keywords, is_open, owner, compat=compat
            )
        )  # fmt: skip
    _note_changes(reading, node, called, owner)
    _note_append(reading, node)
    return _result(node, called, arguments)


def _path(node: ast.Call, called: Value, owner: Value) -> str:
    """What of NNX is called, ``""`` for everything else."""
    if isinstance(called, Dotted):
        return called.path
    if isinstance(called, ClassInfo):
        return "" if "__init__" in called.own else called.native()
    if isinstance(node.func, ast.Attribute) and isinstance(owner, Instance):
        if owner.compat and not kinds.is_variable(owner):
            return ""
        name = node.func.attr
        if isinstance(owner.kind, ClassInfo) and owner.kind.attribute(name)[0]:
            return ""
        return kinds.member(owner, name)
    return ""


# -- what it does -------------------------------------------------------------------


def _note_changes(
    reading: Reading, node: ast.Call, called: Value, owner: Value
) -> None:
    if isinstance(called, Dotted) and called.path == "nnx.update" and node.args:
        changed(reading, node.args[0])
    if isinstance(node.func, ast.Attribute) and isinstance(owner, Instance):
        # an Optimizer that holds its model takes the gradients alone, and which model
        # that changes is not written there
        optimizer = "nnx.Optimizer" in kinds.of(owner)
        if optimizer and node.func.attr == "update" and len(node.args) > 1:
            changed(reading, node.args[0])
        if kinds.is_variable(owner) and node.func.attr == "set_value":
            changed(reading, node.func.value)


def _note_append(reading: Reading, node: ast.Call) -> None:
    """``self.layers.append(Module)`` onto what was a plain list."""
    scope, function = reading.scope, node.func
    if (
        scope.owner is None
        or not isinstance(function, ast.Attribute)
        or function.attr != "append"
        or not is_attribute_of(function.value, scope.self_name)
        or len(node.args) != 1
    ):
        return
    name = function.value.attr
    if name in scope.plain_lists and is_data(reading, node.args[0]):
        container = scope.plain_lists.pop(name)  # once is enough
        reading.show(events.Stored(node, scope.owner, name, container, True, True))


# -- what it gives ------------------------------------------------------------------


def _result(node: ast.Call, called: Value, arguments: tuple[Value, ...]) -> Value:
    if isinstance(called, Function):
        return called.returns
    if isinstance(called, Dotted) and arguments:
        first = arguments[0]
        if called.path in ("nnx.split", "nnx.state"):
            return _states(node, called, first)
        if called.path == "nnx.merge":
            return first.origin if isinstance(first, Instance) else None
        if called.path == "nnx.clone":
            return first
    new = instance(called)
    if new is not None and new.kind == "nnx.Optimizer" and node.args:
        return replace(new, written=dotted(node.args[0]))
    return new


def _states(node: ast.Call, called: Dotted, origin: Value) -> Value:
    """What ``split`` and ``state`` give: states that know their model."""
    state = Instance(
        "nnx.State", compat=called.compat, origin=origin,
        written="" if called.compat else dotted(node.args[0]),
        filtered=len(node.args) > 1,
    )  # fmt: skip
    if called.path == "nnx.state":
        several = len(node.args) > 2
        return Several((), state) if several else state
    graphdef = Instance("nnx.GraphDef", compat=called.compat, origin=origin)
    return Several((graphdef,), state)
