"""Which releases a condition is true on, and which of them a guard leaves."""

from __future__ import annotations

import ast

from .. import releases
from ..values import Dotted, Value, known
from .conditions import Evaluation, Unknown
from .reading import Guard, Reading
from .scopes import Scope

__all__ = ["not_skipped", "true_on"]

_NESTED = 4  # conditions within conditions within ...: more is not written by hand


def true_on(
    reading: Reading, test: ast.expr, guard: ast.If | ast.IfExp | None = None
) -> tuple[int, int]:
    """The releases on which a condition may be true, and may be false.

    Args:
        reading: the file.
        test: the condition.
        guard: what it decides, to be noted when the condition is about releases.
    """
    if reading.nested > _NESTED:  # a name that is defined by itself
        return releases.ALL, releases.ALL
    reading.nested += 1
    try:
        true, false, is_about_releases = _evaluated(reading, test)
    finally:
        reading.nested -= 1
    if guard is not None and is_about_releases and not reading.quiet:
        reading.guards.append(Guard(guard, true & reading.mask, false & reading.mask))
    return true, false


def _evaluated(reading: Reading, test: ast.expr) -> tuple[int, int, bool]:
    versions = releases.listed(releases.ALL)
    true = false = unknown = 0
    is_about_releases = False
    # the two ends first: a condition that tells neither apart tells nothing
    for index in (len(versions) - 1, *range(len(versions) - 1)):
        evaluation = _evaluation(reading, reading.scope, versions[index])
        try:
            holds = bool(evaluation.value(test))
        except Unknown:
            unknown |= 1 << index
            if not evaluation.is_about_releases and not (true | false):
                return releases.ALL, releases.ALL, False
            if unknown == (1 << len(versions) - 1 | 1):
                return releases.ALL, releases.ALL, False
        else:
            true |= holds << index
            false |= (not holds) << index
            is_about_releases = is_about_releases or evaluation.is_about_releases
    return true | unknown, false | unknown, is_about_releases


def _evaluation(reading: Reading, scope: Scope, version: str) -> Evaluation:
    """Evaluate in a scope of a file, and in other files what comes from them."""

    def infer(node: ast.expr) -> Value:
        before, reading.scope = reading.scope, scope
        try:
            return known(reading.peek(node))
        finally:
            reading.scope = before

    def define(name: str, version: str) -> ast.expr | None:
        if name in reading.unit.globals:
            return None
        return scope.definition(name, version)

    def elsewhere(name: str) -> Evaluation | None:
        origin = scope.origin(name)
        if origin is None or origin[0].reading is None:
            return None
        other = origin[0].reading
        reading.program.turn.note(origin[0].users)
        found = _evaluation(other, other.outermost, version)
        found.name = origin[1]
        return found

    return Evaluation(version, infer, define, elsewhere)


def not_skipped(reading: Reading, decorator: ast.expr) -> int:
    """The releases on which a test is not skipped by its decorator."""
    if isinstance(decorator, ast.Call) and decorator.args:
        called = reading.peek(decorator.func)
        path = called.path if isinstance(called, Dotted) else ""
        true, false = true_on(reading, decorator.args[0])
        if path in ("pytest.mark.skipif", "unittest.skipIf"):
            return false
        if path == "unittest.skipUnless":
            return true
    return releases.ALL
