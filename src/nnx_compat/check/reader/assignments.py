"""Assignments: to names, to attributes, to items, and in place."""

from __future__ import annotations

import ast

from .. import events, kinds
from ..syntax import dotted, unstarred
from ..values import Instance, Several, Value
from .annotations import annotated, read_annotation
from .reading import Reading, statement
from .states import changed, split_into

__all__ = ["assign", "is_data"]


@statement(ast.Assign)
def _assign(reading: Reading, node: ast.Assign) -> None:
    value = reading.value(node.value)
    alone = node if len(node.targets) == 1 else None
    for target in node.targets:
        assign(reading, target, value, node.value, alone)


@statement(ast.AnnAssign)
def _annotated_assign(reading: Reading, node: ast.AnnAssign) -> None:
    read_annotation(reading, node.annotation)
    value = None if node.value is None else reading.value(node.value)
    if value is None:
        value = annotated(reading, node.annotation)
    assign(reading, node.target, value, node.value)


@statement(ast.AugAssign)
def _in_place(reading: Reading, node: ast.AugAssign) -> None:
    reading.value(node.value)
    target, operator = node.target, type(node.op).__name__
    if isinstance(target, ast.Subscript):
        owner = reading.value(target.value)
        reading.value(target.slice)
        if isinstance(owner, Instance):
            reading.show(
                events.Item(node, owner, target.slice, True, operator, node.value, node)
            )
            changed(reading, target.value)
        return
    if isinstance(target, ast.Attribute):
        owner = reading.value(target.value)
        if isinstance(owner, Instance) and kinds.is_variable(owner):
            reading.show(events.Attribute(target, owner, True, node))
            changed(reading, target.value)
            return
    owner = reading.value(target)
    if isinstance(owner, Instance) and kinds.is_variable(owner):
        reading.show(events.Item(node, owner, None, True, operator, node.value, node))
        changed(reading, target)
    elif isinstance(target, ast.Attribute):
        changed(reading, target.value)


def assign(
    reading: Reading,
    target: ast.expr,
    value: Value,
    node: ast.expr | None = None,
    statement: ast.Assign | None = None,
) -> None:
    """Bind a name, or show what else is written to.

    Args:
        reading: the file.
        target: what is assigned to.
        value: what is known of what is assigned.
        node: that, as it is written, where it is written.
        statement: the assignment, when it has no other target.
    """
    if isinstance(target, ast.Name):
        reading.bind(target.id, value, node)
        split_into(reading, target, value)
    elif isinstance(target, (ast.Tuple, ast.List)):
        _unpack(reading, target, value, statement)
    elif isinstance(target, ast.Starred):
        assign(reading, target.value, None, None, statement)
    elif isinstance(target, ast.Attribute):
        _assign_attribute(reading, target, node, statement)
    elif isinstance(target, ast.Subscript):
        owner = reading.value(target.value)
        reading.value(target.slice)
        if isinstance(owner, Instance):
            reading.show(
                events.Item(
                    target, owner, target.slice, stored=True, value=node,
                    statement=statement,
                )
            )  # fmt: skip
        changed(reading, target.value)


def _unpack(
    reading: Reading,
    target: ast.Tuple | ast.List,
    value: Value,
    statement: ast.Assign | None,
) -> None:
    many = value if isinstance(value, Several) else Several(())
    starred = False
    for index, element in enumerate(target.elts):
        starred = starred or isinstance(element, ast.Starred)
        item = None if starred else many.item(index)
        assign(reading, element, item, None, statement)


def _assign_attribute(
    reading: Reading,
    target: ast.Attribute,
    node: ast.expr | None,
    statement: ast.Assign | None,
) -> None:
    owner, scope = reading.value(target.value), reading.scope
    if isinstance(owner, Instance):
        reading.show(events.Attribute(target, owner, True, statement))
    in_method = scope.owner and dotted(target.value) == scope.self_name
    if scope.owner and in_method and node is not None:
        holds = _holds_data(reading, node)
        if isinstance(node, (ast.List, ast.ListComp)) and not holds:
            scope.plain_lists[target.attr] = node
        reading.show(events.Stored(target, scope.owner, target.attr, node, holds))
    changed(reading, target.value)


def _holds_data(reading: Reading, node: ast.expr) -> bool:
    """Whether it is a plain list or dict with a Module or a Variable in it."""
    if isinstance(node, ast.List):
        inside: list[ast.expr] = list(node.elts)
    elif isinstance(node, ast.ListComp):
        inside = [node.elt]
    elif isinstance(node, ast.Dict):
        inside = list(node.values)
    elif isinstance(node, ast.DictComp):
        inside = [node.value]
    elif isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Mult)):
        return _holds_data(reading, node.left) or _holds_data(reading, node.right)
    else:
        return False
    return any(is_data(reading, part) for part in inside)


def is_data(reading: Reading, node: ast.expr) -> bool:
    """Whether an expression is certainly a Module or a Variable."""
    value = reading.peek(unstarred(node))
    return kinds.is_module(value) or kinds.is_variable(value)
