"""Definitions of functions, and their bodies, which are read later."""

from __future__ import annotations

import ast
from dataclasses import replace

from .. import events, kinds
from ..syntax import FunctionNode, all_arguments, first_argument, is_static
from ..values import Function, Instance, Several, Value, known
from .annotations import annotated, parameters, read_annotation
from .arguments import elsewhere
from .guards import not_skipped
from .reading import Body, Reading, expression, statement
from .results import decorated
from .scopes import Scope

__all__ = ["read_body"]


@statement(ast.FunctionDef, ast.AsyncFunctionDef)
def _function(reading: Reading, node: FunctionNode) -> None:
    mask = reading.mask
    decorators = []
    for decorator in node.decorator_list:
        decorators.append((decorator, reading.value(decorator)))
        mask &= not_skipped(reading, decorator)
    arguments = node.args
    for default in [*arguments.defaults, *arguments.kw_defaults]:
        if default is not None:
            reading.value(default)
    for argument in all_arguments(arguments):
        read_annotation(reading, argument.annotation)
    read_annotation(reading, node.returns)
    function = reading.program.function(node, reading.unit)
    said = annotated(reading, node.returns)
    if said != function.annotated:
        function.annotated = said
        reading.program.stale |= function.users
    _hand_defaults(reading, function)
    value = decorated(reading, function, decorators[::-1])
    scope = reading.scope
    if scope.is_class and scope.owner is not None:
        function.owner = scope.owner
        known_as = scope.owner.decorated
        if value is not function and known_as.get(node.name) != value:
            known_as[node.name] = scope.owner.assigned[node.name] = value
            reading.program.stale |= scope.owner.changed(node.name)
    reading.bind(node.name, value)
    reading.defer(node, mask)


def _hand_defaults(reading: Reading, function: Function) -> None:
    """What a parameter is where no call gives it: ``def f(cls=Block)``."""
    arguments = function.node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    pairs = [
        *zip(positional[::-1], arguments.defaults[::-1], strict=False),
        *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
    ]
    for argument, default in pairs:
        if default is not None:
            value = known(reading.peek(default))
            reading.learn_passed(function, argument.arg, value)


@expression(ast.Lambda)
def _lambda(reading: Reading, node: ast.Lambda) -> Value:
    if not reading.quiet:
        reading.defer(node, reading.mask)
    return reading.program.function(node, reading.unit)


def read_body(reading: Reading, body: Body) -> None:
    """Read the body of a function, in a scope of its own."""
    function, outer = body.function, body.scope
    if function is None:
        return
    node = function.node
    reading.begin(body, function)
    reading.scope = scope = Scope(outer, function=function)
    scope.values = _values(reading, function)
    scope.bound = dict.fromkeys(scope.values, 1)
    if isinstance(node, ast.Lambda):
        scope.owner, scope.self_name = outer.owner, outer.self_name
        reading.learn_return(function, known(reading.value(node.body)))
        return
    first = first_argument(node.args)
    if outer.is_class and outer.owner and first and not is_static(node):
        scope.owner, scope.self_name = outer.owner, first
        scope.in_init = node.name in outer.owner.making
        scope.values[first] = Instance(outer.owner)
    elif outer.is_class and outer.owner and first and kinds.is_classmethod(node):
        scope.values[first] = outer.owner
    scope.treated = events.Treated(node)
    reading.whole(node.body)
    reading.mask = body.mask
    reading.show(scope.treated)


def _values(reading: Reading, function: Function) -> dict[str, Value]:
    """What parameters are: by their annotations, and by what calls give them."""
    arguments = function.node.args
    values = parameters(reading, arguments)
    for name, said in values.items():
        given = known(function.passed.get(name))
        values[name] = _nearer(said, given)
    if arguments.vararg is not None:
        name = arguments.vararg.arg
        if not isinstance(values[name], Several):
            values[name] = Several((), values[name], "tuple")
        # whatever calls there are in the program: another may give none
        values[name] = replace(values[name], passed=True)  # type: ignore[type-var]
    if arguments.kwarg is not None:
        values[arguments.kwarg.arg] = None
    return values


def _nearer(said: Value, given: Value) -> Value:
    """What is known of a parameter that is annotated, and given something."""
    if said is None or given is None:
        return given if said is None else said
    if isinstance(said, Instance) and isinstance(given, Instance):
        return given if kinds.derives(given, said) else said
    if isinstance(said, Several) and isinstance(given, Several):
        if len(said.items) == len(given.items):
            pairs = zip(said.items, given.items, strict=True)
            items = tuple(_nearer(one, other) for one, other in pairs)
            return Several(items, _nearer(said.rest, given.rest), said.container)
        return said if said.rest is not None or said.items else given
    return said


@statement(ast.Return)
def _return(reading: Reading, node: ast.Return) -> None:
    if node.value is None:
        return
    value = reading.value(node.value)
    function = reading.scope.function
    if function is not None:
        reading.learn_return(function, elsewhere(value))


@expression(ast.Yield, ast.YieldFrom)
def _yield(reading: Reading, node: ast.Yield | ast.YieldFrom) -> None:
    function = reading.scope.function
    if function is not None and not function.yields:
        function.yields = True
        reading.program.stale |= function.users
    if node.value is not None:
        reading.value(node.value)


@statement(ast.Global, ast.Nonlocal)
def _global(reading: Reading, node: ast.Global | ast.Nonlocal) -> None:
    for name in node.names:
        reading.scope.set(name, None)
