"""Definitions of functions, and their bodies, which are read later."""

from __future__ import annotations

import ast

from .. import events
from ..syntax import FunctionNode, all_arguments, first_argument, is_static
from ..values import Function, Instance
from .annotations import annotated, parameters, read_annotation
from .guards import not_skipped
from .reading import Deferred, Reading, expression, statement
from .scopes import Scope

__all__ = ["read_body"]


@statement(ast.FunctionDef, ast.AsyncFunctionDef)
def _function(reading: Reading, node: FunctionNode) -> None:
    mask = reading.mask
    for decorator in node.decorator_list:
        reading.value(decorator)
        mask &= not_skipped(reading, decorator)
    arguments = node.args
    for default in [*arguments.defaults, *arguments.kw_defaults]:
        if default is not None:
            reading.value(default)
    for argument in all_arguments(arguments):
        read_annotation(reading, argument.annotation)
    read_annotation(reading, node.returns)
    reading.bind(node.name, Function(node, annotated(reading, node.returns)))
    reading.defer(node, mask)


@expression(ast.Lambda)
def _lambda(reading: Reading, node: ast.Lambda) -> None:
    if not reading.quiet:
        reading.defer(node, reading.mask)


def read_body(reading: Reading, deferred: Deferred) -> None:
    """Read the body of a function, in a scope of its own."""
    node, outer, reading.mask = deferred
    reading.attempts = []
    reading.scope = scope = Scope(outer)
    scope.values = parameters(reading, node.args)
    if isinstance(node, ast.Lambda):
        reading.value(node.body)
        return
    first = first_argument(node.args)
    if outer.is_class and outer.owner and first and not is_static(node):
        scope.owner, scope.self_name = outer.owner, first
        scope.values[first] = Instance(outer.owner)
    scope.treated = events.Treated(node)
    reading.block(node.body)
    reading.mask = deferred.mask
    reading.show(scope.treated)


@statement(ast.Return)
def _return(reading: Reading, node: ast.Return) -> None:
    if node.value is not None:
        reading.value(node.value)


@statement(ast.Global, ast.Nonlocal)
def _global(reading: Reading, node: ast.Global | ast.Nonlocal) -> None:
    reading.scope.values.update(dict.fromkeys(node.names))
