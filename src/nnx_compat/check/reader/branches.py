"""What some releases only reach: ``if``, ``assert``, ``and``, ``x if y else z``."""

from __future__ import annotations

import ast

from .. import kinds
from ..joining import joined
from ..syntax import ends, is_call_of
from ..values import (
    NOTHING,
    Value,
    instance,
    known,
)
from .guards import true_on
from .reading import Reading, expression, statement


@statement(ast.If)
def _if(reading: Reading, node: ast.If) -> None:
    true, false = true_on(reading, node.test, guard=node)
    reading.value(node.test)
    scope = reading.scope
    scope.begin()
    narrowed(reading, node.test, True)
    with reading.on(true):
        reading.block(node.body)
    after_body = scope.end()
    scope.begin()
    narrowed(reading, node.test, False)
    with reading.on(false):
        reading.block(node.orelse)
    after_orelse = scope.end()
    body_ends, orelse_ends = ends(node.body), ends(node.orelse)
    if body_ends or not true & reading.mask:
        scope.take(after_orelse)
    elif orelse_ends or not false & reading.mask:
        scope.take(after_body)
    else:
        scope.join(after_body, after_orelse)
    if body_ends:
        reading.mask &= false
    if orelse_ends:
        reading.mask &= true


def narrowed(reading: Reading, test: ast.expr, holds: bool) -> None:
    """Bind what ``isinstance(name, nnx.Param)`` says of a name."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        narrowed(reading, test.operand, not holds)
    elif isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And) and holds:
        for operand in test.values:
            narrowed(reading, operand, True)
    elif is_call_of(test, "isinstance", 2) and isinstance(test.args[0], ast.Name):
        name = test.args[0].id
        asked, now = instance(reading.peek(test.args[1])), reading.scope.lookup(name)
        if holds and (asked is None or not kinds.derives(now, asked)):
            reading.bind(name, asked)
        elif not holds and asked is not None and kinds.derives(now, asked):
            reading.bind(name, None)


@statement(ast.Assert)
def _assert(reading: Reading, node: ast.Assert) -> None:
    true, _ = true_on(reading, node.test)
    reading.value(node.test)
    narrowed(reading, node.test, True)
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
    scope = reading.scope
    scope.begin()
    narrowed(reading, node.test, True)
    with reading.on(true):
        first = reading.value(node.body)
    scope.end()
    scope.begin()
    narrowed(reading, node.test, False)
    with reading.on(false):
        second = reading.value(node.orelse)
    scope.end()
    if not true & reading.mask or first is NOTHING:
        return second
    if not false & reading.mask or first == second or second is NOTHING:
        return first
    if first is None or second is None:
        return None
    return known(joined(first, second))
