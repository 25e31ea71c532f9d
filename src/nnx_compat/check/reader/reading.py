"""A file that is being read: in which scope, on which releases, and what was found.

Each kind of statement and of expression is read by a function of its own, in the files
beside this one, that registers itself here by the class of its nodes.
"""

from __future__ import annotations

import ast
import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TypeVar

from .. import events, releases
from ..findings import Finding, Problem
from ..joining import joined
from ..program import Program, Unit
from ..rules import shown
from ..syntax import FunctionNode, Located, has_lazy_annotations
from ..turns import Reader
from ..values import (
    ClassInfo,
    Function,
    Instance,
    Value,
    known,
)
from .scopes import Scope

__all__ = ["Attempt", "Body", "Guard", "Reading", "expression", "statement"]

_E = TypeVar("_E", bound=Callable[..., Value])
_S = TypeVar("_S", bound=Callable[..., None])
_EXPRESSIONS: dict[type[ast.AST], Callable[..., Value]] = {}
_STATEMENTS: dict[type[ast.AST], Callable[..., None]] = {}


def expression(*kinds: type[ast.expr]) -> Callable[[_E], _E]:
    """Register a function that reads expressions of some kinds."""

    def registered(function: _E) -> _E:
        _EXPRESSIONS.update(dict.fromkeys(kinds, function))
        return function

    return registered


def statement(*kinds: type[ast.stmt]) -> Callable[[_S], _S]:
    """Register a function that reads statements of some kinds."""

    def registered(function: _S) -> _S:
        _STATEMENTS.update(dict.fromkeys(kinds, function))
        return function

    return registered


@dataclass(frozen=True)
class Guard:
    """An ``if``, or a conditional expression, that tells releases apart.

    Attributes:
        node: the whole of it.
        true: the releases on which its condition may be true, as bits.
        false: the releases on which it may be false.
    """

    node: ast.If | ast.IfExp
    true: int
    false: int


@dataclass
class Attempt:
    """A ``try`` whose body is being read, and the releases on which it has failed."""

    caught: frozenset[str]
    failed: int = 0

    def catches(self, error: str) -> bool:
        """Whether a handler is for this exception, or for a class it derives from."""
        return bool(error) and not self.caught.isdisjoint(_ANCESTORS[error])


_ANCESTORS = {
    error: frozenset({error, *more, "Exception", "BaseException"})
    for error, more in {
        "AttributeError": (),
        "NameError": (),
        "ImportError": ("ModuleNotFoundError",),
        "TypeError": (),
        "ValueError": (),
        "NotImplementedError": ("RuntimeError",),
        "RuntimeError": (),
        "TraceContextError": ("FlaxError",),
    }.items()
}


@dataclass(eq=False)
class Body:
    """A body that is read by itself, and what was found in it.

    Attributes:
        function: whose body it is; ``None`` for the file outside of functions.
        scope: what is around it; of the file, its own.
        mask: the releases on which it is reached.
        findings: what the rules said.
        guards: what tells releases apart.
        met: the places where code meets NNX.
        lost: those of them that could not be followed, and why.
        inner: the functions in it: they are called later, and read later.
        is_read: whether it has been read.
    """

    function: Function | None
    scope: Scope
    mask: int = releases.ALL
    findings: list[Finding] = field(default_factory=list)
    guards: list[Guard] = field(default_factory=list)
    met: set[tuple[int, int]] = field(default_factory=set)
    lost: dict[tuple[int, int], str] = field(default_factory=dict)
    inner: list[Body] = field(default_factory=list)
    is_read: bool = False

    def sees_what(self, other: Body) -> bool:
        """Whether the functions in it see what those in another one see."""
        if len(self.inner) != len(other.inner):
            return False
        same = set[tuple[int, int]]()
        pairs = zip(self.inner, other.inner, strict=True)
        return self.scope.same(other.scope, same) and all(
            one.function is two.function
            and one.mask == two.mask
            and one.scope.same(two.scope, same)
            for one, two in pairs
        )


class Reading:
    """A file that is being read.

    Args:
        unit: the file.
        program: what it is part of.

    Attributes:
        mask: the releases on which the current line is reached, as bits.
        scope: the innermost one.
        outermost: that of the module.
        attempts: the ``try`` statements around the line, innermost last.
        findings: what the rules said.
        guards: what tells releases apart.
        quiet: above zero while an expression is looked at, and not read.
        nested: how many conditions are being evaluated, one for another.
        calls: the calls of attributes that are being read, by the attribute.
        file: the body that is the file outside of functions.
        body: the one that is being read.
        met: the places where code meets NNX.
        lost: those of them that could not be followed, and why.
    """

    def __init__(self, unit: Unit, program: Program) -> None:
        self.unit, self.program = unit, program
        self.path = unit.source.path
        self.mask = releases.ALL
        self.scope = self.outermost = Scope()
        self.attempts: list[Attempt] = []
        self.body = self.file = Body(None, self.outermost)
        self.findings, self.guards = self.body.findings, self.body.guards
        self.quiet = 0
        self.nested = 0
        self.calls: dict[int, ast.Call] = {}
        self.met, self.lost = self.body.met, self.body.lost
        self.lazy_annotations = has_lazy_annotations(unit.tree)

    # -- bodies -------------------------------------------------------------------

    def begin(self, body: Body, reader: Reader) -> None:
        """Begin to read a body; what was found in it before is forgotten."""
        self.program.turn.reader = reader
        self.program.stale.discard(reader)
        self.body, self.mask, self.attempts = body, body.mask, []
        body.findings, body.guards, body.met, body.lost = [], [], set(), {}
        body.inner, body.is_read = [], True
        self._tell_of(body)

    def _tell_of(self, body: Body) -> None:
        self.findings, self.guards = body.findings, body.guards
        self.met, self.lost = body.met, body.lost

    def bodies(self) -> Iterator[Body]:
        """The bodies in the file, those in others after them."""
        waiting = deque([self.file])
        while waiting:
            body = waiting.popleft()
            yield body
            waiting += body.inner

    def finish(self) -> None:
        """Put together what was found in all bodies."""
        whole = Body(None, self.outermost)
        for body in self.bodies():
            whole.findings += body.findings
            whole.guards += body.guards
            whole.met |= body.met
            whole.lost = body.lost | whole.lost
        self._tell_of(whole)

    # -- reading ------------------------------------------------------------------

    def block(self, body: Iterable[ast.stmt]) -> None:
        """Read statements, one after the other."""
        for one in body:
            read = _STATEMENTS.get(type(one))
            if read is not None:
                read(self, one)

    def whole(self, body: list[ast.stmt]) -> None:
        """Read all statements of a body, as deep as they can be followed."""
        try:
            self.block(body)
        except RecursionError:
            self.mask = releases.ALL
            self.lose(body[0], "something behind it is nested too deeply to follow")

    def value(self, node: ast.expr) -> Value:
        """Read an expression: show what is in it, and say what is known of it."""
        read = _EXPRESSIONS.get(type(node))
        if read is not None:
            return read(self, node)
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self.value(child)
            elif isinstance(child, (ast.keyword, ast.FormattedValue)):
                self.value(child.value)
        return None

    def peek(self, node: ast.expr) -> Value:
        """What is known of an expression, without telling the rules of it."""
        self.quiet += 1
        try:
            return self.value(node)
        finally:
            self.quiet -= 1

    def defer(self, node: FunctionNode | ast.Lambda, mask: int) -> None:
        """Read the body of a function later."""
        function = self.program.function(node, self.unit)
        self.body.inner.append(Body(function, self.scope, mask))

    def bind(self, name: str, value: Value, node: ast.expr | None = None) -> None:
        """Note what a name stands for, and the expression that says so."""
        if self.quiet:
            return
        self.scope.set(name, value)
        if node is not None:
            known = self.scope.definitions.setdefault(name, [])
            known.append((self.mask, node))

    @contextlib.contextmanager
    def on(self, mask: int) -> Iterator[None]:
        """Read what is reached on these releases only."""
        before = self.mask
        self.mask = before & mask
        try:
            yield
        finally:
            self.mask = before

    # -- learning -----------------------------------------------------------------

    def learn(self, so_far: dict[str, Value], name: str, value: Value) -> bool:
        """Join what a place says of something into what all say; whether it is new."""
        if self.quiet or not self.mask:
            return False
        before = so_far.get(name)
        after = joined(before, value)
        if name in so_far and (after is before or after == before):
            return False
        so_far[name] = after
        return True

    def learn_passed(self, function: Function, name: str, value: Value) -> None:
        """Join what a call gives into what a parameter is given."""
        if known(value) is None or function.unit is None:
            return
        if self.learn(function.passed, name, value):
            self.program.stale.add(function)

    def learn_return(self, function: Function, value: Value) -> None:
        """Join what a ``return`` gives into what the function returns."""
        after = joined(function.returned, value)
        if not self.quiet and after != function.returned:
            function.returned = after
            self.program.stale |= function.users

    def learn_attribute(self, info: ClassInfo, name: str, value: Value) -> None:
        """Join what is assigned to an attribute into what instances have there."""
        own = self.scope.self_name
        if isinstance(value, Instance) and not value.written.startswith(f"{own}."):
            value = replace(value, written="")  # a name of the method alone
        if self.learn(info.assigned, name, value):
            self.program.add_holder(name, info)
            self.program.stale |= info.changed(name)

    # -- telling ------------------------------------------------------------------

    def show(self, event: events.Event) -> None:
        """Show an event to the rules, and note what they say."""
        if self.quiet:
            return
        if not isinstance(event, events.UNCOUNTED):
            self.met.add((event.node.lineno, event.node.col_offset))
        if not self.mask:
            return
        for rule in shown(type(event)):
            if event.compat and not rule.compat:
                continue
            problem = rule.find(event)
            while problem is not None:
                self._note(rule.code, problem.node or event.node, problem)
                problem = problem.more

    def lose(self, node: Located, why: str) -> None:
        """Note a place that may meet NNX, where it is not known what is met."""
        if not self.quiet and self.mask:
            self.lost.setdefault((node.lineno, node.col_offset), why)

    def _note(self, code: str, node: Located, problem: Problem) -> None:
        excluded, warns = problem.excluded & self.mask, problem.warns & self.mask
        if not excluded | warns:
            return
        for attempt in reversed(self.attempts):
            if attempt.catches(problem.error):
                attempt.failed |= excluded
                self.mask &= ~excluded
                return
        self.findings.append(
            Finding(
                path=self.path, cell=0, line=node.lineno, column=node.col_offset + 1,
                code=code, text=problem.text, excluded=excluded,
                certain=problem.certain, instead=problem.instead, warns=warns,
                end_line=node.end_lineno or node.lineno,
                end_column=(node.end_col_offset or node.col_offset) + 1,
                rewrite=problem.rewrite, fallback=problem.fallback, error=problem.error,
            )
        )  # fmt: skip
