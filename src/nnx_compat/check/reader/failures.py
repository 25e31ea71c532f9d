"""``try``, ``with suppress`` and ``raise``: which failures are taken care of."""

from __future__ import annotations

import ast
import sys

from .. import events, releases
from ..syntax import dotted, ends, raises_again
from ..values import Dotted
from .assignments import assign
from .reading import Attempt, Reading, statement

#: Calls whose ``with`` catches the exceptions that are their arguments.
_SUPPRESSING = ("contextlib.suppress", "pytest.raises")
#: Methods of a test case that do so, with the exception as their first argument.
_ASSERTING = ("assertRaises", "assertRaisesRegex")


@statement(ast.Try)
def _try(reading: Reading, node: ast.Try) -> None:
    caught: set[str] = set()
    for handler in node.handlers:
        if not raises_again(handler.body):
            caught |= _exceptions(handler.type)
    attempt = Attempt(frozenset(caught))
    scope, before = reading.scope, reading.mask
    scope.begin()
    reading.attempts.append(attempt)
    reading.block(node.body)
    reading.attempts.pop()
    reading.block(node.orelse)
    tried, went_on = scope.end(), not ends(node.body)
    mask = reading.mask if went_on else 0
    for handler in node.handlers:
        # without a failure that is known, a handler may run anywhere
        reading.mask = before & (attempt.failed or releases.ALL)
        scope.begin()
        if handler.name:
            reading.bind(handler.name, None)
        reading.block(handler.body)
        caught_then = scope.end()
        if not ends(handler.body):
            mask |= reading.mask
            tried = scope.joined(tried, caught_then) if went_on else caught_then
            went_on = True
    scope.take(tried)
    reading.mask = mask & before
    reading.block(node.finalbody)


if sys.version_info >= (3, 11):
    statement(ast.TryStar)(_try)


def _exceptions(node: ast.expr | None) -> set[str]:
    """The exceptions that a handler is for."""
    if node is None:
        return {"BaseException"}
    listed = node.elts if isinstance(node, ast.Tuple) else [node]
    return {dotted(one).rpartition(".")[2] for one in listed} - {""}


@statement(ast.With, ast.AsyncWith)
def _with(reading: Reading, node: ast.With | ast.AsyncWith) -> None:
    suppressed: set[str] = set()
    for item in node.items:
        entered = reading.value(item.context_expr)
        suppressed |= _suppressed(reading, item.context_expr)
        if item.optional_vars is not None:
            assign(reading, item.optional_vars, entered)
    reading.attempts.append(Attempt(frozenset(suppressed)))
    before = reading.mask
    reading.block(node.body)
    reading.attempts.pop()
    reading.mask |= before if suppressed else 0


def _suppressed(reading: Reading, context: ast.expr) -> set[str]:
    if not isinstance(context, ast.Call):
        return set()
    called = reading.peek(context.func)
    if isinstance(called, Dotted) and called.path in _SUPPRESSING:
        return set[str]().union(*map(_exceptions, context.args))
    method = context.func.attr if isinstance(context.func, ast.Attribute) else ""
    asserts = method in _ASSERTING and context.args
    return _exceptions(context.args[0]) if asserts else set()


@statement(ast.Raise)
def _raise(reading: Reading, node: ast.Raise) -> None:
    if reading.scope.parent is None:
        raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        reading.show(events.Refusal(node, dotted(raised), reading.mask))
    for part in (node.exc, node.cause):
        if part is not None:
            reading.value(part)
