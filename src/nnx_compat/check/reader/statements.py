"""The other statements: loops, ``match``, ``del``, expressions on their own."""

from __future__ import annotations

import ast

from ..joining import element
from .assignments import assign
from .reading import Reading, statement


@statement(ast.Expr)
def _expression(reading: Reading, node: ast.Expr) -> None:
    reading.value(node.value)


@statement(ast.For, ast.AsyncFor)
def _for(reading: Reading, node: ast.For | ast.AsyncFor) -> None:
    assign(reading, node.target, element(reading.value(node.iter)))
    reading.block([*node.body, *node.orelse])


@statement(ast.While)
def _while(reading: Reading, node: ast.While) -> None:
    reading.value(node.test)
    reading.block([*node.body, *node.orelse])


@statement(ast.Match)
def _match(reading: Reading, node: ast.Match) -> None:
    reading.value(node.subject)
    for case in node.cases:
        for inner in ast.walk(case.pattern):
            if isinstance(inner, (ast.MatchAs, ast.MatchStar)) and inner.name:
                reading.bind(inner.name, None)
        reading.block(case.body)


@statement(ast.Delete)
def _delete(reading: Reading, node: ast.Delete) -> None:
    for target in node.targets:
        if isinstance(target, ast.Name):
            reading.bind(target.id, None)
        else:
            reading.value(target)
