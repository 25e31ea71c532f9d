"""What some releases only reach: ``if``, ``assert``, ``and``, ``x if y else z``."""

from __future__ import annotations

import ast

from ..syntax import ends
from ..values import Value
from .guards import true_on
from .reading import Reading, expression, statement


@statement(ast.If)
def _if(reading: Reading, node: ast.If) -> None:
    true, false = true_on(reading, node.test, guard=node)
    reading.value(node.test)
    scope = reading.scope
    before = dict(scope.values)
    with reading.on(true):
        reading.block(node.body)
    after_body, scope.values = scope.values, before
    with reading.on(false):
        reading.block(node.orelse)
    body_ends, orelse_ends = ends(node.body), ends(node.orelse)
    if body_ends or not true & reading.mask:
        pass
    elif orelse_ends or not false & reading.mask:
        scope.values = after_body
    else:
        scope.join(after_body)
    if body_ends:
        reading.mask &= false
    if orelse_ends:
        reading.mask &= true


@statement(ast.Assert)
def _assert(reading: Reading, node: ast.Assert) -> None:
    true, _ = true_on(reading, node.test)
    reading.value(node.test)
    reading.mask &= true


@expression(ast.BoolOp)
def _bool_op(reading: Reading, node: ast.BoolOp) -> None:
    before = reading.mask
    for operand in node.values:
        reading.value(operand)
        true, false = true_on(reading, operand)
        reading.mask &= true if isinstance(node.op, ast.And) else false
    reading.mask = before


@expression(ast.IfExp)
def _if_expression(reading: Reading, node: ast.IfExp) -> Value:
    true, false = true_on(reading, node.test, guard=node)
    reading.value(node.test)
    with reading.on(true):
        first = reading.value(node.body)
    with reading.on(false):
        second = reading.value(node.orelse)
    if not true & reading.mask:
        return second
    if not false & reading.mask or first == second:
        return first
    return None
