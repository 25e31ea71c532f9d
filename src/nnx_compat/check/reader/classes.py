"""Definitions of classes, and what their methods assign to ``self``."""

from __future__ import annotations

import ast

from .. import events, kinds
from ..syntax import (
    FunctionNode,
    first_argument,
    is_attribute_of,
    is_static,
    unsubscripted,
)
from ..values import ClassInfo
from .annotations import annotated, parameters
from .reading import Reading, statement
from .scopes import Scope

_Assignment = ast.Assign | ast.AnnAssign | ast.AugAssign


@statement(ast.ClassDef)
def _class(reading: Reading, node: ast.ClassDef) -> None:
    for decorator in node.decorator_list:
        reading.value(decorator)
    bases = tuple(reading.value(unsubscripted(base)) for base in node.bases)
    for keyword in node.keywords:
        reading.value(keyword.value)
    given = {k.arg: k.value for k in node.keywords if k.arg is not None}
    pytree = given.get("pytree")
    info = ClassInfo(node.name, bases)
    info.pytree = not (isinstance(pytree, ast.Constant) and pytree.value is False)
    reading.show(events.Class(node, info, frozenset(given)))
    reading.bind(node.name, info)
    outer = reading.scope
    reading.scope = Scope(outer, is_class=True, owner=info)
    _find_attributes(reading, node, info)
    reading.block(node.body)
    reading.scope = outer


def _find_attributes(reading: Reading, node: ast.ClassDef, info: ClassInfo) -> None:
    """What the body and the methods assign, before any method is read."""
    for one in node.body:
        if isinstance(one, FunctionNode):
            info.own.add(one.name)
            _find_assigned_to_self(reading, one, info)
        elif isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name):
            value = annotated(reading, one.annotation)
            info.attributes[one.target.id] = kinds.read_back(value)
        elif isinstance(one, ast.Assign):
            info.own |= {t.id for t in one.targets if isinstance(t, ast.Name)}


def _find_assigned_to_self(
    reading: Reading, method: FunctionNode, info: ClassInfo
) -> None:
    first = first_argument(method.args)
    if not first or is_static(method):
        return
    outer = reading.scope
    reading.scope = Scope(outer, values=parameters(reading, method.args))
    reading.scope.values.pop(first, None)
    for inner in ast.walk(method):
        if not isinstance(inner, _Assignment):
            continue
        targets = inner.targets if isinstance(inner, ast.Assign) else [inner.target]
        for target in targets:
            if is_attribute_of(target, first):
                _note_attribute(reading, info, target.attr, inner)
    reading.scope = outer


def _note_attribute(
    reading: Reading, info: ClassInfo, name: str, node: _Assignment
) -> None:
    if isinstance(node, ast.AugAssign):
        return  # it stays what it is, or is no Variable
    if node.value is not None:
        value = reading.peek(node.value)
    elif isinstance(node, ast.AnnAssign):
        value = annotated(reading, node.annotation)
    value = kinds.read_back(value)
    if name in info.attributes and info.attributes[name] != value:
        value = None
    info.attributes[name] = value
